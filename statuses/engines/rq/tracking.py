"""What one RQ job, as an object in one process, tells of its status.

The same job is an object in the publisher, in the worker, in the process the worker forks for it, in the scheduler,
in whoever requeues it. Each knows from the mark which attempt it speaks of, and from the state it was read in
whether that attempt has run.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ParamSpec

from rq.job import JobStatus, Retry
from rq.utils import utcformat

import statuses
from statuses import KillRequested, State, Status, StoreUnavailable

from ... import failure
from ...errors import interrupts
from ...states import ENDED
from .. import attempts
from ..runs import Run, beginning_outside
from ..tracker import Tracker
from . import adapter as adapters
from . import again as rq_again
from .late import last_words
from .marks import BEGUN_FIELD, FIELD, PID_FIELD, ROOT_FIELD, Mark, read, read_begun

P = ParamSpec("P")

#: States of a job in RQ that will run, and that waits for its moment, for another job, or (RQ 3) for its turn.
HELD_BACK = frozenset(state for state in JobStatus if state.value in ("scheduled", "deferred", "rate_limited", "ready_to_enqueue"))
#: States of a job in RQ that will run.
WAITING = HELD_BACK | {JobStatus.QUEUED}
#: States of a job whose attempt has run, or never will.
OVER = frozenset({JobStatus.STARTED, JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED})
#: Seconds from the making of a job until it is in its queue, where nothing held it back.
AT_ONCE_SECONDS = 0.1


def quiet(method: Callable[P, None]) -> Callable[P, None]:
    """What RQ calls in passing must not fail it, whatever happens in here; what breaks the job or the worker off is not of in here."""

    @functools.wraps(method)
    def called(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception as error:
            if interrupts(error):
                raise
            adapters.tracker().guard.say("rq", "following an RQ job failed; it goes on untracked", trace=True)

    return called


class Tracking:
    """Follows one RQ job. No method raises, `refusal` apart."""

    def __init__(self, job: Any) -> None:
        self.job = job
        self.mark: Mark | None = None
        self.found: Mark | None = None
        """The mark that the job was read with: not written again, for another process may have moved it on meanwhile."""
        self.put_back = False
        """Whether the job was read as one that waits although a worker has begun with this attempt: what put it back told nobody."""
        self.over = False
        """Whether the attempt in the mark has run: waiting again is the next one."""
        self.waits: State | None = None
        """What was told last of an attempt that waits."""
        self.ended = False
        """Whether the end of this attempt was told, or is not ours to tell."""
        self.killed = False
        """Whether the job died of a kill request."""
        self.error: object = None
        """Why it failed."""
        self.new = False
        """Whether the status was made here, for a job that is not in RQ yet."""
        self.run: Run | None = None
        self.refused: KillRequested | None = None
        self.root: str | None = None
        """Of a new job: what its workflow began with."""

    @property
    def adapter(self) -> Tracker:
        return adapters.tracker()

    @quiet
    def restored(self, fields: Any, *_args: Any, **_kwargs: Any) -> None:
        """The job was read from its hash."""
        self.found = read(fields)
        self.mark, begun = read_begun(fields)
        self.put_back = begun and self.job._status in WAITING
        self.over = self.job._status in OVER or self.put_back
        self.waits = State.unqueued if self.job._status in HELD_BACK else State.queued

    @quiet
    def written(self) -> None:
        """The job is about to be written: a new one becomes a status, and gets its mark."""
        self.new = self.mark is None and self.job._status in WAITING
        if self.new:
            try:
                self.adapter.guard.run("tracking a new job", self._create)
                if self.mark is None and self.adapter.guard.away:
                    self._say_who()
            except BaseException as interrupt:
                self.interrupted(interrupt)
                raise

    def _say_who(self) -> None:
        """The store is away: the job tells the worker, which makes its status, whose it is."""
        meta = self.job.meta
        user = self.adapter.sender(meta.get("user")) if isinstance(meta, dict) else None
        if user is not None:
            meta["user"] = user

    @quiet
    def unwritten(self, error: Exception) -> None:
        """The job could not be written: it cannot be serialised, or RQ's Redis is away."""
        if self.new and self.mark is not None:
            self._ends(State.failed, error)

    def interrupted(self, interrupt: BaseException) -> None:
        """Whoever sends the new job was interrupted before he had written it."""
        if self.new and not self.ended and self.mark is not None and self.mark.status_id is not None:
            self.ended = True
            attempts.not_sent(self.adapter.guard, self.mark.status_id, interrupt)

    def _create(self) -> None:
        job, name = self.job, adapters.job_name(self.job)
        tracked = self.adapter.tracks(name, job.id)
        if tracked is False:
            self.mark = Mark(status_id=None)
        if not tracked:
            return
        before = self._before()
        self.root = self.root or self.adapter.root_here()
        self.waits = State.unqueued if job._status in HELD_BACK else State.queued
        status = self.adapter.create(
            job_name=name,
            provider_job_id=job.id,
            args=job.args,
            kwargs=job.kwargs,
            call=adapters.kept_call(job),
            function=adapters.function_of(job),
            queue=job.origin or None,
            state=self.waits,
            user=job.meta.get("user") if isinstance(job.meta, dict) else None,
            parent=before[0] if before else None,
            depends_on=before or None,
            root=self.root,
        )
        try:
            self.mark = Mark(status_id=status.id)
        except BaseException as interrupt:
            attempts.not_sent(self.adapter.guard, status.id, interrupt)
            raise

    def _before(self) -> list[str]:
        """The statuses of the jobs it waits for; the first one's root becomes its own. One round trip to RQ's Redis where there
        are any."""
        ids = self.job._dependency_ids
        if not ids:
            return []
        with self.job.connection.pipeline(transaction=False) as pipeline:
            for id in ids:
                pipeline.hmget(self.job.key_for(id), FIELD, "created_at", ROOT_FIELD)
            found = pipeline.execute()
        before = []
        for *values, root in found:
            mark = read(dict(zip((FIELD, "created_at"), values, strict=True)))
            if mark is not None and mark.status_id:
                before.append(mark.status_id)
                self.root = self.root or (root.decode(errors="replace") if root else mark.status_id)
        return before

    def adopt(self, mark: Mark) -> None:
        """The job is this attempt, which is told already."""
        self.mark, self.over, self.ended, self.waits = mark, False, False, State.queued

    @quiet
    def withdrawn(self) -> None:
        """RQ refused the new job: its id is taken."""
        if self.mark is not None and self.mark.status_id:
            self.adapter.guard.run("taking back a job that RQ refused", lambda: self.handle().delete(force=True))
        self.mark = None

    def handle(self) -> Status:
        """The job's status, made here when no tracked publisher did. Its errors reach the guard."""
        if self.mark is None:
            self._create()
            if self.mark is not None:
                self.job.connection.hset(self.job.key, FIELD, self.mark.text(utcformat(self.job.created_at)))
        if self.mark is None or self.mark.status_id is None:
            raise statuses.StatusNotFound(self.job.id)
        return statuses.at(self.mark.status_id)

    @property
    def is_tracked(self) -> bool:
        return self.mark is None or self.mark.status_id is not None

    @quiet
    def starts(self, worker_name: str, pipeline: Any, *_args: Any, **_kwargs: Any) -> None:
        """A worker is about to run the job; `refused` when it must not."""
        again, self.over, self.ended, self.error = self.over, True, False, None
        if not self.is_tracked:
            return
        if last_words.is_forked and last_words.store_away:
            self.adapter.guard.lost(StoreUnavailable("its address", "the worker knows that it is away"))
        if self.put_back:
            again = not self.adapter.guard.run("beginning with a job that was put back", self._moved_on)
        self.run = Run(
            tracker=self.adapter,
            job_name=self.job.description or self.job.id,
            handle=self.handle,
            worker=worker_name,
            attempt=self.mark.attempt if self.mark else 0,
            redelivered=again,
            scheduled=_was_scheduled(self.job),
            runs_elsewhere=lambda status: rq_again.may_run(self.job, status, worker_name),
        )
        try:
            self.run.start()
        except KillRequested as asked:
            self.refused, self.ended = asked, True
            if self.run.left_alone:
                rq_again.give_back(self.job, pipeline)
                return
        self._began(self.run, pipeline)

    def _moved_on(self) -> bool:
        """Whether the attempt has ended, so that this is the next one; else it may go on elsewhere. Two round trips at most."""
        status, mark = self.handle().reload(), self.mark
        if mark is None:
            return False
        if status.attempt == mark.attempt and status.state in ENDED:
            attempts.requeue(status, mark.attempt)
            self.mark = mark.next()
        elif status.attempt > mark.attempt and status.state in attempts.WAITING:  # who put it back has told so since the job was read
            self.mark = replace(mark, attempt=status.attempt)
        return self.mark != mark

    def _began(self, run: Run, pipeline: Any) -> None:
        """Write down which attempt runs, or was refused, and where."""
        mark, said = self.mark, {PID_FIELD: str(os.getpid())}
        if mark is not None and mark.status_id:
            if run.told and run.attempt is not None:
                mark = self.mark = replace(mark, attempt=run.attempt)
            said[BEGUN_FIELD] = mark.text(utcformat(self.job.created_at))
            if mark != self.found:
                said[FIELD], self.found = said[BEGUN_FIELD], mark
        pipeline.hset(self.job.key, mapping=said)

    @property
    def left_alone(self) -> bool:
        """Whether this process has to leave the job as it is, to whoever runs it."""
        return self.run is not None and self.run.left_alone

    def refusal(self) -> None:
        """Raises: KillRequested when the job must not run."""
        if self.refused is not None:
            refused, self.refused = self.refused, None
            raise refused

    @quiet
    def says(self, status: JobStatus) -> None:
        """RQ gives the job a new state."""
        if not self.is_tracked:
            return
        if status in WAITING:
            self._waits(State.queued if status == JobStatus.QUEUED else State.unqueued)
        elif status == JobStatus.FINISHED:
            self.succeeds()
        elif status == JobStatus.FAILED:
            self._ends(State.failed, self.error or _retried_too_often(self.job))
        elif status == JobStatus.STOPPED:
            self._ends(State.killed)
        elif status == JobStatus.CANCELED:
            self.cancelled()

    def _waits(self, state: State) -> None:
        mark = self._known_mark() if self.over else self.mark
        if mark is None or mark.status_id is None:
            return
        id = mark.status_id
        if self.over:
            with beginning_outside(self.error, *self.adapter.folders):
                self.adapter.guard.run(
                    "queueing a job again",
                    lambda: attempts.requeue(statuses.at(id), mark.attempt, self.error, state is State.unqueued),
                )
            self.mark, self.over, self.error, self.ended = mark.next(), False, None, False
        elif state is State.queued and self.waits is State.unqueued:
            self.is_let_go()
        self.waits = state

    @quiet
    def is_let_go(self) -> None:
        """What held the job back does no more: it is in its queue."""
        mark = self.mark
        if mark is not None and mark.status_id is not None:
            id = mark.status_id
            self.adapter.guard.run(
                "queueing a job that is due",
                lambda: statuses.at(id).queued(attempt=mark.attempt, sources={State.unqueued}),
            )

    @quiet
    def is_put_back(self) -> None:
        """The job, read just now, was put back by what knows nothing of marks: the next attempt waits. One round trip to the store and one
        to RQ's Redis."""
        if self.put_back:
            self._waits(State.unqueued if self.job._status in HELD_BACK else State.queued)
            if self.mark is not None and self.mark != self.found:
                self.job.connection.hset(self.job.key, FIELD, self.mark.text(utcformat(self.job.created_at)))

    @quiet
    def reread(self) -> None:
        """Another process may have moved the job on since it was read, or made. One round trip to RQ's Redis."""
        names = (FIELD, BEGUN_FIELD)
        fields: dict[str, Any] = dict(zip(names, self.job.connection.hmget(self.job.key, names), strict=True))
        mark, _begun = read_begun({**fields, "created_at": utcformat(self.job.created_at)})
        self.mark = mark or self.mark

    def _known_mark(self) -> Mark | None:
        """The mark; where the job was read before another process gave it one, read once more."""
        if self.mark is None:
            fields = {FIELD: self.job.connection.hget(self.job.key, FIELD), "created_at": utcformat(self.job.created_at)}
            self.mark = read(fields)
        return self.mark

    @quiet
    def succeeds(self) -> None:
        """The job's function has returned, and so has the project's own callback."""
        self._ends(State.succeeded, result=self.job._result)

    def _ends(self, state: State, error: object = None, result: object = None) -> None:
        if self.ended:
            return
        self.ended = True
        if self.run is not None:
            run = self.run
            self.adapter.guard.over("the end of a job", lambda: self._tell_end(run, state, error, result))
            return
        mark = self._known_mark()
        if self.is_tracked:
            attempt = mark.attempt if mark is not None else None
            self.adapter.end(self.handle, self.job.description or self.job.id, state, attempt, error, result)

    def _tell_end(self, run: Run, state: State, error: object, result: object) -> None:
        run.leave()  # where that was interrupted
        run.end(state, error, result)
        if run.tracked and self.adapter.guard.away and last_words.is_forked:
            self._leave_word(run, state, error, result)

    def _leave_word(self, run: Run, state: State, error: object, result: object) -> None:
        """Let the worker tell the end, once the store is back."""
        with beginning_outside(error, *self.adapter.folders):
            said = failure.describe(error).text if isinstance(error, BaseException) else json.dumps(error)
        last_words.say(
            {
                "job": self.job.id,
                "status": self.mark.status_id if self.mark is not None else None,
                "attempt": run.attempt,
                "state": state.value,
                "error": json.loads(said),
                "data": self.adapter.data_of(result),
                "ended": time.monotonic(),  # of this machine, the same in every process
            }
        )

    @quiet
    def raised(self, *args: Any, **kwargs: Any) -> None:
        """RQ knows what failed; the job's function may have not."""
        if self.error is None and not self.killed:
            self.error = next((found for found in (*args, *kwargs.values()) if isinstance(found, BaseException)), None)

    @quiet
    def dies_of(self, *args: Any, exc_string: str = "", **_kwargs: Any) -> None:
        """Why its worker says that it failed, where nothing of it ran in this process."""
        if self.run is not None:
            return
        if self.over:  # when it was read: the attempt that has died may be the next one
            self.reread()
        if self.error is None and not self.killed:
            self.error = (exc_string or next((found for found in reversed(args) if isinstance(found, str)), "")).strip() or None

    @quiet
    def failed_for(self, exc_string: str, *_args: Any, **_kwargs: Any) -> None:
        """Why the job failed, in words: told after its end where no exception was seen, as of a process that died."""
        mark = self.mark
        if self.error is None and not self.killed and self.job._status == JobStatus.FAILED and mark and mark.status_id:
            self.error, status_id = exc_string, mark.status_id
            self.adapter.guard.run(
                "telling why a job failed", lambda: statuses.at(status_id).add_error(exc_string.strip(), attempt=mark.attempt)
            )

    @quiet
    def cancelled(self) -> None:
        """Somebody took a job that waits out of RQ."""
        mark = self.mark
        if mark is None or mark.status_id is None or self.ended or self.run is not None:
            return
        status_id = mark.status_id
        self.adapter.guard.run(
            "telling that a job was cancelled", lambda: statuses.at(status_id).killed(attempt=mark.attempt, sources=attempts.WAITING)
        )


def _was_scheduled(job: Any) -> bool:
    """Whether it came into its queue later than it was made. A scheduler without our class tells nobody."""
    return job.enqueued_at is not None and (job.enqueued_at - job.created_at).total_seconds() > AT_ONCE_SECONDS


def _retried_too_often(job: Any) -> object:
    """Why a job failed that returned `Retry` until RQ had enough."""
    return f"it returned {job._result!r} once more than it may" if isinstance(job._result, Retry) else None
