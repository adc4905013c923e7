"""Why jobs fail: groups of errors, each with the words of its newest job."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobadmin.filters import JobFilter
from jobadmin.panels.reading import Reading
from jobadmin.redaction import redact_text
from jobadmin.verbs import RETRY
from statuses import Status


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
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True, kw_only=True)
class ErrorTable:
    """Groups of errors, the largest first."""

    rows: list[ErrorRow]
    distinct: int


def errors(reading: Reading) -> ErrorTable:
    """The errors panel; the message is that of the newest job of each group."""
    rows = error_rows(reading.jobs, reading.report.counts_by["error"])
    return ErrorTable(rows=rows, distinct=reading.report.distinct["error"])


#: A group that is a class and the place where it was raised: ``pkg.Class file.py:function``.
PLACED = re.compile(r"([A-Za-z_][\w.]*) (\S.*:[\w<>.]+)")


def _parts(group: str) -> tuple[str, str]:
    """Type and place of a group; a group that is a text has no place."""
    found = PLACED.fullmatch(group)
    return (found[1], found[2]) if found else (group, "")


def error_rows(jobs: JobFilter, facets: Collection[Any], *, may_retry: bool = False) -> list[ErrorRow]:
    """Groups, each with the message of its newest job.  Source: one page of as many jobs; for `may_retry` one more report."""
    newest = jobs.query.newest_by("error", facets)
    retryable = _retryable(jobs, facets) if may_retry else None
    return [_row(facet, newest.get(facet.value), None if retryable is None else retryable.get(facet.value, 0)) for facet in facets]


def _retryable(jobs: JobFilter, facets: Collection[Any]) -> dict[str, int]:
    """Group -> how many of its jobs a retry sends again: what has ended, of an engine that can."""
    found: dict[str, int] = {}
    for part in RETRY.settled(jobs.query.where(error=[facet.value for facet in facets]), jobs.now) if facets else ():
        for facet in part.counts_by("error", limit=len(facets)):
            found[facet.value] = found.get(facet.value, 0) + facet.total
    return found


def _row(facet: Any, newest: Status | None, retryable: int | None) -> ErrorRow:
    title, place = _parts(facet.value)
    summary = (newest.error_summary or "") if newest else ""
    message = summary.removeprefix(title.rpartition(".")[2]).removeprefix(title).removeprefix(":").strip()
    return ErrorRow(
        value=facet.value,
        is_hidden=redact_text(facet.value) != facet.value,
        title=redact_text(title),
        place=place,
        total=facet.total,
        retryable=retryable,
        message=redact_text(message) if message != title else "",
        first=facet.first,
        last=facet.last,
    )
