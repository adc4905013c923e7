"""A job that runs here: its start, its signs of life, `statuses.current()` inside of it, its end.

For engines that tell the start and the end of a job by two calls in the same thread.
"""

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from statuses import KillRequested, State, Status, StatusNotFound

from ..errors import StartedBefore, Superseded
from ..track import current_job
from . import attempts
from .jobs import JobStatus
from .tracker import Tracker

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


@dataclass(kw_only=True, eq=False)
class Run:
    """One attempt of a job in this process. Every method may be called whatever happened before; `start` alone raises."""

    tracker: Tracker
    job_name: str
    """What logs call it."""
    handle: Callable[[], Status]
    """Gives the status, making it where no tracked publisher did."""
    worker: str | None
    """Who runs it."""
    attempt: int | None = 0
    """The attempt that runs; None: the present one, of an engine that does not say. Known once the start is told."""
    redelivered: bool = False
    """Whether the engine hands the same attempt out again."""
    sent_as: str | None = None
    """The engine's id of what is run, where a retry by hand gets another one; see `attempts.start`."""
    scheduled: bool = False
    """Whether it was for later, and may not have been said to be due; see `attempts.start`."""
    runs_elsewhere: Callable[[Status], bool] | None = None
    """Whether an earlier run of a started job may go on at another worker, as its engine or the workers tell; None: nobody can tell, and
    what this process does not run is over."""
    left_alone: bool = False
    """Whether the start was refused and nothing may be told of the job, here or to the engine: an earlier run may go on, or has ended."""
    told: bool = False
    """Whether the store knows that it started; not while it is away."""
    answered: bool = False
    """Whether the store has said anything to the start: without it nobody knows whether it arrived."""
    status: JobStatus | None = None
    """What `statuses.current()` gives the job."""
    _known: Status | None = None
    _began: float = field(default_factory=time.monotonic)
    _tried: bool = False
    _before: Token[Status | None] | None = None

    @property
    def status_id(self) -> str | None:
        """Our id, once the status was found."""
        return self._known.id if self._known is not None else None

    @property
    def root(self) -> str | None:
        """What its workflow began with: its root, or it itself. One round trip where the status was not read."""
        return (self._known.root or self._known.id) if self._known is not None else None

    @property
    def user(self) -> str | None:
        """Whose job it is. One round trip where the status was not read."""
        return self._known.user if self._known is not None else None

    @property
    def tracked(self) -> bool:
        """Whether there is anything to tell: not of a job that was removed, or whose attempt is over. Of one that began while the
        store was away there is, also when it ends after that and before its next sign of life."""
        return self.told or not self.answered

    def start(self) -> None:
        """Say that it runs. Raises: KillRequested when it must not, and nothing else. One that had started before and was asked to die is
        killed where nobody runs it any more; while somebody may it stays started, asked to die (`left_alone`)."""
        try:
            self.tracker.guard.run(f"starting {self.job_name}", self._start, starts=True)
        except StartedBefore:
            self.left_alone = True
            self.tracker.guard.run(f"refusing {self.job_name}", self._refuse)
            raise

    def _refuse(self) -> None:
        status = self._handle().reload()
        if status.state is State.started and (self._runs_here() or (self.runs_elsewhere is not None and self.runs_elsewhere(status))):
            return
        status.killed(attempt=status.attempt, sources=attempts.OPEN)
        self.left_alone = not status.changed

    def _runs_here(self) -> bool:
        """Whether an earlier run goes on in this process."""
        return any(isinstance(run, Run) and run.status_id == self.status_id for run in self.tracker.heartbeats.running())

    def _handle(self) -> Status:
        """The status, an object of its own for each write; once it was found it is not looked for, nor made, again: what
        was removed meanwhile stays so."""
        if self._known is None:
            self._known = self.handle()
        return Status(self._known.id, self._known._store, self._known._where, known=self._known._known)

    def _start(self) -> None:
        attempts.tell_start(self, self._tell_start)

    def _tell_start(self) -> None:
        handle = self._handle()
        if self.status is None:
            self.status = JobStatus.of(handle, self.tracker.guard)
        elif not self.status.id:
            self.status.found(handle)
        if self._tried and attempts.arrived(handle, self.worker, self._began):
            self.attempt, self.told = handle.attempt, True
            return
        self._tried = True
        attempt = handle.attempt if self.attempt is None else self.attempt
        attempt = attempts.start(handle, self.worker, attempt, self.redelivered, self.sent_as, self.scheduled)
        if attempt is not None:
            self.attempt, self.told = attempt, True

    def enter(self) -> None:
        """What runs from now on in this thread is the job."""
        if self.tracked:
            if self.status is None:
                self.status = JobStatus.unfound(self.tracker.guard)
            self._before = current_job.set(self.status)
            self.tracker.heartbeats.add(self, self._beat)

    def leave(self) -> None:
        """The job's own code is over; twice does nothing, also where the first time was interrupted."""
        self.tracker.heartbeats.remove(self)
        if self._before is not None:
            # ValueError: told from another context than the start, in which nothing runs any more. RuntimeError: interrupted after it.
            with suppress(ValueError, RuntimeError):
                current_job.reset(self._before)
            self._before = None

    def end(self, state: State, error: object = None, result: object = None) -> None:
        """Say how it ended; where the store is away, once it is back."""
        if self.tracked:
            with beginning_outside(error, *self.tracker.folders):
                self.tracker.end(self._handle, self.job_name, state, self.attempt, error, result)

    def requeue(self, error: object = None, *, scheduled: bool = False) -> None:
        """It will run again, `scheduled`: later. `error`: why this attempt failed."""
        if self.tracked:
            with beginning_outside(error, *self.tracker.folders):
                self.tracker.guard.run(f"queueing {self.job_name} again", lambda: self._requeue(error, scheduled))

    def _requeue(self, error: object, scheduled: bool) -> None:
        handle = self._handle()
        attempts.requeue(handle, handle.attempt if self.attempt is None else self.attempt, error, scheduled)

    def _beat(self) -> None:
        try:
            self.tracker.guard.run("a heartbeat", self._heartbeat if self.told else self._start)
        except KillRequested:
            return  # it runs already, and looks for itself

    def _heartbeat(self) -> None:
        self._handle().heartbeat()


