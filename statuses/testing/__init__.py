"""For tests of code that uses the status service: a clock that stands still, statuses in any state, assertions, a store of one's own.

Nothing here needs pytest; its fixtures stand in `statuses.testing.fixtures`."""

from .assertions import assert_counts, assert_failed, assert_one, assert_state, assert_succeeded
from .clocks import FrozenClock, frozen_clock
from .making import make_status
from .stores import private_store

__all__ = [
    "FrozenClock",
    "assert_counts",
    "assert_failed",
    "assert_one",
    "assert_state",
    "assert_succeeded",
    "frozen_clock",
    "make_status",
    "private_store",
]
