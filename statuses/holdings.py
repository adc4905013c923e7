"""What the store holds: jobs and the segments they are in, texts and how many more there may be, what goes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from . import clock, estimates, forecast, keys, stats
from .clock import MICROSECOND
from .columns import DICTIONARIES, DICTIONARY_LIMITS
from .evaluation import COUNTS, Answer, Evaluation, Hits, Look, Selection, run
from .footprint import Footprint
from .forecast import Moments
from .segments import Array, Segment, pick
from .states import State
from .store import Command, Store

#: How far ahead is looked at what retention removes.
AHEAD = timedelta(days=1)
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
    states of each segment, the times of the first and the last, and of segments of which their age does not tell whether a job is due
    within a day the columns that decide: nothing of a segment that has not changed since this process looked. The footprint, unless one
    is known that is no older than `believed`: see `estimates.newest`."""
    now, dictionaries, names = _primary(store)
    soon = now + AHEAD // MICROSECOND
    going = partial(forecast.due, names=names, now=now, soon=soon)
    asked = [(Selection(), answer) for answer in (stats.counts, stats.bounds, _segments, _removed, going)]
    counts, bounds, segments, removed, due = run(store, asked)
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
        footprint=estimates.newest(store, segments, now, believed.total_seconds()),
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


def _segments(evaluation: Evaluation) -> Answer[list[Segment]]:
    yield COUNTS
    return [*evaluation.segments.values()]


def _removed(evaluation: Evaluation) -> Answer[Moments]:
    """Until when removed jobs can be taken back."""

    def compute(hits: Hits) -> tuple[Array, Array] | None:
        return forecast.counted(pick(hits.view.column("gone_at"), hits.view.column("state") > len(State)))

    found = yield Look(("removed",), compute, frozenset({"state", "gone_at"}))
    return Moments([part for _, part in found])
