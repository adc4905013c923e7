"""Sends the demo's jobs: a rush in the first minutes, so that there is something to look at, then a steady trickle.
Beside it the reaper looks for jobs that a worker which was killed left behind, and how deep the queues are is sampled."""

import logging
import random
import signal
import sys
import threading
import time
from collections.abc import Callable

from celery.beat import EmbeddedService
from celery.exceptions import OperationalError

import statuses
from statuses import sampling, upkeep
from statuses.engines import celery as tracking
from statuses.reaper import Reaper

from . import catalogue, long_tasks, packages, tasks
from .admin import NAME
from .worker import app

#: (until this many seconds after the start, short jobs a second); the last rate goes on for ever.
RATES = ((10.0, 30.0), (110.0, 22.0), (float("inf"), 1.5))
#: Seconds between two rounds of sending.
ROUND_SECONDS = 0.25
#: Seconds between two looks of the reaper.
REAP_SECONDS = 10.0
#: Seconds that the reaper has to end its look when all ends.
LEAVE_SECONDS = 3.0
#: Jobs that may wait; beyond it the rush pauses, on a machine that is slower than it.
MOST_WAITING = 400

Send = Callable[[random.Random], object]


def _any(rng: random.Random) -> packages.Package:
    return rng.choice(list(packages.installed().values()))


def _large(rng: random.Random) -> packages.Package:
    """One of the ten with the most files."""
    return rng.choice(sorted(packages.installed().values(), key=lambda package: -len(package.files))[:10])


def _file(rng: random.Random, suffixes: frozenset[str]) -> tuple[packages.Package, str]:
    """A package and one of its files with such an ending; big packages come as often as small ones."""
    while True:
        package = _any(rng)
        if files := package.ending_in(suffixes):
            return package, rng.choice(files)


def _hash_file(rng: random.Random) -> None:
    package, path = _file(rng, packages.TEXTS)
    tasks.hash_file.delay(package.resource, path)


def _count_lines(rng: random.Random) -> None:
    package, path = _file(rng, frozenset({".py"}))
    tasks.count_lines.delay(package.resource, path, packages.module_of(path))


def _compile_source(rng: random.Random) -> None:
    package, path = _file(rng, packages.NEAR_SOURCES if rng.random() < 0.08 else packages.SOURCES)
    tasks.compile_source.delay(package.resource, path)


def _read_text(rng: random.Random) -> None:
    package, path = _file(rng, packages.TEXTS)
    tasks.read_text.delay(package.resource, path)


def _check_imports(rng: random.Random) -> None:
    package, path = _file(rng, frozenset({".py"}))
    tasks.check_imports.delay(package.resource, path, packages.module_of(path))


#: Short jobs: how often each is sent, by whom, and how.
SHORT: tuple[tuple[int, str, Send], ...] = (
    (40, "deploy", _hash_file),
    (20, "deploy", _count_lines),
    (15, "deploy", _compile_source),
    (12, "nightly", _read_text),
    (12, "nightly", _check_imports),
)


def _index(rng: random.Random) -> None:
    for _ in range(3):  # together they meet at the index's lock
        tasks.index_package.delay(_large(rng).resource)


def _audit(rng: random.Random) -> None:
    package = _any(rng).resource
    tasks.audit.delay(package)
    tasks.publish.apply_async((package,), countdown=1)


def _catalogue(rng: random.Random) -> None:
    package = _large(rng)
    texts = package.ending_in(packages.TEXTS)
    catalogue.workflow(package.resource, rng.sample(texts, min(len(texts), catalogue.MOST_HASHED))).apply_async()


#: Everything else: (first after seconds, then every so many, user, how).
TIMED: tuple[tuple[float, float, str, Send], ...] = (
    (0.0, 15.0, "nightly", _index),
    (0.5, 20.0, "reports", _audit),
    (3.0, 60.0, "nightly", _catalogue),
    # Whoever looks at the demo has jobs of their own, below /jobs/mine/.
    (0.5, 75.0, NAME, lambda rng: long_tasks.rebuild_index.delay()),
    (1.0, 90.0, "nightly", lambda rng: long_tasks.verify_all.delay()),
    (2.0, 120.0, "reports", lambda rng: long_tasks.sizes.delay()),
    (1.5, 60.0, NAME, lambda rng: long_tasks.find_similar.delay(_large(rng).resource)),
)


def due(elapsed: float, sent: int) -> int:
    """How many short jobs to send now, `elapsed` seconds after the start, when `sent` were sent already."""
    wanted, since = 0.0, 0.0
    for until, rate in RATES:
        wanted += (min(elapsed, until) - since) * rate
        if elapsed <= until:
            break
        since = until
    return max(0, int(wanted) - sent)


class Traffic:
    """What was sent so far, and what comes next. Times are seconds since the start."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.elapsed = 0.0
        self.sent = 0
        self.rounds = [0] * len(TIMED)

    def step(self, seconds: float) -> None:
        """`seconds` have passed: sends what has come due. The time stands still while too many jobs wait.
        Raises: what sending or counting raises; what was not sent is due in the next step."""
        if statuses.where(state="queued").count() > MOST_WAITING:
            return
        self.elapsed += seconds
        for number, (first, every, user, send) in enumerate(TIMED):
            if self.elapsed >= first + every * self.rounds[number]:
                self.rounds[number] += 1
                self._send(user, send)
        for _ in range(due(self.elapsed, self.sent)):
            [(_weight, user, send)] = self.rng.choices(SHORT, weights=[weight for weight, *_ in SHORT])
            self._send(user, send)
            self.sent += 1

    def _send(self, user: str, send: Send) -> None:
        with tracking.as_user(user):
            send(self.rng)


def run() -> None:
    """Sends for ever; a server that is away is waited for."""
    traffic, last = Traffic(random.Random()), time.monotonic()
    while True:
        now = time.monotonic()
        try:
            # At most a second: after a machine has slept, or the server was away, there is no second rush.
            traffic.step(min(now - last, 1.0))
        except (statuses.StatusesError, OperationalError, OSError):
            time.sleep(1.0)
        last = now
        time.sleep(ROUND_SECONDS)


def reap(ended: threading.Event) -> None:
    """Gives up lost jobs and samples the queues until it is told to end; a server that is away is waited for."""
    reaper = Reaper()
    with upkeep.watching(REAP_SECONDS):
        while not ended.is_set():
            try:
                reaper.look()
                sampling.sample()
            except statuses.StoreUnavailable as error:
                logging.getLogger(__name__).warning("the reaper waits: %s", error)
            except Exception:
                logging.getLogger(__name__).exception("the reaper failed at one look")
            ended.wait(REAP_SECONDS)


def main() -> None:
    """All of it, until SIGTERM."""
    ended = threading.Event()
    app.finalize()
    reaper = threading.Thread(target=reap, args=(ended,), name="reaper", daemon=True)
    reaper.start()
    # Beat, which sends what celeryapp schedules; it has so little to do that it needs no process of its own.
    EmbeddedService(app, thread=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        run()
    finally:
        ended.set()
        reaper.join(LEAVE_SECONDS)  # it tells that it ends in order


if __name__ == "__main__":
    main()
