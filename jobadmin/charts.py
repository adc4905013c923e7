"""Geometry of the charts: numbers in, SVG attributes and labels out. Nothing here knows jobs or HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from django.utils import timezone

from jobadmin import formats, spans
from jobadmin.spans import Grid

#: Units of a drawing: one bucket is twelve wide, of which ten are the bar.
BUCKET, BAR, HEIGHT = 12, 10, 208
#: The activity chart's height is divided by this many lines.
STEPS = 4
#: A label of the time axis needs about this share of the width.
MOST_LABELS = 8


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A labelled place on an axis, as a share of its length in percent."""

    at: float
    label: str

    @property
    def percent(self) -> str:
        return f"{self.at:.3f}%"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """The bars of one series in a stack."""

    name: str
    path: str
    top: str
    """The upper edges alone."""


def number(value: float) -> str:
    """For an SVG attribute: short, and the same in every language."""
    return f"{value:.1f}".removesuffix(".0")


def nice_step(highest: float, steps: int = STEPS, *, whole: bool = True) -> float:
    """The smallest round step with which `steps` of them reach `highest`."""
    least = max(highest / steps, 1 if whole else 1e-9)
    power = 10 ** math.floor(math.log10(least))
    for factor in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10):
        step = factor * power
        if (step == int(step) and step >= least) if whole else step >= least * (1 - 1e-9):
            return step
    return 10 * power


def stack(series: Sequence[tuple[str, Sequence[float]]], highest: float) -> tuple[Layer, ...]:
    """Bars of each series standing on those before it."""
    return _stack(tuple((name, tuple(values)) for name, values in series), highest)


@lru_cache(maxsize=64)
def _stack(series: tuple[tuple[str, tuple[float, ...]], ...], highest: float) -> tuple[Layer, ...]:
    floor = [0.0] * max((len(values) for _, values in series), default=0)
    layers = []
    for name, values in series:
        bars, tops = [], []
        for index, value in enumerate(values):
            if value:
                low, tall = HEIGHT * floor[index] / highest, HEIGHT * value / highest
                x, y = index * BUCKET + 1, HEIGHT - low
                bars.append(f"M{x} {number(y)}h{BAR}v{-tall:.2f}h-{BAR}z")
                tops.append(f"M{x} {number(y - tall)}h{BAR}")
                floor[index] += value
        layers.append(Layer(name=name, path="".join(bars), top="".join(tops)))
    return tuple(layers)


def sparkline(values: Sequence[float], points: int = 28, height: float = 26) -> tuple[str, str]:
    """(line, area) paths over a box 100 wide, the values summed into at most `points`."""
    return _sparkline(tuple(values), points, height)


@lru_cache(maxsize=256)
def _sparkline(values: Sequence[float], points: int, height: float) -> tuple[str, str]:
    values = _summed(values, points)
    if len(values) < 2 or not any(values):
        return "", ""
    highest, width = max(values), 100 / (len(values) - 1)
    low, high = height - 2, 4
    places = (f"{number(i * width)} {number(low - (low - high) * value / highest)}" for i, value in enumerate(values))
    line = "M" + " L".join(places)
    return line, f"{line} L100 {number(height)} L0 {number(height)}Z"


def _summed(values: Sequence[float], points: int) -> list[float]:
    """At most `points` sums of neighbours; the last sum may have fewer of them."""
    size = max(1, math.ceil(len(values) / points))
    return [sum(values[at : at + size]) for at in range(0, len(values), size)]


#: Distances of time labels, seconds.
DISTANCES = (
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
    86400, 172800, 604800, 1209600,
)  # fmt: skip
MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)


def time_ticks(grid: Grid, most: int = MOST_LABELS) -> list[Tick]:
    """Labels of the time axis at round moments of the viewer's wall clock."""
    length = grid.end - grid.start
    for seconds in DISTANCES:
        if length <= timedelta(seconds=seconds) * most:
            moments = _multiples(grid, timedelta(seconds=seconds))
            return [_tick(grid, moment, _clock_label(moment, seconds)) for moment in moments]
    for months in MONTHS:
        if length <= timedelta(days=30.5) * months * most or months == MONTHS[-1]:
            return [_tick(grid, moment, formats.dated(moment, "Y" if months >= 12 else "M Y"))
                    for moment in _month_starts(grid, months)]  # fmt: skip
    return []


def _tick(grid: Grid, moment: datetime, label: str) -> Tick:
    return Tick(at=100 * ((moment - grid.start) / (grid.end - grid.start)), label=label)


def _multiples(grid: Grid, distance: timedelta) -> Iterable[datetime]:
    """Round moments, each by the wall clock of its own day: midnight is midnight before and after clocks are set."""
    moment = spans.floor(grid.start, distance)
    while moment < grid.end:
        if moment >= grid.start:
            yield timezone.localtime(moment)
        moment = _next(moment, distance)


