"""How long jobs ran and waited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from jobadmin import charts, formats
from jobadmin.panels.reading import ENDED, Reading
from statuses import State


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Five figures and a histogram of one duration."""

    title: str
    note: str
    figures: tuple[tuple[str, float], ...]
    n: int
    histogram: charts.Histogram | None
    label: str


@dataclass(frozen=True, kw_only=True)
class Durations:
    """What the panel shows: both durations of the ended jobs."""

    timings: tuple[Timing, ...]
    n: int
    """Jobs that have ended."""
    url: str
    """The list of the ended jobs."""


def durations(reading: Reading) -> Durations:
    """The two durations, and the ended jobs they are about."""
    report = reading.report
    kinds = (
        ("run_time", _("Run time"), _("started to ended")),
        ("wait_time", _("Time in queue"), _("queued to started")),
    )
    ended = {state: report.counts[State(state)] for state in ENDED if report.counts[State(state)]}
    n = sum(ended.values())
    states = list(ended) if reading.jobs.states else "ended"
    return Durations(
        timings=tuple(
            _timing(report.durations[kind], report.histogram[kind], title, note, n)
            for kind, title, note in kinds
            if report.durations[kind].n
        ),
        n=n,
        url=reading.jobs.url("list", state=states),
    )


def _timing(figures: Any, bins: Sequence[Any], title: str, note: str, ended: int) -> Timing:
    names = ("min", "p50", "avg", "p95", "max")
    label = _("%(what)s as a histogram, logarithmic: half below %(p50)s, one in twenty above %(p95)s") % {
        "what": title, "p50": formats.duration(figures.p50), "p95": formats.duration(figures.p95),
    }  # fmt: skip
    if figures.n != ended:
        note = f"{note} · {formats.count(figures.n)}"
    return Timing(
        title=title,
        note=note,
        figures=tuple((_("avg") if name == "avg" else name, getattr(figures, name)) for name in names),
        n=figures.n,
        histogram=charts.histogram([(b.low, b.high, b.n) for b in bins], figures.p50, figures.p95),
        label=label,
    )
