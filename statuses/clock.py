"""Where the time comes from: Redis itself, or a clock that stands still for tests."""

import time
from datetime import UTC, datetime, timedelta

from .arguments import shown

#: Microseconds of the frozen clock of this process; None: scripts ask the server.
_everywhere: int | None = None

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def to_us(moment: datetime) -> int:
    """Integer microseconds since the epoch of an aware datetime, exact; ValueError when it is naive."""
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise ValueError(f"{shown(moment)} has no time zone: give an aware datetime")
    return (moment - EPOCH) // MICROSECOND


def from_us(at_us: int) -> datetime:
    """The aware datetime (UTC) of integer microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=at_us)


def freeze(moment: datetime | None) -> None:
    """Let every write and every answer of this process happen at `moment`; None: the server's time again."""
    global _everywhere
    _everywhere = None if moment is None else to_us(moment)


def frozen_us() -> int | None:
    """Microseconds at which the clock stands, None when it runs."""
    return _everywhere


def here_us() -> int:
    """Microseconds by the clock of this machine, which nobody may have set; those of the frozen clock where it stands."""
    return time.time_ns() // 1000 if _everywhere is None else _everywhere


def argument() -> str:
    """The time as scripts take it: microseconds, or empty for the server's own."""
    return "" if _everywhere is None else str(_everywhere)
