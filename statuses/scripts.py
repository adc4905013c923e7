"""Each script as a Python function: arguments packed, codes turned into values and errors.

Everything here is one round trip and atomic; what a script promises stands in its own header.
"""

import struct
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import clock, keys
from .columns import BY_NAME, COLUMNS, DICTIONARIES, DICTIONARY_LIMITS
from .encoding import tag_hash
from .errors import KillRequested, StatusNotFound, StoreCleared
from .ids import Place
from .states import CODE_TEXTS, CODES, State
from .store import FORMAT, Store, token

#: (kind of posting, text) of one tag.
Tag = tuple[str, str]
#: Field of a row's hash -> its text.
Fields = dict[str, str]
LIMIT = DICTIONARY_LIMITS["job_name"]
_USER_LIMIT = DICTIONARY_LIMITS["user"]
_KEY_NUMBER = {column.name: number for number, column in enumerate(COLUMNS, start=4)}


class AliasTaken(Exception):
    """Raised when a caller's own id has an alias already; `at` is what it says: "segment row"."""

    def __init__(self, at: str) -> None:
        super().__init__(at)
        self.at = at


class FieldMoved(Exception):
    """Raised when an indexed field holds another text than the caller thought; `present` is that text."""

    def __init__(self, present: str) -> None:
        super().__init__(present)
        self.present = present


@dataclass(kw_only=True, slots=True)
class NewRow:
    """What create writes; not frozen, for that costs as much as the rest of making one."""

    state: State
    own_id: str | None
    random: int
    texts: tuple[str | None, str | None, str | None, str | None]
    """Job name, user, queue, engine."""
    keep_for_us: int | None
    fields: Fields
    tags: Sequence[Tag]
    call: str | None
    data: str | None


def _prefix(store: Store, place: Place) -> str:
    return keys.segment(store.families[place.family], place.segment)


def _dictionary(tag: str, *names: str) -> list[str]:
    found = []
    for name in names:
        found += [keys.codes(tag, DICTIONARIES[name]), keys.texts(tag, DICTIONARIES[name])]
    return found


def _names(store: Store, place: Place, dictionaries: Sequence[str] = (), more: Sequence[str] = ()) -> Sequence[str]:
    """Keys of a script on one row, as its header names them. dictionaries: columns of those that it looks into."""
    tag = store.families[place.family]
    named = (*_version_of(tag, place.segment), *more) if more else _version_of(tag, place.segment)
    return (*named, *_unnamed(tag, place.segment, dictionaries, [place.row])) if store.is_cluster else named


@lru_cache(maxsize=256)
def _version_of(tag: str, segment: int) -> tuple[str, ...]:
    return (keys.version(keys.segment(tag, segment)),)


def _unnamed(tag: str, segment: int, dictionaries: Sequence[str], rows: Sequence[int]) -> list[str]:
    """What a script on one row may touch beside the keys it names (`lua/shared/keys.lua`): to be declared on a cluster."""
    prefix = keys.segment(tag, segment)
    texts = [key(tag, DICTIONARIES[name]) for name in dictionaries for key in (keys.codes, keys.texts, keys.seals)]
    return [*keys.frame(prefix)[1:], keys.tokens(prefix), *texts, *keys.of_rows(prefix, rows)]


_RANDOM = struct.Struct("<I")
_MOMENT = struct.Struct("<q")


def _row(place: Place, write_token: bytes) -> list[Any]:
    return [clock.argument(), write_token, str(place.row), _RANDOM.pack(place.random), place.own_id or ""]


#: The first argument of a verb, but for the texts at its end; `lua/shared/verb.lua` reads it.
_VERB = struct.Struct("<c8sIiBBIB")
#: No attempt of a job has a higher number.
_ATTEMPT_MAX = (1 << 31) - 1


def _verb(
    place: Place, write_token: bytes, guards: "Guards", what: int, text: str = "", ago_us: int | None = None, whole: bool = False
) -> list[Any]:
    """Arguments of a verb: one for nearly every job, four where more is to be said, or more will follow (`whole`)."""
    attempt, sources = guards
    row = str(place.row)
    number = -1 if attempt is None else min(attempt, _ATTEMPT_MAX)
    bits = 255 if sources is None else _bits(tuple(sources))
    said = _VERB.pack(b"0", write_token, place.random, number, bits, what, LIMIT, len(row)) + f"{row}{text}".encode()
    frozen = clock.argument()
    if not whole and ago_us is None and place.own_id is None and not frozen:
        return [said]
    return [said, "" if ago_us is None else str(ago_us), place.own_id or "", frozen]


