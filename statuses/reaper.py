"""Gives up jobs that nobody runs any more: those whose worker fell silent, and those their engine has forgotten.

Before a started job is given up its engine is asked how it ended: a worker may have died between the two tellings. What the engine
knows is told then, in place of a lost worker. Some of the jobs that wait for long are asked about, too.

A worker that was killed says nothing, so its jobs stay started. A job is given up only when all of this holds: it gave
heartbeats and has given none for its grace, at two looks so far apart that a living one would have given another in
between (after an outage of the store, or a machine that slept, every heartbeat is old), no living worker says that it
runs it, and it is still so in the very step that marks it failed.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, TypeVar

from . import collection, encoding, upkeep
from .engines import registry
from .engines.attempts import WORKER_LOST
from .engines.base import Engine, Outcome
from .engines.guard import LONGEST_LOOK_SECONDS
from .engines.heartbeats import EVERY_SECONDS
from .errors import EngineCannot, StatusesError, StatusNotFound, StoreUnavailable
from .query import Query
from .states import State
from .status import Status
from .store import current

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between the two looks: a heartbeat, and the longest time a process takes to notice that the store is back.
CONFIRM_SECONDS = EVERY_SECONDS + 2 * LONGEST_LOOK_SECONDS
#: A queued job is asked about when it has waited this long: its message may be on its way until then.
FORGOTTEN_AFTER = timedelta(minutes=5)
#: Jobs of one engine that wait for long without being forgotten, and that it is asked about in one look all the same: any of them, each as
#: often. Who told nobody that a job began may have told nobody of its end either, and an engine that holds others cannot say which it lost;
#: some never can.
ASKED_WAITING = 100
#: Seconds in one look in which engines are asked how jobs ended; what is left over comes with the next.
ASKING_SECONDS = 30.0
#: Silence after which a job is given up although its engine could not be asked how it ended: what keeps its results may be out of reach
#: from here for good.
ASKED_FOR = timedelta(days=1)
#: Jobs looked at in one look, of each kind; what is more comes with the next.
MOST = 10_000


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """What one look found and did; in a dry run, what it would have done."""

    failed: int = 0
    """Marked failed: their worker is lost."""
    ended: int = 0
    """Marked as their engine says that they ended, which their worker did not live to tell."""
    retried: int = 0
    """Of the failed, sent again."""
    unknown: int = 0
    """Marked unknown: their engine has forgotten them, and says no end."""
    silent: int = 0
    """Silent for longer than their grace, to be looked at once more before anything is done."""
    spared: int = 0
    """As silent, but a living worker says that it runs them (or its engine could not say, or not how they ended); or waiting, and
    their engine, which no longer has them, could not say how they ended."""

    @property
    def changed(self) -> int:
        """Jobs that were given up, or whose end was told."""
        return self.failed + self.ended + self.unknown

    @classmethod
    def total(cls, looks: Iterable["Reaped"]) -> "Reaped":
        """What several looks did, and what the last one left."""
        every = [*looks]
        last = every[-1] if every else cls()
        done = {name: sum(getattr(look, name) for look in every) for name in ("failed", "ended", "retried", "unknown")}
        return cls(**done, silent=last.silent, spared=last.spared)


class Reaper:
    """Looks for lost jobs, again and again; keeps in mind since when each was seen silent. One is enough, several do no
    harm: only one of them changes a job."""

    def __init__(self, *, confirm_seconds: float = CONFIRM_SECONDS, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.confirm_seconds = confirm_seconds
        self._monotonic = monotonic
        self._seen: dict[tuple[str, int, datetime | None], float] = {}

    def look(self, *, dry_run: bool = False) -> Reaped:
        """Give up what is lost and was so at an earlier look; the first look alone changes no started job.
        Raises: StoreUnavailable; what was seen before is forgotten then, for the jobs may not have been heard either.
        Source: one query over heartbeats, the workers of each engine, of each job that is given up the engine's own word (`Engine.outcome`)
        and a script; of each engine that can say it one or two queries over what waits, and its word of a hundred jobs at most that it
        may still have; unless it is a dry run one more, that says so (`upkeep`)."""
        try:
            with upkeep.doing(upkeep.REAP, dry_run=dry_run) as did:
                found = self._look(dry_run)
                did |= {"failed": found.failed, "ended": found.ended, "unknown": found.unknown, "retried": found.retried}
        except StoreUnavailable:
            self._seen.clear()
            raise
        return found

    def _look(self, dry_run: bool) -> Reaped:
        now = self._monotonic()
        silent = {_key(status): status for status in _silent()}
        self._seen = {key: self._seen.get(key, now) for key in silent}
        runs = _claimed() if silent else Claimed()
        failed = ended = retried = spared = waiting = 0
        asked = _Asked(self._monotonic)
        for key, status in silent.items():
            if status.id in runs.ids or status.engine in runs.unsure:
                spared += 1
            elif now - self._seen[key] < self.confirm_seconds:
                waiting += 1
            elif (outcome := asked.outcome(status)) is UNSURE:
                spared += 1
            elif outcome is not None:
                ended += dry_run or _tell(status, outcome)
            elif dry_run or _give_up(status):
                failed += 1
                retried += not dry_run and _retry(status)
        queued = [_look_at_waiting(engine, asked, dry_run) for engine in registry.all()]
        return Reaped(
            failed=failed,
            ended=ended + sum(found.ended for found in queued),
            retried=retried,
            unknown=sum(found.unknown for found in queued),
            silent=waiting,
            spared=spared + sum(found.spared for found in queued),
        )


def _key(status: Status) -> tuple[str, int, datetime | None]:
    return status.id, status.attempt, status.heartbeat_at


def _silent() -> Iterator[Status]:
    """Started jobs whose last heartbeat is older than their grace."""
    shortest = min([grace(None), *map(grace, current().config.reap_after)])
    now = collection.server_time()
    for status in collection.where(state=State.started, heartbeat_at=(None, now - shortest)).limit(MOST):
        beat = status.heartbeat_at
        if beat is not None and now - beat > grace(status.job_name):
            yield status


def grace(job_name: str | None) -> timedelta:
    """How long a started job of this name may be silent."""
    config = current().config
    return _of(config.reap_after, job_name) or 2 * config.stale_after


def _of(settings: Mapping[str, T], job_name: str | None) -> T | None:
    return settings.get(job_name or "*", settings.get("*"))


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What workers say they run: a job that holds its process's only lock for minutes gives no heartbeat, and its worker
    still knows of it."""

    ids: frozenset[str] = frozenset()
    """Of jobs that living workers run."""
    unsure: frozenset[str] = frozenset()
    """Engines that have workers and could not name them now: they are not believed to run nothing."""


