"""What the store holds: jobs and the segments they are in, texts and how many more there may be, what goes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import numpy as np

from . import clock, footprint, keys, stats
from .census import DECIDING, FOR_EVER, expiry, span_us
from .clock import MICROSECOND
from .columns import DICTIONARIES, DICTIONARY_LIMITS
from .evaluation import COUNTS, Answer, Evaluation, Hits, Look, Selection, run
from .footprint import Footprint
from .segments import Array, Segment, pick
from .states import State
from .store import Command, Store

#: How far ahead is looked at what retention removes.
AHEAD = timedelta(days=1)
#: Moments at which jobs are due are told apart by so many microseconds.
STEP_US = 300_000_000
#: From so many jobs on it is told what one of them takes: a segment is laid out for 65,520 at once.
ENOUGH_JOBS = 10_000
#: A dictionary this full is to be told loudly.
NEARLY_FULL = 0.9


@dataclass(frozen=True, kw_only=True)
class Dictionary:
    """The different texts of one field."""

    field: str
    """`job_name`, `queue`, `user`, `worker`, `engine` or `error`."""
    texts: int
    """How many there are; with several families, in the one that has most: each has room of its own."""
    most: int
    """How many there may be: the next new one counts as `(other)`."""

    @property
    def fill(self) -> float:
        """Which part of the room is taken."""
        return self.texts / self.most

    @property
    def is_nearly_full(self) -> bool:
        """Whether nine tenths are taken."""
        return self.fill >= NEARLY_FULL


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """What there is, as of one moment per segment."""

    now: datetime
    """The server's time."""
    jobs: int
    """Statuses that are there."""
    oldest_at: datetime | None
    """When the first of them was recorded; None without any."""
    newest_at: datetime | None
    """When the last one was."""
    restorable: int
    """Removed ones that can still be taken back."""
    unswept: int
    """Removed ones that cannot any more, and wait for the cleaner."""
    due: int
    """Statuses whose time to be kept is over, to within five minutes: those that the cleaner takes next."""
    due_soon: int
    """Statuses whose time is over within a day, those included."""
    families: int
    """Hash slots the keys are spread over."""
    segments: int
    """Blocks of rows."""
    packed: int
    """Segments of which the living rows alone are left."""
    rows: int
    """Rows that were handed out in these segments: jobs that were ever in them."""
    cells: int
    """Rows that take memory now, with a job or without."""
    dictionaries: tuple[Dictionary, ...]
    """One for each field, the fullest first."""
    footprint: Footprint | None
    """What all of it takes, estimated; None where MEMORY is forbidden."""

    @property
    def bytes_a_job(self) -> float | None:
        """What a job takes, everything included; None with few of them (`ENOUGH_JOBS`), or without an estimate."""
        return self.footprint.total_bytes / self.jobs if self.footprint is not None and self.jobs >= ENOUGH_JOBS else None


def read(store: Store, believed: timedelta) -> Holdings:
    """What the store holds. Raises: StoreUnavailable.

    Source: the time, the sizes of the dictionaries and the codes of the names that retention speaks of, one round trip; as a query the
    states of each segment, the times of the first and the last, and of segments in which a job may be due within a day the columns
    that decide: nothing of a segment that has not changed since this process looked. The footprint, unless one is known that is no
    older than `believed`: see `footprint.estimate`."""
    now, dictionaries, names = _primary(store)
    soon = now + AHEAD // MICROSECOND
    tasks = [(Selection(), answer) for answer in (stats.counts, stats.bounds, _segments, _removed, partial(_due, names=names, soon=soon))]
    counts, bounds, segments, removed, due = run(store, tasks)
    jobs, (oldest, newest) = sum(counts.values()), bounds or (None, None)
    return Holdings(
        now=clock.from_us(now),
        jobs=jobs,
        oldest_at=oldest,
        newest_at=newest,
        restorable=removed.later_than(now),
        unswept=removed.until(now),
        due=due.until(now),
        due_soon=due.until(soon),
        families=len(store.families),
        segments=len(segments),
        packed=sum(segment.is_packed for segment in segments),
        rows=sum(segment.handed_out for segment in segments),
        cells=sum(segment.rows for segment in segments),
        dictionaries=dictionaries,
        footprint=footprint.estimate(store, segments, believed.total_seconds()),
    )


