"""Gives up jobs that nobody runs any more: those whose worker fell silent, and those their engine has forgotten.

Before a started job is given up its engine is asked how it ended: a worker may have died between the two tellings. What the engine
knows is told then, in place of a lost worker. Some of the jobs that wait for long are asked about, too.

A worker that was killed says nothing, so its jobs stay started. A job is given up only when all of this holds: it gave
heartbeats and has given none for its grace, at two looks so far apart that a living one would have given another in
between (after an outage of the store, or a machine that slept, every heartbeat is old), no living worker says that it
runs it, none that its engine can ask without the store (`Engine.held`), and it is still so in the very step that marks it failed. What
waits: see `waiting`.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from . import collection, upkeep
from .ends import UNSURE, Asked, grace, setting, tell
from .engines import registry
from .engines.attempts import WORKER_LOST
from .engines.guard import LONGEST_LOOK_SECONDS
from .engines.heartbeats import EVERY_SECONDS
from .errors import EngineCannot, StatusNotFound, StoreUnavailable
from .states import State
from .status import Status
from .store import current
from .waiting import MOST, Waiting

logger = logging.getLogger(__name__)

#: Seconds between the two looks: a heartbeat, and the longest time a process takes to notice that the store is back.
CONFIRM_SECONDS = EVERY_SECONDS + 2 * LONGEST_LOOK_SECONDS
#: Attempts before, among which those are counted that were lost: who polls by retries has thousands.
MOST_ATTEMPTS = 1_000


@dataclass(frozen=True, kw_only=True)
class Reaped:
    """What one look found and did; in a dry run, what it would have done."""

    failed: int = 0
    """Marked failed: their worker is lost."""
    ended: int = 0
    """Marked as their engine says that they ended, or can never start, which no worker lived to tell."""
    retried: int = 0
    """Of the failed, sent again."""
    unknown: int = 0
    """Marked unknown: their engine has forgotten them, and says no end."""
    silent: int = 0
    """Silent for longer than their grace, or waiting for an engine that no longer has them, to be looked at once more before anything
    is done."""
    spared: int = 0
    """As silent, but a worker says that it runs them (or its engine could not say, or not how they ended); or waiting, and
    their engine, which no longer has them, could not say how they ended, or a worker says that it has them."""

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
        self._waiting = Waiting(confirm_seconds, monotonic)

    def look(self, *, dry_run: bool = False) -> Reaped:
        """Give up what is lost and was so at an earlier look; the first look alone tells but how jobs that wait have ended.
        Raises: StoreUnavailable; what was seen before is forgotten then, for the jobs may not have been heard either.
        Source: one query over heartbeats, the workers of each engine, of the jobs that are given up the engine's own word
        (`Engine.outcomes`) and a script each, of all of them together the word of its workers (`Engine.held`); of each engine that can say
        it two to four queries over what waits, and its word of two hundred jobs at most that it may still have; unless it is a dry run one
        more, that says so (`upkeep`)."""
        try:
            with upkeep.doing(upkeep.REAP, dry_run=dry_run) as did:
                found = self._look(dry_run)
                did |= {"failed": found.failed, "ended": found.ended, "unknown": found.unknown, "retried": found.retried}
        except StoreUnavailable:
            self._seen.clear()
            self._waiting.clear()
            raise
        return found

    def _look(self, dry_run: bool) -> Reaped:
        now = self._monotonic()
        silent = {_key(status): status for status in _silent()}
        self._seen = {key: self._seen.get(key, now) for key in silent}
        runs = _claimed() if silent else Claimed()
        failed = ended = retried = spared = waiting = 0
        silent_for_long: list[Status] = []
        lost: list[Status] = []
        asked = Asked(self._monotonic)
        for key, status in silent.items():
            if status.id in runs.ids or status.engine in runs.unsure:
                spared += 1
            elif now - self._seen[key] < self.confirm_seconds:
                waiting += 1
            else:
                silent_for_long.append(status)
        for status, outcome in asked.outcomes(silent_for_long):
            if outcome is UNSURE:
                spared += 1
            elif outcome is not None:
                ended += dry_run or tell(status, outcome)
            else:
                lost.append(status)
        given_up = asked.unheld(lost)
        spared += len(lost) - len(given_up)
        for status in given_up:
            if dry_run or _give_up(status):
                failed += 1
                retried += not dry_run and _retry(status)
        waits = [self._waiting.look(engine, asked, dry_run) for engine in registry.all()]
        return Reaped(
            failed=failed,
            ended=ended + sum(found.ended for found in waits),
            retried=retried,
            unknown=sum(found.unknown for found in waits),
            silent=waiting + sum(found.missing for found in waits),
            spared=spared + sum(found.spared for found in waits),
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
        times = setting(current().config.reap_retries, status.job_name) or 0
        if not times or status.kill_requested or _was_lost_before(status, times):
            return False
        status.retry(by="reaper")
    except EngineCannot as error:
        logger.warning("job %s is not sent again: %s", status.id, error)
        return False
    except StatusNotFound:
        return False
    logger.warning("job %s (%s) is sent again", status.id, status.job_name)
    return True


def _was_lost_before(status: Status, times: int) -> bool:
    """Whether so many attempts before were lost with their workers, of the newest MOST_ATTEMPTS."""
    lost = (attempt for attempt in islice(status.newest_attempts(), MOST_ATTEMPTS) if attempt.error_group == WORKER_LOST)
    return sum(1 for _ in islice(lost, times)) == times
