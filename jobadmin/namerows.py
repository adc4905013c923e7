"""The rows of the table of job names: a hundred rows of eight links are written here, a template would take ten times as long.

Everything a job carries is escaped where it enters: the name once a row, the addresses once a column.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from html import escape

from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from jobadmin.filterbar import FilterBar
from jobadmin.filters import JobFilter
from jobadmin.formats import NOTHING, STATE_WORDS, breakable, count, cut, duration
from jobadmin.panels.ranking import NameRow, NameTable
from jobadmin.redaction import redact_text
from jobadmin.remembered import piece, viewer

#: Characters of a name that are shown.
LONGEST_NAME = 80


def name_rows(table: NameTable, jobs: JobFilter, bar: FilterBar) -> SafeString:
    """The rows, each number a link to the list of exactly those jobs; `bar` makes the links that leave a name out."""
    rows, place = Rows(table, jobs, bar), (jobs.key, bar.key, table.states, table.most_total, table.most_failure)
    shown = ((row, redact_text(row.value)) for row in table.rows)
    if None in place:
        return mark_safe("\n".join(rows.html(row, name) for row, name in shown))
    looks = viewer()
    return mark_safe("\n".join(piece("row of a name", (row, name, *place), partial(rows.html, row, name), looks) for row, name in shown))


class Rows:
    """What the rows of one table have in common: words and addresses, made once, and only where a row is made anew."""

    def __init__(self, table: NameTable, jobs: JobFilter, bar: FilterBar) -> None:
        self.table, self.jobs, self.bar = table, jobs, bar

    @cached_property
    def without(self) -> Callable[[str], str]:
        return self.bar.without("name")

    @cached_property
    def of_name(self) -> Callable[[str], str]:
        return self.jobs.links("list", "name")

    @cached_property
    def of_state(self) -> dict[str, Callable[[str], str]]:
        return {state: self.jobs.links("list", "name", state=state) for state in self.table.states}

    @cached_property
    def by_run_time(self) -> Callable[[str], str]:
        return self.jobs.links("list", "name", sort="-run_time")

    @cached_property
    def words(self) -> dict[str, str]:
        return {state: escape(str(STATE_WORDS[state])) for state in self.table.states}

    @cached_property
    def spoken(self) -> dict[str, str]:
        return {state: word.lower() for state, word in self.words.items()}

    @cached_property
    def said(self) -> dict[str, str]:
        return {"hint": escape(_("Show these; with Alt, the others")), "total": escape(_("Total")), "rate": escape(_("Failure rate"))}

    def html(self, row: NameRow, shown: str) -> str:
        """One row, its name as `shown`."""
        is_open, name = shown == row.value, escape(cut(shown, LONGEST_NAME))
        address = self.of_name(row.value) if is_open else ""
        cells = "".join(self._count(row, state, row.counts[state], name, is_open) for state in self.table.states)
        total = self._with_bar(count(row.total), row.total, self.table.most_total)
        return (
            f'<tr role="row"><th role="rowheader" scope="row">{self._name(row, name, breakable(cut(shown, LONGEST_NAME)), address)}</th>'
            f'<td role="cell" class="j-num" data-label="{self.said["total"]}">{_link(address, total)}</td>{cells}'
            f'<td role="cell" class="j-num" data-label="{self.said["rate"]}">{self._failure(row, is_open)}</td>'
            f'<td role="cell" class="j-num" data-label="p95">{self._p95(row, is_open)}</td></tr>'
        )

    def _name(self, row: NameRow, name: str, inside: str, address: str) -> str:
        if not address:
            return _link("", inside, "j-drill j-mono")
        exclude, title = escape(self.without(row.value)), f"{name}&#10;{self.said['hint']}"
        return f'<a class="j-drill j-mono" href="{escape(address)}" data-exclude="{exclude}" title="{title}">{inside}</a>'

    def _count(self, row: NameRow, state: str, number: int, name: str, is_open: bool) -> str:
        cell = f'<td role="cell" class="j-num" data-label="{self.words[state]}">'
        if not number:
            return cell + '<span class="is-nil">0</span></td>'
        words = count(number)
        address = self.of_state[state](row.value) if is_open else ""
        return f"{cell}{_link(address, words, label=f'{words} {self.spoken[state]}, {name}')}</td>"

    def _failure(self, row: NameRow, is_open: bool) -> str:
        if not row.ended:
            return f'<span class="is-nil">{row.failure_words}</span>'
        inside = self._with_bar(escape(row.failure_words), row.failure, self.table.most_failure, " s-failed")
        if not row.counts["failed"]:
            return f'<span class="j-drill is-nil">{inside}</span>'
        return _link(self.of_state["failed"](row.value) if is_open else "", inside, "j-drill j-strong" if row.is_notable else "j-drill")

    def _p95(self, row: NameRow, is_open: bool) -> str:
        if row.p95 is None:
            return f'<span class="is-nil">{NOTHING}</span>'
        return _link(self.by_run_time(row.value) if is_open else "", self._with_bar(escape(duration(row.p95)), row.p95_bar, 1))

    def _with_bar(self, words: str, part: float, whole: float, colours: str = "") -> str:
        """The words and their bar; without it where there are so many columns that names would be cut for it."""
        if not self.table.has_bars:
            return words
        return f'<span class="j-withbar">{words}{bar_markup(part, whole, colours)}</span>'


def _link(address: str, inside: str, css: str = "j-drill", *, label: str = "") -> str:
    """`inside`, which is markup, as a link; without an address, which would hold a secret, as it is."""
    if not address:
        return f'<span class="{css}">{inside}</span>'
    spoken = f' aria-label="{label}"' if label else ""
    return f'<a class="{css}" href="{escape(address)}"{spoken}>{inside}</a>'


def bar_markup(part: float, whole: float, colours: str = "") -> str:
    """A small horizontal bar: its length is an attribute, so that no inline style is needed. `colours`: more classes, escaped."""
    width = f"{min(100.0, 100 * part / whole) if whole else 0.0:.3f}".rstrip("0").rstrip(".")
    return (
        f'<svg class="j-bar{colours}" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width}" height="6"/></svg>'
    )