@lru_cache(maxsize=256)
def _bits(sources: tuple[State, ...]) -> int:
    return sum(1 << CODES[state] for state in set(sources))


def open_segment(store: Store, family: int, number: int) -> int:
    """Open segment `number` of a family unless it is; the family's present segment. Raises: StoreFormat, ConfigurationError."""
    tag = store.families[family]
    prefix = keys.segment(tag, number)
    names = [*keys.frame(prefix), keys.meta(tag), keys.tokens(prefix)]
    random_id = token().hex()
    arguments = [clock.argument(), token(), number, FORMAT, store.config.families, random_id]
    current, families, format = store.script("segment", names, arguments)
    store.check(format, families or None)
    store.current[family] = max(current, 0)
    return current


def current_segment(store: Store, family: int) -> int:
    """The segment that takes new rows: as last seen, else from meta, opened when the store is new. 0 to 2 round trips."""
    known = store.current.get(family)
    if known is not None:
        return known
    found, *layout = store.pipeline([("HMGET", keys.meta(store.families[family]), "current", "format", "families")], primary=True)[0]
    if found is None:
        if family:
            # The first family says how many there are, before another one is made by mistake.
            current_segment(store, 0)
        return open_segment(store, family, 0)
    store.check(*layout)
    store.current[family] = int(found)
    return int(found)


def next_segment(store: Store, family: int, after: int) -> int:
    """The segment to use when `after` is full or gone; an earlier one where a failover took `after` back."""
    store.current.pop(family, None)
    present = current_segment(store, family)
    return present if present != after else open_segment(store, family, present + 1)


#: Columns with a dictionary that a new row may have a text in.
_CREATED = ("job_name", "user", "queue", "engine")
#: The first argument of a create up to its texts, see `lua/create.lua`.
_NEW = struct.Struct("<c8sIBdBI")
_NEW_TEXTS = struct.Struct("<II")
_TEXT_LENGTH = struct.Struct("<H")


@lru_cache(maxsize=1024)
def _new_texts(limit: int, user_limit: int, *texts: str | None) -> bytes:
    """The texts of a new row behind the limits of their dictionaries; the same few for most jobs."""
    encoded = [(text or "").encode() for text in texts]
    return _NEW_TEXTS.pack(limit, user_limit) + b"".join(_TEXT_LENGTH.pack(len(text)) + text for text in encoded)


