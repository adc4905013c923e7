"""What a worker's main process tells: what never reached a pool process, and what a pool process can no longer say.

Time limits, lost processes, revokes and unknown tasks are seen there. The attempt comes from the message; of one that
was handed out twice only that it is the present one.
"""

from __future__ import annotations

import functools
import logging
import signal
import weakref
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from billiard.exceptions import TimeLimitExceeded
from celery import VERSION, bootsteps, signals
from celery.exceptions import NotRegistered
from celery.worker import state
from celery.worker.request import Request

import statuses
from statuses import State, Status, StatusNotFound

from ...errors import interrupts
from .. import attempts
from . import adapter as adapters
from . import expiry, killing, piggyback, presence, tracing
from .messages import Message, is_known, read

#: How much before its time a job for later counts as queued: the worker's own entry for it must come second.
AHEAD_SECONDS = 0.001
#: Why a job failed that its worker cancelled, and that nobody runs again.
CANCELLED = "its worker was stopped at once while it ran; its message was acknowledged before, and does not come back"
#: Signals that end no process of a pool: the first is no more to it than the end of a soft limit of time, the other nothing. Whoever
#: terminates a job by one of these leaves it to the job how it ends.
_ENDS_NOTHING = frozenset(getattr(signal, name, None) for name in ("SIGUSR1", "SIGINT")) - {None}
#: Before 5.6 a worker no longer counts a task among those it holds when it tells that its process was lost.
_LETS_GO_FIRST = VERSION < (5, 6)
_held: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
_MARK = "_statuses_watched"
_RECEIVERS = ("task_received", "task_failure", "task_retry", "task_revoked", "task_unknown", "task_rejected")


def connect() -> None:
    """Receive the signals of every worker that is started from now on in this process; once."""
    for name in _RECEIVERS:
        receiver = globals()[f"on_{name}"]
        getattr(signals, name).connect(receiver, weak=False, dispatch_uid=f"statuses.{name}")
    for ending in (signals.worker_process_shutdown, signals.worker_shutdown):
        ending.connect(on_shutdown, weak=False, dispatch_uid="statuses.shutdown")
    _watch_limits()


def _look(adapter: adapters.Adapter, at: str, look: Callable[[], None]) -> None:
    """Do what Celery's signals do for their receivers: let nothing that they trip over reach the worker. Not the guard's `run`, which lets
    go what was not written yet while the store is away; these remember an end by themselves."""
    try:
        look()
    except Exception as error:
        if interrupts(error):
            raise
        adapter.guard.say(at, f"telling of {at} failed", level=logging.ERROR, trace=True)


def _watch_limits() -> None:
    """Hear of every hard time limit of this process's workers before its message may go back to the broker, and be the next attempt. Of
    one that goes back Celery sends no signal in time, nor of any in a gevent pool before 5.7."""
    _before("on_timeout", lambda soft, timeout: None if soft else timeout)
    _before("on_failure", lambda exc_info, *_, **__: _limit_of(exc_info.exception))


def _limit_of(error: object) -> Any:
    error = getattr(error, "exc", error)  # of billiard it is wrapped
    return error.args[0] if isinstance(error, TimeLimitExceeded) else None


def _before(name: str, limit: Callable[..., Any]) -> None:
    """Look before this method of Celery's requests does its part, where its arguments say that a limit was over, and which."""
    original = getattr(Request, name)
    if getattr(original, _MARK, False):
        return

    @functools.wraps(original)
    def watched(request: Any, *args: Any, **options: Any) -> Any:
        adapter = adapters.of(request.app)
        if adapter is not None:
            _look(adapter, "a time limit", lambda: on_limit(request, limit(*args, **options)))
        return original(request, *args, **options)

    setattr(watched, _MARK, True)
    setattr(Request, name, watched)


class Unreadable(bootsteps.Step):
    """Hears of the messages that a worker cannot decode, and drops: no signal tells of one."""

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        original = parent.on_decode_error

        @functools.wraps(original)
        def on_decode_error(message: Any, exc: Any, *more: Any, **options: Any) -> Any:
            given = original(message, exc, *more, **options)
            adapter = adapters.of(parent.app)
            if adapter is not None:
                _look(adapter, "a message that cannot be decoded", lambda: on_unreadable(parent, message, exc))
            return given

        parent.on_decode_error = on_decode_error


