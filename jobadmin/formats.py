"""How numbers, durations, times and states are written: the rules of the design in one place."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings
from django.core.signals import setting_changed
from django.utils import timezone
from django.utils.formats import date_format, get_format, number_format
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy, ngettext, pgettext_lazy

from jobadmin import moments
from jobadmin.viewing import present
from jobadmin.words import gettext as _
from jobadmin.words import language

#: What states and flags are called.
STATE_WORDS = {
    "unqueued": gettext_lazy("Unqueued"),
    "queued": gettext_lazy("Queued"),
    "started": gettext_lazy("Started"),
    "succeeded": gettext_lazy("Succeeded"),
    "failed": gettext_lazy("Failed"),
    "killed": gettext_lazy("Killed"),
    "unknown": gettext_lazy("Unknown"),
    "kill_requested": gettext_lazy("Kill requested"),
    "stale": gettext_lazy("Stale heartbeat"),
    "completed": gettext_lazy("Completed"),
    "incomplete": gettext_lazy("Incomplete"),
    "ended": gettext_lazy("Ended"),
}
#: What they are called where they head a narrow column, and what else does: a translation has a soft hyphen (U+00AD) where a long word
#: may break.
STATE_HEADS = {
    "unqueued": pgettext_lazy("head of a column", "Unqueued"),
    "queued": pgettext_lazy("head of a column", "Queued"),
    "started": pgettext_lazy("head of a column", "Started"),
    "succeeded": pgettext_lazy("head of a column", "Succeeded"),
    "failed": pgettext_lazy("head of a column", "Failed"),
    "killed": pgettext_lazy("head of a column", "Killed"),
    "unknown": pgettext_lazy("head of a column", "Unknown"),
    "failure_rate": pgettext_lazy("head of a column", "Failure rate"),
}
#: How dates are written, in the letters of Django's `date` filter; a language may have its own way.
DATE_PATTERNS = {
    "Y": "Y",
    "M Y": pgettext_lazy("date", "M Y"),
    "j M": pgettext_lazy("date", "j M"),
    "j M Y": pgettext_lazy("date", "j M Y"),
    "D j M": pgettext_lazy("date", "D j M"),
    "D j M Y": pgettext_lazy("date", "D j M Y"),
}
#: What is not known.
NOTHING = "–"

#: Below this many jobs a change is told as a number: percentages of a handful mislead.
FEW = 20


def count(number: int) -> str:
    """1204318 -> ``1,204,318``, separated as the reader's language does."""
    mark = _marks(language()).thousands
    return number_format(number, decimal_pos=0, force_grouping=True) if mark is None else f"{number:,}".replace(",", mark)


def several(number: int, noun: str) -> str:
    """The number, and what it counts, in a shell, which speaks English: ``1 job``, ``3 jobs``."""
    return f"{count(number)} {noun}" + ("" if number == 1 else "s")


def _decimal(number: float, places: int) -> str:
    """`number` rounded to `places`: Django's own `number_format` cuts digits off."""
    text, mark = f"{number:.{places}f}", _marks(language()).decimal
    return number_format(Decimal(text), decimal_pos=places) if mark is None else text.replace(".", mark)


class _Marks(NamedTuple):
    """What a language puts between digits; None where Django has to say, as it is no mark after each three."""

    thousands: str | None
    decimal: str | None


@lru_cache(maxsize=64)
def _marks(language: str | None) -> _Marks:
    """Asked once a language: a page writes hundreds of numbers, and Django's `number_format` looks all of it up for each."""
    thousands = get_format("THOUSAND_SEPARATOR", language) if get_format("NUMBER_GROUPING", language) == 3 else None
    return _Marks(thousands, None if settings.USE_THOUSAND_SEPARATOR else get_format("DECIMAL_SEPARATOR", language))


def _forget(*, setting: str, **_: Any) -> None:
    if "SEPARATOR" in setting or setting in {"NUMBER_GROUPING", "USE_L10N", "FORMAT_MODULE_PATH", "LANGUAGES"}:
        _marks.cache_clear()


setting_changed.connect(_forget)


