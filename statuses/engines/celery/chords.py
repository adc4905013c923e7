"""Chords: their body is a job from the moment the members are sent, depends on all of them, and ends when they fail.

Celery says which members there are in one place alone, where the chord is run; a member knows its group, and the one that
comes last publishes the body. So the body's status is made there, and its id travels with the body's signature, which every
member carries::

    "job_status_body": {"id": <status id>, "root": <what `Status.root` is>}

Where a body is no task of its own (a group, a nested chord) its first tasks are the ones that wait. Nothing is planned where
members come out of a generator: who they are is not known yet. Then the body depends on the member that came last.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from celery import canvas
from celery.result import GroupResult

import statuses
from statuses import State, Status, StatusNotFound

from ...errors import interrupts
from .. import attempts
from . import adapter as adapters
from . import tracing
from .messages import Message, read
from .planned import PLANNED, fail, last_options

if TYPE_CHECKING:
    from .adapter import Adapter

_MARK = "_statuses_tracked"


@dataclass
class _Sending:
    """A chord that is being run here."""

    header: Any
    """Its group."""
    planned: list[tuple[Adapter, str]] = field(default_factory=list)
    """The status ids of what its body begins with."""


_sending: ContextVar[_Sending | None] = ContextVar("statuses_celery_chord", default=None)


def connect() -> None:
    """See every chord that is run. Where Celery has no such places any more nothing is planned."""
    chord, group = getattr(canvas, "_chord", None), canvas.group
    if not hasattr(chord, "run") or not hasattr(group, "_freeze_group_tasks") or getattr(chord.run, _MARK, False):
        return
    chord.run = _watched_run(chord.run)
    group._freeze_group_tasks = _watched_freeze(group._freeze_group_tasks)


def _watched_run(original: Any) -> Any:
    @functools.wraps(original)
    def run(self: Any, header: Any, *args: Any, **kwargs: Any) -> Any:
        sending = _Sending(header)
        token = _sending.set(sending)
        try:
            return original(self, header, *args, **kwargs)
        except Exception as error:
            # A backend that knows no chords, a member that cannot be sent: nobody will ever send the body.
            for adapter, id in sending.planned:
                attempts.not_sent(adapter.guard, id, error) if interrupts(error) else fail(adapter, id, error)
            raise
        finally:
            _sending.reset(token)

    setattr(run, _MARK, True)
    return run


def _watched_freeze(original: Any) -> Any:
    """The members get their ids here; the body has its own by then, and is not written into their messages yet."""

    @functools.wraps(original)
    def freeze(self: Any, *args: Any, **kwargs: Any) -> Any:
        group_id, members = found = original(self, *args, **kwargs)
        body, sending = kwargs.get("chord"), _sending.get()
        if body is not None and sending is not None and sending.header is self and isinstance(members, list) and members:
            adapter = adapters.of(self.app)
            if adapter is not None:
                adapter.guard.run("planning the body of a chord", lambda: _plan(adapter, sending, body, str(group_id), members))
        return found

    return freeze


def _plan(adapter: Adapter, sending: _Sending, body: Any, group_id: str, members: Iterable[Any]) -> None:
    awaited = [id for member in members for id in _last_ids(member)]
    above = statuses.current()
    parent = above.id or None if above is not None else None
    root = root_of(tracing.current_run(), group_id)
    for first in _first_tasks(body):
        message = read({"id": first.options.get("task_id") or group_id, "task": first.task, "args": first.args, "kwargs": first.kwargs})
        headers = first.options.get("headers") or {}
        if message is None or PLANNED in headers or not adapter.tracks(message):
            continue
        user = tracing.user_here(adapter, headers)
        status = adapter.plan(message, parent=parent, depends_on=awaited, root=root, user=user)
        sending.planned.append((adapter, status.id))
        first.options["headers"] = {**headers, PLANNED: {"id": status.id, "root": root}}


def _last_ids(member: Any) -> Iterator[str]:
    """Celery's ids of the tasks that end a member: the last of a chain, all of a group."""
    if isinstance(member, GroupResult):
        for result in member.results or ():
            yield from _last_ids(result)
    else:
        yield member.id


def _first_tasks(body: Any) -> Iterator[Any]:
    """The tasks that a body begins with."""
    if isinstance(body, canvas.group | canvas._chain):
        tasks = body.tasks if isinstance(body.tasks, list | tuple) else ()
        for task in tasks if isinstance(body, canvas.group) else tasks[:1]:
            yield from _first_tasks(task)
    elif isinstance(body, canvas._chord):
        yield from _first_tasks(body.tasks if isinstance(body.tasks, canvas.group) else canvas.group(body.tasks))
    elif isinstance(body, canvas.Signature) and body.task:
        yield body


def root_of(run: tracing.Run | None, group_id: str | None) -> str | None:
    """What the workflow of a job began with that is sent here: the root of the running job, or it itself; outside of any the
    group that it is sent in."""
    if run is None:
        return group_id
    return run.message.root or (run.status.id if run.status is not None else None)


def group_of(message: Message) -> str | None:
    """The group it is sent in; of the first task of a chain, which does not say it itself, that of the whole chain."""
    chain = message.request.get("chain")
    of_chain = last_options(chain[0]).get("group_id") if chain and isinstance(chain, list | tuple) else None
    return message.request.get("group") or of_chain


def publish(adapter: Adapter, message: Message, headers: dict[str, Any], serializer: str) -> tuple[Status, str | None] | None:
    """The planned status and root of a body that is sent now, with what is known of it by now. None where none was planned,
    it is gone, or it was sent before: headers get copied. Four round trips."""
    said = headers.pop(PLANNED, None)
    if said is None:  # nearly every message
        return None
    id = said.get("id") if isinstance(said, Mapping) else None
    if not isinstance(id, str):
        return None
    status = statuses.at(id)
    try:
        if status.attempt or status.queued_at or status.started_at or status.state not in (State.unqueued, State.killed):
            return None
        request = message.request
        args, kwargs = request.get("args") or (), request.get("kwargs") or {}
        status.set_call(adapters.kept_call(message, args, kwargs, serializer))
        status.set_job_args(adapter.job_args(message, args, kwargs))
        status.set_queue(message.queue)
        if status.provider_job_id != message.task_id:
            status.set_provider_job_id(message.task_id)
        if not request.get("eta"):
            status.queued(attempt=0, sources={State.unqueued})
    except StatusNotFound:
        return None
    return status, said.get("root")
