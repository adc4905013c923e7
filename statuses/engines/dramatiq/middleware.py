"""Dramatiq's own way to follow messages.

Whether a failed attempt is retried is the Retries middleware's to decide, after ours has seen the exception: the attempt
ends when its message is enqueued again, rejected or acknowledged, whichever comes.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ParamSpec
from uuid import uuid4

from dramatiq.common import q_name
from dramatiq.middleware import Middleware, SkipMessage

import statuses
from statuses import KillRequested, State, Status, StatusExists, StatusNotFound

from ...errors import Superseded, interrupted, interrupts, is_limit
from .. import again, attempts
from ..guard import Passing
from ..reporting import here
from ..runs import Run
from ..tracker import Tracker, own_id
from ..who import kept_name
from .messages import USER, kept_call, read, retries_of, write

P = ParamSpec("P")

#: Where a message keeps its run, from its start until it is acknowledged.
RUN = "_statuses_run"


@dataclass(kw_only=True)
class Processing:
    """A message in a worker, from its start until Dramatiq has let go of it."""

    run: Run
    user: str | None = None
    """Whose job it is, as its message says."""
    error: BaseException | None = None
    """What its actor raised; told once it is known what becomes of the message."""
    over: bool = False
    """Whether its end, or its next attempt, was told."""


#: What the message enqueued here comes from: the one whose actor has just ended, in this thread.
_after: ContextVar[tuple[Any, Processing] | None] = ContextVar("statuses_dramatiq_after", default=None)
#: Whether the message enqueued here is told already.
_told: ContextVar[bool] = ContextVar("statuses_dramatiq_told", default=False)
#: The group in which the message enqueued here is sent.
_group: ContextVar[str | None] = ContextVar("statuses_dramatiq_group", default=None)
#: Ids of the statuses that were made for the message enqueued here, or have their next attempt with it, each with that attempt.
_made: ContextVar[list[tuple[str, int]] | None] = ContextVar("statuses_dramatiq_made", default=None)


def over(hook: Callable[P, None]) -> Callable[P, None]:
    """A hook, which does no harm twice, that is called once an actor is over. The limit of time holds until its middleware is called in
    turn, after ours: see `Guard.over`, which is written out here, for a limit that fell in on the way to it would pass. What it would
    raise ends the thread, or runs again what has succeeded."""

    @functools.wraps(hook)
    def called(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            return hook(*args, **kwargs)
        except BaseException as interrupt:
            if not is_limit(interrupt):
                raise
            args[0].guard.lost(interrupted("the end of a job", interrupt))  # ty: ignore[missing-attribute]
        return hook(*args, **kwargs)

    return called


class Tracking(Middleware):
    """The middleware; made by `install`. No hook raises, but SkipMessage for a job that must not start."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.guard = tracker.guard
        self.worker = here()

    def after_process_boot(self, broker: Any, *_: Any, **__: Any) -> None:
        self.worker = here()

    def after_worker_shutdown(self, broker: Any, worker: Any, *_: Any, **__: Any) -> None:
        self.guard.last_words()

    def before_enqueue(self, broker: Any, message: Any, delay: int | None, *_: Any, **__: Any) -> None:
        try:
            return None if _told.get() else self._enqueued(broker, message, bool(delay))
        except BaseException as interrupt:
            if not interrupts(interrupt):
                raise
            if _after.get() is None or not is_limit(interrupt):
                for status_id, attempt in _made.get() or ():
                    if not attempt:
                        attempts.not_sent(self.guard, status_id, interrupt)
                if not isinstance(interrupt, Exception):
                    raise
                raise Passing(interrupt) from None  # Dramatiq lets no Exception of a middleware through
            # Its actor has ended: the message would not be sent, and the thread would end.
            self.guard.lost(interrupted("the end of a job", interrupt))
        return self._enqueued(broker, message, bool(delay))

    def _enqueued(self, broker: Any, message: Any, later: bool) -> None:
        after = _after.get()
        if after is not None and after[0] == message.message_id:
            self._next_attempt(message, after[1], later)
            return
        mark, what = read(message), f"tracking a message of {message.actor_name}"
        if mark is None:
            before = after[1] if after is not None else None
            self.guard.run(what, lambda: self._new(broker, message, later, before))
            if read(message) is None and self.guard.away:
                self._say_who(message, before)
        elif mark.status_id is not None and not later:
            self._due(what, mark.status_id, mark.attempt)

    def _say_who(self, message: Any, before: Processing | None) -> None:
        """The store is away: the message tells the worker, which makes its status, whose job it is."""
        user = self.tracker.sender(message.options.get(USER)) or (before.user if before is not None else None)
        if user is not None:
            message.options[USER] = user

    def _next_attempt(self, message: Any, processing: Processing, later: bool) -> None:
        """The Retries middleware sends the message again. Its options say so already."""
        processing.over = True
        run = processing.run
        run.requeue(processing.error, scheduled=later)
        if run.attempt is not None and run.status_id is not None:
            write(message, run.status_id, run.attempt + 1, later)
            _note(run.status_id, run.attempt + 1)

    def _due(self, what: str, status_id: str, attempt: int) -> None:
        """A message for later waits from now on, perhaps until the store is back; also one that was taken for lost."""
        waits = frozenset({State.unqueued, State.unknown})
        self.guard.run(what, lambda: statuses.at(status_id).queued(attempt=attempt, sources=waits), remember=True)

    def _new(self, broker: Any, message: Any, later: bool, before: Processing | None) -> None:
        tracked = self.tracker.tracks(message.actor_name, message.message_id)
        if tracked is False:
            write(message, None)
        if not tracked:
            return
        above = before.run.status_id if before is not None else None
        root = before.run.root if before is not None else self.root_of_group(_group.get())
        status = self._create(broker, message, later, above=above, root=root, after=before.run if before is not None else None)
        try:
            _note(status.id)
            write(message, status.id, later=later)
        except BaseException as interrupt:
            if read(message) is None:
                attempts.not_sent(self.guard, status.id, interrupt)
            raise

    def root_of_group(self, group: str | None) -> str | None:
        """The root of what is sent in a group: that of the job which sends it, else the group."""
        return group and (self.tracker.root_here() or group)

    def plan(self, broker: Any, message: Any, awaited: list[str], group: str) -> Status | None:
        """A status for a message that is sent once those of these ids have succeeded; None where it is not tracked.
        The message gets its mark. One or two round trips."""
        if not self.tracker.tracks(message.actor_name, message.message_id):
            return None
        root = self.root_of_group(group)
        status = self._create(broker, message, later=True, root=root, awaited=awaited)
        write(message, status.id, later=True)
        return status

    def _create(
        self,
        broker: Any,
        message: Any,
        later: bool,
        id: str | None = None,
        above: str | None = None,
        root: str | None = None,
        awaited: list[str] | None = None,
        after: Run | None = None,
    ) -> Status:
        actor = broker.actors.get(message.actor_name)
        return self.tracker.create(
            id=id,
            job_name=message.actor_name,
            provider_job_id=message.message_id,
            args=message.args,
            kwargs=message.kwargs,
            call=kept_call(message),
            function=getattr(actor, "fn", None),
            queue=q_name(message.queue_name),
            state=State.unqueued if later else State.queued,
            user=message.options.get(USER),
            parent=above,
            depends_on=awaited or ([above] if above else None),
            root=root,
            after=after,
        )

    def _handle(self, broker: Any, message: Any) -> Status:
        """The status a message is about, made here when no tracked publisher sent it."""
        mark = read(message)
        if mark is not None and mark.status_id is not None:
            return statuses.at(mark.status_id)
        id = own_id(self.tracker.name, message.message_id)
        try:
            return statuses.at(id)
        except StatusNotFound:
            pass
        try:
            return self._create(broker, message, later=False, id=id)
        except StatusExists:
            return statuses.at(id)

    def _run(self, broker: Any, message: Any) -> Run | None:
        """A run for this delivery, None where its job is not tracked."""
        mark = read(message)
        if mark.status_id is None if mark is not None else not self.tracker.tracks(message.actor_name, message.message_id):
            return None
        return Run(
            tracker=self.tracker,
            job_name=message.actor_name,
            handle=lambda: self._handle(broker, message),
            worker=self.worker,
            attempt=mark.attempt if mark is not None else retries_of(message),
            redelivered=True,  # one start for each delivery: of an attempt that runs already it is another one
            sent_as=message.message_id,
            scheduled=mark is not None and mark.later,
            runs_elsewhere=lambda status: again.may_run(self.tracker.name, status, self.worker),
        )

    def before_process_message(self, broker: Any, message: Any, *_: Any, **__: Any) -> None:
        _after.set(None)  # where the message before could not be acknowledged nobody has let go of it
        run = self._run(broker, message)
        if run is None:
            return
        setattr(message, RUN, Processing(run=run, user=kept_name(message.options.get(USER))))
        try:
            run.start()
        except KillRequested as asked:
            message.__dict__[RUN].over = True
            if isinstance(asked, Superseded) or run.left_alone:
                # The Results middleware keeps None of a skipped message, under the id that its retry has, too, and an earlier run of it:
                # that has not ended.
                message.options["store_results"] = False
            raise SkipMessage(str(asked)) from asked
        run.enter()

    @over
    def after_process_message(
        self, broker: Any, message: Any, *_: Any, result: object = None, exception: BaseException | None = None, **__: Any
    ) -> None:
        processing = message.__dict__.get(RUN)
        if processing is None:
            return
        processing.run.leave()
        _after.set((message.message_id, processing))
        if isinstance(exception, KillRequested):
            processing.over = True
            # The Retries middleware comes after this one: what an actor `throws` it lets be.
            message.options["throws"] = KillRequested
            processing.run.end(State.killed)
        elif exception is not None:
            processing.error = exception
        elif not message.failed:
            processing.over = True
            processing.run.end(State.succeeded, result=result)

    @over
    def after_skip_message(self, broker: Any, message: Any, *_: Any, **__: Any) -> None:
        """Ours to refuse, or another middleware's: an age limit."""
        processing = message.__dict__.get(RUN) or self._unseen(broker, message)
        if processing is None:
            return
        processing.run.leave()
        if not processing.over:
            why = sys.exc_info()[1]
            processing.run.end(State.killed, error=str(why) if why is not None else "it was skipped")
            processing.over = True

    def after_nack(self, broker: Any, message: Any, *_: Any, **__: Any) -> None:
        self._let_go(message, message.__dict__.get(RUN) or self._unseen(broker, message))

    def after_ack(self, broker: Any, message: Any, *_: Any, **__: Any) -> None:
        self._let_go(message, message.__dict__.get(RUN))

    def _unseen(self, broker: Any, message: Any) -> Processing | None:
        """Of a message that never came to its start: its actor is unknown, or another middleware has skipped it."""
        run = self._run(broker, message)
        if run is None:
            return None
        run.told = True  # there was no start to tell
        return Processing(run=run, error=getattr(message, "_exception", None))

    def _let_go(self, message: Any, processing: Processing | None) -> None:
        """Dramatiq is done with the message: what it raised was final."""
        _after.set(None)
        if processing is None:
            return
        message.__dict__.pop(RUN, None)
        if not processing.over:
            processing.over = True
            processing.run.end(State.failed, error=processing.error)


@contextmanager
def grouped() -> Generator[str]:
    """Gives the id of the group that the messages enqueued inside the block are members of; of groups within each other the outermost."""
    token = _group.set(group := _group.get() or str(uuid4()))
    try:
        yield group
    finally:
        _group.reset(token)


@contextmanager
def told_already() -> Generator[None]:
    token = _told.set(True)
    try:
        yield
    finally:
        _told.reset(token)


def _note(status_id: str, attempt: int = 0) -> None:
    made = _made.get()
    if made is not None:
        made.append((status_id, attempt))


@contextmanager
def sending() -> Generator[list[tuple[str, int]]]:
    """Gives the ids of the statuses that are made, or have their next attempt, with messages enqueued inside the block, each with it."""
    made: list[tuple[str, int]] = []
    token = _made.set(made)
    try:
        yield made
    finally:
        _made.reset(token)
