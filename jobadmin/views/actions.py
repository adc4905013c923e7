"""Kill, retry and remove one job: POST only, one right each, and a sentence about what came of it."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from jobadmin import operations
from jobadmin.acting import act, job_itself
from jobadmin.actions import ACTIONS, Action, Outcome
from jobadmin.formats import cut
from jobadmin.models import Operation
from jobadmin.paths import RESERVED, action_url, job_url, safe_next, unquote
from jobadmin.records import NotRecorded, committed
from jobadmin.resolver import resolver
from jobadmin.views import failures
from jobadmin.views.base import needs, page, render
from statuses import Status

#: Marks the sentence that somebody asked a job to end: once it has ended, that is told by its timeline alone.
ASKED = "j-asked"


@committed
@needs("view_job")
@page
def job_action(request: HttpRequest, quoted: str, action: str) -> HttpResponse:
    """Do one action to one job, say what happened, and go back to where it was asked for.

    An action that asks before it acts (kill now, remove) answers with its confirm page until ``confirmed`` is sent along; and again
    where it could not be written down, with the reason as it was typed.
    """
    if action not in ACTIONS or quoted in RESERVED:  # an id that spells it is quoted otherwise
        raise Http404
    if request.method != "POST":
        return failures.not_allowed(request)
    chosen = ACTIONS[action]
    status = job_itself(unquote(quoted))
    for right in ("view_job", chosen.verb.permission):
        if not resolver().may(request.user, right, status):
            return failures.forbidden(request, right=right)
    if chosen.confirms and "confirmed" not in request.POST and not chosen.why_not(status):
        return _confirm(request, chosen, status)
    reason = request.POST.get("reason", "").strip()
    try:
        outcome, operation = act(chosen, status, request=request, reason=reason, attempt=request.POST.get("attempt"))
    except NotRecorded as error:
        if not chosen.confirms:
            raise
        return _confirm(request, chosen, status, refused=error, reason=reason)
    gone = chosen.slug == "remove" and outcome.is_done
    there = _way_back(request, status, gone)
    _say(request, outcome, operation, "" if there.split("?")[0] == job_url(status.id) else _named(status, gone))
    return redirect(there)


def _confirm(request: HttpRequest, action: Action, status: Status, *, refused: NotRecorded | None = None, reason: str = "") -> HttpResponse:
    """The page that asks first; nothing has happened yet."""
    return render(
        request,
        "jobadmin/confirm.html",
        {
            "title": action.question,
            "action": action,
            "status": status,
            "url": action_url(status.id, action.slug),
            "next": safe_next(request, job_url(status.id)),
            "cancel": job_url(status.id),
            "reason": reason[: operations.REASON_LENGTH],
            "reason_length": operations.REASON_LENGTH,
            "refused": failures.not_recorded_words(refused) if refused else "",
        },
        status=failures.not_recorded_status(refused) if refused else 200,
    )


def _named(status: Status, gone: bool) -> str:
    """The job's name, for a page that shows many; with the way to it, where it is there."""
    name = cut(resolver().redact_text(status.job_name or status.id), 60)
    # Where there is nothing to lead to it still is an element: the admin writes the first letter of a message large.
    return format_html("<span>{}</span>", name) if gone else format_html('<a href="{}">{}</a>', job_url(status.id), name)


def _say(request: HttpRequest, outcome: Outcome, operation: Operation, named: str) -> None:
    """The sentence on the next page, with the job's name where there are others; a removal brings the way to take it back."""
    level = messages.SUCCESS if outcome.is_done else messages.WARNING
    text = outcome.message
    if operation.undo_token:
        undo = reverse("jobadmin:operation", args=[operation.pk])
        text = format_html('{} <a href="{}">{}</a>', outcome.message, undo, _("Look at it or take it back"))
    if named:
        text = format_html("{}: {}", named, text)
    messages.add_message(request, level, text, extra_tags=ASKED if "requested" in outcome.changed.by_reason else "")


def _way_back(request: HttpRequest, status: Status, gone: bool) -> str:
    """Where it was asked for; not the page of a job that is gone."""
    here = job_url(status.id)
    there = safe_next(request, here)
    if gone and there.split("?")[0] == here:
        return reverse("jobadmin:list")
    return there
