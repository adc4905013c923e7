"""What RQ sends at its time: the jobs of its cron schedulers, which write them down in Redis, with their next times; and each
job that was put off until a moment (`enqueue_at`, `enqueue_in`, a retry that waits)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rq import Queue
from rq.exceptions import DeserializationError
from rq.job import Job, JobStatus
from rq.registry import ScheduledJobRegistry
from rq.utils import as_text, decode_redis_hash, utcparse

from ..base import Schedule
from .adapter import job_name

if TYPE_CHECKING:
    from redis import Redis

#: What every key of RQ begins with: since 3 a project may say it (`RQ_KEY_PREFIX`).
_PREFIX = Queue.redis_queues_keys.removesuffix(":queues")
#: Where `rq cron` (RQ 2.4 and later) keeps the names of its schedulers, and what each of them does.
_SCHEDULERS, _SCHEDULER = f"{_PREFIX}:cron_schedulers", f"{_PREFIX}:cron_scheduler:"
#: Where rq-scheduler keeps the jobs of all queues that it will let go.
_OF_RQ_SCHEDULER = "rq:scheduler:scheduled_jobs"
#: Seconds after its last sign of life for which a scheduler is taken to be there: it gives one a minute.
ALIVE_SECONDS = 120.0
#: Schedulers looked at.
MOST = 50
#: Jobs told of that were put off, the soonest.
MOST_ONCE = 100


def schedules(connection: Redis, engine: str) -> list[Schedule]:
    """The cron jobs of the schedulers that are alive. Two round trips."""
    alive: Any = connection.zrangebyscore(_SCHEDULERS, time.time() - ALIVE_SECONDS, "+inf", start=0, num=MOST)
    names = [as_text(name) for name in alive]
    with connection.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hgetall(_SCHEDULER + name)
        told = pipeline.execute()
    return [schedule for fields in told for schedule in _of(decode_redis_hash(fields, decode_values=True), engine)]


def _of(fields: Mapping[str, Any], engine: str) -> Iterator[Schedule]:
    for job in json.loads(fields.get("cron_jobs") or "[]"):
        yield Schedule(
            name=job.get("name") or job["func_name"],
            job_name=job["func_name"],
            engine=engine,
            cron=job.get("cron"),
            every_seconds=job.get("interval"),
            time_zone="UTC",
            queue=job.get("queue_name"),
            next_at=utcparse(job["next_enqueue_time"]) if job.get("next_enqueue_time") else None,
        )


def once(connection: Redis, engine: str) -> list[Schedule]:
    """The jobs that were put off until a moment, the soonest first. Three round trips."""
    names = sorted(as_text(key).removeprefix(Queue.redis_queue_namespace_prefix) for key in connection.smembers(Queue.redis_queues_keys))
    with connection.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.zrange(ScheduledJobRegistry.key_template.format(name), 0, MOST_ONCE - 1, withscores=True)
        found = pipeline.execute()
    waiting = sorted((moment, as_text(id)) for jobs in found for id, moment in jobs)[:MOST_ONCE]
    jobs = Job.fetch_many([id for _, id in waiting], connection=connection) if waiting else []
    return [_once(job, moment, engine) for job, (moment, _) in zip(jobs, waiting, strict=True) if job is not None]


def _once(job: Job, moment: float, engine: str) -> Schedule:
    try:
        name = job_name(job)
    except DeserializationError:
        name = job.description or job.id
    return Schedule(
        name=job.id, job_name=name, engine=engine, is_once=True, queue=job.origin or None, next_at=datetime.fromtimestamp(moment, UTC)
    )


def missing(ids: Sequence[str], connection: Redis) -> set[str]:
    """Those of these jobs that are put off, and that nobody will let go: neither RQ's own scheduler has them nor rq-scheduler.
    Two round trips; what a job is and where it is are read in one step."""
    with connection.pipeline(transaction=False) as pipeline:
        for id in ids:
            pipeline.hget(Job.key_for(id), "origin")
        origins = [as_text(origin or b"") for origin in pipeline.execute()]
    with connection.pipeline(transaction=True) as pipeline:
        for id, origin in zip(ids, origins, strict=True):
            pipeline.hmget(Job.key_for(id), "status", "origin")
            pipeline.zscore(ScheduledJobRegistry.key_template.format(origin), id)
            pipeline.zscore(_OF_RQ_SCHEDULER, id)
        found = pipeline.execute()
    told = zip(ids, origins, found[::3], found[1::3], found[2::3], strict=True)
    return {
        id
        for id, origin, (state, now), own, other in told
        if as_text(state or b"") == JobStatus.SCHEDULED and as_text(now or b"") == origin and own is None and other is None
    }
