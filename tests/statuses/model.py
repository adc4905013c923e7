"""The status service as one would write it in an afternoon: plain objects in a dict, every rule spelled out once.

It computes what the service keeps (run and wait time, groups, counts) anew at every look, and knows nothing of Redis."""

import copy
from typing import Any

from statuses import clock
from statuses.ids import Place
from statuses.states import COMPLETED, ENDED, State
from tests.statuses import naive

#: An error -> the group that the contract puts it in.
GROUPS = {
    "disk full": "disk full",
    "timeout after 5 s": "timeout after # s",
    "timeout after 70 s": "timeout after # s",
    '{"class": "pkg.Boom"}': "pkg.Boom",
    "17": "int",
}
ENTERED = {state: f"{state}_at" for state in State if state not in (State.unqueued, State.unknown)}
STALE_AFTER = 60_000_000


class Refused(Exception):
    """Raised when the service would raise too; the name of its exception is the argument."""


class ModelJob(naive.Job):
    """One job. `naive.Job` says which clauses it matches; everything that asks for is here."""

    def __init__(self, id: str, now: int, place: Place) -> None:
        self.id, self.place = id, place
        self.state = State.unqueued
        self.attempt, self.prior = 0, []
        self.at: dict[str, int] = {"recorded_at": now}
        self.texts: dict[str, str | None] = dict.fromkeys(("job_name", "queue", "user", "worker", "engine", "error"))
        self.job_args: dict[str, Any] = {}
        self.provider_job_id = self.parent = self.root = self.call = self.data = self.progress = self.message = None
        self.by = self.reason = self.keep_for = self.removal = None
        self.loaded_at: int | None = None
        self.errors: list[Any] = []
        self.depends_on: list[str] = []
        self.now = now

    @property
    def created(self) -> tuple[int, ...]:
        return naive.creation(self.place, self.at["recorded_at"])

    @property
    def resources(self) -> set[str]:
        return {text for value in self.job_args.values() for text in (value if isinstance(value, list) else [value])}

    @property
    def ended_at(self) -> int | None:
        return self.at.get(f"{self.state}_at") if self.state in ENDED else None

    @property
    def moments(self) -> dict[str, int | None]:
        return {name: self.at.get(name) for name in naive.MOMENTS} | {"ended_at": self.ended_at}

    @property
    def spans(self) -> dict[str, float | None]:
        started, waiting = self.at.get("started_at"), self.at.get("queued_at") or self.at["recorded_at"]
        return {"run_time": _span(started, self.ended_at), "wait_time": _span(waiting, started)}

    @property
    def expires_at(self) -> int:
        """From when on a cleaning removes it, by the policy that nobody changed, or its own time."""
        days = 30 if self.state is State.succeeded else 180
        kept = days * 86_400_000_000 if self.keep_for is None else self.keep_for
        return (self.loaded_at or self.ended_at or self.at["recorded_at"]) + kept

    @property
    def is_stale(self) -> bool:
        beat = self.at.get("heartbeat_at")
        return self.state is State.started and beat is not None and self.now - beat > STALE_AFTER

    def picture(self) -> dict[str, Any]:
        """What `of` reads of a status."""
        moments = {name: at for name, at in self.moments.items() if at is not None}
        return {
            "state": self.state,
            "attempt": self.attempt,
            "texts": dict(self.texts),
            "job_args": self.job_args,
            "provider_job_id": self.provider_job_id,
            "parent": self.parent,
            "root": self.root,
            "depends_on": self.depends_on,
            "moments": moments,
            "spans": self.spans,
            "errors": self.errors,
            "data": self.data,
            "progress": self.progress,
            "message": self.message,
            "asked": (self.by, self.reason),
        }

    def past(self) -> list[dict[str, Any]]:
        """The attempts before: what they were, and the arguments that the job has now."""
        return [{**prior, "job_args": self.job_args} for prior in self.prior]

    def is_spent(self) -> bool:
        """Whether its kill request led to its end already."""
        if self.state not in ENDED or "kill_requested_at" not in self.at:
            return False
        return self.state is State.killed or self.at.get("killed_at", -1) >= self.at["kill_requested_at"]

    def enter(self, target: State) -> None:
        if target not in ENDED and self.is_spent():
            self.forget_request()
        if target in ENTERED:
            self.at.setdefault(ENTERED[target], self.now)
        self.state = target

    def forget_request(self) -> None:
        self.at.pop("kill_requested_at", None)
        self.by = self.reason = None

    def archive(self) -> None:
        self.prior.append(copy.deepcopy(self.picture()))
        if self.is_spent():
            self.forget_request()
        self.attempt += 1
        for name in ("started_at", "succeeded_at", "failed_at", "killed_at", "heartbeat_at"):
            self.at.pop(name, None)
        self.texts["worker"] = self.texts["error"] = self.data = self.progress = self.message = None
        self.errors = []

    def allows(self, attempt: int | None, sources: set[str] | None) -> bool:
        return (attempt is None or attempt == self.attempt) and (sources is None or self.state in sources)

    def move(self, target: State, attempt: int | None, sources: set[str] | None, error: Any = None, data: Any = None) -> bool:
        if self.state is target or not self.allows(attempt, sources):
            return False
        self.enter(target)
        if target is State.succeeded:
            self.progress = 1.0
        if error is not None:
            self.add_error(error)
        if data is not None and self.data is None:
            self.data = data
        return True

    @property
    def was_killed_waiting(self) -> bool:
        """Whether whoever killed it meant that it never starts."""
        return "started_at" not in self.at and self.at.get("queued_at", 0) <= self.at.get("killed_at", -1)

    def start(self, worker: str | None, attempt: int | None, sources: set[str] | None, refuse: bool) -> bool:
        if not self.allows(attempt, sources):
            return False
        asked = "kill_requested_at" in self.at and not self.is_spent()
        if refuse and (asked or self.state is State.killed):
            if self.state in (State.unqueued, State.queued):
                self.enter(State.killed)
            raise Refused("KillRequested")
        if "started_at" in self.at:
            if attempt is not None:
                return False
            self.archive()
        self.texts["worker"] = worker or self.texts["worker"]
        self.enter(State.started)
        return True

    def requeue(self, attempt: int | None, sources: set[str] | None) -> bool:
        if not self.allows(attempt, sources):
            return False
        if "started_at" not in self.at and self.state not in ENDED:
            return self.move(State.queued, None, None)
        self.archive()
        self.at.pop("queued_at", None)
        self.state = State.queued
        self.at["queued_at"] = self.now
        return True

    def add_error(self, error: Any) -> None:
        self.errors.append(error)
        self.texts["error"] = GROUPS[
            error if isinstance(error, str) else '{"class": "pkg.Boom"}' if isinstance(error, dict) else str(error)
        ]

    def request_kill(self, by: str | None, reason: str | None, end_queued: bool) -> str:
        """A word of `Changed.by_reason`."""
        if self.state in ENDED:
            return "ended"
        asked = "kill_requested_at" in self.at
        if not asked:
            self.at["kill_requested_at"], self.by, self.reason = self.now, by, reason
        if end_queued and self.state in (State.unqueued, State.queued):
            self.enter(State.killed)
            return "killed"
        return "already" if asked else "requested"


