"""What happened to one job, newest first: what people did (operations) and what the job itself recorded.

Source: the Operation rows that name the job, and those over a filter whose traces it bears (`bulktraces`), from the database;
everything else stands in the status and its attempts.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from itertools import pairwise
from operator import or_
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobadmin import bulktraces
from jobadmin.bulktraces import SAME, begun, distance, sent_by_engine
from jobadmin.columns import storable
from jobadmin.formats import count, duration
from jobadmin.models import FORBIDDEN, SKIPPED, Operation

#: Operations of one job that are shown; the newest.
MOST_OPERATIONS = 50

#: An engine sends a job again in the moment in which it ends; what comes later may be anybody's work.
AT_ONCE = timedelta(seconds=1)

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
    moments = _asked_by(attempts, operations)
    moments |= {one.pk: at for one, at in _retries(attempts, operations).values() if one.ids is None}
    told = [_done(operation, moments) for operation in operations]
    told += list(_history(status, attempts, operations))
    # Told in the order in which things come about; of one moment the later stands above, too.
    return sorted(reversed(told), key=lambda entry: entry.at, reverse=True)


def _asked_by(attempts: Sequence[Any], operations: Sequence[Operation]) -> dict[int, datetime]:
    """Operation -> the moment of the kill request that it made. Only the first one made it: a request keeps its first time."""
    asked: dict[int, datetime] = {}
    for attempt in attempts:
        at, by = attempt.kill_requested_at, attempt.kill_requested_by
        made = [operation for operation in operations if at and _made(operation, at, by)]
        if made:
            asked[min(made, key=lambda operation: operation.created_at).pk] = at
    return asked


def operations_on(job_id: str, attempts: Sequence[Any] = ()) -> list[Operation]:
    """Operations on this job, newest first: on it alone, with it among selected rows, or over a filter that it matched.
    Source: one query; the id is looked for in the stored JSON, then compared exactly. And see `bulktraces.found`."""
    # As it was written, and as a database writes it that reads JSON and writes it anew (PostgreSQL, MySQL).
    spelled = {json.dumps(job_id), json.dumps(job_id, ensure_ascii=False)}
    wanted = reduce(or_, (Q(ids__icontains=storable(text)) for text in spelled))
    found = Operation.objects.filter(wanted).order_by("-created_at")
    named = [_to_this(job_id, operation) for operation in found[:MOST_OPERATIONS] if job_id in (operation.ids or ())]
    return sorted([*named, *bulktraces.found(job_id, attempts)], key=lambda operation: operation.created_at, reverse=True)


def _to_this(job_id: str, operation: Operation) -> Operation:
    """The operation as what it was to this job: one that passed it over changed nothing, whatever it did, or does yet, to others."""
    why = operation.plan.get(SKIPPED, {}).get(job_id)
    if why is not None:
        operation.announced, operation.changed, operation.by_reason, operation.state = 1, 0, {why: 1}, Operation.State.DONE
    return operation


def retriers(attempts: Sequence[Any], operations: Sequence[Operation]) -> dict[int, str]:
    """Which attempts a person sent, and who: each retry made the attempt that was queued closest to it."""
    return {number: operation.username for number, (operation, _at) in _retries(attempts, operations).items()}


def _retries(attempts: Sequence[Any], operations: Sequence[Operation]) -> dict[int, tuple[Operation, datetime]]:
    """Attempt -> the operation that sent it, and when."""
    found: dict[int, tuple[Operation, datetime]] = {}
    later = [(attempt.attempt, begun(attempt, before)) for before, attempt in pairwise(attempts)]
    for operation in operations:
        if operation.action != Operation.Action.RETRY or not operation.may_have_changed:
            continue
        since = operation.counted_at if operation.ids is None else None
        near = [
            (distance(operation, at), number, at) for number, at in later if at and number not in found and (since is None or at >= since)
        ]
        if near and min(near)[0] <= SAME:
            _apart, number, at = min(near)
            found[number] = (operation, at)
    return found


def _done(operation: Operation, moments: Mapping[int, datetime]) -> Entry:
    """What somebody did, or tried to, when it began: it stands before what came of it. `moments`: of a kill request, and of what
    an operation over a filter did to this one of its jobs, as the store dates it."""
    text, icon, state = _DEEDS.get(operation.action, (lambda: operation.action, "job", ""))
    is_in_vain = operation.announced <= 1 and not operation.may_have_changed
    text = _TRIED.get(operation.action, text) if is_in_vain else text
    details = [_("from %(address)s") % {"address": operation.address} if operation.address else ""]
    if (operation.announced or 0) > 1:
        others = operation.announced - 1
        details.append(ngettext("with %(count)s other job", "with %(count)s other jobs", others) % {"count": count(others)})
    elif is_in_vain:
        details.append(next((str(words()) for name, words in _IN_VAIN.items() if name in operation.by_reason), _("nothing was changed")))
    if operation.is_unsure:
        details.append(_("nobody wrote down what came of it") if operation.is_lost else _("it broke off: perhaps done, perhaps not"))
    return Entry(
        at=moments.get(operation.pk) or operation.started_at or operation.created_at,
        icon=icon,
        state=state,
        who=operation.username,
        text=str(text()),
        reason=operation.reason,
        detail=", ".join(filter(None, details)),
        operation=operation.pk,
    )


def _made(operation: Operation, at: datetime, by: str | None) -> bool:
    """Whether a kill request is the work of this operation."""
    is_kill = operation.action in (Operation.Action.KILL, Operation.Action.KILL_NOW) and operation.may_have_changed
    return is_kill and operation.username == by and distance(operation, at) <= SAME


_DEEDS = {
    "kill": (lambda: _("requested a kill"), "killreq", "killreq"),
    "kill-now": (lambda: _("killed the job at once"), "bolt", "killed"),
    "retry": (lambda: _("retried the job"), "retry", "unqueued"),
    "remove": (lambda: _("removed the job"), "trash", ""),
    "submit": (lambda: _("submitted the job"), "add", ""),
    "restore": (lambda: _("took the removal back"), "retry", ""),
}

#: The same where nothing came of it.
_TRIED = {
    "kill": lambda: _("wanted to request a kill"),
    "kill-now": lambda: _("wanted to kill the job at once"),
    "retry": lambda: _("wanted to retry the job"),
    "remove": lambda: _("wanted to remove the job"),
}
#: Why nothing came of it, by the outcome that is on record.
_IN_VAIN = {
    FORBIDDEN: lambda: _("it was not allowed"),
    "ended-succeeded": lambda: _("it had ended already: succeeded"),
    "ended-failed": lambda: _("it had ended already: failed"),
    "ended-killed": lambda: _("it had ended already: killed"),
    "ended": lambda: _("it had ended already"),
    "incomplete": lambda: _("it had not ended"),
    "cannot": lambda: _("its engine could not"),
    "failed": lambda: _("its engine could not"),
}


def _history(status: Any, attempts: Sequence[Any], operations: Sequence[Operation]) -> Iterator[Entry]:
    """What the status itself tells."""
    text = _("created the job") if status.user else _("The job was created")
    yield Entry(at=status.recorded_at, icon="add", state="", who=status.user or "", text=text)
    by_hand = retriers(attempts, operations)
    for place, attempt in enumerate(attempts):
        before = attempts[place - 1] if place else None
        if before is not None and attempt.attempt not in by_hand:
            yield from _again(attempt, before)
        yield from _asked(attempt, before, operations)
        yield from _ended(attempt, len(attempts) > 1)


def _again(attempt: Any, before: Any) -> Iterator[Entry]:
    """An attempt of which no operation is known that sent it: when it was queued, or started where the queueing is not its own.
    It may be the work of a program or a command; that it was its engine's is said where that is certain.

    An engine may queue the next attempt a moment before it says how the one before ended.
    """
    at = begun(attempt, before)
    by_engine = sent_by_engine(attempt, before)
    if by_engine is None:
        by_engine = bool(at and before.ended_at and at - before.ended_at <= AT_ONCE)
    if at and before.ended_at:
        at = max(at, before.ended_at)
    if at:
        detail = _("attempt %(number)s") % {"number": count(attempt.attempt + 1)}
        yield Entry(at=at, icon="retry", state="queued", text=_("Automatic retry") if by_engine else _("Sent again"), detail=detail)


def _asked(attempt: Any, before: Any, operations: Sequence[Operation]) -> Iterator[Entry]:
    """A kill request, unless an operation that made it is told already or the attempt before carries the same one."""
    at = attempt.kill_requested_at
    if at is None or (before is not None and before.kill_requested_at == at):
        return
    if any(_made(operation, at, attempt.kill_requested_by) for operation in operations):
        return
    by = attempt.kill_requested_by or ""
    text = _("requested a kill") if by else _("A kill was requested")
    yield Entry(at=at, icon="killreq", state="killreq", who=by, text=text, reason=attempt.kill_reason or "")


def _ended(attempt: Any, numbered: bool) -> Iterator[Entry]:
    state, at = str(attempt.state), attempt.ended_at
    if state not in _ENDS or at is None:
        return
    text = str(_WORDS[state][numbered]()) % {"number": count(attempt.attempt + 1)}
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
