"""What matches, as a file: columns of plain values, some hundred jobs at a time, so memory stays flat at any size."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import lru_cache
from itertools import chain
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

import numpy as np

from jobadmin.redaction import redact, redact_text
from jobadmin.resolver import resolver
from statuses import Query, Status

if TYPE_CHECKING:
    from statuses.sheets import Sheet

#: Texts that are kept as they were written, and how long one of them may be.
KEPT = 4_096
KEPT_LENGTH = 1_000

#: A spreadsheet takes a cell that begins with one of these for a formula, or for a new cell.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")

#: What a spreadsheet passes over before it.
_BLANKS = " \u00a0"
_SUSPECT = frozenset((*_FORMULA_STARTS, *_BLANKS))
#: Whether a cell must stand in quotes.
_SPECIAL = re.compile(r'[,"\r\n]').search


#: Columns with texts of people and programs, in which a secret may stand.
HIDDEN = frozenset(
    {"job_name", "queue", "user", "worker", "kill_requested_by", "kill_reason", "progress_message", "error", "error_summary", "error_group"}
)
_MOMENTS = frozenset({"recorded_at", "queued_at", "started_at", "succeeded_at", "failed_at", "killed_at", "kill_requested_at"})
_NUMBERS = frozenset({"attempt", "wait_time", "run_time", "progress"})
#: Columns that a status has under another name.
_COLUMNS = {"error": "error_summary"}
#: Names of the columns, in their order.
FIELDS = (
    "id", "state", "job_name", "queue", "user", "worker", "engine", "provider_job_id", "attempt", "job_args", "parent",
    "recorded_at", "queued_at", "started_at", "succeeded_at", "failed_at", "killed_at", "kill_requested_at", "kill_requested_by",
    "kill_reason", "wait_time", "run_time", "progress", "progress_message", "error",
)  # fmt: skip


def row(job: Status) -> dict[str, Any]:
    """One job as plain values, by name of the column."""
    return {name: shown(name, getattr(job, _COLUMNS.get(name, name))) for name in FIELDS}


def shown(name: str, value: Any) -> Any:
    """What a status holds, without secrets."""
    if name == "state":
        return value.value
    if name == "job_args":
        return redact(value or {})
    return redact_text(value) if name in HIDDEN and value else value


def as_csv(query: Query) -> Iterator[str]:
    """The file in pieces: a line of names, then a line a job; no cell can be taken for a formula."""
    return _pieces(query, _Csv())


def as_json(query: Query) -> Iterator[str]:
    """The file in pieces: one array of objects, a line each."""
    return _pieces(query, _Json())


def _pieces(query: Query, file: _File) -> Iterator[str]:
    """Every match.  Source: sheets of the store, one at a time; nothing is kept but texts that may come again."""
    sheets = query.sheets()
    first = next(sheets, None)
    yield file.beginning
    for sheet in chain([first] if first else [], sheets):
        if len(sheet):
            yield file.lines(zip(*file.columns(sheet), strict=True))
    yield file.end


class _File:
    """What both files share: a column is written in one go, and a text that many jobs have once."""

    beginning = end = nothing = quote = ""

    def __init__(self) -> None:
        self.resolver = resolver()
        self.hidden = _remembering(self._hidden)
        self.arguments = _remembering(self._arguments)

    def lines(self, rows: Iterable[tuple[str, ...]]) -> str:
        """Rows, made of what `columns` gives."""
        raise NotImplementedError

    def text(self, text: str) -> str:
        """A text as it stands in the file."""
        raise NotImplementedError

    def value(self, value: Any) -> str:
        """A JSON value as it stands in the file."""
        return json.dumps(value, default=_written, ensure_ascii=False)

    def numbers(self, values: list[float | None]) -> list[str]:
        """Numbers as they stand in the file."""
        return [self.nothing if value is None else repr(value) for value in values]

    def moments(self, values: Any) -> list[str]:
        """Moments, given in microseconds."""
        if not values.any():
            return [self.nothing] * len(values)
        texts = zip(np.datetime_as_string(values.astype("M8[us]")).tolist(), (values % 1_000_000).tolist(), values.tolist(), strict=True)
        quote = self.quote
        return [f"{quote}{text if part else text[:19]}+00:00{quote}" if at else self.nothing for text, part, at in texts]

    def columns(self, sheet: Sheet) -> Iterator[list[str]]:
        """Of each of FIELDS what stands in the file, one a job."""
        for name in FIELDS:
            values = sheet.column(_COLUMNS.get(name, name))
            if name in _MOMENTS:
                yield self.moments(values)
            elif name in _NUMBERS:
                yield self.numbers(values)
            elif name == "job_args":
                yield [self.arguments(text or "{}") for text in values]
            else:
                write = self.hidden if name in HIDDEN else self.text
                yield [self.nothing if text is None else write(text) for text in values]

    def _hidden(self, text: str) -> str:
        return self.text(self.resolver.redact_text(text) if text else text)

    def _arguments(self, text: str) -> str:
        return self.value(self.resolver.redact(json.loads(text)))


class _Csv(_File):
    def __init__(self) -> None:
        super().__init__()
        self.beginning = "\ufeff" + self.lines([FIELDS])

    def lines(self, rows: Iterable[tuple[str, ...]]) -> str:
        return "".join([",".join(row) + "\r\n" for row in rows])

    def text(self, text: str) -> str:
        """Quoted where it must be. The csv module would look at each character of each cell anew, at a third of the whole cost."""
        text = safe(text)
        return '"' + text.replace('"', '""') + '"' if _SPECIAL(text) else text

    def value(self, value: Any) -> str:
        return self.text(super().value(value))


class _Json(_File):
    beginning, end, nothing, quote = "[", "\n]\n", "null", '"'

    def __init__(self) -> None:
        super().__init__()
        self.separator = "\n"

    def lines(self, rows: Iterable[tuple[str, ...]]) -> str:
        text = self.separator + ",\n".join(map(_OBJECT.__mod__, rows))
        self.separator = ",\n"
        return text

    text = staticmethod(encode_basestring)


#: A line of the JSON file.
_OBJECT = "{" + ", ".join(f'"{name}": %s' for name in FIELDS) + "}"


def _remembering(write: Callable[[str], str]) -> Callable[[str], str]:
    """`write`, which gives the same for the same text; what is kept is little at any number of rows."""
    known = lru_cache(maxsize=KEPT)(write)
    return lambda text: known(text) if len(text) <= KEPT_LENGTH else write(text)


def safe(text: str) -> str:
    """A text as a spreadsheet may read it: one that looks like a formula gets an apostrophe in front, and no null character, at which
    many end, is in it, but its symbol: what is not there would make two texts one."""
    if "\x00" in text:
        text = text.replace("\x00", "␀")
    # The first character tells for nearly every text of half a million rows that there is nothing to look for.
    return f"'{text}" if text[:1] in _SUSPECT and text.lstrip(_BLANKS).startswith(_FORMULA_STARTS) else text


def _written(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
