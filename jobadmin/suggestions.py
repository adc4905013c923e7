"""Suggestions for the fields of the filter bar, with the number of jobs each would show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import statuses
from jobadmin.filters import EXACT, LABELS, JobFilter
from jobadmin.filters import FIELDS as TEXT_FIELDS
from jobadmin.redaction import redact_text
from jobadmin.tokens import Token
from statuses import Query, Tally

#: Parameter -> what the library counts by.
FIELDS = {**TEXT_FIELDS, "resource": EXACT["resource"]}
#: What the field of resources suggests besides, and how many of each: people type there whatever they know.
BESIDES = ("name", "queue", "user", "error")
MOST_BESIDES = 3
#: Suggestions shown at once.
MOST = 9
#: Values looked at for them, as some hold secrets.
MOST_COUNTED = 40


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """One value that could be filtered by."""

    token: str
    """As the URL writes it."""
    before: str
    """The text in three parts: before what was typed, that, and after it."""
    typed: str
    after: str
    count: int
    is_on: bool
    """True when it is filtered by already."""
    parameter: str = ""
    """What it filters by, where that is not what the field is for."""
    label: str = ""
    """The same in words."""


def suggest(jobs: JobFilter, field: str, typed: str) -> list[Suggestion]:
    """Values of `field` that hold `typed`: those beginning with it first, then by number of jobs.

    Counts are exact under all other filters.  Source: one read for all of them; nothing but versions where the store has not
    changed since the letter before.
    """
    text = Token.parse(typed).value if typed else ""
    most = {field: MOST} | (dict.fromkeys(BESIDES, MOST_BESIDES) if field == "resource" and typed else {})
    queries = {name: jobs.with_(**{name: None, "sort": None}).query for name in most}
    found = _holding(queries, text) if text else {name: _largest(query, name) for name, query in queries.items()}
    shown = {name: _shown(jobs, name, text, found[name], number) for name, number in most.items()}
    besides = (
        replace(one, parameter=name, label=str(LABELS[name])) for name in shown if name != field for one in shown[name][:MOST_BESIDES]
    )
    return [*shown[field], *besides]


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Values that hold what was typed, in the order in which they are offered."""

    counted: Iterable[tuple[str, int]]
    """Each with its jobs."""
    beginning: int = 0
    """How many begin with it, where all of those can be asked for at once."""
    jobs: int = 0
    """How many jobs those have."""


def _holding(queries: Mapping[str, Query], typed: str) -> dict[str, _Found]:
    """Of the values that jobs have those that hold it.  Source: one read, see `statuses.tallies`."""
    tallies = statuses.tallies(*((query, FIELDS[name]) for name, query in queries.items()))
    return {name: _held(tally, name, typed) for name, tally in zip(queries, tallies, strict=True)}


def _held(tally: Tally, name: str, typed: str) -> _Found:
    first, then = tally.holding(typed)
    if name not in TEXT_FIELDS:
        return _Found(counted=((tally.values[at], tally.totals[at]) for at in chain(first, then)))
    alike = [tally.totals[at] for at in first if tally.values[at].startswith(typed)]
    few = chain(first[:MOST_COUNTED], then[:MOST_COUNTED])
    return _Found(counted=((tally.values[at], tally.totals[at]) for at in few), beginning=len(alike), jobs=sum(alike))


def _largest(query: Query, name: str) -> _Found:
    """The most frequent.  Source: one answer, not a report: that would tell how many different ones there are, too."""
    field: Any = FIELDS[name]
    return _Found(counted=[(facet.value, facet.total) for facet in query.counts_by(field, MOST_COUNTED)])


def _shown(jobs: JobFilter, field: str, typed: str, found: _Found, most: int) -> list[Suggestion]:
    on = {str(token) for token in jobs.tokens(field)}
    # A value that holds a secret is none to suggest: neither may stand in an address.
    open_ones = islice(((value, total) for value, total in found.counted if redact_text(value) == value), most)
    shown = [_suggestion(str(Token(value)), value, typed, total, on) for value, total in open_ones]
    if found.beginning < 2:
        return shown
    pattern = Token(typed, prefix=True)  # everything that begins so
    return [*shown, _suggestion(str(pattern), pattern.words, typed, found.jobs, on)]


def _suggestion(token: str, words: str, typed: str, count: int, on: set[str]) -> Suggestion:
    at = words.casefold().find(typed.casefold()) if typed else -1
    # Folding may change lengths (ß): then nothing is marked, rather than the wrong letters.
    fits = at >= 0 and words[at : at + len(typed)].casefold() == typed.casefold()
    cut = (words[:at], words[at : at + len(typed)], words[at + len(typed) :]) if fits else (words, "", "")
    return Suggestion(token=token, before=cut[0], typed=cut[1], after=cut[2], count=count, is_on=token in on)
