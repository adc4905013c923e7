"""Signs of life of the jobs that run in this process, from one thread that sleeps while there are none.

The thread lives where the job runs, not in a supervisor: it falls silent exactly when the job's process does.
"""

import threading
import time
import weakref
from collections.abc import Callable, Hashable

from .. import forks

#: Seconds between two signs of life of a job; a quarter of the time after which it counts as stale.
EVERY_SECONDS = 15.0
#: Seconds until the first: most jobs end before it, and cost nothing.
FIRST_SECONDS = 1.0

Beat = Callable[[], object]


class Heartbeats:
    """Calls the `beat` of each job that runs, first soon after its start, then regularly."""

    def __init__(self, every_seconds: float = EVERY_SECONDS, first_seconds: float = FIRST_SECONDS) -> None:
        self.every_seconds = every_seconds
        self.first_seconds = first_seconds
        self._reset()
        _all.add(self)

    def _reset(self) -> None:
        # Held by itself: what a condition does for it is code in Python, and every job comes by twice.
        self._lock = threading.Lock()
        self._has_beaten = threading.Condition(self._lock)
        self._jobs: dict[Hashable, tuple[float, Beat]] = {}
        self._beating: Hashable = None
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, key: Hashable, beat: Beat) -> None:
        """Begin with a job; `beat` must not raise."""
        with self._lock:
            self._jobs[key] = (time.monotonic() + self.first_seconds, beat)
            if self._thread is None:
                # Kept once it runs: whoever is interrupted here leaves none that never will.
                thread = threading.Thread(target=self._run, name="statuses-heartbeats", daemon=True)
                thread.start()
                self._thread = thread
        if not self._wake.is_set():
            self._wake.set()

    def remove(self, key: Hashable) -> None:
        """The job has ended. Its beat is over then and does not come again: what that told comes before the end."""
        with self._lock:
            self._jobs.pop(key, None)
            while self._beating == key:  # its end would wait for the same store
                self._has_beaten.wait()

    def running(self) -> list[Hashable]:
        """The keys of all of them."""
        with self._lock:
            return [*self._jobs]

    def _run(self) -> None:
        while True:
            self._wake.wait()
            # A look a second while anything runs, however many jobs come and go in it: a thread that each of them woke, and that
            # had to wait for the interpreter until that job was over, cost a short one more than its own start.
            time.sleep(self.first_seconds)
            with self._lock:
                if not self._jobs:
                    self._wake.clear()
                    continue
            for key in self._due():
                self._give(key)

    def _due(self) -> list[Hashable]:
        now = time.monotonic()
        with self._lock:
            return [key for key, (at, _) in self._jobs.items() if at <= now]

    def _give(self, key: Hashable) -> None:
        with self._lock:
            if key not in self._jobs:
                return
            _, beat = self._jobs[key]
            self._jobs[key] = (time.monotonic() + self.every_seconds, beat)
            self._beating = key
        try:
            beat()
        finally:
            with self._lock:
                self._beating = None
                self._has_beaten.notify_all()


_all: "weakref.WeakSet[Heartbeats]" = weakref.WeakSet()


@forks.afterwards
def _after_fork() -> None:
    # Neither the thread nor the jobs it speaks for came along.
    for heartbeats in list(_all):
        heartbeats._reset()
