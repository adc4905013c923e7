"""For tests of code that uses the status service: a clock that stands still, and statuses in any state."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from . import clock
from .collection import create
from .states import State
from .status import Status


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
        step = time if isinstance(time, timedelta) else timedelta(seconds=time)
        if step < timedelta(0):
            raise ValueError(f"time does not go back: {step}")
        self._now += step
        clock.freeze(self._now)
        return self._now


@contextmanager
def frozen_clock(at: datetime | None = None) -> Iterator[FrozenClock]:
    """Inside the block every write of this process happens at one moment, until `tick()`."""
    frozen = FrozenClock(at or datetime(2026, 1, 1, 12, tzinfo=UTC))
    try:
        yield frozen
    finally:
        clock.freeze(None)


def make_status(state: str = "queued", *, error: object = None, **as_create: Any) -> Status:
    """A status that came to `state` as jobs do: through queued and started where that is on its way."""
    target = State(state)
    status = create(**{"job_name": "tests.job", **as_create})
    if target is State.unqueued:
        return status
    status.queued()
    if target is State.queued:
        return status
    if target is State.unknown:
        return status.unknown()
    status.started(worker="worker-1")
    if error is not None:
        status.add_error(error)
    if target is State.started:
        return status
    return {State.succeeded: status.succeeded, State.failed: status.failed, State.killed: status.killed}[target]()
