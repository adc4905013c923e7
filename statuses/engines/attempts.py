"""What adapters say of one attempt of a job, so that no event, however late or doubled, undoes a later one.

Every write names the attempt it speaks of and the states it may leave. Where that does not fit, the job is read once
to see why: an older attempt is left alone, a requeue that was missed is caught up with.
"""

import time
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, TypeVar

import statuses
from statuses import KillRequested, State, Status, StatusNotFound, StoreUnavailable

from .. import clock, collection, encoding, failure, scripts, unanswered
from ..errors import StartedBefore, Superseded, interrupts
from ..states import ENDED
from ..store import current as current_store
from . import calls
from .guard import Guard

T = TypeVar("T")

#: States that the end of an attempt may leave. Not in it: the ends themselves, the first one told stays.
OPEN = frozenset({State.unqueued, State.queued, State.started, State.unknown})
_OPEN = tuple(OPEN)
#: States that a start may leave; a killed one is in it to be refused.
STARTABLE = frozenset({State.unqueued, State.queued, State.unknown, State.killed})
#: States of a job that waits.
WAITING = frozenset({State.unqueued, State.queued})
#: Class, and so group, of the error that a job ends with whose worker the reaper took for lost.
WORKER_LOST = "WorkerLost"
#: Class, and so group, of the error that a job of RQ ends with of which RQ itself thinks so, as where its worker was frozen for a while.
ABANDONED = "rq.exceptions.AbandonedJobError"
#: Class, and so group, of the error that a job of Celery is killed with which came too late to start.
EXPIRED = "celery.exceptions.TaskRevokedError"
#: Ends that are but thought: whoever ran the attempt after all knows better.
_THOUGHT = frozenset({(State.failed, WORKER_LOST), (State.failed, ABANDONED), (State.killed, EXPIRED)})
#: By how much the clocks of machines differ that are kept in time.
CLOCKS_DIFFER = timedelta(seconds=1)
#: Attempts before that are looked at for whose end an engine keeps; of a job with more of the same message nobody knows.
MOST_ATTEMPTS = 1_000
#: Attempts that are caught up with; an engine that says it is further has said nonsense.
MISSED = 100


def is_tracked(job_name: str, provider_job_id: str) -> bool:
    """Whether this job is tracked, by the settings `untracked` and `sampled`; every process says the same of a job."""
    config = current_store().config
    if job_name in config.untracked:
        return False
    share = config.sampled.get(job_name)
    return share is None or zlib.crc32(provider_job_id.encode(errors="replace")) < share * 2**32


def create(guard: Guard, **as_create: Any) -> Status:
    """A new status. Where its answer never comes, what arrived of it all the same is taken back once the store is there again:
    the message left without its id, and the worker that met it made another one. So where whoever waits for it is interrupted: nobody
    knows it.
    Raises: what `statuses.create` does.  One round trip."""
    new = collection.prepare(**as_create)
    since_us = clock.here_us()
    try:
        status = collection.insert(new)
        made = _made.get()
        if made is not None:
            made.append(status)
        return status
    except BaseException as error:
        is_away = isinstance(error, StoreUnavailable)
        if not new.own_id and (is_away or interrupts(error)):
            state, name = as_create.get("state", State.unqueued), as_create.get("job_name")
            tell = guard.later if is_away else guard.aside
            tell(f"taking back {name}", lambda: unanswered.take_back(new.random, state, name, since_us))
        raise


def not_sent(guard: Guard, status_id: str, interrupt: BaseException) -> None:
    """Whoever sends a job was interrupted before it had left: it failed, no worker will ever meet it. Told aside; no round trip here.
    Nothing where the error is no interrupt: for then it is sent."""
    if not interrupts(interrupt):
        return
    error = encoding.loads(failure.describe(interrupt).text)

    def tell() -> None:
        status = statuses.find(status_id)
        if status is not None:
            status.failed(attempt=0, sources=WAITING, error=error)

    guard.aside("telling that a job was not sent", tell)


#: Where the statuses are put that `create` makes, for who sends the jobs.
_made: ContextVar[list[Status] | None] = ContextVar("statuses_made", default=None)


@contextmanager
def catching() -> Generator[list[Status]]:
    """The statuses that `create` makes inside the block, in this order."""
    made: list[Status] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)


def refuse_removed(id: str) -> None:
    """For engines that carry no id of ours: a message whose status is not there may be of a job that was killed while it waited and
    removed since. Raises: KillRequested for one, as long as the removal can be taken back.  Two round trips."""
    if collection.killed_and_removed(id):
        raise KillRequested(id)


