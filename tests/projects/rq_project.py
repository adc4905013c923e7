"""A plain RQ project."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
import rq
from rq.decorators import job
from rq.job import Dependency
from rq.repeat import Repeat

import statuses
from statuses.engines import registry
from statuses.engines import rq as tracking
from statuses.engines.rq import job as rq_job

from . import soon, work

connection = redis.Redis(unix_socket_path=os.environ["TEST_BROKER"], db=3)
soon.configure()
tracking.install(
    connection,
    resources={"chapter_id": "Chapter"},
    heartbeat_seconds=float(os.environ.get("TEST_HEARTBEAT", "0.5")),
)
Job = tracking.Job


def worker(name: str, queue: str) -> list[str]:
    """The command line of a worker."""
    command = ["rq.cli", "worker", "--url", f"unix://{os.environ['TEST_BROKER']}?db=3", "--job-class", "tests.projects.rq_project.Job"]
    return ["-m", *command, "--name", name, "--with-scheduler", queue]


def often_heard_worker(name: str, queue: str) -> list[str]:
    """The command line of a worker that gives RQ a sign of life each second of a job; others each half minute."""
    return [*worker(name, queue), "--job-monitoring-interval", "1"]


def plain_worker(name: str, queue: str) -> list[str]:
    """The command line of a worker that knows nothing of tracking."""
    return ["-m", "rq.cli", "worker", "--url", f"unix://{os.environ['TEST_BROKER']}?db=3", "--name", name, queue]


class OwnJob(tracking.Job):
    """A class of the project's own: who loads it loads this module."""


def spawn_worker(name: str, queue: str) -> list[str]:
    """The command line of a worker that runs each job in a Python of its own, which has nothing of the worker's but its classes."""
    command = [part.replace("rq_project.Job", "rq_project.OwnJob") for part in worker(name, queue)]
    return [*command[:3], "--worker-class", "rq.worker.SpawnWorker", *command[3:]]


@job("main", connection=connection, timeout=77)
def add(x: int, y: int) -> int:
    """A function that RQ knows by its name."""
    return work.add(x, y)


#: What a worker's log says once it works.
READY = "*** Listening on"


def ready() -> None:
    """Nothing to set up."""


def queue(name: str = "main") -> rq.Queue:
    return rq.Queue(name, connection=connection, job_class=Job)


