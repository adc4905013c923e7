"""Where jobs run: around the function that traces one task in a pool process, a thread, or the worker itself.

Around it rather than in `task_prerun`: an exception of a signal's receiver is swallowed, so no receiver can refuse a
start. Around the tracer nothing of the job has run yet, not even `before_start` or a `__call__` of the project's own,
and what it returns tells each outcome once, with the exception as it was raised.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import celery.app.trace as celery_trace
from billiard.einfo import ExceptionInfo
from billiard.process import current_process
from celery import states
from celery.app.task import Context
from celery.exceptions import Ignore, Reject

from statuses import KillRequested, State, Status

from ...errors import StartedBefore, Superseded, interrupted, interrupts, is_limit
from ...track import current_job
from .. import attempts
from ..jobs import JobStatus
from ..who import current_user
from . import adapter as adapters
from . import again, outcomes, piggyback, planned
from .messages import USER, Message, read, user_of

_MARK = "_statuses_tracked"


class Killed(KillRequested, Ignore):
    """Raised in place of KillRequested inside a task: Celery lets an Ignore pass where it would retry or fail."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Killed, (self.id, self.by, self.reason)


@dataclass(kw_only=True)
class Run:
    """A job that runs in this process now."""

    adapter: adapters.Adapter
    message: Message
    attempt: int | None
    """The attempt that runs; None: whichever is the present one, where it was interrupted while it sent itself again."""
    status: JobStatus | None = None
    """What `statuses.current()` gives the job."""
    told: bool = False
    """Whether the store knows that it started; not while it is away."""
    answered: bool = False
    """Whether the store has said anything to the start; see `attempts.tell_start`."""
    attempt_after: int | None = None
    """The attempt it became when it was sent again."""
    result_is_kept: bool = False
    """Whether its engine knows afterwards how it ended."""
    retried_for: BaseException | None = None
    """Why it asked to be run again."""
    body_ended: bool = False
    """Whether the task's own function has returned: what is sent now are its callbacks and the rest of its chain."""
    inside: int = 0
    """How many functions of tasks run in one another: one may call another, or itself."""
    _known: Status | None = None
    _began: float = field(default_factory=time.monotonic)
    _tried: bool = False

    def handle(self) -> Status:
        """A handle of its own for each write, whose errors reach the guard; looked for once."""
        if self._known is None:
            self._known = self.adapter.handle(self.message)
        return Status(self._known.id, self._known._store, self._known._where)

    def start(self) -> None:
        """Say that it runs. Raises: KillRequested when it must not."""
        attempts.tell_start(self, self._start)

    def _start(self) -> None:
        if self._known is None:
            handle = self._known = self.adapter.handle(self.message)
        else:
            handle = self.handle()
        if self.status is None:
            self.status = JobStatus.of(handle, self.adapter.guard)
        elif not self.status.id:
            self.status.found(handle)
        message, worker = self.message, self.message.request.get("hostname")
        worker = worker if isinstance(worker, str) else None
        if self._tried and attempts.arrived(handle, worker, self._began):
            self.attempt, self.told = handle.attempt, True
            return
        # One that a worker took ahead, or for later, may have been handed out once more meanwhile, and have run: it does not say so.
        once_more, self._tried = message.redelivered or (message.known and not self._tried), True
        # Without our header it may be another call under an id of the project's own.
        sent_as = message.task_id if message.known or message.redelivered else None
        later = bool(message.request.get("eta"))
        attempt = attempts.start(handle, worker, message.attempt, once_more, sent_as, later)
        if attempt is not None:
            self.attempt, self.told = attempt, True

    def end(self, state: State, error: object = None, result: object = None) -> None:
        """Say how it ended."""
        if error is None:
            self.adapter.end(self.message, state, self.attempt, None, result, self.handle)
            return
        with from_the_task(error):
            self.adapter.end(self.message, state, self.attempt, error, result, self.handle)

    def requeue(self, error: object = None, scheduled: bool = False) -> int:
        """Say that it will run again; the next attempt."""
        handle = self.handle()
        return attempts.requeue(handle, handle.attempt if self.attempt is None else self.attempt, error, scheduled)

    def beat(self) -> None:
        """A sign of life; or the start, where the store was away and is back."""
        try:
            self.adapter.guard.run("a heartbeat", self.handle().heartbeat if self.told else self.start)
        except KillRequested:
            return  # it runs already, and looks for itself


