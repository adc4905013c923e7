"""RQ's Job, which tells its status whatever becomes of it.

Whatever RQ does with a job it does through its class: `save` makes it, `prepare_for_execution` is its start,
`set_status` everything else. The callbacks of a job stay the project's.
"""

from __future__ import annotations

import functools
import importlib
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import rq
import rq.job
import rq.queue
import rq.registry
import rq.scheduler
from rq.executions import Execution
from rq.job import JobStatus

import statuses
from statuses import KillRequested, State, Status

from ...errors import interrupts
from .. import attempts
from . import again
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

    def restore(self, *args: Any, **kwargs: Any) -> Any:
        found = super().restore(*args, **kwargs)
        self._tracking.restored(*args, **kwargs)
        return found

    def to_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        fields = super().to_dict(*args, **kwargs)
        if self._tracking.mark is not None and self._tracking.mark != self._tracking.found:
            fields[FIELD] = self._tracking.mark.text(fields["created_at"])
            if self._tracking.root is not None:
                fields[ROOT_FIELD] = self._tracking.root
        return fields

    def save(self, *args: Any, **kwargs: Any) -> None:
        try:
            self._tracking.written()
            super().save(*args, **kwargs)
        except BaseException as error:
            if interrupts(error):
                self._tracking.interrupted(error)
            else:
                self._tracking.unwritten(cast(Exception, error))
            raise

    def set_status(self, status: JobStatus, *args: Any, **kwargs: Any) -> None:
        if self._tracking.killed and status == JobStatus.FAILED:
            status = JobStatus.STOPPED
        super().set_status(status, *args, **kwargs)
        self._tracking.says(status)

    def prepare_for_execution(self, *args: Any, **kwargs: Any) -> None:
        super().prepare_for_execution(*args, **kwargs)
        self._tracking.starts(*args, **kwargs)

    def perform(self, *args: Any, **kwargs: Any) -> Any:
        try:
            self._tracking.refusal()
            if self._tracking.run is not None:
                self._tracking.run.enter()
            return super().perform(*args, **kwargs)
        except KillRequested:
            self._tracking.killed = True
            raise
        except BaseException as error:
            self._tracking.error = error
            raise
        finally:
            if self._tracking.run is not None:
                tracker().guard.over("the end of a job", self._tracking.run.leave)

    @property
    def should_retry(self) -> bool:
        """Whether RQ retries it by itself; not what was killed."""
        return not self._tracking.killed and super().should_retry

    def retry(self, *args: Any, **kwargs: Any) -> None:
        # Also called by the worker's main process, which has not seen the job run.
        self._tracking.over = True
        super().retry(*args, **kwargs)

    def _handle_failure(self, *args: Any, **kwargs: Any) -> None:
        super()._handle_failure(*args, **kwargs)
        self._tracking.failed_for(*args, **kwargs)

    def requeue(self, *args: Any, **kwargs: Any) -> Any:
        self._tracking.reread()
        self._tracking.over = True
        return super().requeue(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        super().delete(*args, **kwargs)
        self._tracking.cancelled()


def _connect() -> None:
    """See what passes by the class: RQ's scheduler has the plain one built in, unique jobs are written by a script, and
    of the worker nothing is seen before it forks, nor what it says of a process that died."""
    if getattr(rq.scheduler, "Job", None) is rq.job.Job:
        setattr(rq.scheduler, "Job", Job)  # noqa: B010
    for name, wrapper in (("fork_work_horse", _forking), ("handle_job_failure", _failing), ("handle_job_success", _succeeding)):
        where = next((kind for kind in rq.Worker.__mro__ if name in vars(kind)), None)
        if where is not None:
            setattr(where, name, wrapper(getattr(where, name)))
    setattr(rq.registry.BaseRegistry, "requeue", _requeueing(rq.registry.BaseRegistry.requeue))  # noqa: B010
    for name in ("save_unique_job", "schedule_unique_job"):
        _wrap_in_modules(name, _unique)
    registry = getattr(sys.modules.get("rq.rate_limit"), "RateLimitRegistry", None)
    for name in ("acquire_and_enqueue", "release_and_enqueue", "release_stale_and_enqueue"):
        if hasattr(registry, name):
            setattr(registry, name, _letting_go(getattr(registry, name)))
    if hasattr(rq.job.Job, "execute_failure_callback"):
        setattr(Job, "execute_failure_callback", _calling_back(rq.job.Job.execute_failure_callback))  # noqa: B010
    else:  # since RQ 3 it is no method of the job
        _wrap_in_modules("execute_failure_callback", _calling_back)


def _wrap_in_modules(name: str, wrapper: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """A function of RQ, in each of its modules: they take it over from the one that defines it."""
    modules = [module for path, module in list(sys.modules.items()) if path.partition(".")[0] == "rq" and name in vars(module)]
    wrapped = {original: wrapper(original) for original in {vars(module)[name] for module in modules}}
    for module in modules:
        setattr(module, name, wrapped[vars(module)[name]])


def _requeueing(original: Callable[..., Any]) -> Callable[..., Any]:
    """What is requeued from here with the plain class, as by `rq.job.requeue_job` and so by django-rq's own pages."""

    @functools.wraps(original)
    def requeue(*args: Any, **kwargs: Any) -> Any:
        job = original(*args, **kwargs)
        if not isinstance(job, Job):
            tracker().guard.run("telling that a job was put back", lambda: put_back(job))
        return job

    return requeue


def put_back(job: rq.job.Job) -> None:
    """Tell that the job was requeued, and not through our class. Two round trips to RQ's Redis, one to the store."""
    found = cast(Job, Job.fetch(job.id, connection=job.connection, serializer=job.serializer))
    found._tracking.is_put_back()


def _letting_go(original: Callable[..., Any]) -> Callable[..., Any]:
    """Jobs that had to wait for others of their kind (RQ 3) are put into their queues by a script, which gives their ids."""

    @functools.wraps(original)
    def let_go(self: Any, *args: Any, **kwargs: Any) -> Any:
        ids = original(self, *args, **kwargs)
        if ids:
            tracker().guard.run("queueing jobs whose turn it is", lambda: _queued(ids, self.connection))
        return ids

    return let_go


def _queued(ids: list[str], connection: Any) -> None:
    """One round trip to RQ's Redis, and one to the store for each job."""
    for job in Job.fetch_many(ids, connection=connection):
        if isinstance(job, Job):
            job._tracking.is_let_go()


def _among(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Job | None:
    """Our job among the arguments of a function of RQ, wherever it stands in this version of it."""
    return next((found for found in (*args, *kwargs.values()) if isinstance(found, Job)), None)


def _forking(original: Callable[..., Any]) -> Callable[..., Any]:
    """The worker listens to the process of a job before there is one."""

    @functools.wraps(original)
    def fork(*args: Any, **kwargs: Any) -> Any:
        job = _among(args, kwargs)
        if job is not None:
            last_words.listen(functools.partial(_tell, job.connection), tracker().guard.away)
        return original(*args, **kwargs)

    return fork


def _failing(original: Callable[..., Any]) -> Callable[..., Any]:
    """Why the process of a job died is told here alone where the job is retried."""

    @functools.wraps(original)
    def fail(*args: Any, **kwargs: Any) -> Any:
        job = _among(args, kwargs)
        if job is not None and job._tracking.left_alone:
            return again.let_go(args[0], job, next((found for found in (*args, *kwargs.values()) if isinstance(found, Execution)), None))
        if job is not None:
            job._tracking.dies_of(*args, **kwargs)
        return original(*args, **kwargs)

    return fail


def _succeeding(original: Callable[..., Any]) -> Callable[..., Any]:
    """The job's function has returned, and so has the project's own callback. Of a job whose result RQ does not keep it gives no
    `finished` to `set_status`."""

    @functools.wraps(original)
    def succeed(*args: Any, **kwargs: Any) -> Any:
        job = _among(args, kwargs)
        if job is not None:
            job._tracking.succeeds()
        return original(*args, **kwargs)

    return succeed


def _calling_back(original: Callable[..., Any]) -> Callable[..., Any]:
    """RQ is about to call what the project wants called once the job has failed, and knows why: also where not the job's function did,
    but what comes after it. A job that was killed has not failed, and calls what is for a job that was stopped."""

    @functools.wraps(original)
    def call_back(*args: Any, **kwargs: Any) -> Any:
        job = _among(args, kwargs)
        if job is None:
            return original(*args, **kwargs)
        if job._tracking.left_alone:
            return None
        job._tracking.raised(*args, **kwargs)
        if not job._tracking.killed:
            return original(*args, **kwargs)
        if hasattr(job, "execute_stopped_callback"):
            return job.execute_stopped_callback(*args[1:2])
        return importlib.import_module("rq.callbacks").execute_stopped_callback(*args[:2])

    return call_back


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
        job = _among(args, kwargs)
        if job is None:
            return original(*args, **kwargs)
        job._tracking.written()
        try:
            return original(*args, **kwargs)
        except Exception as error:
            if not interrupts(error):  # else it may have been written
                job._tracking.withdrawn()
            raise

    return write


_connect()
