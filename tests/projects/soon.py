"""Processes under test wait less than people's: a store that does not answer is away after half a second, and known to be back half a
second after it is."""

import os

import statuses
from statuses import reaper  # noqa: F401  # which is as patient with others as they are outside tests
from statuses.engines import guard

#: Seconds that a project waits for its store: a busy machine is not taken for one that hangs.
SECONDS = float(os.environ.get("TEST_TIMEOUT", "0.5"))
#: Whether a project counts what its jobs do.
COUNTS = os.environ.get("TEST_METRICS") == "1"

guard.FIRST_LOOK_SECONDS, guard.LONGEST_LOOK_SECONDS = 0.1, 0.5


def configure() -> None:
    """Use the store of the tests, as a project without Django says it."""
    statuses.configure(
        url=os.environ["TEST_STORE"],
        namespace="contract",
        metrics=COUNTS,
        timeout_seconds=SECONDS,
        connect_timeout_seconds=SECONDS,
    )
