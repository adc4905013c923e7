"""JSON as one reads it: indented, coloured, short containers on one line, bounded.

``render(value)`` escapes everything itself; secrets are to be gone before.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

#: A container without further containers is written on one line up to this many characters.
INLINE_CHARACTERS = 64

#: Containers nested deeper are shown as ``…``.
MAX_DEPTH = 40

#: A string this many times as long as what is shown of it is cut before its secrets are hidden: none is as long as the rest.
SLACK = 4

_MORE = re.compile(r"… \((\d{1,15}) more characters\)\Z")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A rendered value."""

    html: SafeString
    """Escaped lines with ``k``, ``s`` and ``n`` spans for keys and punctuation, strings, and other values."""
    lines: int
    """Lines shown."""
    cut: bool
    """Whether something was left out, lines or the end of a long string."""


def trimmed(value: Any, *, lines: int = 300, characters: int = 4_000) -> tuple[Any, bool]:
    """The value without most of what ``render`` would leave out anyway, and whether anything is missing. Hiding secrets in a
    large value takes longer than showing it, so this comes first."""
    trim = _Trim(lines, characters * SLACK)
    return trim.of(value, 0), trim.cut


class _Trim:
    """Takes members until as many as there are lines have been seen."""

    def __init__(self, lines: int, characters: int) -> None:
        self.left, self.characters, self.cut = lines + 1, characters, False

    def of(self, value: Any, depth: int) -> Any:
        if isinstance(value, str) and len(value) > self.characters:
            self.cut = True
            return value[: self.characters] + f"… ({len(value) - self.characters} more characters)"
        if not isinstance(value, dict | list) or not value:
            self.left -= 1
            return value
        if _fits(value):
            self.left -= 1
            return value
        if depth > MAX_DEPTH:
            return value
        self.left -= 2
        return self._of_dict(value, depth) if isinstance(value, dict) else self._of_list(value, depth)

    def _of_dict(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, item in value.items():
            if self.left <= 0:
                self.cut = True
                kept["…"] = f"{len(value) - len(kept)} more"
                break
            kept[key] = self.of(item, depth + 1)
        return kept

    def _of_list(self, value: list[Any], depth: int) -> list[Any]:
        kept: list[Any] = []
        for item in value:
            if self.left <= 0:
                self.cut = True
                kept.append(f"… {len(value) - len(kept)} more")
                break
            kept.append(self.of(item, depth + 1))
        return kept


class _Budget:
    """What may still be written, and whether that was too little."""

    def __init__(self, lines: int, characters: int) -> None:
        self.lines, self.characters, self.cut = lines, characters, False


def render(value: Any, *, lines: int = 300, characters: int = 4_000, cut: bool = False) -> Shown:
    """The value as HTML, at most ``lines`` lines with strings of at most ``characters`` characters. ``cut``: something is
    missing already. Costs as much as what is shown, however large the value."""
    budget = _Budget(lines, characters)
    budget.cut = cut
    shown: list[str] = []
    for line in _lines(value, budget, "", "", 0):
        if len(shown) == lines:
            budget.cut = True
            break
        shown.append(line)
    return Shown(html=mark_safe("\n".join(shown)), lines=len(shown), cut=budget.cut)


def _lines(value: Any, budget: _Budget, prefix: str, suffix: str, depth: int) -> Iterator[str]:
    """Lines of one value; ``prefix`` (indent and key) and ``suffix`` (comma) are HTML already."""
    if not isinstance(value, dict | list) or not value:
        yield prefix + _scalar(value, budget) + suffix
        return
    if depth >= MAX_DEPTH:
        budget.cut = True
        yield prefix + _key("…") + suffix
        return
    short = _inline(value, budget)
    if short and depth:
        yield prefix + short + suffix
        return
    yield from _block(value, budget, prefix, suffix, depth)


def _block(value: dict[str, Any] | list[Any], budget: _Budget, prefix: str, suffix: str, depth: int) -> Iterator[str]:
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    yield prefix + _key(opening)
    indent, last = "  " * (depth + 1), len(value) - 1
    members = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for place, (key, item) in enumerate(members):
        head = indent if key is None else indent + _name(key, budget) + " "
        yield from _lines(item, budget, head, "" if place == last else ",", depth + 1)
    yield "  " * depth + _key(closing) + suffix


def _fits(value: dict[str, Any] | list[Any]) -> bool:
    """Whether the container may stand on one line: it is small and holds no container with something in it."""
    items = value.values() if isinstance(value, dict) else value
    if len(value) > 12 or any(isinstance(item, dict | list) and item for item in items):
        return False
    if any(isinstance(item, str) and len(item) > INLINE_CHARACTERS for item in items):
        return False
    return len(json.dumps(value, ensure_ascii=False)) <= INLINE_CHARACTERS


def _inline(value: dict[str, Any] | list[Any], budget: _Budget) -> str | None:
    """The container on one line, if it fits there."""
    if not _fits(value):
        return None
    if isinstance(value, list):
        return _key("[") + ", ".join(_scalar(item, budget) for item in value) + _key("]")
    inside = ", ".join(f"{_name(key, budget)} {_scalar(item, budget)}" for key, item in value.items())
    return _key("{") + inside + _key("}")


def _name(key: str, budget: _Budget) -> str:
    return _key(_quoted(key, budget) + ":")


def _key(text: str) -> str:
    return format_html('<span class="k">{}</span>', text)


def _scalar(value: Any, budget: _Budget) -> str:
    if isinstance(value, str):
        return format_html('<span class="s">{}</span>', _quoted(value, budget))
    if isinstance(value, dict | list):
        return _key("{}" if isinstance(value, dict) else "[]")
    return format_html('<span class="n">{}</span>', json.dumps(value))


def _quoted(text: str, budget: _Budget) -> str:
    """The string as JSON writes it, control characters escaped, cut with a remark when it is long."""
    if len(text) <= budget.characters:
        return json.dumps(text, ensure_ascii=False)
    budget.cut = True
    more = _MORE.search(text)
    length = more.start() + int(more[1]) if more else len(text)
    return json.dumps(text[: budget.characters], ensure_ascii=False)[:-1] + f'…" ({length:,} characters)'


def plain(value: Any) -> str:
    """The whole value as indented JSON text, for copying and for the page that shows all of it."""
    return json.dumps(value, indent=2, ensure_ascii=False)
