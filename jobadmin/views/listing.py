"""The list: the matching jobs a page at a time, to sort, select and act on."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from jobadmin import fleet, queues, spans
from jobadmin.filters import DEFAULTS, BadFilter, JobFilter
from jobadmin.formats import count
from jobadmin.parameters import TIMES, whole
from jobadmin.plans import measure, plans
from jobadmin.resolver import resolver
from jobadmin.strip import strip
from jobadmin.tables import BEFORE, ROWS, USUAL, JobData, JobTable, always, choosable
from jobadmin.verbs import BULK, Verb
from jobadmin.views.base import needs, page, render_filtered
from jobadmin.views.unchanged import unless_unchanged, version_of
from statuses import Query

#: Where a viewer's choice of columns and rows is kept between pages.
_SESSION = "jobadmin_list"


@needs("view_job")
@page
@unless_unchanged(lists_jobs=True)
@require_safe
def job_list(request: HttpRequest) -> HttpResponse:
    """The jobs of the filter.  Source: one read of the store for all counts, one page of records."""
    jobs = JobFilter.from_request(request)
    view = ListView.of(request)
    census = measure(jobs.query)
    total = census.total
    verbs = allowed(request)
    held = Held.of(request, jobs, total)
    data = JobData(held.query, total=total, rows=view.rows, cursor=jobs.cursor)
    told = fleet.of(jobs)
    table = JobTable(data, selection=jobs, now=jobs.now, verbs=verbs, columns=view.columns, paused=lambda: version_of(request).paused)
    context = {
        "title": _("Jobs"),
        "table": table,
        "body": table.body,
        "pager": Pager.of(request, jobs, data, view),
        "columns": tuple((name, heading, name in view.columns) for name, heading in choosable().items()),
        "always": list(always().values()),
        "rows": ROWS,
        "hold": held.parameter,
        "arrived": held.arrived,
        "silent": told.silent,
        "paused": fleet.paused(jobs, told),
        "unserved": queues.unserved(jobs, told),
        "caption": _caption(jobs, total),
        "here": jobs.url("list", after=jobs.cursor),
        "plans": tuple(plans(census, [verb.slug for verb in verbs])),
        "strip": strip(jobs, census.report),
        "is_new": not total and not jobs.is_narrowed and not jobs.with_(span="all").query.exists(),
    }
    return render_filtered(request, "list", jobs, context, matched=total, total=total if jobs.is_everything else None)


def _caption(jobs: JobFilter, total: int) -> str:
    """What the table holds, for those who do not see it."""
    number = ngettext("%(n)s job", "%(n)s jobs", total) % {"n": count(total)}
    if jobs.sort == DEFAULTS["sort"]:
        return _("%(jobs)s, newest first") % {"jobs": number}
    by = jobs.sort.removeprefix("-")
    # There is a moment that no column shows: the end, whatever it was.
    return _("%(jobs)s, sorted by %(column)s") % {"jobs": number, "column": choosable().get(by) or TIMES[by]}


def allowed(request: HttpRequest) -> list[Verb]:
    """The bulk verbs this viewer may use; the others are not shown."""
    return [verb for verb in BULK.values() if resolver().may(request.user, verb.permission)]


@dataclass(frozen=True, kw_only=True)
class Held:
    """The rows of a live page stay where they are: what came since the page was opened waits for a click."""

    query: Query
    arrived: int
    """Matching jobs that are newer than the rows shown."""
    parameter: str
    """For the next live look, which brings it back; empty where rows are not in order of age."""

    @classmethod
    def of(cls, request: HttpRequest, jobs: JobFilter, total: int) -> Held:
        """Source: nothing for a page just opened; one more count for a live look.  Raises: BadFilter."""
        if jobs.sort != DEFAULTS["sort"] or jobs.cursor:
            return cls(query=jobs.query, arrived=0, parameter="")
        upto = request.GET.get("upto") if "live" in request.GET else None
        if upto is None:
            return cls(query=jobs.query, arrived=0, parameter=f"upto={quote(spans.written(jobs.now))}")
        try:
            query = jobs.query.where(recorded_at=(None, spans.parse(upto, end_of_day=False)))
        except ValueError as error:
            raise BadFilter("upto", upto[:100], _("a time in ISO 8601")) from error
        return cls(query=query, arrived=total - query.count(), parameter=f"upto={quote(upto)}")


@dataclass(frozen=True, kw_only=True)
class ListView:
    """How a viewer wants the list: taken from the address, else as it was the last time."""

    rows: int
    columns: tuple[str, ...]

    @classmethod
    def of(cls, request: HttpRequest) -> ListView:
        """Raises: BadFilter."""
        kept = request.session.get(_SESSION, {})
        rows = _one_of("per", request.GET.get("per") or kept.get("per") or ROWS[0], ROWS)
        # The form says that columns were chosen also where none was: the fixed ones stay.
        wanted = request.GET.getlist("columns") if "columns" in request.GET else kept.get("columns", USUAL)
        known = choosable()
        columns = tuple(_one_of("columns", name, known) for entry in wanted for name in entry.split(",") if name)
        if "per" in request.GET or "columns" in request.GET:
            request.session[_SESSION] = {"per": rows, "columns": list(columns)}
        return cls(rows=int(rows), columns=columns)


@dataclass(frozen=True, kw_only=True)
class Pager:
    """Where a page lies in the list, and the ways to its neighbours."""

    first: int
    last: int
    total: int
    shown: int
    """Jobs on this page."""
    per: str
    """Rows a page, as its field offers them."""
    newer: str | None
    older: str | None
    by_age: bool
    """Sorted by a moment, latest first: the neighbours are newer and older jobs."""

    @classmethod
    def of(cls, request: HttpRequest, jobs: JobFilter, data: JobData, view: ListView) -> Pager:
        """The position is counted along in the address: a cursor knows its neighbours, not how many lie before it."""
        text = request.GET.get("page", "1")
        if (number := whole(text)) is None:
            raise BadFilter("page", text[:100], "a number")
        number = max(1, number) if jobs.cursor else 1
        shown = len(data.page)
        first = (number - 1) * view.rows + 1 if shown else 0
        return cls(
            first=first,
            last=min(data.total, first + shown - 1) if shown else 0,
            total=data.total,
            shown=shown,
            per=str(view.rows),
            newer=_neighbour(jobs, data.page.previous and BEFORE + data.page.previous, number - 1),
            older=_neighbour(jobs, data.page.next, number + 1),
            by_age=jobs.sort.startswith("-") and jobs.sort.endswith("_at"),
        )

    @property
    def newer_word(self) -> str:
        return _("Newer") if self.by_age else _("Previous")

    @property
    def older_word(self) -> str:
        return _("Older") if self.by_age else _("Next")

    @property
    def words(self) -> str:
        """ "51 – 100"."""
        return f"{count(self.first)} – {count(self.last)}"


def _neighbour(jobs: JobFilter, cursor: str | None, number: int) -> str | None:
    if cursor is None:
        return None
    if number <= 1:
        return jobs.url("list", after=None)
    return jobs.url("list", after=cursor, page=str(number))


def _one_of(parameter: str, value: str, allowed: object) -> str:
    if value not in allowed:
        raise BadFilter(parameter, str(value)[:100], ", ".join(allowed))
    return value
