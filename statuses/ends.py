"""What engines are asked in one look of the reaper of how jobs ended, and how that is told."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final, TypeVar

from . import collection, encoding
from .engines import registry
from .engines.base import Engine, Outcome
from .errors import StatusNotFound, StoreUnavailable
from .states import State
from .status import Status
from .store import current

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds in one look in which engines are asked how jobs ended; what is left over comes with the next.
ASKING_SECONDS = 30.0
#: Silence after which a job is given up although its engine could not be asked how it ended: what keeps its results may be out of reach
#: from here for good.
ASKED_FOR = timedelta(days=1)


def grace(job_name: str | None) -> timedelta:
    """How long a started job of this name may be silent."""
    config = current().config
    return setting(config.reap_after, job_name) or 2 * config.stale_after


def setting(settings: Mapping[str, T], job_name: str | None) -> T | None:
    """What a setting by job names says of this one."""
    return settings.get(job_name or "*", settings.get("*"))


#: What an engine says of a job that it cannot tell of now.
UNSURE: Final = Outcome(state=State.unknown)


class Asked:
    """What engines say in one look of how jobs ended. One that could not say it of one job is not asked of the others: it is away."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until = monotonic() + ASKING_SECONDS
        self._away: set[str] = set()

    def outcomes(self, jobs: Sequence[Status]) -> Iterator[tuple[Status, Outcome | None]]:
        """How each ended, by engine: None where that knows of no end, or could not be asked for a day; UNSURE where it could not say."""
        for name, some in _by_engine(jobs).items():
            yield from zip(some, self._told(registry.get(name), some), strict=True)

    def _told(self, engine: Engine | None, jobs: Sequence[Status]) -> Iterator[Outcome | None]:
        if engine is None or not engine.can_tell_outcome:
            yield from (None for _ in jobs)
            return
        told = _asked(engine, jobs)
        for status in jobs:
            if engine.name in self._away:
                yield self._unsure(status)
            elif self._monotonic() > self._until:
                yield UNSURE
            else:
                yield self._next(engine, status, told)

    def _next(self, engine: Engine, status: Status, told: Iterator[Outcome | None]) -> Outcome | None:
        try:
            return _keepable(status, next(told))
        except StoreUnavailable:
            raise
        except Exception as error:  # also one that says less than it was asked for
            logger.warning("engine %s could not say how jobs ended, they are spared: %s: %s", engine.name, type(error).__name__, error)
            self._away.add(engine.name)
            return self._unsure(status)

    def unheld(self, lost: Sequence[Status]) -> list[Status]:
        """Those of which no worker says that it has them after all, though it may not reach the store: asked last, of all that would be
        given up. An engine that could not be asked has none."""
        held = {id for name, jobs in _by_engine(lost).items() for id in self._held(name, jobs)}
        return [status for status in lost if status.id not in held]

    def _held(self, name: str | None, jobs: list[Status]) -> set[str]:
        engine = registry.get(name)
        try:
            return engine.held(jobs) if engine is not None else set()
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception("engine %s could not say what its workers have", name)
            return set()

    def _unsure(self, status: Status) -> Outcome | None:
        beat = status.heartbeat_at or status.queued_at or status.recorded_at
        return UNSURE if beat is None or self._now - beat < ASKED_FOR + grace(status.job_name) else None

    @cached_property
    def _now(self) -> datetime:
        return collection.server_time()


def _asked(engine: Engine, jobs: Sequence[Status]) -> Iterator[Outcome | None]:
    """Nothing is asked before the first answer is taken: what is raised is raised there."""
    yield from engine.outcomes(jobs)


def _by_engine(jobs: Sequence[Status]) -> dict[str | None, list[Status]]:
    found: dict[str | None, list[Status]] = {}
    for status in jobs:
        found.setdefault(status.engine, []).append(status)
    return found


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


def tell(status: Status, outcome: Outcome) -> bool:
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
        logger.warning("job %s (%s) is marked %s: so its engine says, and no worker told", id, job_name, outcome.state)
        if engine is not None and outcome.state is not State.succeeded:
            engine.given_up(status)
    return status.changed


def _ago(status: Status, outcome: Outcome) -> timedelta | None:
    """How long ago it ended, not before it began, or began to wait: the clock that says so is its worker's. None where nobody says."""
    began = status.started_at or status.queued_at or status.recorded_at
    if outcome.ended_at is None or began is None:
        return None
    return max(collection.server_time() - max(outcome.ended_at, began), timedelta(0))
