"""The table of jobs: its columns, and a page of the store as django-tables2's data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from datetime import datetime
from functools import cached_property, lru_cache
from html import escape
from typing import Any

import django_tables2 as tables
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy
from django_tables2.data import TableData

from jobadmin import cells
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.formats import breakable, count, machine, moment, when
from jobadmin.paths import job_url
from jobadmin.places import places
from jobadmin.plans import applies
from jobadmin.redaction import redact_text
from jobadmin.remembered import piece, viewer
from jobadmin.standstill import Holds, holds
from jobadmin.tokens import Token
from jobadmin.tracebacks import shortened
from jobadmin.verbs import Verb
from jobadmin.words import gettext as _
from statuses import Query, State, Status, Statuses

#: Rows a page can have; the first is the default. More ids than the last do not fit into a selection's address.
ROWS = ("50", "100", "200")

#: What a position has in front when the page ends there instead of beginning.
BEFORE = "before:"

#: Resources of one job shown in its row; the others are counted.
_RESOURCES = 3

#: Columns that are always there, and those one can choose, with the usual choice.
FIXED = ("check", "state", "name", "actions")
USUAL = ("resources", "user", "queue", "recorded_at", "wait_time", "run_time", "outcome", "attempt")


class JobData(TableData):
    """The matching jobs, sorted by the store, of which one page is loaded when it is first looked at."""

    def __init__(self, query: Query, *, total: int, rows: int, cursor: str | None = None) -> None:
        super().__init__(query)
        self.total, self.rows, self.cursor = total, rows, cursor

    def __len__(self) -> int:
        """How many match, loaded or not."""
        return self.total

    def __iter__(self) -> Iterator[Status]:
        return iter(self.page)

    def __getitem__(self, key: int | slice) -> Any:
        """Jobs of the page: one, or a slice of them as a list."""
        return list(self.page)[key]

    def order_by(self, aliases: Sequence[str]) -> None:
        """Let the store sort by the first of `aliases`: a timestamp or a duration, ``-`` for descending."""
        if aliases:
            self.data = self.data.order_by(str(aliases[0]))
            self.__dict__.pop("page", None)

    @cached_property
    def page(self) -> Statuses:
        """The page the cursor points at.  Raises: BadFilter for a cursor nobody wrote, StoreUnavailable."""
        query = self.data
        try:
            if self.cursor and self.cursor.startswith(BEFORE):
                query = query.before(self.cursor.removeprefix(BEFORE))
            elif self.cursor:
                query = query.after(self.cursor)
            return query.limit(self.rows).run()
        except ValueError as error:
            raise BadFilter("after", (self.cursor or "")[:100], _("the position a page of this list ended at")) from error

    @property
    def verbose_name(self) -> str:
        return _("job")

    @property
    def verbose_name_plural(self) -> str:
        return _("jobs")


class JobColumn(tables.Column):
    """A column whose `cell` makes HTML from the whole job, and `value` plain text for an export."""

    def __init__(self, verbose_name: Any, *, css: str = "", label: bool = False, sort: str = "") -> None:
        super().__init__(verbose_name=verbose_name, orderable=bool(sort), empty_values=(), accessor="id")
        self.css, self.label = css, verbose_name if label else ""
        self.head_css = " ".join(name for name in css.split() if name in ("j-num", "j-opt", "j-opt2"))

    def __deepcopy__(self, memo: Any) -> JobColumn:
        """A table takes a copy of every column that it may change; nothing within one of ours is changed."""
        return copy(self)

    def opening(self) -> SafeString:
        """The tag around each of its cells."""
        css = format_html(' class="{}"', self.css) if self.css else ""
        label = format_html(' data-label="{}"', self.label) if self.label else ""
        return format_html('<td role="cell"{}{}>', css, label)

    #: What ends a cell.
    closing = mark_safe("</td>")

    def render(self, record: Status, table: JobTable) -> str:
        return self.cell(record, table)

    def cell(self, job: Status, table: JobTable) -> str:
        raise NotImplementedError


class CheckColumn(JobColumn):
    """The row's check box; works as a plain form field."""

    def cell(self, job: Status, table: JobTable) -> str:
        can = " ".join(verb.slug for verb in table.verbs if applies(verb, job))
        label = escape(table.words["select"] % {"id": job.id})
        return mark_safe(
            f'<input class="j-check" type="checkbox" name="id" value="{escape(str(Token(job.id)))}" form="j-picked" '
            f'data-can="{can}" aria-label="{label}"{" checked" if job.id in table.picked else ""}>'
        )


