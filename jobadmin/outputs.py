"""The output of an ended job as its page shows it: redacted, cut to a sensible length, with addresses that may be followed."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from jobadmin import formats
from jobadmin.resolver import Resolver, resolver
from statuses import Status, outputs

#: Parts, rows of a table and columns that are shown; more than that belongs into a file.
MOST_PARTS, MOST_ROWS, MOST_COLUMNS = 40, 200, 20
#: Characters of one cell, title or name.
LONGEST_CELL = 300

#: What browsers drop from an address, or take for a slash: an address that has any is not followed.
_STRANGE = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table."""

    text: str
    is_number: bool = False


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One part of an output, ready to be shown; the fields beyond `kind` and `title` depend on the kind."""

    kind: str
    """``text``, ``table``, ``link``, ``file``, ``image`` or ``broken``."""
    title: str = ""
    text: str = ""
    """The paragraph; what a link says; a file's name; a picture in words; the error of a processor."""
    url: str = ""
    """Empty where the address may not be followed, or holds a secret."""
    size: str = ""
    processor: str = ""
    columns: Sequence[Cell] = ()
    rows: Sequence[Sequence[Cell]] = ()
    left_out: int = 0
    """Rows, or characters of a text, that are not shown."""


def shown(status: Status) -> list[Shown]:
    """The parts of `status`; nothing while it has not ended.  Source: whatever the processors read."""
    say = resolver()
    return [_MAKERS[type(part)](part, say) for part in outputs.of(status)[:MOST_PARTS]]


def followed(url: str) -> str:
    """`url` if a page may link to it: http, https, or an address of this site; else nothing."""
    if not url or _STRANGE.search(url):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme:
        return url if parts.scheme.lower() in ("http", "https") and parts.netloc else ""
    return "" if parts.netloc else url


def is_own(url: str) -> bool:
    """Whether the address is one of this site: no stranger learns by a picture that somebody looked."""
    return bool(url) and not urlsplit(url).scheme


def _text(part: outputs.Text, say: Resolver) -> Shown:
    whole = say.redact_text(str(part.text))
    most = say.shown_characters
    return Shown(kind="text", title=_short(part.title, say), text=whole[:most], left_out=max(0, len(whole) - most))


def _table(part: outputs.Table, say: Resolver) -> Shown:
    names = [str(name) for name in part.columns][:MOST_COLUMNS]
    rows = [_row(names, row, say) for row in part.rows[:MOST_ROWS]]
    numeric = [bool(rows) and all(len(row) > place and row[place].is_number for row in rows) for place in range(len(names))]
    return Shown(
        kind="table",
        title=_short(part.title, say),
        columns=[Cell(text=_short(name, say), is_number=is_number) for name, is_number in zip(names, numeric, strict=True)],
        rows=rows,
        left_out=max(0, len(part.rows) - MOST_ROWS),
    )


def _row(names: Sequence[str], row: Sequence[object], say: Resolver) -> list[Cell]:
    """A row as long as the head: a column named like a secret hides its cells."""
    given = list(row)[: len(names)]
    cells = [_cell(name, value, say) for name, value in zip(names, given, strict=False)]
    return cells + [Cell(text="")] * (len(names) - len(cells))


def _cell(name: str, value: object, say: Resolver) -> Cell:
    (value,) = say.redact({name: value}).values()
    if value is None:
        return Cell(text=formats.NOTHING)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(text=formats.number(value), is_number=True)
    return Cell(text=_short(value, say))


def _link(part: outputs.Link, say: Resolver) -> Shown:
    text = _short(part.text or part.url, say)
    return Shown(kind="link", title=_short(part.title, say), text=text, url=_address(part.url, say))


def _file(part: outputs.File, say: Resolver) -> Shown:
    size = "" if part.size_bytes is None else formats.size(part.size_bytes)
    return Shown(kind="file", title=_short(part.title, say), text=_short(part.name, say), url=_address(part.url, say), size=size)


def _image(part: outputs.Image, say: Resolver) -> Shown:
    url = _address(part.url, say)
    kind = "image" if is_own(url) else "link"
    return Shown(kind=kind, title=_short(part.title, say), text=_short(part.alt, say) or formats.NOTHING, url=url)


def _broken(part: outputs.Broken, say: Resolver) -> Shown:
    return Shown(kind="broken", title=_short(part.title, say), processor=_short(part.processor, say), text=_short(part.error, say))


def _address(url: str, say: Resolver) -> str:
    """The address, unless redaction would change it: a secret may not stand in a link either."""
    return followed(url) if say.redact_text(url) == url else ""


def _short(value: object, say: Resolver) -> str:
    text = say.redact_text(str(value))
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


_MAKERS: Mapping[type, Callable[[Any, Resolver], Shown]] = {
    outputs.Text: _text,
    outputs.Table: _table,
    outputs.Link: _link,
    outputs.File: _file,
    outputs.Image: _image,
    outputs.Broken: _broken,
}
