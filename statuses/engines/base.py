"""What every engine can be asked for, whoever runs the jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import EngineCannot, StatusNotFound
from ..states import State

if TYPE_CHECKING:
    from ..status import Status


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A process that runs jobs, as its engine tells it."""

    name: str
    """What `Status.worker` says of the jobs it runs."""
    engine: str = ""
    """The engine's name."""
    host: str | None = None
    """The machine it runs on."""
    pid: int | None = None
    """Its process on that machine."""
    pool: str | None = None
    """How it runs several at once: prefork, threads, ..."""
    concurrency: int | None = None
    """How many jobs it can run at once."""
    queues: Sequence[str] = ()
    """The queues it takes jobs from."""
    running: Sequence[str] = ()
    """Ids of the statuses it works on now."""
    started_at: datetime | None = None
    """When it came up."""
    seen_at: datetime | None = None
    """Its last sign of life."""
    is_alive: bool = True
    """Whether that is recent, by its engine's own measure. One that ended in order is not told of at all."""
    is_stopping: bool = False
    """Whether it takes no more jobs and ends with those it runs."""
    takes_ahead: int | None = None
    """How many jobs it may have taken from its queues without starting them (prefetch); None: not known, or without limit."""
    held: Sequence[str] = ()
    """Those of its queues that it leaves alone, because they are paused."""
    refuses: Mapping[str, str] = field(default_factory=dict)
    """What its engine can do and this worker cannot, each with the reason: `stop_worker`, `restart_pool`, and `kill` of a job it runs."""
    details: dict[str, object] = field(default_factory=dict)
    """What else the engine says, JSON."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """A line of jobs, as its engine tells it. What the statuses know (who waits since when) is not asked of the engine."""

    name: str
    """What `Status.queue` says of the jobs in it."""
    engine: str = ""
    """The engine's name."""
    depth: int | None = None
    """Messages in it that no worker has taken yet, None where the engine does not say or its broker is away."""
    held: int | None = None
    """Messages that workers hold and have not acknowledged, of all queues of its broker together; None where nobody counts them."""
    oldest_at: datetime | None = None
    """Since when the first of them waits, where the engine says so."""
    is_paused: bool = False
    """Whether the engine was told to hold its jobs back. Workers that have not heard of it yet still take some: `Worker.held`."""
    paused_at: datetime | None = None
    """Since when, where that is known."""
    paused_by: str | None = None
    """Who asked for it, where that is known."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A job that comes by itself, again and again or once, as its engine tells it."""

    name: str
    """What the engine calls it."""
    job_name: str
    """What `Status.job_name` says of its jobs."""
    engine: str = ""
    """The engine's name."""
    cron: str | None = None
    """The rule as minute, hour, day of the month, month and day of the week, where it is one of these."""
    every_seconds: float | None = None
    """The rule as a distance in time, where it is one of these."""
    rule: str = ""
    """The rule in the engine's own words, where it is neither."""
    time_zone: str | None = None
    """The zone in which `cron` is meant, where the engine says."""
    is_once: bool = False
    """Whether it comes once, at `next_at`, and never again."""
    queue: str | None = None
    """Where its jobs are sent, where the engine says."""
    next_at: datetime | None = None
    """When the next one comes. In the past: it is overdue. None: not known before the first one."""
    is_enabled: bool = True
    """Whether it comes at all at present."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How an attempt of a job ended, as its engine keeps it."""

    state: State
    """`succeeded`, `failed` or `killed`."""
    data: object = None
    """Of one that succeeded: what its adapter would have kept of its result (`keep_results`), None for nothing."""
    error: object = None
    """Of one that failed or was killed: why, any JSON, as `Status.add_error` takes it; None where the engine does not say."""
    ended_at: datetime | None = field(default=None, compare=False)
    """When that was, by the clock of who ran it; None where the engine does not say."""