def cut(text: str, length: int) -> str:
    """`text` with at most so many characters, the last of them telling that there were more."""
    return text if len(text) <= length else text[: length - 1] + "…"


#: Where a long name may break: after these.
_BREAKS = re.compile(r"([._/:\-]+)")
#: What says so. It is no character, so what is copied is the name; hidden it is no gap either where the name is read aloud.
BREAK = '<wbr aria-hidden="true">'


def breakable(text: str) -> SafeString:
    """A name as HTML: escaped, and where a line is too short for it it breaks after a dot or a dash of its own, not inside a word."""
    return mark_safe(_BREAKS.sub(rf"\1{BREAK}", escape(str(text))))


def number(value: float) -> str:
    """A number of any kind, whole or with the decimals it has, as the reader's language writes it."""
    if isinstance(value, int):
        return count(value)
    return number_format(Decimal(repr(value)), force_grouping=True) if math.isfinite(value) else str(value)


def out_of(at: float | None, whole: float | None) -> str:
    """``744 of 1,200``: where a job is that counts something; nothing where it does not."""
    if at is None or whole in (None, 1):
        return ""
    return _("%(at)s of %(out_of)s") % {"at": _counted(at), "out_of": _counted(whole)}


def _counted(value: float) -> str:
    return count(int(value)) if float(value).is_integer() else f"{value:g}"


def size(size_bytes: int) -> str:
    """999 -> ``999 B``, 1234567 -> ``1.2 MB``: powers of a thousand."""
    for power, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size_bytes >= power:
            return f"{_trimmed(size_bytes / power, 1)} {unit}"
    return f"{count(size_bytes)} B"


def short(number: float) -> str:
    """24000 -> ``24k``: for axes only."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return _trimmed(number / size, 1) + letter
    return _trimmed(number, 1)


def share(part: int, whole: int) -> str:
    """Percent with one decimal, two below 0.1 %; never 0 for a real count; nothing of nothing is unknown."""
    if not whole:
        return NOTHING
    percent = 100 * part / whole
    if not part:
        text = number_format(0)
    elif percent < 0.01:
        text = "<" + _decimal(0.01, 2)
    elif part < whole and percent >= 99.95:
        text = ">" + _decimal(99.9, 1)
    else:
        text = _decimal(percent, 2 if percent < 0.0995 else 1)
    return f"{text} %"


#: Units of time, as languages shorten them.
_UNITS = {
    "µs": pgettext_lazy("unit", "µs"),
    "ms": pgettext_lazy("unit", "ms"),
    "s": pgettext_lazy("unit", "s"),
    "min": pgettext_lazy("unit", "min"),
    "h": pgettext_lazy("unit", "h"),
    "d": pgettext_lazy("unit", "d"),
}


def _unit(name: str) -> str:
    return _unit_in(name, language())


@lru_cache(maxsize=512)
def _unit_in(name: str, language: str | None) -> str:
    return str(_UNITS[name])


def units() -> dict[str, str]:
    """What units of time are called, for scripts that count on from what the server wrote."""
    return {name: _unit(name) for name in _UNITS}


def landmark(seconds: float) -> str:
    """A round duration on an axis: 1 s, not 1.00 s."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size * (1 - 1e-9):
            return f"{count(round(seconds / size))} {_unit(unit)}"
    return brief(seconds)


def duration_parts(seconds: float | None, *, brief: bool = False) -> list[tuple[str, str]]:
    """A duration as (number, unit) pairs, three digits at most: ``[("4", _unit("min")), ("08", _unit("s"))]``; `brief`: one pair."""
    if seconds is None:
        return [(NOTHING, "")]
    if seconds < 0.0995:
        return _tiny(seconds)
    if seconds < 59.95:
        return [(_decimal(seconds, 2 if seconds < 9.995 else 1), _unit("s"))]
    if seconds < 3599.5:
        minutes, rest = divmod(round(seconds), 60)
        return [(_trimmed(seconds / 60, 1), _unit("min"))] if brief else [(str(minutes), _unit("min")), (f"{rest:02d}", _unit("s"))]
    if seconds < 86370:
        hours, minutes = divmod(round(seconds / 60), 60)
        return [(_trimmed(seconds / 3600, 1), _unit("h"))] if brief else [(str(hours), _unit("h")), (f"{minutes:02d}", _unit("min"))]
    days, hours = divmod(round(seconds / 3600), 24)
    if brief or days >= 100:
        return [(_trimmed(seconds / 86400, 1) if days < 100 else count(days), _unit("d"))]
    return [(str(days), _unit("d")), (str(hours), _unit("h"))]