class StateColumn(JobColumn):
    """State, and on top of it the flags."""

    def cell(self, job: Status, table: JobTable) -> str:
        return mark_safe(" ".join(cells.badges(job, table.now)))

    def value(self, record: Status) -> str:
        return str(record.state)


class NameColumn(JobColumn):
    """What was run; leads to the job's page, and names the row."""

    closing = mark_safe("</th>")

    def opening(self) -> SafeString:
        return mark_safe('<th role="rowheader" scope="row">')

    def cell(self, job: Status, table: JobTable) -> str:
        name = table.shown(job.job_name) if job.job_name else table.words["unnamed"]
        # The whole name, where it is cut, and the id.
        title = f"{name} {job.id}" if len(name) > 64 else job.id
        return mark_safe(
            f'<a class="j-mono" href="{escape(job_url(job.id))}" title="{escape(title)}">{table.breakable(cells.cut(name, 64))}</a>'
        )


class ResourcesColumn(JobColumn):
    """What it works on, each a link to all jobs of it."""

    def cell(self, job: Status, table: JobTable) -> str:
        found = cells.resources(job)
        chips = [self._chip(text, shown, table) for text, shown in list(found.items())[:_RESOURCES]]
        if len(found) > _RESOURCES:
            more = _("%(n)s more") % {"n": count(len(found) - _RESOURCES)}
            chips.append(format_html('<a class="j-quiet" href="{}">+ {}</a>', job_url(job.id), more))
        return mark_safe(f'<span class="j-chips">{" ".join(chips)}</span>') if chips else cells.nothing()

    def _chip(self, text: str, shown: str, table: JobTable) -> SafeString:
        """A secret stands in no address either: what holds one leads nowhere."""
        if shown != text:
            return format_html('<span class="{}" title="{}">{}</span>', cells.chip_css(shown), shown, cells.cut(shown, 40))
        return table.remembered("resource", text, lambda: self._link(text, table))

    @staticmethod
    def _link(text: str, table: JobTable) -> SafeString:
        title = table.words["resource"] % {"resource": text}
        return mark_safe(
            f'<a class="{cells.chip_css(text)}" href="{escape(table.link("resource", text))}" '
            f'data-exclude="{escape(table.link("resource", text, without=True))}" title="{escape(title)}">{escape(cells.cut(text, 40))}</a>'
        )


class ValueColumn(JobColumn):
    """A text of a bounded dictionary; a click filters by it, with a modifier it leaves it out."""

    def __init__(self, verbose_name: Any, *, parameter: str, field: str, **extra: Any) -> None:
        super().__init__(verbose_name, label=True, **extra)
        self.parameter, self.field = parameter, field

    def cell(self, job: Status, table: JobTable) -> str:
        text = getattr(job, self.field)
        return table.value(self.parameter, text) if text else cells.nothing()


class MomentColumn(JobColumn):
    """A timestamp, said relative to now."""

    def __init__(self, verbose_name: Any, *, field: str, **extra: Any) -> None:
        super().__init__(verbose_name, label=True, sort=field, **extra)
        self.field = field

    def cell(self, job: Status, table: JobTable) -> str:
        at: datetime | None = getattr(job, self.field)
        if at is None:
            return cells.nothing()
        return mark_safe(f'<time datetime="{machine(at)}" title="{escape(moment(at))}">{escape(when(at, table.now))}</time>')


class WaitColumn(JobColumn):
    """How long it waited, or has been waiting."""

    def cell(self, job: Status, table: JobTable) -> str:
        seconds = job.wait_time
        if seconds is None and job.state == State.queued and job.queued_at:
            seconds = max(0.0, (table.now - job.queued_at).total_seconds())
        return cells.seconds(seconds)


class RunColumn(JobColumn):
    """How long it ran, or has been running."""

    def cell(self, job: Status, table: JobTable) -> str:
        seconds = job.run_time
        if seconds is None and job.state == State.started and job.started_at:
            seconds = max(0.0, (table.now - job.started_at).total_seconds())
        return cells.seconds(seconds)


