"""Many statuses at once, with their own past times: what imports and benchmarks use."""

import secrets
import struct
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any

from . import clock, encoding, failure, ids, keys, resource, scripts, segmentscripts, transitions
from .arguments import nearest, shown
from .collection import _awaited, _by_alias, _extra, _family, _make_final, find, server_time
from .columns import TIMESTAMPS
from .errors import StatusExists
from .states import ENDED, State
from .store import Store, current

#: Rows of one call: it stays below five milliseconds of Redis.
BATCH = 500
#: The last part of a posting's key, and the hash of the text.
_Tag = tuple[str, bytes]
_ONLY_TEXTS = frozenset({str})
_TEXTS = ("job_name", "user", "queue", "worker", "engine")
_KNOWN = frozenset(
    {*_TEXTS, *TIMESTAMPS, "id", "state", "job_args", "provider_job_id", "parent", "depends_on", "call", "data", "errors", "ended_at"}
    | {"root", "keep_for", "progress", "progress_message", "kill_requested_by", "kill_reason"}
)


def load(records: Iterable[Mapping[str, Any]]) -> int:
    """Load statuses from mappings with the names of Status attributes; how many.

    Times are aware datetimes or integer microseconds; `ended_at` stands for the moment of the state. `errors` is a list.
    Raises: ValueError that starts with the index of a bad record, StatusExists with it (`index`) for an own id that is taken; batches of
    500 before the bad one are loaded then, nothing of its own batch is. Cost: two round trips a batch, packed while the last one is
    written."""
    if not isinstance(records, Iterable) or isinstance(records, str | bytes | Mapping):
        raise TypeError(f"records must be mappings one after another, not {shown(records)}")
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="statuses-load") as sender:
        return _load(records, sender)


def load_one(record: Mapping[str, Any]) -> None:
    """Load a single status, in this thread: a process that ends begins no others."""
    _load([record], None)


def _load(records: Iterable[Mapping[str, Any]], sender: ThreadPoolExecutor | None) -> int:
    here, total, source = current(), 0, enumerate(records)
    now_us = clock.to_us(server_time())
    sent: Future[Any] | None = None
    try:
        while rows := [_Row(index, found, now_us) for index, found in islice(source, BATCH)]:
            if sent is not None and any(row.own_id for row in rows):
                sent.result()
            _refuse_taken(here, rows)
            for family, part in _by_family(here, rows):
                while part:
                    segment, first, given = segmentscripts.reserve(here, family, len(part))
                    batch = _Batch(part[:given], first).packed(family, segment)
                    indexes = {row.own_id: row.index for row in part[:given]}
                    if sent is not None:
                        sent.result()
                    if sender is None:
                        _send(here, batch, indexes)
                    else:
                        sent = sender.submit(_send, here, batch, indexes)
                    part = part[given:]
            total += len(rows)
    finally:
        if sent is not None:
            sent.result()
    return total


def _send(store: Store, batch: segmentscripts.NewRows, indexes: Mapping[str | None, int]) -> None:
    """indexes: own id -> which record it came with."""
    dead: dict[str, str] = {}
    while taken := segmentscripts.load(store, batch, dead):
        living = next((own_id for own_id in taken if _by_alias(store, own_id) is not None), None)
        if living is not None:
            raise StatusExists(living, indexes[living])
        dead |= taken


def _refuse_taken(store: Store, rows: list["_Row"]) -> None:
    """Own ids that are given twice or taken already: looked for before any part of a batch is written, as it may go to
    several segments and families. One that is taken right now the script of its part refuses."""
    own = [(row.own_id, row.index) for row in rows if row.own_id]
    aliases = [keys.alias(store.families[_family(own_id)], own_id) for own_id, _ in own]
    values = store.pipeline([("GET", alias) for alias in aliases], primary=True) if aliases else []
    seen: set[str] = set()
    for (own_id, index), value in zip(own, values, strict=True):
        former = ids.decode(own_id)
        if own_id in seen or ((value is not None or former) and find(own_id) is not None):
            raise StatusExists(own_id, index)
        if former:
            _make_final(store, former)
        seen.add(own_id)


def _by_family(store: Store, rows: list["_Row"]) -> Iterable[tuple[int, list["_Row"]]]:
    if len(store.families) == 1:
        return [(0, rows)]
    grouped: dict[int, list[_Row]] = {}
    spread = store.some_family()
    for row in rows:
        grouped.setdefault(_family(row.own_id) if row.own_id else spread, []).append(row)
    return grouped.items()


