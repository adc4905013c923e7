"""Queues that are held back. What stands here is the truth: workers look at their start and at every report, so that a
pause outlives each of them; whoever looks at a page reads the same.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from . import clock, keys
from .errors import TooManyPauses
from .store import current

#: Queues that can be paused at once.
MOST = 1_000


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A queue that is held back."""

    engine: str
    queue: str
    since: datetime
    """By the store's clock."""
    by: str | None
    """Who asked for it."""


def pause(engine: str, queue: str, by: str | None = None) -> bool:
    """Let the workers of an engine leave a queue alone, from their next look on; False when it was paused already.
    One round trip.  Raises: TooManyPauses, StoreUnavailable."""
    return _write(engine, queue, json.dumps({"by": by}))


def resume(engine: str, queue: str) -> bool:
    """Let them take from it again; False when it was not paused. One round trip.  Raises: StoreUnavailable."""
    return _write(engine, queue, "")


def _write(engine: str, queue: str, about: str) -> bool:
    store = current()
    changed = store.script("hold", [keys.paused(store.families[0])], [clock.argument(), _field(engine, queue), about, MOST])
    if changed == -1:
        raise TooManyPauses(queue, MOST)
    return changed == 1


def paused(engine: str) -> dict[str, Pause]:
    """The queues of an engine that are held back, by name. One round trip.  Raises: StoreUnavailable."""
    store = current()
    found = store.read("HGETALL", keys.paused(store.families[0]))
    items = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    told = (_pause(field, value) for field, value in items)
    return {pause.queue: pause for pause in told if pause.engine == engine}


def names(engine: str, fields: Iterable[bytes]) -> frozenset[str]:
    """Of the fields of the hash the queues of one engine."""
    return frozenset(queue for name, queue in pairs(fields) if name == engine)


def pairs(fields: Iterable[bytes]) -> frozenset[tuple[str, str]]:
    """Engine and queue of each field of the hash."""
    told = (field.decode().partition("\t") for field in fields)
    return frozenset((engine, queue) for engine, _, queue in told)


def _field(engine: str, queue: str) -> str:
    return f"{engine}\t{queue}"


def _pause(field: bytes, value: bytes) -> Pause:
    engine, _, queue = field.decode().partition("\t")
    moment, _, text = value.partition(b"\n")
    return Pause(engine=engine, queue=queue, since=clock.from_us(int(moment)), by=json.loads(text)["by"])
