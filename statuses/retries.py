"""Sends failures again, within limits: what `manage.py retry_jobs` does on a schedule."""

import logging
from dataclasses import dataclass
from datetime import timedelta

from . import upkeep
from .collection import server_time
from .errors import EngineCannot, StatusNotFound
from .query import Query
from .states import State

logger = logging.getLogger(__name__)

#: Attempts a job may have had in all; one with as many is left alone.
ATTEMPTS = 3
#: Jobs sent again in one go.
MOST = 1_000


@dataclass(frozen=True, kw_only=True)
class Retried:
    """What one go did; in a dry run, what it would have done."""

    retried: int = 0
    exhausted: int = 0
    """Left alone: they had their attempts."""
    cannot: int = 0
    """Their engine cannot send them again."""
    more: bool = False
    """The limit was reached: others may be left."""


def retry_failed(
    query: Query,
    *,
    attempts: int = ATTEMPTS,
    most: int = MOST,
    pause: timedelta = timedelta(0),
    by: str | None = None,
    dry_run: bool = False,
) -> Retried:
    """Send the failed jobs of `query` again, those that failed first first: at most `most` of them, none that failed less
    than `pause` ago, was asked to die, or had `attempts` attempts. Several at once send each job once.
    Raises: StoreUnavailable, LimitedQuery.  Source: the matching jobs, loaded in batches; a job's own retry each; unless it is a
    dry run one round trip more, that says so (`upkeep`)."""
    with upkeep.doing(upkeep.RETRY, dry_run=dry_run) as did:
        found = _retry_failed(query, attempts, most, pause, by, dry_run)
        did |= {"retried": found.retried, "cannot": found.cannot}
    return found


def _retry_failed(query: Query, attempts: int, most: int, pause: timedelta, by: str | None, dry_run: bool) -> Retried:
    due = query.where(state=State.failed, failed_at=(None, server_time() - pause)).exclude(kill_requested=True).order_by("failed_at")
    retried = exhausted = cannot = 0
    for status in due:
        if retried == most:
            return Retried(retried=retried, exhausted=exhausted, cannot=cannot, more=True)
        if status.attempt + 1 >= attempts:
            exhausted += 1
            continue
        job_name = status.job_name
        try:
            if not dry_run:
                status.retry(by=by)
                logger.info("job %s (%s) is sent again", status.id, job_name)
            retried += 1
        except EngineCannot as error:
            cannot += 1
            logger.warning("job %s is not sent again: %s", status.id, error)
        except StatusNotFound:
            continue
    return Retried(retried=retried, exhausted=exhausted, cannot=cannot)
