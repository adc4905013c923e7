"""How a job ended, as the result backend of its app keeps it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from celery import states
from celery.backends.redis import RedisBackend
from celery.exceptions import SecurityError
from kombu.exceptions import ContentDisallowed, DecodeError

from statuses import KillRequested, State

from ... import failure
from ..attempts import CLOCKS_DIFFER
from ..base import Outcome

if TYPE_CHECKING:
    from .adapter import Adapter

#: What becomes of a task in the states that it does not leave; in all others it runs, or will.
_ENDS = {states.SUCCESS: State.succeeded, states.FAILURE: State.failed, states.REVOKED: State.killed}
#: Backends whose results only who sent the task can read, and once: the module of the class says which.
_OF_ITS_SENDER = ("celery.backends.rpc",)
#: What a result raises that is there, and that this process cannot read.
_UNREADABLE = (DecodeError, ContentDisallowed, SecurityError, ValueError, TypeError)


def can_be_asked(app: Any) -> bool:
    """Whether the app has a result backend that any process can read. Makes no connection."""
    try:
        backend = app.backend
    except Exception:  # what it needs is not installed here
        return False
    return can_be_read(backend)


def can_be_read(backend: Any) -> bool:
    """Whether any process can read the results that this backend keeps."""
    modules = {kind.__module__ for kind in type(backend).__mro__}
    return backend.as_uri() != "disabled://" and modules.isdisjoint(_OF_ITS_SENDER)


def outcome(adapter: Adapter, backend: Any, task_id: str, since: datetime, seen: datetime | None = None) -> Outcome | None:
    """How the task ended after `since`. A retry by Celery, and a message that is handed out again, keep the id of the task: what ended
    before is of an earlier attempt. `seen`: the last sign of life of a task that had none.  Raises: whatever the backend raises where it
    is away."""
    try:
        meta = backend.get_task_meta(task_id, cache=False)
    except _UNREADABLE:
        return None
    return outcome_of(adapter, meta, since, seen)


def are_read_together(backend: Any) -> bool:
    """Whether results can be read many at a time, and are then what they are one by one: where they lie in Redis."""
    return isinstance(backend, RedisBackend) and type(backend)._get_task_meta_for is RedisBackend._get_task_meta_for


def read(backend: Any, task_ids: Sequence[str]) -> list[Any]:
    """What is kept of these tasks, as it lies there. One round trip.  Raises: redis-py's errors."""
    return backend.mget([backend.get_key_for_task(id) for id in task_ids]) if task_ids else []


def of_kept(adapter: Adapter, backend: Any, kept: Any, since: datetime, seen: datetime | None) -> Outcome | None:
    """The same as `outcome`, of what `read` gave of a task."""
    if not kept:
        return None
    try:
        meta = backend.decode_result(kept)
    except _UNREADABLE:
        return None
    return outcome_of(adapter, meta, since, seen)


def outcome_of(adapter: Adapter, meta: Mapping[str, Any], since: datetime, seen: datetime | None) -> Outcome | None:
    """What the backend says of a task, if it is of this attempt."""
    state = _ENDS.get(meta.get("status"))
    ended_at = _moment(adapter.app, meta.get("date_done"), since, seen)
    if state is None or ended_at is None or ended_at < since:
        return None
    result = meta.get("result")
    if state is State.succeeded:
        return Outcome(state=state, data=adapter.data_of(result), ended_at=ended_at)
    if state is State.killed or isinstance(result, KillRequested):
        return Outcome(state=State.killed, ended_at=ended_at)
    return Outcome(state=state, error=_error(meta), ended_at=ended_at)


def _error(meta: Mapping[str, Any]) -> object:
    """The exception was made anew, without its traceback; this is there as a text."""
    error = meta.get("result")
    if not isinstance(error, BaseException):
        return failure.of_traceback(str(meta.get("traceback") or error or "it failed"))
    return failure.of_traceback(str(meta.get("traceback") or ""), failure.class_name(type(error)), failure.message_of(error))


def _moment(app: Any, said: object, since: datetime, seen: datetime | None) -> datetime | None:
    """When the task was done; None where the backend does not say, or says what cannot be."""
    if isinstance(said, str):
        try:
            said = datetime.fromisoformat(said)
        except ValueError:
            return None
    if not isinstance(said, datetime):
        return None
    if said.tzinfo is not None:
        return said
    moments = _moments(said, app.timezone)
    if seen is None:
        return min(moments)  # whatever may be of an attempt before is not believed
    return min([at for at in moments if at >= seen - CLOCKS_DIFFER] or [at for at in moments if at >= since], default=None)


def _moments(said: datetime, zone: tzinfo) -> list[datetime]:
    """What a time without its zone may mean. Databases drop it, and it was UTC for some, the app's for others, and that of the process
    for Django without USE_TZ; where clocks are set back an hour comes twice."""
    twice = [said.replace(fold=fold) for fold in (0, 1)]
    return [at for one in twice for at in (one.replace(tzinfo=UTC), one.replace(tzinfo=zone), one.astimezone())]
