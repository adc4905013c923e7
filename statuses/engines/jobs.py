"""The status that a job finds as `statuses.current()`: it raises nothing and waits for no store that is away."""

from collections.abc import Callable
from typing import Any

from ..errors import ScriptFailed, StatusNotFound, StoreUnavailable
from ..status import Status
from ..store import current
from . import attempts
from .guard import Guard


class JobStatus(Status):
    """A handle for the job's own code. While the store is away its verbs do nothing, at once. What breaks the job off while one of them
    waits is raised at once, to the job that it is for: what was being said has arrived or has not, and is not said again, for by then
    the job may have said something else."""

    _guard: Guard

    @classmethod
    def of(cls, status: Status, guard: Guard) -> "JobStatus":
        """The same status, guarded."""
        made = cls(status.id, status._store, status._where)
        made._guard = guard
        return made

    @classmethod
    def unfound(cls, guard: Guard) -> "JobStatus":
        """That of a job whose store was away when it started: its verbs do nothing until the store says which it is."""
        return cls.of(Status("", current(), None), guard)

    def found(self, status: Status) -> None:
        """The store is back: from now on it is this one."""
        self.id, self._store, self._where = status.id, status._store, status._where

    @property
    def _is_out_of_reach(self) -> bool:
        return self._guard.away or not self.id

    def _write(self, action: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        self.changed = False
        if self._is_out_of_reach:
            return None
        try:
            return super()._write(action, *arguments, **more)
        except StoreUnavailable as error:
            self._guard.lost(error)
        except StatusNotFound as error:
            self._guard.say(f"gone {self.id}", f"{error}; the job goes on untracked")
        except ScriptFailed as error:
            self._guard.refused(error)
        return None

    def spawn(self, job_name: str | None, **as_create: Any) -> Status:
        """A child for one process of this job; while the store is away one that writes nothing."""
        if not self._is_out_of_reach:
            try:
                child = super().spawn(job_name, **as_create)
                try:
                    return JobStatus.of(child, self._guard)
                except BaseException:  # interrupted: nobody knows it
                    self._guard.aside("taking back a child", lambda: child.delete(force=True))
                    raise
            except StoreUnavailable as error:
                self._guard.lost(error)
            except ScriptFailed as error:
                self._guard.refused(error)
        return JobStatus.unfound(self._guard)

    def _created(self, **as_create: Any) -> Status:
        return attempts.create(self._guard, **as_create)

    def check_kill(self) -> None:
        """Ask the store whether the job shall die; it goes on when the store does not know. Raises: KillRequested."""
        if self._is_out_of_reach:
            return
        try:
            super().check_kill()
        except StoreUnavailable as error:
            self._guard.lost(error)
        except ScriptFailed as error:
            self._guard.refused(error)
        except StatusNotFound:
            return