def duration(seconds: float | None) -> str:
    """11 ms, 1.84 s, 34.2 s, 4 min 08 s, 1 h 52 min, 3 d 4 h; ``–`` when not known."""
    return " ".join(f"{number} {unit}".rstrip() for number, unit in duration_parts(seconds))


def brief(seconds: float | None) -> str:
    """The same in one unit: ``1.9 h``."""
    return " ".join(f"{number} {unit}".rstrip() for number, unit in duration_parts(seconds, brief=True))


def _tiny(seconds: float) -> list[tuple[str, str]]:
    milliseconds = seconds * 1000
    if milliseconds >= 0.9995 or not seconds:
        return [(_decimal(milliseconds, 0), _unit("ms"))]
    return [(_decimal(max(1, seconds * 1e6), 0), _unit("µs"))]


def _trimmed(number: float, places: int) -> str:
    """With `places` decimals below ten, none beyond, and no decimal zero."""
    if abs(number) >= 9.95 or round(number, places) == round(number):
        return number_format(round(number), decimal_pos=0)
    return _decimal(number, places)


def ago(moment: datetime, now: datetime) -> str:
    """``4 s ago``, ``in 5 min``; beyond a day the date and time."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) >= 86400:
        return _calendar(moment, now)
    size = abs(seconds)
    if size < 1:
        return _("just now")
    number, unit = (size, _unit("s")) if size < 60 else (size / 60, _unit("min")) if size < 3600 else (size / 3600, _unit("h"))
    words = {"time": f"{int(number)} {unit}"}
    return _("%(time)s ago") % words if seconds > 0 else _("in %(time)s") % words


def when(moment: datetime, now: datetime) -> str:
    """A moment as the viewer wants it: ``4 s ago``, or ``14:32:03`` today and ``18 Nov, 14:32`` before, in their zone."""
    if present().mode == "relative":
        return ago(moment, now)
    if timezone.localtime(moment).date() == timezone.localtime(now).date():
        return dated(moment, "H:i:s")
    return _calendar(moment, now)


def dated(value: datetime, pattern: str) -> str:
    """A moment in the viewer's zone by a pattern of Django's `date` filter: a date of `DATE_PATTERNS`, a time, or both."""
    return _dated(timezone.localtime(value), pattern) + (_which(value) if "H" in pattern else "")


def _dated(local: datetime, pattern: str) -> str:
    day, comma, time = pattern.partition(", ")
    return date_format(local, f"{DATE_PATTERNS.get(day, day)}{comma}{time}")


def _which(value: datetime) -> str:
    """Of an hour that comes twice, as clocks are set back: the zone, which says whether this is the first or the second."""
    local = timezone.localtime(value)
    return "" if local.utcoffset() == local.replace(fold=1 - local.fold).utcoffset() else f" {local:%Z}"


def machine(value: datetime) -> str:
    """For the attribute `datetime`: UTC in ISO 8601, whatever the viewer reads."""
    return value.astimezone(UTC).isoformat()


def clock(value: datetime | None, *, shows_date: bool = False) -> str:
    """The time of day to the millisecond, with its date where asked: ``18 Nov 14:32:03.120``."""
    if value is None:
        return NOTHING
    text = f"{_dated(timezone.localtime(value), 'H:i:s')}.{value.microsecond // 1000:03d}{_which(value)}"
    return f"{dated(value, 'j M')} {text}" if shows_date else text


def clock_short(value: datetime | None) -> str:
    """The time of day to the second; on another day than today the date before it."""
    if value is None:
        return NOTHING
    return dated(value, "H:i:s" if timezone.localtime(value).date() == moments.today() else "j M Y, H:i:s")


def day(value: datetime | None) -> str:
    """The date and the zone that the times beside it are meant in: ``18 Nov 2026, CET``."""
    return f"{dated(value, 'j M Y')}, {timezone.localtime(value):%Z}" if value else ""


def _calendar(moment: datetime, now: datetime) -> str:
    is_this_year = timezone.localtime(moment).year == timezone.localtime(now).year
    return dated(moment, "j M, H:i" if is_this_year else "j M Y, H:i")


def moment(value: datetime | None) -> str:
    """Date, time to the millisecond, and zone: ``2026-11-19 14:32:03.120 UTC``."""
    if value is None:
        return NOTHING
    local = timezone.localtime(value)
    return f"{local.isoformat(' ', 'milliseconds')[:23]} {local.tzname()}"


def moment_range(after: datetime | None, before: datetime | None) -> str:
    """``18 Nov, 08:00 – 20:00``: a span in words, each bound as short as the other allows."""
    if before is None:
        return _("since %s") % stamp(after, beside=after) if after else _("at any time")
    # An end that is the last microsecond of a bucket is said as the moment the bucket ends.
    end = before + timedelta(microseconds=1) if before.microsecond == 999_999 else before
    if after is None:
        return _("until %s") % stamp(end, beside=end)
    begin, until = timezone.localtime(after), timezone.localtime(end)
    seconds = bool((begin.second or until.second) or end - after < timedelta(minutes=2))
    last = dated(until, "H:i:s" if seconds else "H:i") if begin.date() == until.date() else stamp(end, beside=after)
    return f"{stamp(after, beside=end)} – {last}"


def stamp(value: datetime, *, beside: datetime) -> str:
    """``Wed 18 Nov, 08:00``: one end of a span, `beside` the other; with its year where that is not this one or not the other's, with
    seconds where they are needed."""
    local, mate = timezone.localtime(value), timezone.localtime(beside)
    year = " Y" if local.year != timezone.localtime(moments.now()).year or local.year != mate.year else ""
    close = abs(beside - value) < timedelta(minutes=2)
    return dated(value, f"D j M{year}, H:i:s" if local.second or (close and beside != value) else f"D j M{year}, H:i")


def every(step: timedelta) -> str:
    """Width of a bucket in words, or of a schedule's round: ``2 h``, ``15 s``, ``1 day``, ``36 h``."""
    seconds = step.total_seconds()
    if seconds >= 86400 and not seconds % 86400:
        days = int(seconds // 86400)
        return ngettext("%(n)d day", "%(n)d days", days) % {"n": days}
    size, unit = next((pair for pair in ((3600, "h"), (60, "min"), (1, "s")) if seconds >= pair[0]), (0.001, "ms"))
    return f"{_trimmed(seconds / size, 1)} {_unit(unit)}"


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A change against the previous period."""

    arrow: str
    text: str
    """The size of the change: a percentage, or a number where there are few."""
    spoken: str
    """The whole in words, for a screen reader."""
    tone: str
    """``bad``, ``good`` or nothing."""


def delta(present: int, before: int, against: str, *, worse: bool = False, better: bool = False) -> Delta | None:
    """The change from `before` to `present`; None when nothing changed or nothing was there.

    `worse`: more of it is bad, and marked so; `better`: less of it is good.
    """
    change = present - before
    if not change:
        return None
    few = before < FEW
    percent = 100 * abs(change) / before if before else 0.0
    text = count(abs(change)) if few else f"{_percent(percent)} %"
    notable = (few and abs(change) >= 3) or (not few and percent >= 5)
    tone = "bad" if worse and change > 0 and notable else "good" if better and change < 0 and notable else ""
    words = {"size": text, "against": against}
    spoken = _("up %(size)s against %(against)s") if change > 0 else _("down %(size)s against %(against)s")
    return Delta(arrow="▲" if change > 0 else "▼", text=text, spoken=spoken % words, tone=tone)


def _percent(percent: float) -> str:
    if percent >= 9.95:
        return count(round(percent))
    return _decimal(max(percent, 0.1), 1)