def _read(app: Any, request: Any, queue: str | None = None) -> tuple[adapters.Adapter, Message] | None:
    """The adapter and the message, None where either is not ours: also of a call in place (`apply`), whose signals are the same."""
    if isinstance(request, dict) and request.get("is_eager"):
        return None
    adapter = adapters.of(app)
    message = read(request, queue=queue) if adapter is not None and isinstance(request, dict) else None
    if adapter is None or message is None or not adapter.tracks(message):
        return None
    return adapter, message


def _attempt(message: Message) -> int | None:
    return None if message.redelivered else message.attempt


def _end(adapter: adapters.Adapter, message: Message, state: State, error: object, ran: bool = True) -> None:
    """The job is over, if what is told of is its present attempt. ran: not where its message is dropped before anything of it runs."""
    attempt = _attempt(message)
    handle = functools.partial(_here, adapter, message, ran) if message.redelivered else None
    if ran and attempt is not None and adapter.guard.run("asking which attempt ended", lambda: _is_later(adapter, message)):
        attempt = None
    adapter.end(message, state, attempt, error, handle=handle)


def _is_later(adapter: adapters.Adapter, message: Message) -> bool:
    """Whether the present attempt is the run of a message that speaks of an earlier one: that ran elsewhere, while this worker had the
    message in hand.  One round trip, two where it has run again."""
    status, here = adapter.handle(message).reload(), message.request.get("hostname")
    if status.state is not State.started or status.attempt <= message.attempt or status.worker != here:
        return False
    earlier = statuses.find(f"{status.id}:{message.attempt}")
    return earlier is not None and earlier.worker != here


def _here(adapter: adapters.Adapter, message: Message, ran: bool) -> Status:
    """The status of a job whose present attempt this may be. Raises: StatusNotFound where another worker runs that, for the broker has
    handed it out again since, and what ended here is an attempt before; or where this one does: then what ended here never became one."""
    status, here = adapter.handle(message), message.request.get("hostname")
    if here and status.state is State.started:
        runs = killing.running([message.task_id])
        # The first attempt is the run of the message that was handed out first.
        is_first = status.attempt == message.attempt and any(not run.delivery_info["redelivered"] for run in runs)
        if status.worker not in (None, here) or (is_first if ran else runs):
            raise StatusNotFound(f"{status.id} (at {here})")
    return status


def on_task_received(sender: Any = None, request: Any = None, **_: Any) -> None:
    """A worker holds the message: one of an untracked publisher becomes a job, one for later is queued in time."""
    if _LETS_GO_FIRST:
        _held[request.id] = request
    if request.eta is None and is_known(request.request_dict):
        return  # nearly every message: whoever sent it has told
    found = _read(request.app, request.request_dict)
    if found is None:
        return
    adapter, message = found
    if not message.known:
        adapter.guard.run(f"tracking a new {message.name}", lambda: adapter.handle(message))
    if request.eta is not None:
        _queue_in_time(adapter, message, sender, request.eta)


def _queue_in_time(adapter: adapters.Adapter, message: Message, consumer: Any, due: datetime) -> None:
    """Let the job count as queued when it is due; before the worker's own entry for it, which hands it to the pool."""

    def queued() -> None:
        adapter.guard.run(
            f"queueing {message.name}",
            lambda: adapter.handle(message).queued(attempt=_attempt(message), sources={State.unqueued}),
            remember=True,  # it may wait on until the store is back
        )

    wait_seconds = (due - datetime.now(UTC)).total_seconds()
    if wait_seconds <= 0:
        queued()
    else:
        consumer.timer.call_after(max(wait_seconds - AHEAD_SECONDS, 0.0), queued, priority=0)


def on_task_failure(sender: Any = None, task_id: Any = None, exception: Any = None, **_: Any) -> None:
    """Told in the worker's main process for a time limit (twice), a lost process, a rejection. In a pool process,
    where the tracer tells more, it is left out."""
    run = tracing.current_run()
    context = sender.request
    if run is not None and run.message.task_id == task_id:
        return
    request = dict(vars(context)) if context.id == task_id else _reserved(task_id)
    found = _read(sender.app, request)
    if found is not None:
        _end(*found, State.failed, exception)


