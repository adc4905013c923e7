"""Jobs that came too late to start: their `expires` has passed.

A worker that meets such a message drops it and says so, however long it had it; RabbitMQ drops it by itself, and nobody ever says so. So
the reaper ends a job that still waits then: no worker starts it any more, wherever its message may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from celery.exceptions import TaskRevokedError

from statuses import State, Status

from ... import encoding, failure
from ...collection import server_time
from ..base import Outcome
from .sent import Memory, moment

#: How long ago it has to be: the clock that counts is that of the worker, and it may be behind.
PASSED_FOR = timedelta(minutes=1)


def error() -> TaskRevokedError:
    """What a job ends with that came too late, whoever finds that out."""
    return TaskRevokedError("expired before it started")


def note(status: Status, expires: object) -> None:
    """Before an attempt that is sent with another `expires` than the one before, None: without any. The call says that of the present one.
    One round trip, two where it changes."""
    call = status.call
    options = (call or {}).get("options") or {}
    if call is None or moment(options.get("expires")) == moment(expires):
        return
    options = {name: value for name, value in options.items() if name != "expires"}
    status.set_call({**call, "options": {**options, "expires": expires} if expires else options})


def passed(sent: Memory, waiting: Sequence[Status]) -> list[Status]:
    """Those of these jobs that came too late, for so long that no clock says otherwise. One round trip for each fifty jobs that are asked
    about for the first time, one where any has an end."""
    ends = [(status, how.expires) for status, how in sent.read([one for one in waiting if one.queue]) if how.expires is not None]
    before = server_time() - PASSED_FOR if ends else None
    return [status for status, at in ends if before is not None and at < before]


def end_of(sent: Memory, status: Status) -> Outcome | None:
    """How one of them ended: as a worker says of it; None of a job that may start as long as it likes."""
    at = sent.of(status).expires
    if at is None or at >= server_time() - PASSED_FOR:
        return None
    return Outcome(state=State.killed, error=encoding.loads(failure.describe(error()).text), ended_at=at)
