"""One job's page, its live fragment, and its long parts whole."""

from django.contrib.messages import get_messages
from django.contrib.messages.storage.base import Message
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

import statuses
from jobadmin import family, operations
from jobadmin.filters import BadFilter
from jobadmin.jobpage import JobPage
from jobadmin.parameters import whole
from jobadmin.paths import job_url, safe_next, workflow_url
from jobadmin.resolver import resolver
from jobadmin.views import failures
from jobadmin.views.actions import ASKED
from jobadmin.views.base import job_at, needs, page, render
from statuses import State, StatusNotFound

#: What may be asked for by itself, whole.
PARTS = ("call", "data", "errors")

#: Seconds between two looks at a job that has ended and may run again.
AGAIN_SECONDS = 30

#: Answer to a look that found nothing new: HTMX and our own script leave the page as it is.
UNCHANGED = 204


@require_safe
@needs("view_job")
@page
def job(request: HttpRequest, quoted: str) -> HttpResponse:
    """Everything there is to know about one job.

    ``attempt=n`` (zero-based) looks at an earlier attempt, an id ``<id>:<n>`` leads there; ``part=call|data|errors`` answers
    with that part alone, whole, as JSON; ``live=<fingerprint>`` with the changed page's inside, or with nothing when nothing
    changed.
    """
    status, number = job_at(quoted)
    if number is not None:
        return _to_attempt(status, number)
    if not resolver().may(request.user, "view_job", status):
        return failures.forbidden(request, right="view_job")
    shown = JobPage(status, attempt=_attempt(request, status), user=request.user, now=statuses.server_time())
    if "part" in request.GET:
        return _part(shown, request.GET["part"])
    if request.GET.get("live") == shown.fingerprint:
        return HttpResponse(status=UNCHANGED)
    if "live" in request.GET:
        return render(request, "jobadmin/job/_inside.html", _context(request, shown))
    return render(request, "jobadmin/job.html", {**_context(request, shown), "messages": _messages(request, status)})


def _messages(request: HttpRequest, status: statuses.Status) -> list[Message]:
    """What is said above the page; not that it was asked to end, where it has ended since."""
    return [message for message in get_messages(request) if not (status.is_ended and ASKED in message.tags.split())]


def _to_attempt(status: statuses.Status, number: int) -> HttpResponse:
    """To the job's own page, at one of its attempts."""
    if number > status.attempt:
        raise StatusNotFound(f"{status.id}:{number}")
    return redirect(f"{job_url(status.id)}?attempt={number}")


def _attempt(request: HttpRequest, status: statuses.Status) -> int:
    """The attempt to look at: the present one unless the parameter says otherwise. Raises: BadFilter."""
    value = request.GET.get("attempt")
    if value is None:
        return status.attempt
    number = whole(value)
    if number is None or number > status.attempt:
        expected = "0" if not status.attempt else _("a whole number from 0 to %(last)s") % {"last": status.attempt}
        raise BadFilter("attempt", value[:100], expected)
    return number


def _part(shown: JobPage, name: str) -> HttpResponse:
    """One long part, whole and redacted. Raises: BadFilter."""
    if name not in PARTS:
        raise BadFilter("part", name[:100], ", ".join(PARTS))
    return JsonResponse(shown.raw(name), safe=False, json_dumps_params={"indent": 2, "ensure_ascii": False})


def _context(request: HttpRequest, shown: JobPage) -> dict[str, object]:
    return {
        "title": shown.name,
        "job": shown,
        "status": shown.status,
        "children": _children(request, shown),
        "workflow_url": workflow_url(shown.status.id),
        "poll_seconds": _until_next_look(shown),
        "fingerprint": shown.fingerprint,
        "reason_length": operations.REASON_LENGTH,
        "here": _here(request),
        "back": safe_next(request, reverse("jobadmin:list")),
    }


def _until_next_look(shown: JobPage) -> float | None:
    """Seconds; None where nothing comes any more. What did not succeed may run again, by its engine or by somebody elsewhere."""
    if not shown.is_final:
        return resolver().poll_seconds
    return None if shown.status.is_succeeded else max(AGAIN_SECONDS, resolver().poll_seconds)


def _here(request: HttpRequest) -> str:
    """Address of the page as it stands, without what only its live fragment carries."""
    params = request.GET.copy()
    params.pop("live", None)
    return f"{request.path}?{params.urlencode()}" if params else request.path


def _children(request: HttpRequest, shown: JobPage) -> family.Children | None:
    """The panel of children; None when there are none."""
    wanted = request.GET.get("children", "")
    if wanted not in ("", "all", *State):
        raise BadFilter("children", wanted[:100], ", ".join(("all", *State)))
    if not any(shown.children_counts.values()):
        return None
    text = request.GET.get("page", "1")
    if (number := whole(text, digits=6)) is None:
        raise BadFilter("page", text[:100], _("a whole number from 1"))
    return family.children(
        shown.status.children, shown.children_counts, shown.children_progress or 0.0, wanted=wanted, page=number,
        first=resolver().shown_children, params=request.GET,
    )  # fmt: skip