def _next(moment: datetime, distance: timedelta) -> datetime:
    """The round moment after this one."""
    # Half of it more than to the next one: of what comes late or early by an hour it is the one below, too. Where clocks are set back by
    # more than that (two hours in Antarctica/Troll) the one below is this one again.
    ahead = distance * 1.5
    while (found := spans.floor(moment + ahead, distance)) <= moment:
        ahead += distance
    return found


def _month_starts(grid: Grid, months: int) -> Iterable[datetime]:
    start = timezone.localtime(grid.start)
    index = start.year * 12 + start.month
    index += -(index - 1) % months  # the next month whose number is a multiple
    while True:
        year, month = divmod(index - 1, 12)
        moment = start.replace(year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0)
        if moment >= grid.end or year > 2300:
            return
        if moment >= grid.start:
            yield moment
        index += months


def _clock_label(moment: datetime, seconds: float) -> str:
    if seconds >= 86400 or (seconds >= 3600 and (moment.hour, moment.minute) == (0, 0)):
        return formats.dated(moment, "D j M")
    if seconds < 1:
        return formats.clock(moment)
    return formats.dated(moment, "H:i" if seconds >= 60 else "H:i:s")


@dataclass(frozen=True, kw_only=True)
class HistogramBar:
    """One bar of a histogram over a box 360 by 60."""

    x: str
    y: str
    width: str
    height: str
    is_tail: bool
    """True beyond p95."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """A logarithmic histogram with its marks."""

    bars: tuple[HistogramBar, ...] = field(compare=False)
    body: str
    """The bars up to p95 as one path."""
    tail: str
    """Those beyond."""
    p50: str
    p95: str
    ticks: tuple[Tick, ...]


def _path(bars: Iterable[HistogramBar]) -> str:
    return "".join(f"M{bar.x} {bar.y}h{bar.width}v{bar.height}h-{bar.width}z" for bar in bars)


#: Durations that the axis of a histogram may name, seconds.
LANDMARKS = (
    1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 60, 600, 3600, 36000, 86400, 864000, 8640000, 86400000,
)  # fmt: skip


def histogram(bins: Sequence[tuple[float, float, int]], p50: float, p95: float) -> Histogram | None:
    """Bars of equal width for `bins` (low, high, n) of logarithmic widths; None when they hold nothing."""
    highest = max((n for _, _, n in bins), default=0)
    if not highest:
        return None
    if len(bins) == 1:  # all took as long: one bar in the middle, not a wall
        bins = _widened(bins[0])
    width = 360 / len(bins)
    bars = tuple(
        HistogramBar(
            x=number(index * width + 0.5),
            y=f"{60 - 56 * n / highest:.2f}",
            width=number(width - 1),
            height=f"{56 * n / highest:.2f}",
            is_tail=low > p95,
        )
        for index, (low, high, n) in enumerate(bins)
        if n
    )
    return Histogram(
        bars=bars,
        body=_path(bar for bar in bars if not bar.is_tail),
        tail=_path(bar for bar in bars if bar.is_tail),
        p50=number(3.6 * _place(bins, p50)),
        p95=number(3.6 * _place(bins, p95)),
        ticks=tuple(_landmarks(bins)),
    )


def _widened(only: tuple[float, float, int], around: int = 12) -> list[tuple[float, float, int]]:
    """The one bin amid empty ones, each a tenth of a power of ten wide."""
    low, high, n = only
    if not low:  # no power of ten is near nothing at all
        least = high or LANDMARKS[0]
        return [(0.0, 0.0, 0)] * around + [(0.0, least, n)] + [(least, least, 0)] * around
    middle = low
    edges = [middle * 10 ** (step / 10) for step in range(-around, around + 2)]
    bins = [(edges[i], edges[i + 1], 0) for i in range(len(edges) - 1)]
    bins[around] = (min(low, edges[around]), max(high, edges[around + 1]), n)
    return bins


def _place(bins: Sequence[tuple[float, float, int]], value: float) -> float:
    """Where `value` stands on the axis, percent; within its bin by the logarithm."""
    for index, (low, high, _n) in enumerate(bins):
        if value < high or index == len(bins) - 1:
            within = 0.0
            if high > low > 0:
                within = math.log(max(value, low) / low) / math.log(high / low)
            elif high > low:
                within = (value - low) / (high - low)
            return 100 * (index + min(1.0, max(0.0, within))) / len(bins)
    return 0.0


def _landmarks(bins: Sequence[tuple[float, float, int]]) -> list[Tick]:
    """Round durations within the axis, none so near to the one before that the labels would touch."""
    # What took no time at all has a bin of its own, which is not part of the logarithm.
    ticks = [] if bins[0][0] else [Tick(at=_place(bins, 0.0), label=formats.landmark(0.0))]
    for seconds in LANDMARKS:
        if (bins[0][0] or bins[0][1]) <= seconds <= bins[-1][1] and seconds > 0:
            at = _place(bins, seconds)
            if at < 90 and (not ticks or at - ticks[-1].at >= 14):
                ticks.append(Tick(at=at, label=formats.landmark(seconds)))
    if not ticks:
        ticks = [Tick(at=0, label=formats.brief(bins[0][0]))]
    return ticks
