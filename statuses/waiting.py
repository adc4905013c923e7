"""What waits for an engine that no longer has it: a broker that lost its data, a purged queue, a worker that took it and died.

A job is marked unknown only when all of this holds: it has waited for five minutes, its engine says that it will never start it, at two
looks so far apart that what was on its way between two places has arrived, or was told, in between; its engine knows of no end; no worker
says that it has it; and it still waits in the very step that marks it. Where its engine knows why it never starts (it came too late) it
ends so in place of that.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from . import collection
from .ends import UNSURE, Asked, tell
from .engines.base import Engine
from .errors import StatusesError, StatusNotFound
from .query import Query
from .states import State
from .status import Status

logger = logging.getLogger(__name__)

#: A job is asked about when it has waited this long: its message may be on its way until then.
FORGOTTEN_AFTER = timedelta(minutes=5)
#: Jobs of one engine that wait for long without being forgotten, and that it is asked about in one look all the same: any of them, each as
#: often, and as many of those for later. Who told nobody that a job began may have told nobody of its end either, and an engine that holds
#: others cannot say which it lost; some never can.
ASKED_WAITING = 100
#: Jobs looked at in one look, of each kind; what is more comes with the next.
MOST = 10_000
#: Jobs for later that an engine is asked about in one look whether it still has them: any of them, for they may wait so for weeks.
LATER = 1_000

#: A job as it waits: its id, attempt and state, and the engine's id.
_Key = tuple[str, int, State, str | None]


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one look at the jobs of an engine that wait found and did."""

    unknown: int = 0
    """Marked unknown."""
    ended: int = 0
    """Marked as their engine says that they ended, or came to nothing."""
    missing: int = 0
    """No longer with their engine, since so lately that they are looked at once more."""
    spared: int = 0
    """No longer with their engine, which could not say how they ended; or a worker says that it has them."""


class Waiting:
    """Looks at jobs that wait, again and again; keeps in mind since when each was seen missing."""

    def __init__(self, confirm_seconds: float, monotonic: Callable[[], float]) -> None:
        self.confirm_seconds = confirm_seconds
        self._monotonic = monotonic
        self._missing: dict[str, dict[_Key, float]] = {}

    def clear(self) -> None:
        """The store was away: what was seen before may be told only now."""
        self._missing.clear()

    def look(self, engine: Engine, asked: Asked, dry_run: bool) -> Found:
        """Mark unknown what waits for an engine that no longer has it, where the engine can say so, and had not at an earlier look; or as
        it says that it ended or came to nothing, and nobody lived to tell; so some of those, too, that it may have, also of an engine that
        cannot say what it has."""
        before = self._missing.pop(engine.name, {})
        if not engine.can_tell_forgotten and not engine.can_tell_outcome:
            return Found()
        try:
            gone, others = self._ask(engine, {id for id, *_ in before})
        except StatusesError:
            raise
        except Exception:
            logger.exception("engine %s could not say which jobs it has forgotten", engine.name)
            return Found()
        now = self._monotonic()
        missing = self._missing[engine.name] = {key: before.get(key, now) for key in map(_key, gone)}
        unknown = ended = early = spared = 0
        lost: list[Status] = []
        for status, outcome in asked.outcomes([*gone, *others]):
            since = missing.get(_key(status))
            if outcome is not None and outcome is not UNSURE:
                ended += dry_run or tell(status, outcome)
            elif since is None:
                continue
            elif outcome is UNSURE:
                spared += 1
            elif now - since < self.confirm_seconds:
                early += 1
            else:
                lost.append(status)
        given_up = asked.unheld(lost)
        spared += len(lost) - len(given_up)
        for status in given_up:
            outcome = engine.end_of_forgotten(status)
            if outcome is None:
                unknown += dry_run or _mark_unknown(status)
            else:
                ended += dry_run or tell(status, outcome)
        return Found(unknown=unknown, ended=ended, missing=early, spared=spared)

    def _ask(self, engine: Engine, doubted: set[str]) -> tuple[list[Status], list[Status]]:
        """Those that the engine no longer has, and some of the others."""
        before = collection.server_time() - FORGOTTEN_AFTER
        queued = collection.where(engine=engine.name, state=State.queued, queued_at=(None, before)).order_by("queued_at")
        later = collection.where(engine=engine.name, state=State.unqueued, recorded_at=(None, before)).order_by("recorded_at")
        if not engine.can_tell_forgotten:
            return [], [*_some(queued, ASKED_WAITING), *_some(later, ASKED_WAITING)]
        waits = list(queued.limit(MOST))
        put_off = {status.id: status for status in _some(later, LATER)}
        if doubted - put_off.keys():  # whichever come now, these are looked at once more
            put_off |= {status.id: status for status in later.where(id=sorted(doubted - put_off.keys()))}
        found = [*waits, *put_off.values()]
        gone = [status for status in engine.forgotten(found) if _waited(status, before)] if found else []
        lost = {status.id for status in gone}
        others = [[status for status in some if status.id not in lost] for some in (waits, [*put_off.values()])]
        return gone, [status for some in others for status in random.sample(some, min(len(some), ASKED_WAITING))]


def _key(status: Status) -> _Key:
    return status.id, status.attempt, status.state, status.provider_job_id


def _waited(status: Status, before: datetime) -> bool:
    """Whether it has waited since `before`; not one that was removed meanwhile. Nobody writes down when a later attempt was put off: at the
    earliest when the one before was last heard of.  Up to four round trips for such a one, however many attempts it has had."""
    if status.queued_at is not None or not status.attempt:
        return (status.queued_at or status.recorded_at) <= before
    last = collection.find(f"{status.id}:{status.attempt - 1}")
    if last is None:
        return False
    moments = (status.recorded_at, last.ended_at, last.heartbeat_at, last.started_at, last.queued_at)
    return max(filter(None, moments)) <= before


def _some(waiting: Query, most: int) -> list[Status]:
    """Some of them: those that stand together from any place on, and at the beginning again behind the last. No others are loaded."""
    total = waiting.count()
    first = random.randrange(total) if total > most else 0
    found = list(waiting.offset(first).limit(most))
    return [*found, *waiting.limit(min(most - len(found), first))]


def _mark_unknown(status: Status) -> bool:
    id, job_name = status.id, status.job_name
    try:
        status.unknown(attempt=status.attempt, sources={status.state})
    except StatusNotFound:
        return False
    if status.changed:
        logger.warning("job %s (%s) is marked unknown: its engine no longer has it", id, job_name)
    return status.changed
