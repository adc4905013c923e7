"""How a message ended, as the Results middleware keeps it."""

from __future__ import annotations

from itertools import islice
from typing import Any

from dramatiq.errors import DecodeError
from dramatiq.message import Message
from dramatiq.middleware import SkipMessage
from dramatiq.results import ResultFailure, ResultMissing, Results

from statuses import KillRequested, State, Status

from ..attempts import MOST_ATTEMPTS, WAITING, WORKER_LOST
from ..base import Outcome
from ..tracker import Tracker

#: States in which an attempt is over that Dramatiq retried.
_RETRIED = WAITING | {State.failed}


def results_of(broker: Any) -> Any:
    """The backend that keeps the broker's results, None where there is none."""
    return next((found.backend for found in broker.middleware if isinstance(found, Results)), None)


def message_of(status: Status) -> Message[Any]:
    """As much of the job's message as its result is kept under."""
    options = (status.call or {}).get("options") or {}
    queue = options.get("queue") or status.queue or "default"
    actor, id = options.get("actor") or status.job_name or "", status.provider_job_id or ""
    return Message(queue_name=queue, actor_name=actor, args=(), kwargs={}, options={}, message_id=id)


def may_be_earlier(status: Status) -> bool:
    """Whether what is kept of its message may be of an attempt before: it ran by the same message and was handed out again, or was taken
    back from among the dead letters, for which nobody queued it. Not where Dramatiq retried it, though nobody told even its start: of
    such an attempt nothing is kept. Of one with more than MOST_ATTEMPTS nobody looks.  Reads attempts from the last on, as long as they
    ran by the same message."""
    after = status
    for before in islice(status.newest_attempts(), MOST_ATTEMPTS):
        if before.provider_job_id != status.provider_job_id:
            return False
        came_back = after.queued_at is not None and after.queued_at == before.queued_at
        if came_back or before.state not in _RETRIED or before.error_group == WORKER_LOST:
            return True
        after = before
    return status.attempt > MOST_ATTEMPTS


def outcome(backend: Any, message: Message[Any], tracker: Tracker) -> Outcome | None:
    """How the message ended: a result, or the error of one that was not retried any more. It stays there.
    Raises: whatever the backend raises where it is away.  One round trip."""
    try:
        result = backend.get_result(message, block=False)
    except (ResultMissing, DecodeError):
        return None
    except ResultFailure as error:
        if error.orig_exc_type == KillRequested.__name__:
            return Outcome(state=State.killed)
        if error.orig_exc_type == SkipMessage.__name__:  # as the age limit does
            return Outcome(state=State.killed, error=error.orig_exc_msg or "it was skipped")
        if not error.orig_exc_type:
            return Outcome(state=State.failed, error=str(error))
        return Outcome(state=State.failed, error={"class": error.orig_exc_type, "message": error.orig_exc_msg})
    return Outcome(state=State.succeeded, data=tracker.data_of(result))