class Limited(Run):
    """A job whose limit of time was over while its start was told: its own function raises that, as if it had been over a moment later.
    So Celery does all that it does about a task which fails. Nothing of it is in the way of the others."""

    limit: BaseException

    @property
    def inside(self) -> int:  # ty: ignore[incompatible-property-override]
        setattr(self, "__class__", Run)  # noqa: B010  # Once.
        raise self.limit.with_traceback(None)

    @classmethod
    def over(cls, run: Run, limit: BaseException) -> None:
        """Let this one be such a job."""
        run.adapter.guard.lost(interrupted("a start", limit))
        run.__dict__["limit"] = limit
        setattr(run, "__class__", cls)  # noqa: B010


_run: ContextVar[Run | None] = ContextVar("statuses_celery_run", default=None)


def current_run() -> Run | None:
    """The job that runs here."""
    return _run.get()


def user_here(adapter: adapters.Adapter, headers: Mapping[str, Any]) -> str | None:
    """Who starts what is sent here: the header's, else `as_user`'s, else the project's say, else that of the job that sends."""
    user = user_of(headers) or current_user()
    if user is None and adapter.user is not None:
        user = adapter.user()
    if user is None:
        run = current_run()
        return None if run is None else user_of(run.message.request)
    return user_of({USER: user})


def connect() -> None:
    """Let every tracer that is built from now on be a tracked one."""
    original = celery_trace.build_tracer
    if getattr(original, _MARK, False):
        return

    @functools.wraps(original)
    def build_tracer(name: str, task: Any, *args: Any, **kwargs: Any) -> Any:
        adapter = None if kwargs.get("eager") else adapters.of(task.app)
        if adapter is None:
            return original(name, task, *args, **kwargs)
        _watch(task)
        return _tracked(adapter, task, original(name, task, *args, **kwargs))

    setattr(build_tracer, _MARK, True)
    setattr(celery_trace, "build_tracer", build_tracer)  # noqa: B010
    # The consumer keeps the name it imported, perhaps before this.
    consumer = sys.modules.get("celery.worker.consumer.consumer")
    if consumer is not None:
        setattr(consumer, "build_tracer", build_tracer)  # noqa: B010


def _watch(task: Any) -> None:
    """See the end of the task's own function and why it retries, and let no automatic retry catch a kill.

    Automatic retry wraps `run` and calls `_orig_run`; ours goes inside of it."""
    name = "_orig_run" if hasattr(task, "_orig_run") else "run"
    if not getattr(getattr(task, name), _MARK, False):
        setattr(task, name, _watched_body(task, getattr(task, name)))
        task.retry = _watched_retry(task.retry)


