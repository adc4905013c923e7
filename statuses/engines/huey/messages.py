"""What a task says of its job.

Huey carries nothing of ours, but it lets its ids be chosen: a status has the id of its first task, and a task that a retry
sends has one made of it, `<id>~retry-<attempt>`. Huey's own retries keep the id.
"""

import re
from collections.abc import Callable
from typing import Any

from huey.api import Task

from .. import calls
from ..tracker import gives_back

_RETRY = re.compile(r"(?P<id>.+)~retry-\d+")
#: Attributes of a task that a retry sends again.
_OPTIONS = ("retries", "retry_delay", "retry_backoff", "priority", "expires", "timeout")


def retry_id(status_id: str, attempt: int) -> str:
    """Huey's id of the task that is sent as this attempt."""
    return f"{status_id}~retry-{attempt}"


def first_id(task_id: str) -> str:
    """The id of the job's first task."""
    found = _RETRY.fullmatch(task_id)
    return found["id"] if found else task_id


def name_of(task: Task) -> str:
    """The name under which Huey knows the task's class."""
    return f"{type(task).__module__}.{type(task).__name__}"


def function_of(task: Task) -> Callable[..., Any] | None:
    """The project's function, which Huey keeps in the closure of `execute`."""
    execute = type(task).execute
    cells = dict(zip(execute.__code__.co_freevars, execute.__closure__ or (), strict=True))
    return cells["func"].cell_contents if "func" in cells else None


def kept_call(task: Task) -> dict[str, Any]:
    """What is kept of a task. What pickle carried and JSON would change is shown, and not sent again."""
    call = calls.keep(task.args, task.kwargs, _options(task))
    if "not_kept" not in call and not gives_back(call, task.args, task.kwargs):
        call["not_kept"] = "they were more than JSON can give back"
    return call


def _options(task: Task) -> dict[str, Any]:
    found = {name: getattr(task, name, None) for name in _OPTIONS}
    options = {name: value for name, value in found.items() if value not in (None, 0) and _is_plain(value)}
    options["task"] = name_of(task)
    for then in ("on_complete", "on_error"):
        if getattr(task, then) is not None:
            options[then] = kept_call(getattr(task, then))
    return options


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str)


def task_of(registry: Any, call: dict[str, Any], id: str | None = None) -> Task:
    """The task of a kept call. Raises: HueyException when this process does not know it; ValueError when a task that
    follows it was not kept."""
    if "not_kept" in call:
        raise ValueError(f"the arguments of {call['options'].get('task')} were not kept: {call['not_kept']}")
    options = call["options"]
    follow = {name: task_of(registry, options[name]) for name in ("on_complete", "on_error") if name in options}
    own = {name: options[name] for name in _OPTIONS if name in options}
    return registry.string_to_task(options["task"])(tuple(call["args"]), dict(call["kwargs"]), id=id, **own, **follow)
