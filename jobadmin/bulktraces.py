"""Which bulk operations over a filter changed one job: they name no jobs, so it is told from what the job itself keeps.

An operation changed the job where a moment of the job's own (a kill request with the same person and reason, a new attempt)
lies between its counting and its end, and the job, as it was then, belonged to the frozen filter. Where two operations
would fit, nobody can say which it was, and none is named.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db.models import Q

from jobadmin import moments
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.models import Operation
from jobadmin.parameters import FIELDS
from jobadmin.tokens import Token
from statuses.engines import registry

#: The store's clock and the database's are two: what they say of one moment may differ so much.
SAME = timedelta(seconds=10)

#: Operations looked at for one page; those that ran at the moments of one job are few.
MOST = 20

_KILLS = (Operation.Action.KILL, Operation.Action.KILL_NOW)
_RETRIED = ("failed", "killed", "unknown")
#: What a filter asks of a job that its status holds as a text; the rest of a filter is asked of the store.
_TEXTS = {**FIELDS, "error": "error_group"}
#: Parameters that are not the store's to answer: the job has moved on since.
_READ_HERE: dict[str, Any] = dict.fromkeys((*_TEXTS, "state", "flag", "by", "sort"))
_GROUPS = {
    "completed": {"succeeded", "failed"},
    "incomplete": {"unqueued", "queued", "started", "killed"},
    "ended": {"succeeded", "failed", "killed"},
}


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Something in a job's life that an operation may have done."""

    at: datetime
    left: Any
    """The attempt as it is now that was the present one then."""
    by: str | None = None
    """Who asked for the kill, if it is one."""
    reason: str = ""
    is_kill: bool = False


def found(job_id: str, attempts: Sequence[Any]) -> list[Operation]:
    """The operations over a filter that changed this job. `attempts`: all of the job's, the present one last.
    Source: nothing where nobody asked it to die and it had one attempt; else one query of the database, and for an operation
    that fits a question to the store where its filter asks for more than a status tells."""
    traces = list(_traces(attempts))
    if not traces:
        return []
    candidates = _candidates(traces)
    fitting = [[one for one in candidates if _fits(one, trace, job_id)] for trace in traces]
    return list({one.pk: one for one, *others in filter(None, fitting) if not others}.values())


def distance(operation: Operation, at: datetime) -> timedelta:
    """How far a moment lies outside of the time in which an operation was carried out."""
    begun = operation.started_at or operation.created_at
    ended = operation.ended_at or (begun if operation.is_over else moments.now())
    return max(begun - at, at - ended, timedelta())


def begun(attempt: Any, before: Any) -> datetime | None:
    """When an attempt came to be: queued, where the queueing is its own, else started."""
    since = before.started_at or before.recorded_at
    return attempt.queued_at if attempt.queued_at and attempt.queued_at > since else attempt.started_at


def sent_by_engine(attempt: Any, before: Any) -> bool | None:
    """Whether the engine itself sent an attempt, as its id tells where a retry by hand gets another one; None: it does not tell."""
    engine = registry.get(attempt.engine)
    if engine is None or not engine.renews_id or not attempt.provider_job_id or not before.provider_job_id:
        return None
    return attempt.provider_job_id == before.provider_job_id


def _traces(attempts: Sequence[Any]) -> Iterator[Trace]:
    asked: set[datetime] = set()
    for attempt in attempts:
        at = attempt.kill_requested_at
        if at and attempt.kill_requested_by and at not in asked:
            asked.add(at)
            yield Trace(at=at, left=attempt, by=attempt.kill_requested_by, reason=attempt.kill_reason or "", is_kill=True)
    for before, attempt in pairwise(attempts):
        at = begun(attempt, before)
        if at and str(before.state) in _RETRIED and sent_by_engine(attempt, before) is not True:
            yield Trace(at=at, left=before)


