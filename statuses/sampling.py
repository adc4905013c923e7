"""How deep each queue was and how long its oldest job had waited: a sample a minute, kept thirty days.

Whoever runs all the time takes them (`reap_jobs --every`, the demo): one sample a minute is written, however many do.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from . import clock, collection, keys, upkeep
from .engines import registry
from .errors import StoreUnavailable
from .states import State
from .store import Store, current

logger = logging.getLogger(__name__)

#: Between two samples.
EVERY = timedelta(minutes=1)
#: What one cell holds: the largest of its samples.
CELL = timedelta(minutes=5)
#: How long cells are kept, and so how long a queue that is gone is told of.
KEPT_DAYS = 30
#: Queues sampled in a day, those with the most waiting jobs first.
MOST = 200

_DAY = timedelta(days=1)
_CELLS = _DAY // CELL
_LARGEST = 2**32 - 2


@dataclass(frozen=True, kw_only=True)
class Depth:
    """One step of a queue's past: the most that was seen in it."""

    start: datetime
    waiting: int | None
    """Jobs that waited; None where no sample was taken."""
    oldest_seconds: int | None
    """How long the first of them had waited."""


def sample() -> int | None:
    """Count what waits in each queue and write it down; how many queues were, None where a sample of this minute is there.
    A queue that is empty is written as empty while its engine tells of it, else until the end of the day after jobs waited in it.
    Raises: StoreUnavailable.  Source: one round trip where there is nothing to do, else one count by queue, the queues of
    each engine, one script, and one that says so (`upkeep`)."""
    store = current()
    now, last = _times(store)
    if now >= last and now - last < EVERY // clock.MICROSECOND:
        return None
    with upkeep.doing(upkeep.SAMPLE, least_seconds=EVERY.total_seconds()) as did:
        written = _sample(store, now, last)
        did["queues"] = written or 0
    return written


def _sample(store: Store, now: int, last: int) -> int | None:
    day = _day(now)
    today = keys.depth(store.families[0], day)
    found = collection.where(state=State.queued).report(counts_by={"queue": MOST}, earliest_by={"queue": "queued_at"})
    first = found.earliest_by["queue"]
    depths = {
        one.value: (one.total, max(0, now - clock.to_us(first.get(one.value, one.first))) // 1_000_000) for one in found.counts_by["queue"]
    }
    for name in {*_told(), *_seen(store, today, keys.depth(store.families[0], day - 1))}:
        depths.setdefault(name, (0, 0))
    cell = now % (_DAY // clock.MICROSECOND) // (CELL // clock.MICROSECOND)
    # A little less than a minute: two who sample in turns must not miss each other by a second, for ever.
    arguments: list[bytes | int] = [now, EVERY // clock.MICROSECOND * 9 // 10, cell, MOST]
    for name, (waiting, seconds) in depths.items():
        arguments += [name.encode(errors="surrogateescape"), min(waiting, _LARGEST), min(seconds, _LARGEST)]
    old = [keys.depth(store.families[0], gone) for gone in _dropped(_day(last), day)]
    written = store.script("sample", [keys.depth_at(store.families[0]), today, *old], arguments)
    return None if written == -1 else written


def _told() -> set[str]:
    """Queues that the engines of this process tell of; one that fails tells of none."""
    found: set[str] = set()
    for engine in registry.all():
        try:
            found |= {queue.name for queue in engine.queues()} if engine.has_queues else set()
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception("engine %s could not tell of its queues", engine.name)
    return found


def _seen(store: Store, today: str, yesterday: str) -> set[str]:
    """Queues written today; at the first sample of a day those in which jobs waited on the day before."""
    names = store.read("HKEYS", today)
    if not names:
        told = store.read("HGETALL", yesterday)
        cells = told.items() if isinstance(told, dict) else zip(told[::2], told[1::2], strict=True)
        names = [name for name, text in cells if (np.frombuffer(text, "<u4")[::2] > 1).any()]
    return {name.decode(errors="surrogateescape") for name in names}


def _times(store: Store) -> tuple[int, int]:
    """Microseconds: now, and when the last sample was taken (0: never)."""
    time, at = store.pipeline([("TIME",), ("GET", keys.depth_at(store.families[0]))], primary=True)
    frozen = clock.frozen_us()
    return int(time[0]) * 1_000_000 + int(time[1]) if frozen is None else frozen, int(at or 0)


def _day(at_us: int) -> int:
    return at_us // (_DAY // clock.MICROSECOND)


def _dropped(last: int, today: int) -> Sequence[int]:
    """Days that may still be there and are too old: every one that was kept at the last sample."""
    return range(max(last - KEPT_DAYS, 0), min(last, today - KEPT_DAYS - 1) + 1)


def depths(queues: Sequence[str], length: timedelta, step: timedelta) -> Mapping[str, list[Depth]]:
    """The past of these queues up to now, in steps (a multiple of CELL) that begin at whole multiples of themselves.
    Raises: StoreUnavailable.  Source: one HMGET a day, in one round trip."""
    if step % CELL or not timedelta() < step <= length <= KEPT_DAYS * _DAY:
        raise ValueError(f"step is a multiple of {CELL} and length from step to {KEPT_DAYS} days, not {step} and {length}")
    if not queues:
        return {}
    store, cell_us = current(), CELL // clock.MICROSECOND
    now = clock.to_us(collection.server_time())
    step_us, size = step // clock.MICROSECOND, step // CELL
    end = (now // step_us + 1) * step_us
    start = end - length // clock.MICROSECOND
    days = range(_day(start), _day(now) + 1)
    names = [name.encode(errors="surrogateescape") for name in queues]
    replies = store.pipeline([("HMGET", keys.depth(store.families[0], day), *names) for day in days])
    first = start // cell_us - days[0] * _CELLS
    steps = (end - start) // step_us
    found = {}
    for index, name in enumerate(queues):
        cells = np.zeros((len(days), _CELLS, 2), np.uint32)
        for day, reply in zip(cells, replies, strict=True):
            written = np.frombuffer((reply[index] or b"")[: day.nbytes], "<u4").reshape(-1, 2)
            day[: len(written)] = written
        flat = cells.reshape(-1, 2)[first : first + steps * size]
        most = np.zeros((steps * size, 2), np.uint32)
        most[: len(flat)] = flat
        highest = most.reshape(steps, size, 2).max(axis=1).tolist()
        found[name] = [_depth(clock.from_us(start + number * step_us), *cell) for number, cell in enumerate(highest)]
    return found


def _depth(start: datetime, waiting: int, oldest: int) -> Depth:
    return Depth(start=start, waiting=waiting - 1 if waiting else None, oldest_seconds=oldest - 1 if oldest else None)
