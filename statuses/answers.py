"""The shapes of answers about many statuses: plain values, no numpy inside."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from .states import State


@dataclass(frozen=True, kw_only=True)
class FacetCount:
    """One value of a field, and the matching jobs that have it."""

    value: str
    """The text itself: a job name, a queue, a resource, ..."""
    total: int
    """Matching jobs with this value."""
    by_state: Mapping[State, int]
    """The same by state, all seven, zeros included."""
    first: datetime
    """When the earliest of them was recorded."""
    last: datetime
    """When the latest of them was recorded."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Every value of a field that matching jobs have, those of most jobs first, equals by text."""

    values: Sequence[str]
    """The texts."""
    totals: Sequence[int]
    """How many jobs have each."""
    folded: Sequence[str] = field(repr=False)
    """The texts as they are compared where large and small letters are alike."""

    def holding(self, text: str) -> tuple[list[int], list[int]]:
        """Places of the values that begin with a text, and of the others that hold it, large and small letters alike; in order."""
        text = text.casefold()
        held = [at for at, value in enumerate(self.folded) if text in value]
        begin = [at for at in held if self.folded[at].startswith(text)]
        if len(begin) == len(held):
            return begin, []
        return begin, [at for at in held if not self.folded[at].startswith(text)]


@dataclass(frozen=True, kw_only=True)
class Durations:
    """How long something took over the matching jobs that have it: seconds; percentiles by nearest rank."""

    n: int
    """Jobs that have the duration."""
    min: float | None = None
    """The shortest; None, like all below, when `n` is 0."""
    avg: float | None = None
    """Sum by number, the sum exact in microseconds."""
    p50: float | None = None
    """The median by nearest rank: a duration that a job really had."""
    p95: float | None = None
    """The 95th percentile by nearest rank."""
    p99: float | None = None
    """The 99th percentile by nearest rank."""
    max: float | None = None
    """The longest."""


@dataclass(frozen=True, kw_only=True)
class Bin:
    """One bar of a histogram: `low <= seconds < high`, the last one closed."""

    low: float
    """Lower edge, seconds."""
    high: float
    """Upper edge, seconds."""
    n: int
    """Jobs between them."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """One step of a timeline: `start <= moment < end`, the last one closed."""

    start: datetime
    """Where the bucket begins, aware."""
    end: datetime
    """Where the next one begins."""
    counts: Mapping[State, int]
    """Jobs in it by present state, all seven, zeros included."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Several answers about the same jobs, from one read. What was not asked for is None or empty."""

    counts: Mapping[State, int] | None = None
    """As `Query.counts()`."""
    total: int | None = None
    """As `Query.count()`; there whenever counts or count were asked for."""
    counts_by: Mapping[str, list[FacetCount]] = field(default_factory=dict)
    """Field -> as `Query.counts_by()`."""
    distinct: Mapping[str, int] = field(default_factory=dict)
    """Field of `counts_by` -> how many different values the matching jobs have."""
    earliest_by: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    """Field -> value -> the earliest of the moment asked for, among the jobs that have it."""
    durations: Mapping[str, Durations] = field(default_factory=dict)
    """`run_time` or `wait_time` -> as `Query.durations()`."""
    durations_by: Mapping[str, Mapping[str, Durations]] = field(default_factory=dict)
    """Field -> as `Query.durations_by()`."""
    histogram: Mapping[str, list[Bin]] = field(default_factory=dict)
    """`run_time` or `wait_time` -> as `Query.histogram()`."""
    timeline: list[Bucket] | None = None
    """As `Query.timeline()`."""
    flags: Mapping[str, object] | None = None
    """`kill_requested`: jobs asked to die, by state; `stale`: how many started jobs gave no sign of life for too long."""
    bounds: tuple[datetime, datetime] | None = None
    """When the first and the last of the matching jobs were recorded; None without any."""
    version: str = field(default="", compare=False)
    """The version of the store it is of, as `Version.text`; empty where nothing was asked. Signs of life move without a new one."""
