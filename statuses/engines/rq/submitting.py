"""Which functions can be queued by their name: those that RQ's `@job` declares. Any other that this process could import, RQ would
run, too; whoever may submit jobs may not run just anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, cast

import rq
import rq.decorators

from .. import submitting
from .job import Job

#: What `@job` was given beside the queue, under the names `Queue.enqueue_call` has for it.
_OPTIONS = (
    "timeout", "result_ttl", "ttl", "depends_on", "at_front", "meta", "description", "failure_ttl", "retry", "on_failure", "on_success",
    "on_stopped", "webhooks",
)  # fmt: skip


def find(name: str) -> tuple[Callable[..., Any], rq.decorators.job] | None:
    """The function of this path and its declaration; None where it has none, or its module was not imported here."""
    function = submitting.loaded(name)
    if type(function) is not FunctionType or f"{function.__module__}.{function.__qualname__}" != name:
        return None
    declared = _declaration(function)
    return (function, declared) if declared is not None else None


def names() -> list[str]:
    """The paths of all of them."""
    return [path for path, value in submitting.all_loaded() if type(value) is FunctionType and find(path)]


def enqueue(
    function: Callable[..., Any],
    declared: rq.decorators.job,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    queue: str | None,
    connection: Any,
) -> object:
    """Queue it as its `delay` does, as a job of our class; `connection`: gives RQ's Redis for a queue, where `@job` was given none."""
    own = declared.queue
    if isinstance(own, rq.Queue):
        target = own if queue is None else _queue(type(own), queue, own.connection, own.serializer)
    else:
        name = queue or cast(str, own)
        target = _queue(declared.queue_class, name, declared.connection or connection(name), None)
    options = {name: getattr(declared, name) for name in _OPTIONS if getattr(declared, name, None) is not None}
    return target.enqueue_call(function, args=tuple(args), kwargs=dict(kwargs), **options)


def _queue(kind: type[rq.Queue], name: str, connection: Any, serializer: Any) -> rq.Queue:
    return kind(name, connection=connection, job_class=Job, **({"serializer": serializer} if serializer is not None else {}))


def _declaration(function: FunctionType) -> rq.decorators.job | None:
    """What `@job` closed over when it made the function's `delay`."""
    cells = getattr(getattr(function, "delay", None), "__closure__", None) or ()
    contents = [cell.cell_contents for cell in cells]
    declared = next((found for found in contents if isinstance(found, rq.decorators.job)), None)
    return declared if any(found is function for found in contents) else None
