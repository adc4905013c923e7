"""Jobs that wait for others in RQ, which nobody will let go: what they wait for was deleted, or has expired."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rq.job import Job, JobStatus
from rq.utils import as_text

if TYPE_CHECKING:
    from redis import Redis

#: Jobs that one waits for, of a thousand asked about; who waits beyond that is asked about in another look.
MOST_AWAITED = 10_000


def orphaned(ids: Sequence[str], connection: Redis) -> set[str]:
    """Those of these jobs that are deferred, and stand with none of the jobs that they wait for any more: RQ lets a job go when one with
    which it stands has ended, and never looks at it otherwise. It stands with one that failed, which may be queued again, until RQ forgets
    that (`failure_ttl`).  Two round trips."""
    with connection.pipeline(transaction=False) as pipeline:
        for id in ids:
            pipeline.hmget(Job.key_for(id), "status", "dependency_ids")
        told = pipeline.execute()
    awaited: dict[str, list[str]] = {}
    left = MOST_AWAITED
    for id, (state, kept) in zip(ids, told, strict=True):
        wanted = json.loads(kept) if kept and as_text(state or b"") == JobStatus.DEFERRED else []
        if 0 < len(wanted) <= left:
            awaited[id], left = wanted, left - len(wanted)
    if not awaited:
        return set()
    with connection.pipeline(transaction=True) as pipeline:
        for id, wanted in awaited.items():
            pipeline.hget(Job.key_for(id), "status")
            for other in wanted:
                pipeline.sismember(Job.dependents_key_for(other), id)
        found = iter(pipeline.execute())
    return {
        id
        for id, wanted in awaited.items()
        for state, stands in [(next(found), [next(found) for _ in wanted])]
        if as_text(state or b"") == JobStatus.DEFERRED and not any(stands)
    }
