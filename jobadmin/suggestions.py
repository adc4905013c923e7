"""Suggestions for the fields of the filter bar, with the number of jobs each would show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

from jobadmin.filters import EXACT, LABELS, JobFilter
from jobadmin.filters import FIELDS as TEXT_FIELDS
from jobadmin.redaction import redact_text
from jobadmin.tokens import Token

#: Parameter -> what the library counts by.
FIELDS = {**TEXT_FIELDS, "resource": EXACT["resource"]}
#: What the field of resources suggests besides, and how many of each: people type there whatever they know.
BESIDES = ("name", "queue", "user", "error")
MOST_BESIDES = 3
#: Suggestions shown at once.
MOST = 9
#: Values looked through for a match; dictionaries are bounded, resources are not.
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
    clause = FIELDS[field]
    others = jobs.with_(**{field: None, "sort": None})
    counts = {facet.value: facet.total for facet in others.query.report(counts_by={clause: EVERY}).counts_by[clause]}
    on = {str(token) for token in jobs.tokens(field)}
    folded = typed.casefold()
    matching = [value for value in counts if folded in value.casefold()]
    matching.sort(key=lambda value: (not value.casefold().startswith(folded), -counts[value], value))
    # A value that holds a secret is none to suggest: neither may stand in an address.
    open_ones = islice((value for value in matching if redact_text(value) == value), most)
    found = [_suggestion(str(Token(value)), value, typed, counts[value], on) for value in open_ones]
    pattern = _pattern(field, typed, counts, on)
    return [*found, pattern] if pattern else found


def _pattern(field: str, typed: str, counts: dict[str, int], on: set[str]) -> Suggestion | None:
    """Everything that begins with what was typed, where that is more than one value."""
    begins = [value for value in counts if typed and value.startswith(typed)]
    if field not in TEXT_FIELDS or len(begins) < 2:
        return None
    token = Token(typed, prefix=True)
    return _suggestion(str(token), token.words, typed, sum(counts[value] for value in begins), on)


def _suggestion(token: str, words: str, typed: str, count: int, on: set[str]) -> Suggestion:
    at = words.casefold().find(typed.casefold()) if typed else -1
    # Folding may change lengths (ß): then nothing is marked, rather than the wrong letters.
    fits = at >= 0 and words[at : at + len(typed)].casefold() == typed.casefold()
    cut = (words[:at], words[at : at + len(typed)], words[at + len(typed) :]) if fits else (words, "", "")
    return Suggestion(token=token, before=cut[0], typed=cut[1], after=cut[2], count=count, is_on=token in on)
