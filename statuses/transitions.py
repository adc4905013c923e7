"""The verbs of a status: each one atomic round trip, safe with many writers."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

from . import clock, encoding, failure, keeping, resource, scripts
from .arguments import checked_call, flag, natural, shown, span
from .columns import KEPT_FOR_EVER
from .engines import registry
from .errors import EngineCannot, KillRequested, NotCompleted, ReadOnlyAttempt, StatusNotFound
from .ids import Place
from .states import State
from .store import Store

if TYPE_CHECKING:
    from .status import Status

MESSAGE_LENGTH = 1000


class Transitions:
    """What one can do to a job's status. A Status is all of this and what can be read."""

    id: str
    changed: bool
    archived: bool
    _store: Store

    def _place(self) -> Place:
        raise NotImplementedError

    def _forget(self) -> None:
        raise NotImplementedError

    def _is_elsewhere(self) -> bool:
        raise NotImplementedError

    def _write(self, action: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        if self.archived:
            raise ReadOnlyAttempt(self.id)
        result = self._act(action, *arguments, **more)
        self._forget()
        self.changed = bool(result[0] if isinstance(result, tuple) else result is not False)
        return result

    def _act(self, action: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        try:
            result = action(self._store, self._place(), self.id, *arguments, **more)
        except StatusNotFound:
            if not self._is_elsewhere():
                raise
            result = action(self._store, self._place(), self.id, *arguments, **more)
        recorder = self._store.recorder
        if recorder is not None:
            recorder.told(self, action, arguments, result)
        return result

    def _enter(self, state: State, attempt: int | None, sources: Collection[str] | None) -> Self:
        self._write(scripts.move, state, _guard(attempt, sources))
        return self

    def _end(
        self,
        state: State,
        attempt: int | None,
        sources: Collection[str] | None,
        error: object,
        data: object,
        silent_for: timedelta | None = None,
        ago: timedelta | None = None,
    ) -> Self:
        if error is None and data is None and silent_for is None and ago is None:
            return self._enter(state, attempt, sources)
        kept = None if error is None else failure.describe(error)
        described = None if kept is None else (kept.text, kept.group, kept.summary)
        text = None if data is None else encoding.dumps(data, "data")
        spans = [None if found is None else found // clock.MICROSECOND for found in (span("silent_for", silent_for), span("ago", ago))]
        self._write(scripts.finish, state, _guard(attempt, sources), described, text, *spans)
        return self

    def unqueued(self, *, attempt: int | None = None, sources: Collection[str] | None = None) -> Self:
        """Enter `unqueued`. With `attempt` or `sources` (states it may leave) only where they fit; `changed` tells."""
        return self._enter(State.unqueued, attempt, sources)

    def queued(self, *, attempt: int | None = None, sources: Collection[str] | None = None) -> Self:
        """Enter `queued`."""
        return self._enter(State.queued, attempt, sources)

    def started(
        self,
        worker: str | None = None,
        *,
        attempt: int | None = None,
        sources: Collection[str] | None = None,
        refuse_killed: bool = False,
        alive: bool = False,
    ) -> Self:
        """Enter `started`; a job that started already is restarted: its attempt is archived in the same step.

        With `attempt`, that attempt having started already changes nothing. With `refuse_killed` a job that is
        killed or was asked to die does not start. Raises: KillRequested then.
        `alive`: the start is a heartbeat, whoever starts it sends more of them."""
        text = encoding.text(worker, "worker")
        self._write(scripts.start, text, _guard(attempt, sources), refuse_killed, alive)
        return self

    def succeeded(
        self,
        *,
        attempt: int | None = None,
        sources: Collection[str] | None = None,
        data: object = None,
        silent_for: timedelta | None = None,
        ago: timedelta | None = None,
    ) -> Self:
        """Enter `succeeded`; progress becomes 1.0. `data` is kept where the job saved none, in the same step.
        `silent_for`, `ago`: as `failed` has them."""
        return self._end(State.succeeded, attempt, sources, None, data, silent_for, ago)

    def failed(
        self,
        *,
        attempt: int | None = None,
        sources: Collection[str] | None = None,
        error: object = None,
        silent_for: timedelta | None = None,
        ago: timedelta | None = None,
    ) -> Self:
        """Enter `failed`, with an error (see `add_error`) in the same step.
        `silent_for`: only where the job gave heartbeats, and none for longer than that, looked at in the same step.
        `ago`: it ended so long ago, and is told late."""
        return self._end(State.failed, attempt, sources, error, None, silent_for, ago)

    def killed(
        self,
        *,
        attempt: int | None = None,
        sources: Collection[str] | None = None,
        error: object = None,
        silent_for: timedelta | None = None,
        ago: timedelta | None = None,
    ) -> Self:
        """Enter `killed`, with an error (see `add_error`) in the same step. `silent_for`, `ago`: as `failed` has them."""
        return self._end(State.killed, attempt, sources, error, None, silent_for, ago)

    def unknown(self, *, attempt: int | None = None, sources: Collection[str] | None = None) -> Self:
        """Enter `unknown`: nobody can tell any more what the job does."""
        return self._enter(State.unknown, attempt, sources)

    def requeued(
        self,
        *,
        attempt: int | None = None,
        sources: Collection[str] | None = None,
        scheduled: bool = False,
        ran: bool = False,
        failed: bool = False,
        anew: bool = False,
    ) -> Self:
        """An engine queued the job again: its attempt is archived at once, the new one waits from now on.
        `scheduled`: for later; the new attempt is unqueued, and waits from the moment it is queued. `ran`: the attempt is
        over even where its start was never told. `failed`: it goes into history as failed, never seen as such before.
        `anew`: somebody wants it to run after all; that it was asked to die is forgotten, which otherwise holds until it is killed."""
        target = State.unqueued if scheduled else State.queued
        self._write(scripts.requeue, _guard(attempt, sources), target, ran, failed, anew)
        return self

    def set_progress(self, at: float, out_of: float | None = None, *, message: str | None = None) -> Self:
        """`0 <= at <= 1`, or `0 <= at <= out_of`. ValueError otherwise. A message given replaces the last one; it is one line, of which
        1,000 characters are kept: a longer one ends in "…". Of a job that gives heartbeats it is one more."""
        fields = {"g": _progress(at, out_of)}
        if message is not None:
            if not isinstance(message, str):
                raise TypeError(f"message must be a string, not {type(message).__name__}")
            fields["m"] = failure.clean(message, MESSAGE_LENGTH) if message else ""
        self._write(scripts.note, fields, alive=True)
        return self

    def heartbeat(self) -> Self:
        """The job is alive: a started job whose last heartbeat is old is stale."""
        self._write(scripts.note, {}, heartbeat=True)
        return self

    def save(self, data: object, *, unless_kept: bool = False) -> Self:
        """Keep `data`, any JSON, in place of what was kept (None: nothing is kept any more); `unless_kept`: only where there is none.
        TypeError/ValueError when it is no JSON."""
        self._write(scripts.note, {}, data="" if data is None else encoding.dumps(data, "data"), unless_kept=unless_kept)
        return self

    def add_error(self, error: object, *, attempt: int | None = None) -> Self:
        """One more error of this attempt: an exception (class, message, traceback) or any JSON."""
        kept = failure.describe(error)
        self._write(scripts.add_error, kept.text, kept.group, kept.summary, None if attempt is None else natural("attempt", attempt))
        return self

    def _label(self, name: str, value: str | None) -> Self:
        self._write(scripts.label, {name: encoding.text(value, name)})
        return self

    def set_job_name(self, job_name: str | None) -> Self:
        """Name the job."""
        return self._label("job_name", job_name)

    def set_queue(self, queue: str | None) -> Self:
        """Say which queue the job is in."""
        return self._label("queue", queue)

    def set_user(self, user: str | None) -> Self:
        """Say who started the job."""
        return self._label("user", user)

    def set_worker(self, worker: str | None) -> Self:
        """Say which worker runs the job."""
        return self._label("worker", worker)

    def set_engine(self, engine: str | None) -> Self:
        """Say which engine runs the job."""
        return self._label("engine", engine)

    def set_job_args(self, job_args: Mapping[str, Any] | None) -> Self:
        """Replace the resources the job works on."""
        kept = resource.normalise(job_args)
        text = encoding.dumps(kept, "job_args") if kept else ""
        self._retag("a", text, [("r", found) for found in resource.texts(kept)])
        return self

    def set_provider_job_id(self, provider_job_id: str | None) -> Self:
        """Replace the engine's own id."""
        text = encoding.text(provider_job_id, "provider_job_id") or ""
        self._retag("p", text, [("p", text)] if text else [])
        return self

    def set_call(self, call: Mapping[str, Any]) -> Self:
        """Replace the engine's call, `{"args": [...], "kwargs": {...}}` and what it needs to send it again: for a job that was
        there before its call was known."""
        self._write(scripts.note, {"k": encoding.dumps({"call": checked_call(call)}, "call")})
        return self

    def _retag(self, field: str, text: str, tags: Sequence[scripts.Tag]) -> None:
        present = self._known_field(field)
        while True:
            try:
                self._write(scripts.retag, field, (present, _tags(field, present)), (text, tags))
                return
            except scripts.FieldMoved as moved:
                present = moved.present

    def _known_field(self, field: str) -> str:
        raise NotImplementedError

    def keep_for(self, time: timedelta | None) -> Self:
        """How long after its end the status is kept; None: as the retention policy says."""
        self._write(scripts.label, {}, keep_for_us(time))
        return self

    def keep_until_deleted(self, instance: Any) -> Self:
        """Keep the status for ever, until `instance` (a model instance, or its text) is deleted: then as the retention
        policy says. `keep_for()` ends that. Raises: ValueError when it is none of the resources the job works on."""
        text = awaited(self._store, instance, resource.texts(self._status().job_args))
        self._write(scripts.label, {}, KEPT_FOR_EVER, text)
        return self

    def request_kill(
        self,
        by: str | None = None,
        reason: str | None = None,
        *,
        end_queued: bool = False,
        attempt: int | None = None,
        sources: Collection[str] | None = None,
    ) -> Self:
        """Ask the job to die, once: the first time stays. It sees that in `check_kill()`.

        No state changes, unless `end_queued` and the job waits: then it is killed in the same step, by our own word."""
        who, why = encoding.text(by, "by"), encoding.text(reason, "reason")
        result = self._write(scripts.request_kill, who, why, end_queued, _guard(attempt, sources))
        self.changed = result in ("requested", "killed")
        return self

    def kill_now(self, by: str | None = None, reason: str | None = None) -> Self:
        """End the job: one that waits is killed at once, one that runs through its engine.

        A running job is shown as killed when the engine says so, not before. Raises: EngineCannot."""
        self.request_kill(by, reason, end_queued=True)
        status = self._status().reload()
        engine = registry.get(status.engine)
        if status.state is State.killed:
            if engine is not None and self.changed:
                engine.revoke(status)
        elif status.state is State.started:
            if engine is None or not engine.can_kill:
                raise EngineCannot(self.id, status.engine, "kill", "nothing here can end its process; it was asked to stop")
            engine.kill(status)
        return self

    def retry(self, by: str | None = None) -> Self:
        """Run the job again, through its engine. One that was asked to die and ended by itself is asked no more.
        Raises: EngineCannot."""
        if self.archived:
            raise ReadOnlyAttempt(self.id)
        status = self._status().reload()
        engine = registry.get(status.engine)
        if engine is None or not engine.can_retry:
            raise EngineCannot(self.id, status.engine, "retry", "this process knows no engine that can send it again")
        if status.state in (State.unqueued, State.queued, State.started):
            raise EngineCannot(self.id, status.engine, "retry", f"it is {status.state}, retry is possible once it has ended")
        engine.retry(status, by=by)
        self._forget()
        self.changed = True
        return self

    def check_kill(self) -> None:
        """Ask Redis whether the job shall die; nothing when not. Raises: KillRequested."""
        status = self._status().reload()
        if status.kill_requested:
            raise KillRequested(self.id, status.kill_requested_by, status.kill_reason)

    def delete(self, force: bool = False) -> None:
        """Remove the status and its attempts, for good; children stay. Raises: NotCompleted unless `force`."""
        if self.archived:
            raise ReadOnlyAttempt(self.id)
        refused = self._act(scripts.delete, "1234567" if flag("force", force) else f"{State.succeeded.code}{State.failed.code}")
        if refused is not None:
            raise NotCompleted(self.id, refused.value)

    def _status(self) -> "Status":
        raise NotImplementedError


_STATES = frozenset(State)


def _guard(attempt: int | None, sources: Collection[str] | None) -> scripts.Guards:
    """The attempt that is spoken of, and the states it may leave. TypeError/ValueError naming them."""
    if attempt is not None and (type(attempt) is not int or attempt < 0):
        natural("attempt", attempt)
    if sources is None:
        return attempt, None
    # Those of adapters are the same few for every job.
    return attempt, _of_frozen(sources) if type(sources) is frozenset else _checked(sources)


def _checked(sources: Collection[str]) -> tuple[State, ...]:
    if not isinstance(sources, Collection) or isinstance(sources, str):
        raise TypeError(f"sources must be a set of states, not {shown(sources)}")
    if not all(isinstance(source, str) and source in _STATES for source in sources):
        raise ValueError(f"sources must be one of {', '.join(State)}, not {shown(sources)}")
    return tuple(State(source) for source in sources)


_of_frozen = lru_cache(maxsize=128)(_checked)


def _tags(field: str, text: str) -> list[scripts.Tag]:
    if not text:
        return []
    return [("p", text)] if field == "p" else [("r", found) for found in resource.texts(encoding.loads(text))]


def _progress(at: float, out_of: float | None) -> str:
    done = _number("at", at)
    if out_of is None:
        top, words = 1, "1"
    else:
        top, words = _number("out_of", out_of), f"out_of ({shown(out_of)})"
    if not 0 <= done <= top:
        raise ValueError(f"progress must be 0 <= at <= {words}, at is {shown(at)}")
    return f"{done!r}" if out_of is None else f"{done!r}\t{top!r}"


def _number(name: str, value: Any) -> int | float:
    """A finite number as Python's own, numpy's too: what is kept is its `repr`."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"progress must be made of numbers, {name} is {shown(value)}")
    try:
        number = int(value) if isinstance(value, Integral) else float(value)
        if math.isfinite(number):
            return number
    except OverflowError:
        pass
    raise ValueError(f"progress must be made of finite numbers, {name} is {shown(value)}")


def keep_for_us(time: timedelta | None) -> int | None:
    """`keep_for` in microseconds; TypeError/ValueError when it is no timedelta, or a negative one."""
    kept = span("keep_for", time)
    return None if kept is None else min(kept // clock.MICROSECOND, KEPT_FOR_EVER)


def awaited(store: Store, instance: object, texts: Collection[str]) -> str:
    """The text of what a job waits to be deleted, noted down in the store. ValueError when it is none of `texts`."""
    text = resource.resource(instance, "keep_until_deleted")
    if text not in texts:
        raise ValueError(f"keep_until_deleted must be one of the resources in job_args, {shown(text)} is not among them")
    keeping.wait_for(store, text)
    return text
