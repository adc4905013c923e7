"""What the panels of the overview show, made from one reading of the store."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

import statuses
from jobadmin import charts, formats, health, spans
from jobadmin.filters import FLAGS, JobFilter
from jobadmin.redaction import redact_text
from statuses import State

logger = logging.getLogger(__name__)

#: Names and errors that the overview shows; each has a page with all of them.
TOP_NAMES, TOP_ERRORS = 10, 7
#: Enough to hold every name: dictionaries are bounded.
EVERY = 100_000
#: Bars of a histogram.
BINS = 36
#: Order of a stack: what failed stands on the base line, so that its height can be compared across time.
STACK = ("failed", "killed", "unknown", "succeeded", "started", "queued", "unqueued")
PROBLEMS = ("failed", "killed", "unknown")
MODES = ("count", "share", "problems", "table")

#: States of which more is bad (marked red), and of which less is good (marked green).
WORSE, BETTER = {"failed", "stale"}, {"failed", "killed"}
#: Share of failed jobs from which a rate is printed bold.
NOTABLE_FAILURES = 0.04


#: Panels of the overview; a part of the page can be asked for by these names.
PANELS = ("tiles", "activity", "durations", "names", "errors")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The numbers of one page view: one report about the jobs, one about the period before.

    Where states or flags are filtered by, the tiles have a report of their own: they show what switching one would add.
    """

    jobs: JobFilter
    panels: Collection[str] = PANELS
    """What will be shown: nothing else is computed."""
    names: int = TOP_NAMES
    """How many job names are wanted."""
    errors: int = TOP_ERRORS

    @cached_property
    def grid(self) -> spans.Grid | None:
        """The buckets of the chart; None when there is nothing to draw."""
        window, preset = self.jobs.window, self.jobs.preset
        if window.after is not None and window.before is not None:
            return spans.grid(window.after, window.before, preset.step if preset else None)
        bounds = self._bounds
        return spans.grid(window.after or bounds[0], window.before or bounds[1]) if bounds else None

    @property
    def _bounds(self) -> tuple[datetime, datetime] | None:
        """The first and the last moment that a span without bounds holds, whatever the state."""
        query, by = self.jobs.with_(state=None, flag=None, sort=None).query, self.jobs.by
        if by == "recorded_at":
            return query.report(bounds=True).bounds
        query = query.where(**{by: (None, None)})
        first, last = query.order_by(by).first(), query.order_by(f"-{by}").first()
        return (getattr(first, by), getattr(last, by)) if first and last else None

    @cached_property
    def report(self) -> Any:
        """Everything about the jobs that match.  Source: one read of the columns."""
        return self.jobs.query.report(counts=True, **self._asked)

    @property
    def _asked(self) -> dict[str, Any]:
        """What the panels need beside the counts, as arguments of a report."""
        asked: dict[str, Any] = {"flags": True, "counts_by": {}}
        if {"tiles", "activity"} & set(self.panels):
            asked["timeline"] = self._timeline
        if "durations" in self.panels:
            asked |= {"durations": ("run_time", "wait_time"), "histogram": {"run_time": BINS, "wait_time": BINS}}
        if "names" in self.panels:
            asked["counts_by"]["job_name"] = self.names
            asked["durations_by"] = {"job_name": ("run_time", self.names)}
        if "errors" in self.panels:
            asked["counts_by"]["error"] = self.errors
        return asked

    @cached_property
    def tiles(self) -> Any:
        """The counts by state whatever states and flags are asked for."""
        if not ({"state", "flag"} & self.jobs.given.keys()):
            return self.report
        wider = self.jobs.with_(state=None, flag=None).query
        return wider.report(counts=True, flags=True, timeline=self._timeline)

    @cached_property
    def before(self) -> Any | None:
        """The same counts in the stretch before; None where there is none."""
        previous = self.jobs.with_(state=None, flag=None).previous()
        return previous.query.report(counts=True, flags=True) if previous else None

    @cached_property
    def totals(self) -> tuple[int, int]:
        """How many match, and how many there are: asked one right after the other, as new jobs keep coming."""
        return sum(self.report.counts.values()), statuses.all().count()

    @property
    def _timeline(self) -> Mapping[str, Any] | None:
        grid = self.grid
        if grid is None:
            return None
        return {"on": self.jobs.by, "after": grid.start, "before": grid.end, "buckets": grid.buckets}


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A state or flag with its count."""

    name: str
    count: int
    share: str
    delta: formats.Delta | None
    line: str
    area: str
    is_on: bool
    toggle_url: str
    list_url: str


def tiles(reading: Reading, view: str, path_args: tuple[str, ...] = ()) -> dict[str, list[Tile]]:
    """The nine tiles, states and flags apart."""
    counts, flags = reading.tiles.counts, flag_counts(reading.tiles)
    total, series = sum(counts.values()), series_by_state(reading.tiles)
    was = {**reading.before.counts, **flag_counts(reading.before)} if reading.before else {}

    def tile(parameter: str, name: str, number: int, share: str) -> Tile:
        line, area = charts.sparkline(series.get(name, ()))
        chosen = reading.jobs.states if parameter == "state" else reading.jobs.flags
        return Tile(
            name=name,
            count=number,
            share=share,
            delta=_delta(reading.jobs, name, number, was.get(name)) if was else None,
            line=line,
            area=area,
            is_on=name in chosen,
            toggle_url=reading.jobs.toggled(parameter, name).url(view, *path_args),
            list_url=_tile_list(reading.jobs, parameter, name).url("list"),
        )

    return {
        "states": [
            tile("state", state.value, counts[state], formats.share(counts[state], total)) for state in State
        ],
        "flags": [
            tile("flag", flag, flags[flag], _("of %s") % formats.count(_flaggable(counts, flag))) for flag in FLAGS
        ],
    }  # fmt: skip


def _tile_list(jobs: JobFilter, parameter: str, name: str) -> JobFilter:
    """Exactly the jobs a tile counts: tiles look past the states and flags that are asked for."""
    other = "flag" if parameter == "state" else "state"
    return jobs.with_(**{parameter: name, other: None})


def _flaggable(counts: Mapping[State, int], flag: str) -> int:
    """The jobs that could carry the flag: those that run, and for a kill request those that have not ended."""
    states = ("started",) if flag == "stale" else ("unqueued", "queued", "started", "unknown")
    return sum(counts[State(state)] for state in states)


def flag_counts(report: Any) -> dict[str, int]:
    """Jobs that carry each flag: asked to die and not ended; started without a sign of life."""
    requested = report.flags["kill_requested"]
    return {
        "kill_requested": sum(n for state, n in requested.items() if state not in ENDED),
        "stale": report.flags["stale"],
    }


def _delta(jobs: JobFilter, name: str, number: int, before: int | None) -> formats.Delta | None:
    against = str(jobs.preset.before_words) if jobs.preset else _("the period before")
    return formats.delta(number, before or 0, against, worse=name in WORSE, better=name in BETTER)


def series_by_state(report: Any) -> dict[str, list[int]]:
    """State -> its counts bucket by bucket."""
    buckets = report.timeline or ()
    return {state.value: [bucket.counts[state] for bucket in buckets] for state in State}


@dataclass(frozen=True, kw_only=True)
class Stale:
    """Started jobs that gave no sign of life for too long."""

    count: int
    after: str
    """How long is too long."""
    worker: str
    """Where most of them ran."""
    on_worker: int


def stale(reading: Reading) -> Stale | None:
    """What the notice says; None where there is no such job, or they are what is shown.

    Source: the report of the page, and where there are some, one more about them.
    """
    count = reading.tiles.flags["stale"]
    if not count or "stale" in reading.jobs.flags:
        return None
    query = reading.jobs.with_(state=None, flag="stale", sort=None).query
    top = query.report(counts_by={"worker": 1}).counts_by["worker"]
    return Stale(
        count=count,
        after=formats.every(health.stale_after()),
        worker=top[0].value if top else "",
        on_worker=top[0].total if top else 0,
    )


@dataclass(frozen=True, kw_only=True)
class Activity:
    """The chart over time, drawn by the server; `data` lets a script draw the same."""

    mode: str
    step: str
    """Width of a bucket in words."""
    total: int
    layers: list[charts.Layer]
    width: int
    lines: list[str]
    """Heights of the grid's lines."""
    axis: list[str]
    """Labels from top to bottom."""
    ticks: list[charts.Tick]
    filling: int | None
    """Where the bucket that is still filling begins."""
    legend: list[str]
    label: str
    """The chart in a sentence."""
    data: str
    rows: list[TableRow]
    more: int
    """Rows that the table leaves out, as they are empty."""

    moment: str = "D j M Y, H:i"
    """How the table writes the beginning of a bucket."""


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One bucket as a row of numbers."""

    start: datetime
    end: datetime
    last: datetime
    """Last moment that belongs to it."""
    total: int
    counts: list[tuple[str, int]]


def activity(reading: Reading, mode: str) -> Activity | None:
    """The activity chart in `mode`; None when there is no time to draw over."""
    grid, buckets = reading.grid, reading.report.timeline
    if grid is None or not buckets:
        return None
    series = series_by_state(reading.report)
    shown = [name for name in STACK if any(series[name])]
    drawn = [name for name in shown if mode != "problems" or name in PROBLEMS]
    highest, axis, values = _scaled(mode, {name: series[name] for name in drawn}, len(buckets))
    rows = _rows(grid, buckets) if mode == "table" else []
    return Activity(
        mode=mode,
        step=formats.every(grid.step),
        total=sum(map(sum, series.values())),
        layers=charts.stack(values, highest),
        width=len(buckets) * charts.BUCKET,
        lines=[charts.number(charts.HEIGHT * i / charts.STEPS) for i in range(charts.STEPS)],
        axis=axis,
        ticks=charts.time_ticks(grid),
        filling=_filling(grid, reading.jobs.now),
        legend=[name for name in STACK if name in shown],
        label=_sentence(grid, series),
        data=_data(grid, series, shown, reading.jobs.now, mode),
        rows=rows,
        more=grid.buckets - len(rows),
        moment=_moment(grid.step),
    )


def _scaled(
    mode: str, series: Mapping[str, Sequence[int]], length: int
) -> tuple[float, list[str], Sequence[tuple[str, Sequence[float]]]]:
    """Height of the axis, its labels from top to bottom, and the values to stack."""
    totals = [sum(values[i] for values in series.values()) for i in range(length)]
    if mode == "share":
        percent = [100 / total if total else 0 for total in totals]
        shares = [(name, [v * p for v, p in zip(values, percent, strict=True)]) for name, values in series.items()]
        return 100, ["100 %", "75 %", "50 %", "25 %", "0"], shares
    step = charts.nice_step(max(totals, default=0))
    labels = [formats.short(step * i) for i in range(charts.STEPS, -1, -1)]
    return step * charts.STEPS, labels, list(series.items())


def _rows(grid: spans.Grid, buckets: Sequence[Any]) -> list[TableRow]:
    return [
        TableRow(
            start=bucket.start,
            end=bucket.start + grid.step,
            last=bucket.start + grid.step - spans.MICROSECOND,
            total=sum(bucket.counts.values()),
            counts=[(state.value, bucket.counts[state]) for state in State],
        )
        for bucket in buckets
        if any(bucket.counts.values())
    ]


def _moment(step: timedelta) -> str:
    """Django's format of a moment, as exact as buckets of this width need it."""
    if step >= timedelta(days=1):
        return "D j M Y"
    return "D j M Y, H:i" if step >= timedelta(minutes=1) else "D j M, H:i:s.u" if step < timedelta(seconds=1) else "D j M, H:i:s"


