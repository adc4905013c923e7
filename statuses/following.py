"""Whether a line still leads to the primary, by Sentinel's word.

A primary that lives on after a failover takes writes for about nine seconds, until Sentinel makes it a replica: they are gone then. So
Sentinel is asked each second while there are writes, by a thread of its own: no write waits for it.
"""

import contextlib
import threading
import time
from typing import Any

#: Seconds between two questions, and after how many without a write nobody asks any more.
EVERY_SECONDS, QUIET_SECONDS = 1.0, 10.0


class Following:
    """Follows the primary of one of redis-py's pools that ask Sentinel. Safe with threads; a forked child makes its own."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._used = 0.0
        self._thread: threading.Thread | None = None

    def is_left(self, line: Any) -> bool:
        """Whether the primary was another one than where `line` leads when Sentinel was asked last. No round trip."""
        self._used = time.monotonic()
        if self._thread is None:
            self._thread = threading.Thread(target=self._ask, name="statuses-sentinel", daemon=True)
            # While the interpreter ends there are no new threads; nor is there much left to write.
            with contextlib.suppress(RuntimeError):
                self._thread.start()
        return not self._pool.owns_connection(line)

    def _ask(self) -> None:
        while time.monotonic() - self._used < QUIET_SECONDS:
            time.sleep(EVERY_SECONDS)
            # Who answers to nobody, or knows no primary now, says nothing about where it is: as before, then.
            with contextlib.suppress(Exception):
                self._pool.get_master_address()
        self._thread = None


def following(pool: Any) -> Following | None:
    """For a pool that leads to a primary which Sentinel knows; None for every other."""
    return Following(pool) if hasattr(pool, "sentinel_manager") and pool.is_master else None
