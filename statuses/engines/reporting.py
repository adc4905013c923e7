"""A worker that says by itself that it is there, from a thread of its own: a store that is slow holds up nothing.

What it has to know comes back with each report: paused queues, and what somebody wants it to do.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from .. import clock, pauses, presence
from ..collection import server_time
from ..ends import grace
from . import machine
from .base import Engine, Queue, Worker
from .guard import Guard


def here() -> str:
    """The name of a worker that is this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Reporter:
    """Tells of one worker until it ends. Whoever makes it overrides `facts` and `hear`, or gives them as functions."""

    def __init__(
        self,
        guard: Guard,
        engine: str,
        worker: str,
        facts: Callable[[], dict[str, Any]] | None = None,
        hear: Callable[[presence.Heard], None] | None = None,
    ) -> None:
        self.guard, self.engine, self.worker = guard, engine, worker
        self.is_stopping = False
        self._facts, self._hear = facts, hear
        self._pid = os.getpid()
        self._started_us: int | None = None
        self._ended = threading.Event()
        self._soon = threading.Event()
        self._thread = threading.Thread(target=self._run, name="statuses-presence", daemon=True)

    def facts(self) -> dict[str, Any]:
        """What the worker is, and what it does at this moment; JSON."""
        return self._facts() if self._facts is not None else {}

    def hear(self, heard: presence.Heard) -> None:
        """Do what has come back. In the thread of the reports."""
        if self._hear is not None:
            self._hear(heard)

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
        """It ends in order. Told once, and by itself: processes that were forked inherit what this one registered."""
        if self._ended.is_set() or os.getpid() != self._pid:
            return
        self._ended.set()
        self._soon.set()
        self.guard.run("taking leave", lambda: presence.leave(self.engine, self.worker))

    def _run(self) -> None:
        while not self._ended.is_set():
            self.guard.run("reporting the worker", self._tell)
            self._soon.wait(presence.EVERY_SECONDS)
            self._soon.clear()

    def _tell(self) -> None:
        if self._started_us is None:
            self._started_us = clock.to_us(server_time())
        where = {"host": socket.gethostname(), "pid": self._pid, "machine": machine.here()}
        facts = {**where, "started_us": self._started_us, "stopping": self.is_stopping, **self.facts()}
        if self._ended.is_set():
            return
        heard = presence.tell(self.engine, self.worker, facts)
        if not self.is_stopping:
            self.hear(heard)


def may_live(engine: str) -> list[presence.Report]:
    """The workers that may live: one that has been silent for as long as its jobs may be is dead, as they are.  Two round trips."""
    told, now = presence.reports(engine), server_time()
    return [report for report in told if now - report.seen_at <= grace(None)]


def all_heard(workers: Iterable[presence.Report]) -> bool:
    """Whether each of them has reported since the reaper's look before this one: what it took before that one it has told."""
    latest = server_time() - 2 * timedelta(seconds=presence.EVERY_SECONDS)
    return all(report.seen_at >= latest for report in workers)


def worker_of(report: presence.Report, refuses: Mapping[str, str] | None = None, details: tuple[str, ...] = ()) -> Worker:
    """What a report says. `refuses`: controls it has not, with the reasons; `details`: names of facts to show besides."""
    facts = report.facts
    return Worker(
        name=report.worker,
        engine=report.engine,
        host=facts.get("host"),
        pid=facts.get("pid"),
        pool=facts.get("pool"),
        concurrency=facts.get("concurrency"),
        queues=tuple(facts.get("queues") or ()),
        running=tuple(facts.get("running") or ()),
        started_at=clock.from_us(facts["started_us"]) if facts.get("started_us") else None,
        seen_at=report.seen_at,
        is_alive=report.is_alive,
        is_stopping=bool(facts.get("stopping")),
        takes_ahead=facts.get("ahead"),
        held=tuple(facts.get("held") or ()),
        refuses=refuses or {},
        details={name: facts[name] for name in details if name in facts},
    )


def queue_of(engine: str, name: str, depth: int | None, paused: Mapping[str, pauses.Pause], held: int | None = None) -> Queue:
    """A queue, and whether it is paused."""
    pause = paused.get(name)
    since, by = (pause.since, pause.by) if pause is not None else (None, None)
    return Queue(name=name, engine=engine, depth=depth, held=held, is_paused=pause is not None, paused_at=since, paused_by=by)


class Ordered(Engine):
    """An engine whose workers hear what they shall do with their next report, at most ten seconds later."""

    def stop_worker(self, worker: Worker) -> None:
        """Let a worker end warmly.  Raises: EngineCannot; StoreUnavailable.  One or two round trips."""
        self._order("stop_worker", worker, "stop")

    def restart_pool(self, worker: Worker) -> None:
        """Let a worker renew itself once its jobs have ended. Heard as `stop_worker`."""
        self._order("restart_pool", worker, "restart")

    def _order(self, verb: str, worker: Worker, what: str) -> None:
        why = self.why_not(verb, worker)
        if why:
            raise self.refusal(verb, worker.name, why)
        name = self._who_hears(worker)
        if name is None or not presence.order(self.name, name, what):
            raise self.refusal(verb, worker.name, "it is gone")

    def _who_hears(self, worker: Worker) -> str | None:
        """The worker that an order to this one is told; None where it is gone."""
        return worker.name

    def pause_queue(self, queue: str, by: str | None = None) -> bool:
        """Written down; workers see it with their next report, at most ten seconds later, those that start before they take anything."""
        return pauses.pause(self.name, queue, by)

    def resume_queue(self, queue: str, by: str | None = None) -> bool:
        """The same the other way round."""
        return pauses.resume(self.name, queue)
