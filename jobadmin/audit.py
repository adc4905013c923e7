"""What happened to one job, newest first: what people did (operations) and what the job itself recorded.

Source: the Operation rows that name the job, from the database; everything else stands in the status and its attempts. A
bulk operation over a filter names no jobs; its trace on one of them is the kill request the status keeps.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from jobadmin.formats import duration
from jobadmin.models import Operation

#: Operations of one job that are shown; the newest.
MOST_OPERATIONS = 50

#: A kill request and the operation that made it are told once when they are this close: the store's clock and the
#: database's are two.
SAME = timedelta(seconds=10)

_ENDS = ("succeeded", "failed", "killed")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One line of the trail."""

    at: datetime
    icon: str
    state: str
    """State or flag that gives the colour."""
    text: str
    who: str = ""
    """Stands before the text, in bold."""
    reason: str = ""
    detail: str = ""
    """Beside the time: attempt, address."""
    operation: int | None = None
    """The operation to look at."""


def trail(status: Any, attempts: Sequence[Any], operations: Sequence[Operation]) -> list[Entry]:
    """All entries, newest first. ``attempts`` are all of the job's, the present one last."""
    told = [_done(operation) for operation in operations]
    told += list(_history(status, attempts, operations))
    return sorted(told, key=lambda entry: entry.at, reverse=True)


def operations_on(job_id: str) -> list[Operation]:
    """Operations that name this job, newest first: on it alone, or with it among selected rows.
    Source: one query; the id is looked for in the stored JSON, then compared exactly."""
    found = Operation.objects.filter(ids__icontains=json.dumps(job_id)).order_by("-created_at")
    return [operation for operation in found[:MOST_OPERATIONS] if job_id in (operation.ids or ())]


def retried_by(attempt: Any, before: Any, operations: Sequence[Operation]) -> str | None:
    """Who sent an attempt, if a person did: the retry between the end of the one before and its own start."""
    since, until = before.ended_at or before.started_at, attempt.started_at
    for operation in operations:
        after = since is None or operation.created_at >= since - SAME
        in_time = until is None or operation.created_at <= until + SAME
        if operation.action == Operation.Action.RETRY and operation.changed and after and in_time:
            return operation.username
    return None


def _done(operation: Operation) -> Entry:
    """What somebody did, or tried to."""
    text, icon, state = _DEEDS.get(operation.action, (operation.action, "job", ""))
    details = [_("from %(address)s") % {"address": operation.address} if operation.address else ""]
    if (operation.announced or 0) > 1:
        details.append(_("with %(count)s other jobs") % {"count": operation.announced - 1})
    elif not operation.changed and operation.is_over:
        details.append(_("nothing was changed"))
    return Entry(
        at=operation.created_at, icon=icon, state=state, who=operation.username, text=str(text()), reason=operation.reason,
        detail=", ".join(filter(None, details)), operation=operation.pk,
    )


_DEEDS = {
    "kill": (lambda: _("requested a kill"), "killreq", "killreq"),
    "kill-now": (lambda: _("killed the job at once"), "bolt", "killed"),
    "retry": (lambda: _("retried the job"), "retry", "unqueued"),
    "remove": (lambda: _("removed the job"), "trash", ""),
    "restore": (lambda: _("took the removal back"), "retry", ""),
}


def _history(status: Any, attempts: Sequence[Any], operations: Sequence[Operation]) -> Iterator[Entry]:
    """What the status itself tells."""
    text = _("created the job") if status.user else _("The job was created")
    yield Entry(at=status.recorded_at, icon="add", state="", who=status.user or "", text=text)
    for place, attempt in enumerate(attempts):
        before = attempts[place - 1] if place else None
        if before is not None and not retried_by(attempt, before, operations):
            yield from _again(attempt, before)
        yield from _asked(attempt, before, operations)
        yield from _ended(attempt, len(attempts) > 1)


def _again(attempt: Any, before: Any) -> Iterator[Entry]:
    """An attempt that nobody asked for by hand: when it was queued, or started where the queueing is not its own."""
    since = before.started_at or before.recorded_at
    queued_anew = attempt.queued_at is not None and attempt.queued_at > since
    at = attempt.queued_at if queued_anew else attempt.started_at
    if at:
        detail = _("attempt %(number)s") % {"number": attempt.attempt + 1}
        yield Entry(at=at, icon="retry", state="queued", text=_("Automatic retry"), detail=detail)


def _asked(attempt: Any, before: Any, operations: Sequence[Operation]) -> Iterator[Entry]:
    """A kill request, unless an operation that made it is told already or the attempt before carries the same one."""
    at = attempt.kill_requested_at
    if at is None or (before is not None and before.kill_requested_at == at):
        return
    kills = (operation for operation in operations if operation.action.startswith("kill") and operation.changed)
    if any(abs(operation.created_at - at) <= SAME and operation.username == attempt.kill_requested_by for operation in kills):
        return
    by = attempt.kill_requested_by or ""
    text = _("requested a kill") if by else _("A kill was requested")
    yield Entry(at=at, icon="killreq", state="killreq", who=by, text=text, reason=attempt.kill_reason or "")


def _ended(attempt: Any, numbered: bool) -> Iterator[Entry]:
    state, at = str(attempt.state), attempt.ended_at
    if state not in _ENDS or at is None:
        return
    text = str(_WORDS[state][numbered]()) % {"number": attempt.attempt + 1}
    asked = attempt.kill_requested_at
    if state == "killed" and asked and at >= asked:
        text = _("%(what)s, %(time)s after the request") % {"what": text, "time": duration((at - asked).total_seconds())}
    yield Entry(at=at, icon=state, state=state, text=text)


#: Words for an end: of the only attempt, of one of several.
_WORDS = {
    "succeeded": (lambda: _("Succeeded"), lambda: _("Attempt %(number)s succeeded")),
    "failed": (lambda: _("Failed"), lambda: _("Attempt %(number)s failed")),
    "killed": (lambda: _("Killed"), lambda: _("Attempt %(number)s was killed")),
}
