"""Confirming a bulk operation: GET says what would happen and changes nothing, POST queues it.

Rows picked one by one are posted: two hundred ids are more than many servers take in an address. They are asked about, too.
"""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from jobadmin.filters import JobFilter
from jobadmin.models import Operation
from jobadmin.operations import REASON_LENGTH, NotConfirmed, Promise, announce, confirm
from jobadmin.paths import safe_next
from jobadmin.records import NotRecorded, committed
from jobadmin.resolver import resolver
from jobadmin.results import Result
from jobadmin.targets import list_url, which
from jobadmin.tokens import Token
from jobadmin.verbs import BULK, TYPED_ABOVE, Verb
from jobadmin.views import failures
from jobadmin.views.base import needs, page, render, wants_part


@committed
@require_http_methods(["GET", "HEAD", "POST"])
@needs("view_job")
@page
def bulk(request: HttpRequest, action: str) -> HttpResponse:
    """The confirm page of one verb for what the filter matches, or for the rows that `id` names."""
    if action not in BULK:
        raise Http404
    verb = BULK[action]
    if not resolver().may(request.user, verb.permission):
        return failures.forbidden(request, right=verb.permission)
    if request.method != "POST":
        return _ask(request, verb, JobFilter.to_act_on(request))
    return _confirm(request, verb) if "promise" in request.POST else _ask_selected(request, verb)


def _ask_selected(request: HttpRequest, verb: Verb) -> HttpResponse:
    """The same question about rows picked one by one; without any, never about more than were picked."""
    ids = tuple(dict.fromkeys(Token.parse(one, prefixes=False).value for one in request.POST.getlist("id") if one))
    if ids:
        return _ask(request, verb, JobFilter().with_(id=ids, span="all"))
    messages.warning(request, _("No job was selected. Nothing was changed."))
    return redirect(safe_next(request, reverse("jobadmin:list")))


def _confirm(request: HttpRequest, verb: Verb) -> HttpResponse:
    """Queue it; what cannot be confirmed is asked again, with fresh counts and the reason why."""
    try:
        promise = Promise.read(request.POST.get("promise", ""), verb)
    except NotConfirmed as error:
        if error.filter is None:
            # Nothing says which jobs were meant: nothing is offered in their place.
            return failures.not_confirmed(request, str(error))
        return _ask(request, verb, JobFilter.from_querystring(error.filter), refused=str(error))
    typed, reason = request.POST.get("typed", ""), request.POST.get("reason", "")
    try:
        operation = confirm(promise, request=request, typed=typed, reason=reason)
    except NotConfirmed as error:
        return _ask(request, verb, JobFilter.from_querystring(promise.filter), refused=str(error), reason=reason)
    except NotRecorded as error:
        words, status = failures.not_recorded_words(error), failures.not_recorded_status(error)
        return _ask(request, verb, JobFilter.from_querystring(promise.filter), refused=words, reason=reason, status=status)
    if wants_part(request):
        return _begun(request, operation)
    return redirect("jobadmin:operation", pk=operation.pk)


def _ask(request: HttpRequest, verb: Verb, jobs: JobFilter, *, refused: str = "", reason: str = "", status: int = 409) -> HttpResponse:
    found, promise = announce(verb, jobs)
    frozen = JobFilter.from_querystring(promise.filter)
    context = {
        "title": str(verb.label),
        "verb": verb,
        "plan": found,
        "asks_each_job": resolver().asks_each_job,
        "promise": promise,
        "which": which(frozen),
        "refused": refused,
        "reason": reason[:REASON_LENGTH],
        "reason_length": REASON_LENGTH,
        "typed_above": TYPED_ABOVE,
        "action_url": reverse("jobadmin:bulk", args=[verb.slug]),
        "back": safe_next(request, jobs.url("list")),
        "next": safe_next(request, ""),
    }
    part = context["in_dialog"] = wants_part(request)
    template = "jobadmin/_confirm.html" if part else "jobadmin/bulk.html"
    # A refusal is no error to HTMX: what it shows instead is the answer.
    return render(request, template, context, status=status if refused and not part else 200)


def _begun(request: HttpRequest, operation: Operation) -> HttpResponse:
    """For the dialog: what was a question becomes the progress; the head of the page learns of it too."""
    operation.refresh_from_db()
    context = {"result": Result(operation), "operation": operation, "in_dialog": True, "back": list_url(operation)}
    return render(request, "jobadmin/_begun.html", context)