def send(
    task: str,
    *args: Any,
    to: str = "main",
    later: float = 0,
    retries: int = 0,
    user: str | None = None,
    options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> str:
    """Queue a function of `work`; RQ's id of the job."""
    more: dict[str, Any] = dict(options or {})
    if retries:
        more["retry"] = rq.Retry(max=retries)
    function = getattr(work, task, f"tests.projects.work.{task}")
    with tracking.as_user(user):
        if later:
            return queue(to).enqueue_in(timedelta(seconds=later), function, args=args, kwargs=kwargs, **more).id
        return queue(to).enqueue(function, args=args, kwargs=kwargs, **more).id


def send_after(task: str, *args: Any, before: list[str]) -> str:
    """Queue a function that waits for other jobs."""
    return queue().enqueue(getattr(work, task), args=args, depends_on=Dependency(jobs=list(before))).id


def send_unique(task: str, id: str) -> str:
    """Queue a function under an id that may be taken."""
    return queue().enqueue(getattr(work, task), "unique", job_id=id, unique=True).id


def poll(times: int) -> Any:
    """Asks RQ to run it again until it has run so often."""
    job = rq.get_current_job()
    assert job is not None
    return rq.Retry(max=5) if (job.number_of_retries or 0) < times else "there"


def die() -> None:
    """Takes its process along."""
    os.kill(os.getpid(), signal.SIGKILL)


def sends_while_the_store_hangs(pid: int) -> str:
    """Stops the store's process, and queues another job."""
    os.kill(pid, signal.SIGSTOP)
    return send("add", 1, 1)


def with_child() -> str:
    """Queues another job."""
    return send("add", 1, 1)


def send_own(function: str, *args: Any, to: str = "main", **more: Any) -> str:
    """Queue a function of this module."""
    return queue(to).enqueue(f"{__name__}.{function}", *args, **more).id


def send_in_turn(task: str, *args: Any, key: str, to: str = "main") -> str:
    """Queue a function that runs alone among those of its key; with RQ 3."""
    return queue(to).enqueue(getattr(work, task), args=args, rate_limit=getattr(rq, "RateLimit")(key, 1)).id  # noqa: B009


def note_failed(job: Any, *more: Any) -> None:
    """What a project wants called once a job has failed."""
    work.note(f"failed {job.id}")


def note_stopped(job: Any, *more: Any) -> None:
    """What a project wants called once a job was stopped."""
    work.note(f"stopped {job.id}")


def refuse(job: Any, connection: Any, result: Any) -> None:
    """What a project wants called once a job has succeeded, and fails itself."""
    raise LookupError(f"nobody wants {result}")


def send_untracked(task: str, *args: Any) -> str:
    """Queue a function as a publisher does that does not know of tracking."""
    return rq.Queue("main", connection=connection).enqueue(getattr(work, task), args=args).id


def send_repeated(task: str, *args: Any, times: int) -> str:
    """Queue a function that runs again so often."""
    return queue().enqueue(getattr(work, task), args=args, repeat=Repeat(times=times)).id


def let_go_unheard(id: str, queue_name: str = "main") -> None:
    """What a scheduler does that has another class of jobs."""
    found = rq.Queue(queue_name, connection=connection)
    found.scheduled_job_registry.remove(id)
    found.enqueue_job(rq.job.Job.fetch(id, connection=connection))


def cancel(id: str) -> None:
    """What RQ's own tools do."""
    Job.fetch(id, connection=connection).cancel()


def requeue(id: str) -> None:
    """What RQ's own tools do."""
    Job.fetch(id, connection=connection).requeue()


def requeue_by_command(id: str, queue_name: str) -> None:
    """What people do, whose command knows nothing of our class."""
    command = [sys.executable, "-m", "rq.cli", "requeue", "--url", f"unix://{os.environ['TEST_BROKER']}?db=3", "--queue", queue_name, id]
    subprocess.run(command, check=True, capture_output=True)


def requeue_with_the_plain_class(id: str) -> None:
    """What django-rq's own pages do."""
    rq.job.requeue_job(id, connection)


def begin_while_it_is_told(id: str, queue_name: str) -> None:
    """A worker has read a job that was put back, and begins with it once the store has been told that it was."""
    requeue_by_command(id, queue_name)
    taken = Job.fetch(id, connection=connection)
    rq_job.put_back(rq.job.Job.fetch(id, connection=connection))
    with connection.pipeline() as pipeline:
        taken.prepare_for_execution("late", pipeline)
        pipeline.execute()
    taken.perform()
    taken.set_status(rq.job.JobStatus.FINISHED)


_held: dict[str, Any] = {}


def send_and_hold(task: str, *args: Any, to: str) -> str:
    """Queue a function, and keep the job as it is now."""
    job = queue(to).enqueue(getattr(work, task), args=args)
    return _held.setdefault(job.id, job).id


def requeue_held(id: str) -> None:
    """As `requeue`, by the job that was kept."""
    _held[id].requeue()


def refuse_while_it_is_retried(id: str) -> None:
    """A worker has taken a killed job from its queue and refuses it, while somebody retries it."""
    taken = Job.fetch(id, connection=connection)
    statuses.find_by(provider_job_id=id).retry(by="anna")
    with connection.pipeline() as pipeline:
        taken.prepare_for_execution("late", pipeline)
        pipeline.execute()
    with contextlib.suppress(statuses.KillRequested):
        taken.perform()
    taken.set_status(rq.job.JobStatus.FAILED)
    taken.save()


def clean_up_with_the_plain_class(queue_name: str) -> None:
    """What RQ's own tools do, which know nothing of our class."""
    rq.registry.StartedJobRegistry(queue_name, connection=connection).cleanup(timestamp=time.time() + 3600)


def clean_up(queue_name: str) -> None:
    """What a worker does every ten minutes, and an hour later: jobs that nobody keeps alive are abandoned."""
    rq.registry.StartedJobRegistry(queue_name, connection=connection, job_class=Job).cleanup(timestamp=time.time() + 3600)


def simple_worker(name: str, queue_name: str) -> list[str]:
    """The command line of a worker that runs jobs in itself."""
    return [*worker(name, queue_name), "--worker-class", "rq.SimpleWorker"]


def seen() -> tuple[list[Any], list[Any]]:
    """What the engine says of its workers and queues."""
    engine = registry.get("rq")
    assert engine is not None
    return engine.workers(), engine.queues()


def send_expired(name: str) -> str:
    """Queue a function on a queue nobody takes from, and let its time run out."""
    id = queue("nobody").enqueue(work.count, name, ttl=1).id
    connection.pexpire(Job.key_for(id), 1)
    return id


def send_unknown() -> str:
    """Queue a function that is not there."""
    return queue().enqueue("tests.projects.work.gone", "Book:1").id


def hand_out_again(id: str, queue_name: str) -> None:
    """Put the id of a job into its queue once more, whatever becomes of it there."""
    queue(queue_name).push_job_id(id)


def runs_in_rq(id: str, queue_name: str) -> tuple[str, str | None, int]:
    """The state of the job as RQ says it, the worker that has it, and how many runs of it RQ knows of."""
    found = Job.fetch(id, connection=connection)
    runs = queue(queue_name).started_job_registry.get_job_ids(cleanup=False)
    return found.get_status().value, found.worker_name, runs.count(id)


def state_in_rq(id: str) -> str:
    """What RQ itself says of the job."""
    return Job.fetch(id, connection=connection).get_status().value


def is_over(id: str) -> bool:
    """Whether RQ itself says that the job has ended."""
    return state_in_rq(id) in ("finished", "failed")


def control(verb: str, name: str) -> Any:
    """What the page's buttons do to a worker or a queue."""
    engine = registry.get("rq")
    assert engine is not None
    if verb in ("stop_worker", "restart_pool"):
        return getattr(engine, verb)(next(worker for worker in engine.workers() if worker.name == name))
    return getattr(engine, verb)(name)


def take_out(id: str, queue_name: str) -> float:
    """Take the job out of the registry of those that are put off, as RQ's own tools can; when it was due."""
    registry = queue(queue_name).scheduled_job_registry
    due = connection.zscore(registry.key, id)
    registry.remove(id)
    return due


def put_back(id: str, queue_name: str, due: float) -> None:
    """Put it back."""
    connection.zadd(queue(queue_name).scheduled_job_registry.key, {id: due})


def give_to_rq_scheduler(id: str, queue_name: str) -> None:
    """Put the job off as rq-scheduler does, which has a list of its own for all queues."""
    connection.zadd("rq:scheduler:scheduled_jobs", {id: take_out(id, queue_name)})


def delete(id: str) -> None:
    """Delete the job's hash, as an eviction does."""
    connection.delete(Job.key_for(id))


def remove(id: str) -> None:
    """Delete the job as RQ does."""
    Job.fetch(id, connection=connection).delete()


def forgotten_while_it_is_let_go(id: str, queue_name: str, times: int) -> int:
    """How often a job was called forgotten while a scheduler let it go and put it off again, so often."""
    engine, status, ended = registry.get("rq"), statuses.at(id), threading.Event()
    assert engine is not None and status.provider_job_id
    found = rq.Queue(queue_name, connection=connection)
    mistakes = 0

    def let_go() -> None:
        while not ended.is_set():
            job = rq.job.Job.fetch(status.provider_job_id, connection=connection)
            with connection.pipeline() as pipe:
                found._enqueue_job(job, pipeline=pipe)
                found.scheduled_job_registry.remove(job.id, pipeline=pipe)
                pipe.execute()
            found.schedule_job(job, datetime.now(UTC) + timedelta(hours=1))
            found.remove(job)

    thread = threading.Thread(target=let_go)
    thread.start()
    try:
        for _ in range(times):
            mistakes += bool(engine.forgotten([status]))
    finally:
        ended.set()
        thread.join()
    return mistakes
