"""What the statuses take of a server's memory, estimated from samples: a look at every key would take as long as there are jobs.

The segments' columns are of a few segments, what single jobs hold of a few hundred rows, spread over all that there are and the same
ones each time, so that the estimate does not dance. Dictionaries and what stands once are looked at whole."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import Any

from . import clock, keys
from .columns import DICTIONARIES, TAG_BUCKETS, TAGS
from .segments import Segment
from .store import FORBIDDEN, Command, Store

#: Rows of jobs looked at.
ROWS = 200
#: Segments looked at of each kind: those that are packed, those that fill now, the others.
SEGMENTS = 4
#: Archived attempts looked at for a job; the others count as these.
ATTEMPTS = 3
#: Bytes that each key takes in the server's table of keys beside what MEMORY USAGE says of it: 8 to 16 in Redis with the table half to
#: wholly full, 13 to 21 measured with Valkey 9.1 and Redis 7.0.
KEY_BYTES = 16
#: Commands of one round trip.
STEP = 500
#: The golden ratio: multiples of it spread evenly over a whole, whatever comes back in it at regular steps.
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """Bytes of memory, estimated."""

    estimated_at: datetime
    """When, by the server's clock."""
    columns_bytes: int
    """What every job has: the columns of the segments, with their versions and tokens."""
    tags_bytes: int
    """By what jobs are found: resources, engines' ids, parents."""
    jobs_bytes: int
    """What single jobs hold: arguments, call, data, errors, attempts, own ids."""
    texts_bytes: int
    """Dictionaries: names, queues, users, workers, engines, error groups."""
    other_bytes: int
    """Workers' reports, depths of queues, chores, pauses, counts for the metrics."""
    rows: int
    """Rows of jobs that were looked at."""
    segments: int
    """Segments that were looked at."""

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.columns_bytes + self.tags_bytes + self.jobs_bytes + self.texts_bytes + self.other_bytes


def estimate(store: Store, segments: Sequence[Segment], now_us: int) -> Footprint | None:
    """The footprint of these segments, those of the store, and of what stands beside them, as of now_us; None where MEMORY is forbidden.
    Source: MEMORY USAGE of at most 5,100 keys, a microsecond of Redis each, HMGET of 200; ten to fourteen round trips."""
    return _Estimate(store, segments).made(now_us)


class _Forbidden(Exception):
    """MEMORY may not be used."""


