"""What a message tells of the body of its chord: which status was planned for it (see `chords`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from celery.exceptions import ChordError

import statuses
from statuses import State, Status

from ..attempts import EXPIRED

if TYPE_CHECKING:
    from .adapter import Adapter
    from .messages import Message

#: The header of a body that was planned.
PLANNED = "job_status_body"


def give_up(adapter: Adapter, message: Message) -> None:
    """A job has ended without success: where it was a member of a chord, or began one, Celery never sends the body, nor that of
    the chord in which that one is a member. Never raises."""
    error = ChordError(f"{message.name}, a member of the chord, did not succeed")
    for id in dict.fromkeys(_awaiting(message.request)):
        fail(adapter, id, error)


def _awaiting(request: Mapping[str, Any]) -> Iterator[str]:
    """Status ids of the bodies that wait for this job, or for the rest of its chain."""
    chain = request.get("chain")
    for member in (request, *(last_options(step) for step in (chain if isinstance(chain, list | tuple) else ()))):
        body = member.get("chord")
        while isinstance(body, Mapping):
            yield from _planned_ids(body)
            body = (body.get("options") or {}).get("chord")


def last_options(step: Any) -> Mapping[str, Any]:
    """The options of a step of a chain, of a chord those of its body: what ends the step says which group and chord it belongs to."""
    while isinstance(step, Mapping) and step.get("subtask_type") == "chord":
        step = (step.get("kwargs") or {}).get("body")
    return (step.get("options") or {}) if isinstance(step, Mapping) else {}


def give_up_lost(adapter: Adapter, status: Status) -> None:
    """A job was lost with its worker, or came too late: where it was a member of a chord nobody will count it, unless the broker still has
    the message of one that was lost (`acks_late`) and hands it out again. Never raises.  Two round trips."""
    adapter.guard.run("giving up what waits for a lost job", lambda: _give_up_lost(adapter, status))


def _give_up_lost(adapter: Adapter, status: Status) -> None:
    options = (status.call or {}).get("options") or {}
    task = getattr(adapter.app, "_tasks", {}).get(options.get("task"))
    came_too_late = status.error_group == EXPIRED
    comes_back = not came_too_late and (task.acks_late if task is not None else adapter.app.conf.task_acks_late)
    if not options.get("chord") or comes_back:
        return
    why = "did not succeed" if came_too_late else "was lost with its worker"
    error = ChordError(f"{options.get('task')}, a member of the chord, {why}")
    names = [name for name in (status.id, status.provider_job_id) if name]
    for body in statuses.where(depends_on=names, state=State.unqueued, engine=adapter.engine_name):
        fail(adapter, body.id, error)


def fail(adapter: Adapter, body: str, error: Exception) -> None:
    """A body, or what it begins with, that nobody will send: unless it was sent. Never raises."""
    adapter.guard.run(
        "giving the body of a chord up",
        lambda ago=None: statuses.at(body).failed(attempt=0, sources={State.unqueued}, error=error, ago=ago),
        ends=True,
    )


def _planned_ids(body: Any) -> Iterator[str]:
    """Status ids in a body's signature, as a message carries it."""
    if not isinstance(body, Mapping):
        return
    headers = (body.get("options") or {}).get("headers")
    said = headers.get(PLANNED) if isinstance(headers, Mapping) else None
    if isinstance(said, Mapping) and isinstance(said.get("id"), str):
        yield said["id"]
    kwargs = body.get("kwargs") or {}
    if body.get("subtask_type") in ("chain", "group", "chord"):
        header = kwargs.get("header")
        inside = kwargs.get("tasks") or (header.get("kwargs", {}).get("tasks") if isinstance(header, Mapping) else header)
        for task in inside if isinstance(inside, list | tuple) else ():
            yield from _planned_ids(task)