def _candidates(traces: Sequence[Trace]) -> list[Operation]:
    """Operations that ran at one of these moments, the newest first."""
    ran = Q()
    for trace in traces:
        verb = Q(action__in=_KILLS, username=trace.by, reason=trace.reason) if trace.is_kill else Q(action=Operation.Action.RETRY)
        open_ones = Q(ended_at__isnull=True, state__in=(*Operation.ACTIVE, Operation.State.UNKNOWN))
        since = open_ones | Q(ended_at__gte=trace.at - SAME, changed__gt=0)
        ran |= verb & Q(created_at__lte=trace.at + SAME) & since
    return list(Operation.objects.filter(ran, ids__isnull=True).exclude(filter="").order_by("-created_at")[:MOST])


def _fits(operation: Operation, trace: Trace, job_id: str) -> bool:
    """Whether this operation did that: the right verb at the right time, to a job of its set."""
    at, left = operation.counted_at, trace.left
    if not (at <= trace.at and distance(operation, trace.at) <= SAME and left.recorded_at <= at):
        return False
    if trace.is_kill:
        if operation.action not in _KILLS or (operation.username, operation.reason) != (trace.by, trace.reason):
            return False
    elif operation.action != Operation.Action.RETRY or (left.ended_at and left.ended_at > at):
        return False
    try:
        selection = JobFilter.from_querystring(operation.filter)
        return _belonged(selection, trace, at) and _is_asked_for(selection, job_id)
    except BadFilter:
        return False  # written by an earlier version


def _belonged(selection: JobFilter, trace: Trace, at: datetime) -> bool:
    """Whether the attempt, as it was at the counting, fits what its status tells of."""
    return (
        _in_state(selection, trace)
        and _with_flags(selection, trace)
        and _in_span(selection, trace, at)
        and all(_any_of(selection.tokens(name), _equals(getattr(trace.left, field))) for name, field in _TEXTS.items())
    )


def _in_state(selection: JobFilter, trace: Trace) -> bool:
    possible = _states(trace)
    return any(
        _any_of(selection.tokens("state"), lambda token, state=state: state in _GROUPS.get(token.value, {token.value}))
        for state in possible
    )


def _states(trace: Trace) -> tuple[str, ...]:
    """The states it may have been in."""
    if not trace.is_kill:
        return (str(trace.left.state),)
    started = trace.left.started_at
    return ("started", "unknown") if started and started <= trace.at else ("unqueued", "queued", "unknown")


def _with_flags(selection: JobFilter, trace: Trace) -> bool:
    """An ended job has no flag. Of one that had not ended, nobody knows whether it was silent; it was not asked to die before."""
    wanted, is_open = set(selection.flags), trace.is_kill
    if not is_open and str(trace.left.state) == "unknown":
        return not selection.tokens("flag")
    return "stale" in wanted and is_open if wanted else True


def _in_span(selection: JobFilter, trace: Trace, at: datetime) -> bool:
    window = selection.window
    if window.is_open:
        return True
    moment = getattr(trace.left, selection.by)
    if moment is None or moment > at:
        return False
    return (window.after is None or window.after <= moment) and (window.before is None or moment <= window.before)


def _equals(text: str | None) -> Callable[[Token], bool]:
    return lambda token: text is not None and (text.startswith(token.value) if token.prefix else text == token.value)


def _any_of(tokens: Sequence[Token], fits: Callable[[Token], bool]) -> bool:
    """Whether one of the wanted values fits, if any is wanted, and none that is left out."""
    wanted = [token for token in tokens if not token.negative]
    return (not wanted or any(map(fits, wanted))) and not any(fits(token) for token in tokens if token.negative)


def _is_asked_for(selection: JobFilter, job_id: str) -> bool:
    """Whether the job fits the rest, which does not change: resources, workflow, search."""
    rest = selection.with_(span="all", **_READ_HERE)
    return not rest.is_narrowed or rest.query.where(id=job_id).exists()