def _watched_body(task: Any, body: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(body)
    def watched(*args: Any, **kwargs: Any) -> Any:
        run = _run.get()
        if run is not None:
            run.inside += 1
        try:
            result = body(*args, **kwargs)
        except Killed:
            raise
        except KillRequested as asked:
            raise Killed(asked.id, asked.by, asked.reason) from asked
        finally:
            if run is not None:
                run.inside -= 1
        if run is not None and not run.inside and task.name == run.message.request.get("task"):
            run.body_ended = True
        return result

    _OURS.add(getattr(watched, "__code__"))  # noqa: B009
    setattr(watched, _MARK, True)
    return watched


def _watched_retry(retry: Callable[..., Any]) -> Callable[..., Any]:
    """`retry(exc=...)` says why; what is being handled at that moment says it too, and often there is nothing."""

    @functools.wraps(retry)
    def watched(*args: Any, **kwargs: Any) -> Any:
        run = _run.get()
        given = kwargs.get("exc", args[2] if len(args) > 2 else None)
        if run is not None:
            run.retried_for = given if isinstance(given, BaseException) else sys.exc_info()[1]
        return retry(*args, **kwargs)

    return watched


#: Code of our own functions between Celery and the task.
_OURS: set[CodeType] = set()


@contextmanager
def from_the_task(error: object) -> Generator[None]:
    """Inside the block the error's traceback begins with the task's own function, without Celery's frames and ours."""
    if not isinstance(error, BaseException):
        yield
        return
    whole = trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code not in _OURS:
        trace = trace.tb_next
    if trace is not None and trace.tb_next is not None:
        error.__traceback__ = trace.tb_next
    try:
        yield
    finally:
        error.__traceback__ = whole


def _tracked(known: adapters.Adapter, task: Any, trace: Callable[..., Any]) -> Callable[..., Any]:
    # The reaper asks the app's: a task may have a backend of its own.
    result_is_kept = task.backend is task.app.backend and outcomes.can_be_read(task.backend)

    @functools.wraps(trace)
    def tracked(uuid: str, args: Any, kwargs: Any, request: Any = None, *more: Any, **options: Any) -> Any:
        adapter = known if known.is_installed else adapters.of(task.app)
        message = read({**(request or {}), "args": args, "kwargs": kwargs}) if adapter is not None else None
        if adapter is None or message is None or not adapter.tracks(message):
            piggyback.held.tell()
            return trace(uuid, args, kwargs, request, *more, **options)
        run = Run(adapter=adapter, message=message, attempt=message.attempt, result_is_kept=result_is_kept)
        try:
            adapter.guard.run(f"starting {message.name}", run.start, starts=True)
            piggyback.held.tell()  # where the start was not told, for the store is away
            if run.status is None:
                run.status = JobStatus.unfound(adapter.guard)
        except KillRequested as asked:
            return _refuse(adapter, task, message, asked)
        except BaseException as error:
            if not is_limit(error):
                raise
            run.status = run.status or JobStatus.unfound(adapter.guard)
            Limited.over(run, error)
        # The store knows better: the job was removed, or this message speaks of an older attempt.
        if run.answered and not run.told and not isinstance(run, Limited):
            return trace(uuid, args, kwargs, request, *more, **options)
        return _trace(run, task, trace, uuid, args, kwargs, request, *more, **options)

    return tracked


def _trace(run: Run, task: Any, trace: Callable[..., Any], uuid: str, *arguments: Any, **options: Any) -> Any:
    adapter = run.adapter
    began, outcome = False, None
    try:
        token = _run.set(run)
        adapter.heartbeats.add(id(run), run.beat)
        try:
            before = current_job.set(run.status)
            try:
                began = True
                outcome = trace(uuid, *arguments, **options)
            finally:
                current_job.reset(before)
        except Reject as rejected:
            _rejected(run, task, rejected)
            raise
        except Exception as error:
            # Celery tripped over what it does about an outcome, as over an errback that cannot be sent: it tells nothing of it.
            if began and outcome is None:
                _broke_off(run, error)
            raise
        except BaseException as error:
            # Of a process of a pool its worker tells that it was lost; in a thread, a greenlet or the worker itself nobody does.
            if outcome is None and current_process().name == "MainProcess":
                _left(run, error)
            raise
        finally:
            adapter.heartbeats.remove(id(run))
            _run.reset(token)
        _finish(run, task, outcome.info, outcome.retval)
        return outcome
    except BaseException as error:
        if (began and outcome is None) or not interrupts(error):
            raise
        return _interrupted(run, task, functools.partial(trace, **options), (uuid, *arguments), outcome, error)


def _interrupted(run: Run, task: Any, trace: Callable[..., Any], arguments: tuple[Any, ...], outcome: Any, interrupt: BaseException) -> Any:
    """Before or after the task's own code, while we told of it, something broke in. A limit of time makes the job fail in its own code
    where that was still to come, and comes too late where it was over: it would fail what has succeeded. The end is told in any case, and
    waits for no store; what it was told in before may have arrived, but twice does no harm."""
    is_over = outcome is not None
    run.adapter.guard.lost(interrupted("the end of a job" if is_over else "a start", interrupt))
    run.adapter.heartbeats.remove(id(run))
    _run.set(None)
    current_job.set(None)
    if is_over:
        _finish(run, task, outcome.info, outcome.retval)
    if not is_limit(interrupt) and not (is_over and _is_one_of(interrupt, _TIMEOUT)):
        raise interrupt
    if is_over:
        return outcome
    Limited.over(run, interrupt)
    return _trace(run, task, trace, *arguments)


def _broke_off(run: Run, error: BaseException) -> None:
    if run.attempt_after is None:
        run.end(State.failed, error=error)


#: What gevent's pool ends a job with that runs for too long; one of the project's own is of the same class.
_TIMEOUT = "gevent.timeout.Timeout"
#: How a greenlet is killed: whoever ordered it tells of it.
_KILLED = "greenlet.GreenletExit"


def _left(run: Run, error: BaseException) -> None:
    """Celery catches no such thing, and tells nothing of it. Only gevent's pool does, where its limit is over: then `worker.on_limit` tells
    of it while the greenlet still lives, and so comes first."""
    if _is_one_of(error, _KILLED):
        return
    greenlet = sys.modules["gevent"].getcurrent() if _is_one_of(error, _TIMEOUT) else None
    if hasattr(greenlet, "link"):
        greenlet.link(lambda *_: _broke_off(run, error))
    else:
        _broke_off(run, error)


def _is_one_of(error: BaseException, name: str) -> bool:
    """Told by name: no pool is imported."""
    return any(f"{kind.__module__}.{kind.__qualname__}" == name for kind in type(error).__mro__)


def _finish(run: Run, task: Any, info: Any, retval: Any) -> None:
    """Tell the outcome: `info` is None for a success, else holds Celery's state and the exception."""
    if info is None and not isinstance(retval, ExceptionInfo):
        ignored = _ignores_result(task, run.message)
        result = None if ignored else retval
        if ignored or not run.result_is_kept or not piggyback.held.hold(run, result):
            run.end(State.succeeded, result=result)
        return
    error = retval.exception if info is None else info.retval
    if isinstance(error, KillRequested):
        if info is not None and info.state == states.IGNORED:
            _revoke_result(run.adapter, task, run.message)
        run.end(State.killed)
    elif isinstance(error, Reject):
        _rejected(run, task, error)
    elif info is None or info.state == states.FAILURE:
        run.end(State.failed, error=error)
    elif info.state == states.IGNORED and run.attempt_after is None:
        # The task wanted no result of its own to be kept; it ran to where it wanted.
        run.end(State.succeeded)


def _rejected(run: Run, task: Any, rejected: Reject) -> None:
    if run.attempt_after is not None:
        return  # a retry that could not be sent: `send_task` has told it
    # Without `acks_late` the message is acknowledged by now, and comes back to nobody.
    if rejected.requeue and task.acks_late:
        run.adapter.guard.run("putting a job back", run.requeue)
    else:
        run.end(State.failed, error=rejected.reason if isinstance(rejected.reason, Exception) else rejected)


def _refuse(adapter: adapters.Adapter, task: Any, message: Message, asked: KillRequested) -> Any:
    """What the tracer of a task that raises Ignore returns: the message is acknowledged, nothing has run."""
    may_go_on = message.redelivered or isinstance(asked, StartedBefore | Superseded)
    if not may_go_on or _is_over(adapter, message, asked):
        adapter.guard.run("refusing a killed job", lambda: _revoke_result(adapter, task, message))
        planned.give_up(adapter, message)
    try:
        raise Ignore(str(asked))
    except Ignore as ignored:
        return celery_trace.trace_ok_t(ExceptionInfo(internal=True), celery_trace.TraceInfo(states.IGNORED, ignored), 0.0, None)


def _is_over(adapter: adapters.Adapter, message: Message, asked: KillRequested) -> bool:
    """Whether the job is, of which one more message is refused; not where a limit of time ends the asking: then nobody knows."""
    try:
        return bool(adapter.guard.run("refusing what was handed out again", lambda: again.is_over(adapter.engine, message, asked)))
    except BaseException as error:
        if not is_limit(error):
            raise
        return False


def _revoke_result(adapter: adapters.Adapter, task: Any, message: Message) -> None:
    """Let whoever waits for the result, or for the chord it belongs to, know that none will come."""

    def revoke() -> None:
        request = Context(dict(message.request), called_directly=False)
        store = not _ignores_result(task, message)
        task.backend.mark_as_revoked(message.task_id, "killed on request", request=request, store_result=store)

    adapter.guard.run("revoking the result of a killed job", revoke)


def _ignores_result(task: Any, message: Message) -> bool:
    said = message.request.get("ignore_result")
    return bool(task.ignore_result if said is None else said)
