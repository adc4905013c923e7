"""What can be asked of Celery: end a running job, drop a waiting one, send a call again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import kombu.exceptions
from celery.utils import uuid
from kombu.utils.json import loads as kombu_loads

import statuses
from statuses import EngineCannot, State, Status

from ... import pauses, presence
from .. import attempts, awaited, submitting
from ..answering import Asker, together
from ..base import Engine, Outcome, Queue, Schedule, Worker
from ..reporting import may_live, queue_of, worker_of
from . import again, expiry, holding, killing, missing, outcomes, planned, publishing, schedules, sent
from . import submitting as tasks
from .adapter import Adapter
from .broker import Broker
from .messages import USER
from .pausing import LOOK

#: Queues told of.
MOST_QUEUES = 200
#: Seconds a worker has to say what it did; with a destination it answers in hundredths.
ANSWER_SECONDS = 2.0
#: Seconds in which a worker that did not answer is not asked again: a thousand jobs of a dead one take one wait.
SILENT_SECONDS = 10.0


class Celery(Engine):
    """One tracked Celery app."""

    can_kill = True
    can_kill_queued = True
    can_retry = True
    can_submit = True
    renews_id = True
    has_workers = True
    has_queues = True
    can_tell_forgotten = True
    has_schedules = True
    can_stop_worker = True
    can_restart_pool = True
    can_pause_queue = True
    reasons: ClassVar = {"tell_outcome": "its app has no result backend, or one whose results only who sent the task can read"}

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.app = adapter.app
        self.name = adapter.engine_name
        self._silent: dict[str, float] = {}
        self.has_imported = False
        """Whether the modules with tasks were imported for a name that was not known."""
        self._broker = Broker(adapter.app)
        self._asker = Asker()
        self._sent = sent.Memory()
        self._missing = missing.Missing(self.app, self._broker, self._sent)

    @property
    def can_tell_outcome(self) -> bool:  # ty: ignore[incompatible-property-override]
        """Where its app has a result backend that this process can read."""
        return outcomes.can_be_asked(self.app)

    def kill(self, status: Status) -> None:
        """Kill the pool process that runs the job (SIGKILL). Prefork alone has one process a job.
        The worker tells when it is done, so the job is shown as killed only then. Runs of earlier attempts that nobody saw end, whose
        message the broker has handed out again since, are ended before: while one of them may go on the job is not killed, and the
        present run is left to the request.
        Raises: EngineCannot.  One message to that worker, waits at most 2 seconds for its answer; with earlier runs as much again for their
        workers, and two round trips or more to the store."""
        worker, task_id = status.worker, status.provider_job_id
        if not worker or not task_id:
            raise self._cannot(status, "kill", "it is not known which worker runs it")
        earlier = again.workers_before(status) - {worker}
        reports = presence.reports(self.name) if earlier else []
        alive = {report.worker for report in reports if report.worker in earlier and again.may_live(report)}
        try:
            self._end_earlier(status, task_id, alive)
        except EngineCannot as error:
            why = f"an earlier attempt of it may still run, and while it does the present one is not ended either: {error.why}"
            raise self._cannot(status, "kill", why) from error
        # One that reports no more may be cut off from the status store alone: it hears the order, and nobody waits for it.
        answers = self._terminate(status, task_id, {worker}, besides=earlier - alive)
        if not self._ended(status, task_id, worker, answers) and status.reload().state is State.started:
            raise self._cannot(status, "kill", f"worker {worker} does not run it (any more)")

    def _end_earlier(self, status: Status, task_id: str, workers: set[str]) -> None:
        """Raises: EngineCannot where one of these workers does not say that it runs it no more."""
        answers = self._terminate(status, task_id, workers) if workers else {}
        for worker in sorted(workers):
            self._ended(status, task_id, worker, answers)

    def _ended(self, status: Status, task_id: str, worker: str, answers: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether this worker has ended a run; False where it had none. Raises: EngineCannot where it did not say, or could not."""
        if worker not in answers:
            raise self._silence(status, worker)
        error = str(answers[worker].get("error") or "")
        if "does not implement kill_job" in error:
            raise self._cannot(status, "kill", f"the pool of worker {worker} runs jobs in threads, which nothing can end from outside")
        if error:
            raise self._cannot(status, "kill", f"worker {worker} says: {error}")
        return task_id in (answers[worker].get("ok") or ())

    def _terminate(self, status: Status, task_id: str, workers: set[str], besides: Collection[str] = ()) -> dict[str, dict[str, Any]]:
        """What the workers say to the order."""
        for worker in sorted(workers):
            if time.monotonic() < self._silent.get(worker, 0.0):
                raise self._silence(status, worker)
        try:
            with self._broker.ordering() as line:
                answers = killing.order(self.app, line, killing.ENDS, task_id, workers, ANSWER_SECONDS, besides)
                answers = killing.plainly(self.app, line, task_id, answers, ANSWER_SECONDS)
        except (kombu.exceptions.KombuError, OSError) as error:
            raise self._cannot(status, "kill", f"the broker does not answer: {error}") from error
        self._silent.update(dict.fromkeys(workers - answers.keys(), time.monotonic() + SILENT_SECONDS))
        return answers

    def _silence(self, status: Status, worker: str) -> EngineCannot:
        """Why a worker may not have answered, as far as the pool that it last told of says, and until when one of an earlier attempt is
        in the way. Two round trips."""
        report = next((report for report in presence.reports(self.name) if report.worker == worker), None)
        why = _SILENT.get(str(report and report.facts.get("pool")), "it is gone, or hears nothing at the moment")
        until = again.in_the_way(report) if report is not None and worker != status.worker else ""
        return self._cannot(status, "kill", f"worker {worker} did not answer within {ANSWER_SECONDS:g} s: {why}{until}")

    def running(self, task_id: str, workers: Collection[str], besides: Collection[str] = ()) -> dict[str, list[int]]:
        """The pids of the processes in which these workers run a task, by their names; one that says nothing is not in it, and none where
        the broker is away. Those `besides` are asked, too. One message to all of them, waits at most 2 seconds for the last answer."""
        try:
            with self._broker.ordering() as line:
                answers = killing.order(self.app, line, killing.RUNS, task_id, workers, ANSWER_SECONDS, besides)
        except (kombu.exceptions.KombuError, OSError):
            return {}
        return {name: said["ok"] for name, said in answers.items() if isinstance(said.get("ok"), list)}

    def revoke(self, status: Status) -> None:
        """Tell the workers to drop the message when they meet it; they refuse its start in any case."""
        task_id = status.provider_job_id
        if task_id:
            self.adapter.guard.run("revoking", lambda: self._drop(task_id))

    def _drop(self, task_id: str) -> None:
        with self._broker.ordering() as line:
            self.app.control.revoke(task_id, connection=line)

    def retry(self, status: Status, by: str | None = None) -> Status:
        """Send the call again under a new Celery id (a revoked one would be dropped), as the next attempt.
        Raises: EngineCannot when the call was not kept whole, or the broker is away (the new attempt then failed)."""
        args, kwargs, options = self._call(status)
        expiry.note(status, options.get("expires"))
        attempt = status.attempt
        status.requeued(attempt=attempt, sources=_RETRIED, anew=True)
        if not status.changed:
            raise self._cannot(status, "retry", "somebody else did in the same moment")
        task_id = uuid()
        status.set_provider_job_id(task_id)
        _as_called(status, options)
        attempt = status.attempt
        if status.state is State.started:  # the broker handed the old message out in that very moment
            raise self._cannot(status, "retry", "its broker did in the same moment")
        try:
            with publishing.again(status, attempt):
                self.app.send_task(options.pop("task"), args, kwargs, task_id=task_id, **options)
        except Exception as error:
            attempts.end(status, State.failed, attempt, error)
            raise self._cannot(status, "retry", f"sending it failed: {error}") from error
        return status

    def _call(self, status: Status) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
        call = self._kept_call(status, "task")
        # Celery's own JSON gives dates, UUIDs and decimals back as they were sent.
        args, kwargs = kombu_loads(json.dumps([call["args"], call["kwargs"]]))
        return args, kwargs, _sendable(kombu_loads(json.dumps(call["options"])), status)

    def knows(self, job_name: str) -> bool:
        return tasks.find(self.app, job_name, self) is not None

    def why_unknown(self, job_name: str) -> str:
        return submitting.unknown(job_name, tasks.names(self.app), "the app has no task of this name")

    def submit(
        self,
        job_name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        user: str | None = None,
    ) -> Status | None:
        """`apply_async` of the task, by a connection that does not wait for a broker that is away. A queue that the app does not name is
        made, or refused, as `task_create_missing_queues` says."""
        task = tasks.find(self.app, job_name, self)
        if task is None:
            raise submitting.not_registered(self, job_name)
        options = {"queue": queue} if queue else {}

        def send() -> None:
            with self._broker.ordering() as line:
                task.apply_async(list(args), dict(kwargs or {}), connection=line, retry=False, **options)

        return submitting.send(self, job_name, send, user)

    def workers(self) -> list[Worker]:
        """As they reported themselves, at most 10 s ago; the lost ones of the last day too.  One round trip."""
        return [_worker(report) for report in presence.reports(self.name)]

    def queues(self) -> list[Queue]:
        """Every queue that a worker takes from, that the app names, or in which a job waits. What a worker has taken
        ahead (prefetch) is no longer in the broker's queue, and still waits.
        Source: the workers' reports, one count over the statuses, one round trip to a broker that is a Redis, to others one a queue."""
        waiting = [found.value for found in statuses.where(engine=self.name, state=State.queued).counts_by("queue", MOST_QUEUES)]
        known = self._known_queues()
        names = sorted({*known, *waiting})[:MOST_QUEUES]
        lengths = self._broker.lengths(names)
        paused = pauses.paused(self.name)
        held, depths = (lengths.held, lengths.waiting) if lengths else (None, {})
        # Nothing under a name that may be a routing key tells nothing.
        told = {name: depths.get(name) for name in names if depths.get(name) or name in known}
        return [queue_of(self.name, name, told.get(name), paused, held) for name in names]

    def schedules(self) -> list[Schedule]:
        """What beat is configured to send. Whether a beat runs, nobody knows: one that does not leaves them overdue."""
        return schedules.schedules(self.adapter)

    def stop_worker(self, worker: Worker) -> None:
        """Celery's warm shutdown, of this worker alone. One in a solo pool hears of it when its job has ended.
        Raises: EngineCannot where the broker is away.  One message, no answer is waited for."""
        self._order("stop_worker", worker, lambda line: self.app.control.shutdown(destination=[worker.name], connection=line))

    def restart_pool(self, worker: Worker) -> None:
        """Celery's `pool_restart`: each process ends once its job has, a new one takes its place.
        Raises: EngineCannot.  One message to that worker, waits at most 2 seconds for its answer."""
        why = self.why_not("restart_pool", worker)
        if why:
            raise self.refusal("restart_pool", worker.name, why)

        def order(line: Any) -> Any:
            return self.app.control.pool_restart(destination=[worker.name], connection=line, reply=True, timeout=ANSWER_SECONDS, limit=1)

        answers = [answer[worker.name] for answer in self._order("restart_pool", worker, order) or () if worker.name in answer]
        if not answers:
            raise self.refusal("restart_pool", worker.name, f"it did not answer within {ANSWER_SECONDS:g} s")
        if answers[0].get("error"):
            raise self.refusal("restart_pool", worker.name, f"it says: {answers[0]['error']}")

    def _order(self, verb: str, worker: Worker, send: Callable[[Any], Any]) -> Any:
        try:
            with self._broker.ordering() as line:
                return send(line)
        except (kombu.exceptions.KombuError, OSError) as error:
            raise self.refusal(verb, worker.name, f"the broker does not answer: {error}") from error

    def pause_queue(self, queue: str, by: str | None = None) -> bool:
        """Written down, and the workers of the queue that are known to live are asked to look at once; one that does not
        hear it looks within ten seconds, one that starts before it takes anything."""
        changed = pauses.pause(self.name, queue, by)
        self._look(queue)
        return changed

    def resume_queue(self, queue: str, by: str | None = None) -> bool:
        """The same the other way round."""
        changed = pauses.resume(self.name, queue)
        self._look(queue)
        return changed

    def _look(self, queue: str) -> None:
        names = [worker.name for worker in self.workers() if worker.is_alive and queue in worker.queues]
        if names:
            self.adapter.guard.run("asking workers to look at a queue", lambda: self._tell(names))

    def _tell(self, names: list[str]) -> None:
        with self._broker.ordering() as line:
            self.app.control.broadcast(LOOK, destination=names, connection=line)

    def _known_queues(self) -> set[str]:
        """Names that are certainly queues: elsewhere a status has the routing key only."""
        named = self.app.conf.task_queues or ()
        declared = {queue if isinstance(queue, str) else queue.name for queue in named}
        reported = {name for worker in self.workers() for name in worker.queues}
        return declared | reported | {self.app.conf.task_default_queue}

    def given_up(self, status: Status) -> None:
        """The body of its chord is given up with it, unless the broker hands its message out again."""
        planned.give_up_lost(self.adapter, status)

    def forgotten(self, waiting: Sequence[Status]) -> list[Status]:
        """Jobs whose `expires` has passed, which no worker starts any more, on whichever broker, while that is there; and those that it has
        lost, or was purged of: whose message is in no queue, and which no worker that may live says it has in its memory. Nobody can tell
        while one does not answer. A worker that holds one which came too late drops it, so none is asked here.
        Two or three round trips to the store, two for the body of each chord, one for fifty jobs that are asked about for the first time;
        one to the broker where any came too late, what `Missing.among` takes, and where jobs are missing one message to all workers,
        which waits at most 2 seconds for their answers."""
        self._sent.keep(waiting)
        late = expiry.passed(self._sent, waiting)
        if late and self._broker.lengths([self.app.conf.task_default_queue]) is None:
            late = []  # workers could not be asked, either
        ids = {status.id for status in late}
        others = [status for status in waiting if status.id not in ids]
        gone = self._missing.among(others, self._known_queues(), self._lost_a_member)
        return [*late, *self._in_no_memory(gone[: holding.MOST_ASKED])]

    def end_of_forgotten(self, status: Status) -> Outcome | None:
        """Killed, with the words of a worker, of one that came too late."""
        return expiry.end_of(self._sent, status)

    def _lost_a_member(self, body: Status) -> bool:
        """Whether all members of its chord are over, and one of them is unknown: such a one Celery never counts."""
        members = statuses.where(provider_job_id=sorted({*body.depends_on}), engine=self.name)
        return bool(body.provider_job_id) and awaited.all_over(body, members) and members.where(state=State.unknown).exists()

    def _in_no_memory(self, gone: list[Status]) -> list[Status]:
        """Those of them that no worker holds: one whose broker lost its data knows of them alone, and will run them."""
        workers = [report.worker for report in may_live(self.name)]
        if not gone or not workers:
            return gone
        ids = [status.provider_job_id or "" for status in gone]
        try:
            with self._broker.ordering() as line:
                held = holding.ask(self.app, line, workers, ids, ANSWER_SECONDS)
        except (kombu.exceptions.KombuError, OSError):
            return []
        return [status for status in gone if status.provider_job_id not in held] if held is not None else []

    def held(self, lost: Sequence[Status]) -> set[str]:
        """Those that any worker says it has, as Celery's `query_task` asks all of them: also one that is cut off from the status store
        alone, and one without the adapter. None where the broker is away. A message to all workers for each thousand jobs, which waits two
        seconds; after ten seconds those are named, too, that nobody was asked about."""
        statuses_of = {status.provider_job_id: status.id for status in lost if status.provider_job_id}
        try:
            with self._broker.ordering() as line:
                held = holding.anywhere(self.app, line, [*statuses_of])
        except (kombu.exceptions.KombuError, OSError):
            return set()
        return {statuses_of[id] for id in held}

    def outcome(self, status: Status) -> Outcome | None:
        """What the result backend keeps of its task, if it was done after the attempt began. With `ignore_result`, or once the result
        has expired (`result_expires`), nobody knows."""
        if not self.can_tell_outcome:
            raise self._cannot(status, "tell the end of", self.why_not("tell_outcome"))
        if (asked := _asked_of(status)) is None:
            return None
        backend = self.app.backend  # each thread has its own, with connections: not one more for every question
        return self._asker.ask(lambda: outcomes.outcome(self.adapter, backend, *asked))

    def outcomes(self, jobs: Sequence[Status]) -> Iterator[Outcome | None]:
        """The same; from Redis up to 500 in a round trip."""
        if self.can_tell_outcome and outcomes.are_read_together(self.app.backend):
            return together(jobs, self._outcomes)
        return super().outcomes(jobs)

    def _outcomes(self, jobs: Sequence[Status]) -> Iterator[Outcome | None]:
        backend, asked = self.app.backend, [attempts.if_there(_asked_of, status) for status in jobs]
        kept = iter(self._asker.ask(lambda: outcomes.read(backend, [one[0] for one in asked if one is not None])))
        return (None if one is None else outcomes.of_kept(self.adapter, backend, next(kept), *one[1:]) for one in asked)


