"""What can be asked of RQ: stop a running job, take a waiting one out, send a call again, who works and what waits."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, cast

import rq
import rq.job
from rq.command import PUBSUB_CHANNEL_TEMPLATE, send_command, send_shutdown_command
from rq.exceptions import NoSuchJobError
from rq.job import JobStatus, validate_job_id
from rq.registry import CanceledJobRegistry, FailedJobRegistry, FinishedJobRegistry
from rq.suspension import WORKERS_SUSPENDED
from rq.utils import as_text, decode_redis_hash, utcparse

from statuses import EngineCannot, State, Status

from .. import attempts, submitting
from ..answering import Asker, together
from ..base import Engine, Outcome, Queue, Schedule, Worker
from ..tracker import Tracker
from . import deferred, outcomes, schedules
from . import submitting as functions
from .job import Job
from .marks import FIELD, PID_FIELD, Mark, read
from .outcomes import Kept
from .tracking import WAITING

if TYPE_CHECKING:
    from redis import Redis

#: States a retry may leave: the job is over, or nobody knows.
_RETRIED = frozenset({State.succeeded, State.failed, State.killed, State.unknown})
#: Where RQ keeps a job that is over, by its state there.
_REGISTRIES = {
    JobStatus.FAILED: FailedJobRegistry,
    JobStatus.STOPPED: FailedJobRegistry,
    JobStatus.FINISHED: FinishedJobRegistry,
    JobStatus.CANCELED: CanceledJobRegistry,
}
#: Seconds that RQ has to write down the end of a job of which we heard.
SETTLE_SECONDS = 2.0
#: Seconds without a sign of life after which a worker that runs a job is dead: RQ gives one every 30.
SILENT_SECONDS = 120.0


class RQ(Engine):
    """The jobs of class `statuses.engines.rq.Job`."""

    can_kill = True
    can_kill_queued = True
    can_retry = True
    can_submit = True
    has_workers = True
    has_queues = True
    can_tell_forgotten = True
    can_tell_outcome = True
    has_schedules = True
    can_stop_worker = True
    can_pause_queue = True
    pauses_all_queues = True
    asks_elsewhere = frozenset({"workers", "queues", "schedules"})
    reasons: ClassVar = {"restart_pool": "RQ has no pool: its worker starts a process for each job"}

    def __init__(self, tracker: Tracker, connection: Redis | None) -> None:
        self.tracker = tracker
        self.name = tracker.name
        self._connection = connection
        self._asker = Asker()

    def connection(self, queue: str | None = None) -> Redis:
        """RQ's Redis: the one given to `install`, or django-rq's for this queue. Raises: LookupError without either."""
        if self._connection is not None:
            return self._connection
        try:
            import django_rq
        except ImportError:
            raise LookupError("install() was given no connection, and there is no django-rq") from None
        try:
            return django_rq.get_connection(queue or "default")
        except KeyError:
            return django_rq.get_connection("default")

    def kill(self, status: Status) -> None:
        """Let the worker kill the process that runs the job (RQ's `send_stop_job_command`); it tells when it is done.
        Raises: EngineCannot.  Three round trips to RQ's Redis."""
        job = self._job(status, "kill")
        worker = job.worker_name
        if not worker or job._status != JobStatus.STARTED:
            raise self._cannot(status, "kill", f"RQ does not run it, there it is {job._status.value}")
        channel = PUBSUB_CHANNEL_TEMPLATE % worker
        with job.connection.pipeline(transaction=False) as pipeline:
            pipeline.pubsub_numsub(channel)
            pipeline.hget(_WORKER + worker, "pid")
            pipeline.hget(job.key, PID_FIELD)
            heard, worker_pid, job_pid = pipeline.execute()
        if not heard or not heard[0][1]:
            raise self._cannot(status, "kill", f"worker {worker} does not listen: it is gone")
        if worker_pid is not None and worker_pid == job_pid:
            raise self._cannot(status, "kill", f"worker {worker}: {_IN_ITSELF}")
        send_command(job.connection, worker, "stop-job", job_id=job.id)

    def revoke(self, status: Status) -> None:
        """Take a job that was killed while it waited out of RQ's queue: RQ's own tools show it as canceled."""

        def cancel() -> None:
            job = self._fetch(status)
            if job is not None and job._status in WAITING:
                rq.job.Job.cancel(job)

        self.tracker.guard.run("taking a killed job out of RQ", cancel)

    def retry(self, status: Status, by: str | None = None) -> Status:
        """Queue the job again as RQ itself does, under the same RQ id: what waits for it goes on waiting for it. Where
        RQ has forgotten it, a new RQ job is made of the call that was kept.
        Raises: EngineCannot when the call was not kept whole, or RQ does not take it (the new attempt then failed)."""
        job = self._settled(status)
        if job is None:
            self._call(status)  # refuses before anything has changed
        attempt = status.attempt
        status.requeued(attempt=attempt, sources=_RETRIED, anew=True)
        if not status.changed:
            raise self._cannot(status, "retry", "somebody else did in the same moment")
        mark = Mark(status_id=status.id, attempt=status.attempt)
        try:
            self._again(job, mark, status) if job is not None else self._anew(mark, status)
        except EngineCannot as error:
            attempts.end(status, State.failed, mark.attempt, error)
            raise
        except Exception as error:
            attempts.end(status, State.failed, mark.attempt, error)
            raise self._cannot(status, "retry", f"queueing it failed: {error}") from error
        return status

    def knows(self, job_name: str) -> bool:
        return functions.find(job_name) is not None

    def why_unknown(self, job_name: str) -> str:
        why = "no module that this process has imported declares a function of this name with RQ's @job"
        return submitting.unknown(job_name, functions.names(), why)

    def submit(
        self,
        job_name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        user: str | None = None,
    ) -> Status | None:
        """What the `delay` of a function with RQ's `@job` does."""
        found = functions.find(job_name)
        if found is None:
            raise submitting.not_registered(self, job_name)
        function, declared = found
        submitting.check_arguments(function, args, kwargs or {})
        enqueue = functions.enqueue
        return submitting.send(self, job_name, lambda: enqueue(function, declared, args, kwargs or {}, queue, self.connection), user)

    def _settled(self, status: Status) -> Job | None:
        """The RQ job once RQ has written down its end, too: it does so some milliseconds after ours. One that still
        runs in RQ after that was left by a worker that is gone."""
        deadline = time.monotonic() + SETTLE_SECONDS
        job = self._fetch(status)
        while job is not None and job._status == JobStatus.STARTED and time.monotonic() < deadline:
            time.sleep(0.02)
            job = self._fetch(status)
        return job

    def _again(self, job: Job, mark: Mark, status: Status) -> None:
        """The job RQ still has, out of the registry it is in and into its queue."""
        if job._status not in _REGISTRIES:  # RQ has not heard that it was killed, or that its worker is gone
            rq.job.Job.cancel(job)
            job._status = JobStatus.CANCELED
        registry = _REGISTRIES[job._status](job.origin, connection=job.connection, job_class=Job, serializer=job.serializer)
        job.connection.zrem(registry.key, job.id)
        job.started_at = job.ended_at = None
        retries = ((status.call or {}).get("options") or {}).get("retries")
        job.retries_left = retries if isinstance(retries, int) else job.retries_left
        job._tracking.adopt(mark)
        self._queue(job.origin, job).enqueue_job(job)

    def _anew(self, mark: Mark, status: Status) -> None:
        """A new RQ job from the call that was kept."""
        args, kwargs, options = self._call(status)
        name = options.get("queue") or status.queue or "default"
        queue = rq.Queue(name, connection=self.connection(name), job_class=Job)
        given: dict[str, Any] = {
            key: options.get(key) for key in ("timeout", "result_ttl", "failure_ttl", "ttl", "description", "meta", "group_id")
        }
        job = cast(Job, queue.create_job(options["func"], args=tuple(args), kwargs=kwargs, **given))
        job.retries_left, job.retry_intervals = options.get("retries"), options.get("retry_intervals")
        job._tracking.adopt(mark)
        job._success_callback_name, job._failure_callback_name = options.get("on_success"), options.get("on_failure")
        job._stopped_callback_name = options.get("on_stopped")
        for name in ("rate_limit_key", "rate_limit_concurrency"):  # of RQ 3
            if options.get(name):
                setattr(job, name, options[name])
        status.set_provider_job_id(job.id)
        queue.enqueue_job(job)

    def _call(self, status: Status) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
        call = self._kept_call(status, "func", _FORGOTTEN)
        if call["options"].get("pickled"):
            raise self._cannot(status, "retry", f"{_FORGOTTEN}its arguments were more than JSON can give back", for_good=True)
        return json.loads(json.dumps([call["args"], call["kwargs"], call["options"]]))

    def _job(self, status: Status, action: str) -> Job:
        job = self._fetch(status)
        if job is None:
            raise self._cannot(status, action, "RQ has forgotten the job")
        return job

    def _fetch(self, status: Status) -> Job | None:
        """The RQ job of this status, None where there is none (any more). Raises: EngineCannot where RQ's Redis is away."""
        id = status.provider_job_id or ""
        if not _has_id(status):
            return None
        try:
            job = cast(Job, Job.fetch(id, connection=self.connection(status.queue)))
        except NoSuchJobError:
            return None
        except Exception as error:
            raise self._cannot(status, "ask about", f"RQ's Redis does not answer: {error}") from error
        return job if _is_of(job, status) else None

    def _queue(self, name: str, job: Job) -> rq.Queue:
        return rq.Queue(name, connection=job.connection, job_class=Job, serializer=job.serializer)

    def workers(self) -> list[Worker]:
        """RQ's own list of workers. Four round trips to each Redis that RQ uses."""
        return [worker for connection in self._connections() for worker in self._workers(connection)]

    def _workers(self, connection: Redis) -> list[Worker]:
        keys = sorted(as_text(key) for key in connection.smembers(rq.Worker.redis_workers_keys))
        names = [key.removeprefix(_WORKER) for key in keys]
        with connection.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hgetall(key)
                pipeline.smembers(key + _EXECUTIONS)
            pipeline.pubsub_numsub(*(PUBSUB_CHANNEL_TEMPLATE % name for name in names))
            *found, heard = pipeline.execute()
        told = [decode_redis_hash(fields, decode_values=True) for fields in found[::2]]
        jobs = [_jobs_of(fields, executions) for fields, executions in zip(told, found[1::2], strict=True)]
        all_jobs = list(itertools.chain.from_iterable(jobs))
        running, pids = self._status_ids(all_jobs, connection), self._pids(all_jobs, connection)
        return [
            self._worker(name, fields, [(running.get(id), pids.get(id)) for id in ids], bool(listeners))
            for name, fields, ids, (_, listeners) in zip(names, told, jobs, heard, strict=True)
            if fields
        ]

    def _worker(self, name: str, fields: dict[str, str], jobs: Sequence[tuple[str | None, str | None]], listens: bool) -> Worker:
        """One worker. It is alive while it listens for commands (a process that died does not), and, while it runs a job,
        gives RQ its sign of life: a machine that went dark leaves its connection behind. One that runs jobs in itself gives none until the
        job is over; RQ drops what it says of itself a minute after the job's time. `jobs`: status and process of each it runs."""
        seen_at = utcparse(fields["last_heartbeat"]) if fields.get("last_heartbeat") else None
        recent = seen_at is not None and (datetime.now(UTC) - seen_at).total_seconds() < SILENT_SECONDS
        in_itself = any(pid is not None and pid == fields.get("pid") for _id, pid in jobs)
        return Worker(
            name=name,
            engine=self.name,
            host=fields.get("hostname"),
            pid=int(fields["pid"]) if fields.get("pid", "").isdigit() else None,
            concurrency=1,
            takes_ahead=0,
            queues=tuple(filter(None, fields.get("queues", "").split(","))),
            running=tuple(status_id for status_id, _pid in jobs if status_id),
            started_at=utcparse(fields["birth"]) if fields.get("birth") else None,
            seen_at=seen_at,
            is_alive=listens and (recent or in_itself or not jobs),
            is_stopping=bool(fields.get("shutdown_requested_date")),
            refuses={"kill": _IN_ITSELF} if in_itself else {},
            held=tuple(filter(None, fields.get("queues", "").split(","))) if fields.get("state") == "suspended" else (),
            details={
                "state": fields.get("state"),
                "succeeded": int(fields.get("successful_job_count") or 0),
                "failed": int(fields.get("failed_job_count") or 0),
                "working_seconds": float(fields.get("total_working_time") or 0),
            },
        )

    def _status_ids(self, job_ids: Sequence[str | None], connection: Redis, still: bool = False) -> dict[str, str]:
        """RQ id -> status id, of those that have one; `still`: and are not over in RQ. One round trip."""
        wanted = [job_id for job_id in job_ids if job_id]
        with connection.pipeline(transaction=False) as pipeline:
            for job_id in wanted:
                pipeline.hmget(Job.key_for(job_id), FIELD, "created_at", "status")
            found = pipeline.execute()
        told: dict[str, str] = {}
        for job_id, (mark, created_at, state) in zip(wanted, found, strict=True):
            said = read({FIELD: mark, "created_at": created_at})
            if said is not None and said.status_id and not (still and as_text(state or b"") in _REGISTRIES):
                told[job_id] = said.status_id
        return told

    def _pids(self, job_ids: Sequence[str | None], connection: Redis) -> dict[str, str]:
        """RQ id -> the process that runs the job. One round trip."""
        wanted = [job_id for job_id in job_ids if job_id]
        with connection.pipeline(transaction=False) as pipeline:
            for job_id in wanted:
                pipeline.hget(Job.key_for(job_id), PID_FIELD)
            found = pipeline.execute()
        return {job_id: as_text(pid) for job_id, pid in zip(wanted, found, strict=True) if pid is not None}

    def queues(self) -> list[Queue]:
        """RQ's queues; none of a Redis that is away. Two round trips to each Redis that RQ uses."""
        found: list[Queue] = []
        for connection in self._connections():
            found += self.tracker.guard.run("asking for RQ's queues", lambda connection=connection: self._queues(connection)) or []
        return found

    def _queues(self, connection: Redis) -> list[Queue]:
        keys = sorted(as_text(key) for key in connection.smembers(rq.Queue.redis_queues_keys))
        with connection.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.llen(key)
            pipeline.get(WORKERS_SUSPENDED)
            *depths, suspended = pipeline.execute()
        prefix = rq.Queue.redis_queue_namespace_prefix
        return [
            Queue(name=key.removeprefix(prefix), engine=self.name, depth=depth, is_paused=suspended is not None)
            for key, depth in zip(keys, depths, strict=True)
        ]

    def schedules(self) -> list[Schedule]:
        """What RQ's cron schedulers (`rq cron`) send, and what was put off until a moment. Five round trips to each Redis that RQ uses."""
        ask = (schedules.schedules, schedules.once)
        return [schedule for connection in self._connections() for told in ask for schedule in told(connection, self.name)]

    def stop_worker(self, worker: Worker) -> None:
        """RQ's `send_shutdown_command`: the worker ends with the job it runs.
        Raises: EngineCannot where it does not listen or Redis is away.  Two round trips to each Redis that RQ uses."""
        channel = PUBSUB_CHANNEL_TEMPLATE % worker.name
        try:
            heard = [connection for connection in self._connections() if connection.pubsub_numsub(channel)[0][1]]
            for connection in heard:
                send_shutdown_command(connection, worker.name)
        except Exception as error:
            raise self.refusal("stop_worker", worker.name, f"RQ's Redis does not answer: {error}") from error
        if not heard:
            raise self.refusal("stop_worker", worker.name, "it does not listen: it is gone")

    def pause_queue(self, queue: str, by: str | None = None) -> bool:
        """RQ's suspension, which knows no queues: every worker on the Redis of this queue takes no more jobs. One that
        waits for a job at this moment may still take the next."""
        return self._suspend(queue, lambda connection: connection.set(WORKERS_SUSPENDED, 1, nx=True))

    def resume_queue(self, queue: str, by: str | None = None) -> bool:
        """The end of RQ's suspension."""
        return self._suspend(queue, lambda connection: connection.delete(WORKERS_SUSPENDED))

    def _suspend(self, queue: str, write: Callable[[Redis], object]) -> bool:
        try:
            return bool(write(self.connection(queue)))
        except Exception as error:
            raise self.refusal("pause_queue", queue, f"RQ's Redis does not answer: {error}") from error

    def forgotten(self, waiting: Sequence[Status]) -> list[Status]:
        """Those whose job is no longer in RQ's Redis, or is an other one by now; those that are over in RQ, without a word to us: a
        worker that does not run with our class took them; those for later that no scheduler will find; and those that wait for others which
        RQ has forgotten or somebody has deleted.  Five round trips a thousand jobs."""
        found: list[Status] = []
        for queue, jobs in itertools.groupby(sorted(waiting, key=_queue_of), key=_queue_of):
            connection = self.connection(queue or None)
            for batch in _batches([status for status in jobs if status.provider_job_id], 1000):
                found += self._gone(batch, connection)
        return found

    def _gone(self, batch: list[Status], connection: Redis) -> list[Status]:
        ids = [status.provider_job_id or "" for status in batch]
        known = self._status_ids(ids, connection, still=True)
        there = [id for id in ids if id in known]
        never_come = schedules.missing(there, connection) | deferred.orphaned(there, connection)
        return [status for status, id in zip(batch, ids, strict=True) if known.get(id) != status.id or id in never_come]

    def outcome(self, status: Status) -> Outcome | None:
        """What RQ keeps of its job, if that ended after the attempt began. Once RQ has forgotten the job (`result_ttl`, `failure_ttl`)
        nobody knows.  Two round trips."""
        return next(self._outcomes([status]))

    def outcomes(self, jobs: Sequence[Status]) -> Iterator[Outcome | None]:
        """The same, up to 500 in two round trips to each Redis that RQ uses."""
        return together(jobs, self._outcomes)

    def _outcomes(self, jobs: Sequence[Status]) -> Iterator[Outcome | None]:
        since = [attempts.if_there(attempts.ended_since, status) for status in jobs]
        wanted = [(status.provider_job_id or "", status.queue) for status, at in zip(jobs, since, strict=True) if at and _has_id(status)]
        kept = self._asker.ask(lambda: self._kept(wanted))
        return (self._outcome(status, at, kept) for status, at in zip(jobs, since, strict=True))

    def _kept(self, wanted: Sequence[tuple[str, str | None]]) -> dict[tuple[str, str | None], Kept]:
        """Id and queue of a job -> what the Redis of its queue keeps of it."""
        found: dict[tuple[str, str | None], Kept] = {}
        for queue in dict.fromkeys(queue for _id, queue in wanted):
            some = [one for one in wanted if one[1] == queue]
            found.update(zip(some, outcomes.read(self.connection(queue), [id for id, _queue in some]), strict=True))
        return found

    def _outcome(self, status: Status, since: datetime | None, kept: Mapping[tuple[str, str | None], Kept]) -> Outcome | None:
        if since is None:  # also one that was removed meanwhile
            return None
        fields, last = kept.get((status.provider_job_id or "", status.queue), ({}, ()))
        if not fields:
            return None
        job = Job(status.provider_job_id, connection=self.connection(status.queue))
        try:
            job.restore(fields)
        except NoSuchJobError:
            return None
        return outcomes.outcome(job, last, since, self.tracker) if _is_of(job, status) else None

    def _connections(self) -> list[Redis]:
        """Every Redis that RQ uses in this project, each once."""
        if self._connection is not None:
            return [self._connection]
        try:
            from django_rq.settings import QUEUES
        except ImportError:
            return [self.connection()]
        found = (self.connection(name) for name in QUEUES)
        return list({repr(sorted(each.connection_pool.connection_kwargs.items(), key=repr)): each for each in found}.values())


#: Why the call that was kept is asked for.
_FORGOTTEN = "RQ has forgotten the job, and "
#: Why a `SimpleWorker` cannot end a job.
_IN_ITSELF = "it runs its jobs in itself, without a process that could be killed"


#: Where RQ keeps what a worker says of itself, and (since 3) the set of what it runs, beside it.
_WORKER, _EXECUTIONS = rq.Worker.redis_worker_namespace_prefix, ":executions"


def _jobs_of(fields: Mapping[str, str], executions: Iterable[bytes]) -> list[str]:
    """The RQ ids of the jobs a worker runs: RQ 2 writes the one into the worker's hash, RQ 3 each `job:execution` into a set."""
    current = fields.get("current_job")
    return [current] if current else sorted({as_text(execution).rpartition(":")[0] for execution in executions})


def _queue_of(status: Status) -> str:
    return status.queue or ""


def _has_id(status: Status) -> bool:
    """Whether RQ can have a job of its id; asked for another one it raises ValueError."""
    try:
        validate_job_id(status.provider_job_id or "")
    except ValueError:
        return False
    return True


def _is_of(job: Job, status: Status) -> bool:
    """Whether the RQ job is this status, and not another one of the same id."""
    mark = job._tracking.mark
    return mark is not None and mark.status_id == status.id


def _batches(jobs: list[Status], size: int) -> Iterator[list[Status]]:
    return (jobs[start : start + size] for start in range(0, len(jobs), size))