def _reserved(task_id: str) -> dict[str, Any] | None:
    """The request the worker holds under this id: not every `task_failure` has it on the task."""
    request = state.requests.get(task_id) or _held.get(task_id)
    return request.request_dict if request is not None else None


def on_limit(request: Any, timeout: Any) -> None:
    """A hard time limit is over, None: none is. One whose end was heard of is held no longer; one that the worker was handed once more
    since runs on."""
    if timeout is None or state.requests.get(request.id) is not request or state.should_terminate:  # ty: ignore[redundant-condition]
        return
    found = _read(request.app, request.request_dict)
    if found is not None:
        _end(*found, State.failed, TimeLimitExceeded(timeout))


def on_task_retry(sender: Any = None, request: Any = None, **_: Any) -> None:
    """In the main process: a job was cancelled, for its worker is stopped at once or has lost its broker. Celery calls that a retry;
    the broker hands the message out again where it was not acknowledged before the job began."""
    if tracing.current_run() is not None:
        return
    found = _read(sender.app, dict(vars(request)))
    if found is None:
        return
    adapter, message = found
    if not sender.acks_late:
        _end(adapter, message, State.failed, CANCELLED)
    else:
        adapter.guard.run("putting a job back", lambda: attempts.requeue(adapter.handle(message), message.attempt))


def on_task_revoked(
    sender: Any = None, request: Any = None, terminated: bool = False, signum: Any = None, expired: bool = False, **_: Any
) -> None:
    """A worker met a revoked job, terminated a running one, or found one too late to start."""
    found = _read(sender.app, dict(vars(request)))
    if found is None or (signum in _ENDS_NOTHING and presence.has_processes(request.hostname)):
        return
    _end(*found, State.killed, expiry.error() if expired else None, ran=terminated)


def on_task_unknown(sender: Any = None, message: Any = None, name: Any = None, id: Any = None, **_: Any) -> None:
    """No worker function has this name: Celery drops the message, and nobody else would ever hear of it."""
    _refused(sender, message, NotRegistered(name))


def on_task_rejected(sender: Any = None, message: Any = None, exc: Any = None, **_: Any) -> None:
    """A message that is no task, or a broken one."""
    _refused(sender, message, exc or "the worker could not read its message")


def on_unreadable(consumer: Any, message: Any, exc: Any) -> None:
    """A message whose body nobody can decode; its headers say whose it is."""
    _refused(consumer, message, exc)


def _refused(consumer: Any, message: Any, error: object) -> None:
    """A worker drops a message that it makes no task of. One without our mark is left where its call cannot be read: what the job would
    have been called with is not known, and a retry would call it with nothing."""
    called = _called(message)
    request = {
        **(message.headers or {}),
        **(called or {}),
        "properties": message.properties,
        "delivery_info": message.delivery_info,
        "hostname": consumer.hostname,
    }
    found = _read(consumer.app, request)
    if found is not None and (called is not None or found[1].known):
        _end(*found, State.failed, error, ran=False)


def _called(message: Any) -> dict[str, Any] | None:
    """What the body of a message says of its call, with `args` and `kwargs`; None where that is none. Protocol 1 has all of it there, and
    its headers are the caller's own."""
    try:
        body = message.payload
    except Exception as error:  # whatever its serializer raises, which may be the project's own
        if interrupts(error):
            raise
        return None
    if isinstance(body, Mapping):
        called = {**body, **(message.headers or {}), "args": body.get("args", ()), "kwargs": body.get("kwargs", {})}
    elif isinstance(body, list | tuple) and len(body) == 3:
        called = {**(body[2] if isinstance(body[2], Mapping) else {}), "args": body[0], "kwargs": body[1]}
    else:
        return None
    return called if isinstance(called["args"], list | tuple) and isinstance(called["kwargs"], Mapping) else None


def on_shutdown(sender: Any = None, **_: Any) -> None:
    """A process of a worker ends: what it still remembers is told now or never."""
    piggyback.held.tell()
    for adapter in list(adapters._adapters.values()):
        adapter.guard.last_words()
