"""The workers of the database's backend (`manage.py db_worker`), which keep no list of themselves: each reports itself, leaves
paused queues alone, and hears that it shall end. Django's tasks know no workers, and other backends tell of none.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.apps import apps

from ... import pauses
from ... import presence as reports
from ..reporting import Reporter

if TYPE_CHECKING:
    from .adapter import Adapter

_MARK = "_statuses_tracked"
#: Where the command stands, and its name for all queues.
_COMMAND = "django_tasks_db.management.commands.db_worker"
ALL_QUEUES = "*"
#: Seconds in which a worker that was just asking the database for a job has got it.
SETTLE_SECONDS = 0.5


def connect(adapter_of: Callable[[], Adapter | None]) -> None:
    """See every worker that runs in this process from now on; once. Never raises."""
    if not apps.apps_ready or not apps.is_installed("django_tasks_db"):
        return
    adapter = adapter_of()
    try:
        worker: Any = importlib.import_module(_COMMAND).Worker
    except Exception:
        if adapter is not None:
            adapter.tracker.guard.say("presence", "the workers of Django tasks cannot be followed", trace=True)
        return
    if not getattr(worker.run, _MARK, False):
        worker.run = _watched(worker.run, adapter_of)


def _watched(run: Callable[..., Any], adapter_of: Callable[[], Adapter | None]) -> Callable[[Any], None]:
    @functools.wraps(run)
    def running(worker: Any, *args: Any, **kwargs: Any) -> Any:
        adapter = adapter_of()
        present = adapter.tracker.guard.run("following a worker", lambda: Present(adapter, worker)) if adapter is not None else None
        try:
            return run(worker, *args, **kwargs)
        finally:
            if present is not None:
                present.leave()

    setattr(running, _MARK, True)
    return running


class Present:
    """One worker, from before it takes its first job."""

    def __init__(self, adapter: Adapter, worker: Any) -> None:
        self.adapter, self.worker = adapter, worker
        self._excluded = list(worker.excluded_queue_names)
        self._obeyed = False
        guard, engine = adapter.tracker.guard, adapter.tracker.name
        # A store that is away holds nothing back until the first report.
        self._hold(frozenset(guard.run("asking which queues are paused", lambda: pauses.paused(engine)) or ()))
        self._reporter = Reporter(guard, engine, worker.worker_id, self._facts, self._hear)
        self._reporter.start()
        # A reload ends the process from another thread.
        atexit.register(self._reporter.leave)

    def leave(self) -> None:
        """It ends in order."""
        self._reporter.leave()
        atexit.unregister(self._reporter.leave)

    def _hold(self, paused: frozenset[str]) -> None:
        """Leave these queues alone: the worker looks at its list each time it asks for a job."""
        self._paused = paused
        self.worker.excluded_queue_names = [*self._excluded, *sorted(paused)]

    def _takes(self, queue: str) -> bool:
        return queue not in self._excluded and (queue in self.worker.queue_names or ALL_QUEUES in self.worker.queue_names)

    def _facts(self) -> dict[str, Any]:
        return {
            "concurrency": 1,
            "ahead": 0,
            "queues": sorted(set(self.worker.queue_names) - set(self._excluded)),
            "excluded": self._excluded,
            "backend": self.worker.backend_name,
            "held": sorted(filter(self._takes, self._paused)),
            "running": self.adapter.running(),
            "stopping": not self.worker.running,
            "can_stop": signal.getsignal(signal.SIGTERM) == self.worker.shutdown,
        }

    def _hear(self, heard: reports.Heard) -> None:
        if heard.paused != self._paused:
            self._hold(heard.paused)
            time.sleep(SETTLE_SECONDS)
            self._reporter.look()
        if heard.order == "stop" and not self._obeyed and self._facts()["can_stop"]:
            self._obeyed = True  # a second signal would end the job
            self._reporter.is_stopping = True
            os.kill(os.getpid(), signal.SIGTERM)
            self._reporter.look()
