"""What every view shares: who may see it, what known errors become, and how a page is rendered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Page, Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect

import statuses
from jobadmin import migrated, outage, search
from jobadmin.directions import shown_in_page
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.frame import admin_site, login_url
from jobadmin.parameters import whole
from jobadmin.paths import RESERVED, in_one_place, safe_next, split_attempt, unquote
from jobadmin.records import NotRecorded
from jobadmin.resolver import resolver
from jobadmin.viewing import of_request, viewed_by
from statuses import Status, StatusNotFound

logger = logging.getLogger(__name__)

#: Parameters of a page that stay while its filter changes.
STAYING = ("chart", "rank")

View = Callable[..., HttpResponse]


def job_at(quoted: str) -> tuple[Status, int | None]:
    """The job that an address names, and which attempt of it, if it names one.  Source: its record.
    Raises: Http404 for what is no id; StatusNotFound."""
    if quoted in RESERVED:  # an id that spells it is quoted otherwise
        raise Http404
    job_id, attempt = split_attempt(unquote(quoted))
    status = statuses.find(job_id)
    if status is None:
        raise StatusNotFound(job_id)
    return status, attempt


def needs(*permissions: str) -> Callable[[View], View]:
    """Decorator: whoever may enter the admin site and has all of these rights; others see the login or a 403 page."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            user = request.user
            if not user.is_authenticated:
                return _login(request)
            if not admin_site().has_permission(request):
                return _failures().forbidden(request)
            for permission in permissions:
                if not resolver().may(user, permission):
                    return _failures().forbidden(request, right=permission)
            return view(request, *args, **kwargs)

        return checked

    return decorate


def page(view: View) -> View:
    """Decorator: a store that is away becomes 503, one that is not as expected 500, a filter nobody can read 400, what is not there 404;
    an action that the database does not take 503 or 500.
    One that answered is not away any more; the view asks it, or is a `page_without_store`.

    Times inside are read and written in the viewer's zone.
    """
    return _answered(view, outage.over)


def page_without_store(view: View) -> View:
    """Decorator: as `page`, for a view that may be answered without a question to the store."""
    return _answered(view, lambda: None)


def _answered(view: View, after: Callable[[], None]) -> View:
    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        with viewed_by(of_request(request)), in_one_place():
            try:
                if request.method == "POST" and migrated.is_lacking():
                    return _failures().not_migrated(request)
                response = view(request, *args, **kwargs)
                if response.status_code < 400:
                    after()
                return response
            except statuses.StoreUnavailable as error:
                return _failures().unavailable(request, error)
            except (statuses.ScriptFailed, statuses.ConfigurationError) as error:
                logger.exception("the job store is not as expected")
                return _failures().unreadable(request, error)
            except NotRecorded as error:
                logger.error("the database does not take the record of an action: %s", error)
                return _failures().not_recorded(request, error)
            except BadFilter as error:
                return _failures().bad_request(request, error)
            except (statuses.StatusNotFound, Http404) as error:
                return _failures().not_found(request, error)

    return answered


def posted(view: View) -> View:
    """Decorator, below the others: the address of a button. Opened as a page, as from the history of a browser, it says that it is one."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs) if request.method == "POST" else _failures().not_allowed(request)

    return answered


def wants_part(request: HttpRequest) -> bool:
    """True when HTMX asks for what changes on a page, not for the page.

    A boosted link asks for a page, unless it aims at the part that changes.
    """
    htmx = getattr(request, "htmx", None)
    if not htmx or htmx.history_restore_request:
        return False
    return not htmx.boosted or htmx.target == "j-main"


def render(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """A page inside Django's admin: `template` extends ``jobadmin/base.html``, `context` has its ``title``."""
    site = admin_site()
    request.current_app = site.name
    full = {**site.each_context(request), "is_nav_sidebar_enabled": False, **(context or {})}
    response = TemplateResponse(request, template, full, status=status, headers=dict(headers or {})).render()
    response.content = shown_in_page(response.content)
    # The same address answers with a page or with a part of it; neither may be taken for the other.
    patch_vary_headers(response, ("HX-Request",))
    response.headers.setdefault("Cache-Control", "no-cache, private")
    return response


