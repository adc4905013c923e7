"""How a job ended, as RQ keeps it in the job's hash and in its stream of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rq.job import JobStatus
from rq.results import Result

from statuses import State

from ... import failure
from .. import attempts, calls
from ..base import Outcome
from ..tracker import Tracker
from .job import Job

if TYPE_CHECKING:
    from redis import Redis

#: What becomes of a job in the states of RQ that it does not leave by itself; in all others it runs, or will.
_ENDS = {JobStatus.FINISHED: State.succeeded, JobStatus.FAILED: State.failed, JobStatus.STOPPED: State.killed}
#: A result says when it was written in whole milliseconds, rounded down.
_ROUNDED = timedelta(milliseconds=1)


#: The hash of a job, and the newest entry of its stream of results where it is over; both as they lie in Redis.
Kept = tuple[Mapping[bytes, bytes], Sequence[Any]]


def read(connection: Redis, job_ids: Sequence[str]) -> list[Kept]:
    """What RQ keeps of these jobs. Two round trips.  Raises: redis-py's errors."""
    with connection.pipeline(transaction=False) as pipeline:
        for id in job_ids:
            pipeline.hgetall(Job.key_for(id))
        hashes = pipeline.execute()
        over = [id for id, fields in zip(job_ids, hashes, strict=True) if fields.get(b"status", b"").decode(errors="replace") in _ENDS]
        for id in over:
            pipeline.xrevrange(Result.get_key(id), "+", "-", count=1)
        last = dict(zip(over, pipeline.execute(), strict=True))
    return [(fields, last.get(id, ())) for id, fields in zip(job_ids, hashes, strict=True)]


def outcome(job: Any, last: Sequence[Any], since: datetime, tracker: Tracker) -> Outcome | None:
    """How the job ended after `since`; `last`: the newest of its results. RQ's retries, and a job that is requeued, keep its id: what ended
    before is of an earlier attempt."""
    state = _ENDS.get(job._status)
    if state is None:
        return None
    ended_at, result, unread = _result(job, last)
    if ended_at is None or ended_at < since:
        return None
    if state is State.succeeded:
        data = _data(result, unread, tracker.encode) if tracker.keep_results else None
        return Outcome(state=state, data=data, ended_at=ended_at)
    if state is State.failed:
        return Outcome(state=state, error=_error(result, unread), ended_at=ended_at)
    return Outcome(state=state, ended_at=ended_at)


def _result(job: Any, found: Sequence[Any]) -> tuple[datetime | None, Result | None, str]:
    """When its last run ended and what it left; and why that cannot be read here, where it is there."""
    if not found:
        return job.ended_at, None, ""
    id, fields = found[0]
    written_at = datetime.fromtimestamp(int(id.partition(b"-")[0]) / 1000, tz=UTC) + _ROUNDED
    try:
        return written_at, Result.restore(job.id, id.decode(), fields, connection=job.connection, serializer=job.serializer), ""
    except Exception as error:  # a pickle of what this process does not know may raise anything
        return written_at, None, f"{type(error).__name__}: {error}"


def _data(result: Result | None, unread: str, encode: calls.Encode) -> object:
    if unread:
        return {"result": None, "not_kept": f"it cannot be read here: {unread}"[: calls.SHOWN]}
    return attempts.result_data(result.return_value, encode) if result is not None else None


def _error(result: Result | None, unread: str) -> object:
    if result is None:
        return f"RQ says that it failed; why cannot be read here: {unread}"[: calls.SHOWN] if unread else "RQ says that it failed"
    if result.type is Result.Type.MAX_RETRIES_EXCEEDED:
        return f"it returned {result.return_value!r} once more than it may"
    return failure.of_traceback(result.exc_string or "RQ says that it failed")
