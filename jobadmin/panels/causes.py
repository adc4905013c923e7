"""Why jobs fail: groups of errors, each with the words of its newest job."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import statuses
from jobadmin.filters import JobFilter
from jobadmin.panels import kept
from jobadmin.panels.reading import Reading
from jobadmin.redaction import redact_text
from jobadmin.tracebacks import says_nothing, shortened
from jobadmin.verbs import RETRY


@dataclass(frozen=True, kw_only=True)
class ErrorRow:
    """One group of errors."""

    value: str
    is_hidden: bool
    """Whether the group holds a secret: then nothing leads to it, for its address would tell."""
    title: str
    """Type, or the text."""
    place: str
    """``file:function``, where there is one."""
    total: int
    retryable: int | None
    """Jobs that a retry of the group would send again; None where that was not asked."""
    message: str
    """Empty where it tells no more than the title."""
    first: datetime | None
    last: datetime | None

    @property
    def short(self) -> str:
        """The title as a narrow panel has room for: a class without its modules."""
        return shortened(self.title)


@dataclass(frozen=True, kw_only=True)
class ErrorTable:
    """Groups of errors, the largest first."""

    rows: list[ErrorRow]
    distinct: int


def errors(reading: Reading) -> ErrorTable:
    """The errors panel; the message is that of the newest job of each group."""
    rows = error_rows(reading.jobs, reading.report.counts_by["error"], lasting=reading.lasting)
    return ErrorTable(rows=rows, distinct=reading.report.distinct["error"])


#: A group that is a class and the place where it was raised: ``pkg.Class file.py:function``.
PLACED = re.compile(r"([A-Za-z_][\w.]*) (\S.*:[\w<>.]+)")


def _parts(group: str) -> tuple[str, str]:
    """Type and place of a group; a group that is a text has no place."""
    found = PLACED.fullmatch(group)
    return (found[1], found[2]) if found else (group, "")


def error_rows(
    jobs: JobFilter, facets: Collection[Any], *, may_retry: bool = False, lasting: statuses.Version | None = None
) -> list[ErrorRow]:
    """Groups, each with the message of its newest job.  Source: one page of as many jobs, once while the store is in the version
    `lasting`; for `may_retry` one more report."""
    newest = _summaries(jobs, facets, lasting)
    retryable = _retryable(jobs, facets) if may_retry else None
    return [_row(facet, newest.get(facet.value, ""), None if retryable is None else retryable.get(facet.value, 0)) for facet in facets]


def _summaries(jobs: JobFilter, facets: Collection[Any], lasting: statuses.Version | None) -> dict[str, str]:
    """Group -> what its newest job says."""
    asked = {"newest_by": [(one.value, one.last) for one in facets]}
    found = kept.known(lasting, jobs.query, asked)
    if found is None:
        found = {value: status.error_summary or "" for value, status in jobs.query.newest_by("error", facets).items()}
        if len(found) == len(facets):  # what was left out has changed meanwhile
            kept.keep(lasting, jobs.query, asked, found)
    return found


def _retryable(jobs: JobFilter, facets: Collection[Any]) -> dict[str, int]:
    """Group -> how many of its jobs a retry sends again: what has ended, of an engine that can."""
    found: dict[str, int] = {}
    for part in RETRY.settled(jobs.query.where(error=[facet.value for facet in facets]), jobs.now) if facets else ():
        for facet in part.counts_by("error", limit=len(facets)):
            found[facet.value] = found.get(facet.value, 0) + facet.total
    return found


def _row(facet: Any, summary: str, retryable: int | None) -> ErrorRow:
    title, place = _parts(facet.value)
    message = summary.removeprefix(title.rpartition(".")[2]).removeprefix(title).removeprefix(":").strip()
    return ErrorRow(
        value=facet.value,
        is_hidden=redact_text(facet.value) != facet.value,
        title=redact_text(title),
        place=place,
        total=facet.total,
        retryable=retryable,
        message="" if message == title or says_nothing(title.rpartition(".")[2], message) else redact_text(message),
        first=facet.first,
        last=facet.last,
    )