def _asked_of(status: Status) -> tuple[str, datetime, datetime | None] | None:
    """What its result is asked by: the id of its task, since when it may have ended, its last sign of life where nobody told a start;
    None where nobody can know."""
    task_id, since = status.provider_job_id, attempts.ended_since(status)
    if not task_id or since is None:
        return None
    return task_id, since, status.heartbeat_at if since != status.started_at else None


def _worker(report: presence.Report) -> Worker:
    return worker_of(report, _refuses(report.facts), ("reserved", "accepted", "software"))


def _refuses(facts: Mapping[str, Any]) -> dict[str, str]:
    """What a worker cannot, as it said itself."""
    kill = _NO_KILL.get(str(facts.get("pool")))
    return {**_refused_restart(facts), **({"kill": kill} if kill else {})}


#: Pools whose jobs nothing can end from outside.
_NO_KILL = {
    "thread": "its pool runs jobs in threads, which nothing can end from outside",
    "solo": "its pool (solo) runs the job in the worker itself, which hears nothing meanwhile",
}


_GREEN = "it is gone, or a job of its pool ({}) gives way to nothing else, and the worker hears nothing meanwhile"
#: Why a worker may not answer, by its pool.
_SILENT = {
    "solo": f"it is gone, or {_NO_KILL['solo']}",
    "gevent": _GREEN.format("gevent"),
    "eventlet": _GREEN.format("eventlet"),
}


