"""Suggestions for the fields of the filter bar, with the number of jobs each would show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import statuses
from jobadmin.filters import EXACT, LABELS, JobFilter
from jobadmin.filters import FIELDS as TEXT_FIELDS
from jobadmin.redaction import redact_text
from jobadmin.tokens import Token
from statuses import FacetCount, Query

#: Parameter -> what the library counts by.
FIELDS = {**TEXT_FIELDS, "resource": EXACT["resource"]}
#: What the field of resources suggests besides, and how many of each: people type there whatever they know.
BESIDES = ("name", "queue", "user", "error")
MOST_BESIDES = 3
#: Suggestions shown at once.
MOST = 9
#: Values counted for them: some hold secrets.
MOST_COUNTED = 40
#: Resources looked through for a match: they have no dictionary.
EVERY = 100_000


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

    Counts are exact under all other filters.  Source: one report; for resources one more for each of BESIDES.
    """
    if field == "resource" and typed:
        return [*_suggest(jobs, field, typed, MOST), *(found for other in BESIDES for found in _besides(jobs, other, typed))]
    return _suggest(jobs, field, typed, MOST)


def _besides(jobs: JobFilter, field: str, typed: str) -> list[Suggestion]:
    return [
        replace(found, parameter=field, label=str(LABELS[field])) for found in _suggest(jobs, field, typed, MOST_BESIDES)[:MOST_BESIDES]
    ]


def _suggest(jobs: JobFilter, field: str, typed: str, most: int) -> list[Suggestion]:
    typed = Token.parse(typed).value if typed else ""
    query = jobs.with_(**{field: None, "sort": None}).query
    found = _known(query, FIELDS[field], typed) if field in TEXT_FIELDS and typed else _counted(query, FIELDS[field], typed)
    on = {str(token) for token in jobs.tokens(field)}
    # A value that holds a secret is none to suggest: neither may stand in an address.
    open_ones = islice((facet for facet in found.facets if redact_text(facet.value) == facet.value), most)
    shown = [_suggestion(str(Token(facet.value)), facet.value, typed, facet.total, on) for facet in open_ones]
    if found.beginning < 2:
        return shown
    pattern = Token(typed, prefix=True)  # everything that begins so
    return [*shown, _suggestion(str(pattern), pattern.words, typed, found.jobs, on)]


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Values that hold what was typed, in the order in which they are offered."""

    facets: Iterable[FacetCount]
    beginning: int = 0
    """How many begin with it, where all of those can be asked for at once."""
    jobs: int = 0
    """How many jobs those have."""


def _known(query: Query, clause: Any, typed: str) -> _Found:
    """Of the values in a dictionary those that hold it: the few that are offered are counted, however many there are.
    Source: the dictionary, one report for each of three sets of values from one read."""
    folded, known = typed.casefold(), list(statuses.all().values(clause))
    first = [value for value in known if value.casefold().startswith(folded)]
    then = [value for value in known if folded in value.casefold() and not value.casefold().startswith(folded)]
    alike = [value for value in first if value.startswith(typed)]
    asked = {"counts": True, "counts_by": {clause: MOST_COUNTED}}
    begin, hold, same = statuses.together(*((query.where(**{clause: values}), asked) for values in (first, then, alike)))
    return _Found(
        facets=[*begin.counts_by[clause], *hold.counts_by[clause]], beginning=same.distinct[clause], jobs=sum(same.counts.values())
    )


def _counted(query: Query, clause: Any, typed: str) -> _Found:
    """Those of what has no dictionary, or the most frequent.  Source: one report."""
    folded = typed.casefold()
    counted = query.report(counts_by={clause: EVERY if typed else MOST_COUNTED}).counts_by[clause]
    matching = [facet for facet in counted if folded in facet.value.casefold()]
    return _Found(facets=sorted(matching, key=lambda facet: not facet.value.casefold().startswith(folded)))


def _suggestion(token: str, words: str, typed: str, count: int, on: set[str]) -> Suggestion:
    at = words.casefold().find(typed.casefold()) if typed else -1
    # Folding may change lengths (ß): then nothing is marked, rather than the wrong letters.
    fits = at >= 0 and words[at : at + len(typed)].casefold() == typed.casefold()
    cut = (words[:at], words[at : at + len(typed)], words[at + len(typed) :]) if fits else (words, "", "")
    return Suggestion(token=token, before=cut[0], typed=cut[1], after=cut[2], count=count, is_on=token in on)
