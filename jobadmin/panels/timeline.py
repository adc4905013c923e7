"""The activity chart: jobs over time, by state."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from jobadmin import charts, formats, spans
from jobadmin.panels.reading import Reading, series_by_state
from statuses import State

#: Order of a stack: what failed stands on the base line, so that its height can be compared across time.
STACK = ("failed", "killed", "unknown", "succeeded", "started", "queued", "unqueued")
PROBLEMS = ("failed", "killed", "unknown")
MODES = ("count", "share", "problems", "table")


@dataclass(frozen=True, kw_only=True)
class Activity:
    """The chart over time, drawn by the server; `data` lets a script draw the same."""

    mode: str
    step: str
    """Width of a bucket in words."""
    is_young: bool
    """Whether it begins with the first job of the span, later than the span."""
    total: int
    layers: tuple[charts.Layer, ...]
    width: int
    lines: tuple[str, ...]
    """Heights of the grid's lines."""
    axis: tuple[str, ...]
    """Labels from top to bottom."""
    ticks: tuple[charts.Tick, ...]
    filling: int | None
    """Where the bucket that is still filling begins."""
    legend: tuple[str, ...]
    label: str
    """The chart in a sentence."""
    data: str
    rows: tuple[TableRow, ...]
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
    counts: tuple[tuple[str, int], ...]


def activity(reading: Reading, mode: str) -> Activity | None:
    """The activity chart in `mode`; None when there is no time to draw over."""
    grid, buckets = reading.grid, reading.report.timeline
    if grid is None or not buckets:
        return None
    series = series_by_state(reading.report)
    shown = [name for name in STACK if any(series[name])]
    drawn = [name for name in shown if mode != "problems" or name in PROBLEMS]
    highest, axis, values = _scaled(mode, {name: series[name] for name in drawn}, len(buckets))
    rows = _rows(grid, buckets) if mode == "table" else ()
    ticks = charts.time_ticks(grid)
    return Activity(
        mode=mode,
        step=formats.every(grid.step),
        is_young=reading.young is not None,
        total=sum(map(sum, series.values())),
        layers=charts.stack(values, highest),
        width=len(buckets) * charts.BUCKET,
        lines=tuple(charts.number(charts.HEIGHT * i / charts.STEPS) for i in range(charts.STEPS)),
        axis=tuple(axis),
        ticks=tuple(ticks),
        filling=_filling(grid, reading.jobs.now),
        legend=tuple(name for name in STACK if name in shown),
        label=_sentence(grid, series),
        data=_data(grid, series, shown, ticks, reading.jobs.now, mode),
        rows=rows,
        more=grid.buckets - len(rows),
        moment=_moment(grid),
    )


def _scaled(mode: str, series: Mapping[str, Sequence[int]], length: int) -> tuple[float, list[str], Sequence[tuple[str, Sequence[float]]]]:
    """Height of the axis, its labels from top to bottom, and the values to stack."""
    totals = [sum(values[i] for values in series.values()) for i in range(length)]
    if mode == "share":
        percent = [100 / total if total else 0 for total in totals]
        shares = [(name, [v * p for v, p in zip(values, percent, strict=True)]) for name, values in series.items()]
        return 100, ["100 %", "75 %", "50 %", "25 %", "0"], shares
    step = charts.nice_step(max(totals, default=0))
    labels = [formats.short(step * i) for i in range(charts.STEPS, -1, -1)]
    return step * charts.STEPS, labels, list(series.items())


def _rows(grid: spans.Grid, buckets: Sequence[Any]) -> tuple[TableRow, ...]:
    """What holds jobs, the latest first: as every list of the pages."""
    return tuple(
        TableRow(
            start=bucket.start,
            end=bucket.start + grid.step,
            last=bucket.start + grid.step - spans.MICROSECOND,
            total=sum(bucket.counts.values()),
            counts=tuple((state.value, bucket.counts[state]) for state in State),
        )
        for bucket in reversed(buckets)
        if any(bucket.counts.values())
    )


def _moment(grid: spans.Grid) -> str:
    """Django's format of a moment, as exact as buckets of this width need it."""
    step = grid.step
    # Buckets are equal: where clocks are set within the span, those of whole days begin an hour beside midnight from then on.
    if step >= timedelta(days=1) and all(spans.floor(at, timedelta(days=1)) == at for at in grid.starts):
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
        when = formats.stamp(grid.start + grid.step * peak, beside=grid.start)
        rate = formats.share(failed[peak], sum(values[peak] for values in series.values()))
        text += " " + _("Failures peak on %(when)s, at %(share)s.") % {"when": when, "share": rate}
    return text


def _data(
    grid: spans.Grid, series: Mapping[str, Sequence[int]], shown: list[str], ticks: Sequence[charts.Tick], now: datetime, mode: str
) -> str:
    """What the script draws: times in milliseconds since the epoch."""
    return json.dumps(
        {
            "start": round((grid.start - spans.EPOCH) / timedelta(milliseconds=1)),
            "step": grid.step / timedelta(milliseconds=1),
            "buckets": grid.buckets,
            "filling": _filling(grid, now),
            "zone": str(timezone.get_current_timezone()),
            "mode": mode,
            "ticks": [[round(tick.at / 100 * grid.buckets, 4), tick.label] for tick in ticks],
            "series": {name: list(series[name]) for name in shown},
        },
        separators=(",", ":"),
    )
