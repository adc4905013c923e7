"""All statuses: making, finding, taking away."""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, overload

from . import config, encoding, ids, keys, record, resource, scripts, segmentscripts, store, transitions
from .arguments import callback, checked_call, flag, shown
from .clock import from_us
from .columns import KEPT_FOR_EVER
from .errors import StatusExists, StatusNotFound
from .states import State
from .status import Status

if TYPE_CHECKING:
    from .bulk import Changed
    from .query import Query

P = ParamSpec("P")

#: Calls read in one round trip: each may be 64 KB long.
CALLS_A_TRIP = 50


class Statuses(Sequence[Status]):
    """A page of loaded jobs: list-like, with the cursor of the next page and the bulk verbs on just these jobs."""

    def __init__(self, statuses: Iterable[Status] = (), *, next: str | None = None, previous: str | None = None) -> None:
        self._statuses = list(statuses)
        self.next = next
        """Cursor for `Query.after`; None when nothing follows."""
        self.previous = previous
        """Cursor of the page before; None where there is none."""

    @overload
    def __getitem__(self, index: int) -> Status: ...
    @overload
    def __getitem__(self, index: slice) -> "Statuses": ...
    def __getitem__(self, index: int | slice) -> "Status | Statuses":
        return Statuses(self._statuses[index]) if isinstance(index, slice) else self._statuses[index]

    def __len__(self) -> int:
        return len(self._statuses)

    def __iter__(self) -> Iterator[Status]:
        return iter(self._statuses)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Statuses | list) and list(other) == self._statuses

    __hash__ = None

    def __repr__(self) -> str:
        return f"<Statuses of {len(self)} jobs>"

    def ids(self) -> list[str]:
        return [status.id for status in self]

    def request_kill_all(self, **how: Any) -> "Changed":
        """As `Query.request_kill_all`, on these jobs."""
        from . import bulk

        return bulk.request_kill(bulk.of_statuses(self), **_checked(how))

    def kill_now_all(self, **how: Any) -> "Changed":
        """As `Query.kill_now_all`, on these jobs."""
        from . import bulk

        return bulk.kill_now(bulk.of_statuses(self), **_checked(how))

    def delete_all(self, force: bool = False, **how: Any) -> "Changed":
        """As `Query.delete_all`, on these jobs."""
        from . import bulk

        return bulk.delete(bulk.of_statuses(self), **_checked({"force": force, **how}))

    def retry_all(self, **how: Any) -> "Changed":
        """As `Query.retry_all`, on these jobs."""
        from . import bulk

        return bulk.retry(bulk.of_statuses(self), **_checked(how))


def _checked(how: dict[str, Any]) -> dict[str, Any]:
    callback("progress", how.get("progress"))
    encoding.text(how.get("by"), "by")
    for name in ("force", "only_ended"):
        flag(name, how.get(name, False))
    return how


def configure(**settings: Any) -> config.Config:
    """Say where the statuses are: `url` or `client`, `namespace`, `retention` and what else `Config` has.
    Connects at the first use. Raises: ConfigurationError naming the setting."""
    made = config.make(**settings)
    here = store.use(made)
    if made.metrics:
        from .metrics import Recorder

        here.recorder = Recorder(here)
    return made


def _extra(call: Mapping[str, Any] | encoding.Json | None) -> str | None:
    if type(call) is encoding.Json:
        return f'{{"call":{call}}}'
    return None if call is None else encoding.dumps({"call": checked_call(call)}, "call")


def _awaited(depends_on: "Sequence[str | Status] | None") -> list[str]:
    """What a job waits for, each once; a Status stands for its id."""
    if depends_on is None:
        return []
    if not isinstance(depends_on, Collection) or isinstance(depends_on, str | bytes | Mapping):
        raise TypeError(f"depends_on must be a list of ids, not {shown(depends_on)}")
    texts = (one.id if isinstance(one, Status) else one for one in depends_on)
    return list(dict.fromkeys(encoding.required(text, "depends_on") for text in texts))