class _Row:
    """One record, checked. ValueError with its index when it is bad."""

    __slots__ = ("data", "errors", "extra", "fields", "group", "index", "keep", "own_id", "run", "state", "tags", "texts", "times", "wait")

    def __init__(self, index: int, found: Mapping[str, Any], now_us: int) -> None:
        self.index = index
        try:
            self._read(found, now_us)
        except (TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"record {index}: {error}") from error

    def _read(self, found: Mapping[str, Any], now_us: int) -> None:
        if not isinstance(found, Mapping):
            raise TypeError(f"it must be a mapping with the names of attributes, not {shown(found)}")
        if not _KNOWN.issuperset(found):
            _refuse_unknown(found)
        get = found.get
        state = self.state = _state(get("state"))
        self.texts = [None if (value := get(name)) is None else _text(value, name) for name in _TEXTS]
        self._read_times(get, state, now_us)
        self._read_fields(get)
        own = get("id")
        self.own_id = None if own is None else ids.check_own(own)
        if self.own_id:
            self.fields["i"] = self.own_id
        if state is State.succeeded:
            self.fields["g"] = "1"
        call, data = get("call"), get("data")
        self.extra = None if call is None else _extra(call)
        self.data = None if data is None else encoding.dumps(data, "data")
        self.keep = _keep(get("keep_for"))
        self._read_errors(get("errors"))

    def _read_times(self, get: Callable[[str], Any], state: State, now_us: int) -> None:
        times = [0 if (value := get(name)) is None else _time(value, name) for name in TIMESTAMPS]
        ended = None if (value := get("ended_at")) is None else _time(value, "ended_at")
        if ended and state in ENDED and state.moment:
            times[TIMESTAMPS.index(state.moment)] = ended
        if not times[0]:
            times[0] = min((at for at in times if at), default=now_us)
        moment = _MOMENT_INDEX[state]
        if moment is not None and not times[moment]:
            times[moment] = times[0] if moment == 1 else max(times)
        queued, started = times[1] or times[0], times[2]
        self.wait = started - queued + 1 if started >= queued and started else 0
        end = times[moment] if state in ENDED and moment is not None else 0
        self.run = end - started + 1 if started and end >= started else 0
        self.times = times

    def _read_fields(self, get: Callable[[str], Any]) -> None:
        fields: scripts.Fields = {}
        self.fields, self.tags = fields, ()
        job_args = get("job_args")
        if job_args is not None:
            fields["a"], self.tags = _arguments(job_args)
        for field, kind, name in (("p", "p", "provider_job_id"), ("P", "c", "parent"), ("R", "o", "root")):
            value = get(name)
            if value is not None and (text := encoding.text(value, name)):
                fields[field] = text
                self.tags += (_tag(kind, text),)
        if awaited := _awaited(get("depends_on")):
            fields["D"] = encoding.dumps(awaited, "depends_on")
            self.tags += tuple([_tag("f", text) for text in awaited])
        if get("progress") is not None:
            fields["g"] = transitions._progress(get("progress"), None)
        for field, name in (("m", "progress_message"), ("b", "kill_requested_by"), ("y", "kill_reason")):
            value = get(name)
            if value is not None and (text := encoding.text(value, name)):
                fields[field] = text

    def _read_errors(self, errors: Any) -> None:
        self.errors, self.group = None, None
        if errors is None:
            return
        if not isinstance(errors, list | tuple):
            raise TypeError(f"errors must be a list, not {type(errors).__name__}")
        if not errors:
            return
        kept = [_describe(error) if isinstance(error, str) else failure.describe(error) for error in errors]
        self.errors = "".join(f"{'0' * 16}{one.text}\n" for one in kept)
        self.fields["o"], self.group = kept[-1].summary, kept[-1].group


_STATES: dict[Any, State] = {state.value: state for state in State}
_CODES = {state: state.code for state in State}
#: Attribute of a row -> its column.
_SPANS = {"run": "run_time", "wait": "wait_time", "keep": "keep_for"}
_MOMENT_INDEX = {state: TIMESTAMPS.index(state.moment) if state.moment else None for state in State}


def _refuse_unknown(found: Mapping[str, Any]) -> None:
    unknown = next(key for key in found if key not in _KNOWN)
    raise ValueError(f"unknown attribute {shown(unknown)}{nearest(unknown, _KNOWN)}")


def _state(state: object) -> State:
    if state is None:
        return State.unqueued
    known = _STATES.get(state) if isinstance(state, str) else None
    if known is not None:
        return known
    raise ValueError(f"state must be one of {', '.join(State)}, not {shown(state)}")


def _text(value: Any, name: str) -> str | None:
    return _checked(value, name) if isinstance(value, str) else encoding.text(value, name)


@lru_cache(maxsize=8192)
def _checked(value: str, name: str) -> str | None:
    return encoding.text(value, name)


def _arguments(job_args: Any) -> tuple[str, tuple[_Tag, ...]]:
    """The JSON and the tags of a job's arguments. Plain texts are looked up: logs name the same resources again and again."""
    if type(job_args) is dict and _ONLY_TEXTS.issuperset(map(type, job_args.values())):
        return _plain_arguments(tuple(job_args.items()))
    return _any_arguments(job_args)