#: Verb -> what it does, and to what.
_CONTROLS = {"stop_worker": ("stop", "worker"), "restart_pool": ("restart the pool of", "worker"), "pause_queue": ("pause", "queue")}


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
    can_submit: bool = False
    """Whether a job can be sent by its name alone (`submit`)."""
    renews_id: bool = False
    """Whether `retry` gives a job another id of the engine (`Status.provider_job_id`), and the engine's own retries keep it."""
    has_workers: bool = False
    """Whether `workers` knows who runs jobs."""
    has_schedules: bool = False
    """Whether `schedules` knows which jobs come again by themselves."""
    has_queues: bool = False
    """Whether `queues` knows what waits."""
    can_tell_forgotten: bool = False
    """Whether `forgotten` can tell jobs that the engine no longer has."""
    can_tell_outcome: bool = False
    """Whether `outcome` can tell how a job ended: the engine keeps results where this process can read them without taking them away."""
    can_stop_worker: bool = False
    """Whether a worker can be asked to end warmly (`stop_worker`)."""
    can_restart_pool: bool = False
    """Whether a worker's processes can be replaced by new ones (`restart_pool`)."""
    can_pause_queue: bool = False
    """Whether a queue's jobs can be held back, and let go again (`pause_queue`, `resume_queue`)."""
    acts_on_siblings: bool = False
    """Whether a worker is stopped or restarted together with the others that one command started."""
    restarts_anew: bool = False
    """Whether `restart_pool` lets a worker end its jobs, take no more, and begin anew; else its processes are replaced one by one."""
    pauses_all_queues: bool = False
    """Whether a pause of one queue is one of all the engine's queues."""
    asks_elsewhere: ClassVar[frozenset[str]] = frozenset()
    """Of `workers`, `queues` and `schedules` those that ask a server with a patience that is not ours: a page asks them in a thread, and
    does not wait for long. The others read the status store, or wait a second or two."""
    reasons: ClassVar[Mapping[str, str]] = {}
    """Why it cannot what the flags deny, by verb."""

    def kill(self, status: Status) -> None:
        """End a job that runs, by the engine's own means. It is killed once the engine says so, not before.
        Raises: EngineCannot with the reason.  Blocks at most a few seconds."""
        raise EngineCannot(status.id, self.name, "kill", "it has no means to end a job that runs")

    def revoke(self, status: Status) -> None:
        """Tell the engine that a queued job was killed: a help, the adapter refuses its start in any case.
        Never raises."""

    def retry(self, status: Status, by: str | None = None) -> Status:
        """Send the job's call again, as a new attempt of the same status; gives that status.
        Raises: EngineCannot with the reason; `for_good` where this process need not ask again."""
        raise EngineCannot(status.id, self.name, "retry", "it cannot send a call again")

    def knows(self, job_name: str) -> bool:
        """Whether `submit` can send a job of this name: one that the project declared to the engine, in this process. Asks nobody."""
        return False

    def why_unknown(self, job_name: str) -> str:
        """Why it knows no job of this name, in words, with the nearest name that it knows. Asks nobody."""
        return "it knows no job of this name"

    def submit(
        self,
        job_name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        user: str | None = None,
    ) -> Status | None:
        """Send a job by its name, as the project's own code would; gives its status, None where its jobs are not tracked.
        `queue`: None for its own. `user`: whose job it is.
        Raises: NotRegistered for a name that the engine does not know; EngineCannot with the reason where it could not be sent;
        TypeError for arguments that the job does not take."""
        raise EngineCannot(job_name, self.name, "submit", self.reasons.get("submit", "it cannot send a job by its name"))

    def workers(self) -> list[Worker]:
        """Who runs jobs now, and who fell silent lately (`is_alive` is False). Called while a page is made: it reads what is
        kept somewhere, in one or two round trips, and never asks the workers. What they say of jobs (`running`) is
        believed by the reaper: a job a living worker claims is not given up.
        Raises: EngineCannot where `has_workers` is False; StoreUnavailable."""
        raise EngineCannot("*", self.name, "list the workers of", "it does not tell")

    def queues(self) -> list[Queue]:
        """What waits now; one or two round trips, as `workers`. A broker that is away makes the depths None, it raises nothing.
        Raises: EngineCannot where `has_queues` is False; StoreUnavailable."""
        raise EngineCannot("*", self.name, "list the queues of", "it does not tell")

    def schedules(self) -> list[Schedule]:
        """The jobs that come again by themselves; what is configured here or kept somewhere, in one or two round trips. Nobody is asked.
        Raises: EngineCannot where `has_schedules` is False; StoreUnavailable."""
        raise EngineCannot("*", self.name, "list the schedules of", "it does not tell")

    def stop_worker(self, worker: Worker) -> None:
        """Ask a worker to take no more jobs and to end with those it runs. It has ended once it is told of no more.
        Raises: EngineCannot with the reason.  One message to that worker, no answer is waited for."""
        raise self.refusal("stop_worker", worker.name)

    def restart_pool(self, worker: Worker) -> None:
        """Have a worker replace its processes by new ones, each when the job it runs has ended.
        Raises: EngineCannot with the reason.  One message to that worker, waits at most a few seconds for its answer."""
        raise self.refusal("restart_pool", worker.name)

    def pause_queue(self, queue: str, by: str | None = None) -> bool:
        """Hold back the jobs of a queue, now and for workers that come up later; False when it was paused already. What a
        worker has taken ahead still runs, and one that has not heard of it yet may take more (`Worker.held` tells).
        Raises: EngineCannot with the reason; StoreUnavailable."""
        raise self.refusal("pause_queue", queue)

    def resume_queue(self, queue: str, by: str | None = None) -> bool:
        """Let the jobs of a queue go again; False when it was not paused.
        Raises: EngineCannot with the reason; StoreUnavailable."""
        raise self.refusal("pause_queue", queue)

    def why_not(self, verb: str, worker: Worker | None = None) -> str:
        """Why `stop_worker`, `restart_pool` or `pause_queue` is not possible, of this worker where one is given; empty when
        it is. Asks nobody."""
        if not getattr(self, f"can_{verb}"):
            return self.reasons.get(verb, "it has no means to")
        return worker.refuses.get(verb, "") if worker is not None else ""

    def refusal(self, verb: str, what: str, why: str = "") -> EngineCannot:
        """The error that says so."""
        action, kind = _CONTROLS[verb]
        return EngineCannot(what, self.name, action, why or self.why_not(verb), kind)

    def given_up(self, status: Status) -> None:
        """A job that ran is failed, for its worker is gone: end what comes to nothing with it. Never raises."""
        return None

    def forgotten(self, waiting: Sequence[Status]) -> list[Status]:
        """Those of these jobs, queued ones and such for later (`unqueued`), that the engine surely no longer has: it will never start
        them. Where it is not sure it leaves a job out; so one that was never sent, for it waits for others. A message that is in no
        place for a moment is no mistake: who is left in is asked about once more, later. Raises: EngineCannot where
        `can_tell_forgotten` is False."""
        raise EngineCannot("*", self.name, "say what was forgotten of", "it does not tell")

    def end_of_forgotten(self, status: Status) -> Outcome | None:
        """How a job ended that waits, and that `forgotten` has named in this look: it can never start, and its engine knows why. None:
        nobody knows, it becomes unknown. Asks nobody."""
        return None

    def held(self, lost: Sequence[Status]) -> set[str]:
        """Ids of those of these jobs that a worker has after all, as it says itself or as the engine's broker keeps it: the last that is
        asked before started ones are failed, for their worker fell silent, and waiting ones are unknown, for they were forgotten. A
        worker may be cut off from the status store alone. Of one that says nothing nobody knows, and nobody waits for it. Never asked
        while a page is made.  Blocks for some seconds."""
        return set()

    def outcome(self, status: Status) -> Outcome | None:
        """How the present attempt of a job ended that started, or waits as far as anybody told, and whose worker did not live to tell.
        None: the engine knows of no end of this very attempt: it has not run yet, it keeps no result of such jobs, or not any more, will
        run it again, or what it keeps may be of an attempt before. It takes nothing away from who waits for the result.
        Raises: EngineCannot where `can_tell_outcome` is False; whatever the engine raises where what keeps its results is away, and
        TimeoutError where that does not answer: then nobody knows.  Waits at most 5 seconds; one or two round trips of the engine's."""
        raise EngineCannot(status.id, self.name, "tell the end of", self.why_not("tell_outcome"))

    def outcomes(self, jobs: Sequence[Status]) -> Iterator[Outcome | None]:
        """`outcome` of each of these jobs, in their order, asked as they are taken; None of a job that was removed meanwhile. An adapter
        asks about many together where it can. What it raises is of the job whose turn it is, and nothing comes after it.
        Waits at most 5 seconds for the next one."""
        for status in jobs:
            try:
                told = self.outcome(status)
            except StatusNotFound:
                told = None
            yield told

    def _cannot(self, status: Status, action: str, why: str, *, for_good: bool = False) -> EngineCannot:
        return EngineCannot(status.id, self.name, action, why, for_good=for_good)

    def _kept_call(self, status: Status, names: str, besides: str = "") -> dict[str, Any]:
        """The call that is kept of a job, whose option `names` says what was called.  Raises: EngineCannot where it cannot be sent again,
        with what has to be said `besides` before."""
        call = status.call
        options = call.get("options") if call else None
        if call is None or not isinstance(options, dict) or names not in options:
            raise self._cannot(status, "retry", f"{besides}its call was not kept", for_good=True)
        if call.get("not_kept"):
            raise self._cannot(status, "retry", f"{besides}its arguments were not kept: {call['not_kept']}", for_good=True)
        return call
