"""Errors as they are read: own frames stand out, foreign ones are folded.

In: one item of ``Status.errors``, a JSON value (see ``Trace.of``). Out: parts in the order they are shown, plain text that the
template escapes. Whatever does not look like a traceback is shown as it is; nothing here raises on odd input.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from django.utils.translation import gettext as _

from jobadmin.jsontext import trimmed

#: Lines of one traceback that are parsed and shown: the first and the last ones of a longer text.
HEAD_LINES, TAIL_LINES = 150, 350

#: Characters of one line that are shown.
LINE_CHARACTERS = 2_000

#: Lines on either side of what is left out that are read all the same: a secret that spans the cut is hidden whole.
SLACK_LINES = 50

#: A frame that was left in the midst of an instruction, as by a signal, has no line: Python 3.11 and later write `None`.
_FRAME = re.compile(r'^\s*File "(?P<file>.+?)", line (?P<line>\d+|None)(?:, in (?P<function>.+))?$')
_FOREIGN = re.compile(r"[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python\d|^<|^[A-Z]:.*[/\\]Python\d+[/\\]Lib[/\\]")
_PACKAGE = re.compile(r"(?:site|dist)-packages[/\\](?P<inside>(?P<package>[^/\\]+).*)")
_STDLIB = re.compile(r"[/\\](?:lib[/\\]python[\d.]+|Python\d+[/\\]Lib)[/\\](?P<inside>.*)")
#: The library's own wrappers around a task: nobody looks for an error there, wherever the library is installed.
_OURS = re.compile(r"[/\\](?P<inside>statuses[/\\](?:engines[/\\]|track\.py).*)")
_HEADERS = ("Traceback ", "During handling of", "The above exception")
_MARKS = re.compile(r"^[\s~^]+$")
#: The modules before a class, where a summary begins with one: `billiard.exceptions.SoftTimeLimitExceeded: ...`. A file's name is none.
_MODULES = re.compile(r"(?:[a-z_]\w*\.)+(?=[A-Z]\w*(?:: |$))")
_LEFT_OUT = re.compile(r"… (\d+) lines left out …")


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One line of the call stack and its code."""

    file: str
    """Path as it is shown: inside its package for foreign code."""
    line: int | None
    """None where the traceback knows none."""
    function: str
    code: tuple[str, ...] = ()
    """Source lines, without indentation that all of them share."""
    own: bool = False
    """Code of the project itself."""
    package: str = ""
    """Whose it is: the package's name, ``python`` for the standard library."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A stretch of a traceback: one frame, several folded ones, or lines of text."""

    kind: str
    """``frame``, ``fold``, ``note`` (quiet lines), ``error`` (class and message) or ``text``."""
    frames: tuple[Frame, ...] = ()
    lines: tuple[str, ...] = ()

    @property
    def frame(self) -> Frame:
        """The only frame of a part that is one."""
        return self.frames[0]

    @property
    def packages(self) -> str:
        """Whose frames are folded: ``celery and django``."""
        names = list(dict.fromkeys(frame.package for frame in self.frames if frame.package))
        if len(names) > 3:
            names = [*names[:3], _("others")]
        if len(names) < 2:
            return "".join(names)
        return _("%(names)s and %(last)s") % {"names": ", ".join(names[:-1]), "last": names[-1]}


@dataclass(frozen=True, kw_only=True)
class Trace:
    """One recorded error, ready to show."""

    kind: str
    """Short name of the exception's class; empty for an error that is plain text or other JSON."""
    message: str
    """First line of what it says."""
    parts: tuple[Part, ...] = ()
    attempt: int | None = None
    """Zero-based attempt it belongs to."""
    at: datetime | None = None
    raw: str = ""
    """The text, for copying."""
    is_cut: bool = False
    """Whether the text is longer than what is shown."""

    @classmethod
    def of(cls, error: Any, *, attempt: int | None = None) -> "Trace":
        """Reads one item of ``Status.errors``: ``{"class", "message", "traceback", "frames", "at", "attempt"}``, a string, or
        any other JSON value. Secrets are to be gone before."""
        if isinstance(error, dict) and (error.get("class") or error.get("traceback")):
            return _of_exception(error, attempt)
        text = error if isinstance(error, str) else json.dumps(error, indent=2, ensure_ascii=False)
        kind = _short_name(error.get("type") or error.get("code")) if isinstance(error, dict) else ""
        said = error.get("message") if isinstance(error, dict) else None
        first = str(said or (text if isinstance(error, str) else json.dumps(error, ensure_ascii=False)))
        return cls(kind=kind, message=_first_line(first), attempt=attempt, **_read(text, {}))


