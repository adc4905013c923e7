"""What a call was sent with beside its arguments, kept so that it can be sent again."""

from typing import Any

from .messages import HEADER, Message
from .planned import PLANNED
from .routing import address

#: Options of a call beside its arguments that a retry sends again: name in the message -> name in `send_task`.
_OPTIONS = {
    "task": "task",
    "shadow": "shadow",
    "group": "group_id",
    "root_id": "root_id",
    "parent_id": "parent_id",
    "eta": "eta",
    "expires": "expires",
    "ignore_result": "ignore_result",
    "chain": "chain",
    "callbacks": "link",
    "errbacks": "link_error",
}
_PAIRS = tuple(_OPTIONS.items())
#: Headers that Celery and tracing tools put into a message themselves.
_NOT_THEIRS = frozenset(
    {
        "lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id", "parent_id",
        "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers", "stamps", "compression",
        "args", "kwargs", "callbacks", "errbacks", "chain", "chord", "properties", "delivery_info", "hostname", "reply_to",
        "correlation_id", "is_eager", "loglevel", "logfile", "utc", "headers", "traceparent", "tracestate", "baggage",
        "sentry-trace", "meth", "method", "taskset", HEADER, PLANNED,
    }
)  # fmt: skip


def options(message: Message) -> dict[str, Any]:
    """What the call was sent with: task, queue or where else to, ids of its workflow, limits, callbacks and the caller's own headers."""
    request = message.request
    found = {ours: value for theirs, ours in _PAIRS if (value := request.get(theirs))}
    limits = request.get("timelimit") or (None, None)
    if len(limits) == 2 and any(limits):
        found["time_limit"], found["soft_time_limit"] = limits
    to = address(request)
    if to is not None:
        found["exchange"], found["routing_key"] = to
    if message.queue and message.is_named:
        found["queue"] = message.queue
    properties = request.get("properties") or {}
    priority = properties.get("priority")
    if priority:
        found["priority"] = priority
    if request.get("chord"):
        found["chord"] = True
    if not _NOT_THEIRS.issuperset(request):
        found["headers"] = {str(name): value for name, value in request.items() if name not in _NOT_THEIRS}
    return found
