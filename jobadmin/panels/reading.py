"""The numbers of one page view, read from the store once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

import statuses
from jobadmin import spans
from jobadmin.filters import JobFilter
from jobadmin.panels import kept
from statuses import State

#: Panels of the overview; a part of the page can be asked for by these names.
PANELS = ("tiles", "activity", "durations", "names", "errors")
#: Names and errors that the overview shows; each has a page with all of them.
TOP_NAMES, TOP_ERRORS = 10, 7
#: The order of the names that most jobs have, and that of the other column with bars.
LARGEST, WORST = "-total", "-failure_rate"
#: Jobs that all lie in this part of the span, at its end, are drawn from the first of them on.
YOUNG = 12
#: Bars of a histogram.
BINS = 36
#: Entered last of all: only jobs in these states have a run time.
ENDED = ("succeeded", "failed", "killed")


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
    order: str = LARGEST
    """Which of them, in the library's words."""
    skipped: int = 0
    """How many names, or errors, come before those that are wanted."""
    to_scale: bool = False
    """Whether the longest bars of all names are wanted, too."""
    timed: bool = True
    """Whether the run times of that many are; `run_times` tells of a few."""
    errors: int = TOP_ERRORS
    seen: statuses.Version | None = None
    """The version of the store, where it is known already."""

    @cached_property
    def grid(self) -> spans.Grid | None:
        """The buckets of the chart; None when there is nothing to draw."""
        window, preset = self.jobs.window, self.jobs.preset
        if self.young is not None:
            return spans.grid(*self.young)
        if window.after is not None and window.before is not None:
            return spans.grid(window.after, window.before, preset.step if preset else None)
        bounds = self._bounds
        return spans.grid(window.after or bounds[0], window.before or bounds[1]) if bounds else None

    @cached_property
    def young(self) -> tuple[datetime, datetime] | None:
        """From when to when there are jobs, where all that lie in the span are much younger than it: a week's chart of its last
        hour would be one bar. None where they are not. What is older than the span, and what is filtered by, counts for nothing.
        Source: the versions of the segments; the segments that hold the span's beginning, once it is known that there are any."""
        preset, now = self.jobs.preset, self.jobs.now
        if preset is None or self.jobs.by != "recorded_at":
            return None
        recent = spans.floor(now - preset.length / YOUNG, preset.step)
        every = statuses.all()
        if self.since is None or (self.since < recent and every.where(recorded_at=(self.jobs.after, recent)).exists()):
            return None
        bounds = every.where(recorded_at=(recent, self.jobs.before)).report(bounds=True).bounds
        return (bounds[0], now) if bounds and bounds[0] <= now else None

    @cached_property
    def version(self) -> statuses.Version:
        """Source: the versions of the segments, one small read, unless known."""
        return self.seen or statuses.version()

    @property
    def since(self) -> datetime | None:
        """When the first job of all was recorded; None without any."""
        return self.version.since

    @property
    def _bounds(self) -> tuple[datetime, datetime] | None:
        """The first and the last moment that a span without bounds holds, whatever the state."""
        query, by = self.jobs.with_(state=None, flag=None, sort=None).query, self.jobs.by
        if by == "recorded_at":
            return kept.reports(self.lasting, {"bounds": (query, {"bounds": True})})["bounds"].bounds
        query = query.where(**{by: (None, None)})
        first, last = query.order_by(by).first(), query.order_by(f"-{by}").first()
        return (getattr(first, by), getattr(last, by)) if first and last else None

    @property
    def report(self) -> Any:
        """Everything about the jobs that match."""
        return self._counted["report"]

    @cached_property
    def _counted(self) -> dict[str, Any]:
        """The reports that need no other: about what matches, and for the tiles about what states and flags leave out, and about
        the stretch before.  Source: one read of the columns."""
        query, questions = self.jobs.query, {"counts": True, "flags": True, **self._asked}
        asked: dict[str, kept.Question] = {"report": (query, questions)}
        if "tiles" in self.panels and {"state", "flag"} & self.jobs.given.keys():
            asked["tiles"] = self._wider
        if "tiles" in self.panels and (earlier := self._earlier) is not None:
            asked["before"] = (earlier.query, {"counts": True, "flags": True})
        if self.to_scale:
            asked |= {order: (query, {"counts_by": {"job_name": (order, 1)}}) for order in (LARGEST, WORST)}
        found = kept.known(self.lasting, query, questions)
        if found is not None:
            # Signs of life move without a new version: they are read each time, and with them whether it is still the same.
            reports = kept.reports(None, {**asked, "report": (query, {"flags": True})})
            if reports["report"].version == found.version:
                return {**reports, "report": replace(found, flags=reports["report"].flags)}
        reports = kept.reports(None, asked)
        kept.keep_report(self.lasting, query, questions, reports["report"])
        return reports

    @cached_property
    def lasting(self) -> statuses.Version | None:
        """The version that answers about these jobs hold for; None where they move without a new one, or are too large to keep."""
        moves = self.jobs.by == "heartbeat_at" or any("stale" in value for value in self.jobs.given.get("flag", ()))
        return None if moves or (self.names, self.errors) != (TOP_NAMES, TOP_ERRORS) else self.seen

    @property
    def _asked(self) -> dict[str, Any]:
        """What the panels need beside the counts, as arguments of a report."""
        asked: dict[str, Any] = {"counts_by": {}}
        if {"tiles", "activity"} & set(self.panels):
            asked["timeline"] = self._timeline
        if "durations" in self.panels:
            asked |= {"durations": ("run_time", "wait_time"), "histogram": {"run_time": BINS, "wait_time": BINS}}
        if "names" in self.panels:
            asked["counts_by"]["job_name"] = (self.order, self.names, self.skipped)
            if self.timed:
                asked["durations_by"] = {"job_name": ("run_time", self.names)}
        if "errors" in self.panels:
            asked["counts_by"]["error"] = (LARGEST, self.errors, self.skipped)
        return asked

    @property
    def scale(self) -> list[Any]:
        """Reports of the names whose bars are the longest; none where only those that are shown are compared."""
        return [self._counted[order] for order in (LARGEST, WORST)] if self.to_scale else []

    def run_times(self, names: Sequence[str]) -> Mapping[str, statuses.Durations]:
        """How long the jobs of some names took: those with most jobs need not be those with most that ran, which the report has.
        Source: one more read."""
        question = (self.jobs.query.where(job_name=list(names)), {"durations_by": {"job_name": ("run_time", None)}})
        return kept.reports(self.lasting, {"times": question})["times"].durations_by["job_name"]

    @cached_property
    def tiles(self) -> Any:
        """The counts by state whatever states and flags are asked for."""
        if not ({"state", "flag"} & self.jobs.given.keys()):
            return self.report
        return self._counted["tiles"] if "tiles" in self._counted else statuses.together(self._wider)[0]

    @property
    def _wider(self) -> tuple[statuses.Query, dict[str, Any]]:
        return self.jobs.with_(state=None, flag=None).query, {"counts": True, "flags": True, "timeline": self._timeline}

    def of_flag(self, flag: str) -> list[int]:
        """The jobs that carry a flag, bucket by bucket."""
        report = self._flagged.get(flag)
        return [] if report is None else [sum(bucket.counts.values()) for bucket in report.timeline or ()]

    @property
    def silent(self) -> Any | None:
        """Of the jobs without a sign of life, which worker has most, in `counts_by`; None where there are none."""
        return self._flagged.get("stale")

    @cached_property
    def _flagged(self) -> dict[str, Any]:
        """Flag -> a report about the jobs that carry it.  Source: one read; none where no job carries any."""
        asked = {}
        for flag, number in flag_counts(self.tiles).items():
            if number:
                questions = {"timeline": self._timeline, "counts_by": {"worker": 1} if flag == "stale" else {}}
                asked[flag] = (self.jobs.with_(state=None, flag=flag, sort=None).query, questions)
        return kept.reports(self.lasting, asked, moving=("stale",))

    @property
    def before(self) -> Any | None:
        """The same counts in the stretch before; None where there is none, or the first job came later than it begins: what is
        compared with half a stretch grows of itself."""
        return self._counted.get("before")

    @property
    def _earlier(self) -> JobFilter | None:
        """The jobs of the stretch before, where all of it can be compared with."""
        previous = self.jobs.with_(state=None, flag=None).previous()
        return None if previous is None or self.since is None or self.since > previous.after else previous

    @cached_property
    def totals(self) -> tuple[int, int]:
        """How many match, and how many there are: asked one right after the other, as new jobs keep coming. Where everything
        matches the one is the other."""
        matched = sum(self.report.counts.values())
        return matched, matched if self.jobs.is_everything else statuses.all().count()

    @property
    def _timeline(self) -> Mapping[str, Any] | None:
        grid = self.grid
        if grid is None:
            return None
        return {"on": self.jobs.by, "after": grid.start, "before": grid.end, "buckets": grid.buckets}


def flag_counts(report: Any) -> dict[str, int]:
    """Jobs that carry each flag: asked to die and not ended; started without a sign of life."""
    requested = report.flags["kill_requested"]
    return {
        "kill_requested": sum(n for state, n in requested.items() if state not in ENDED),
        "stale": report.flags["stale"],
    }


def series_by_state(report: Any) -> dict[str, list[int]]:
    """State -> its counts bucket by bucket."""
    buckets = report.timeline or ()
    return {name: [bucket.counts[name] for bucket in buckets] for name in map(str, State)}
