"""What the messages of jobs that wait were sent with, as far as the calls say that are kept of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from statuses import Status

from ...collection import calls

#: Calls read at once, of jobs that were not looked at before; what is more comes with the next look.
MOST_READ = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """How one message was sent. Where no call was kept nothing of it is known."""

    task: str | None = None
    expires: datetime | None = None
    """Until when a worker may begin it."""
    exchange: str | None = None
    """The one it was sent to with a routing key; None where its sender named the queue."""
    queue: str | None = None
    """The queue that its call names."""


def moment(text: object) -> datetime | None:
    """A moment as a message says it; None for what is no such text. Without a zone it is UTC for Celery's workers."""
    try:
        said = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return said.replace(tzinfo=UTC) if said is not None and said.tzinfo is None else said


#: One attempt of a job, also where an id came twice.
_Key = tuple[str, datetime, int]


class Memory:
    """Remembers what it has read of jobs that it is asked about again, for the call of an attempt does not change."""

    def __init__(self) -> None:
        self._known: dict[_Key, Sent] = {}

    def keep(self, waiting: Iterable[Status]) -> None:
        """Forget all but these."""
        kept = {_key(status) for status in waiting}
        self._known = {key: sent for key, sent in self._known.items() if key in kept}

    def read(self, waiting: Sequence[Status]) -> list[tuple[Status, Sent]]:
        """Those of these jobs that are known by now. One round trip for each fifty that were not before."""
        asked = {_key(status): status for status in waiting}
        new = [status for key, status in asked.items() if key not in self._known][:MOST_READ]
        for status, call in zip(new, calls(new), strict=True):
            self._known[_key(status)] = _sent((call or {}).get("options") or {})
        return [(status, self._known[key]) for key, status in asked.items() if key in self._known]

    def of(self, status: Status) -> Sent:
        """What was read of this one."""
        return self._known.get(_key(status), Sent())


def _key(status: Status) -> _Key:
    return status.id, status.recorded_at, status.attempt


def _sent(options: dict[str, object]) -> Sent:
    names = {name: str(options[name]) for name in ("task", "exchange", "queue") if options.get(name)}
    return Sent(expires=moment(options.get("expires")), **names)
