"""Sends failures again, within limits: what `manage.py retry_jobs` does on a schedule."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from . import upkeep
from .arguments import callback
from .collection import server_time
from .engines import registry
from .errors import EngineCannot, StatusesError, StatusNotFound
from .query import Query
from .states import State
from .status import Status

logger = logging.getLogger(__name__)

#: Attempts a job may have had in all; one with as many is left alone.
ATTEMPTS = 3
#: Jobs sent again in one go.
MOST = 1_000
#: Different reasons of engines that are told.
MOST_ERRORS = 10

#: Called with how many are about to be sent, before the first of them is; what it raises ends the go, and nothing is sent.
Announce = Callable[[int], Any]
#: Called with the number sent so far; returning False (exactly) ends the go there.
Progress = Callable[[int], Any]


@dataclass(frozen=True, kw_only=True)
class Retried:
    """What one go did; in a dry run, what it would have done."""

    retried: int = 0
    exhausted: int = 0
    """Left alone: they had their attempts."""
    cannot: int = 0
    """Their engine cannot send them again, or did not."""
    gone: int = 0
    """Removed, or sent by somebody else, before their turn came."""
    left: int = 0
    """Not looked at: the limit was reached, or it was `stopped`."""
    stopped: bool = False
    """The progress callback returned False."""
    errors: tuple[str, ...] = ()
    """Why engines did not send single jobs, different texts only, at most 10."""

    @property
    def more(self) -> bool:
        """Whether the limit was reached and others are left."""
        return bool(self.left) and not self.stopped


@dataclass
class Refused:
    """The jobs that engines refused to send as they are: a loop that looks every few seconds does not ask for them each time. One that was
    refused for now (its broker is away) rests for `for_seconds`, be it that its engine made an attempt of it, which failed; one that was
    refused for good (`EngineCannot.for_good`) for `for_good_seconds`; one that failed anew since does not."""

    for_seconds: float = 900.0
    for_good_seconds: float = 86_400.0
    monotonic: Callable[[], float] = time.monotonic
    most: int = 100_000
    """Of more than so many the others are asked for at every look."""
    _resting: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Job -> its attempt, and until when it rests."""

    def add(self, id: str, attempt: int, *, for_good: bool = False) -> None:
        """The engine refused to send the attempt that follows this one."""
        now = self.monotonic()
        if len(self._resting) >= self.most:
            self._resting = {job: rest for job, rest in self._resting.items() if now < rest[1]}
        if len(self._resting) < self.most or id in self._resting:
            self._resting[id] = attempt, now + (self.for_good_seconds if for_good else self.for_seconds)

    def __contains__(self, status: Status) -> bool:
        attempt, until = self._resting.get(status.id, (None, 0.0))
        return attempt == status.attempt and self.monotonic() < until


def retry_failed(
    query: Query,
    *,
    attempts: int = ATTEMPTS,
    most: int = MOST,
    pause: timedelta = timedelta(0),
    by: str | None = None,
    dry_run: bool = False,
    announce: Announce | None = None,
    progress: Progress | None = None,
    refused: Refused | None = None,
) -> Retried:
    """Send the failed jobs of `query` again, those that failed first first: at most `most` of them, none that failed less
    than `pause` ago, was asked to die, or had `attempts` attempts. Several at once send each job once.

    They are counted first, then `announce(number)` is called, then they are sent, `progress(sent so far)` after each; a dry run, and a
    look that finds none, call neither. `refused`: for a loop, what its earlier goes learned.
    Raises: StoreUnavailable, LimitedQuery.  Source: the matching jobs, loaded in batches, twice where there is something to send; a
    job's own retry each; unless it is a dry run one round trip more, that says so (`upkeep`)."""
    callback("announce", announce)
    callback("progress", progress)
    with upkeep.doing(upkeep.RETRY, dry_run=dry_run) as did:
        due = query.where(state=State.failed, failed_at=(None, server_time() - pause)).exclude(kill_requested=True).order_by("failed_at")
        go = _Go(due, attempts, most, refused or Refused(), by)
        found = go.counted() if dry_run else go.sent(announce, progress)
        did |= {"retried": found.retried, "cannot": found.cannot}
    return found


class _Go:
    """One go over `due`, a set that only shrinks: what fails from now on is not of it."""

    def __init__(self, due: Query, attempts: int, most: int, refused: Refused, by: str | None) -> None:
        self.due, self.attempts, self.most, self.refused, self.by = due, attempts, most, refused, by
        self.retried = self.exhausted = self.cannot = self.gone = 0
        self.errors: dict[str, None] = {}

    def counted(self) -> Retried:
        """What would be sent."""
        self.retried = sum(1 for _ in islice(self._candidates(), self.most))
        return self._told(self.due.count() if self.retried == self.most else 0)

    def sent(self, announce: Announce | None, progress: Progress | None) -> Retried:
        """Count, announce, send."""
        ahead = self.counted()
        if not ahead.retried:
            return ahead
        if announce is not None:
            announce(ahead.retried)
        total, self.retried, self.exhausted, self.cannot = self.due.count(), 0, 0, 0
        asked = 0
        for status in self._candidates():
            asked += 1
            self._send(status)
            if progress is not None and progress(self.retried) is False:
                return self._told(total, stopped=True)
            if self.retried == self.most:
                return self._told(total)
        self.gone += max(0, ahead.retried - asked)
        return self._told(0)

    def _candidates(self) -> Iterator[Status]:
        """Those that may be sent; the others are counted."""
        for status in self.due:
            if status.attempt + 1 >= self.attempts:
                self.exhausted += 1
            elif not _is_able(status) or status in self.refused:
                self.cannot += 1
            else:
                yield status

    def _send(self, status: Status) -> None:
        id, attempt, job_name = status.id, status.attempt, status.job_name
        try:
            status.retry(by=self.by)
        except EngineCannot as error:
            self._could_not(status, attempt, error.why, for_good=error.for_good)
            logger.warning("job %s is not sent again: %s", id, error)
        except StatusNotFound:
            self.gone += 1
        except StatusesError:
            raise
        except Exception as error:  # of one job: the others wait for it no longer
            self._could_not(status, attempt, f"{type(error).__name__}: {error}")
            logger.exception("job %s is not sent again", id)
        else:
            self.retried += 1
            logger.info("job %s (%s) is sent again", id, job_name)

    def _could_not(self, status: Status, attempt: int, why: str, *, for_good: bool = False) -> None:
        self.cannot += 1
        self.refused.add(status.id, _failed_at(status, attempt), for_good=for_good)
        if len(self.errors) < MOST_ERRORS:
            self.errors[why] = None

    def _told(self, total: int, *, stopped: bool = False) -> Retried:
        seen = self.retried + self.exhausted + self.cannot + self.gone
        return Retried(
            retried=self.retried,
            exhausted=self.exhausted,
            cannot=self.cannot,
            gone=self.gone,
            left=max(0, total - seen),
            stopped=stopped and total > seen,
            errors=tuple(self.errors),
        )


def _failed_at(status: Status, attempt: int) -> int:
    """The attempt that is to rest: an engine that could not send one has made it, and it failed in the same moment. Without a rest a loop
    would use up all that a job may have while the broker is away."""
    try:
        now = status.reload()
        return now.attempt if now.state is State.failed else attempt
    except StatusNotFound:
        return attempt


def _is_able(status: Status) -> bool:
    """Whether this process knows an engine that can send it again."""
    engine = registry.get(status.engine)
    return engine is not None and engine.can_retry
