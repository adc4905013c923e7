"""A clock that stands still."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from .. import clock


class FrozenClock:
    """A clock that moves when it is told to, forward only: time in the store never goes back."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        clock.freeze(now)

    @property
    def now(self) -> datetime:
        return self._now

    def tick(self, time: timedelta | float = 1.0) -> datetime:
        """Let time pass, seconds or a timedelta; the new time. ValueError for a negative one."""
        return self._to(self._now + (time if isinstance(time, timedelta) else timedelta(seconds=time)))

    def move_to(self, moment: datetime) -> datetime:
        """Let time pass until `moment`, an aware datetime. ValueError for one that is over."""
        return self._to(moment)

    def _to(self, moment: datetime) -> datetime:
        if clock.to_us(moment) < clock.to_us(self._now):
            raise ValueError(f"time does not go back: from {self._now} to {moment}")
        self._now = moment
        clock.freeze(moment)
        return moment


@contextmanager
def frozen_clock(at: datetime | None = None) -> Generator[FrozenClock]:
    """Inside the block every write of this process, from any thread, happens at one moment, until `tick()`: by default
    noon (UTC) of 2026-01-01. Answers that depend on the time (`clean()`, `stale`, how long a removal can be taken back) go by it too."""
    before = clock.frozen_us()
    frozen = FrozenClock(at or datetime(2026, 1, 1, 12, tzinfo=UTC))
    try:
        yield frozen
    finally:
        clock.freeze(None if before is None else clock.from_us(before))
