"""The table of job names, in any order."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from jobadmin import formats
from jobadmin.panels.reading import ENDED, TOP_NAMES, Reading
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
#: What the table of names can be ranked by: column -> what the library calls it.
RANKS: Mapping[str, str] = {
    "name": "value",
    "total": "total",
    **{name: name for name in _STATES},
    "failure": "failure_rate",
    "p95": "run_time",
}
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
    def hold(self) -> str:
        """What a live look asks to be kept, as a parameter: a column that is shown stays when its last job leaves, or all others would
        jump with every job that waits a moment."""
        more = ",".join(name for name in self.states if name not in NAME_STATES)
        return urlencode({"kept": more}) if more else ""

    @property
    def column(self) -> str:
        """The column it is ranked by."""
        return self.rank.removeprefix("-")


def ranks() -> tuple[str, ...]:
    """Every value of the parameter `rank`."""
    return (*RANKS, *(f"-{name}" for name in RANKS))


def name_rows(report: Any, field: str = "job_name") -> list[NameRow]:
    """One row for each value of `field` that the report counted."""
    timings = report.durations_by.get(field, {}) if report.durations_by else {}
    return [_name_row(facet, timings.get(facet.value)) for facet in report.counts_by[field]]


def needed(rank: str, number: int = TOP_NAMES, *, skipped: int = 0, to_scale: bool = False) -> dict[str, Any]:
    """What a reading must have for a number of names in this order, after some others; `to_scale`: with bars against all names, not
    those alone."""
    order = f"{'-' if rank.startswith('-') else ''}{RANKS[rank.removeprefix('-')]}"
    timed = rank == "-total" and not skipped and number <= FEW
    return {"names": number, "order": order, "skipped": skipped, "timed": timed, "to_scale": to_scale}


def timed(reading: Reading, rows: Sequence[NameRow]) -> list[NameRow]:
    """The rows that are shown, each with its run times.  Source: one more read, where the report does not have all of them."""
    lacking = [row.value for row in rows if row.p95 is None and row.ended]
    times = reading.run_times(lacking) if lacking else {}
    return [replace(row, **_times(times[row.value])) if row.value in times else row for row in rows]


def names(reading: Reading, rank: str, limit: int | None = TOP_NAMES, *, kept: Collection[str] = ()) -> NameTable:
    """The table of names, in the order that was `needed`. Without a limit, rows lack their run times where the reading does.
    `kept`: states that have a column already, see `NameTable.hold`."""
    rows = name_rows(reading.report)
    rows = rows if limit is None else timed(reading, rows[:limit])
    always, scale = NAME_STATES | {rank.removeprefix("-"), *kept}, [*rows, *(row for report in reading.scale for row in name_rows(report))]
    return NameTable(
        rows=tuple(rows),
        distinct=reading.report.distinct["job_name"],
        states=tuple(name for name in _STATES if name in always or reading.report.counts[State(name)]),
        rank=rank,
        most_total=max((row.total for row in scale), default=0),
        most_failure=max((row.failure for row in scale), default=0),
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
