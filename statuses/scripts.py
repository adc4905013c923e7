"""The scripts on one job as Python functions: arguments packed, codes turned into values and errors. Those on many rows, and on what
a segment is made of, are in `segmentscripts.py`.

Everything here is one round trip and atomic; what a script promises stands in its own header.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from . import clock, keys
from .columns import BY_NAME, DICTIONARIES, DICTIONARY_LIMITS
from .encoding import tag_hash
from .errors import KillRequested, StatusNotFound
from .ids import Place
from .segmentscripts import bulk, bulk_rows, current_segment, next_segment
from .states import CODE_TEXTS, CODES, State
from .store import Store, token

#: (kind of posting, text) of one tag.
Tag = tuple[str, str]
#: Field of a row's hash -> its text.
Fields = dict[str, str]
LIMIT = DICTIONARY_LIMITS["job_name"]
_USER_LIMIT = DICTIONARY_LIMITS["user"]


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


def close(
    store: Store,
    place: Place,
    id: str,
    attempt: int,
    target: State,
    error: tuple[str, str, str] | None,
    data: str | None,
    ago_us: int | None = None,
) -> bool:
    """End an archived attempt that never was, as `finish` ends the present one, which stays as it is; whether anything changed."""
    write_token = token()
    arguments: list[Any] = [*_row(place, write_token), str(attempt), CODE_TEXTS[target], "" if ago_us is None else str(ago_us)]
    arguments += [data or "", *(error or ("", "", "")), LIMIT, write_token.hex()]
    return _changed(store.script("close", _names(store, place, ("error",)), arguments), id)


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


def meter(
    store: Store, place: Place, kind: str, state: State | None, role: str, bounds: bytes, most: int
) -> tuple[tuple[str, str, str], list[int | None]] | None:
    """Count an event of a job in the metrics, see `lua/meter.lua`: the texts it counts under and its spans in microseconds, None for
    those not known; None where it does not count. Sent a second time when the connection was lost, it may count twice."""
    names = _names(store, place, ("job_name", "queue", "engine"), (keys.metrics(store.families[place.family]),))
    code = "" if state is None else CODE_TEXTS[state]
    reply = store.script("meter", names, [*_row(place, b""), kind, code, role, bounds, str(most)])
    if not isinstance(reply, list):
        return None
    task, queue, label = (text.decode(errors="replace") for text in reply[:3])
    return (task, queue, label), [span - 1 if span else None for span in reply[3:]]


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


def delete(store: Store, place: Place, id: str, sources: str) -> State | None:
    """Delete one job for good; the state it is in, where that is none of `sources`."""
    result = bulk(store, place.family, place.segment, "delete", bulk_rows([(place.row, place.random)]), sources).decode()
    if result == ".":
        raise StatusNotFound(id)
    return None if result == "+" else State.of_code(ord(result) - 64)