class _Estimate:
    def __init__(self, store: Store, segments: Sequence[Segment]) -> None:
        self._store = store
        self._segments = sorted(segments, key=lambda segment: (segment.number, segment.family))
        self._packed = [one for one in self._segments if one.is_packed]
        # A segment that fills now is like no other: it lacks columns and most of its tags.
        newest = {one.family: one for one in self._segments if not one.is_packed}
        self._open = [*newest.values()]
        self._full = [one for one in self._segments if not one.is_packed and one is not newest[one.family]]
        self._chosen = [one for kind in (self._full, self._open, self._packed) for one in _spread(kind, SEGMENTS)]

    def made(self, now_us: int) -> Footprint | None:
        try:
            rows = self._rows()
            return Footprint(
                estimated_at=clock.from_us(now_us),
                columns_bytes=round(sum(len(kind) * self._columns_of(kind) for kind in (self._full, self._open, self._packed))),
                tags_bytes=round(self._tags_bytes()),
                jobs_bytes=self._jobs_bytes(rows),
                texts_bytes=self._texts_bytes(),
                other_bytes=self._other_bytes(),
                rows=len(rows),
                segments=len(self._chosen),
            )
        except _Forbidden:
            return None

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        found: list[Any] = []
        for first in range(0, len(commands), STEP):
            found += self._store.permitted(commands[first : first + STEP], primary=False)
        return found

    def _bytes(self, names: Iterable[str]) -> list[int]:
        """What each key takes, 0 where there is none."""
        replies = self._ask([("MEMORY", "USAGE", name) for name in names])
        if any(reply is FORBIDDEN for reply in replies):
            raise _Forbidden
        return [reply + KEY_BYTES if reply else 0 for reply in replies]

    def _prefix(self, segment: Segment) -> str:
        return keys.segment(self._store.families[segment.family], segment.number)

    def _columns_of(self, kind: Sequence[Segment]) -> float:
        """Those of one segment, judged by some of its kind."""
        prefixes = [self._prefix(segment) for segment in _spread(kind, SEGMENTS)]
        names = [name for prefix in prefixes for name in (*keys.frame(prefix), keys.tokens(prefix), keys.last_call(prefix))]
        return sum(self._bytes(names)) / max(len(prefixes), 1)

    def _tags_bytes(self) -> float:
        full = self._tags_of(self._full)
        if not self._full:
            return len(self._open) * self._tags_of(self._open) + len(self._packed) * self._tags_of(self._packed)
        # One that fills has as many as it has rows.
        filled = sum(segment.rows for segment in self._open) / max(sum(segment.rows for segment in self._full), 1) * len(self._full)
        return (len(self._full) + filled) * full + len(self._packed) * self._tags_of(self._packed)

    def _tags_of(self, kind: Sequence[Segment]) -> float:
        """Those of one segment, each bucket of another one in turn: what most jobs have in common is in the same bucket everywhere, so
        that none may be left out."""
        prefixes = [self._prefix(segment) for segment in _spread(kind, SEGMENTS)]
        buckets = range(TAG_BUCKETS if prefixes else 0)
        return sum(self._bytes(keys.posting(prefixes[one % len(prefixes)], tag, one) for tag in TAGS.values() for one in buckets))

    def _rows(self) -> list[tuple[str, int]]:
        """The prefix and row of some cells; of a packed segment the row stands in a cell, too."""
        ends = [*accumulate(segment.rows for segment in self._segments)]
        found: list[tuple[str, int]] = []
        packed: list[tuple[str, int]] = []
        for place in _places(ends[-1] if ends else 0, ROWS):
            at = bisect_right(ends, place)
            segment, cell = self._segments[at], place - (ends[at] - self._segments[at].rows)
            (packed if segment.is_packed else found).append((self._prefix(segment), cell))
        asked = [("GETRANGE", keys.numbers(prefix), 2 * cell, 2 * cell + 1) for prefix, cell in packed]
        for (prefix, _), number in zip(packed, self._ask(asked), strict=True):
            found.append((prefix, int.from_bytes(number, "little")))
        return found

    def _jobs_bytes(self, rows: Sequence[tuple[str, int]]) -> int:
        told = self._ask([("HMGET", keys.job(prefix, row), "n", "i") for prefix, row in rows])
        names, weights = [], []
        for (prefix, row), (attempts, own) in zip(rows, told, strict=True):
            held = keys.of_rows(prefix, [row])
            if own:
                held.append(keys.alias(prefix[: prefix.index("}") + 1], own.decode()))
            number = int(attempts or 0)
            archived = [keys.attempt(prefix, row, one) + part for one in range(min(number, ATTEMPTS)) for part in ("", "d", "e")]
            names += held + archived
            weights += [1.0] * len(held) + [number / min(number or 1, ATTEMPTS)] * len(archived)
        total = sum(size * weight for size, weight in zip(self._bytes(names), weights, strict=True))
        cells = sum(segment.rows for segment in self._segments)
        return round(total * cells / len(rows)) if rows else 0

    def _texts_bytes(self) -> int:
        made = (keys.codes, keys.texts, keys.seals)
        return sum(self._bytes(make(tag, name) for tag in self._store.families for name in DICTIONARIES.values() for make in made))

    def _other_bytes(self) -> int:
        tag = self._store.families[0]
        names = [make(one) for one in self._store.families for make in (keys.meta, keys.metrics)] + [make(tag) for make in keys.SINGLE]
        return sum(self._bytes([*names, *keys.depths(tag, int(self._ask([("GET", keys.depth_at(tag))])[0] or 0))]))


def _places(whole: int, most: int) -> list[int]:
    """Up to so many different places in a whole, spread over it; the same ones each time."""
    if whole <= most:
        return list(range(whole))
    return sorted({int(number * _GOLDEN % 1 * whole) for number in range(1, most + 1)})


def _spread(segments: Sequence[Segment], most: int) -> list[Segment]:
    """The first and the last, and others between them."""
    if len(segments) <= most:
        return list(segments)
    return [segments[round(number * (len(segments) - 1) / (most - 1))] for number in range(most)]
