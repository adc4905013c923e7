"""What every engine can be asked for, whoever runs the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ..errors import EngineCannot

if TYPE_CHECKING:
    from ..status import Status


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A process that runs jobs, as its engine tells it."""

    name: str
    """What `Status.worker` says of the jobs it runs."""
    host: str | None = None
    """The machine it runs on."""
    pid: int | None = None
    """Its process on that machine."""
    queues: Sequence[str] = ()
    """The queues it takes jobs from."""
    running: Sequence[str] = ()
    """Ids of the statuses it works on now."""
    started_at: datetime | None = None
    """When it came up."""
    seen_at: datetime | None = None
    """Its last sign of life."""
    details: dict[str, object] = field(default_factory=dict)
    """What else the engine says, JSON."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A line of jobs, as its engine tells it."""

    name: str
    """What `Status.queue` says of the jobs in it."""
    depth: int | None = None
    """Jobs waiting in it, None where the engine does not say."""
    oldest_at: datetime | None = None
    """Since when the first of them waits."""


class Engine:
    """One job system. An adapter overrides what its engine can do, and says so in the flags."""

    name: str = ""
    """What `Status.engine` says of its jobs; the registry's key."""
    can_kill: bool = False
    """Whether a job that runs can be ended from outside (`kill`)."""
    can_kill_queued: bool = True
    """Whether the adapter refuses to start a job that was killed while it waited."""
    can_retry: bool = False
    """Whether a job's call can be sent again (`retry`)."""
    has_workers: bool = False
    """Whether `workers` knows who runs jobs."""
    has_queues: bool = False
    """Whether `queues` knows what waits."""

    def kill(self, status: Status) -> None:
        """End a job that runs, by the engine's own means. It is killed once the engine says so, not before.
        Raises: EngineCannot with the reason.  Blocks at most a few seconds."""
        raise EngineCannot(status.id, self.name, "kill", "it has no means to end a job that runs")

    def revoke(self, status: Status) -> None:
        """Tell the engine that a queued job was killed: a help, the adapter refuses its start in any case.
        Never raises."""

    def retry(self, status: Status, by: str | None = None) -> Status:
        """Send the job's call again, as a new attempt of the same status; gives that status.
        Raises: EngineCannot with the reason."""
        raise EngineCannot(status.id, self.name, "retry", "it cannot send a call again")

    def workers(self) -> list[Worker]:
        """Who runs jobs now. Raises: EngineCannot where `has_workers` is False."""
        raise EngineCannot("*", self.name, "list the workers of", "it does not tell")

    def queues(self) -> list[Queue]:
        """What waits now. Raises: EngineCannot where `has_queues` is False."""
        raise EngineCannot("*", self.name, "list the queues of", "it does not tell")