class OutcomeColumn(JobColumn):
    """How far it is, or how it ended."""

    def cell(self, job: Status, table: JobTable) -> str:
        if job.state == State.started and job.progress is not None:
            return cells.progress(job, table.now)
        text, bad = cells.outcome(job, table.now)
        text = text or table.waits(job)
        if not text:
            return cells.nothing()
        whole = cells.cut(redact_text(text), 200)
        css, shown = ("j-outcome j-cut j-outcome--bad", shortened(whole)) if bad else ("j-outcome j-cut", whole)
        return mark_safe(f'<span class="{css}" title="{escape(whole)}">{escape(shown)}</span>')


class AttemptColumn(JobColumn):
    """Which run of the job this is, counted from one."""

    def cell(self, job: Status, table: JobTable) -> str:
        return count((job.attempt or 0) + 1)


class IdColumn(JobColumn):
    """The job's id, whole."""

    def cell(self, job: Status, table: JobTable) -> str:
        shown = escape(job.id)
        return mark_safe(f'<a class="j-mono" href="{escape(job_url(job.id))}" title="{shown}">{shown}</a>')


class ActionsColumn(JobColumn):
    """What can be done to this job."""

    def cell(self, job: Status, table: JobTable) -> str:
        return table.menus.of(job, table.ways(job.job_name) if job.job_name else ())


