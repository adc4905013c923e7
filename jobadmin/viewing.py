"""How the person who looks wants times: relative or absolute, in their own zone or in UTC.

Two cookies carry it, so that the server writes every time once and right: `TIMES_COOKIE` is what was chosen in the menu,
`ZONE_COOKIE` the browser's zone, which the script tells. Without script the project's own zone is the local one.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils import timezone

from jobadmin.words import in_one_language

#: Relative up to a day, absolute in the local zone, absolute in UTC.
MODES = ("relative", "local", "utc")
TIMES_COOKIE, ZONE_COOKIE = "ja_times", "ja_zone"
#: How long a choice is kept, seconds.
KEPT_SECONDS = 365 * 86400

_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+\-/]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Viewing:
    """One viewer's way of reading times."""

    mode: str = "relative"
    zone: str = ""
    """Name of the browser's zone; empty: not told, or nobody here knows it."""


_OUTSIDE = Viewing()
_present: ContextVar[Viewing] = ContextVar("jobadmin_viewing", default=_OUTSIDE)


def present() -> Viewing:
    """How the person who looks at this page reads times; relative outside a page."""
    return _present.get()


def of_request(request: HttpRequest) -> Viewing:
    """What the cookies of `request` say; what they should not say counts as not said."""
    mode = request.COOKIES.get(TIMES_COOKIE, "")
    name = request.COOKIES.get(ZONE_COOKIE, "")
    return Viewing(mode=mode if mode in MODES else MODES[0], zone=name if _zone(name) else "")


@contextmanager
def viewed_by(viewing: Viewing) -> Generator[None]:
    """Everything formatted inside is meant for this viewer; Django's present zone is theirs."""
    token = _present.set(viewing)
    zone = UTC if viewing.mode == "utc" else _zone(viewing.zone) or timezone.get_current_timezone()
    try:
        with timezone.override(zone), in_one_language():
            yield
    finally:
        _present.reset(token)


@lru_cache(maxsize=512)
def _zone(name: str) -> tzinfo | None:
    if not _ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, outside the database, a folder of it
        return None
