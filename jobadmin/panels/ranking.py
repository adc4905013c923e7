"""The table of job names, in any order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from jobadmin import formats
from jobadmin.panels.reading import ENDED, TOP_NAMES, Reading
from statuses import State

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


def names(reading: Reading, rank: str, limit: int | None = TOP_NAMES) -> NameTable:
    """The table of names; ranked by anything but the total, the reading must have all of them."""
    rows = name_rows(reading.report)
    bare = rank.removeprefix("-")
    # Twice: ties keep the order of the names.
    rows.sort(key=lambda row: row.value, reverse=rank == "-name")
    if bare in RANKS:
        rows.sort(key=RANKS[bare], reverse=rank.startswith("-"))
    rows = rows[:limit]
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
        p95=timing.p95 if timing else None,
        p95_bar=_logarithmic(timing.p95) if timing and timing.p95 else 0.0,
        first=facet.first,
        last=facet.last,
    )


def _logarithmic(seconds: float) -> float:
    """10 ms is nothing, a day is all."""
    return min(1.0, max(0.02, math.log10(max(seconds, 0.01) / 0.01) / math.log10(86400 / 0.01)))
