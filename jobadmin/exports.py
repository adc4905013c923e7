"""What matches, as a file: rows of plain values, a page of the store at a time, so memory stays flat at any size."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any

from jobadmin.redaction import redact, redact_text
from statuses import Query, Status

#: Jobs read at once; also how much is sent at once.
PAGE = 1_000

#: A spreadsheet takes a cell that begins with one of these for a formula, or for a new cell.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")

#: What a spreadsheet passes over before it.
_BLANKS = " \u00a0"
_SUSPECT = frozenset((*_FORMULA_STARTS, *_BLANKS))


def _text(name: str) -> Callable[[Status], str | None]:
    def read(job: Status) -> str | None:
        text = getattr(job, name)
        return redact_text(text) if text else text

    return read


#: Name of the column -> its value: text, number, moment, list or mapping; secrets are gone.
FIELDS: Mapping[str, Callable[[Status], Any]] = {
    "id": attrgetter("id"),
    "state": lambda job: job.state.value,
    "job_name": _text("job_name"),
    "queue": _text("queue"),
    "user": _text("user"),
    "worker": _text("worker"),
    "engine": attrgetter("engine"),
    "provider_job_id": attrgetter("provider_job_id"),
    "attempt": attrgetter("attempt"),
    "job_args": lambda job: redact(job.job_args or {}),
    "parent": lambda job: getattr(job.parent, "id", job.parent),
    "recorded_at": attrgetter("recorded_at"),
    "queued_at": attrgetter("queued_at"),
    "started_at": attrgetter("started_at"),
    "succeeded_at": attrgetter("succeeded_at"),
    "failed_at": attrgetter("failed_at"),
    "killed_at": attrgetter("killed_at"),
    "kill_requested_at": attrgetter("kill_requested_at"),
    "kill_requested_by": _text("kill_requested_by"),
    "kill_reason": _text("kill_reason"),
    "wait_time": attrgetter("wait_time"),
    "run_time": attrgetter("run_time"),
    "progress": attrgetter("progress"),
    "progress_message": _text("progress_message"),
    "error": _text("error_summary"),
}


def row(job: Status) -> dict[str, Any]:
    """One job as plain values, by name of the column."""
    return {name: read(job) for name, read in FIELDS.items()}


def pages(query: Query) -> Iterator[list[Status]]:
    """Every match, `PAGE` at a time.  Source: one page of records a step, by cursor; nothing is kept."""
    page = query.limit(PAGE).run()
    while page:
        yield list(page)
        if page.next is None:
            return
        page = query.after(page.next).limit(PAGE).run()


def as_csv(query: Query) -> Iterator[str]:
    """The file in pieces: a line of names, then a line a job; no cell can be taken for a formula."""
    writer = csv.writer(_Echo())
    found = pages(query)
    first = next(found, [])
    yield "\ufeff" + writer.writerow(FIELDS)
    for page in _with(first, found):
        yield "".join(writer.writerow([cell(value) for value in row(job).values()]) for job in page)


def as_json(query: Query) -> Iterator[str]:
    """The file in pieces: one array of objects, a line each."""
    found = pages(query)
    first = next(found, [])
    yield "["
    separator = "\n"
    for page in _with(first, found):
        yield separator + ",\n".join(json.dumps(row(job), default=_written, ensure_ascii=False) for job in page)
        separator = ",\n"
    yield "\n]\n"


def cell(value: Any) -> str:
    """A value as a spreadsheet may read it: text that looks like a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    text = value if isinstance(value, str) else json.dumps(value, default=_written, ensure_ascii=False)
    if "\x00" in text:
        text = text.replace("\x00", "")
    # The first character tells for nearly every text of half a million rows that there is nothing to look for.
    return f"'{text}" if text[:1] in _SUSPECT and text.lstrip(_BLANKS).startswith(_FORMULA_STARTS) else text


def _with(first: list[Status], rest: Iterator[list[Status]]) -> Iterator[list[Status]]:
    if first:
        yield first
    yield from rest


def _written(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


class _Echo:
    """A file for the csv module that hands back what is written."""

    def write(self, text: str) -> str:
        return text