def _short(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()


def create(store: Store, family: int, new: NewRow, dead_alias: str = "") -> tuple[Place, int]:
    """Make a status; its place and its recording time (microseconds). Raises: AliasTaken."""
    segment = current_segment(store, family)
    tag = store.families[family]
    random = 0 if new.own_id else new.random
    kept = 0 if new.keep_for_us is None else new.keep_for_us + 1
    fixed = _NEW.pack(b"0", token(), random, CODES[new.state], kept, 2 * len(new.fields), len(new.tags))
    frozen = clock.argument()
    tail = _short(dead_alias or "-" if new.own_id else "") + _short(frozen) if new.own_id or frozen else b"\0\0"
    # Texts all of them: what is sent is looked at once, and numbers would have to be turned into texts then.
    arguments: list[str | bytes] = [fixed + _new_texts(LIMIT, _USER_LIMIT, *new.texts) + tail, new.call or ""]
    for pair in new.fields.items():
        arguments += pair
    buckets = []
    for kind, text in new.tags:
        bucket, entry = tag_hash(text)
        buckets.append((kind, bucket))
        arguments.append(entry)
    if new.data is not None:
        arguments.append(new.data)
    while True:
        names = [*_version_of(tag, segment)]
        if new.own_id:
            names.append(keys.alias(tag, new.own_id))
        prefix = keys.segment(tag, segment)
        for kind, bucket in buckets:
            names.append(keys.posting(prefix, kind, bucket))
        if store.is_cluster:
            names += _unnamed(tag, segment, _CREATED, ())
        reply = store.script_once("create", names, arguments, retry_flag=0)
        if isinstance(reply, bytes):
            return Place(family, segment, int(reply[8:]), random, new.own_id), _MOMENT.unpack_from(reply)[0]
        if reply[0] == -2:
            raise AliasTaken(reply[1].decode())
        segment = next_segment(store, family, segment)


def _changed(reply: int, id: str) -> bool:
    if reply == -1:
        raise StatusNotFound(id)
    return reply == 1


@lru_cache(maxsize=256)
def _codes(sources: tuple[State, ...]) -> str:
    return "".join(CODE_TEXTS[state] for state in sources) or "x"


def _guards(attempt: int | None, sources: Sequence[State] | None) -> tuple[str, str]:
    return "" if attempt is None else str(attempt), "" if sources is None else _codes(tuple(sources))


Guards = tuple[int | None, Sequence[State] | None]


def move(store: Store, place: Place, id: str, target: State, guards: Guards) -> bool:
    """Enter a state other than started; whether anything changed."""
    reply = store.script_once("move", _names(store, place), _verb(place, token(), guards, CODES[target]), retry_flag=0)
    return _changed(reply, id)


def finish(
    store: Store,
    place: Place,
    id: str,
    target: State,
    guards: Guards,
    error: tuple[str, str, str] | None,
    data: str | None,
    silent_us: int | None = None,
    ago_us: int | None = None,
) -> bool:
    """End an attempt, with its error (JSON, group, summary) and data (kept where there is none); whether anything changed.
    silent_us: only where its last heartbeat is older than that. ago_us: since when it has ended."""
    call = _finish(place, CODES[target], guards, error, data, silent_us, ago_us)
    return _changed(store.script_once("finish", _names(store, place, ("error",)), call, retry_flag=0), id)


def _finish(
    place: Place,
    target: int,
    guards: Guards,
    error: tuple[str, str, str] | None,
    data: str | None,
    silent_us: int | None = None,
    ago_us: int | None = None,
) -> list[Any]:
    write_token = token()
    verb = _verb(place, write_token, guards, target, "", ago_us, whole=True)
    return [*verb, data or "", *(error or ("", "", "")), write_token.hex(), "" if silent_us is None else str(silent_us)]


def succeed_along(store: Store, place: Place, guards: Guards, data: str | None, then: Callable[[Any], None]) -> None:
    """Enter succeeded, with data (kept where there is none), together with what this process says to the store next; the moment is
    the present one all the same. `then` gets 1 changed, 0 not, -1 no such job, or StoreUnavailable or ScriptFailed. Not on a
    cluster. No round trip."""
    target, names = CODES[State.succeeded], _names(store, place)
    if data is None:
        store.piggyback("move", names, _verb(place, token(), guards, target, whole=True), then)
    else:
        store.piggyback("finish", names, _finish(place, target, guards, None, data), then)


def start(
    store: Store, place: Place, id: str, worker: str | None, guards: Guards, refuse_killed: bool, alive: bool = False
) -> tuple[bool, int]:
    """Start or restart; whether anything changed, and the present attempt. Raises: KillRequested where it is refused."""
    arguments = _verb(place, token(), guards, refuse_killed + 2 * alive, worker or "")
    reply = store.start_once(_names(store, place, ("worker",)), arguments)
    if isinstance(reply, int):
        return True, reply
    refused, attempt, _ = reply
    if refused == -2:
        raise KillRequested(id)
    return _changed(refused, id), attempt


def requeue(
    store: Store,
    place: Place,
    id: str,
    guards: Guards,
    target: State = State.queued,
    ran: bool = False,
    failed: bool = False,
    anew: bool = False,
) -> tuple[bool, int]:
    """Archive what ran and queue again; whether anything changed, and the present attempt."""
    flags = ["1" if flag else "" for flag in (ran, failed, anew)]
    arguments = [*_row(place, token()), "", *_guards(*guards), target.code, *flags]
    changed, attempt = store.script_once("requeue", _names(store, place), arguments, retry_flag=5)
    return _changed(changed, id), attempt


#: What `kill.lua` did: the words of `Changed.by_reason`.
KILL_RESULTS = {1: "requested", 2: "killed", 0: "already", 3: "ended", 4: "not allowed"}


def request_kill(
    store: Store, place: Place, id: str, by: str | None, reason: str | None, end_queued: bool, guards: Guards = (None, None)
) -> str:
    """Ask a job to die; one of the words of KILL_RESULTS."""
    arguments = [*_row(place, token()), "", by or "", reason or "", "1" if end_queued else "", *_guards(*guards)]
    reply = store.script_once("kill", _names(store, place), arguments, retry_flag=5)
    if reply == -1:
        raise StatusNotFound(id)
    return KILL_RESULTS[reply]


def note(
    store: Store,
    place: Place,
    id: str,
    fields: Fields,
    data: str | None = None,
    heartbeat: bool = False,
    unless_kept: bool = False,
    alive: bool = False,
) -> None:
    """Write what only the job's page shows: fields ('' removes one), data, a heartbeat. alive: it is one where the job gave any before."""
    arguments: list[Any] = [
        *_row(place, token()),
        "1" if heartbeat else "2" if alive else "",
        "" if data is None else "2" if unless_kept else "1",
        data or "",
    ]
    arguments += [part for pair in fields.items() for part in pair]
    _changed(store.script("note", _names(store, place), arguments), id)


def heartbeats(store: Store, places: Sequence[Place]) -> list[bool]:
    """A heartbeat for each place, in one round trip; False where no such job is."""
    calls = [(_names(store, p), [*_row(p, token()), "1", "", ""]) for p in places]
    return [reply == 1 for reply in store.scripts("note", calls)] if calls else []


def add_error(store: Store, place: Place, id: str, text: str, group: str, summary: str, attempt: int | None = None) -> bool:
    """Append an error; False when `attempt` is given and no longer the present one."""
    names = _names(store, place, ("error",))
    write_token = token()
    arguments = [*_row(place, write_token), "", text, group, summary, LIMIT, write_token.hex(), "" if attempt is None else attempt]
    return _changed(store.script_once("error", names, arguments, retry_flag=5), id)


def label(store: Store, place: Place, id: str, texts: dict[str, str | None], keep_for_us: int | str | None = "", until: str = "") -> bool:
    """Set texts by column name (None: none); keep_for_us None: the policy's, "": as it is. until: the resource whose deletion
    ends that time; with the policy's only where that is so, False where it is not."""
    names = _names(store, place, tuple(texts))
    keep = "" if keep_for_us == "" else 0 if keep_for_us is None else int(keep_for_us) + 1
    arguments: list[Any] = [*_row(place, token()), keep, until]
    for name, text in texts.items():
        arguments += [BY_NAME[name].key, DICTIONARIES[name], text or "", DICTIONARY_LIMITS[name]]
    return _changed(store.script("label", names, arguments), id)


def retag(store: Store, place: Place, id: str, field: str, old: tuple[str, Sequence[Tag]], new: tuple[str, Sequence[Tag]]) -> None:
    """Replace an indexed field and its tags. Raises: FieldMoved when it no longer holds `old`."""
    prefix = _prefix(store, place)
    postings, hashes = [], []
    for kind, text in [*old[1], *new[1]]:
        bucket, entry = tag_hash(text)
        postings.append(keys.posting(prefix, kind, bucket))
        hashes.append(entry)
    arguments = [*_row(place, token()), field, old[0], new[0], len(old[1]), *hashes]
    reply = store.script("tag", _names(store, place, (), postings), arguments)
    if reply[0] == 2:
        raise FieldMoved(reply[1].decode())
    _changed(reply[0], id)


#: Rows one call of a verb takes: about a millisecond of Redis. Two are on their way at once, and other clients wait for both.
BULK_ROWS = {"kill": 250, "remove": 500, "restore": 250, "delete": 150, "sweep": 150}


#: A row of a bulk call, as `lua/bulk.lua` takes it: u16 row, u32 rn.
BULK_ROW = struct.Struct("<HI")


def bulk_rows(pairs: Iterable[tuple[int, int]]) -> bytes:
    """(row, rn) pairs, ascending, as a bulk call takes them."""
    return b"".join(BULK_ROW.pack(row, random) for row, random in pairs)


def _is_long(verb: str, arguments: Sequence[Any]) -> bool:
    """Whether a kill has a reason that goes to the second hash of each row."""
    return verb == "kill" and len(arguments) > 1 and len(arguments[1].encode()) > 64


def _touched(verb: str, arguments: Sequence[Any]) -> str:
    """The kinds of a row's keys that a bulk verb may touch."""
    return {"remove": "", "restore": "j", "kill": "jl" if _is_long(verb, arguments) else "j"}.get(verb, keys.ROW_KINDS)


def bulk_size(verb: str, arguments: Sequence[Any] = ()) -> int:
    """Rows one call takes."""
    return BULK_ROWS[verb] // 2 if _is_long(verb, arguments) else BULK_ROWS[verb]


def bulk_call(
    store: Store, family: int, segment: int, verb: str, rows: bytes, sources: str, arguments: Sequence[Any]
) -> tuple[list[str], list[Any]]:
    """Keys and arguments of one bulk call on rows (see `bulk_rows`) of a segment; see `lua/bulk.lua`. The script makes the names of
    most keys itself; a cluster's are told all."""
    prefix = keys.segment(store.families[family], segment)
    names = [keys.version(prefix), keys.last_call(prefix)]
    if store.is_cluster:
        touched = [row for row, _ in BULK_ROW.iter_unpack(rows)]
        names += [*keys.frame(prefix)[1:], *keys.of_rows(prefix, touched, _touched(verb, arguments))]
    return names, [clock.argument(), token(), verb, sources, rows, *[*arguments, "", "", ""][:3], ""]


def bulk(store: Store, family: int, segment: int, verb: str, rows: bytes, sources: str, *arguments: Any) -> bytes:
    """One verb on rows (see `bulk_rows`) of a segment; a byte a row, see `lua/bulk.lua`."""
    return store.script_once("bulk", *bulk_call(store, family, segment, verb, rows, sources, arguments), retry_flag=8)


def bulks(store: Store, verb: str, parts: Iterable[tuple[int, int, bytes]], sources: str, *arguments: Any) -> Generator[bytes, None, None]:
    """What `bulk` gives for each (family, segment, rows), in their order. The next part is asked for, and on its way, before what was
    done to one is told."""
    calls = (bulk_call(store, family, segment, verb, rows, sources, arguments) for family, segment, rows in parts)
    return store.scripts_once("bulk", calls, retry_flag=8)


def delete(store: Store, place: Place, id: str, sources: str) -> State | None:
    """Delete one job for good; the state it is in, where that is none of `sources`."""
    result = bulk(store, place.family, place.segment, "delete", bulk_rows([(place.row, place.random)]), sources).decode()
    if result == ".":
        raise StatusNotFound(id)
    return None if result == "+" else State.of_code(ord(result) - 64)


def stamp(store: Store, family: int, from_now_us: int = 0) -> int:
    """A moment (microseconds) no other removal of this family has."""
    return int(store.script("stamp", [keys.meta(store.families[family])], [clock.argument(), from_now_us]))


def reserve(store: Store, family: int, count: int) -> tuple[int, int, int]:
    """Rows for `load`: segment, first row, how many (at most `count`)."""
    segment = current_segment(store, family)
    while True:
        first, given = store.script("reserve", keys.frame(keys.segment(store.families[family], segment)), [count])
        if given:
            return segment, first, given
        segment = next_segment(store, family, segment)


@dataclass(frozen=True, kw_only=True)
class NewRows:
    """What one call of load writes: contiguous rows that were reserved for it."""

    family: int
    segment: int
    first: int
    own_ids: dict[str, int]
    """Callers' own ids -> their rows."""
    states: bytes
    """A byte a row."""
    bounds: bytes
    packed: Sequence[Any]
    """Columns, dictionaries, postings, hashes; see `lua/load.lua`."""


def load(store: Store, new: NewRows, dead_aliases: Mapping[str, str]) -> dict[str, str]:
    """Write the rows; own ids that are taken, with what their aliases say: nothing is written then. `dead_aliases`
    may be replaced. Raises: StoreCleared when the segment is gone."""
    tag = store.families[new.family]
    prefix = keys.segment(tag, new.segment)
    names = [*keys.frame(prefix), *_dictionary(tag, "job_name", "user", "queue", "worker", "engine", "error")]
    arguments = [
        clock.argument(),
        token(),
        new.first,
        len(new.states),
        prefix,
        LIMIT,
        DICTIONARY_LIMITS["user"],
        "",
        new.states,
        new.bounds,
    ]
    for own_id, row in new.own_ids.items():
        names.append(keys.alias(tag, own_id))
        arguments += [f"{new.segment} {row}", dead_aliases.get(own_id, "")]
    reply = store.script_once("load", names, [*arguments, *new.packed], retry_flag=7)
    if reply[0] == 0:
        raise StoreCleared()
    own_ids = list(new.own_ids)
    return {own_ids[number]: at.decode() for number, at in zip(reply[1::2], reply[2::2], strict=True)}


def read(
    store: Store, family: int, segment: int, parts: Sequence[Sequence[int]], known: dict[str, int], *, primary: bool
) -> list[tuple[list[bytes], list[Any], list[bytes]]]:
    """Records of some rows by each part of them (ascending), as bytes, with the seal of each dictionary's text number
    `known`; see `lua/read.lua`. One round trip."""
    tag = store.families[family]
    prefix = keys.segment(tag, segment)
    named = [keys.version(prefix), *(keys.seals(tag, DICTIONARIES[name]) for name in known)]
    calls = []
    for rows in parts:
        names = [*named, *keys.frame(prefix)[1:], *keys.of_rows(prefix, rows, "jl")] if store.is_cluster else named
        calls.append((names, [*known.values(), *rows]))
    return store.scripts("read", calls, primary=primary)


def key_number(column: str) -> int:
    """The position (from 1) of a column's key in the frame."""
    return _KEY_NUMBER[column]


def repair(
    store: Store, family: int, segment: int, expected: bytes, writes: Sequence[Sequence[Any]], least: int | None = None
) -> bytes | None:
    """Apply the writes of a check (command, key, arguments) while the segment's version is `expected`; the version after
    that, None when it is another. least: the version must change, and become this at least (microseconds)."""
    names = list(keys.frame(keys.segment(store.families[family], segment)))
    numbers = {name: number for number, name in enumerate(names, start=1)}
    arguments: list[Any] = [clock.argument(), token(), expected, "" if least is None else least]
    for command, key, *given in writes:
        if key not in numbers:
            names.append(key)
            numbers[key] = len(names)
        arguments += [command, numbers[key], len(given), *given]
    return store.script("repair", names, arguments)


def mend(
    store: Store,
    family: int,
    dictionary: str,
    writes: Sequence[tuple[str, str, int]],
    *,
    sizes: tuple[int, int] | None = None,
    cleaner: str = "",
) -> int | None:
    """Apply (what, text, code) to a dictionary; how many entries were dropped. sizes: texts and codes it must still have;
    cleaner: the token of who marks and drops. None when it has not those sizes, or another cleaner marks; see `lua/mend.lua`."""
    tag = store.families[family]
    arguments: list[Any] = [*(sizes or ("", "")), cleaner]
    for write in writes:
        arguments += write
    dropped = store.script("mend", [*_dictionary(tag, dictionary), keys.meta(tag)], arguments)
    return None if dropped < 0 else dropped


def drop(store: Store, family: int, segment: int, expected: bytes, parts: Sequence[str], first: int | None) -> bool:
    """Unlink a dead segment (`parts`: its keys beside the frame) while its version is `expected`; whether it was.
    first: the lowest segment there is from then on, None where it stays."""
    tag = store.families[family]
    names = [*keys.frame(keys.segment(tag, segment)), keys.meta(tag), *parts]
    return store.script("drop", names, [expected, "" if first is None else first]) == 1


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What a packed segment is made of."""

    version: bytes
    """The one it was made from; nothing is written in another."""
    heartbeats: bytes | None
    """That column as it was: heartbeats come without a new version."""
    rows: bytes
    """Rows that stay, u16, ascending."""
    quiet: bool
    """Whether none of them runs or waits."""
    columns: Sequence[bytes]
    """Their cells, in the order of COLUMNS; empty for a column that holds nothing."""
    postings: dict[str, bytes]
    """Key -> its entries."""


def pack(store: Store, family: int, segment: int, packed: Packed) -> bool:
    """Replace a segment's cells, unless somebody wrote to it; whether that was done."""
    prefix = keys.segment(store.families[family], segment)
    names = [*keys.frame(prefix), keys.tokens(prefix), *packed.postings]
    arguments = [clock.argument(), token(), packed.version, packed.rows, "1" if packed.quiet else "", packed.heartbeats or b""]
    return store.script("pack", names, [*arguments, *packed.columns, *packed.postings.values()]) == 1
