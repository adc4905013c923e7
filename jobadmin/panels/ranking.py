"""The table of job names, in any order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from jobadmin import formats
from jobadmin.panels.reading import ENDED, EVERY, TOP_NAMES, Reading
from statuses import State

#: Names whose run times are asked for with their numbers; of more the few that are shown are asked for afterwards.
FEW = 100
#: Share of failed jobs from which a rate is printed bold.
NOTABLE_FAILURES = 0.04


@dataclass(frozen=True, kw_only=True)
class NameRow:
    """One job name with its numbers."""

    value: str
    total: int
    counts: Mapping[str, int] = field(hash=False)
    failure: float
    """Share of the ended jobs that failed, 0 to 1."""
    ended: int
    p95: float | None
    p95_bar: float
    """Length of its bar, 0 to 1: by the logarithm, as run times spread over many powers of ten."""
    first: datetime | None
    last: datetime | None

    @property
    def failure_words(self) -> str:
        """That share in words."""
        return formats.share(self.counts["failed"], self.ended) if self.ended else formats.NOTHING

    @property
    def is_notable(self) -> bool:
        return self.failure >= NOTABLE_FAILURES and self.counts["failed"] > 1


_STATES = tuple(state.value for state in State)
#: What the table of names can be ranked by: column -> the number that decides.
RANKS: Mapping[str, Callable[[NameRow], Any]] = {
    "total": lambda row: row.total,
    "unqueued": lambda row: row.counts["unqueued"],
    "queued": lambda row: row.counts["queued"],
    "started": lambda row: row.counts["started"],
    "succeeded": lambda row: row.counts["succeeded"],
    "failed": lambda row: row.counts["failed"],
    "killed": lambda row: row.counts["killed"],
    "unknown": lambda row: row.counts["unknown"],
    "failure": lambda row: row.failure,
    "p95": lambda row: row.p95 or 0.0,
}
RANK_NAMES = ("name", *RANKS)
#: States that the table of names has a column for, whatever there is. The others have one where a job is in them.
NAME_STATES = frozenset({"queued", "started", "succeeded", "failed", "killed"})


@dataclass(frozen=True, kw_only=True)
class NameTable:
    """Job names, ranked."""

    rows: tuple[NameRow, ...]
    distinct: int
    """How many names there are in all."""
    states: tuple[str, ...]
    """Those with a column: the counts of a row make its total."""
    rank: str
    """Column, ``-`` for descending."""
    most_total: int
    most_failure: float

    @property
    def has_bars(self) -> bool:
        """Whether there is room for bars beside the numbers."""
        return len(self.states) == len(NAME_STATES)

    @property
    def column(self) -> str:
        """The column it is ranked by."""
        return self.rank.removeprefix("-")


def ranks() -> tuple[str, ...]:
    """Every value of the parameter `rank`."""
    return (*RANK_NAMES, *(f"-{name}" for name in RANK_NAMES))


def name_rows(report: Any, field: str = "job_name") -> list[NameRow]:
    """One row for each value of `field` that the report counted."""
    timings = report.durations_by.get(field, {}) if report.durations_by else {}
    return [_name_row(facet, timings.get(facet.value)) for facet in report.counts_by[field]]


def needed(rank: str, first: int = TOP_NAMES) -> dict[str, Any]:
    """What a reading must have for the `first` names in this order: they are the most of all, or all are to be compared."""
    if rank == "-total":
        return {"names": min(first, EVERY), "timed": first <= FEW}
    return {"names": EVERY, "timed": rank.removeprefix("-") == "p95"}


def timed(reading: Reading, rows: Sequence[NameRow]) -> list[NameRow]:
    """The rows that are shown, each with its run times.  Source: one more read, where the report does not have all of them."""
    lacking = [row.value for row in rows if row.p95 is None and row.ended]
    times = reading.run_times(lacking) if lacking else {}
    return [replace(row, **_times(times[row.value])) if row.value in times else row for row in rows]


def names(reading: Reading, rank: str, limit: int | None = TOP_NAMES) -> NameTable:
    """The table of names; ranked by anything but the total, the reading must have all of them. Without a limit, rows lack their
    run times where the reading does."""
    rows = name_rows(reading.report)
    bare = rank.removeprefix("-")
    # Twice: ties keep the order of the names.
    rows.sort(key=lambda row: row.value, reverse=rank == "-name")
    if bare in RANKS:
        rows.sort(key=RANKS[bare], reverse=rank.startswith("-"))
    rows = rows if limit is None else timed(reading, rows[:limit])
    return NameTable(
        rows=tuple(rows),
        distinct=reading.report.distinct["job_name"],
        states=tuple(name for name in _STATES if name in NAME_STATES or name == bare or reading.report.counts[State(name)]),
        rank=rank,
        most_total=max((row.total for row in rows), default=0),
        most_failure=max((row.failure for row in rows), default=0),
    )


def _name_row(facet: Any, timing: Any | None) -> NameRow:
    counts = {name: facet.by_state[name] for name in _STATES}
    ended = sum(counts[state] for state in ENDED)
    failure = counts["failed"] / ended if ended else 0.0
    return NameRow(
        value=facet.value,
        total=facet.total,
        counts=counts,
        failure=failure,
        ended=ended,
        first=facet.first,
        last=facet.last,
        **_times(timing),
    )


def _times(timing: Any | None) -> dict[str, Any]:
    """What a row tells of them."""
    return {"p95": timing.p95 if timing else None, "p95_bar": _logarithmic(timing.p95) if timing and timing.p95 else 0.0}


def _logarithmic(seconds: float) -> float:
    """10 ms is nothing, a day is all."""
    return min(1.0, max(0.02, math.log10(max(seconds, 0.01) / 0.01) / math.log10(86400 / 0.01)))