@lru_cache(maxsize=8192)
def _plain_arguments(items: tuple[tuple[str, str], ...]) -> tuple[str, tuple[_Tag, ...]]:
    return _any_arguments(dict(items))


def _any_arguments(job_args: Any) -> tuple[str, tuple[_Tag, ...]]:
    kept = resource.normalise(job_args)
    return encoding.dumps(kept, "job_args"), tuple(_tag("r", text) for text in resource.texts(kept))


def _tag(kind: str, text: str) -> _Tag:
    bucket, entry = encoding.tag_hash(text)
    return f"{kind}{bucket}", entry


@lru_cache(maxsize=1024)
def _describe(error: str) -> failure.Failure:
    return failure.describe(error)


def _time(value: Any, name: str) -> int:
    if isinstance(value, datetime):
        try:
            value = clock.to_us(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an aware datetime or integer microseconds, not {shown(value)}")
    if not 0 < value < 1 << 52:
        raise ValueError(f"{name} must lie between 1970 and 2112, not at {value} microseconds")
    return value


def _keep(value: Any) -> int:
    kept = transitions.keep_for_us(value)
    return 0 if kept is None else kept + 1


class _Batch:
    """Contiguous rows, packed as `load.lua` takes them."""

    def __init__(self, rows: list[_Row], first: int) -> None:
        self.rows = rows
        self.first = first

    def packed(self, family: int, segment: int) -> segmentscripts.NewRows:
        times = list(zip(*[row.times for row in self.rows], strict=True))
        columns = self._columns(times)
        given: list[Any] = [len(columns)]
        for name, width, packed in columns:
            given += [segmentscripts.key_number(name), width, packed]
        for texts in zip(*[row.texts for row in self.rows], strict=True):
            given += self._dictionary(texts)
        given += self._dictionary([row.group for row in self.rows])
        return segmentscripts.NewRows(
            family=family,
            segment=segment,
            first=self.first,
            own_ids={row.own_id: at for at, row in enumerate(self.rows, start=self.first) if row.own_id},
            states=bytes([_CODES[row.state] for row in self.rows]),
            bounds=self._bounds(times),
            packed=given + self._postings() + self._hashes(),
        )

    def _columns(self, times: Sequence[Sequence[int]]) -> list[tuple[str, int, bytes]]:
        """Name, width and cells of each column that holds anything."""
        found = [("random", 4, array("I", self._random()))]
        found += [(name, 8, array("q", cells)) for name, cells in zip(TIMESTAMPS, times, strict=True)]
        for name in ("run", "wait", "keep"):
            found.append((_SPANS[name], 8, array("q", [getattr(row, name) for row in self.rows])))
        return [(name, width, cells.tobytes()) for name, width, cells in found if any(cells)]

    def _random(self) -> list[int]:
        """The random part of each id, 0 for an own id: drawn at once, one at a time where that gave 0."""
        drawn = array("I", secrets.token_bytes(4 * len(self.rows)))
        return [0 if row.own_id else number or ids.new_random() for row, number in zip(self.rows, drawn, strict=True)]

    def _bounds(self, times: Sequence[Sequence[int]]) -> bytes:
        """Lowest and highest of each timestamp, zeros where none is given."""
        bounds = bytearray()
        for cells in times:
            given = list(filter(None, cells))
            bounds += struct.pack("<QQ", min(given, default=0), max(given, default=0))
        return bytes(bounds)

    def _dictionary(self, texts: Iterable[str | None]) -> list[Any]:
        known: dict[str | None, int] = {None: 0}
        which = array("H", [known.setdefault(text, len(known)) for text in texts])
        if len(known) == 1:
            return [0]
        return [len(known) - 1, *list(known)[1:], which.tobytes()]

    def _postings(self) -> list[Any]:
        entries: dict[str, bytearray] = {}
        for at, row in enumerate(self.rows, start=self.first):
            packed = at.to_bytes(2, "little")
            for key, entry in row.tags:
                entries.setdefault(key, bytearray()).extend(packed + entry)
        return [len(entries), *(part for key, packed in entries.items() for part in (key, bytes(packed)))]

    def _hashes(self) -> list[Any]:
        found: list[Any] = []
        count = 0
        for at, row in enumerate(self.rows, start=self.first):
            small: list[str] = []
            large: list[str] = []
            for name, text in row.fields.items():
                # A text of 17 characters may have more than 64 bytes.
                into = large if len(text) > 16 and name != "i" and len(text.encode()) > 64 else small
                into += name, text
            if small:
                found += f"j{at}", len(small), *small
                count += 1
            if large:
                found += f"l{at}", len(large), *large
                count += 1
            for key, text in (("k", row.extra), ("d", row.data), ("e", row.errors)):
                if text is not None:
                    found += f"{key}{at}", 1, text
                    count += 1
        return [count, *found]
