"""What a viewer chooses for themselves."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from jobadmin import savedviews
from jobadmin.filters import BadFilter
from jobadmin.viewing import KEPT_SECONDS, MODES, TIMES_COOKIE
from jobadmin.views.base import needs, page_without_store, posted


@needs("view_job")
@page_without_store
@posted
def times(request: HttpRequest) -> HttpResponse:
    """Keep how this viewer reads times, and go back to where they were.  Raises: BadFilter."""
    mode = request.POST.get("times", "")
    if mode not in MODES:
        raise BadFilter("times", mode[:100], ", ".join(MODES))
    response = redirect(came_from(request))
    root, secure = reverse("jobadmin:overview"), request.is_secure()
    response.set_cookie(TIMES_COOKIE, mode, max_age=KEPT_SECONDS, path=root, secure=secure, httponly=True, samesite="Lax")
    return response


def came_from(request: HttpRequest) -> str:
    """The page the form stood on: the address a browser shows moves with the filter, and its Referer with it."""
    referer = request.headers.get("Referer", "")
    stays = url_has_allowed_host_and_scheme(referer, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return referer if stays else reverse("jobadmin:overview")


@needs("view_job")
@page_without_store
@posted
def save_view(request: HttpRequest) -> HttpResponse:
    """Keep the filter one looks at by a name.  Raises: BadFilter."""
    given = request.POST
    view, is_new = savedviews.save(
        request.user, name=given.get("name", ""), page=given.get("page", ""), query=given.get("query", ""), shared="shared" in given
    )
    words = _("The view “%(name)s” was saved.") if is_new else _("The view “%(name)s” was replaced.")
    messages.success(request, words % {"name": view.name})
    return redirect(came_from(request))


@needs("view_job")
@page_without_store
@posted
def remove_view(request: HttpRequest) -> HttpResponse:
    """Forget a view of one's own; anybody else's is none of ours."""
    view = savedviews.remove(request.user, request.POST.get("view", ""))
    if view is None:
        messages.warning(request, _("This view is not yours, or was deleted before."))
    else:
        messages.success(request, _("The view “%(name)s” was deleted.") % {"name": view.name})
    return redirect(came_from(request))
