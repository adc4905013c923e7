"""Which workers cannot end the jobs they run, and why: what they said themselves, looked up once in a few seconds."""

import time

from jobadmin import answers
from statuses import Query, Status
from statuses.engines import registry
from statuses.engines.base import Engine, Worker

#: Seconds for which an answer stands: a page of the list asks two hundred times.
FRESH_SECONDS = 5.0
#: Seconds in which an engine that could not tell is not asked again: no page waits for it twice.
SILENT_SECONDS = 60.0

_known: dict[str, tuple[Engine, float, dict[str, str]]] = {}


def why_not_kill(status: Status) -> str:
    """Why the worker that runs this job cannot end it, in its engine's words; empty where it can, or nobody knows.
    Source: `Engine.workers`, now and then; none where the engine keeps no list.  Raises: StoreUnavailable."""
    engine = registry.get(status.engine)
    return _refusals(engine).get(status.worker, "") if engine is not None and status.worker else ""


def without(query: Query) -> Query:
    """The jobs of `query` but those that run at a worker that cannot end them.  Source: as `why_not_kill`."""
    for engine in registry.all():
        names = sorted(_refusals(engine))
        if names:
            query = query.exclude(engine=engine.name, worker=names)
    return query


def any_worker() -> bool:
    """Whether there is any such worker.  Source: as `why_not_kill`."""
    return any(_refusals(engine) for engine in registry.all())


def _refusals(engine: Engine) -> dict[str, str]:
    """Worker -> why."""
    if not engine.has_workers:
        return {}
    found, until, refusals = _known.get(engine.name, (None, 0.0, {}))
    if found is engine and time.monotonic() < until:
        return refusals
    told = answers.told(engine, "workers", _by_worker, answers.LATELY)
    _known[engine.name] = (engine, time.monotonic() + (FRESH_SECONDS if told is not None else SILENT_SECONDS), told or {})
    return told or {}


def _by_worker(told: list[Worker]) -> dict[str, str]:
    return {worker.name: worker.refuses["kill"] for worker in told if "kill" in worker.refuses}