class JobTable(tables.Table):
    """The list of jobs. Sorting and paging are the store's; the table shows what it is given."""

    check = CheckColumn("", css="c-check")
    state = StateColumn(gettext_lazy("State"), css="c-state")
    name = NameColumn(gettext_lazy("Job name"))
    id = IdColumn(gettext_lazy("Id"), css="c-id j-opt", label=True)
    resources = ResourcesColumn(gettext_lazy("Resources"), css="c-res")
    user = ValueColumn(gettext_lazy("User"), parameter="user", field="user", css="c-value j-opt2")
    queue = ValueColumn(gettext_lazy("Queue"), parameter="queue", field="queue", css="c-value j-quiet j-opt")
    engine = ValueColumn(gettext_lazy("Engine"), parameter="engine", field="engine", css="c-value j-quiet j-opt")
    worker = ValueColumn(gettext_lazy("Worker"), parameter="worker", field="worker", css="c-value j-quiet j-opt")
    recorded_at = MomentColumn(gettext_lazy("Created"), field="recorded_at", css="c-when")
    queued_at = MomentColumn(gettext_lazy("Queued"), field="queued_at", css="j-opt")
    started_at = MomentColumn(gettext_lazy("Started"), field="started_at", css="j-opt")
    succeeded_at = MomentColumn(gettext_lazy("Succeeded"), field="succeeded_at", css="j-opt")
    failed_at = MomentColumn(gettext_lazy("Failed"), field="failed_at", css="j-opt")
    killed_at = MomentColumn(gettext_lazy("Killed"), field="killed_at", css="j-opt")
    kill_requested_at = MomentColumn(gettext_lazy("Kill requested"), field="kill_requested_at", css="j-opt")
    heartbeat_at = MomentColumn(gettext_lazy("Last heartbeat"), field="heartbeat_at", css="j-opt")
    wait_time = WaitColumn(gettext_lazy("Wait"), css="j-num j-opt", label=True, sort="wait_time")
    run_time = RunColumn(gettext_lazy("Run time"), css="j-num c-run", label=True, sort="run_time")
    outcome = OutcomeColumn(gettext_lazy("Progress or outcome"), css="c-out")
    attempt = AttemptColumn(gettext_lazy("Attempt"), css="j-num j-opt", label=True)
    actions = ActionsColumn(gettext_lazy("Actions"), css="j-num c-acts")

    class Meta:
        template_name = "jobadmin/_rows.html"

    def __init__(
        self,
        data: JobData,
        *,
        selection: JobFilter,
        now: datetime,
        verbs: Sequence[Verb] = (),
        columns: Sequence[str] = USUAL,
        picked: frozenset[str] = frozenset(),
        paused: Callable[[], Iterable[tuple[str, str]]] = tuple,
    ) -> None:
        """`paused`: asks for `statuses.version().paused`, where a row is queued."""
        self._paused = paused
        self.selection, self.now, self.verbs, self.picked = selection, now, verbs, picked
        self._links = lru_cache(lambda parameter: selection.links("list", parameter))
        self.menus = cells.Menus(verbs)
        # A page has few names, queues and users, each of them many times.
        self.shown, self.value, self.ways = lru_cache(redact_text), lru_cache(self._value), lru_cache(self._ways)
        self.breakable = lru_cache(breakable)
        shown = {*FIXED, *columns, selection.sort.removeprefix("-")}
        if not verbs:
            shown.discard("check")
        hidden = tuple(name for name in type(self).base_columns if name not in shown)
        super().__init__(data, exclude=hidden, order_by=selection.sort)

    @cached_property
    def _viewer(self) -> tuple[Any, ...]:
        return viewer()

    @cached_property
    def words(self) -> dict[str, str]:
        """What the cells say, translated once a table."""
        return {
            "select": _("Select job %(id)s"),
            "unnamed": _("(no name)"),
            "resource": _("Show jobs of %(resource)s; with Alt, the others"),
            "value": _("Show these; with Alt, the others"),
        }

    def _value(self, parameter: str, text: str) -> SafeString:
        """A value that a click filters by. A secret stands in no address either: what holds one leads nowhere."""
        shown = self.shown(text)
        if shown != text:
            return format_html('<span title="{}">{}</span>', shown, cells.cut(shown, 60))
        return self.remembered(parameter, text, lambda: self._value_link(parameter, text))

    def _value_link(self, parameter: str, text: str) -> SafeString:
        return format_html(
            '<a class="j-plain" href="{}" data-exclude="{}" title="{}">{}</a>',
            self.link(parameter, text),
            self.link(parameter, text, without=True),
            self.words["value"],
            cells.cut(text, 60),
        )

    def remembered(self, parameter: str, text: str, make: Callable[[], SafeString]) -> SafeString:
        """The link that filters by a value, made once for the same filter: rows come and go, their queues and resources stay."""
        key = self.selection.key
        return make() if key is None else mark_safe(piece("value in a row", (parameter, text, key), make, self._viewer))

    def _ways(self, name: str) -> Sequence[tuple[str, str, str]]:
        """To the jobs of this name, and to the others."""
        if self.shown(name) != name:
            return ()
        return (
            ("filter", self.link("name", name), _("Only this name")),
            ("x", self.link("name", name, without=True), _("Without this name")),
        )

    @cached_property
    def places(self) -> dict[str, int]:
        """Places in line of the rows that are queued; asked for where the column is shown."""
        return places(self.data)

    @cached_property
    def holds(self) -> Holds:
        """What holds up rows that are queued; asked for where the column is shown."""
        return holds(self.data, self._paused, self.now)

    def waits(self, job: Status) -> str:
        """What a job that is queued waits for; empty where nobody knows."""
        if job.state != State.queued:
            return ""
        line = (job.engine, job.queue)
        if line in self.holds.paused:
            return _("its queue is paused")
        if line in self.holds.unserved:
            return _("no worker takes from its queue")
        place = self.places.get(job.id)
        if not place:
            return ""
        return _("next in line") if place == 1 and job.engine not in self.holds.silent else _("place %(n)s in line") % {"n": count(place)}

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns shown; with the filter, whose order is theirs, all that their headings are made from."""
        return tuple(bound.name for bound in self.columns)

    @property
    def body(self) -> SafeString:
        """The rows, for the view to ask for: 600 cells cost half as much here as deep inside a template's calls."""
        columns = [(bound.column, bound.column.opening()) for bound in self.columns]
        rows = []
        for job in self.data:
            rows.append(f'<tr role="row" id="job-{escape(cells.anchor(job.id))}">')
            for column, opening in columns:
                cell = column.cell(job, self)
                rows += (opening, cell if isinstance(cell, SafeString) else escape(cell), column.closing)
            rows.append("</tr>\n")
        return mark_safe("".join(rows))

    def link(self, parameter: str, text: str, *, without: bool = False) -> str:
        """List of the jobs that have, or do not have, `text`, within the present filter."""
        if not without:
            return self._links(parameter)(text)
        kept = self.selection.tokens(parameter)
        if not kept:
            return self._links(parameter)(Token(text, negative=True))
        return self.selection.url("list", **{parameter: [*kept, Token(text, negative=True)]})

    def sort_url(self, column: str) -> str:
        """The list sorted by a column: first descending, the other way round when it is already."""
        present = self.selection.sort
        return self.selection.url("list", sort=column if present == f"-{column}" else f"-{column}")


def choosable() -> dict[str, Any]:
    """Columns one can choose, name to heading, in their order."""
    return {name: column.verbose_name for name, column in JobTable.base_columns.items() if name not in FIXED}


def always() -> dict[str, Any]:
    """Columns that are always there, but those of boxes and buttons, name to heading."""
    return {name: JobTable.base_columns[name].verbose_name for name in FIXED if name not in ("check", "actions")}
