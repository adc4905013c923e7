"""The overview: how many jobs, in which states, since when, how long they take, and why they fail."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jobadmin import fleet, health, panels, queues, standstill
from jobadmin.answers import LATELY
from jobadmin.filterbar import FilterBar
from jobadmin.filters import JobFilter, page_value
from jobadmin.resolver import resolver
from jobadmin.views.base import kept_columns, needs, page, render, render_filtered, wants_part
from jobadmin.views.unchanged import unless_unchanged, version_of
from statuses import State


@needs("view_job")
@page
@unless_unchanged(lists_jobs=False)
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """The jobs of the filter in numbers.  Source: one report, and one about the period before; while jobs wait, what
    workers told last; what queues told that hold back together."""
    jobs = JobFilter.from_request(request)
    seen = version_of(request)
    jobs = replace(jobs, at=seen.at)
    mode = page_value(request, "chart", panels.MODES, "count")
    rank = page_value(request, "rank", panels.ranks(), "-total")
    part = page_value(request, "part", ("all", *panels.PANELS), "all")
    if part != "all" and wants_part(request):
        return one_panel(request, jobs, part, mode, rank)
    reading = panels.Reading(jobs=jobs, seen=seen, **panels.needed(rank))
    matched, total = reading.totals
    paused, waiting = held(jobs, reading), reading.tiles.counts[State.queued]
    of_all = waiting and is_everything(jobs)
    told = fleet.read(queues=False, manner=LATELY) if of_all else fleet.of(jobs)
    context = {
        "title": _("Jobs"),
        "panels": {name: panels.guarded(name, make) for name, make in makers(reading, mode, rank, kept_columns(request)).items()},
        "tiles_matched": sum(reading.tiles.counts.values()),
        "may_retry": resolver().may(request.user, "retry_job"),
        "stale": panels.stale(reading),
        "paused": fleet.paused(jobs, told),
        "unserved": queues.unserved(jobs, told),
        "held": paused,
        "held_waiting": sum(queue.waiting for queue in paused),
        "waiting": waiting,
        "nobody": standstill.nobody(told, jobs.now) if of_all else None,
        "silent": told.silent,
        "dropping": health.dropping(),
    }
    return render_filtered(request, "overview", jobs, context, matched=matched, total=total)


def held(jobs: JobFilter, reading: panels.Reading) -> list[fleet.Held]:
    """The paused queues, on the overview of everything; about one queue `paused` says more.
    Source: the version of the store, which the panels of such a page read too; see `fleet.held`."""
    return fleet.held(reading.version.paused) if is_everything(jobs) else []


def is_everything(jobs: JobFilter) -> bool:
    """Whether the page is about all jobs of a span that follows the clock: then what hinders any of them is told."""
    return bool(jobs.span) and jobs.by == "recorded_at" and not jobs.is_narrowed


def makers(reading: panels.Reading, mode: str, rank: str, kept: Collection[str] = ()) -> dict[str, Callable[[], Any]]:
    """Panel -> what makes it."""
    return {
        "tiles": lambda: panels.tiles(reading, "overview"),
        "activity": lambda: panels.activity(reading, mode),
        "durations": lambda: panels.durations(reading),
        "names": lambda: panels.names(reading, rank, kept=kept),
        "errors": lambda: panels.errors(reading),
    }


def one_panel(request: HttpRequest, jobs: JobFilter, name: str, mode: str, rank: str) -> HttpResponse:
    """A panel by itself, to take the place of one that failed."""
    reading = panels.Reading(jobs=jobs, panels=(name,), **panels.needed(rank))
    panel = panels.guarded(name, makers(reading, mode, rank)[name])
    bar = FilterBar(jobs=jobs, view="overview", matched=0, total=0)
    context = {"filter": jobs, "bar": bar, "view": "overview", "panel": panel, "template": f"jobadmin/_{name}.html"}
    context["may_retry"] = resolver().may(request.user, "retry_job")
    return render(request, "jobadmin/_panel.html", context)
