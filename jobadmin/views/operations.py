"""Operations: the list of all, one with its progress and result, and what can be done about it."""

from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jobadmin import moments
from jobadmin import operations as service
from jobadmin.filterbar import FilterBar, every
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.models import TOLD_WITHIN, Operation
from jobadmin.parameters import UnknownParameter, check_once, is_foreign, whole
from jobadmin.records import committed
from jobadmin.resolver import resolver
from jobadmin.results import Result
from jobadmin.targets import selection_of
from jobadmin.templatetags.operations import toast
from jobadmin.verbs import ALL, BULK
from jobadmin.viewing import present
from jobadmin.views import failures
from jobadmin.views.base import needs, numbered, page_without_store, posted, render, wants_part
from jobadmin.views.unchanged import MOST_SECONDS, entity_tag, not_modified

#: Operations a page of the list.
_ROWS = 50
_PARAMETERS = ("action", "user", "page", "upto")
#: Seconds between two looks of the list.
_REFRESH_SECONDS = 5


@needs("view_job")
@page_without_store
@require_safe
def operations(request: HttpRequest) -> HttpResponse:
    """Every action, one job's or many's, newest first: who, when, from where, which jobs, how many, why, what came of it."""
    tag = _tag(request) if wants_part(request) else None
    if tag is not None and (same := not_modified(request, tag)):
        return same
    found = Operation.objects.select_related("user").defer("ids", "undo_token")
    _refuse_unknown(request)
    action, user = request.GET.get("action", ""), request.GET.get("user", "")
    if action and action not in ALL:
        raise BadFilter("action", action[:100], ", ".join(ALL))
    if action:
        found = found.filter(action=action)
    if user:
        found = found.filter(username=user)
    kept = [(name, value) for name, value in (("action", action), ("user", user)) if value]
    upto = _upto(request)
    if upto:
        found = found.filter(pk__lte=upto)
    shown = numbered(request, found, _ROWS)
    context = {
        **_tabs(),
        "filter": JobFilter(at=moments.now()),
        "main": "jobadmin/_operations_main.html",
        "refresh_seconds": _REFRESH_SECONDS,
        "live_every": every(_REFRESH_SECONDS),
        "title": _("Operations"),
        "page": shown,
        "results": [Result(operation) for operation in shown],
        "undoable": {one.pk for one in shown if service.can_undo(one) and service.may_undo(request.user, one)},
        "verbs": ALL.values(),
        "action": action,
        "user_filter": user,
        "newest": urlencode(kept),
        "kept": urlencode([*kept, ("upto", upto or (shown[0].pk if shown else 0))]),
    }
    if tag is None:
        return render(request, "jobadmin/operations.html", context)
    return render(request, "jobadmin/_now_swap.html", context, headers={"ETag": tag})


@needs("view_job")
@page_without_store
@require_safe
def operation(request: HttpRequest, pk: int) -> HttpResponse:
    """One operation; HTMX asks for the part that moves, until nothing can change any more."""
    found = get_object_or_404(Operation, pk=pk)
    if request.GET.get("part") == "toast" and wants_part(request):
        return render(request, "jobadmin/_toast.html", toast(pk))
    in_dialog = request.GET.get("part") == "dialog" and wants_part(request)
    context = {
        **_tabs(),
        "title": _("Operation %(pk)s") % {"pk": pk},
        "operation": found,
        "result": Result(found),
        "in_dialog": in_dialog,
        "can_undo": service.can_undo(found) and service.may_undo(request.user, found),
        "may_act": resolver().may(request.user, ALL[found.action].permission),
    }
    part = "jobadmin/_operation.html" if in_dialog else "jobadmin/_operation_swap.html"
    return render(request, part if wants_part(request) else "jobadmin/operation.html", context)


@committed
@needs("view_job")
@page_without_store
@posted
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask it to end after the batch it is at."""
    found, refusal = _for_acting(request, pk)
    if refusal:
        return refusal
    if not service.stop(found, request=request):
        found.refresh_from_db()
        messages.warning(request, service.why_not_stopped(found))
    return _shown(request, pk)


@committed
@needs("view_job")
@page_without_store
@posted
def undo(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a removal back, while that can be."""
    found, refusal = _for_acting(request, pk)
    if refusal:
        return refusal
    if not service.may_undo(request.user, found):
        return failures.forbidden(request, words=service.not_ours_to_undo())
    restoring = service.undo(found, request=request)
    if restoring is None:
        messages.warning(request, _("This removal cannot be taken back any more. Nothing was changed."))
        return _shown(request, pk)
    return _shown(request, restoring.pk)


@needs("view_job")
@page_without_store
@posted
def again(request: HttpRequest, pk: int) -> HttpResponse:
    """Try what was not done once more; through the confirm page, which counts what is left."""
    found, refusal = _for_acting(request, pk)
    if refusal:
        return refusal
    if found.action not in BULK or found.is_retention:
        raise Http404
    return redirect(selection_of(found).url("bulk", found.action))


def _upto(request: HttpRequest) -> int | None:
    """The operation that the first page began with, so that those that begin meanwhile shift none of the others.  Raises: BadFilter."""
    text = request.GET.get("upto", "")
    number = whole(text, digits=18)
    if text and number is None:
        raise BadFilter("upto", text[:100], _("the number of an operation"))
    return number


def _refuse_unknown(request: HttpRequest) -> None:
    """Raises: BadFilter for a parameter that this page does not have, or two values of one."""
    for name in request.GET:
        if name not in _PARAMETERS and not (name == "live" and wants_part(request)) and not is_foreign(name):
            raise UnknownParameter(name, request.GET[name], _PARAMETERS)
    check_once(request.GET, _PARAMETERS)


def _tag(request: HttpRequest) -> str:
    """What a look at the list depends on: what has begun and ended, how far the rest is, who looks and how.
    Source: two small queries."""
    ended = Operation.standing().ended
    now = moments.now()
    at_once = Q(state=Operation.State.UNKNOWN, started_at__gte=now - 2 * TOLD_WITHIN)
    active = Operation.objects.filter(Q(state__in=Operation.ACTIVE) | at_once).values_list("pk", "state", "done", "changed", "skipped")
    minute = int(now.timestamp()) // MOST_SECONDS
    return entity_tag(ended, list(active), minute, request.get_full_path(), request.user.pk, present(), get_language())


def _tabs() -> dict[str, Any]:
    """The ways to the other views, for pages without a filter of their own."""
    return {"view": "operations", "bar": FilterBar(jobs=JobFilter(at=moments.now()), view="operations", matched=0, total=0)}


def _shown(request: HttpRequest, pk: int) -> HttpResponse:
    """On to the operation; inside the dialog when that is where one came from."""
    address = reverse("jobadmin:operation", args=[pk])
    return redirect(f"{address}?part=dialog" if wants_part(request) else address)


def _for_acting(request: HttpRequest, pk: int) -> tuple[Operation, HttpResponse | None]:
    """The operation, and the refusal for a viewer without the right that its action takes."""
    found = get_object_or_404(Operation, pk=pk)
    permission = ALL[found.action].permission
    if not resolver().may(request.user, permission):
        return found, failures.forbidden(request, right=permission)
    return found, None
