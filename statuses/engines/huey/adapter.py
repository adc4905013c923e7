"""Follows the tasks of one Huey: its signals tell what waits, its hooks around the execution what runs.

Signals cannot refuse a start, and tell no result; the hooks can, and do. Whether a failed attempt is retried at once or
later shows in the signal that comes after: `enqueued` or `scheduled`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

import huey as huey_package
from huey import signals
from huey.api import group
from huey.exceptions import CancelExecution, HueyException, RetryTask

import statuses
from statuses import KillRequested, State, Status, StatusExists

from ... import forks
from ...errors import interrupts
from .. import again, attempts, calls, registry, versions
from ..guard import Passing
from ..heartbeats import EVERY_SECONDS
from ..reporting import here
from ..runs import Run, of_message
from ..tracker import Resources, Tracker, own_id
from . import chords, unreadable
from .messages import first_id, function_of, kept_call, name_of
from .presence import Present
from .taken import InHand, taking

if TYPE_CHECKING:
    from huey.api import Task

    from .engine import Huey

_FOLDER = os.path.dirname(os.path.abspath(huey_package.__file__)) + os.sep
#: The name of our hooks.
_HOOK = "statuses"

#: The run whose task has just been executed in this thread: what is enqueued now comes from it.
_after: ContextVar[tuple[str, Run] | None] = ContextVar("statuses_huey_after", default=None)
#: Why the task of that run will be executed again, and that this is not told yet.
_to_retry: ContextVar[tuple[str, BaseException | None] | None] = ContextVar("statuses_huey_to_retry", default=None)
#: Whether the task enqueued here is told already.
_told: ContextVar[bool] = ContextVar("statuses_huey_told", default=False)


class Adapter:
    """Everything that tracks one Huey. Made by `install`."""

    def __init__(self, huey: Any, tracker: Tracker) -> None:
        self.huey = huey
        self.tracker = tracker
        self._runs: dict[str, Run] = {}
        self._refused: set[str] = set()
        self._lock = forks.lock()
        self.present = Present(huey, tracker.guard, tracker.name, self._running)
        self._in_hand = InHand(self._id_of, self.present.runs, self.present.lets_go)

    def connect(self) -> None:
        """Receive what Huey tells."""
        self.huey._signal.connect(self.on_signal)
        self.huey.pre_execute(_HOOK)(self.before_execution)
        self.huey.post_execute(_HOOK)(self.after_execution)
        self.huey.on_shutdown(_HOOK)(self.tracker.guard.last_words)
        original = self.huey.enqueue

        @functools.wraps(original)
        def enqueue(task: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                if isinstance(task, group):
                    with chords.grouped():
                        return original(task, *args, **kwargs)
                return original(task, *args, **kwargs)
            except Passing as passing:
                raise passing.error from None
            except Exception as error:
                if not interrupts(error):  # else it may have left
                    self.could_not_leave(task, error)
                raise

        self.huey.enqueue = enqueue
        self._watch_what_breaks_off()
        chords.watch(self)
        self._watch_what_is_taken()
        self.present.connect()

    def _watch_what_is_taken(self) -> None:
        """Huey drops a task that its consumer does not know, or cannot read, with a line in its log: nobody else would ever hear of it."""
        self.huey.dequeue = self._in_hand.dequeuing(self.huey.dequeue)
        self.huey.read_schedule = self._in_hand.scheduling(self.huey.read_schedule)
        original = self.huey.deserialize_task

        @functools.wraps(original)
        def deserialize_task(data: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(data, *args, **kwargs)
            except Exception as error:
                if taking.get():
                    self._dropped(data, error)
                raise

        self.huey.deserialize_task = deserialize_task

    def _id_of(self, task: Task) -> str | None:
        return self._first_id(task) if self.tracker.tracks(name_of(task), task.id) else None

    def _first_id(self, task: Task) -> str:
        return own_id(self.tracker.name, first_id(task.id))

    def _watch_what_breaks_off(self) -> None:
        """Where a task exits, or its result cannot be stored, Huey leaves it without a word. In immediate mode one execution stands
        inside another; what is enqueued after it does not come from it."""
        original = self.huey.execute

        @functools.wraps(original)
        def execute(task: Task, *args: Any, **kwargs: Any) -> Any:
            after, to_retry = _after.set(None), _to_retry.set(None)
            self._come_last()
            try:
                return original(task, *args, **kwargs)
            except BaseException as error:
                self._broke_off(task, error)
                raise
            finally:
                self._in_hand.let_go()
                _after.reset(after)
                _to_retry.reset(to_retry)

        self.huey.execute = execute

    def _come_last(self) -> None:
        """Our hook is the last before the execution, also where others were made after it: what another one cancels never started."""
        hooks = self.huey._pre_execute
        if _HOOK in hooks and next(reversed(hooks)) != _HOOK:
            # Another mapping: other threads may be walking through this one.
            others = {name: hook for name, hook in hooks.items() if name != _HOOK}
            self.huey._pre_execute = {**others, _HOOK: self.before_execution}

    def disconnect(self) -> None:
        """Let Huey be as it was."""
        self.present.disconnect()
        self.huey.disconnect_signal(self.on_signal)
        for unregister in (self.huey.unregister_pre_execute, self.huey.unregister_post_execute, self.huey.unregister_on_shutdown):
            unregister(_HOOK)
        for name in ("enqueue", "execute", "_enqueue_chord", "dequeue", "read_schedule", "deserialize_task"):
            self.huey.__dict__.pop(name, None)

    def _dropped(self, data: Any, error: Exception) -> None:
        serializer = self.huey.serializer
        read = serializer.deserialize if isinstance(error, HueyException) else functools.partial(unreadable.read, serializer)
        message = self.tracker.guard.run("reading a task that Huey dropped", lambda: read(data))
        if message is not None and self.tracker.tracks(message.name, message.id):
            self.tracker.end(lambda: self._status_of_dropped(message), message.name, State.failed, None, error)

    def _status_of_dropped(self, message: Any) -> Status:
        found = statuses.find(own_id(self.tracker.name, first_id(message.id)))
        if found is not None:
            return of_message(found, message.id)
        return self.tracker.create(
            id=own_id(self.tracker.name, message.id),
            job_name=message.name,
            provider_job_id=message.id,
            args=message.args,
            kwargs=message.kwargs,
            call=calls.keep(message.args, message.kwargs, {}),
            queue=self.huey.name,
        )

    def on_signal(self, signal: str, task: Task, *rest: Any, **_: Any) -> None:
        """Receiver of every signal. Huey logs what it raises, and goes on; what breaks off whoever sends a task is raised past it."""
        try:
            handler = self._HANDLERS.get(signal)
            if handler is not None and self.tracker.tracks(name_of(task), task.id):
                handler(self, task, *rest)
        except Exception as interrupt:
            if signal != signals.SIGNAL_ENQUEUED or not interrupts(interrupt):
                raise
            if first_id(task.id) == task.id:
                attempts.not_sent(self.tracker.guard, self._first_id(task), interrupt)
            raise Passing(interrupt) from None

    def _enqueued(self, task: Task) -> None:
        again = _to_retry.get()
        if again is not None and again[0] == task.id:
            self._retried(again[1], later=False)
        elif not _told.get():
            self.tracker.guard.run(f"tracking a task {name_of(task)}", lambda: self._queued(task))

    def _scheduled(self, task: Task) -> None:
        again = _to_retry.get()
        if again is not None and again[0] == task.id:
            self._retried(again[1], later=True)

    def _retried(self, error: BaseException | None, later: bool) -> None:
        after = _after.get()
        _to_retry.set(None)
        if after is not None:
            after[1].requeue(error, scheduled=later)

    def _queued(self, task: Task) -> None:
        """A new job; one for later that Huey's scheduler found due; the callback of a chord, which has its arguments now; or once more
        what ran already: Huey sends the same error handler for each attempt that fails, and a project may send a task of its own twice."""
        after = _after.get()
        before = after[1] if after is not None else None
        if first_id(task.id) != task.id:
            self._status(task).queued(sources={State.unqueued})
            return
        try:
            self.create(task, before)
        except StatusExists:
            status = self._status(task)
            if after is not None:
                status.set_call(kept_call(task))
            status.queued(sources={State.unqueued})
            if not status.changed:
                # Not what was killed: it must not run.
                status.requeued(sources={State.succeeded, State.failed}, scheduled=not self.huey.ready_to_run(task))

    def create(self, task: Task, before: Run | None = None, *, state: State | None = None, awaited: list[str] | None = None) -> Status:
        """A new status. `before`: what has ended and sends it. `awaited`: the jobs it waits for; else it waits for `before`."""
        above, root = (before.status_id, before.root) if before is not None else (None, None)
        return self.tracker.create(
            id=own_id(self.tracker.name, task.id),
            job_name=name_of(task),
            provider_job_id=task.id,
            args=task.args,
            kwargs=task.kwargs,
            call=kept_call(task),
            function=function_of(task),
            queue=self.huey.name,
            state=state or (State.queued if self.huey.ready_to_run(task) else State.unqueued),
            parent=above,
            depends_on=awaited or ([above] if above else None),
            root=root or chords.root(self),
            after=before,
        )

    def _status(self, task: Task) -> Status:
        """The status of a task, made here when no tracked publisher sent it. One round trip."""
        found = statuses.find(self._first_id(task))
        if found is not None:
            return of_message(found, task.id)
        attempts.refuse_removed(self._first_id(task))
        try:
            return self.create(task)
        except StatusExists:
            return statuses.at(own_id(self.tracker.name, task.id))

    def before_execution(self, task: Task, *_: Any, **__: Any) -> None:
        """Hook before a task is executed. Raises: CancelExecution when it must not be, and nothing else."""
        if not self.tracker.tracks(name_of(task), task.id):
            return
        run = self._run(task)
        try:
            run.start()
        except KillRequested as asked:
            self._refused.add(task.id)
            raise CancelExecution(str(asked)) from asked
        with self._lock:
            self._runs[task.id] = run
        self._in_hand.begin()
        run.enter()
        # Not known yet while the store is away; it is nearly always this one.
        self.present.runs((run.status_id or self._first_id(task)) if run.tracked else "")

    def _run(self, task: Task) -> Run:
        return Run(
            tracker=self.tracker,
            job_name=name_of(task),
            handle=lambda: self._status(task),
            worker=self.present.worker or here(),
            attempt=None,
            redelivered=True,  # one start for each time it was sent: Huey hands out nothing twice
            sent_as=task.id,
            scheduled=task.eta is not None,
            runs_elsewhere=lambda status: again.may_run(self.tracker.name, status, self.present.knows_all_of),
        )

    def _running(self) -> list[str]:
        """Ids of the statuses that this process works on: those that run, also where the store was away when they began, and those that
        it has taken and not begun with."""
        with self._lock:
            runs = {run.status_id or own_id(self.tracker.name, first_id(id)) for id, run in self._runs.items() if run.tracked}
        return sorted(runs | self._in_hand.ids())

    def after_execution(self, task: Task, value: Any, error: BaseException | None, *_: Any, **__: Any) -> None:
        """Hook after a task was executed; `task.retries` says whether it will be once more."""
        with self._lock:
            run = self._runs.pop(task.id, None)
        if run is None:
            return
        self.present.runs("")
        run.leave()
        _after.set((task.id, run))
        if error is None:
            run.end(State.succeeded, result=value)
        elif isinstance(error, KillRequested):
            run.end(State.killed)
        elif task.retries:
            # A task that asks to be run again has not failed, unless something else made it ask.
            _to_retry.set((task.id, error.__context__ if isinstance(error, RetryTask) else error))
        elif isinstance(error, CancelExecution):
            run.end(State.killed, error=error)
        else:
            run.end(State.failed, error=error)

    def _error(self, task: Task, error: BaseException | None = None) -> None:
        if isinstance(error, KillRequested):
            task.retries = 0

    def _broke_off(self, task: Task, error: BaseException) -> None:
        """It will not run again: Huey counts its retries only where it got to the end, and has lost what its storage did not take."""
        with self._lock:
            run = self._runs.pop(task.id, None)
        after, again = _after.get(), _to_retry.get()
        if run is not None:
            self.present.runs("")
            run.leave()
            run.end(State.failed, error=error)
        elif after is None or after[0] != task.id:  # it did not come to its start
            self.could_not_leave(task, error)
        elif again is not None:  # nor to its next attempt
            after[1].end(State.failed, error=again[1] or error)

    def _interrupted(self, task: Task) -> None:
        """Its consumer was stopped while it ran; Huey does not run it again."""
        with self._lock:
            run = self._runs.pop(task.id, None)
        if run is not None:
            self.present.runs("")
            self.tracker.heartbeats.remove(run)
            run.end(State.failed, error="its consumer was stopped while it ran")

    def _cancelled(self, task: Task) -> None:
        if task.id in self._refused:
            self._refused.discard(task.id)
        elif task.id not in self._runs:  # by another hook, before ours; a task that cancels itself is told after it
            self._never_runs(task, "it was cancelled before it started")

    def _expired(self, task: Task) -> None:
        self._never_runs(task, "it expired before it started")

    def _revoked(self, task: Task) -> None:
        self._never_runs(task, None)

    def _never_runs(self, task: Task, why: str | None) -> None:
        run = self._run(task)
        run.told = True  # there is no start to tell
        run.end(State.killed, error=why)

    def could_not_leave(self, task: Any, error: BaseException) -> None:
        """The storage did not take the task, or it cannot be serialised: its status must not stay queued."""
        if hasattr(task, "revoke_id") and self.tracker.tracks(name_of(task), task.id):
            run = self._run(task)
            run.told = True
            run.end(State.failed, error=error)

    _HANDLERS: ClassVar[dict[str, Callable[..., None]]] = {
        signals.SIGNAL_ENQUEUED: _enqueued,
        signals.SIGNAL_SCHEDULED: _scheduled,
        signals.SIGNAL_ERROR: _error,
        signals.SIGNAL_INTERRUPTED: _interrupted,
        signals.SIGNAL_CANCELED: _cancelled,
        signals.SIGNAL_EXPIRED: _expired,
        signals.SIGNAL_REVOKED: _revoked,
    }


@contextmanager
def told_already() -> Generator[None]:
    """A task enqueued inside the block has its status."""
    token = _told.set(True)
    try:
        yield
    finally:
        _told.reset(token)


def install(
    huey: Any,
    *,
    name: str = "huey",
    user: Callable[[], str | None] | None = None,
    resources: Resources | None = None,
    ignore: Collection[str] = (),
    keep_results: bool = True,
    heartbeat_seconds: float = EVERY_SECONDS,
) -> Huey:
    """Track every task of `huey`: call it once beside the Huey, in publishers and consumers alike. Twice changes nothing.

    The other arguments are those of every adapter (see `Tracker`); two Hueys in one process need two names."""
    from .engine import Huey

    present = huey.__dict__.get("_statuses_adapter")
    if present is not None:
        engine = registry.get(present.tracker.name)
        if isinstance(engine, Huey):
            return engine
    tracker = Tracker(
        name,
        user=user,
        resources=resources,
        ignore=ignore,
        keep_results=keep_results,
        heartbeat_seconds=heartbeat_seconds,
        folders=(_FOLDER,),
    )
    huey._statuses_adapter = Adapter(huey, tracker)
    huey._statuses_adapter.connect()
    engine = Huey(huey, tracker)
    registry.register(engine)
    versions.say_if_untried("huey")
    return engine


def uninstall(huey: Any) -> None:
    """Stop tracking `huey` in this process."""
    adapter = huey.__dict__.pop("_statuses_adapter", None)
    if adapter is not None:
        adapter.disconnect()
        registry.unregister(adapter.tracker.name)
