"""A traceback as HTML: hundreds of lines of few kinds, written here because templates take ten times as long for them."""

from collections.abc import Iterable

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from jobadmin.tracebacks import Frame, Part

#: What the lines of a part look like.
_LOOKS = {"error": "err", "note": "dim"}


def parts_html(parts: Iterable[Part]) -> SafeString:
    """The parts of a traceback, one after the other; foreign frames folded."""
    return mark_safe("".join(map(_part, parts)))


def _part(part: Part) -> str:
    if part.kind == "frame":
        return _frame(part.frame)
    if part.kind == "fold":
        return _fold(part)
    css = _LOOKS.get(part.kind, "")
    # The blank of no width keeps an empty line its height.
    return "".join(f'<div class="{css}">{escape(line)}&#8203;</div>' for line in part.lines)


def _fold(part: Part) -> str:
    n = len(part.frames)
    words = ngettext("%(n)s frame", "%(n)s frames", n) % {"n": n}
    if part.packages:
        words = f"{words} {_('inside %(packages)s') % {'packages': part.packages}}"
    frames, show = "".join(map(_frame, part.frames)), escape(_("show"))
    summary = f'<summary><span class="dim">… {escape(words)}, </span><span class="j-fold__show">{show}</span></summary>'
    return f'<details class="j-fold">{summary}{frames}</details>'


def _frame(frame: Frame) -> str:
    line = "" if frame.line is None else f", line {frame.line}"
    where = f", in {escape(frame.function)}" if frame.function else ""
    css = "" if frame.own else ' class="dim"'
    before, after = ('<span class="hot">', "</span>") if frame.own else ("", "")
    code = "".join(f"<div{css}>    {before}{escape(line)}{after}</div>" for line in frame.code)
    return f'<div{css}>  File "{escape(frame.file)}"{line}{where}</div>{code}'
