"""What can be asked of Django tasks: send a call again, whether a result is still known, and, of the database's backend, who works
and what waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from django.db import transaction
from django.utils.module_loading import import_string

from statuses import State, Status

from ... import pauses, presence
from .. import attempts, submitting
from ..answering import Asker
from ..base import Outcome, Queue, Worker
from ..reporting import Ordered, queue_of, worker_of
from . import submitting as tasks
from .adapter import Adapter, parameters, sending_again
from .backends import any_gives_results, backend_of, database, depths, is_database, only_database, open_results, queue_names
from .outcomes import outcome_of
from .presence import ALL_QUEUES

#: States a retry may leave: the job is over, or nobody knows.
_RETRIED = frozenset({State.succeeded, State.failed, State.killed, State.unknown})
_UNTOLD = "Django tasks know no workers; those of the database's backend alone tell of themselves"


class DjangoTasks(Ordered):
    """Every backend of `settings.TASKS`. Workers and queues are told where all that waits does so in the database."""

    can_kill = False
    can_kill_queued = True
    can_retry = True
    can_submit = True
    renews_id = True
    can_tell_forgotten = True
    reasons: ClassVar = {
        "tell_outcome": "none of its backends gives results (supports_get_result)",
        "stop_worker": _UNTOLD,
        "restart_pool": "its workers have no pool: each runs one job after the other in itself",
        "pause_queue": _UNTOLD,
    }

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.name = adapter.tracker.name
        self._asker = Asker()
        self.has_workers = self.has_queues = self.can_stop_worker = self.can_pause_queue = only_database()

    @property
    def can_tell_outcome(self) -> bool:  # ty: ignore[incompatible-property-override]
        """Where a backend of the project gives results."""
        return any_gives_results()

    def retry(self, status: Status, by: str | None = None) -> Status:
        """Enqueue the call again, as another result of its backend. Raises: EngineCannot when the call was not kept whole,
        its task is no more, or the backend does not take it (the new attempt then failed)."""
        task, args, kwargs = self._call(status)
        attempt = status.attempt
        status.requeued(attempt=attempt, sources=_RETRIED, anew=True)
        if not status.changed:
            raise self._cannot(status, "retry", "somebody else did in the same moment")
        attempt = status.attempt
        try:
            # No worker may see the result before the status is known to be its own.
            with sending_again(status), transaction.atomic(using=database()):
                task.enqueue(*args, **kwargs)
        except Exception as error:
            attempts.end(status, State.failed, attempt, error)
            raise self._cannot(status, "retry", f"enqueueing it failed: {error}") from error
        return status

    def _call(self, status: Status) -> tuple[Any, list[Any], dict[str, Any]]:
        call = self._kept_call(status, "task")
        options = call["options"]
        try:
            task = import_string(options["task"])
            task = task.using(**{name: options[name] for name in ("backend", "queue_name", "priority") if name in options})
        except Exception as error:
            raise self._cannot(status, "retry", f"this process cannot enqueue {options['task']}: {error}", for_good=True) from error
        return task, call["args"], call["kwargs"]

    def knows(self, job_name: str) -> bool:
        return tasks.find(job_name) is not None

    def why_unknown(self, job_name: str) -> str:
        return submitting.unknown(job_name, tasks.names(), "no module that this process has imported has a task of this name")

    def submit(
        self,
        job_name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        user: str | None = None,
    ) -> Status | None:
        """`enqueue` of the task. A queue that its backend does not have is refused."""
        task = tasks.find(job_name)
        if task is None:
            raise submitting.not_registered(self, job_name)
        submitting.check_arguments(parameters(task), args, kwargs or {})
        return submitting.send(self, job_name, lambda: _in(task, queue).enqueue(*args, **(kwargs or {})), user)

    def forgotten(self, waiting: Sequence[Status]) -> list[Status]:
        """Those whose result its backend no longer has (a transaction that was rolled back, a table that was pruned), those whose
        task the database's worker did not find, and those that are over there without a word to us: a worker without the adapter ran them.
        One query of the database for five hundred, one of another backend a job; backends that cannot be asked forget nothing."""
        asked = [(status, _backend_of(status)) for status in waiting if status.provider_job_id]
        mine = [status.provider_job_id or "" for status, backend in asked if is_database(backend)]
        there = open_results(mine) if mine else set()
        return [
            status
            for status, backend in asked
            if (status.provider_job_id not in there if is_database(backend) else _is_forgotten(backend, status.provider_job_id))
        ]

    def outcome(self, status: Status) -> Outcome | None:
        """What its backend keeps of its result, if that was finished after the attempt began; backends that cannot be asked know nothing.
        One query of the backend."""
        if not self.can_tell_outcome:
            raise self._cannot(status, "tell the end of", self.why_not("tell_outcome"))
        backend = _backend_of(status)
        result_id, since = status.provider_job_id, attempts.ended_since(status)
        if backend is None or not backend.supports_get_result or not result_id or since is None:
            return None
        return self._asker.ask(lambda: outcome_of(backend, result_id, since, self.adapter.tracker))

    def workers(self) -> list[Worker]:
        """Who runs `db_worker`, as they reported themselves, at most 10 s ago; the lost ones of the last day too.
        One round trip; where one takes from all queues, one more and one query."""
        told = presence.reports(self.name)
        names = self._queue_names() if any(ALL_QUEUES in report.facts["queues"] for report in told) else frozenset()
        return [_worker(report, names) for report in told]

    def queues(self) -> list[Queue]:
        """The queues that the settings name, that tasks wait in, that workers take from. Two round trips and one query."""
        waiting = self._depths()
        reported = {name for report in presence.reports(self.name) for name in report.facts["queues"]} - {ALL_QUEUES}
        paused = pauses.paused(self.name)
        names = sorted({*queue_names(), *(waiting or ()), *reported, *paused})
        return [queue_of(self.name, name, None if waiting is None else waiting.get(name, 0), paused) for name in names]

    def _queue_names(self) -> frozenset[str]:
        return frozenset({*queue_names(), *(self._depths() or ()), *pauses.paused(self.name)})

    def _depths(self) -> dict[str, int] | None:
        return self.adapter.tracker.guard.run("asking for the depth of queues", depths)


def _is_forgotten(backend: Any, result_id: str | None) -> bool:
    if backend is None or not backend.supports_get_result:
        return False
    try:
        return bool(backend.get_result(result_id).is_finished)
    except Exception as error:
        return type(error).__name__ == "TaskResultDoesNotExist"


def _in(task: Any, queue: str | None) -> Any:
    return task.using(queue_name=queue) if queue else task


def _backend_of(status: Status) -> Any:
    return backend_of(((status.call or {}).get("options") or {}).get("backend"))


def _worker(report: presence.Report, names: frozenset[str]) -> Worker:
    """What it said; `names`: what all queues are."""
    facts = dict(report.facts)
    if ALL_QUEUES in facts["queues"]:
        facts["queues"] = sorted({*names, *facts["queues"]} - {*facts["excluded"], ALL_QUEUES})
    return worker_of(replace(report, facts=facts), _refuses(facts), ("backend",))


def _refuses(facts: Mapping[str, Any]) -> dict[str, str]:
    """What a worker cannot, as it said itself."""
    return {} if facts.get("can_stop") else {"stop_worker": "the db_worker command, which would hear of it, did not start it"}
