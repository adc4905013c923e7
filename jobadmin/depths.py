"""How deep a queue was: the chart of its page, the same as a table, and the small line in the list of queues."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobadmin import charts, formats, spans
from statuses import sampling
from statuses.sampling import Depth

#: Units of the drawing: a step is this wide.
UNIT = 4
#: Points of the line in the list of queues.
SPARK_POINTS = 48


@dataclass(frozen=True, kw_only=True)
class Length:
    """How far back a chart looks."""

    name: str
    """As the URL writes it."""
    words: Promise
    length: timedelta
    step: timedelta


LENGTHS = {
    length.name: length
    for length in (
        Length(name="1h", words=gettext_lazy("the last hour"), length=timedelta(hours=1), step=timedelta(minutes=5)),
        Length(name="24h", words=gettext_lazy("the last 24 hours"), length=timedelta(hours=24), step=timedelta(minutes=5)),
        Length(name="7d", words=gettext_lazy("the last 7 days"), length=timedelta(days=7), step=timedelta(minutes=30)),
        Length(name="30d", words=gettext_lazy("the last 30 days"), length=timedelta(days=30), step=timedelta(hours=2)),
    )
}
DEFAULT = "24h"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A queue over time, drawn by the server; `data` lets a script draw the same."""

    length: Length
    line: str
    """Path of how many waited."""
    area: str
    width: int
    lines: list[str]
    """Heights of the grid's lines."""
    axis: list[str]
    """Labels from top to bottom."""
    ticks: list[charts.Tick]
    label: str
    """The chart in a sentence."""
    data: str
    rows: list[Depth]
    """Steps with a sample, the newest first."""
    most: int
    longest_seconds: int


def chart(queue: str, length: Length, waiting: int = 0, oldest_seconds: int = 0) -> Chart | None:
    """The depth of a queue; None where no sample of it was taken in that time. `waiting` jobs do so now, the first of them for
    `oldest_seconds`: the last sample may be a minute old.  Source: one HMGET a day, one round trip."""
    steps = sampling.depths([queue], length.length, length.step)[queue]
    if all(step.waiting is None for step in steps):
        return None
    steps[-1] = _raised(steps[-1], waiting, oldest_seconds)
    known = [step for step in steps if step.waiting is not None]
    most = max(step.waiting or 0 for step in known)
    scale = charts.nice_step(most)
    grid = spans.Grid(start=steps[0].start, step=length.step, buckets=len(steps))
    line, area = paths([step.waiting for step in steps], scale * charts.STEPS)
    return Chart(
        length=length,
        line=line,
        area=area,
        width=len(steps) * UNIT,
        lines=[charts.number(charts.HEIGHT * i / charts.STEPS) for i in range(charts.STEPS)],
        axis=[formats.short(scale * i) for i in range(charts.STEPS, -1, -1)],
        ticks=charts.time_ticks(grid),
        label=_sentence(known, most),
        data=_data(steps, scale, charts.time_ticks(grid)),
        rows=known[::-1],
        most=most,
        longest_seconds=max(step.oldest_seconds or 0 for step in known),
    )


def _raised(step: Depth, waiting: int, oldest_seconds: int) -> Depth:
    """The step that is not over yet, with what is seen now."""
    most, longest = max(step.waiting or 0, waiting), max(step.oldest_seconds or 0, oldest_seconds)
    return replace(step, waiting=most, oldest_seconds=longest)


def paths(values: Sequence[int | None], highest: float) -> tuple[str, str]:
    """(line, area) of steps; where no sample was taken there is neither."""
    line, area, before = [], [], False
    for index, value in enumerate(values):
        if value is not None:
            y = charts.number(charts.HEIGHT * (1 - value / highest))
            line.append(f"{'V' if before else f'M{index * UNIT} '}{y}H{(index + 1) * UNIT}")
            area.append(f"M{index * UNIT} {charts.HEIGHT}V{y}h{UNIT}V{charts.HEIGHT}z")
        before = value is not None
    return "".join(line), "".join(area)


def _sentence(known: Sequence[Depth], most: int) -> str:
    peak = next(step for step in known if step.waiting == most)
    when = formats.dated(peak.start, "D j M, H:i")
    text = _("Jobs that waited, from %(first)s to %(last)s. The most were %(most)s, on %(when)s.")
    first, last = formats.dated(known[0].start, "D j M, H:i"), formats.dated(known[-1].start, "D j M, H:i")
    return text % {"first": first, "last": last, "most": formats.count(most), "when": when}


def _data(steps: Sequence[Depth], scale: float, ticks: Sequence[charts.Tick]) -> str:
    """What the script draws: the start of each step in seconds since the epoch."""
    return json.dumps(
        {
            "start": round(steps[0].start.timestamp()),
            "step": round((steps[1].start - steps[0].start).total_seconds()),
            "scale": scale,
            "zone": str(timezone.get_current_timezone()),
            "waiting": [step.waiting for step in steps],
            "oldest": [step.oldest_seconds for step in steps],
            "ticks": [[round(tick.at / 100 * len(steps), 4), tick.label] for tick in ticks],
        },
        separators=(",", ":"),
    )


def sparks(queues: Sequence[str]) -> dict[str, tuple[str, str]]:
    """(line, area) of each queue over the last day, empty where nothing waited. Source: two HMGET, one round trip."""
    length = LENGTHS[DEFAULT]
    day = sampling.depths(list(queues), length.length, length.length / SPARK_POINTS)
    return {queue: charts.sparkline([step.waiting or 0 for step in steps], SPARK_POINTS) for queue, steps in day.items()}
