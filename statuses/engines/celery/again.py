"""What becomes of a job whose message the broker hands out once more: an earlier run of it may go on.

A worker that dies leaves its messages to the next one, where they are acknowledged late (`acks_late`). A Redis gives those of a worker
that lives away, too, once its `visibility_timeout` is over.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from billiard.process import current_process

import statuses
from statuses import KillRequested, State, Status, StatusNotFound

from ... import presence
from ...collection import server_time
from ...errors import StartedBefore
from .. import attempts, machine
from ..again import gives_signs, workers_before
from . import killing

if TYPE_CHECKING:
    from .engine import Celery
    from .messages import Message


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


def is_over(engine: Celery, message: Message, asked: KillRequested) -> bool:
    """Whether a job is over with it that a message which was handed out again is refused. One that had started is killed where nobody runs
    it any more; while somebody may it stays as it is, asked to die.  One round trip, and what `_runs_nowhere` takes where it is started."""
    try:
        status = statuses.at(asked.id).reload()
    except StatusNotFound:
        return True
    if isinstance(asked, StartedBefore) and status.state in attempts.OPEN:
        if status.state is State.started and not _runs_nowhere(engine, status, message.request.get("hostname")):
            return False
        status.killed(attempt=status.attempt, sources=attempts.OPEN)
    if status.provider_job_id != message.task_id:
        return True  # whoever sent it again sent another message
    return status.state is State.killed or (status.state is State.failed and status.error_group == attempts.WORKER_LOST)


def _runs_nowhere(engine: Celery, status: Status, here: Any) -> bool:
    """Whether no run of this started job goes on, nor has ended without having told so yet. here: the worker that this process belongs to;
    what it is about to run now does not count.  Two round trips and those of `workers_before`, one message to the workers, which have two
    seconds to answer, and one question to the result backend."""
    task_id, names = status.provider_job_id, {status.worker, *workers_before(status)}
    if not task_id or None in names:
        return False
    if here in names and current_process().name == "MainProcess":
        # A pool without processes: this is the worker itself, which may hear nothing meanwhile.
        if len(killing.running([task_id])) > 1:
            return False
        names.remove(here)
    if names and _any_runs(engine, status, task_id, {name for name in names if name}, here):
        return False
    if not engine.can_tell_outcome:
        return True
    # A process that has stored a result tells the end a moment later; one that was killed in it never.
    ended = engine.outcome(status)
    return ended is None or ended.state is State.killed


def _any_runs(engine: Celery, status: Status, task_id: str, names: Collection[str], here: Any) -> bool:
    reports = {one.worker: one for one in presence.reports(engine.name) if one.worker in names and not machine.is_gone(one.facts)}
    # One that reports no more may be cut off from the status store alone.
    said = engine.running(task_id, reports, names)
    mine = here, os.getpid()
    if any((name, pid) != mine for name, pids in said.items() for pid in pids):
        return True
    silent = [report for name, report in reports.items() if name not in said]
    if any(report.is_alive for report in silent):
        return True
    # It may hang while the process that runs its job does not.
    return bool(silent) and gives_signs(status)
