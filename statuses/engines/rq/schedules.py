"""What RQ sends again and again: the jobs of its cron schedulers, which write them down in Redis, with their next times."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rq.utils import as_text, decode_redis_hash, utcparse

from ..base import Schedule

if TYPE_CHECKING:
    from redis import Redis

#: Where `rq cron` (RQ 2.4 and later) keeps the names of its schedulers, and what each of them does.
_SCHEDULERS, _SCHEDULER = "rq:cron_schedulers", "rq:cron_scheduler:"
#: Seconds after its last sign of life for which a scheduler is taken to be there: it gives one a minute.
ALIVE_SECONDS = 120.0
#: Schedulers looked at.
MOST = 50


def schedules(connection: Redis, engine: str) -> list[Schedule]:
    """The cron jobs of the schedulers that are alive. Two round trips."""
    names = [as_text(name) for name in connection.zrangebyscore(_SCHEDULERS, time.time() - ALIVE_SECONDS, "+inf", start=0, num=MOST)]
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