#: What a recorded exception consists of; whatever else an error with a class holds is shown as it is.
_OF_AN_EXCEPTION = frozenset({"class", "message", "traceback", "frames", "at", "attempt"})


def _of_exception(error: dict[str, Any], attempt: int | None) -> Trace:
    full, message = str(error.get("class") or ""), str(error.get("message") or "")
    last = f"{full}: {message}" if full and message else full or message
    text = str(error.get("traceback") or "").rstrip("\n") or last
    if rest := {name: value for name, value in error.items() if name not in _OF_AN_EXCEPTION}:
        text += "\n\n" + json.dumps(rest, indent=2, ensure_ascii=False)
    own = _own_places(error.get("frames"))
    return Trace(
        kind=_short_name(full),
        message="" if says_nothing(_short_name(full), message) else _first_line(message),
        attempt=error["attempt"] if isinstance(error.get("attempt"), int) else attempt,
        at=_moment(error.get("at")),
        **_read(text, own),
    )


def _own_places(frames: Any) -> dict[tuple[str, int | None], bool]:
    """Which ``(file, line)`` the recorder knew to be the project's own."""
    if not isinstance(frames, list):
        return {}
    return {
        (str(frame.get("file")), frame.get("line")): bool(frame.get("own"))
        for frame in frames
        if isinstance(frame, dict) and isinstance(frame.get("line"), int | None)
    }


def bounded(error: Any) -> Any:
    """One item of ``Status.errors`` without what is not going to be shown: hiding secrets in a megabyte takes its time."""
    if isinstance(error, str):
        return _bounded_text(error)
    if not isinstance(error, dict):
        return trimmed(error, lines=HEAD_LINES + TAIL_LINES, characters=LINE_CHARACTERS)[0]
    rest = trimmed(
        {name: value for name, value in error.items() if name not in _TEXTS and name != "frames"},
        lines=HEAD_LINES + TAIL_LINES,
        characters=LINE_CHARACTERS,
    )[0]
    texts = {name: _bounded_text(error[name]) if isinstance(error[name], str) else error[name] for name in _TEXTS if name in error}
    frames = error.get("frames")
    if isinstance(frames, list) and len(frames) > HEAD_LINES + TAIL_LINES:
        frames = frames[:HEAD_LINES] + frames[-TAIL_LINES:]
    return {**rest, **texts, **({"frames": frames} if frames else {})}


#: Fields of an error that are read as text, line by line.
_TEXTS = ("message", "traceback")


def _bounded_text(text: str) -> str:
    lines = text.splitlines()
    if len(lines) > HEAD_LINES + TAIL_LINES + 2 * SLACK_LINES:
        left_out = len(lines) - HEAD_LINES - TAIL_LINES
        lines = [*lines[: HEAD_LINES + SLACK_LINES], f"… {left_out} lines left out …", *lines[-TAIL_LINES - SLACK_LINES :]]
    elif len(text) <= LINE_CHARACTERS:
        return text
    # Longer than what is shown by more than any secret is long.
    return "\n".join(line[: 2 * LINE_CHARACTERS] for line in lines)


def _read(text: str, own: dict[tuple[str, int | None], bool]) -> dict[str, Any]:
    """Fields of a Trace that come from its text."""
    whole = text.splitlines()
    lines = _bounded(whole)
    return {"parts": tuple(_parts(lines, own)), "raw": text if lines == whole else "\n".join(lines), "is_cut": lines != whole}


def _parts(lines: list[str], own: dict[tuple[str, int | None], bool]) -> Iterator[Part]:
    """The text's parts, foreign frames next to each other folded into one."""
    for _type, run in groupby(_items(lines, own), key=type):
        items = list(run)
        frames = [item for item in items if isinstance(item, Frame)]
        yield from (_folded(frames) if frames else (item for item in items if isinstance(item, Part)))


