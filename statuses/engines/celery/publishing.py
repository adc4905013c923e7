"""Where jobs are sent: each becomes a status before its message leaves, a Celery retry the next attempt of its own.

`before_task_publish`, not after: a worker often has the message before `after_task_publish` fires. Which app
publishes is known from its `send_task`, through which every way of sending goes; there a broker that is away is
seen, too, and the status does not stay queued for a message that never left.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals

import statuses
from statuses import State, Status

from ...errors import interrupts
from .. import attempts
from ..guard import Passing
from . import chords, expiry, routing, tracing
from .adapter import Adapter, new_header
from .messages import HEADER, USER, Message, read, undelayed


class _Sending:
    """One call of `send_task`."""

    def __init__(self, adapter: Adapter, serializer: str | None) -> None:
        self.adapter = adapter
        self.serializer = serializer or adapter.serializer
        self.sent: tuple[dict[str, Any], dict[str, Any], int] | None = None
        """The request, its headers, with which a worker would read it, and its attempt, once it is tracked."""


_sending: ContextVar[_Sending | None] = ContextVar("statuses_celery_sending", default=None)
#: The status and attempt for which `send_task` is called here, and which need no new ones.
_again: ContextVar[tuple[Status, int] | None] = ContextVar("statuses_celery_again", default=None)


def connect(adapter: Adapter) -> None:
    """Watch what the app sends."""
    app = adapter.app
    original = app.send_task

    @functools.wraps(original)
    def send_task(*args: Any, **kwargs: Any) -> Any:
        sending = _Sending(adapter, kwargs.get("serializer"))
        token = _sending.set(sending)
        try:
            return original(*args, **kwargs)
        except Passing as passing:
            raise passing.error from None
        except Exception as error:
            # Interrupted while it leaves: it may have left. Where it has not the reaper finds that its engine has no such job.
            if sending.sent is not None and not interrupts(error):
                request, headers, attempt = sending.sent
                message = read({**request, **headers})
                if message is not None:
                    adapter.end(message, State.failed, attempt, error)
            raise
        finally:
            _sending.reset(token)

    app.send_task = send_task
    signals.before_task_publish.connect(before_publish, weak=False, dispatch_uid="statuses.before_publish")


def disconnect(adapter: Adapter) -> None:
    """Let the app send as it did."""
    adapter.app.__dict__.pop("send_task", None)


@contextmanager
def again(status: Status, attempt: int) -> Generator[None]:
    """What is sent inside the block is this attempt of `status`."""
    token = _again.set((status, attempt))
    try:
        yield
    finally:
        _again.reset(token)


def before_publish(
    sender: Any = None,
    body: Any = None,
    headers: Any = None,
    properties: Any = None,
    exchange: Any = None,
    routing_key: Any = None,
    declare: Any = None,
    **_: Any,
) -> None:
    """Receiver of `before_task_publish`; runs where the job is sent. Raises what interrupts it, and nothing else: then the message does
    not leave."""
    try:
        sending = _sending.get()
        if sending is None or not isinstance(headers, dict):
            return
        if isinstance(body, dict):  # protocol 1: workers add the headers to what stands in the body
            request = {**body, **headers, "properties": properties}
        elif isinstance(body, tuple | list) and len(body) == 3:
            args, kwargs, embed = body
            request = {**(embed or {}), **headers, "args": args, "kwargs": kwargs, "properties": properties}
        else:
            return
        if exchange:
            request["delivery_info"] = routing.delivery(exchange, routing_key)
        # With an exchange the routing key is not the queue's name, nor is what Celery declares then always where it leads to.
        queue = declare[0] if isinstance(declare, list) and len(declare) == 1 else None
        message = read(request, queue=getattr(queue, "name", None) or routing_key or None)
        if message is None:
            return
        adapter = sending.adapter
        if exchange:
            routing.name(adapter.app, message, queue)
        attempt = adapter.guard.run(
            f"tracking a new {message.name}", lambda: _publish(adapter, message, headers, sending.serializer, routing_key)
        )
        if attempt is not None:
            sending.sent = request, headers, attempt
        elif adapter.guard.away and not message.known and USER not in headers:
            _say_who(adapter, message, headers)
    except BaseException as interrupt:
        broken = _sending.get()
        if broken is None or not interrupts(interrupt):
            raise
        broken.sent = None
        _does_not_leave(broken.adapter, headers, body.get("id") if isinstance(body, dict) else headers.get("id"), interrupt)
        if not isinstance(interrupt, Exception):
            raise
        raise Passing(interrupt) from None  # Celery lets no Exception of a receiver through


def _does_not_leave(adapter: Adapter, headers: dict[str, Any], task_id: Any, interrupt: BaseException) -> None:
    """Whoever sends the message was interrupted before it left: the status that it has is over, and waits for no worker."""
    run = tracing.current_run()
    if run is not None and run.message.task_id == task_id:
        run.attempt = run.attempt_after = None  # nobody knows whether its next one has begun: whichever it is ends when the job does
        return
    said = headers.get(HEADER)
    if isinstance(said, Mapping) and said.get("task") == task_id and said.get("id") and _again.get() is None:
        attempts.not_sent(adapter.guard, said["id"], interrupt)


def _say_who(adapter: Adapter, message: Message, headers: dict[str, Any]) -> None:
    """The store is away: the message tells the worker, which makes the status, whose job it is."""
    user = adapter.guard.who(lambda: tracing.user_here(adapter, message.request))
    if user is not None:
        headers[USER] = user


def _publish(adapter: Adapter, message: Message, headers: dict[str, Any], serializer: str, routing_key: Any) -> int | None:
    """Write the status, and the header that tells workers which it is; the attempt, None where nothing is tracked."""
    known = _again.get()
    if known is not None:
        headers[HEADER] = new_header(known[0], message, known[1], known[0].root)
        return known[1]
    run = tracing.current_run()
    if run is not None and run.message.task_id == message.task_id:
        return _next_attempt(adapter, run, message, headers, routing_key)
    if message.known:
        return _after_a_lost_worker(adapter, message)
    tracked = adapter.tracks(message)
    if tracked is False:
        headers[HEADER] = new_header(None, message)
    if not tracked:
        return None
    user = tracing.user_here(adapter, message.request)
    if user is not None:
        headers[USER] = user
    planned = chords.publish(adapter, message, headers, serializer)
    if planned is not None:
        headers[HEADER] = new_header(planned[0], message, root=planned[1])
        return 0
    parent = statuses.current()
    before = [run.status.id] if run is not None and run.body_ended and run.status is not None else None
    root = chords.root_of(run, chords.group_of(message))
    above = parent.id or None if parent is not None else None
    status = adapter.create(message, user=user, parent=above, depends_on=before, root=root, serializer=serializer)
    try:
        headers[HEADER] = new_header(status, message, root=root)
    except BaseException as interrupt:
        attempts.not_sent(adapter.guard, status.id, interrupt)
        raise
    return 0


def _next_attempt(adapter: Adapter, run: tracing.Run, message: Message, headers: dict[str, Any], routing_key: Any) -> int | None:
    """The running job sends itself again: a Celery retry, or `replace()`."""
    expires = message.request.get("expires")
    if expires != run.message.request.get("expires"):
        expiry.note(run.handle(), expires)
    with tracing.from_the_task(run.retried_for):
        run.attempt_after = run.requeue(run.retried_for, is_scheduled(message.request))
    if message.name != run.message.name:
        run.handle().set_job_name(message.name)
    # By the key: where it stays in its queue that need not be the one that Celery declares, which is the default then.
    if message.queue and routing_key and undelayed(str(routing_key)) != run.message.queue:
        run.handle().set_queue(message.queue)
    headers[HEADER] = new_header(run.status, message, run.attempt_after, run.message.root)
    return run.attempt_after


def _after_a_lost_worker(adapter: Adapter, message: Message) -> int | None:
    """The worker's main process sends a job again whose pool process was lost (`retry_on_worker_lost`)."""
    if message.untracked:
        return None
    error = WorkerLostError("the process that ran it was lost; it is sent again")
    return attempts.requeue(adapter.handle(message), message.attempt - 1, error, scheduled=is_scheduled(message.request))


def is_scheduled(headers: Mapping[str, Any]) -> bool:
    """Whether the message is for later."""
    return bool(headers.get("eta"))