def start(
    status: Status, worker: str | None, attempt: int, redelivered: bool = False, sent_as: str | None = None, scheduled: bool = False
) -> int | None:
    """The job begins to run; gives the attempt that runs, None for one that is over and must not be spoken of.
    `redelivered`: the engine hands the job out once more, so an attempt that had started runs again. `sent_as`: the
    engine's id of the message, where a retry by hand has another. `scheduled`: it was for later, and whoever had to say that it
    is due may have missed it; the time until then is no waiting.
    Raises: KillRequested when it must not run, StartedBefore where nothing says yet that the run before is over; Superseded when it was
    sent again since, as by the reaper or a person while its broker still held the message.
    One round trip, one more where it was scheduled, a few more where the attempt does not fit, or it was killed."""
    if scheduled:
        status.queued(attempt=attempt, sources={State.unqueued})
    _begin(status, worker, attempt)
    if status.changed:
        return attempt
    present = status.reload().attempt
    if present < attempt:
        _catch_up(status, attempt)
        return start(status, worker, attempt, redelivered, sent_as, scheduled)
    if present == attempt:
        return _restart(status, worker) if redelivered else attempt
    earlier = statuses.find(f"{status.id}:{attempt}")
    if earlier is not None and earlier.state is State.killed:
        raise KillRequested(status.id, earlier.kill_requested_by, earlier.kill_reason)
    if sent_as is not None and status.provider_job_id != sent_as:
        raise Superseded(status.id, attempt)
    return _hand_out_again(status, worker, attempt) if redelivered else None


def _begin(status: Status, worker: str | None, attempt: int) -> None:
    """Nobody wanted a job to die that was taken for one that came too late: by another clock it did not, or its start is told late."""
    try:
        status.started(worker, attempt=attempt, sources=STARTABLE, refuse_killed=True, alive=True)
    except KillRequested as asked:
        found = None if asked.by or asked.reason else statuses.find(status.id)
        if found is None or found.kill_requested or (found.state, found.error_group) != (State.killed, EXPIRED):
            raise
        status.started(worker, attempt=attempt, sources={State.killed}, alive=True)


def arrived(status: Status, worker: str | None, began: float) -> bool:
    """Whether a start that this worker told since `began` (of `time.monotonic`) is in the store although no answer came: told once
    more it would be another attempt of what the engine hands out again.  Two round trips."""
    status.reload()
    if status.state is not State.started or status.worker != worker or status.started_at is None:
        return False
    now = collection.server_time()
    return status.started_at >= now - timedelta(seconds=time.monotonic() - began)


def tell_start(run: Any, tell: Callable[[], None]) -> None:
    """Tell that a run begins; `run.answered` says afterwards whether the store said anything to it, be it no. Raises: what `tell` does."""
    try:
        tell()
    except BaseException as error:
        if not isinstance(error, StoreUnavailable) and not interrupts(error):
            run.answered = True
        raise
    run.answered = True


def _hand_out_again(status: Status, worker: str | None, attempt: int) -> int | None:
    """A message that its broker hands out for the second time at least, or that was put back, carries the attempt it was
    sent with; the job has moved on. Where that was by a retry of the engine, the next attempt has a message of its own."""
    present = status.attempt
    before = statuses.find(f"{status.id}:{present - 1}")
    # One whose end was told after it had been handed out again was never queued again.
    has_its_own = before is not None and before.state in ENDED and before.queued_at != status.queued_at
    if status.state in WAITING:
        if has_its_own:
            raise Superseded(status.id, attempt)
        return start(status, worker, present, redelivered=True)
    return None if status.state is State.started and has_its_own else _restart(status, worker)


def _restart(status: Status, worker: str | None) -> int:
    try:
        status.started(worker, refuse_killed=True, alive=True)
    except KillRequested as asked:
        raise StartedBefore(status.id, asked.by, asked.reason) from asked
    return status.attempt


def _catch_up(status: Status, attempt: int) -> None:
    """Events of `attempt` are here before those that end the ones before it. Raises: ValueError for one far ahead."""
    present = status.attempt
    if attempt - present > MISSED:
        raise ValueError(f"an event speaks of attempt {attempt} of job {status.id}, which is at {present}")
    for number in range(present, attempt):
        status.requeued(attempt=number, ran=True)


