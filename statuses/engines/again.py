"""What is known of earlier runs of a job that its engine hands out once more: one may go on.

For engines whose workers report themselves (`presence`). Asked only where a job that was asked to die is not started a second time.
"""

from __future__ import annotations

from itertools import islice

from statuses import State, Status

from .. import presence
from ..collection import server_time
from . import attempts, machine

#: Pools whose worker reports from another process than those that run its jobs, which live on where it dies.
_WITH_PROCESSES = frozenset({"process"})


def workers_before(status: Status) -> set[str]:
    """The workers of attempts before whose end nobody told, of the same message: the broker has handed it out again since, because such a
    worker is gone, or took longer than the broker has patience.  No round trip for a first attempt, else two, four for more than one
    before, two more for each hundred."""
    before = islice(status.newest_attempts(), attempts.MOST_ATTEMPTS) if status.attempt else ()
    runs = (one for one in before if one.state is State.started and one.provider_job_id == status.provider_job_id)
    return {one.worker for one in runs if one.worker}


def gives_signs(status: Status) -> bool:
    """Whether a started job gave a sign of life lately, as its start is one. One round trip, two where it was not read."""
    beat = status.heartbeat_at
    return beat is not None and server_time() - beat <= presence.ALIVE_FOR


def may_run(engine: str, status: Status, here: str | None) -> bool:
    """Whether a started job may still run at a worker that began with it: one that says so in its report, or did not end in order, nor has
    surely died, while the job gives signs of life. here: the worker that asks, which knows by itself what it runs; None where it does not.
    Two round trips and those of `workers_before`, one more where no report names the job."""
    names = {status.worker, *workers_before(status)} - {here}
    if None in names:
        return gives_signs(status)
    found = [one for one in presence.reports(engine) if one.worker in names and not _is_gone(one)] if names else []
    if any(one.is_alive and status.id in one.facts.get("running", ()) for one in found):
        return True
    return bool(found) and gives_signs(status)


def _is_gone(report: presence.Report) -> bool:
    return report.facts.get("pool") not in _WITH_PROCESSES and machine.is_gone(report.facts)
