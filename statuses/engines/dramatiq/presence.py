"""Dramatiq's worker processes, which keep no list of themselves: each reports itself, leaves paused queues alone, and hears
what it shall do. One row is one process with its threads; `dramatiq` starts several, and ends or restarts them together.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
from typing import Any

from dramatiq import __version__ as dramatiq_version
from dramatiq.common import q_name
from dramatiq.middleware import Middleware

from ... import pauses
from ... import presence as reports
from ..guard import Guard
from ..reporting import Reporter, here
from . import taken
from .middleware import RUN, over

#: Ids told of in one report.
MOST_RUNNING = 1_000
#: Order -> the signal for the `dramatiq` command, which hands it to all of its processes. Each ends with what it runs.
SIGNALS = {"stop": "SIGTERM", "restart": "SIGHUP"}


class Present(Middleware):
    """The middleware; made by `install`, after the one that tracks. No hook raises."""

    def __init__(self, guard: Guard, engine: str, in_hand: taken.InHand) -> None:
        self.guard, self.engine, self.in_hand = guard, engine, in_hand
        self._broker: Any = None
        self._command: Any = None
        self._worker: Any = None
        self._reporter: Reporter | None = None
        self._paused: frozenset[str] = frozenset()
        self._running: dict[int, Any] = {}
        self._obeyed = False

    def after_process_boot(self, broker: Any, *_: Any, **__: Any) -> None:
        """The `dramatiq` command has started this process: it or a server of its own that forks for it, as Python does since 3.14."""
        self._command = multiprocessing.parent_process()

    def before_worker_boot(self, broker: Any, worker: Any, *_: Any, **__: Any) -> None:
        """No message was taken yet. A store that is away holds nothing back until the first report."""
        self._paused = frozenset(self.guard.run("asking which queues are paused", lambda: pauses.paused(self.engine)) or ())

    def after_consumer_thread_boot(self, broker: Any, thread: Any, *_: Any, **__: Any) -> None:
        """One queue is about to be taken from."""
        if thread.queue_name in self._paused:
            thread.pause()

    def after_worker_boot(self, broker: Any, worker: Any, *_: Any, **__: Any) -> None:
        self._worker, self._broker = worker, broker
        self._reporter = Reporter(self.guard, self.engine, here(), self._facts, self._hear)
        self._reporter.start()

    def before_worker_shutdown(self, broker: Any, worker: Any, *_: Any, **__: Any) -> None:
        if self._reporter is not None:
            self._reporter.stopping()

    def after_worker_shutdown(self, broker: Any, worker: Any, *_: Any, **__: Any) -> None:
        if self._reporter is not None:
            self._reporter.leave()
            self._reporter = None

    def before_process_message(self, broker: Any, message: Any, *_: Any, **__: Any) -> None:
        self._running[id(message)] = message  # it may be handed out to two threads

    @over
    def after_process_message(
        self, broker: Any, message: Any, *_: Any, result: object = None, exception: BaseException | None = None, **__: Any
    ) -> None:
        self._running.pop(id(message), None)

    @over
    def after_skip_message(self, broker: Any, message: Any, *_: Any, **__: Any) -> None:
        self._running.pop(id(message), None)

    def _consumers(self) -> list[Any]:
        """The threads that take messages; those for later go on, for they only put what is due into its queue."""
        return [thread for name, thread in list(self._worker.consumers.items()) if q_name(name) == name]

    def _facts(self) -> dict[str, Any]:
        threads = self._consumers()
        runs = (message.__dict__.get(RUN) for message in list(self._running.values())[:MOST_RUNNING])
        return {
            "pool": "threads",
            "concurrency": self._worker.worker_threads,
            "ahead": self._worker.queue_prefetch,
            "queues": sorted(thread.queue_name for thread in threads),
            "held": sorted(thread.queue_name for thread in threads if _takes_nothing(thread)),
            "running": sorted(found.run.status_id for found in runs if found is not None and found.run.status_id),
            "software": f"dramatiq {dramatiq_version}",
            "command": self._command and self._command.pid,
            "can_restart": can_restart(),
            **taken.facts(self._broker, self._worker, self.in_hand),
        }

    def _hear(self, heard: reports.Heard) -> None:
        self._paused = heard.paused
        for thread in self._consumers():
            if thread.queue_name in heard.paused and not thread.paused:
                thread.pause()
            elif thread.queue_name not in heard.paused and thread.paused:
                thread.resume()
        name = SIGNALS.get(heard.order)
        # Once: a second signal would end the jobs. And a command that is gone has left its number to somebody else.
        if name is not None and not self._obeyed and self._command is not None and self._command.is_alive():
            self._obeyed = True
            os.kill(self._command.pid, getattr(signal, name))


def _takes_nothing(thread: Any) -> bool:
    """Whether it leaves its queue alone: one that was told to pause may still wait for a message."""
    return thread.paused and (thread.paused_event.is_set() or not getattr(thread.consumer, "takes", True))


def can_restart() -> bool:
    """Whether the `dramatiq` command can run itself again. `python -m dramatiq` in a virtual environment would leave that."""
    if sys.argv[0].endswith("/dramatiq/__main__.py"):
        return sys.prefix == sys.base_prefix
    return hasattr(signal, "SIGHUP") and shutil.which(sys.argv[0]) is not None
