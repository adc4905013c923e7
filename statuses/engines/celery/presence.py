"""Workers that say by themselves that they are there: what a broadcast would find out, kept where a page can read it.

A thread of the worker's main process, not its event loop: a store that is slow holds up nothing. It tells also what the
pool runs, so that a job whose process gives no heartbeat for minutes (one lock held) is not taken for lost.
"""

from __future__ import annotations

import atexit
import os
import socket
import threading
from typing import Any

from celery import __version__ as celery_version
from celery import bootsteps, signals
from celery.concurrency.base import BasePool
from celery.worker import state

from ... import clock, presence
from ...collection import server_time
from . import adapter as adapters
from . import pausing
from .messages import read

#: Ids told of in one report.
MOST_RUNNING = 1_000
#: Times a set is read that changes meanwhile.
_READS = 10


class Reporter:
    """Tells of one worker until it ends."""

    def __init__(self, adapter: adapters.Adapter, controller: Any) -> None:
        self.adapter = adapter
        self.controller = controller
        self.is_stopping = False
        self._pid = os.getpid()
        self._started_us: int | None = None
        self._ended = threading.Event()
        self._soon = threading.Event()
        self._thread = threading.Thread(target=self._run, name="statuses-presence", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stopping(self) -> None:
        """It takes no more jobs."""
        self.is_stopping = True
        self.look()

    def look(self) -> None:
        """Report soon."""
        self._soon.set()

    def leave(self) -> None:
        """It ends in order. Told once, and by itself: pool processes inherit what this one registered."""
        if self._ended.is_set() or os.getpid() != self._pid:
            return
        self._ended.set()
        self._soon.set()
        self.adapter.guard.run("taking leave", lambda: presence.leave(self.adapter.engine_name, self.controller.hostname))

    def _run(self) -> None:
        while not self._ended.is_set():
            self.adapter.guard.run("reporting the worker", self._tell)
            self._soon.wait(presence.EVERY_SECONDS)
            self._soon.clear()

    def _tell(self) -> None:
        if self._started_us is None:
            self._started_us = clock.to_us(server_time())
        held = pausing.of(self.controller)
        facts = facts_of(self.controller)
        # What it leaves alone while that is paused is still its queue.
        queues = sorted(held.queues.union(facts["queues"]))
        facts |= {"queues": queues, "held": sorted(held.queues), "started_us": self._started_us, "stopping": self.is_stopping}
        if self._ended.is_set():
            return
        paused = presence.tell(self.adapter.engine_name, self.controller.hostname, facts)
        if not self.is_stopping:
            held.follow(paused, self.look)


def facts_of(controller: Any) -> dict[str, Any]:
    """What a worker is, and what it does at this moment; JSON."""
    pool = controller.pool
    queues = getattr(getattr(controller.consumer, "task_consumer", None), "queues", None) or ()
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "pool": type(pool).__module__.rsplit(".", 1)[-1],
        "concurrency": getattr(pool, "num_processes", None) or controller.concurrency,
        "queues": sorted(queue.name for queue in queues),
        "running": _ids(state.active_requests),
        "reserved": len(state.reserved_requests),
        "accepted": state.all_total_count[0],
        "software": f"celery {celery_version}",
        "pool_restarts": bool(controller.app.conf.worker_pool_restarts),
        "pool_can_restart": isinstance(pool, BasePool) and type(pool).restart is not BasePool.restart,
    }


def _ids(requests: Any) -> list[str]:
    """The statuses of requests, at most MOST_RUNNING. Raises: RuntimeError when the set never stood still."""
    for attempt in range(_READS):
        try:
            found = list(requests)
            break
        except RuntimeError:  # it changed while it was read: the worker's own thread goes on
            if attempt == _READS - 1:
                raise
    messages = (read(request.request_dict) for request in found[:MOST_RUNNING])
    return sorted(message.status_id for message in messages if message is not None and not message.untracked)


_reporters: dict[int, Reporter] = {}


def connect() -> None:
    """Let every worker that is started from now on in this process report itself; once."""
    signals.worker_ready.connect(on_ready, weak=False, dispatch_uid="statuses.presence.ready")
    signals.worker_shutting_down.connect(on_stopping, weak=False, dispatch_uid="statuses.presence.stopping")
    signals.worker_shutdown.connect(on_shutdown, weak=False, dispatch_uid="statuses.presence.shutdown")
    pausing.connect(look)


class Stopping(bootsteps.StartStopStep):
    """Hears that a worker ends, however it was asked to: `worker_shutting_down` tells of signals alone."""

    def close(self, parent: Any) -> None:
        on_stopping(parent.hostname)


def look(controller: Any) -> None:
    """Let the worker of this controller report soon."""
    reporter = _reporters.get(id(controller))
    if reporter is not None:
        reporter.look()


def on_ready(sender: Any = None, **_: Any) -> None:
    """A worker takes jobs; also after it found its broker again."""
    controller = sender.controller
    adapter = adapters.of(sender.app)
    if adapter is None or id(controller) in _reporters:
        return
    reporter = _reporters[id(controller)] = Reporter(adapter, controller)
    # A cold shutdown sends no `worker_shutdown`.
    atexit.register(reporter.leave)
    reporter.start()


def on_stopping(sender: Any = None, **_: Any) -> None:
    """It was asked to end; the sender is its name."""
    for reporter in list(_reporters.values()):
        if reporter.controller.hostname == sender:
            reporter.stopping()


def on_shutdown(sender: Any = None, **_: Any) -> None:
    """It has ended."""
    reporter = _reporters.pop(id(sender), None)
    if reporter is not None:
        reporter.leave()
