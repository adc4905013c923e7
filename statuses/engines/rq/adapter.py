"""The one adapter of this process, and what it keeps of a job's call."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import rq

from .. import calls, registry, versions
from ..heartbeats import EVERY_SECONDS
from ..tracker import Resources, Tracker, gives_back

if TYPE_CHECKING:
    from redis import Redis

    from .engine import RQ

_FOLDER = os.path.dirname(os.path.abspath(rq.__file__)) + os.sep
_tracker: Tracker | None = None


def tracker() -> Tracker:
    """The adapter; with the defaults where nobody called `install`."""
    global _tracker
    if _tracker is None:
        _tracker = Tracker("rq", folders=(_FOLDER,))
    return _tracker


def install(
    connection: Redis | None = None,
    *,
    name: str = "rq",
    user: Callable[[], str | None] | None = None,
    resources: Resources | None = None,
    ignore: Collection[str] = (),
    keep_results: bool = True,
    heartbeat_seconds: float = EVERY_SECONDS,
) -> RQ:
    """Track every job of class `statuses.engines.rq.Job`, and let this process kill and retry them.

    `connection`: RQ's Redis; None: django-rq's, found by the job's queue. The other arguments are those of every
    adapter (see `Tracker`). The last call counts. No connection is made here."""
    global _tracker
    from .engine import RQ

    _tracker = Tracker(
        name,
        user=user,
        resources=resources,
        ignore=ignore,
        keep_results=keep_results,
        heartbeat_seconds=heartbeat_seconds,
        folders=(_FOLDER,),
    )
    engine = RQ(_tracker, connection)
    registry.register(engine)
    versions.say_if_untried("rq")
    return engine


def uninstall() -> None:
    """Forget what `install` was told in this process."""
    global _tracker
    if _tracker is not None:
        registry.unregister(_tracker.name)
    _tracker = None


def kept_call(job: Any) -> dict[str, Any]:
    """The job's call. `options["pickled"]` says that JSON did not give the arguments back as they were (a tuple, a
    method's object): it is sent again from RQ's own copy, or not at all."""
    call = calls.keep(job.args, job.kwargs, _options(job))
    if job.instance is not None or not gives_back(call, job.args, job.kwargs):
        call["options"]["pickled"] = True
    return call


def _options(job: Any) -> dict[str, Any]:
    """What the job was made with beside its arguments, under the names `Queue.create_job` has for it."""
    found = {
        "func": job.func_name,
        "queue": job.origin,
        "timeout": job.timeout,
        "result_ttl": job.result_ttl,
        "failure_ttl": job.failure_ttl,
        "ttl": job.ttl,
        "description": job.description,
        "meta": job.meta,
        "retries": job.retries_left,
        "retry_intervals": job.retry_intervals,
        "on_success": job._success_callback_name,
        "on_failure": job._failure_callback_name,
        "on_stopped": job._stopped_callback_name,
        "group_id": getattr(job, "group_id", None),
        "rate_limit_key": getattr(job, "rate_limit_key", None),
        "rate_limit_concurrency": getattr(job, "rate_limit_concurrency", None),
    }
    return {name: value for name, value in found.items() if value not in (None, "", {})}


def job_name(job: Any) -> str:
    """The function's path; of a method also its class."""
    if job.instance is None:
        return str(job.func_name)
    kind = job.instance if isinstance(job.instance, type) else type(job.instance)
    return f"{kind.__module__}.{kind.__qualname__}.{job.func_name}"


def function_of(job: Any) -> Callable[..., Any] | None:
    """The job's function where its module is loaded here: a publisher may not have what its workers have."""
    if job.instance is not None:
        return getattr(job.instance, job.func_name, None)
    module, _, rest = str(job.func_name).rpartition(".")
    found = getattr(sys.modules.get(module), rest, None)
    return found if callable(found) else None
