"""What becomes of a job of RQ that a second worker is given while the first may still run it, and that was asked to die: nothing.

RQ itself hands out nothing twice; a project or a tool may put the id of a job that runs into a queue once more.
"""

from __future__ import annotations

from typing import Any

from statuses import Status

from .. import again
from . import adapter

#: What a worker that begins with a job writes into its hash.
_OF_THE_RUN = ("status", "worker_name", "started_at", "last_heartbeat")


def may_run(job: Any, status: Status, here: str) -> bool:
    """Whether a started job may still run at a worker that began with it: the job gives signs of life, or RQ hears of that worker, and
    that it has the job. here: the worker that asks, which runs one at a time.  One round trip and those of `workers_before`; four more to
    RQ's Redis where the job gives no sign."""
    from .engine import RQ

    names = {status.worker, *again.workers_before(status)} - {here}
    if not names:
        return False
    if again.gives_signs(status):
        return True
    workers = RQ(adapter.tracker(), job.connection).workers()
    return any(worker.is_alive and worker.name in names and status.id in worker.running for worker in workers)


def give_back(job: Any, pipeline: Any) -> None:
    """Let the job's hash say of who runs it what it says now: `pipeline` is about to say otherwise.  One round trip to RQ's Redis."""
    found = zip(_OF_THE_RUN, job.connection.hmget(job.key, _OF_THE_RUN), strict=True)
    said = {name: value for name, value in found if value is not None}
    if said:
        pipeline.hset(job.key, mapping=said)


def let_go(worker: Any, job: Any, execution: Any) -> None:
    """The worker has done nothing with the job: it leaves of it what another one has. RQ 3 says which execution of the job this is; a
    worker of RQ 2 has one alone, and knows it.  One round trip to RQ's Redis."""
    named = {} if execution is None else {"execution": execution}
    with job.connection.pipeline() as pipeline:
        worker.cleanup_execution(job, pipeline=pipeline, **named)
        pipeline.execute()