def of_message(status: Status, provider_job_id: str, redelivered: bool = False) -> Status:
    """The status, if the engine's message of this id is the one its present attempt was sent with.
    Raises: KillRequested for one whose attempt was killed, Superseded for one that is handed out again although a retry
    has sent another since; StatusNotFound for one that is over otherwise: it runs untracked."""
    if status.provider_job_id == provider_job_id:
        return status
    for attempt in status.newest_attempts():
        if attempt.provider_job_id == provider_job_id and attempt.state is State.killed:
            raise KillRequested(status.id, attempt.kill_requested_by, attempt.kill_reason)
        if attempt.provider_job_id == provider_job_id and redelivered:
            raise Superseded(status.id, attempt.attempt)
    raise StatusNotFound(f"{status.id} (as {provider_job_id})")


@contextmanager
def beginning_outside(error: object, *folders: str) -> Generator[None]:
    """Inside the block the error's traceback begins behind the last frame of an adapter or of `folders`, where the
    job's own function does. What raised without a frame of its own keeps the whole of it."""
    if not isinstance(error, BaseException):
        yield
        return
    whole = error.__traceback__
    error.__traceback__ = _behind(whole, (_HERE, *folders))
    try:
        yield
    finally:
        error.__traceback__ = whole


def _behind(trace: TracebackType | None, folders: tuple[str, ...]) -> TracebackType | None:
    """From the first frame that is in none of the folders."""
    found: Any = trace
    while found is not None and found.tb_frame.f_code.co_filename.startswith(folders):
        found = found.tb_next
    return found or trace
