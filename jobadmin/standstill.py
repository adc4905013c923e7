"""What waits and is not started by anybody: since no worker is alive, none takes from its queue, or that is paused."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import statuses
from jobadmin import delivery, fleet, queues
from jobadmin.answers import LATELY
from jobadmin.filters import JobFilter
from jobadmin.fleet import Fleet
from statuses import Query, State, Status

#: Queues of one page of rows that are asked about; rows of others are left without a word.
MOST_QUEUES = 8


@dataclass(frozen=True, kw_only=True)
class Nobody:
    """That no worker is alive while jobs wait."""

    waiting: int
    """Those jobs, of all times."""
    last_seen: datetime | None
    """When the last sign of life of any came; None where nobody remembers one."""


def nobody(told: Fleet, now: datetime) -> Nobody | None:
    """Whether it is certain that no worker is alive while jobs wait, of all kinds; None where one is, and where one may be: an engine
    does not say now, or jobs wait of which no engine tells. `told`: the workers of all engines.
    Source: nothing where one is alive; else one count, and up to three more.  Raises: StoreUnavailable."""
    if told.silent or any(worker.is_alive for worker in told.workers):
        return None
    queued = statuses.where(state=State.queued)
    found = queued.report(count=True, counts_by={"engine": None})
    engines, waiting = found.counts_by["engine"], found.total or 0
    if sum(one.total for one in engines) < waiting or not told.is_certain([one.value for one in engines], lambda: _moves(queued, now)):
        return None
    return Nobody(waiting=waiting, last_seen=told.last_seen)


def _moves(queued: Query, now: datetime) -> bool:
    """Whether somebody takes jobs, as far as these show: also where those that wait have not waited for long."""
    settled = queued.where(queued_at=(None, now - delivery.SETTLED)).count()
    lately = queues.lately(JobFilter(at=now)).query.count()
    return not settled or delivery.moves(lately, statuses.where(state=State.started).count(), settled)


@dataclass(frozen=True, kw_only=True)
class Holds:
    """The queues in which the jobs of an engine wait for more than their turn; each with that engine."""

    paused: frozenset[tuple[str, str]] = frozenset()
    unserved: frozenset[tuple[str, str]] = frozenset()
    """Certainly no living worker takes from them."""
    silent: tuple[str, ...] = ()
    """Engines that do not say now who takes from theirs."""


def holds(jobs: Iterable[Status], kept: Callable[[], Iterable[tuple[str, str]]], now: datetime) -> Holds:
    """What holds up the queued ones of these jobs; `kept`: asks for `statuses.version().paused`.
    Source: nothing where none is queued; else what the engines tell of their workers, see `answers`; for a queue without one whose
    engine knows no worker at all four counts.  Raises: StoreUnavailable."""
    named = {(job.engine, job.queue): None for job in jobs if job.state == State.queued and job.engine and job.queue}
    wanted = list(named)[:MOST_QUEUES]
    if not wanted:
        return Holds()
    paused = fleet.pauses(kept()).intersection(wanted)
    told = fleet.read(queues=False, manner=LATELY)
    unserved = [
        (engine, queue)
        for engine, queue in wanted
        if told.is_unserved(queue, [engine], lambda queue=queue: queues.moves(queue, JobFilter(at=now)))
    ]
    return Holds(paused=frozenset(paused), unserved=frozenset(unserved), silent=told.silent)
