"""The pages of queues and workers: what stands and runs now, whatever the filter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jobadmin import queues as queues_page
from jobadmin import workers as workers_page
from jobadmin.filterbar import FilterBar
from jobadmin.filters import JobFilter
from jobadmin.views.base import needs, page, render, wants_part

#: Seconds between two looks of a page that is live.
REFRESH_SECONDS = 5


@needs("view_job")
@page
@require_safe
def queues(request: HttpRequest) -> HttpResponse:
    """Every queue: what waits, since when, who takes it, how fast."""
    jobs = JobFilter()
    return _render(request, "queues", jobs, {"title": _("Queues"), "shown": queues_page.read(jobs)})


@needs("view_job")
@page
@require_safe
def workers(request: HttpRequest) -> HttpResponse:
    """Every worker, or those that take from one queue."""
    tokens = JobFilter.from_request(request).tokens("queue")
    queue = tokens[0].value if len(tokens) == 1 and not tokens[0].negative and not tokens[0].prefix else ""
    jobs = JobFilter().with_(queue=queue or None)
    return _render(request, "workers", jobs, {"title": _("Workers"), "shown": workers_page.read(jobs, queue)})


def _render(request: HttpRequest, name: str, jobs: JobFilter, context: Mapping[str, Any]) -> HttpResponse:
    bar = FilterBar(jobs=jobs, view=name, matched=0, total=0)
    frame = {"filter": jobs, "bar": bar, "view": name, "main": f"jobadmin/_{name}_main.html", "refresh_seconds": REFRESH_SECONDS}
    template = "jobadmin/_now_swap.html" if wants_part(request) else f"jobadmin/{name}.html"
    return render(request, template, {**frame, **context})
