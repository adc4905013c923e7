"""Which workers cannot end the jobs they run, and why: what they said themselves, looked up once in a few seconds."""

import logging
import time

from statuses import Status, StoreUnavailable
from statuses.engines import registry
from statuses.engines.base import Engine

logger = logging.getLogger(__name__)

#: Seconds for which an answer stands: a page of the list asks two hundred times.
FRESH_SECONDS = 5.0

_known: dict[str, tuple[Engine, float, dict[str, str]]] = {}


def why_not_kill(status: Status) -> str:
    """Why the worker that runs this job cannot end it, in its engine's words; empty where it can, or nobody knows.
    Source: `Engine.workers`, now and then; none where the engine keeps no list.  Raises: StoreUnavailable."""
    engine = registry.get(status.engine)
    if engine is None or not engine.has_workers or not status.worker:
        return ""
    found, until, refusals = _known.get(engine.name, (None, 0.0, {}))
    if found is not engine or time.monotonic() >= until:
        refusals = _ask(engine)
        _known[engine.name] = (engine, time.monotonic() + FRESH_SECONDS, refusals)
    return refusals.get(status.worker, "")


def _ask(engine: Engine) -> dict[str, str]:
    try:
        return {worker.name: worker.refuses["kill"] for worker in engine.workers() if "kill" in worker.refuses}
    except StoreUnavailable:
        raise
    except Exception:
        logger.exception("engine %s could not tell of its workers", engine.name)
        return {}
