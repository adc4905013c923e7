"""What becomes of a job whose message the broker hands out once more: an earlier run of it may go on.

A worker that dies leaves its messages to the next one, where they are acknowledged late (`acks_late`). A Redis gives those of a worker
that lives away, too, once its `visibility_timeout` is over.
"""

import math
from itertools import islice

from statuses import State, Status

from ... import presence
from ...collection import server_time
from .. import attempts, machine


def workers_before(status: Status) -> set[str]:
    """The workers of attempts before whose end nobody told, of the same message: the broker has handed it out again since, because such a
    worker is gone, or took longer than the broker has patience.  No round trip for a first attempt, else two, four for more than one
    before, two more for each hundred."""
    before = islice(status.newest_attempts(), attempts.MOST_ATTEMPTS) if status.attempt else ()
    runs = (one for one in before if one.state is State.started and one.provider_job_id == status.provider_job_id)
    return {one.worker for one in runs if one.worker}


def may_live(report: presence.Report | None) -> bool:
    """Whether a worker may still be there: it did not end in order and reported lately, unless its machine is this one and knows better.
    The processes of its pool end with it: Celery asks Linux for that (PDEATHSIG), and no other system says which machine it is."""
    return report is not None and report.is_alive and not machine.is_gone(report.facts)


def in_the_way(report: presence.Report) -> str:
    """Until when a worker that does not answer is taken for one that may still run a job, in words.  One round trip."""
    silent, limit = (server_time() - report.seen_at).total_seconds(), presence.ALIVE_FOR.total_seconds()
    left = max(math.ceil(limit - silent), 1)
    return (
        f"; it reported {max(silent, 0):.0f} s ago, and unless it does so again it counts as gone in {left} s, after {limit:g} s of silence"
    )
