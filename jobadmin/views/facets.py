"""Pages about one dimension of the jobs: all names, all errors, one resource; and suggestions for the filter bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

from django.core.paginator import Page
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jobadmin import panels, suggestions
from jobadmin.filters import JobFilter, page_value
from jobadmin.paths import unquote
from jobadmin.redaction import redact_text
from jobadmin.resolver import resolver
from jobadmin.tracebacks import Part, Trace, bounded, shortened
from jobadmin.views.base import kept_columns, needs, numbered, page, page_number, render, render_filtered
from jobadmin.views.unchanged import unless_unchanged, version_of

#: Rows of a page of names; of a page of errors, each of which shows the message of its newest job.
NAMES_PER_PAGE, ERRORS_PER_PAGE = 100, 25
#: Newest jobs that the page of a resource lists.
NEWEST = 10


@needs("view_job")
@page
@unless_unchanged(lists_jobs=False)
@require_safe
def names(request: HttpRequest) -> HttpResponse:
    """Every job name with its numbers.  Source: one report, which has the names of this page alone; the run times of those that are
    shown."""
    jobs = JobFilter.from_request(request)
    rank = page_value(request, "rank", panels.ranks(), "-total")

    def read(skipped: int) -> panels.Reading:
        return panels.Reading(jobs=jobs, panels=("names",), **panels.needed(rank, NAMES_PER_PAGE, skipped=skipped, to_scale=True))

    reading = _read(request, "job_name", NAMES_PER_PAGE, read)
    matched, total = reading.totals
    table = panels.names(reading, rank, limit=None, kept=kept_columns(request))
    rows = _one_page(request, reading, table.rows, table.distinct, NAMES_PER_PAGE)
    shown = replace(table, rows=tuple(panels.timed(reading, list(rows))))
    context = {"title": _("Job names"), "rank": rank, "shown": shown, "rows": rows}
    return render_filtered(request, "names", jobs, context, matched=matched, total=total)


@needs("view_job")
@page
@unless_unchanged(lists_jobs=True)
@require_safe
def errors(request: HttpRequest) -> HttpResponse:
    """Every group of errors, or all about the one that is filtered by.  Source: one report, the newest job of each group."""
    jobs = JobFilter.from_request(request)
    tokens = jobs.tokens("error")
    if len(tokens) == 1 and not tokens[0].negative and not tokens[0].prefix:
        return _error_group(request, jobs, tokens[0].value)

    def read(skipped: int) -> panels.Reading:
        return panels.Reading(jobs=jobs, panels=("errors",), errors=ERRORS_PER_PAGE, skipped=skipped)

    reading = _read(request, "error", ERRORS_PER_PAGE, read)
    matched, total = reading.totals
    groups = _one_page(request, reading, reading.report.counts_by["error"], reading.report.distinct["error"], ERRORS_PER_PAGE)
    may_retry = resolver().may(request.user, "retry_job")
    context = {
        "title": _("Errors"),
        "rows": groups,
        "table": panels.error_rows(jobs, list(groups), may_retry=may_retry),
        "distinct": reading.report.distinct["error"],
        "may_retry": may_retry,
    }
    return render_filtered(request, "errors", jobs, context, matched=matched, total=total)


def _read(request: HttpRequest, field: str, size: int, read: Callable[[int], panels.Reading]) -> panels.Reading:
    """What is read for the page of values that the request names: the last one where there are fewer."""
    skipped = ((page_number(request) or 1) - 1) * size
    reading = read(skipped)
    last = max(reading.report.distinct[field] - 1, 0) // size * size
    return reading if skipped <= last else read(last)


def _one_page(request: HttpRequest, reading: panels.Reading, rows: Sequence[Any], number: int, size: int) -> Page:
    """The page that the request names, of a number of rows: those of other pages are not read.  Raises: BadFilter."""
    return numbered(request, [*repeat(None, reading.skipped), *rows, *repeat(None, number - reading.skipped - len(rows))], size)


def _error_group(request: HttpRequest, jobs: JobFilter, value: str) -> HttpResponse:
    """One group: since when, how often, in which jobs, and what the newest of them said."""
    rank = page_value(request, "rank", panels.ranks(), "-total")
    reading = panels.Reading(jobs=jobs, panels=("activity", "names", "errors"), seen=version_of(request), **panels.needed(rank))
    matched, total = reading.totals
    facet = next((facet for facet in reading.report.counts_by["error"] if facet.value == value), None)
    newest = jobs.query.first() if facet else None
    may_retry = resolver().may(request.user, "retry_job")
    context = {
        "title": _("Error"),
        "group": panels.error_rows(jobs, [facet], may_retry=may_retry)[0] if facet else None,
        "value": value,
        "newest": newest,
        "trace": _trace(newest),
        "activity": panels.guarded("activity", lambda: panels.activity(reading, _mode(request))),
        "names": panels.guarded("names", lambda: panels.names(reading, rank, kept=kept_columns(request))),
        "may_retry": may_retry,
    }
    return render_filtered(request, "error", jobs, context, matched=matched, total=total, url_name="errors")


def _trace(newest: Any | None) -> tuple[Part, ...]:
    """The traceback of the newest job of a group, as the page of that job shows it; redacted."""
    errors = newest.errors if newest else []
    last = bounded(errors[-1]) if errors else None
    if not isinstance(last, dict) or not last.get("traceback"):
        return ()
    return Trace.of({"traceback": redact_text(str(last["traceback"])), "frames": last.get("frames")}).parts


@needs("view_job")
@page
@unless_unchanged(lists_jobs=True)
@require_safe
def resource(request: HttpRequest, resource: str) -> HttpResponse:
    """The jobs of one resource: how many, how long, what failed last.  Source: one report, two short lists."""
    text = unquote(resource)
    seen = version_of(request)
    jobs = replace(JobFilter.from_request(request), at=seen.at).with_(resource=None)
    about = jobs.with_(resource=text)
    reading = panels.Reading(jobs=about, panels=("tiles", "activity", "durations"), seen=seen)
    matched, total = reading.totals
    failure = about.with_(state="failed", flag=None).query.order_by("-failed_at").first()
    context = {
        "title": text,
        "heading": text,
        "resource": text,
        "about": about,
        "panels": {
            "tiles": panels.guarded("tiles", lambda: panels.tiles(reading, "overview")),
            "activity": panels.guarded("activity", lambda: panels.activity(reading, _mode(request))),
            "durations": panels.guarded("durations", lambda: panels.durations(reading)),
        },
        "tiles_matched": sum(reading.tiles.counts.values()),
        "about_url": about.url("list"),
        "last_failure": failure,
        "last_message": shortened(redact_text(failure.error_summary or "")) if failure else "",
        "newest": about.query.limit(NEWEST).run(),
    }
    return render_filtered(
        request, "resource", jobs, context, matched=matched, total=total, path_args=(resource,), within=(("resource", text),)
    )


@needs("view_job")
@page
@require_safe
def suggest(request: HttpRequest, field: str) -> HttpResponse:
    """Values of a field that begin with (or hold) what was typed, with exact counts under the other filters."""
    if field not in suggestions.FIELDS:
        raise Http404(field)
    jobs = JobFilter.from_request(request)
    found = suggestions.suggest(jobs, field, request.GET.get("prefix", "")[:200])
    return render(request, "jobadmin/_suggestions.html", {"found": found, "field": field})


def _mode(request: HttpRequest) -> str:
    return page_value(request, "chart", panels.MODES, "count")
