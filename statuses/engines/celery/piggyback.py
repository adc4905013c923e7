"""In a process of a pool, the end of a job is told together with the start of the next: one round trip less a job.

Where no next job comes within HOLD_SECONDS, the end is told by itself; also before anything else is said to the store or
asked of it from here, and when the process ends. It keeps the moment at which the job ended. Only ends of which the engine keeps
a result may wait like this: should the process be killed meanwhile, the reaper learns from that how the job ended.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from billiard.process import current_process
from celery import signals
from celery.backends.base import DisabledBackend

from statuses import StoreUnavailable

from ... import forks
from .. import attempts

if TYPE_CHECKING:
    from statuses import Status

    from ...store import Store
    from ..guard import Guard

#: Seconds for which an end may wait for the start of the next job.
HOLD_SECONDS = 0.01


class Held:
    """What this process has not told yet: one end at the most, for it runs one job after the other."""

    def __init__(self) -> None:
        self.is_possible = False
        """Whether this process tells it before it waits long for its next job."""
        self._store: Store | None = None

    def hold(self, guard: Guard, status: Status, attempt: int, data: object, what: str, write: Callable[[], Any]) -> None:
        """The attempt succeeded. Where the store does not take that as it is, `write` tells it in the ordinary way.
        Raises: TypeError, ValueError for data that is no JSON; StatusNotFound."""

        def then(reply: Any) -> None:
            self._store = None
            if isinstance(reply, StoreUnavailable):
                guard.later(what, write)  # it may have arrived: told twice it does no harm
                guard.lost(reply)
            elif reply != 1:
                guard.run(what, write, remember=True)

        self.tell()
        self._store = status._store  # first, for another thread may take it along at once
        try:
            attempts.succeed_along(status, attempt, data, then)
        except BaseException:
            self._store = None
            raise

    def tell(self) -> None:
        """Tell it now. Never raises. One round trip where there is anything."""
        if self._store is not None:
            self._store.tell()

    def before_waiting(self, comes_soon: Callable[[float], object]) -> None:
        """The process waits for its next job. comes_soon: whether it is there within so many milliseconds."""
        if self._store is not None and not comes_soon(HOLD_SECONDS * 1000):
            self._store.tell()


held = Held()


@forks.afterwards
def _after_fork() -> None:
    held.__init__()  # its parent tells it


def connect() -> None:
    """Let the processes of every pool that is started from now on hold ends back; once."""
    signals.worker_process_init.connect(on_process_init, weak=False, dispatch_uid="statuses.piggyback")


def on_process_init(**_: Any) -> None:
    """A process of a pool begins: it looks after what it holds before it waits. Where its pool works in another way than we know, every
    end is told at once."""
    worker = getattr(current_process(), "_target", None)
    wait, reader = getattr(worker, "wait_for_job", None), getattr(getattr(worker, "inq", None), "_reader", None)
    if wait is None or reader is None or not hasattr(select, "poll"):
        return
    jobs = select.poll()
    jobs.register(reader.fileno(), select.POLLIN)

    def wait_for_job(*args: Any, **kwargs: Any) -> Any:
        held.before_waiting(jobs.poll)
        return wait(*args, **kwargs)

    setattr(worker, "wait_for_job", wait_for_job)  # noqa: B010
    held.is_possible = True


def may_wait(task: Any, status: Status) -> bool:
    """Whether an end of this task may be told together with a start; its result is kept."""
    return held.is_possible and not status._store.is_cluster and task.backend.persistent and not isinstance(task.backend, DisabledBackend)
