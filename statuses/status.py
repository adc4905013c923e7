"""One job's status: what can be read of it. What can be done to it stands in `transitions`."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from . import clock, encoding, failure, ids, keys, record, transitions
from .clock import from_us
from .columns import KEPT_FOR_EVER
from .errors import ReadOnlyAttempt, StatusNotFound
from .ids import Place
from .record import Record
from .states import COMPLETED, ENDED, State
from .store import Store, current

if TYPE_CHECKING:
    from .children import RollUp
    from .query import Query


class Status(transitions.Transitions):
    """The record of one job.

    Reading: what one round trip found, at the first attribute asked for; `errors`, `data`, `call` and
    `prior_attempts` are fetched when they are asked for. After a write the next attribute is read anew. Threads may share
    one: its heart beats in another."""

    def __init__(self, id: str, store: Store, place: Place | None, *, known: Record | None = None) -> None:
        self.id = id
        self.changed = False
        self.archived = known is not None and known.archived
        self._store = store
        self._where = place
        self._known = known
        self._texts: dict[str, Any] = {}

    @classmethod
    def of_record(cls, known: Record, store: Store | None = None) -> "Status":
        """The status of a record that was read."""
        return cls(known.id, store or current(), known.place, known=known)

    def __repr__(self) -> str:
        known = self._known
        return f"<Status {self.id} {known.state if known else 'not read'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """A handle in another process, on the store that is configured there: what `spawn()` gives is handed on like this."""
        return _in_this_process, (self.id, self._where, self.archived)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Status) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def _place(self) -> Place:
        if self._where is None:
            raise StatusNotFound(self.id)
        return self._where

    def _is_elsewhere(self) -> bool:
        """Whether the id, taken for a generated one without a look, is somebody's own that looks like one; found then."""
        if self._known is not None or self._where is None or self._where.own_id is not None or ids.decode(self.id) is None:
            return False
        from .collection import _by_alias

        found = _by_alias(self._store, self.id)
        if found is None:
            return False
        self._where, self._known = found._where, found._known
        return True

    def _status(self) -> "Status":
        return self

    def _forget(self) -> None:
        self._known = None
        self._texts = {}

    def _known_field(self, field: str) -> str:
        known = self._known
        return known.fields.get(field, "") if known else ""

    @property
    def _record(self) -> Record:
        while (known := self._known) is None:
            place, before = self._place(), self._texts
            found = record.read_rows(self._store, place.family, place.segment, [place.row], primary=True)[0]
            if found is not None and not found.removed and found.id == self.id:
                self._where = found.place
                # A heart beats in a thread of its own: what was read before another thread wrote is not kept.
                if self._texts is before:
                    self._known = found
                return found
            if not self._is_elsewhere():
                raise StatusNotFound(self.id)
        return known

    def reload(self) -> Self:
        """Read everything anew, from the primary. Raises: StatusNotFound when it was removed."""
        self._forget()
        if self.archived:
            from .collection import find

            found = find(self.id)
            if found is None:
                raise StatusNotFound(self.id)
            self._where, self._known = found._where, found._known
        _ = self._record
        return self

    @property
    def state(self) -> State:
        return self._record.state

    @property
    def progress(self) -> float | None:
        """0.0 to 1.0, None when the job never said."""
        kept = self._record.fields.get("g")
        return None if kept is None else record.progress(kept)

    @property
    def progress_at(self) -> float | None:
        """What `set_progress` was given first."""
        kept = self._record.fields.get("g")
        return None if kept is None else record.number(kept.split("\t")[0])

    @property
    def progress_out_of(self) -> float | None:
        """What `set_progress` was given as `out_of`."""
        kept = self._record.fields.get("g", "")
        return record.number(kept.split("\t")[1]) if "\t" in kept else None

    @property
    def progress_message(self) -> str | None:
        return self._record.fields.get("m")

    def _fetch(self, name: str) -> bytes | None:
        kept = self._texts
        if name not in kept:
            place, prefix = self._record.place, keys.segment(self._store.families[self._place().family], self._place().segment)
            if self.archived:
                base = keys.attempt(prefix, place.row, self._record.attempt)
                names = {"data": base + "d", "errors": base + "e", "call": keys.call(prefix, place.row)}
            else:
                makers = {"data": keys.data, "errors": keys.errors, "call": keys.call}
                names = {name: make(prefix, place.row) for name, make in makers.items()}
            replies = self._store.pipeline([("GET", key) for key in names.values()], primary=True)
            kept.update(zip(names, replies, strict=True))
        return kept[name]

    @property
    def errors(self) -> list[Any]:
        """The errors of this attempt, oldest first, JSON values. One round trip at the first use."""
        kept = self._fetch("errors")
        found = [encoding.loads(line[16:]) for line in kept.splitlines()] if kept else []
        # Of an exception it is told which attempt it ended; any other JSON is what its job gave.
        return [{**error, "attempt": self.attempt} if failure.is_exception(error) else error for error in found]

    @property
    def data(self) -> Any:
        """What `save` kept, None when nothing was. One round trip at the first use."""
        kept = self._fetch("data")
        return None if kept is None else encoding.loads(kept)

    @property
    def call(self) -> dict[str, Any] | None:
        """The engine's full call, `{"args": [...], "kwargs": {...}}` and what it needs to send it again."""
        kept = self._fetch("call")
        return None if kept is None else encoding.loads(kept).get("call")

    @property
    def depends_on(self) -> list[str]:
        """Ids of the jobs this one waits for, ours or the engine's."""
        own = self._record.fields.get("D")
        if own is not None:
            return encoding.loads(own)
        # Written before what waits for a job could be looked up: it stands beside the call there.
        kept = self._fetch("call")
        return [] if kept is None else encoding.loads(kept).get("depends_on", [])

    @property
    def job_name(self) -> str | None:
        return self._record.texts["job_name"]

    @property
    def job_args(self) -> dict[str, Any]:
        """Argument name -> resource, or list of resources."""
        return self._record.job_args

    @property
    def queue(self) -> str | None:
        return self._record.texts["queue"]

    @property
    def user(self) -> str | None:
        return self._record.texts["user"]

    @property
    def worker(self) -> str | None:
        return self._record.texts["worker"]

    @property
    def engine(self) -> str | None:
        return self._record.texts["engine"]

    @property
    def error_group(self) -> str | None:
        """The group of the last error of this attempt."""
        return self._record.texts["error"]

    @property
    def error_summary(self) -> str | None:
        """The last error in one line, at most 200 characters."""
        return self._record.fields.get("o")

    @property
    def provider_job_id(self) -> str | None:
        return self._record.fields.get("p")

    @property
    def parent(self) -> str | None:
        """The parent's id."""
        return self._record.fields.get("P")

    @property
    def root(self) -> str | None:
        """The id, ours or the engine's, of the job or group that its workflow began with; None where nobody told."""
        return self._record.fields.get("R")

    @property
    def attempt(self) -> int:
        """Which run this is, from 0."""
        return self._record.attempt

    @property
    def prior_attempts(self) -> list["Status"]:
        """Archived attempts, oldest first: read-only, with the job's present arguments. Two round trips for each hundred."""
        return [*self.newest_attempts()][::-1]

    def newest_attempts(self) -> Iterator["Status"]:
        """The same, the newest first, read as far as they are asked for: two round trips for the newest, two for the ten before it, then
        two for each hundred."""
        present = self._record
        left, size = (0 if present.archived else present.attempt), 1
        while left > 0:
            numbers = range(left - 1, max(left - size, 0) - 1, -1)
            for attempt in record.read_attempts(self._store, present, numbers):
                if attempt is not None:
                    yield Status.of_record(attempt, self._store)
            left, size = left - len(numbers), min(10 * size, 100)

    def attempts_at(self, numbers: Sequence[int]) -> list["Status | None"]:
        """The archived attempts of these numbers, from 0, in this order, with their errors; None for one that there is not. Two round
        trips, however many they are."""
        present = self._record
        if present.archived or not numbers:
            return [None] * len(numbers)
        return [one and self._archived(*one) for one in record.read_attempts_with_errors(self._store, present, numbers)]

    def _archived(self, known: Record, errors: bytes | None) -> "Status":
        attempt = Status.of_record(known, self._store)
        attempt._texts["errors"] = errors
        return attempt

    @property
    def children(self) -> "Query":
        """The jobs that name this one as their parent."""
        from .query import Query

        return Query().where(parent=ids.split_attempt(self.id)[0])

    def roll_up(self) -> "RollUp":
        """How far the children are together: states, and the mean of their progress. Source: one count; one read of those that run,
        up to 1,000."""
        from .children import roll_up

        return roll_up(self.children)

    def spawn(self, job_name: str | None, **as_create: Any) -> "Status":
        """A child: a status of its own for one process of this job, so that parallel writers never meet. Raises what `create` does;
        ReadOnlyAttempt for an attempt that is over."""
        self._check_parent(as_create)
        given: dict[str, Any] = {"user": self.user, "queue": self.queue, "engine": None, **as_create, "parent": self.id}
        return self._created(job_name=job_name, **given)

    def _created(self, **as_create: Any) -> "Status":
        from .collection import create

        return create(**as_create)

    def _check_parent(self, as_create: dict[str, Any]) -> None:
        if self.archived:
            raise ReadOnlyAttempt(self.id)
        if "parent" in as_create:
            raise TypeError("spawn() takes no argument 'parent': a child of another job is made by create(parent=...)")

    def _time(self, name: str) -> datetime | None:
        at = self._record.time_us(name)
        return None if at is None else from_us(at)

    @property
    def recorded_at(self) -> datetime:
        return from_us(self._record.numbers["recorded_at"])

    @property
    def queued_at(self) -> datetime | None:
        return self._time("queued_at")

    @property
    def started_at(self) -> datetime | None:
        return self._time("started_at")

    @property
    def succeeded_at(self) -> datetime | None:
        return self._time("succeeded_at")

    @property
    def failed_at(self) -> datetime | None:
        return self._time("failed_at")

    @property
    def killed_at(self) -> datetime | None:
        return self._time("killed_at")

    @property
    def ended_at(self) -> datetime | None:
        """When it entered the ended state it is in, None while it is in none."""
        return self._time(f"{self.state}_at") if self.state in ENDED else None

    @property
    def kill_requested_at(self) -> datetime | None:
        return self._time("kill_requested_at")

    @property
    def kill_requested(self) -> bool:
        return self._record.time_us("kill_requested_at") is not None

    @property
    def kill_requested_by(self) -> str | None:
        return self._record.fields.get("b")

    @property
    def kill_reason(self) -> str | None:
        return self._record.fields.get("y")

    @property
    def heartbeat_at(self) -> datetime | None:
        return self._time("heartbeat_at")

    @property
    def is_stale(self) -> bool:
        """Started, and its last heartbeat is older than `stale_after`; by the clock of this machine."""
        beat = self._record.time_us("heartbeat_at")
        if beat is None or self.state is not State.started:
            return False
        frozen = clock.frozen_us()
        now = frozen if frozen is not None else clock.to_us(datetime.now().astimezone())
        return now - beat > self._store.config.stale_after // clock.MICROSECOND

    @property
    def expires_at(self) -> datetime | None:
        """When retention removes it, None for never: after its end (its loading, where it was loaded; its recording,
        where it never ended) plus its own `keep_for`, else the policy's for its name or state."""
        own = self._record.span_us("keep_for")
        kept = self._policy() if own is None else timedelta(microseconds=own)
        since = self._time("loaded_at") or self.ended_at or self.recorded_at
        return None if kept is None or kept // clock.MICROSECOND >= KEPT_FOR_EVER else since + kept

    @property
    def kept_until_deleted(self) -> str | None:
        """The resource until whose deletion the status is kept, None for no such."""
        return self._record.fields.get("K")

    def _policy(self) -> timedelta | None:
        retention = self._store.config.retention
        for key in (f"name:{self.job_name}", self.state.value, "*"):
            if key in retention:
                return retention[key]
        return None

    @property
    def run_time(self) -> float | None:
        """Seconds from started to the end."""
        span = self._record.span_us("run_time")
        return None if span is None else span / 1e6

    @property
    def wait_time(self) -> float | None:
        """Seconds from queued (recorded, if it never was) to started."""
        span = self._record.span_us("wait_time")
        return None if span is None else span / 1e6

    @property
    def is_completed(self) -> bool:
        """Succeeded or failed."""
        return self.state in COMPLETED

    @property
    def is_incomplete(self) -> bool:
        """Not completed: killed and unknown too."""
        return not self.is_completed

    @property
    def is_ended(self) -> bool:
        """Succeeded, failed or killed."""
        return self.state in ENDED

    @property
    def is_unqueued(self) -> bool:
        return self.state is State.unqueued

    @property
    def is_queued(self) -> bool:
        return self.state is State.queued

    @property
    def is_started(self) -> bool:
        return self.state is State.started

    @property
    def is_succeeded(self) -> bool:
        return self.state is State.succeeded

    @property
    def is_failed(self) -> bool:
        return self.state is State.failed

    @property
    def is_killed(self) -> bool:
        return self.state is State.killed

    @property
    def is_unknown(self) -> bool:
        return self.state is State.unknown


def _in_this_process(id: str, place: Place | None, archived: bool) -> Status:
    from .collection import find

    found = find(id) if archived else Status(id, current(), place)
    if found is None:
        raise StatusNotFound(id)
    return found
