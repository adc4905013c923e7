"""What can be asked of Huey: send a call again, and how many wait."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from huey.api import Task
from huey.exceptions import HueyException

import statuses
from statuses import EngineCannot, Query, State, Status

from ... import pauses, presence
from .. import attempts, awaited, submitting
from ..answering import Asker
from ..base import Outcome, Queue, Schedule, Worker
from ..reporting import Ordered, all_heard, may_live, queue_of, worker_of
from ..tracker import Tracker
from . import kept, outcomes, schedules
from . import submitting as tasks
from .adapter import told_already
from .messages import function_of, retry_id, task_of
from .presence import MOST_RUNNING

#: States a retry may leave: the job is over, or nobody knows.
_RETRIED = frozenset({State.succeeded, State.failed, State.killed, State.unknown})


class Huey(Ordered):
    """One tracked Huey."""

    can_kill = False
    can_kill_queued = True
    can_retry = True
    can_submit = True
    renews_id = True
    has_workers = True
    has_queues = True
    has_schedules = True
    can_stop_worker = True
    can_restart_pool = True
    restarts_anew = True
    can_pause_queue = True
    asks_elsewhere = frozenset({"queues", "schedules"})
    reasons: ClassVar = {"tell_outcome": "this Huey keeps no results (results=False)"}

    def __init__(self, huey: Any, tracker: Tracker) -> None:
        self.huey = huey
        self.tracker = tracker
        self.name = tracker.name
        self.can_tell_outcome = bool(huey.results)
        self._asker = Asker()

    def retry(self, status: Status, by: str | None = None) -> Status:
        """Send the call again as a new task, with its options and the tasks that follow it, as the next attempt.
        Raises: EngineCannot when the call was not kept whole, this process does not know its task, or the storage is away
        (the new attempt then failed)."""
        task = self._task(status)
        attempt = status.attempt
        status.requeued(attempt=attempt, sources=_RETRIED, anew=True)
        if not status.changed:
            raise self._cannot(status, "retry", "somebody else did in the same moment")
        status.set_provider_job_id(task.id)
        attempt = status.attempt
        try:
            with told_already():
                self.huey.enqueue(task)
        except Exception as error:
            attempts.end(status, State.failed, attempt, error)
            raise self._cannot(status, "retry", f"sending it failed: {error}") from error
        return status

    def _task(self, status: Status) -> Task:
        call = self._kept_call(status, "task")
        try:
            return task_of(self.huey._registry, json.loads(json.dumps(call)), retry_id(status.id, status.attempt + 1))
        except (HueyException, ValueError) as error:
            raise self._cannot(status, "retry", str(error), for_good=True) from error

    def knows(self, job_name: str) -> bool:
        return tasks.find(self.huey, job_name) is not None

    def why_unknown(self, job_name: str) -> str:
        return submitting.unknown(job_name, tasks.names(self.huey), "this process declares no task of this name")

    def submit(
        self,
        job_name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        user: str | None = None,
    ) -> Status | None:
        """Enqueue a task with the options it was declared with. A Huey has one queue: any other is refused."""
        kind = tasks.find(self.huey, job_name)
        if kind is None:
            raise submitting.not_registered(self, job_name)
        if queue and queue != self.huey.name:
            raise EngineCannot(job_name, self.name, submitting.ACTION, f"this Huey has one queue, {self.huey.name}")
        task = kind(tuple(args), dict(kwargs or {}))
        if not kind.context:  # such a task is given itself beside its arguments
            submitting.check_arguments(function_of(task), args, kwargs or {})
        return submitting.send(self, job_name, lambda: self.huey.enqueue(task), user)

    def schedules(self) -> list[Schedule]:
        """Its periodic tasks, those that this process has imported. One question a task to its storage; none of one that is away."""
        return self.tracker.guard.run("asking for Huey's periodic tasks", lambda: schedules.schedules(self.huey, self.name)) or []

    def workers(self) -> list[Worker]:
        """Its consumers, as they reported themselves, at most 10 s ago; the lost ones of the last day too.  One round trip."""
        return [worker_of(report, _refuses(report.facts), ("software",)) for report in presence.reports(self.name)]

    def queues(self) -> list[Queue]:
        """Huey's one queue. One question to its storage, one to the store."""
        depth = self.tracker.guard.run("asking for the depth of Huey's queue", self.huey.pending_count)
        return [queue_of(self.name, self.huey.name, depth, pauses.paused(self.name))]

    @property
    def can_tell_forgotten(self) -> bool:  # ty: ignore[incompatible-property-override]
        """Where its storage is not this process's own."""
        return kept.is_shared(self.huey)

    def forgotten(self, waiting: Sequence[Status]) -> list[Status]:
        """Those that stand neither in its queue nor in its schedule, and that no consumer has taken: one that was killed between taking
        a task and its start has lost it. Consumers say what they have taken; where none that does takes from this queue, or one of them
        has not been heard lately, or puts what is due into the queue at present, or does not say whether it does, nobody can tell. The
        callback of a chord is among them once all members are over: Huey sends it in that moment, and never where a member was lost.  Three
        round trips to the store, one for each such callback, four questions to the storage, of which two read all that waits, ten thousand
        tasks at most."""
        told = [report for report in presence.reports(self.name) if self.huey.name in report.facts.get("queues", ())]
        names = {report.worker for report in told}
        alive = [report for report in may_live(self.name) if report.worker in names]
        if not told or not all_heard(alive) or any(map(_has_more, alive)):
            return []
        held = {id for report in alive for id in report.facts.get("running", ())}
        asked = [status for status in waiting if self._is_mine(status) and status.id not in held]
        there = kept.task_ids(self.huey) if asked else None
        if there is None:
            return []
        gone = [status for status in asked if status.provider_job_id not in there]
        return [status for status in gone if not awaited.is_planned(status) or awaited.all_over(status, _members(status))]

    def _is_mine(self, status: Status) -> bool:
        return status.queue == self.huey.name and bool(status.provider_job_id)

    def outcome(self, status: Status) -> Outcome | None:
        """What Huey's storage keeps of its task: a final error, or a result, which it leaves there. Of a task that returned None there is
        none, unless the Huey has `store_none`; nor of a periodic one, or where somebody has taken it. Huey says no moment: where the task
        ran before under its id, otherwise than to be retried for its error, nobody knows of which time it is; nor where it failed more
        often than it is retried, and so was sent again."""
        if not self.can_tell_outcome:
            raise self._cannot(status, "tell the end of", self.why_not("tell_outcome"))
        task_id = status.provider_job_id
        if not task_id or outcomes.may_be_earlier(status):
            return None
        return self._asker.ask(lambda: outcomes.outcome(self.huey, task_id, self.tracker))


def _members(status: Status) -> Query:
    return statuses.where(id=sorted({*status.depends_on}))


def _has_more(report: presence.Report) -> bool:
    """Whether it may have taken more than it told of by name; one of an older version does not say."""
    return report.facts.get("letting_go") != 0 or len(report.facts.get("running", ())) >= MOST_RUNNING


def _refuses(facts: Mapping[str, Any]) -> dict[str, str]:
    """What a consumer cannot, as it said itself."""
    return {} if facts.get("can_restart") else {"restart_pool": "its command cannot run itself again: no file stands first in it"}