def _claimed() -> Claimed:
    ids: set[str] = set()
    unsure: set[str] = set()
    for engine in registry.all():
        try:
            for worker in engine.workers() if engine.has_workers else ():
                ids.update(worker.running if worker.is_alive else ())
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception("engine %s could not name its workers", engine.name)
            unsure.add(engine.name)
    return Claimed(ids=frozenset(ids), unsure=frozenset(unsure))


#: What an engine says of a job that it cannot tell of now.
UNSURE: Final = Outcome(state=State.unknown)


class _Asked:
    """What engines say in one look of how jobs ended. One that could not say it of one job is not asked of the others: it is away."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until = monotonic() + ASKING_SECONDS
        self._away: set[str] = set()

    def outcome(self, status: Status) -> Outcome | None:
        """How it ended; None where its engine knows of no end, or could not be asked for a day; UNSURE where it could not say."""
        engine = registry.get(status.engine)
        if engine is None or not engine.can_tell_outcome:
            return None
        if engine.name in self._away:
            return self._unsure(status)
        if self._monotonic() > self._until:
            return UNSURE
        try:
            return _keepable(status, engine.outcome(status))
        except StatusNotFound:
            return None  # removed meanwhile
        except StoreUnavailable:
            raise
        except Exception as error:
            logger.warning("engine %s could not say how jobs ended, they are spared: %s: %s", engine.name, type(error).__name__, error)
            self._away.add(engine.name)
            return self._unsure(status)

    def _unsure(self, status: Status) -> Outcome | None:
        beat = status.heartbeat_at or status.queued_at
        return UNSURE if beat is None or self._now - beat < ASKED_FOR + grace(status.job_name) else None

    @cached_property
    def _now(self) -> datetime:
        return collection.server_time()


def _keepable(status: Status, outcome: Outcome | None) -> Outcome | None:
    """The same, without what the store would refuse: that the job ended counts, and one such job must not keep all others waiting."""
    if outcome is None:
        return None
    try:
        encoding.dumps([outcome.data, outcome.error], "outcome")
    except (TypeError, ValueError) as error:
        logger.warning("how job %s ended is kept without its result: %s", status.id, error)
        return replace(outcome, data=None, error=None)
    return outcome


def _tell(status: Status, outcome: Outcome) -> bool:
    """Mark it as its engine says that it ended, unless it has moved on or given a sign of life; whether that changed it."""
    id, job_name = status.id, status.job_name
    engine = registry.get(status.engine)
    guards: dict[str, Any] = {"attempt": status.attempt, "sources": {status.state}, "ago": _ago(status, outcome)}
    if status.state is State.started:
        guards["silent_for"] = grace(job_name)
    try:
        if outcome.state is State.succeeded:
            status.succeeded(data=outcome.data, **guards)
        else:
            enter = status.failed if outcome.state is State.failed else status.killed
            enter(error=outcome.error, **guards)
    except StatusNotFound:
        return False
    if status.changed:
        logger.warning("job %s (%s) is marked %s: so its engine says, its worker did not live to tell", id, job_name, outcome.state)
        if engine is not None and outcome.state is not State.succeeded:
            engine.given_up(status)
    return status.changed


def _ago(status: Status, outcome: Outcome) -> timedelta | None:
    """How long ago it ended, not before it started or was queued: the clock that says so is that of its worker. None where nobody says."""
    began = status.started_at or status.queued_at
    if outcome.ended_at is None or began is None:
        return None
    return max(collection.server_time() - max(outcome.ended_at, began), timedelta(0))


def _give_up(status: Status) -> bool:
    """Mark it failed unless it has moved on or given a sign of life; whether that changed it."""
    since, silence = status.heartbeat_at, grace(status.job_name)
    message = f"worker {status.worker or 'unknown'} gave no sign of life since {since:%Y-%m-%d %H:%M:%S %Z}"
    error = {"class": WORKER_LOST, "message": message}
    job_name, engine_name, id = status.job_name, status.engine, status.id
    try:
        status.failed(attempt=status.attempt, sources={State.started}, error=error, silent_for=silence)
    except StatusNotFound:
        return False
    if status.changed:
        logger.warning("job %s (%s) is marked failed: %s", id, job_name, message)
        engine = registry.get(engine_name)
        if engine is not None:
            engine.given_up(status)
    return status.changed


def _retry(status: Status) -> bool:
    """Send a job that was just given up again, where the setting allows it once more; whether it was."""
    try:
        times = _of(current().config.reap_retries, status.job_name) or 0
        if not times or status.kill_requested or _times_lost(status) > times:
            return False
        status.retry(by="reaper")
    except EngineCannot as error:
        logger.warning("job %s is not sent again: %s", status.id, error)
        return False
    except StatusNotFound:
        return False
    logger.warning("job %s (%s) is sent again", status.id, status.job_name)
    return True


def _times_lost(status: Status) -> int:
    return 1 + sum(attempt.error_group == WORKER_LOST for attempt in status.prior_attempts)


def _look_at_waiting(engine: Engine, asked: _Asked, dry_run: bool) -> Reaped:
    """Mark unknown what waits for an engine that no longer has it, where the engine can say so; or as it says that it ended, where
    nobody lived to tell that it started; so some of those, too, that it may have, also of an engine that cannot say what it has. Of that
    one some of those for later, too: nobody may have told that they were due."""
    if not engine.can_tell_forgotten and not engine.can_tell_outcome:
        return Reaped()
    before = collection.server_time() - FORGOTTEN_AFTER
    waiting = collection.where(engine=engine.name, state=State.queued, queued_at=(None, before)).order_by("queued_at")
    later = collection.where(engine=engine.name, state=State.unqueued, recorded_at=(None, before)).order_by("recorded_at")
    try:
        gone, others = _forgotten(engine, waiting) if engine.can_tell_forgotten else ([], [*_some(waiting), *_some(later)])
    except StatusesError:
        raise
    except Exception:
        logger.exception("engine %s could not say which jobs it has forgotten", engine.name)
        return Reaped()
    unknown = ended = spared = 0
    lost = {status.id for status in gone}
    for status in (*gone, *others):
        outcome = asked.outcome(status)
        if outcome is not None and outcome is not UNSURE:
            ended += dry_run or _tell(status, outcome)
        elif status.id in lost and outcome is UNSURE:
            spared += 1
        elif status.id in lost:
            unknown += dry_run or _mark_unknown(status)
    return Reaped(unknown=unknown, ended=ended, spared=spared)


def _forgotten(engine: Engine, waiting: Query) -> tuple[list[Status], list[Status]]:
    """Those that the engine no longer has, and some of the others."""
    found = list(waiting.limit(MOST))
    gone = engine.forgotten(found) if found else []
    lost = {status.id for status in gone}
    others = [status for status in found if status.id not in lost]
    return gone, random.sample(others, min(len(others), ASKED_WAITING))


def _some(waiting: Query) -> list[Status]:
    """Some of them: those that stand together from any place on, and at the beginning again behind the last. No others are loaded."""
    total = waiting.count()
    first = random.randrange(total) if total > ASKED_WAITING else 0
    found = list(waiting.offset(first).limit(ASKED_WAITING))
    return [*found, *waiting.limit(min(ASKED_WAITING - len(found), first))]


def _mark_unknown(status: Status) -> bool:
    job_name = status.job_name
    try:
        status.unknown(attempt=status.attempt, sources={State.queued})
    except StatusNotFound:
        return False
    if status.changed:
        logger.warning("job %s (%s) is marked unknown: its engine no longer has it", status.id, job_name)
    return status.changed