def _filling(grid: spans.Grid, now: datetime) -> int | None:
    """Index of the bucket that `now` falls into."""
    if not grid.start <= now < grid.end:
        return None
    return (now - grid.start) // grid.step


def _sentence(grid: spans.Grid, series: Mapping[str, Sequence[int]]) -> str:
    days = formats.moment_range(grid.start, grid.end - spans.MICROSECOND)
    text = _("Stacked bars: jobs by state, %s.") % days
    failed = series["failed"]
    if any(failed):
        peak = max(range(len(failed)), key=failed.__getitem__)
        when = date_format(timezone.localtime(grid.start + grid.step * peak), "D j M, H:i")
        rate = formats.share(failed[peak], sum(values[peak] for values in series.values()))
        text += " " + _("Failures peak on %(when)s, at %(share)s.") % {"when": when, "share": rate}
    return text


def _data(grid: spans.Grid, series: Mapping[str, Sequence[int]], shown: list[str], now: datetime, mode: str) -> str:
    """What the script draws: times in milliseconds since the epoch."""
    return json.dumps(
        {
            "start": round((grid.start - spans.EPOCH) / timedelta(milliseconds=1)),
            "step": grid.step / timedelta(milliseconds=1),
            "buckets": grid.buckets,
            "filling": _filling(grid, now),
            "zone": str(timezone.get_current_timezone()),
            "mode": mode,
            "ticks": [[round(tick.at / 100 * grid.buckets, 4), tick.label] for tick in charts.time_ticks(grid)],
            "series": {name: list(series[name]) for name in shown},
        },
        separators=(",", ":"),
    )


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Five figures and a histogram of one duration."""

    title: str
    note: str
    figures: list[tuple[str, float]]
    n: int
    histogram: charts.Histogram | None
    label: str


#: Entered last of all: only jobs in these states have a run time.
ENDED = ("succeeded", "failed", "killed")


def durations(reading: Reading) -> dict[str, Any]:
    """The two durations, and the ended jobs they are about."""
    report = reading.report
    kinds = (
        ("run_time", _("Run time"), _("started to ended")),
        ("wait_time", _("Time in queue"), _("queued to started")),
    )
    ended = {state: report.counts[State(state)] for state in ENDED if report.counts[State(state)]}
    n = sum(ended.values())
    states = list(ended) if reading.jobs.states else "ended"
    return {
        "timings": [
            _timing(report.durations[kind], report.histogram[kind], title, note, n)
            for kind, title, note in kinds
            if report.durations[kind].n
        ],
        "n": n,
        "partial": any(report.durations[kind].n not in (0, n) for kind, *_words in kinds),
        "url": reading.jobs.url("list", state=states),
    }


def _timing(figures: Any, bins: Sequence[Any], title: str, note: str, ended: int) -> Timing:
    names = ("min", "p50", "avg", "p95", "max")
    label = _("Histogram of %(what)s, logarithmic: half below %(p50)s, one in twenty above %(p95)s") % {
        "what": title.lower(), "p50": formats.duration(figures.p50), "p95": formats.duration(figures.p95),
    }  # fmt: skip
    if figures.n != ended:
        note = f"{note} · {formats.count(figures.n)}"
    return Timing(
        title=title,
        note=note,
        figures=[(name, getattr(figures, name)) for name in names],
        n=figures.n,
        histogram=charts.histogram([(b.low, b.high, b.n) for b in bins], figures.p50, figures.p95),
        label=label,
    )


@dataclass(frozen=True, kw_only=True)
class NameRow:
    """One job name with its numbers."""

    value: str
    total: int
    counts: Mapping[str, int]
    failure: float
    """Share of the ended jobs that failed, 0 to 1."""
    failure_words: str
    is_notable: bool
    p95: float | None
    p95_bar: float
    """Length of its bar, 0 to 1: by the logarithm, as run times spread over many powers of ten."""
    first: datetime | None
    last: datetime | None

    @property
    def cells(self) -> list[tuple[str, int]]:
        """State and count, a column each."""
        return [(state, self.counts[state]) for state in NAME_STATES]


#: What the table of names can be ranked by: column -> the number that decides.
RANKS: Mapping[str, Callable[[NameRow], Any]] = {
    "total": lambda row: row.total,
    "queued": lambda row: row.counts["queued"],
    "started": lambda row: row.counts["started"],
    "succeeded": lambda row: row.counts["succeeded"],
    "failed": lambda row: row.counts["failed"],
    "killed": lambda row: row.counts["killed"],
    "failure": lambda row: row.failure,
    "p95": lambda row: row.p95 or 0.0,
}
RANK_NAMES = ("name", *RANKS)
#: States that the table of names has a column for.
NAME_STATES = ("queued", "started", "succeeded", "failed", "killed")


@dataclass(frozen=True, kw_only=True)
class NameTable:
    """Job names, ranked."""

    rows: list[NameRow]
    distinct: int
    """How many names there are in all."""
    rank: str
    """Column, ``-`` for descending."""
    most_total: int
    most_failure: float

    @property
    def column(self) -> str:
        """The column it is ranked by."""
        return self.rank.removeprefix("-")

    @property
    def states(self) -> tuple[str, ...]:
        return NAME_STATES


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
        rows=rows,
        distinct=reading.report.distinct["job_name"],
        rank=rank,
        most_total=max((row.total for row in rows), default=0),
        most_failure=max((row.failure for row in rows), default=0),
    )


def _name_row(facet: Any, timing: Any | None) -> NameRow:
    counts = {state.value: facet.by_state[state] for state in State}
    ended = counts["succeeded"] + counts["failed"] + counts["killed"]
    failure = counts["failed"] / ended if ended else 0.0
    return NameRow(
        value=facet.value,
        total=facet.total,
        counts=counts,
        failure=failure,
        failure_words=formats.share(counts["failed"], ended) if ended else formats.NOTHING,
        is_notable=failure >= NOTABLE_FAILURES and counts["failed"] > 1,
        p95=timing.p95 if timing else None,
        p95_bar=_logarithmic(timing.p95) if timing and timing.p95 else 0.0,
        first=facet.first,
        last=facet.last,
    )


def _logarithmic(seconds: float) -> float:
    """10 ms is nothing, a day is all."""
    return min(1.0, max(0.02, math.log10(max(seconds, 0.01) / 0.01) / math.log10(86400 / 0.01)))


@dataclass(frozen=True, kw_only=True)
class ErrorRow:
    """One group of errors."""

    value: str
    title: str
    """Type, or the text."""
    place: str
    """``file:function``, where there is one."""
    total: int
    message: str
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, kw_only=True)
class ErrorTable:
    """Groups of errors, the largest first."""

    rows: list[ErrorRow]
    distinct: int


def errors(reading: Reading) -> ErrorTable:
    """The errors panel; the message is that of the newest job of each group."""
    rows = [error_row(reading.jobs, facet) for facet in reading.report.counts_by["error"]]
    return ErrorTable(rows=rows, distinct=reading.report.distinct["error"])


#: A group that is a class and the place where it was raised: ``pkg.Class file.py:function``.
PLACED = re.compile(r"([A-Za-z_][\w.]*) (\S.*:[\w<>.]+)")


def _parts(group: str) -> tuple[str, str]:
    """Type and place of a group; a group that is a text has no place."""
    found = PLACED.fullmatch(group)
    return (found[1], found[2]) if found else (group, "")


def error_row(jobs: JobFilter, facet: Any) -> ErrorRow:
    """A group with the message of its newest job.  Source: one page of one job."""
    title, place = _parts(facet.value)
    newest = jobs.query.where(error=facet.value).first()
    summary = (newest.error_summary or "") if newest else ""
    message = summary.removeprefix(title.rpartition(".")[2]).removeprefix(title).removeprefix(":").strip()
    return ErrorRow(
        value=facet.value,
        title=redact_text(title),
        place=place,
        total=facet.total,
        message=redact_text(message) if message != title else "",
        first=facet.first,
        last=facet.last,
    )


def guarded(name: str, make: Callable[[], Any]) -> dict[str, Any]:
    """One panel: what `make` gives, or that it failed, so that the page stands without it.

    A store that is away is no matter of one panel: that error passes.
    """
    try:
        return {"name": name, "shown": make(), "failed": False}
    except statuses.StoreUnavailable:
        raise
    except Exception:
        logger.exception("the panel %s could not be made", name)
        return {"name": name, "shown": None, "failed": True}
