"""Workers that say by themselves that they are there: what a broadcast would find out, kept where a page can read it.

A thread of the worker's main process, not its event loop. It tells also what the pool runs, so that a job whose process
gives no heartbeat for minutes (one lock held) is not taken for lost.
"""

from __future__ import annotations

import atexit
from typing import Any

from celery import __version__ as celery_version
from celery import bootsteps, signals
from celery.concurrency.base import BasePool
from celery.worker import state

from ... import presence
from .. import reporting
from . import adapter as adapters
from . import holding, killing, pausing, stopping
from .messages import read

#: Ids told of in one report.
MOST_RUNNING = 1_000


class Reporter(reporting.Reporter):
    """Tells of one worker until it ends."""

    def __init__(self, adapter: adapters.Adapter, controller: Any) -> None:
        super().__init__(adapter.guard, adapter.engine_name, controller.hostname)
        self.controller = controller

    def facts(self) -> dict[str, Any]:
        held, facts = pausing.of(self.controller), facts_of(self.controller)
        # What it leaves alone while that is paused is still its queue.
        return facts | {"queues": sorted(held.queues.union(facts["queues"])), "held": sorted(held.queues)}

    def hear(self, heard: presence.Heard) -> None:
        pausing.of(self.controller).follow(heard.paused, self.look)


def facts_of(controller: Any) -> dict[str, Any]:
    """What a worker is, and what it does at this moment; JSON."""
    pool = controller.pool
    queues = getattr(getattr(controller.consumer, "task_consumer", None), "queues", None) or ()
    concurrency = getattr(pool, "num_processes", None) or controller.concurrency
    return {
        "pool": type(pool).__module__.rsplit(".", 1)[-1],
        "concurrency": concurrency,
        "ahead": _ahead(controller.consumer, concurrency),
        "queues": sorted(queue.name for queue in queues),
        "running": _ids(state.active_requests),
        "reserved": len(state.reserved_requests),
        "accepted": state.all_total_count[0],
        "software": f"celery {celery_version}",
        "pool_restarts": bool(controller.app.conf.worker_pool_restarts),
        "pool_can_restart": isinstance(pool, BasePool) and type(pool).restart is not BasePool.restart,
    }


def _ahead(consumer: Any, concurrency: int) -> int | None:
    """How many messages it may hold beside those it runs; None where prefetching has no limit."""
    limit = concurrency * getattr(consumer, "prefetch_multiplier", 0)
    # What was sent for later and is due now comes on top of the limit.
    return max(limit, len(state.reserved_requests) - len(state.active_requests)) if limit else None


def _ids(requests: Any) -> list[str]:
    """The statuses of requests, at most MOST_RUNNING. Raises: RuntimeError when the set never stood still."""
    messages = (read(request.request_dict) for request in holding.standing(requests)[:MOST_RUNNING])
    return sorted(message.status_id for message in messages if message is not None and not message.untracked)


_reporters: dict[int, Reporter] = {}


def connect() -> None:
    """Let every worker that is started from now on in this process report itself; once."""
    signals.worker_ready.connect(on_ready, weak=False, dispatch_uid="statuses.presence.ready")
    signals.worker_shutting_down.connect(on_stopping, weak=False, dispatch_uid="statuses.presence.stopping")
    signals.worker_shutdown.connect(on_shutdown, weak=False, dispatch_uid="statuses.presence.shutdown")
    pausing.connect(look)
    holding.connect()
    killing.connect()
    stopping.connect(is_stopping)


class Stopping(bootsteps.StartStopStep):
    """Hears that a worker ends, however it was asked to: `worker_shutting_down` tells of signals alone."""

    def close(self, parent: Any, *_: Any, **__: Any) -> None:
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


def is_stopping(hostname: str) -> bool:
    """Whether the worker of this name was asked to end."""
    return any(reporter.is_stopping for reporter in list(_reporters.values()) if reporter.controller.hostname == hostname)


def has_processes(hostname: str) -> bool:
    """Whether the worker of this name runs each job in a process of its pool. Told by name: no pool is imported."""
    pools = [type(reporter.controller.pool) for reporter in list(_reporters.values()) if reporter.controller.hostname == hostname]
    return any(kind.__module__ == "celery.concurrency.prefork" for pool in pools for kind in pool.__mro__)


def on_shutdown(sender: Any = None, **_: Any) -> None:
    """It has ended."""
    reporter = _reporters.pop(id(sender), None)
    if reporter is not None:
        reporter.leave()
