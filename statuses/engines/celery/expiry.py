"""Jobs that came too late to start: their `expires` has passed.

A worker that meets such a message drops it and says so, however long it had it; RabbitMQ drops it by itself, and nobody ever says so. So
the reaper ends a job that still waits then: no worker starts it any more, wherever its message may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from celery.exceptions import TaskRevokedError

from statuses import State, Status

from ... import encoding, failure
from ...collection import calls, server_time
from ..base import Outcome

#: How long ago it has to be: the clock that counts is that of the worker, and it may be behind.
PASSED_FOR = timedelta(minutes=1)
#: Calls read in one look, of jobs that were not looked at before; what is more comes with the next.
MOST_READ = 500


def error() -> TaskRevokedError:
    """What a job ends with that came too late, whoever finds that out."""
    return TaskRevokedError("expired before it started")


def moment(text: object) -> datetime | None:
    """When that is, as a message says it; None for what is no such text. Without a zone it is UTC for Celery's workers."""
    try:
        said = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return said.replace(tzinfo=UTC) if said is not None and said.tzinfo is None else said


#: A job, also where an id came twice.
_Key = tuple[str, datetime]


class Expiries:
    """Until when jobs that wait may start; remembers what it has read of those that it is asked about again, for a call does not change."""

    def __init__(self) -> None:
        self._known: dict[_Key, datetime | None] = {}

    def passed(self, waiting: Sequence[Status]) -> list[Status]:
        """Those of these jobs that came too late, for so long that no clock says otherwise. Of first attempts alone: what a later one was
        sent with nobody keeps. One round trip for each fifty jobs that are asked about for the first time, one where any has an end."""
        asked = {(status.id, status.recorded_at): status for status in waiting if not status.attempt and status.queue}
        self._known = {key: at for key, at in self._known.items() if key in asked}
        new = [status for key, status in asked.items() if key not in self._known][:MOST_READ]
        for status, call in zip(new, calls(new), strict=True):
            self._known[status.id, status.recorded_at] = moment(((call or {}).get("options") or {}).get("expires"))
        if not any(self._known.values()):
            return []
        before = server_time() - PASSED_FOR
        return [asked[key] for key, at in self._known.items() if at is not None and at < before]

    def end_of(self, status: Status) -> Outcome | None:
        """How one of them ended: as a worker says of it; None of a job that may start as long as it likes."""
        at = None if status.attempt else self._known.get((status.id, status.recorded_at))
        if at is None or at >= server_time() - PASSED_FOR:
            return None
        return Outcome(state=State.killed, error=encoding.loads(failure.describe(error()).text), ended_at=at)
