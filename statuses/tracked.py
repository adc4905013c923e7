"""The status of a block that `track()` runs: it raises nothing and waits for no store that is away.

What the block says meanwhile is kept (bounded) and told in its order once the store is back, by the next thing it says or
by a thread; a job whose beginning could not be told is made then, with its own moments."""

import atexit
import logging
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from . import clock, collection, encoding, forks, health, ids, scripts, transitions, unanswered
from .engines.guard import Guard
from .errors import ScriptFailed, StatusesError, StatusExists, StatusNotFound, StoreUnavailable, interrupted
from .loading import load_one
from .states import ENDED, State
from .status import Status
from .store import Store, current

log = logging.getLogger("statuses")
#: What one job may say while the store is away; then the oldest is forgotten.
REMEMBERED = 1000
#: Fields of a note that a loaded record can hold: progress and its message.
_NOTED = frozenset("gm")
#: How far two clocks may drift apart while a store is away.
_INEXACT_US = 1_000_000
#: What would start another attempt when it arrived twice.
_ONCE = (scripts.start, scripts.requeue)


class StoreGuard(Guard):
    """Watches one store for the jobs of this process. What is kept for one that is configured no more is let go."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = weakref.ref(store)

    def ask(self) -> None:
        if self._store() is current():
            health.try_writing()
        else:
            self._late.clear()

    def say(self, topic: str, text: str, *, level: int = logging.WARNING, trace: bool = False) -> None:
        if topic != "away":  # each job says so itself
            super().say(topic, text, level=level, trace=trace)


_lock = forks.lock()
_guards: "weakref.WeakKeyDictionary[Store, StoreGuard]" = weakref.WeakKeyDictionary()


def guard_of(store: Store) -> StoreGuard:
    """The guard of a store, the same for all its jobs."""
    with _lock:
        found = _guards.get(store)
        if found is None:
            found = _guards[store] = StoreGuard(store)
        return found


@atexit.register
def _last_words() -> None:
    for guard in list(_guards.values()):
        guard.last_words()


@dataclass(frozen=True, slots=True)
class _Missed:
    """Something a job said that did not reach the store."""

    action: Callable[..., Any]
    arguments: tuple[Any, ...]
    more: Mapping[str, Any]
    at_us: int
    sent: bool
    """Whether it was sent, and may have arrived all the same."""

    @property
    def key(self) -> tuple[frozenset[str], bool, bool] | None:
        """What the next one with the same takes the place of: the data, the progress, a heartbeat. None for what counts each time."""
        if self.action is not scripts.note or self.more.get("unless_kept"):
            return None
        return frozenset(self.arguments[0]), self.more.get("data") is not None, bool(self.more.get("heartbeat"))


class Tracked(Status):
    """A handle for the block's own code; safe with threads."""

    _guard: StoreGuard
    _as_create: Mapping[str, Any]
    _begun_us: int
    _random: int | None
    """What the row of the first try would hold, where its reply was lost."""
    _missed: deque[_Missed]
    _telling: AbstractContextManager[Any]
    _is_remembered: bool
    """Whether the guard is to tell what was missed."""
    _warned: bool
    _generation: int
    """Of the process that has what was missed: a child forked off leaves that to its parent, where a thread tells it."""
    _is_refused: bool
    """Whether the store is there and does not take this job: nothing more is said of it."""

    @classmethod
    def begin(cls, as_create: Mapping[str, Any]) -> "Tracked":
        """A job that is created now, or once its store is back. Raises what `create` does, but StoreUnavailable and ScriptFailed."""
        store, random, error = current(), None, None
        guard, began_us = guard_of(store), clock.here_us()
        if not guard.away:
            try:
                new = collection.prepare(**as_create)
                random = new.random
                return cls._of(collection.insert(new), guard, as_create, began_us)
            except StoreUnavailable as lost:
                error = lost
                guard.lost(lost)
            except ScriptFailed as refused:
                guard.refused(refused)
                return cls._of(Status(as_create.get("id") or uuid4().hex, store, None), guard, as_create, began_us, is_refused=True)
            except (StatusesError, ValueError, TypeError):
                raise
            except BaseException as interrupt:
                if random is not None and as_create.get("id") is None:
                    state, job_name = as_create.get("state", State.started), as_create.get("job_name")
                    guard.lost(interrupted("a create", interrupt))
                    guard.later("a job that never began", lambda: unanswered.take_back(random, state, job_name, began_us))
                raise
        checked = collection.prepare(**{name: value for name, value in as_create.items() if name != "keep_until_deleted"})
        made = cls._of(Status(checked.own_id or uuid4().hex, store, None), guard, as_create, began_us)
        made._random = random
        made._untold(error)
        return made

    @classmethod
    def _of(cls, status: Status, guard: StoreGuard, as_create: Mapping[str, Any], began_us: int, is_refused: bool = False) -> "Tracked":
        made = cls(status.id, status._store, status._where)
        made._guard, made._as_create, made._begun_us, made._random = guard, as_create, began_us, None
        made._missed = deque(maxlen=REMEMBERED)
        made._telling, made._generation = forks.rlock(), forks.generation
        made._is_remembered = made._warned = False
        made._is_refused = is_refused
        return made

    def _write(self, action: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        if self._is_refused:
            self.changed = False
            return None
        if self._where is not None and not self._missed and not self._guard.away:
            return self._say_now(action, arguments, more)
        with self._telling:
            if not self._guard.away and self._catch_up():
                return self._say_now(action, arguments, more)
            self._miss(_Missed(action, arguments, more, clock.here_us(), False), None)
        self.changed = False
        return None

    def _say_now(self, action: Callable[..., Any], arguments: tuple[Any, ...], more: Mapping[str, Any]) -> Any:
        said_us = clock.here_us()
        try:
            return super()._write(action, *arguments, **more)
        except StoreUnavailable as error:
            with self._telling:
                self._miss(_Missed(action, arguments, more, said_us, True), error)
        except StatusNotFound as error:
            self._say(error)
        except ScriptFailed as error:
            self._guard.refused(error)
        except (scripts.FieldMoved, StatusesError, ValueError, TypeError):
            raise
        except BaseException as error:
            # Interrupted while it waits, by Ctrl-C or a limit of time: nobody knows whether it arrived, nobody says it again.
            with self._telling:
                self._miss(_Missed(action, arguments, more, said_us, True), interrupted("a write", error))
            raise
        self.changed = False
        return None

    def _leave_to_parent(self) -> None:
        if self._generation != forks.generation:
            self._generation = forks.generation
            self._missed.clear()
            self._is_remembered = False

    def _miss(self, missed: _Missed, error: StoreUnavailable | None) -> None:
        self._leave_to_parent()
        for at in reversed(range(len(self._missed))):
            if missed.key is None or self._missed[at].action in _ONCE:
                break
            if self._missed[at].key == missed.key:
                del self._missed[at]
                break
        self._missed.append(missed)
        self._untold(error)

    def _untold(self, error: StoreUnavailable | None) -> None:
        if error is not None:
            self._guard.lost(error)
        self._say(error or "its store is away")
        if not self._is_remembered:
            self._is_remembered = True
            self._guard.run(f"what job {self.id} did", self._tell, remember=True)

    def _say(self, why: object) -> None:
        if not self._warned:
            log.warning("job %s (%s) goes on untracked: %s", self.id, self._as_create.get("job_name"), why)
        self._warned = True

    def _catch_up(self) -> bool:
        """Tell what was missed, if anything; whether nothing is left of it."""
        self._leave_to_parent()
        if self._where is not None and not self._missed:
            return True
        try:
            self._tell()
        except StoreUnavailable as error:
            self._guard.lost(error)
            return False
        return self._where is not None

    def _tell(self) -> None:
        """Tell what was missed, in its order. Raises: StoreUnavailable, and what is left is told later."""
        with self._telling:
            try:
                if self._where is None:
                    self._load()
                handle = Status(self.id, self._store, self._where)
                while self._missed:
                    try:
                        _again(handle, self._missed[0])
                    except ScriptFailed as error:
                        self._guard.refused(error)
                    self._missed.popleft()
            except StoreUnavailable:
                raise
            except ScriptFailed as error:
                self._missed.clear()
                self._is_refused = self._where is None
                self._guard.refused(error)
            except (StatusesError, ValueError, TypeError) as error:
                self._missed.clear()
                self._say(error)
            self._is_remembered = False
            self._forget()

    def _load(self) -> None:
        """Make the job whose beginning could not be told, as it began, with what it said since; and as it ended, if it has."""
        if self._store is not current():
            raise StatusNotFound(self.id)
        self._take_back()
        made = self._as_record()
        rest, is_new = _fold_all(made, self._missed), True
        ahead_us = unanswered.ahead_us()
        made |= {name: at - ahead_us for name, at in made.items() if name.endswith("_at") and isinstance(at, int)}
        try:
            load_one(made)
        except StatusExists:
            # Told by a try whose reply was lost, unless it is somebody else's.
            if self._as_create.get("id") is not None and (self._random is None or not self._is_mine()):
                raise
            rest, is_new = list(self._missed), False
        found = collection.find(self.id)
        if found is None:
            raise StatusNotFound(self.id)
        self._where = found._where
        if self._store.recorder is not None:
            began = State(self._as_create.get("state", State.started))
            self._store.recorder.loaded(found, began, State(made["state"]) if is_new else began)
        self._missed = deque(rest, maxlen=REMEMBERED)

    def _as_record(self) -> dict[str, Any]:
        known = {name: value for name, value in self._as_create.items() if name != "keep_until_deleted"}
        parent, state = known.get("parent"), State(known.get("state", State.started))
        known |= {"parent": parent.id if isinstance(parent, Status) else parent, "id": self.id, "state": state.value}
        return {**known, "recorded_at": self._begun_us, **({state.moment: self._begun_us} if state.moment else {})}

    def _is_mine(self) -> bool:
        found = collection.find(self.id)
        return (
            found is not None
            and found.job_name == self._as_create.get("job_name")
            and found.recorded_at >= clock.from_us(self._begun_us - unanswered.ahead_us() - unanswered.BEHIND_US)
        )

    def _take_back(self) -> None:
        """Remove what came of the first try, where that arrived after all: nobody would ever end it."""
        if self._random is None or self._as_create.get("id") is not None:
            return
        unanswered.take_back(self._random, self._as_create.get("state", State.started), self._as_create.get("job_name"), self._begun_us)
        self._random = None

    def _place(self) -> ids.Place:
        if self._is_refused:
            raise StatusNotFound(self.id)
        if self._where is None and (self._guard.away or not self._catch_up()):
            raise StoreUnavailable("a read", f"it was away when job {self.id} began")
        return super()._place()

    def spawn(self, job_name: str | None, **as_create: Any) -> Status:
        """A child for one process of this job, which raises as little as this one."""
        self._check_parent(as_create)
        given = {name: self._as_create.get(name) for name in ("user", "queue")}
        return Tracked.begin({**given, "state": State.unqueued, **as_create, "job_name": job_name, "parent": self.id})

    def check_kill(self) -> None:
        """Ask the store whether the job shall die; it goes on when the store does not know. Raises: KillRequested."""
        if self._guard.away or self._is_refused:
            return
        try:
            super().check_kill()
        except StoreUnavailable as error:
            self._guard.lost(error)
            self._say(error)
        except ScriptFailed as error:
            self._guard.refused(error)
        except StatusNotFound as error:
            self._say(error)


def _again(handle: Status, missed: _Missed) -> None:
    """Say it once more. What arrived the first time is not said again where twice would be another thing."""
    if missed.sent and missed.action in _ONCE and _may_have_arrived(handle, missed):
        return
    if missed.sent and missed.action is scripts.add_error and _is_there(handle, encoding.loads(missed.arguments[0])):
        return
    if missed.action in (scripts.move, scripts.finish) and missed.arguments[0] in ENDED:
        handle._act(scripts.finish, *_long_ago(handle, missed))
        return
    try:
        handle._act(missed.action, *missed.arguments, **missed.more)
    except scripts.FieldMoved as moved:
        field, _, new = missed.arguments
        handle._act(missed.action, field, (moved.present, transitions._tags(field, moved.present)), new)


def _long_ago(handle: Status, missed: _Missed) -> tuple[Any, ...]:
    """What `scripts.finish` takes for an end that was missed: as of its own moment, and not before what is told of the job."""
    target, guards, error, data, silent_us, ago_us = (*missed.arguments, *(None,) * 4)[:6]
    most_us = collection.since_told(handle) // clock.MICROSECOND
    return target, guards, error, data, silent_us, min(max(clock.here_us() - missed.at_us, 0) + (ago_us or 0), most_us)


def _may_have_arrived(handle: Status, missed: _Missed) -> bool:
    """Whether a start that was not answered began the attempt that is there, as far as its moment tells; by the store's own clock."""
    if missed.action is not scripts.start:
        return True
    began, ago_us = handle.reload().started_at, clock.here_us() - missed.at_us
    return began is not None and began >= collection.server_time() - clock.MICROSECOND * (ago_us + _INEXACT_US)


def _fold_all(record: dict[str, Any], missed: Iterable[_Missed]) -> list[_Missed]:
    """Let a record hold what it can; what is left to be said after it. Labels and notes may come after the end as well as before."""
    rest: list[_Missed] = []
    for one in missed:
        if any(left.action not in (scripts.label, scripts.note) for left in rest) or not _fold(record, one):
            rest.append(one)
    return rest


def _fold(record: dict[str, Any], missed: _Missed) -> bool:
    """Let a record hold what was said, too; False for what it cannot hold."""
    first = missed.arguments[0]
    if missed.action is scripts.move and first in ENDED and record["state"] not in ENDED:
        record |= {"state": first.value, first.moment: max(missed.at_us, record["recorded_at"])}
    elif missed.action is scripts.note and _NOTED.issuperset(first) and not missed.more.get("unless_kept"):
        _fold_note(record, first, missed)
    elif missed.action is scripts.add_error:
        record["errors"] = [*record.get("errors", ()), encoding.loads(first)]
    elif missed.action is scripts.label and len(missed.arguments) == 1:
        record |= first
    elif missed.action is scripts.retag:
        text = missed.arguments[2][0]
        record |= {"job_args": encoding.loads(text) if text else None} if first == "a" else {"provider_job_id": text or None}
    else:
        return False
    return True


def _fold_note(record: dict[str, Any], fields: Mapping[str, str], missed: _Missed) -> None:
    if "g" in fields:
        at, _, out_of = fields["g"].partition("\t")
        record["progress"] = float(at) / (float(out_of) or 1.0) if out_of else float(at)
    if "m" in fields:
        record["progress_message"] = fields["m"] or None
    if missed.more.get("data") is not None:
        record["data"] = encoding.loads(missed.more["data"]) if missed.more["data"] else None
    if missed.more.get("heartbeat"):
        record["heartbeat_at"] = missed.at_us


def _is_there(handle: Status, error: Any) -> bool:
    kept = handle.reload().errors
    return error in kept or any(
        isinstance(one, dict) and {**one, "attempt": None} == {**error, "attempt": None} for one in kept if isinstance(error, dict)
    )