def _refused_restart(facts: Mapping[str, Any]) -> dict[str, str]:
    if not facts.get("pool_can_restart", True):
        return {"restart_pool": f"a pool of {facts.get('pool')} has no processes that could be replaced"}
    if not facts.get("pool_restarts"):
        return {"restart_pool": "its app does not set worker_pool_restarts = True"}
    return {}


#: States a retry may leave: the job is over, or nobody knows.
_RETRIED = frozenset({State.succeeded, State.failed, State.killed, State.unknown})


def _as_called(status: Status, options: Mapping[str, Any]) -> None:
    """Of a job that Celery had run again in another queue, or as another task, both are once more what the call says."""
    name, queue = options.get("shadow") or options["task"], options.get("queue")
    if status.job_name != name:
        status.set_job_name(name)
    if queue and status.queue != queue:
        status.set_queue(queue)


def _sendable(options: dict[str, Any], status: Status) -> dict[str, Any]:
    """Options for `send_task` now: no date that has passed, no chord (it has ended without this member), the same user."""
    options = {name: value for name, value in options.items() if name not in ("eta", "chord", "group_id")}
    expires = options.get("expires")
    if isinstance(expires, str) and ((until := sent.moment(expires)) is None or until <= datetime.now(UTC)):
        options.pop("expires")
    headers = dict(options.pop("headers", None) or {})
    if status.user:
        headers[USER] = status.user
    return {**options, "headers": headers}
