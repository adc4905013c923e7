"""What a message says of its job: which status it is, and which attempt.

Our header travels with the message, so no event looks a status up by Celery's id::

    "job_status": {"id": <status id>, "task": <Celery's id>, "attempt": <attempt when retries is 0>, "root": <what `Status.root` is>}

A Celery retry publishes the same task id again with `retries` one higher and the header inherited, so the attempt a
message speaks of is always `attempt + retries`. Projects also copy the headers of one task to the next; the task id
in ours tells that such a copy is not about the new task.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..who import kept_name

#: The header with our id.
HEADER = "job_status"
#: The header with the user; a caller may set it: `apply_async(headers={"user": "deploy"})`.
USER = "user"
#: What stands before the routing key of a job for later, where Celery lets RabbitMQ keep it until then (quorum queues): 28 bits.
_DELAY = re.compile(r"(?:[01]\.){28}")
_DELAY_LENGTH = 56


@dataclass(kw_only=True, slots=True)
class Message:
    """One delivery of a task's message; not frozen, for that costs as much as the rest of reading one."""

    task_id: str
    """Celery's id."""
    name: str
    """The task's name, or the one it is shown under (`shadow`)."""
    ours: str | None
    """Our id, where the header says it."""
    known: bool
    """Whether the header came along. Without it the status is made by whoever meets the message first."""
    untracked: bool
    """Whether its publisher decided that the job is not tracked."""
    attempt: int
    """The attempt it speaks of."""
    redelivered: bool
    """Whether the broker hands it out again: the same attempt may have run before."""
    root: str | None
    """What its workflow began with: our id of a job, or Celery's of a group; None where it is the first itself."""
    queue: str | None
    """Its name where that is known, else the routing key."""
    is_named: bool = True
    """Whether that is its name for all that is known."""
    request: Mapping[str, Any]
    """All its headers; in a worker also args, kwargs and delivery_info."""

    @property
    def status_id(self) -> str:
        """Our id; of a message that no tracked publisher sent, one made of Celery's (`own_id`)."""
        return self.ours or own_id(self.task_id)


def read(request: Mapping[str, Any], queue: str | None = None) -> Message | None:
    """The message whose headers `request` holds; None when it has no task id."""
    task_id, name = request.get("id"), request.get("shadow") or request.get("task")
    if not isinstance(task_id, str) or not name:
        return None
    said, known = request.get(HEADER), is_known(request)
    ours, base, root = (said.get("id"), said.get("attempt"), said.get("root")) if known and said else (None, 0, None)
    retries = request.get("retries")
    delivery = request.get("delivery_info") or {}
    queue = queue or delivery.get("routing_key") or None
    if isinstance(queue, str):
        queue = undelayed(queue)
    return Message(
        task_id=task_id,
        name=str(name)[:200],
        ours=ours if isinstance(ours, str) and ours else None,
        known=known,
        untracked=known and not isinstance(ours, str),
        attempt=(base if isinstance(base, int) else 0) + (retries if isinstance(retries, int) else 0),
        root=root if isinstance(root, str) else None,
        redelivered=bool(delivery.get("redelivered")),
        queue=queue,
        request=request,
    )


def undelayed(routing_key: str) -> str:
    """The routing key without what stands before it for a job for later."""
    return _DELAY.sub("", routing_key, count=1) if len(routing_key) > _DELAY_LENGTH else routing_key


def is_known(request: Mapping[str, Any]) -> bool:
    """Whether our header came along and is about this very task."""
    said = request.get(HEADER)
    # A dict where it came as JSON; what an abstract class does to see that costs more than the rest.
    return (type(said) is dict or isinstance(said, Mapping)) and said.get("task") == request.get("id")


def header(status_id: str | None, task_id: str, attempt: int, retries: int = 0, root: str | None = None) -> dict[str, Any]:
    """What `read` finds again: with `retries` the message speaks of `attempt`. Without an id: not tracked."""
    found = {"id": status_id, "task": task_id, "attempt": attempt - retries}
    return found if root is None else {**found, "root": root}


def own_id(task_id: str) -> str:
    """The id of a status whose message came without ours: Celery's, unless a project chose one that ids cannot be."""
    if len(task_id) <= 200 and not re.search(r":\d+$", task_id):
        return task_id
    return "celery-" + hashlib.sha1(task_id.encode(), usedforsecurity=False).hexdigest()


def user_of(request: Mapping[str, Any]) -> str | None:
    """The user its header names, None without one."""
    user = request.get(USER)
    return None if user is None else kept_name(user)