def render_filtered(
    request: HttpRequest,
    name: str,
    jobs: JobFilter,
    context: Mapping[str, Any],
    *,
    matched: int,
    total: int | None = None,
    path_args: tuple[str, ...] = (),
    within: tuple[tuple[str, str], ...] = (),
    url_name: str | None = None,
) -> HttpResponse:
    """A page with the filter bar: ``jobadmin/<name>.html``, or what a change of filter swaps when HTMX asks.

    The part that changes is ``jobadmin/_<name>_main.html``; `matched` is how many jobs the filter matches, `total` how
    many there are (counted here unless given), `url_name` and `path_args` are the page's own URL, `within` what it asks for
    beside the filter. A search that finds
    nothing, and means one job name, queue, user, worker or error that there is, leads to the page with that filter.
    """
    from jobadmin.filterbar import FilterBar

    total = statuses.all().count() if total is None else total
    view = url_name or name
    extras = {key: request.GET[key] for key in STAYING if request.GET.get(key)}
    bar = FilterBar(jobs=jobs, view=view, extras=extras, path_args=path_args, within=within, matched=matched, total=total)
    found = search.elsewhere(bar) if jobs.q and not matched else None
    if found and len(found.exact) == 1 and "live" not in request.GET:
        return redirect(found.exact[0].url)
    full = {"filter": jobs, "bar": bar, "main": f"jobadmin/_{name}_main.html", "view": view, "search": found, **context}
    full["may_lie_elsewhere"] = not matched and not _holds_all(request, jobs)
    if not wants_part(request):
        return render(request, f"jobadmin/{name}.html", full)
    response = render(request, "jobadmin/_swap.html", full)
    if "live" not in request.GET:
        pages = {key: request.GET.get(key) for key in ("page",)}
        response.headers["HX-Push-Url"] = bar.url(after=jobs.cursor, **pages)
    return response


def kept_columns(request: HttpRequest) -> list[str]:
    """Columns that a page which looks again shows already, and keeps: see `panels.ranking.NameTable.hold`."""
    return request.GET.get("kept", "").split(",") if "live" in request.GET else []


def _holds_all(request: HttpRequest, jobs: JobFilter) -> bool:
    """Whether the span certainly holds all jobs there are, so that all time has no other.  Source: the version of the store."""
    from jobadmin.views.unchanged import version_of

    since, window = version_of(request).since, jobs.window
    if jobs.by != "recorded_at" or since is None:
        return False
    return (window.after is None or window.after <= since) and (window.before is None or window.before >= jobs.now)


def page_number(request: HttpRequest) -> int | None:
    """What the parameter `page` says, from 1; None or 0 for what is no page."""
    return whole(request.GET.get("page") or "1")


def numbered(request: HttpRequest, rows: Any, size: int) -> Page:
    """The page of rows that the parameter `page` names.  Raises: BadFilter."""
    pages = Paginator(rows, size)
    if not (number := page_number(request)):
        raise BadFilter("page", request.GET["page"][:100], _("a number from 1 to %d") % pages.num_pages)
    return pages.get_page(number)


def _login(request: HttpRequest) -> HttpResponse:
    """The admin's login, and back here after it; a part of a page cannot show it, so the whole page goes there. Who sent something is
    told that nothing was done, and comes back to the page it was sent from; so does who asked for a file, which is no page to come to."""
    if request.method == "POST":
        messages.warning(request, _("Nothing was done: you were not logged in any more. Do it again after you have logged in."))
    if wants_part(request):
        back = request.htmx.current_url_abs_path or reverse("jobadmin:overview")
        return HttpResponseClientRedirect(redirect_to_login(back, login_url()).url)
    is_page = request.method in ("GET", "HEAD") and not request.resolver_match.url_name.startswith("export")
    response = redirect_to_login(request.get_full_path() if is_page else _came_from(request), login_url())
    add_never_cache_headers(response)
    return response


def _came_from(request: HttpRequest) -> str:
    """The page that a form or a link stood on: as the form says, or the browser; else the overview. A page that was itself an answer to
    a form is none to come back to: asked for by its address, it asks about other jobs."""
    referer = urlsplit(request.headers.get("Referer", ""))
    there = urlunsplit(("", "", referer.path, referer.query, ""))
    is_page = referer.netloc == request.get_host() and referer.path != request.path and url_has_allowed_host_and_scheme(there, None)
    return safe_next(request, there if is_page else reverse("jobadmin:overview"))


def _failures() -> Any:
    """The pages for failures, which are rendered through this module."""
    from jobadmin.views import failures

    return failures
