"""Huey's consumers, which keep no list of themselves: each reports itself from its main process, leaves its queue alone while
that is paused, and hears what it shall do. One row is one consumer with its workers, whichever kind they are.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from huey import __version__ as huey_version

from ... import pauses
from ... import presence as reports
from ..guard import Guard
from ..reporting import Reporter, here
from .board import Board

#: Ids told of in one report.
MOST_RUNNING = 1_000
#: Seconds a worker of a held queue sleeps between two looks.
LOOK_SECONDS = 0.5
#: How late a server ends the wait of who waits there: it looks ten times a second.
LATE_SECONDS = 0.25


class Present:
    """The consumer of one Huey in this process, if there is one. Its workers inherit this, forked ones too."""

    def __init__(self, huey: Any, guard: Guard, engine: str, running: Callable[[], list[str]]) -> None:
        self.huey, self.guard, self.engine = huey, guard, engine
        self.worker: str | None = None
        """The name of the consumer."""
        self._running = running
        self._consumer: Any = None
        self._reporter: Reporter | None = None
        self._held: Any = None
        self._letting_go: Any = None
        self._board: Board | None = None
        self._obeyed = False

    def connect(self) -> None:
        """See the consumer that will be made, and stand before its queue."""
        create, dequeue = self.huey.create_consumer, self.huey.dequeue

        @functools.wraps(create)
        def create_consumer(*args: Any, **options: Any) -> Any:
            consumer = create(*args, **options)
            self._follow(consumer)
            return consumer

        @functools.wraps(dequeue)
        def take(*args: Any, **kwargs: Any) -> Any:
            if self._held is None or not self._held.value:
                return dequeue(*args, **kwargs)
            self._consumer.stop_flag.wait(LOOK_SECONDS)
            return None

        self.huey.create_consumer, self.huey.dequeue = create_consumer, take

    @property
    def knows_all_of(self) -> str | None:
        """The worker all of whose runs go on in this process; None where it forks for them."""
        return None if self._board is not None else self.worker or here()

    def runs(self, status_id: str) -> None:
        """This worker runs the job from now on; empty: none. Told where the consumer cannot see it by itself."""
        if self._board is not None:
            self._board.write(status_id)

    def lets_go(self, number: int) -> None:
        """Its scheduler, which may be a process, has taken so many tasks that are due and puts them into the queue now."""
        if self._letting_go is not None:
            self._letting_go.value = number

    def disconnect(self) -> None:
        """Let Huey be as it was."""
        for name in ("create_consumer", "dequeue"):
            self.huey.__dict__.pop(name, None)

    def _follow(self, consumer: Any) -> None:
        start, stop = consumer.start, consumer.stop

        @functools.wraps(start)
        def starting(*args: Any, **kwargs: Any) -> None:
            self._begin(consumer)
            start(*args, **kwargs)
            # Not before: a thread does not come along into the workers that are forked there.
            if self._reporter is not None:
                self._reporter.start()

        @functools.wraps(stop)
        def stopping(*args: Any, **kwargs: Any) -> None:
            if self._reporter is not None:
                self._reporter.stopping()
            try:
                stop(*args, **kwargs)
            finally:
                if self._reporter is not None:
                    self._reporter.leave()

        consumer.start, consumer.stop = starting, stopping

    def _begin(self, consumer: Any) -> None:
        """Nothing was taken yet. A store that is away holds nothing back until the first report."""
        self._consumer, self.worker = consumer, here()
        found = self.guard.run("asking whether the queue is paused", lambda: pauses.paused(self.engine)) or {}
        # In memory that forked workers share.
        self._held = multiprocessing.RawValue("b", self.huey.name in found)
        self._letting_go = multiprocessing.RawValue("i", 0)
        self._board = Board(consumer.workers) if consumer.worker_type == "process" else None
        self._reporter = Reporter(self.guard, self.engine, self.worker, self._facts, self._hear)

    def _facts(self) -> dict[str, Any]:
        consumer = self._consumer
        return {
            "pool": consumer.worker_type,
            "concurrency": consumer.workers,
            "ahead": 0,
            "queues": [self.huey.name],
            "held": [self.huey.name] if self._held.value else [],
            "running": (self._running() if self._board is None else self._board.read(_alive(consumer)))[:MOST_RUNNING],
            "letting_go": self._letting_go.value,
            # It hands its own command line to Python.
            "can_restart": hasattr(signal, "SIGHUP") and os.path.exists(sys.argv[0]),
            "software": f"huey {huey_version}",
        }

    def _hear(self, heard: reports.Heard) -> None:
        hold = self.huey.name in heard.paused
        if hold != bool(self._held.value):
            self._held.value = hold
            if self._reporter is not None:
                self._settle(hold)
                self._reporter.look()
        sent = {"stop": self._consumer._graceful_sig, "restart": getattr(signal, "SIGHUP", None)}.get(heard.order)
        if sent is not None and not self._obeyed:
            self._obeyed = True  # a second signal would end the jobs
            os.kill(os.getpid(), sent)

    def _settle(self, hold: bool) -> None:
        """A worker that waits at the storage in this moment may still get a task: until then it is not said to leave it alone."""
        storage = self.huey.storage
        if hold and getattr(storage, "blocking", False):
            time.sleep(min(getattr(storage, "read_timeout", None) or 1.0, 2.0) + LATE_SECONDS)


def _alive(consumer: Any) -> list[int | None]:
    """The process of each of its workers, None of one that has died: Huey starts another after some seconds."""
    return [process.pid if process.is_alive() else None for _, process in consumer.worker_threads]