#: By family: job name -> code, of those that retention speaks of.
_Names = list[dict[str, int]]


def _primary(store: Store) -> tuple[int, tuple[Dictionary, ...], _Names]:
    """The time in microseconds, the dictionaries, and the names."""
    spoken_of = [key[5:] for key in store.config.retention if key.startswith("name:")]
    sizes: list[Command] = [("HLEN", keys.codes(tag, name)) for tag in store.families for name in DICTIONARIES.values()]
    asked = [("HMGET", keys.codes(tag, DICTIONARIES["job_name"]), *spoken_of) for tag in store.families] if spoken_of else []
    time, *replies = store.pipeline([("TIME",), *sizes, *asked], primary=True)
    texts, codes = replies[: len(sizes)], replies[len(sizes) :]
    found = [
        Dictionary(field=field, texts=max(texts[number :: len(DICTIONARIES)]), most=DICTIONARY_LIMITS[field])
        for number, field in enumerate(DICTIONARIES)
    ]
    return (
        clock.frozen_us() or int(time[0]) * 1_000_000 + int(time[1]),
        tuple(sorted(found, key=lambda one: -one.fill)),
        [_known(spoken_of, reply) for reply in codes] or [{} for _ in store.families],
    )


def _known(names: Sequence[str], codes: Sequence[bytes | None]) -> dict[str, int]:
    """What is marked by a cleaner has its code still."""
    return {name: abs(int(code)) for name, code in zip(names, codes, strict=True) if code is not None}


@dataclass(frozen=True)
class _Moments:
    """At which moments something comes to how many jobs, of all segments together."""

    parts: Sequence[tuple[Array, Array]]
    """Microseconds, each once, and how many jobs."""

    def until(self, at_us: int) -> int:
        """Jobs to which it came up to a moment."""
        return sum(int(counts[moments <= at_us].sum()) for moments, counts in self.parts)

    def later_than(self, at_us: int) -> int:
        """Jobs to which it comes later."""
        return sum(int(counts[moments > at_us].sum()) for moments, counts in self.parts)


def _counted(moments: Array) -> tuple[Array, Array] | None:
    return np.unique(moments, return_counts=True) if len(moments) else None


def _segments(evaluation: Evaluation) -> Answer[list[Segment]]:
    yield COUNTS
    return [*evaluation.segments.values()]


def _removed(evaluation: Evaluation) -> Answer[_Moments]:
    """Until when removed jobs can be taken back."""

    def compute(hits: Hits) -> tuple[Array, Array] | None:
        return _counted(pick(hits.view.column("gone_at"), hits.view.column("state") > len(State)))

    found = yield Look(("removed",), compute, frozenset({"state", "gone_at"}))
    return _Moments([part for _, part in found])


def _due(evaluation: Evaluation, names: _Names, soon: int) -> Answer[_Moments]:
    """When jobs are due, of segments in which one can be by `soon`."""
    retention = evaluation.store.config.retention
    shortest = min(span_us(time) for time in retention.values())

    def least(hits: Hits) -> int | None:
        own = hits.take("keep_for")
        return int(own[own > 0].min()) - 1 if own.any() else None

    # Those that are read again while somebody writes are read whole at once: else they would be others between the two looks.
    promised = yield Look(("kept least",), least, frozenset({"state", "keep_for"}), ahead=frozenset(DECIDING), again=False)
    own_times = {segment.key: own for segment, own in promised}

    def may_hold(segment: Segment) -> bool:
        # No job in it is older: of one that was loaded with a past of its own the time counts from the loading.
        opened = segment.zone[0] if segment.zone else 0
        return opened + min(shortest, own_times.get(segment.key, shortest)) <= soon

    def compute(hits: Hits) -> tuple[Array, Array] | None:
        due = hits.of(expiry(hits.view, retention, names[hits.view.segment.family]))
        return _counted((pick(due, due < FOR_EVER) // STEP_US + 1) * STEP_US)

    policy = (*retention.items(), *(item for known in names for item in known.items()))
    found = yield Look(("due", policy), compute, frozenset(DECIDING), only=may_hold)
    return _Moments([part for _, part in found])
