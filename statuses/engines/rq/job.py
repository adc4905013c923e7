"""RQ's Job, which tells its status whatever becomes of it.

Whatever RQ does with a job it does through its class: `save` makes it, `prepare_for_execution` is its start,
`set_status` everything else. The callbacks of a job stay the project's.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import rq
import rq.job
import rq.queue
import rq.scheduler
from rq.job import JobStatus

import statuses
from statuses import KillRequested, State, Status

from .. import attempts
from .adapter import tracker
from .late import last_words
from .marks import FIELD, ROOT_FIELD
from .tracking import Tracking


class Job(rq.job.Job):
    """An RQ job with a status: `Queue(job_class=Job)`, `rq worker --job-class statuses.engines.rq.Job`, or in Django
    `RQ = {"JOB_CLASS": "statuses.engines.rq.Job"}`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._tracking = Tracking(self)
        super().__init__(*args, **kwargs)

    def restore(self, raw_data: Any) -> Any:
        found = super().restore(raw_data)
        self._tracking.restored(raw_data)
        return found

    def to_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        fields = super().to_dict(*args, **kwargs)
        if self._tracking.mark is not None:
            fields[FIELD] = self._tracking.mark.text(fields["created_at"])
            if self._tracking.root is not None:
                fields[ROOT_FIELD] = self._tracking.root
        return fields

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._tracking.written()
        try:
            super().save(*args, **kwargs)
        except Exception as error:
            self._tracking.unwritten(error)
            raise

    def set_status(self, status: JobStatus, *args: Any, **kwargs: Any) -> None:
        if self._tracking.killed and status == JobStatus.FAILED:
            status = JobStatus.STOPPED
        super().set_status(status, *args, **kwargs)
        self._tracking.says(status)

    def prepare_for_execution(self, worker_name: str, pipeline: Any) -> None:
        super().prepare_for_execution(worker_name, pipeline)
        self._tracking.starts(worker_name, pipeline)

    def perform(self) -> Any:
        try:
            self._tracking.refusal()
            if self._tracking.run is not None:
                self._tracking.run.enter()
            return super().perform()
        except KillRequested:
            self._tracking.killed = True
            raise
        except BaseException as error:
            self._tracking.error = error
            raise
        finally:
            if self._tracking.run is not None:
                self._tracking.run.leave()

    @property
    def should_retry(self) -> bool:
        """Whether RQ retries it by itself; not what was killed."""
        return not self._tracking.killed and super().should_retry

    def execute_success_callback(self, *args: Any, **kwargs: Any) -> None:
        super().execute_success_callback(*args, **kwargs)
        self._tracking.succeeds()

    def execute_failure_callback(self, death_penalty_class: Any, *exc_info: Any) -> None:
        if self._tracking.error is None and not self._tracking.killed:
            self._tracking.error = exc_info[1]
        if self._tracking.killed:
            self.execute_stopped_callback(death_penalty_class)
        else:
            super().execute_failure_callback(death_penalty_class, *exc_info)

    def retry(self, *args: Any, **kwargs: Any) -> None:
        # Also called by the worker's main process, which has not seen the job run.
        self._tracking.over = True
        super().retry(*args, **kwargs)

    def _handle_failure(self, exc_string: str, *args: Any, **kwargs: Any) -> None:
        super()._handle_failure(exc_string, *args, **kwargs)
        self._tracking.failed_for(exc_string)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        super().delete(*args, **kwargs)
        self._tracking.cancelled()


def _connect() -> None:
    """See what passes by the class: RQ's scheduler has the plain one built in, unique jobs are written by a script, and
    of the worker nothing is seen before it forks, nor what it says of a process that died."""
    if rq.scheduler.Job is rq.job.Job:
        setattr(rq.scheduler, "Job", Job)  # noqa: B010
    original = rq.Worker.fork_work_horse
    setattr(rq.Worker, "fork_work_horse", _forking(original))  # noqa: B010
    where = next(kind for kind in rq.Worker.__mro__ if "handle_job_failure" in vars(kind))
    setattr(where, "handle_job_failure", _failing(where.handle_job_failure))  # noqa: B010  # ty: ignore
    for name in ("save_unique_job", "schedule_unique_job"):
        write = getattr(rq.queue, name, None)
        if write is not None:
            setattr(rq.queue, name, _unique(write))


def _forking(original: Callable[..., Any]) -> Callable[..., Any]:
    """The worker listens to the process of a job before there is one."""

    @functools.wraps(original)
    def fork(self: Any, job: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(job, Job):
            last_words.listen(functools.partial(_tell, job.connection), tracker().guard.away)
        return original(self, job, *args, **kwargs)

    return fork


def _failing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Why the process of a job died is told here alone where the job is retried."""

    @functools.wraps(original)
    def fail(self: Any, job: Any, queue: Any, started_job_registry: Any = None, exc_string: str = "") -> Any:
        if isinstance(job, Job):
            job._tracking.dies_of(exc_string)
        return original(self, job, queue, started_job_registry, exc_string)

    return fail


def _tell(connection: Any, words: dict[str, Any]) -> None:
    """The end of a job whose process could not tell it, as of its own moment; tried at once, and again when the store is back."""

    def handle() -> Status:
        if words["status"]:
            return statuses.at(words["status"])
        return cast(Job, Job.fetch(words["job"], connection=connection))._tracking.handle()

    def tell() -> bool:
        ago = timedelta(seconds=time.monotonic() - words["ended"])
        return attempts.end(handle(), State(words["state"]), words["attempt"], words["error"], words["data"], ago)

    tracker().guard.run("telling the end of an RQ job", tell, remember=True)


def _unique(original: Callable[..., Any]) -> Callable[..., Any]:
    """The status is there before the job is, and goes again when RQ knows the id already."""

    @functools.wraps(original)
    def write(*args: Any, **kwargs: Any) -> Any:
        job = next((found for found in args if isinstance(found, Job)), None)
        if job is None:
            return original(*args, **kwargs)
        job._tracking.written()
        try:
            return original(*args, **kwargs)
        except Exception:
            job._tracking.withdrawn()
            raise

    return write


_connect()