def _span(start: int | None, end: int | None) -> float | None:
    return (end - start) / 1e6 if start is not None and end is not None and end >= start else None


def of(status: Any) -> dict[str, Any]:
    """The picture of a status, as `ModelJob.picture`."""
    moments = {name: clock.to_us(at) for name in naive.MOMENTS if (at := getattr(status, name)) is not None}
    return {
        "state": status.state,
        "attempt": status.attempt,
        "texts": {name: getattr(status, name) for name in ("job_name", "queue", "user", "worker", "engine")}
        | {"error": status.error_group},
        "job_args": status.job_args,
        "provider_job_id": status.provider_job_id,
        "parent": status.parent,
        "root": status.root,
        "depends_on": status.depends_on,
        "moments": moments,
        "spans": {"run_time": status.run_time, "wait_time": status.wait_time},
        "errors": status.errors,
        "data": status.data,
        "progress": status.progress,
        "message": status.progress_message,
        "asked": (status.kill_requested_by, status.kill_reason),
    }


class Model:
    """All jobs, by id; removed ones that may come back apart."""

    def __init__(self) -> None:
        self.now = 0
        self.jobs: dict[str, ModelJob] = {}
        self.holders: dict[str, ModelJob] = {}
        """Id -> the last job that got it, and was not removed for good: nobody else is restored under that id."""
        self.removed: list[ModelJob] = []
        self.gone: dict[str, ModelJob] = {}
        """Id -> the last job of it that was removed."""

    def set_time(self, now: int) -> None:
        self.now = now
        for job in [*self.jobs.values(), *self.removed]:
            job.now = now

    def living(self) -> list[ModelJob]:
        return list(self.jobs.values())

    def delete(self, id: str, force: bool) -> None:
        job = self.jobs.get(id)
        if job is None:
            raise Refused("StatusNotFound")
        if not force and job.state not in COMPLETED:
            raise Refused("NotCompleted")
        self.forget(job)

    def add(self, job: ModelJob) -> None:
        self.jobs[job.id] = self.holders[job.id] = job

    def forget(self, job: ModelJob) -> None:
        """It is gone for good."""
        self.gone[job.id] = job
        if self.jobs.get(job.id) is job:
            del self.jobs[job.id]
        if self.holders.get(job.id) is job:
            del self.holders[job.id]
        if job in self.removed:
            self.removed.remove(job)

    def remove(self, jobs: list[ModelJob], token: str) -> None:
        for job in jobs:
            self.gone[job.id] = job
            job.removal = token
            self.removed.append(self.jobs.pop(job.id))

    def clean(self) -> tuple[dict[State, int], int]:
        """Forget what is due: how many of each state, and how many removals that could be taken back."""
        due = [job for job in self.living() if job.expires_at <= self.now]
        late = [job for job in self.removed if int(job.removal) <= self.now]
        for job in [*due, *late]:
            self.forget(job)
        by_state = {state: sum(job.state is state for job in due) for state in State}
        return {state: number for state, number in by_state.items() if number}, len(late)

    def restore(self, token: str) -> int:
        if self.now >= int(token):  # the token is the moment from which it is gone for good
            return 0
        back = [job for job in self.removed if job.removal == token and self.holders.get(job.id, job) is job]
        for job in back:
            job.removal = None
            self.add(job)
            self.removed.remove(job)
        return len(back)
