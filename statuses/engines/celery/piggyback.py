"""In a process of a pool, the end of a job is told together with the start of the next: one round trip less a job.

Where no next job comes within HOLD_SECONDS, the end is told by itself; also before anything else is said to the store or
asked of it from here, and when the process ends. It keeps the moment at which the job ended. Only ends of which the engine keeps
a result may wait like this: should the process be killed meanwhile, the reaper learns from that how the job ended.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from billiard.process import current_process
from celery import signals

from statuses import State, StoreUnavailable

from ... import forks
from ...errors import interrupted
from .. import attempts

if TYPE_CHECKING:
    from ...store import Store
    from .tracing import Run

#: Seconds for which an end may wait for the start of the next job.
HOLD_SECONDS = 0.01


class End:
    """The success of one job that this process has not told yet. Whoever speaks to the store next takes it along, in whichever thread:
    what is heard of it concerns no other end."""

    __slots__ = ("_run", "_since", "data", "store")

    def __init__(self, run: Run) -> None:
        self.store: Store | None = None
        """Where it is told; None once that has been, where nobody counts it."""
        self.data: dict[str, Any] | None = None
        """What is kept of its result."""
        self._run: Run | None = run
        self._since = time.monotonic()

    def heard(self, reply: Any) -> None:
        """What the store said to it, or the error where it did not."""
        run, data, store = self._run, self.data, self.store
        self.store = self._run = self.data = None  # arguments and results may be large
        if reply == 1 and run is not None and store is not None and store.recorder is not None:
            # Whoever sent this still has to be given his own reply: an interrupt in another round trip would take it from him.
            store.recorder.note(run.handle(), State.succeeded)
            self.store = store
        if reply == 1 or run is None:
            return
        guard, what, since = run.adapter.guard, f"telling the end of {run.message.name}", self._since

        def tell() -> bool:
            ago = timedelta(seconds=time.monotonic() - since)
            return attempts.end(run.handle(), State.succeeded, run.attempt, None, data, ago)

        if isinstance(reply, StoreUnavailable):
            guard.later(what, tell)  # it may have arrived: told twice it does no harm
            guard.lost(reply)
        else:
            guard.run(what, tell, remember=True)


class Held:
    """What this process has not told yet: one end at the most, for it runs one job after the other."""

    def __init__(self) -> None:
        self.is_possible = False
        """Whether this process tells it before it waits long for its next job."""
        self._end: End | None = None

    def hold(self, run: Run, result: object) -> bool:
        """The job succeeded; False where that has to be told at once."""
        guard = run.adapter.guard
        if not self.is_possible or not run.told or guard.away:
            return False
        end = End(run)
        try:
            status, end.data = run.handle(), run.adapter.data_of(result)
            if status._store.is_cluster:
                return False
            self.tell()
            # First, for another thread may take it along at once.
            self._end, end.store = end, status._store
            attempts.succeed_along(status, run.attempt, end.data, end.heard)
        except Exception:  # whoever tells it at once says what is wrong
            self._end = None
            return False
        except BaseException as interrupt:  # Celery lets its success stand, and tells nobody that the process was lost
            end.heard(interrupted("a change of state", interrupt))
            raise
        return True

    def tell(self) -> None:
        """Tell it now. Never raises. One round trip where there is anything."""
        store = self._store()
        if store is not None:
            store.tell()

    def before_waiting(self, comes_soon: Callable[[float], object]) -> None:
        """The process waits for its next job. comes_soon: whether it is there within so many milliseconds."""
        store = self._store()
        if store is not None and not comes_soon(HOLD_SECONDS * 1000):
            store.tell()

    def _store(self) -> Store | None:
        return None if self._end is None else self._end.store


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
    ensure = getattr(worker, "_ensure_messages_consumed", None)
    if wait is None or ensure is None or reader is None or not hasattr(select, "poll"):
        return
    jobs = select.poll()
    jobs.register(reader.fileno(), select.POLLIN)

    def wait_for_job(*args: Any, **kwargs: Any) -> Any:
        held.before_waiting(jobs.poll)
        return wait(*args, **kwargs)

    def ensure_messages_consumed(*args: Any, **kwargs: Any) -> Any:
        held.tell()  # it waits for its parent to hear of its last job: a tenth of a second, or half a minute while that is busy
        return ensure(*args, **kwargs)

    setattr(worker, "wait_for_job", wait_for_job)  # noqa: B010
    setattr(worker, "_ensure_messages_consumed", ensure_messages_consumed)  # noqa: B010
    held.is_possible = True