def _items(lines: list[str], own: dict[tuple[str, int | None], bool]) -> Iterator[Frame | Part]:
    """Frames with their code, and the lines between them."""
    place, in_stack = 0, False
    while place < len(lines):
        line = lines[place]
        found = _FRAME.match(line)
        if found:
            code, place = _code_below(lines, place + 1, len(line) - len(line.lstrip()))
            yield _frame(found, code, own)
            in_stack = True
        elif line.startswith(_HEADERS):
            yield Part(kind="note", lines=(line,))
            place, in_stack = place + 1, False
        elif in_stack and line.strip():
            yield Part(kind="error", lines=(line,))
            place, in_stack = place + 1, False
        else:
            rest, place = _text_below(lines, place)
            yield Part(kind="text", lines=rest)


def _code_below(lines: list[str], place: int, indent: int) -> tuple[tuple[str, ...], int]:
    """The deeper indented lines that follow a frame's header, and where they end."""
    start = place
    while place < len(lines) and _is_code(lines[place], indent):
        place += 1
    return tuple(lines[start:place]), place


def _is_code(line: str, indent: int) -> bool:
    deeper = len(line) - len(line.lstrip()) > indent or line.lstrip().startswith("[Previous line repeated")
    return bool(line.strip()) and deeper and not _FRAME.match(line)


def _text_below(lines: list[str], place: int) -> tuple[tuple[str, ...], int]:
    """Lines up to the next header; at least one."""
    start = place
    place += 1
    while place < len(lines) and not _FRAME.match(lines[place]) and not lines[place].startswith(_HEADERS):
        place += 1
    return tuple(lines[start:place]), place


def _frame(found: re.Match[str], code: tuple[str, ...], own: dict[tuple[str, int | None], bool]) -> Frame:
    file, line = found["file"], None if found["line"] == "None" else int(found["line"][:9])
    shown, package = _place(file)
    is_own = own.get((file, line), not _FOREIGN.search(file)) and not _OURS.search(file)
    code = tuple(text.strip() if _MARKS.match(text) is None else "" for text in code)
    return Frame(
        file=shown if not is_own or package else file,
        line=line,
        function=found["function"] or "",
        code=tuple(filter(None, code)),
        own=is_own,
        package="" if is_own else package,
    )


def _place(file: str) -> tuple[str, str]:
    """How a path is shown, and whose it is."""
    inside = _PACKAGE.search(file)
    if inside:
        return inside["inside"], inside["package"].removesuffix(".py")
    ours = _OURS.search(file)
    if ours:
        return ours["inside"], "statuses"
    standard = _STDLIB.search(file)
    return (standard["inside"], "python") if standard else (file, "python" if file.startswith("<") else "")


def _folded(frames: list[Frame]) -> Iterator[Part]:
    """Runs of foreign frames as one part each. Where no frame is the project's own the last two stay open: they are all there
    is to see."""
    open_from = len(frames) - 2 if not any(frame.own for frame in frames) else len(frames)
    for is_shown, run in groupby(enumerate(frames), key=lambda item: item[1].own or item[0] >= open_from):
        members = tuple(frame for _, frame in run)
        if is_shown:
            yield from (Part(kind="frame", frames=(frame,)) for frame in members)
        else:
            yield Part(kind="fold", frames=members)


def _bounded(lines: list[str]) -> list[str]:
    """At most HEAD_LINES + TAIL_LINES lines, each cut; the end says more than the middle."""
    if len(lines) > HEAD_LINES + TAIL_LINES:
        known = next((line for line in lines if _LEFT_OUT.fullmatch(line)), None)
        left_out = known or f"… {len(lines) - HEAD_LINES - TAIL_LINES} lines left out …"
        lines = [*lines[:HEAD_LINES], left_out, *lines[-TAIL_LINES:]]
    return [line if len(line) <= LINE_CHARACTERS else line[:LINE_CHARACTERS] + " …" for line in lines]


def shortened(summary: str) -> str:
    """An error's summary for a row: its class without the modules, and alone where all it says is its own name again."""
    found = _MODULES.match(summary)
    text = summary[found.end() :] if found else summary
    kind, _colon, said = text.partition(": ")
    return kind if says_nothing(kind, said) else text


def says_nothing(kind: str, message: str) -> bool:
    """Whether an error's message is its class once more, as that of some exceptions without arguments."""
    return bool(kind) and message.strip() == f"{kind}()"


def _short_name(full: Any) -> str:
    return str(full).rsplit(".", 1)[-1][:120] if full else ""


def _first_line(text: str, limit: int = 300) -> str:
    line = text.strip().split("\n", 1)[0]
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _moment(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo else None
