"""What is kept of an error: its JSON, its group, and a line for lists."""

import re
import sysconfig
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from types import TracebackType
from typing import Any

from . import encoding
from .errors import interrupts

#: Characters of a traceback that are kept, from its end: the innermost frames and the message, cut as it is where it stands alone.
TRACEBACK_LENGTH = 20_000
MESSAGE_LENGTH = 4_000
SUMMARY_LENGTH = 200
GROUP_LENGTH = 300
FRAMES = 60
_FOREIGN = ("site-packages", "dist-packages", "<frozen", "<string>", "importlib")


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An error as it goes into the store."""

    text: str
    """JSON."""
    group: str
    """What it is counted under."""
    summary: str
    """One line."""


def describe(error: object) -> Failure:
    """An exception, or any JSON value, as a Failure. TypeError/ValueError when it is neither."""
    value = _of_exception(error) if isinstance(error, BaseException) else error
    text = encoding.dumps(value, "error")
    kept = encoding.loads(text)
    return Failure(text=text, group=clean(group_of(kept), GROUP_LENGTH), summary=clean(summary_of(kept), SUMMARY_LENGTH))


def clean(text: str, length: int) -> str:
    """One line of at most `length` characters that UTF-8 can hold, never empty."""
    line = " ".join(text.split()).encode(errors="replace").decode() or "(empty)"
    return line if len(line) <= length else line[: length - 1] + "…"


def group_of(value: Any) -> str:
    """The group of a kept error: class and place, a text with its digits as #, a type field, or a shape."""
    if isinstance(value, str):
        return re.sub(r"\d+", "#", value)
    if isinstance(value, Mapping):
        name = next((str(value[key]) for key in ("class", "type", "code") if value.get(key)), None)
        if name is None:
            return "{" + ", ".join(sorted(map(str, value))) + "}"
        place = _place(value.get("frames"))
        return f"{name} {place}" if place else name
    if isinstance(value, list):
        return "[list]"
    return type(value).__name__ if value is not None else "null"


def summary_of(value: Any) -> str:
    """One line about a kept error: class and message where it has them."""
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        name = next((str(value[key]) for key in ("class", "type", "code") if value.get(key)), "")
        message = str(value.get("message") or value.get("detail") or "")
        return f"{name}: {message}" if name and message else name or message or encoding.dumps(value, "error")
    return encoding.dumps(value, "error")


def is_exception(value: object) -> bool:
    """Whether a kept error was an exception, in the shape that `describe` and `of_traceback` give it."""
    return isinstance(value, Mapping) and value.keys() >= _EXCEPTION


#: What is kept of every exception.
_EXCEPTION = frozenset({"class", "message", "traceback", "frames"})


def class_name(kind: type) -> str:
    """`pkg.Class`; builtins without their module."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def of_traceback(text: str, name: str = "", message: str = "") -> object:
    """An error of which its traceback alone was kept, as a text, in the shape of one that was seen. `name` and `message` of its class,
    where they are known besides; else they are read from the text, and one that is no traceback stays what it is."""
    text = text.strip()
    places = list(_FRAME.finditer(text))
    if not places and not name:
        return text
    said = _SAID.search(text, places[-1].end() if places else 0)
    if said is not None:
        name, message = name or said["name"], message or (said["message"] or "").strip()
    return {
        "class": name or "Exception",
        "message": _cut(message, MESSAGE_LENGTH),
        "traceback": _end(text, message),
        "frames": [_frame(place) for place in places[-FRAMES:]],
    }


#: A place in the text of a traceback, with its line of code, and what was raised there.
_FRAME = re.compile(r'^ +File "(?P<file>[^"\n]+)", line (?P<line>\d+), in (?P<function>.+)(?:\n {4,}(?P<code>\S.*))?', re.MULTILINE)
_SAID = re.compile(r"^(?P<name>[\w.<>]+)(?:: (?P<message>[\s\S]*))?", re.MULTILINE)


def _frame(place: re.Match[str]) -> dict[str, Any]:
    file = place["file"]
    return {"file": file, "line": int(place["line"]), "function": place["function"], "code": place["code"] or "", "own": is_own(file)}


def _of_exception(error: BaseException) -> dict[str, Any]:
    message = message_of(error)
    return {
        "class": class_name(type(error)),
        "message": _cut(message, MESSAGE_LENGTH),
        "traceback": _end(_trace(error), message),
        "frames": _frames(error.__traceback__),
        "at": datetime.now(UTC).isoformat(),
    }


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as broken:
        if interrupts(broken):
            raise
        return f"(its traceback could not be made: {type(broken).__name__})"


def message_of(error: BaseException) -> str:
    """What it says of itself."""
    try:
        return str(error)
    except Exception as broken:
        if interrupts(broken):
            raise
        return f"(its message could not be made: {type(broken).__name__})"


def _end(trace: str, message: str) -> str:
    """What is kept of a traceback: a message of a hundred thousand characters leaves its frames."""
    if len(trace) > TRACEBACK_LENGTH and len(message) > MESSAGE_LENGTH:
        trace = trace.replace(message, _cut(message, MESSAGE_LENGTH))
    return trace if len(trace) <= TRACEBACK_LENGTH else "…" + trace[-TRACEBACK_LENGTH:]


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _frames(trace: TracebackType | None) -> list[dict[str, Any]]:
    kept = []
    for found in traceback.extract_tb(trace)[-FRAMES:]:
        kept.append(
            {
                "file": found.filename,
                "line": found.lineno,
                "function": found.name,
                "code": found.line or "",
                "own": is_own(found.filename),
            }
        )
    return kept


def is_own(filename: str) -> bool:
    """Whether a file is the user's own code: neither the standard library nor an installed package."""
    return not any(part in filename for part in _FOREIGN) and not filename.startswith(_standard_library())


@cache
def _standard_library() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({paths["stdlib"], paths["platstdlib"]})


def _place(frames: Any) -> str:
    if not isinstance(frames, list) or not frames:
        return ""
    own = [frame for frame in frames if isinstance(frame, Mapping) and frame.get("own")]
    last = (own or frames)[-1]
    if not isinstance(last, Mapping):
        return ""
    return f"{'/'.join(str(last.get('file', '?')).replace(chr(92), '/').split('/')[-2:])}:{last.get('function', '?')}"