def prepare(
    *,
    job_name: str | None = None,
    job_args: Mapping[str, Any] | None = None,
    queue: str | None = None,
    user: str | None = None,
    engine: str | None = None,
    provider_job_id: str | None = None,
    parent: "str | Status | None" = None,
    depends_on: "Sequence[str | Status] | None" = None,
    root: str | None = None,
    call: Mapping[str, Any] | None = None,
    data: Any = None,
    keep_for: timedelta | None = None,
    keep_until_deleted: Any = None,
    id: str | None = None,
    state: str = "unqueued",
) -> scripts.NewRow:
    """What `create` writes, checked; the one place that says what it takes. Raises: TypeError, ValueError naming the argument."""
    text = encoding.text
    texts = text(job_name, "job_name"), text(user, "user"), text(queue, "queue"), text(engine, "engine")
    kept = {} if job_args is None else resource.normalise(job_args)
    provider = text(provider_job_id, "provider_job_id")
    above = text(parent.id if isinstance(parent, Status) else parent, "parent")
    own = None if id is None else ids.check_own(id)
    fields: scripts.Fields = {}
    if kept:
        fields["a"] = encoding.dumps(kept, "job_args")
    tags: list[scripts.Tag] = [("r", found) for found in resource.texts(kept)] if kept else []
    for field, kind, found in (("p", "p", provider), ("P", "c", above), ("R", "o", text(root, "root"))):
        if found:
            fields[field] = found
            tags.append((kind, found))
    if awaited := _awaited(depends_on):
        fields["D"] = encoding.dumps(awaited, "depends_on")
        tags += [("f", found) for found in awaited]
    if own is not None:
        fields["i"] = own
    keep_us = None if keep_for is None else transitions.keep_for_us(keep_for)
    if keep_until_deleted is not None:
        if keep_for is not None:
            raise ValueError("keep_for and keep_until_deleted exclude each other")
        fields["K"] = transitions.awaited(store.current(), keep_until_deleted, resource.texts(kept))
        keep_us = KEPT_FOR_EVER
    return scripts.NewRow(
        state=state if type(state) is State else _state(state),
        own_id=own,
        random=ids.new_random(),
        texts=texts,
        keep_for_us=keep_us,
        fields=fields,
        tags=tags,
        call=_extra(call),
        data=None if data is None else encoding.dumps(data, "data"),
    )


def _creating(prepare: Callable[P, scripts.NewRow]) -> Callable[P, Status]:
    def create(*args: P.args, **kwargs: P.kwargs) -> Status:
        """A new status. One round trip, atomic. Raises: StatusExists when the own `id` is taken; TypeError, ValueError
        naming the argument; StoreUnavailable.

        `depends_on`: the jobs it waits for; `root`: the job or group its workflow began with: ids, ours or the engine's.
        `keep_until_deleted`: one of the resources in `job_args`; the status is kept for ever until that is deleted."""
        return insert(prepare(*args, **kwargs))

    create.__qualname__ = prepare.__qualname__ = "create"  # ty: ignore[missing-attribute]  # Who gives an unknown argument called it.
    create.__signature__ = inspect.signature(prepare).replace(return_annotation=Status)  # ty: ignore[missing-attribute]
    return create


create = _creating(prepare)


_STATES: dict[str, State] = {state.value: state for state in State}


def _state(state: str) -> State:
    if not isinstance(state, str) or state not in _STATES:
        raise ValueError(f"state must be one of {', '.join(State)}, not {shown(state)}")
    return _STATES[state]


def _family(own_id: str) -> int:
    return encoding.tag_hash(own_id)[0] % len(store.current().families)


def insert(new: scripts.NewRow) -> Status:
    """The status of a prepared row, written. Raises: StatusExists, StoreUnavailable."""
    here = store.current()
    if new.own_id and (former := ids.decode(new.own_id)):
        if find(new.own_id) is not None:
            raise StatusExists(new.own_id)
        _make_final(here, former)
    dead_alias = ""
    while True:
        try:
            family = _family(new.own_id) if new.own_id else here.some_family()
            place, recorded_us = scripts.create(here, family, new, dead_alias)
        except scripts.AliasTaken as taken:
            assert new.own_id is not None
            if _by_alias(here, new.own_id) is not None:
                raise StatusExists(new.own_id) from None
            dead_alias = taken.at
            continue
        status = Status(new.own_id or ids.encode(recorded_us, place), here, place)
        if here.recorder is not None and new.state is State.started:
            here.recorder.started(status)
        return status


def _make_final(here: store.Store, place: ids.Place) -> None:
    """Take away a removed job whose id another one is about to have: brought back it would be a second one of that id."""
    if place.family < len(here.families):
        segmentscripts.bulk(here, place.family, place.segment, "sweep", segmentscripts.bulk_rows([(place.row, place.random)]), "1234567")