def end(status: Status, state: State, attempt: int | None, error: object = None, data: object = None, ago: timedelta | None = None) -> bool:
    """The attempt is over; False when it had been before. `error` (of a failed or killed one) and `data` (of one that
    succeeded, where it saved none itself) are kept with the first end only, in the same step. That the reaper took its worker for
    lost is no end, nor that the job was thought to have come too late: whoever ran the attempt knows better. One that its broker has
    handed out again meanwhile ends where it is archived, and the present one goes on. `ago`: it was so long ago, or when the last was
    that the store knows of before it.  One round trip, three with `ago`, two more where the attempt is not the present one."""
    if ago is not None:
        ago = min(ago, collection.since_told(status))
    _enter(status, state, attempt, error, data, ago=ago)
    if status.changed:
        return True
    if attempt is not None and status.attempt < attempt:
        _catch_up(status, attempt)
        _enter(status, state, attempt, error, data)
    elif attempt in (None, status.attempt) and (status.state, status.error_group) in _THOUGHT:
        _correct(status, state, status.attempt, error, data, ago)
    elif attempt is not None and attempt < status.attempt:
        _end_archived(status, state, attempt, error, data, ago)
    return status.changed


def _end_archived(status: Status, state: State, attempt: int, error: object, data: object, ago: timedelta | None) -> None:
    described = None if error is None else failure.describe(error)
    told = None if described is None else (described.text, described.group, described.summary)
    text = None if data is None else encoding.dumps(data, "data")
    ago_us = None if ago is None else ago // clock.MICROSECOND
    scripts.close(status._store, status._place(), status.id, attempt, state, told, text, ago_us)


def succeed_along(status: Status, attempt: int | None, data: object, then: Callable[[Any], None]) -> None:
    """As `end` with success, told together with what this process says to the store next; `then` gets 1 where that is as it should be, -1
    where there is no such job, 0 where it is at another attempt or had ended, or the error. Not on a cluster. No round trip.
    Raises: TypeError, ValueError for data that is no JSON."""
    text = None if data is None else encoding.dumps(data, "data")
    scripts.succeed_along(status._store, status._place(), (attempt, _OPEN), text, then)


def _correct(status: Status, state: State, attempt: int, error: object, data: object, ago: timedelta | None) -> None:
    if state is not status.state:
        _enter(status, state, attempt, error, data, OPEN | {status.state}, ago)
    elif state is State.failed and error is not None and (state, failure.describe(error).group) not in _THOUGHT:
        status.add_error(error, attempt=attempt)


def _enter(
    status: Status,
    state: State,
    attempt: int | None,
    error: object,
    data: object,
    sources: frozenset[State] = OPEN,
    ago: timedelta | None = None,
) -> None:
    if state is State.succeeded:
        status.succeeded(attempt=attempt, sources=sources, data=data, ago=ago)
    elif state is State.failed:
        status.failed(attempt=attempt, sources=sources, error=error, ago=ago)
    else:
        status.killed(attempt=attempt, sources=sources, error=error, ago=ago)


def requeue(status: Status, attempt: int, error: object = None, scheduled: bool = False) -> int:
    """The engine sends the job again: the attempt becomes history, as failed when `error` is why; gives the next
    one's number. `scheduled`: for later, it does not wait in a queue yet."""
    failed = error is not None
    if failed:
        status.add_error(error, attempt=attempt)
    status.requeued(attempt=attempt, scheduled=scheduled, ran=True, failed=failed)
    if not status.changed and status.attempt < attempt:
        _catch_up(status, attempt)
        requeue(status, attempt, error, scheduled)
    return attempt + 1


def ended_since(status: Status) -> datetime | None:
    """The moment from which on an end that its engine keeps under the job's id there is of the present attempt: that of its start, of
    being queued where nobody told a start, of being recorded where it was put off. Where no attempt before had this id a clock may be
    behind the store's by CLOCKS_DIFFER, for short jobs end sooner than that. None: it was put off after an attempt that had the same id,
    and nobody wrote down when.  Reads attempts before from the last on, until one had the same id: that of an engine's own retry has."""
    began = status.started_at or status.queued_at
    if any(attempt.provider_job_id == status.provider_job_id for attempt in islice(status.newest_attempts(), MOST_ATTEMPTS)):
        return began
    return (began or status.recorded_at) - CLOCKS_DIFFER


def if_there(ask: Callable[[Status], T], status: Status) -> T | None:
    """What is said of a status; None of one that was removed meanwhile."""
    try:
        return ask(status)
    except StatusNotFound:
        return None


def result_data(result: Any, encode: calls.Encode) -> dict[str, Any] | None:
    """What is kept of a result: `{"result": ...}`, with `"not_kept"` saying why where only its repr is; None for None."""
    if result is None:
        return None
    value, why = calls.plain(result, encode)
    return {"result": value} if why is None else {"result": value, "not_kept": why}
