"""What becomes of a started job that no living worker seems to run: when the reaper gives it up."""

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from jobadmin import answers, upkeep
from jobadmin.formats import clock_short
from statuses import version
from statuses.engines import registry
from statuses.reaper import CONFIRM_SECONDS, grace


def is_lost(status: Any) -> bool:
    """Whether a started job seems to be run by nobody: it is silent, or its engine knows of no living worker that could be the one.
    Source: nothing where it is silent; else what its engine tells of its workers now, see `answers`.  Raises: StoreUnavailable."""
    return bool(status.is_started and (status.is_stale or _is_unclaimed(status)))


def _is_unclaimed(status: Any) -> bool:
    engine = registry.get(status.engine)
    if engine is None or not engine.has_workers or not status.worker or not status.started_at:
        return False
    told = answers.told(engine, "workers", list, answers.NOW)
    if told is None:
        return False
    alive = [worker for worker in told if worker.is_alive]
    mine = [worker for worker in told if worker.name == status.worker]
    if not mine or any(status.id in worker.running for worker in alive):
        return False
    # One of its name that came up later is another process.
    return all(not worker.is_alive or (worker.started_at is not None and worker.started_at > status.started_at) for worker in mine)


def outlook(status: Any) -> str:
    """What comes, in a sentence: when it is given up, if nothing is heard of it; empty where the reaper leaves it alone.
    Source: the version of the store, which tells whether there is a reaper.  Raises: StoreUnavailable."""
    if status.heartbeat_at is None:
        return ""
    seen = version()
    if upkeep.reaper(seen.upkeep, seen.at):
        return _("No reaper runs that would give it up; the page of workers tells more.")
    at = status.heartbeat_at + grace(status.job_name) + timedelta(seconds=CONFIRM_SECONDS)
    return _(
        "If nothing more is heard of it, the reaper gives it up as failed, at %(time)s or soon after, unless its engine knows how it ended."
    ) % {"time": clock_short(at)}
