"""Follows Django tasks by their signals, which are those of `django.tasks` and of the backport `django_tasks` alike.

The signals carry the backend's result and nothing of ours, so a status has the id of its first result; a retry, which
is another result, is found by its provider job id. A signal's receiver that raises fails the user's job: nothing here
does, but for the one that refuses a start.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ParamSpec

from django.apps import AppConfig

import statuses
from statuses import KillRequested, State, Status, StatusExists

from ... import failure, forks
from ...errors import interrupts
from .. import again, attempts, calls, registry, versions
from ..heartbeats import EVERY_SECONDS
from ..runs import Run, of_message
from ..tracker import Resources, Tracker, own_id
from . import presence
from .backends import MODULES

if TYPE_CHECKING:
    from .engine import DjangoTasks

P = ParamSpec("P")

_KILLED = failure.class_name(KillRequested)


def _folders() -> tuple[str, ...]:
    """Where the backends' own code lies."""
    found = (importlib.util.find_spec(name) for name in ("django", "django_tasks", "django_tasks_db"))
    return tuple(os.path.dirname(spec.origin) + os.sep for spec in found if spec is not None and spec.origin)


def _quiet(receiver: Callable[P, None]) -> Callable[P, None]:
    """A receiver that raises KillRequested, what interrupts it, and nothing else."""

    @functools.wraps(receiver)
    def called(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            receiver(*args, **kwargs)
        except KillRequested:
            raise
        except Exception as error:
            if interrupts(error):
                raise
            args[0].tracker.guard.say(receiver.__name__, "following a Django task failed; it goes on untracked", trace=True)  # ty: ignore

    return called


class Adapter:
    """Receives the signals of every backend in this process."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self._runs: dict[str, Run] = {}
        self._refused: set[str] = set()
        self._lock = forks.lock()

    @_quiet
    def enqueued(self, sender: Any = None, task_result: Any = None, **_: Any) -> None:
        """A task was given to its backend; a worker may have begun with it already."""
        again = _again.get()
        if again is not None:
            again.set_provider_job_id(task_result.id)
        elif self.tracker.tracks(task_result.task.module_path, task_result.id):
            self.tracker.guard.run("tracking a new task", lambda: self._create(task_result))

    def _create(self, result: Any) -> Status:
        task, id = result.task, own_id(self.tracker.name, result.id)
        later = task.run_after is not None and task.run_after > datetime.now(UTC)
        try:
            return self.tracker.create(
                id=id,
                job_name=task.module_path,
                provider_job_id=result.id,
                args=result.args,
                kwargs=result.kwargs,
                call=calls.keep(result.args, result.kwargs, _options(task), self.tracker.encode),
                function=parameters(task),
                queue=task.queue_name,
                state=State.unqueued if later else State.queued,
            )
        except StatusExists:
            return statuses.at(id)

    @_quiet
    def started(self, sender: Any = None, task_result: Any = None, **_: Any) -> None:
        """A worker is about to run it. Raises: KillRequested when it must not: the backend then does not."""
        name = task_result.task.module_path
        if not self.tracker.tracks(name, task_result.id):
            return
        workers = task_result.worker_ids
        run = Run(
            tracker=self.tracker,
            job_name=name,
            handle=lambda: self._status(task_result),
            worker=workers[-1] if workers else None,
            attempt=None,
            redelivered=len(workers) > 1,
            runs_elsewhere=lambda status: again.may_run(self.tracker.name, status, workers[-1]),
        )
        try:
            run.start()
        except KillRequested:
            with self._lock:
                self._refused.add(task_result.id)
            raise
        with self._lock:
            self._runs[task_result.id] = run
        run.enter()

    def running(self) -> list[str]:
        """Ids of the statuses that run in this process."""
        with self._lock:
            return sorted(run.status_id for run in self._runs.values() if run.status_id)

    def _status(self, result: Any) -> Status:
        """The status of a result, made here where none was. One round trip; a query more for what was retried."""
        found = statuses.find(own_id(self.tracker.name, result.id))
        if found is None:
            found = statuses.find_by(provider_job_id=result.id, engine=self.tracker.name)
        if found is None:
            attempts.refuse_removed(own_id(self.tracker.name, result.id))
            return self._create(result)
        status = of_message(found, result.id, redelivered=len(result.worker_ids) > 1)
        if status.state is State.unqueued:
            # No backend says when a task is due: the time until then is no waiting.
            status.queued(attempt=status.attempt, sources={State.unqueued})
        return status

    @_quiet
    def finished(self, sender: Any = None, task_result: Any = None, **_: Any) -> None:
        """It has succeeded or failed."""
        with self._lock:
            run = self._runs.pop(task_result.id, None)
            refused = task_result.id in self._refused
            self._refused.discard(task_result.id)
        self.tracker.guard.over("the end of a task", lambda: self._finished(task_result, run, refused))

    def _finished(self, task_result: Any, run: Run | None, refused: bool) -> None:
        if run is not None:
            run.leave()
        if refused or not self.tracker.tracks(task_result.task.module_path, task_result.id):
            return
        if run is None:  # its start was not seen in this process
            run = Run(
                tracker=self.tracker,
                job_name=task_result.task.module_path,
                handle=lambda: self._status(task_result),
                worker=None,
                attempt=None,
                told=True,
            )
        if str(task_result.status) == "SUCCESSFUL":
            run.end(State.succeeded, result=task_result.return_value)
        elif was_killed(task_result):
            run.end(State.killed)
        else:
            run.end(State.failed, error=error_of(task_result))


def was_killed(result: Any) -> bool:
    """Whether it failed because it was asked to die."""
    return bool(result.errors) and result.errors[-1].exception_class_path == _KILLED


def parameters(task: Any) -> Callable[..., Any]:
    """The task's function as it is called by those who enqueue it: without the context."""
    return functools.partial(task.func, None) if task.takes_context else task.func


def _options(task: Any) -> dict[str, Any]:
    run_after = task.run_after.isoformat() if task.run_after is not None else None
    found = {"task": task.module_path, "backend": task.backend, "queue_name": task.queue_name, "priority": task.priority}
    return {**found, **({"run_after": run_after} if run_after else {})}


def error_of(result: Any) -> object:
    """Why it failed: the exception itself where the backend is handling it, else what the result keeps of it."""
    kept = result.errors[-1] if result.errors else None
    handled = sys.exc_info()[1]
    if kept is None:
        return handled
    if handled is not None and f"{type(handled).__module__}.{type(handled).__qualname__}" == kept.exception_class_path:
        return handled
    return failure.of_traceback(kept.traceback, kept.exception_class_path.removeprefix("builtins."))


#: The status for which a task is enqueued here, and which needs no new one.
_again: ContextVar[Status | None] = ContextVar("statuses_django_tasks_again", default=None)


@contextmanager
def sending_again(status: Status) -> Generator[None]:
    token = _again.set(status)
    try:
        yield
    finally:
        _again.reset(token)


def _signals() -> list[Any]:
    """The signals modules that are there."""
    found = []
    for name in MODULES:
        if importlib.util.find_spec(name) is not None:
            found.append(importlib.import_module(f"{name}.signals"))
    return found


_adapter: Adapter | None = None
_EVENTS = ("enqueued", "started", "finished")


def install(
    *,
    name: str = "django-tasks",
    user: Callable[[], str | None] | None = None,
    resources: Resources | None = None,
    ignore: Collection[str] = (),
    keep_results: bool = True,
    heartbeat_seconds: float = EVERY_SECONDS,
) -> DjangoTasks:
    """Track every Django task of this process: in an AppConfig's `ready`, or by `TrackDjangoTasks` without options.
    The arguments are those of every adapter (see `Tracker`). The last call counts. No connection is made here."""
    from .engine import DjangoTasks

    global _adapter
    uninstall()
    _adapter = Adapter(
        Tracker(
            name,
            user=user,
            resources=resources,
            ignore=ignore,
            keep_results=keep_results,
            heartbeat_seconds=heartbeat_seconds,
            folders=_folders(),
        )
    )
    for module in _signals():
        for event in _EVENTS:
            # Whatever the sender: an instance for one backend, a class for the next.
            getattr(module, f"task_{event}").connect(getattr(_adapter, event), weak=False, dispatch_uid=f"statuses.{event}")
    presence.connect(lambda: _adapter)
    engine = DjangoTasks(_adapter)
    registry.register(engine)
    if "django_tasks" in sys.modules:  # else they are Django's own
        versions.say_if_untried("django-tasks")
    return engine


def uninstall() -> None:
    """Stop tracking Django tasks in this process."""
    global _adapter
    if _adapter is None:
        return
    for module in _signals():
        for event in _EVENTS:
            getattr(module, f"task_{event}").disconnect(dispatch_uid=f"statuses.{event}")
    registry.unregister(_adapter.tracker.name)
    _adapter = None


class TrackDjangoTasks(AppConfig):
    """The one line for INSTALLED_APPS."""

    name = "statuses.engines.django_tasks"
    label = "statuses_django_tasks"
    verbose_name = "Statuses of Django tasks"

    def ready(self) -> None:
        install()