def _by_alias(here: store.Store, own_id: str) -> Status | None:
    known = _of_alias(here, own_id)
    return None if known is None or known.removed else Status.of_record(known, here)


def killed_and_removed(own_id: str) -> bool:
    """Whether a job with an own id was killed before it started and removed since, and can still be taken back. Two round trips."""
    known = _of_alias(store.current(), own_id)
    return known is not None and known.removed and known.state is State.killed and not known.numbers["started_at"]


def _of_alias(here: store.Store, own_id: str) -> record.Record | None:
    """The row that an own id speaks of, removed or not."""
    family = _family(own_id)
    found = here.pipeline([("GET", keys.alias(here.families[family], own_id))], primary=True)[0]
    if found is None:
        return None
    segment, row = map(int, found.split())
    known = record.read_rows(here, family, segment, [row], primary=True)[0]
    return None if known is None or known.id != own_id else known


def find(id: str) -> Status | None:
    """The status with this id, an archived attempt for `"<id>:<n>"`, None when there is none.
    One round trip; two for own ids, and for attempts. Raises: ConfigurationError where the store has another number of families,
    among which the id was not looked for."""
    if not isinstance(id, str):
        raise TypeError(f"id must be a string, not {type(id).__name__}")
    base, attempt = ids.split_attempt(id)
    present = _find(base)
    if attempt is None or present is None:
        return present
    here = store.current()
    kept = record.read_attempt(here, present._record, attempt)
    return None if kept is None else Status.of_record(kept, here)


def _find(id: str) -> Status | None:
    here = store.current()
    place = ids.decode(id)
    if place is not None and place.family < len(here.families):
        known = record.read_rows(here, place.family, place.segment, [place.row], primary=True)[0]
        if known is not None and not known.removed and known.id == id:
            return Status.of_record(known, here)
    found = _by_alias(here, id) if 1 <= len(id) <= ids.OWN_ID_LENGTH and encoding.is_utf8(id) else None
    if found is None:
        here.check_layout()
    return found


def at(id: str) -> Status:
    """A handle to write to a known id without reading first; attributes are read when they are asked for.
    No round trip for generated ids, one for own ids. Raises: StatusNotFound for an own id that is not there."""
    if not isinstance(id, str):
        raise TypeError(f"id must be a string, not {type(id).__name__}")
    here = store.current()
    place = ids.decode(id)
    if place is not None and place.family < len(here.families):
        return Status(id, here, place)
    found = find(id)
    if found is None:
        raise StatusNotFound(id)
    return found


def find_or_create(id: str) -> Status:
    """The status with this id; one that is not known yet starts in state `unknown`."""
    ids.check_own(id)
    while True:
        found = find(id)
        if found is not None:
            return found
        try:
            return create(id=id, state=State.unknown)
        except StatusExists:
            continue


def all() -> "Query":
    """Every status, newest first."""
    from .query import Query

    return Query()


def where(**clauses: Any) -> "Query":
    """The statuses that match every clause; see `Query.where`."""
    return all().where(**clauses)


def find_by(**clauses: Any) -> Status | None:
    """The newest status that matches, None when none does."""
    return where(**clauses).first()


def calls(jobs: Sequence[Status]) -> Iterator[dict[str, Any] | None]:
    """`Status.call` of each of these jobs, in their order. One round trip for fifty."""
    for first in range(0, len(jobs), CALLS_A_TRIP):
        part = jobs[first : first + CALLS_A_TRIP]
        held, places = part[0]._store, [job._record.place for job in part]
        names = [keys.call(keys.segment(held.families[place.family], place.segment), place.row) for place in places]
        for kept in held.pipeline([("GET", name) for name in names], primary=True):
            yield None if kept is None else encoding.loads(kept).get("call")


def server_time() -> datetime:
    """The store's own time, aware."""
    from . import clock

    frozen = clock.frozen_us()
    if frozen is not None:
        return from_us(frozen)
    seconds, microseconds = store.current().read("TIME")
    return from_us(int(seconds) * 1_000_000 + int(microseconds))


def since_told(status: Status) -> timedelta:
    """How long ago the present attempt was recorded, queued or started, whichever came last, as it is now: what could not be told in
    time may have come to the store after the end. Two round trips."""
    status.reload()
    known = max(moment for moment in (status.recorded_at, status.queued_at, status.started_at) if moment is not None)
    return max(server_time() - known, timedelta(0))
