"""Spans of time: the presets, how they are rounded, and the grid of buckets that a chart draws over one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

#: Times outside count as these: nothing was recorded then, and arithmetic near the edges of the calendar overflows.
EARLIEST, LATEST = EPOCH, datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A span that follows the clock, such as the last 24 hours."""

    name: str
    """As the URL writes it."""
    label: str
    """As the button says it."""
    words: str
    """As a sentence says it, after "created in"."""
    before_words: str
    """What the previous period is called."""
    length: timedelta
    step: timedelta
    """Width of a bucket, and what the beginning is rounded down to: within one step every page reads the same span."""
    refresh_seconds: int
    """How often a live page looks again."""


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(name="15m", label="15m", words=_("the last 15 minutes"), before_words=_("the 15 minutes before"),
               length=timedelta(minutes=15), step=timedelta(seconds=15), refresh_seconds=5),
        Preset(name="1h", label="1h", words=_("the last hour"), before_words=_("the hour before"),
               length=timedelta(hours=1), step=timedelta(minutes=1), refresh_seconds=5),
        Preset(name="24h", label="24h", words=_("the last 24 hours"), before_words=_("the 24 hours before"),
               length=timedelta(hours=24), step=timedelta(minutes=20), refresh_seconds=15),
        Preset(name="7d", label="7d", words=_("the last 7 days"), before_words=_("the 7 days before"),
               length=timedelta(days=7), step=timedelta(hours=2), refresh_seconds=60),
        Preset(name="30d", label="30d", words=_("the last 30 days"), before_words=_("the 30 days before"),
               length=timedelta(days=30), step=timedelta(hours=12), refresh_seconds=60),
    )
}  # fmt: skip
DEFAULT = "7d"
#: The name of the span that has no bounds.
ALL = "all"
NAMES = (*PRESETS, ALL)

#: How often a live page looks again when its span is no preset, seconds.
REFRESH_SECONDS = 60

#: Widths a bucket may have, seconds; beyond, whole years.
WIDTHS = (
    0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 14400, 21600,
    28800, 43200, 86400, 172800, 345600, 604800, 1209600, 2419200, 7862400, 15724800, 31536000,
)  # fmt: skip
#: A chart has at most about this many buckets: fewer pixels than eight each, and they run together.
MOST_BUCKETS = 90


@dataclass(frozen=True, kw_only=True)
class Window:
    """A stretch of time, both ends inclusive as in a query; None is open."""

    after: datetime | None = None
    before: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.after is None and self.before is None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Equal buckets that begin at round times."""

    start: datetime
    step: timedelta
    buckets: int

    @property
    def end(self) -> datetime:
        """Where the last bucket ends; no longer part of it."""
        return self.start + self.step * self.buckets

    @property
    def starts(self) -> list[datetime]:
        """Where each bucket begins."""
        return [self.start + self.step * number for number in range(self.buckets)]


def floor(moment: datetime, step: timedelta) -> datetime:
    """`moment` rounded down to a multiple of `step` on the viewer's wall clock."""
    offset = _offset(moment)
    found = moment - (moment - EPOCH + offset) % step
    before = _offset(found)
    # Where clocks were set in between, what is round by this moment's clock is an hour off by the one of before.
    if before < offset:
        return moment - (moment - EPOCH + before) % step  # never in the hour that was left out, which is not over yet
    return found + (offset - before)


def _offset(moment: datetime) -> timedelta:
    return timezone.localtime(moment).utcoffset() or timedelta()


def relative(preset: Preset, now: datetime) -> Window:
    """What the preset means at `now`: at least its length, up to the end of the step being filled. Whole steps, also where clocks were
    set meanwhile: those of the grid over it."""
    after = floor(now - preset.length, preset.step)
    steps = (now - after) // preset.step + 1
    return Window(after=after, before=after + steps * preset.step - MICROSECOND)


def previous(window: Window, length: timedelta | None) -> Window | None:
    """The stretch just before, as long as the window (or as `length` says); None for one without a beginning."""
    if window.after is None or window.before is None:
        return None
    length = length or window.before - window.after + MICROSECOND
    start = window.after - length
    return Window(after=start, before=window.after - MICROSECOND) if start >= EARLIEST else None


def grid(first: datetime, last: datetime, step: timedelta | None = None) -> Grid:
    """Buckets of a round width that cover `first` to `last`, both included."""
    last = max(first, last)
    step = step or _width(last - first)
    start = floor(first, step)
    return Grid(start=start, step=step, buckets=(last - start) // step + 1)


def _width(length: timedelta) -> timedelta:
    for seconds in WIDTHS:
        if length <= timedelta(seconds=seconds) * MOST_BUCKETS:
            return timedelta(seconds=seconds)
    return timedelta(days=365) * (length // (timedelta(days=365) * MOST_BUCKETS) + 1)


def parse(text: str, *, end_of_day: bool) -> datetime:
    """The moment `text` names in ISO 8601; a bare date is its first or last microsecond, a time without zone is local.

    What lies before or after every job that can be (`0001-01-01`, `9999-12-31`: an open end) is the nearest moment that can.
    Raises: ValueError.
    """
    # A "+" of an offset that nobody escaped arrives as a blank.
    text = re.sub(r" (\d\d:?\d\d)$", r"+\1", text.strip()) if "T" in text else text.strip()
    moment = datetime.fromisoformat(text)
    # A day ends where the next one begins: the last microsecond of its own clock may come twice, where that is set at midnight.
    ends_day = end_of_day and re.fullmatch(r"\d{4}-\d{2}-\d{2}", text)
    try:
        moment += timedelta(days=1) if ends_day else timedelta()
        moment = timezone.make_aware(moment) if timezone.is_naive(moment) else moment
        moment = moment.astimezone(UTC) - (MICROSECOND if ends_day else timedelta())
    except OverflowError:
        return EARLIEST if moment.year < EARLIEST.year else LATEST
    return min(max(moment, EARLIEST), LATEST)


def written(moment: datetime) -> str:
    """The moment as a URL carries it: UTC, as precise as it is."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
