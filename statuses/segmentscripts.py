"""The scripts on a segment, on many of its rows, and on its family's dictionaries as Python functions; `scripts.py` has those on one job.

Everything here is one round trip and atomic, where nothing else is said; what a script promises stands in its own header.
"""

import struct
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import clock, keys
from .columns import COLUMNS, DICTIONARIES, DICTIONARY_LIMITS
from .errors import StoreCleared
from .store import FORMAT, Store, token

_KEY_NUMBER = {column.name: number for number, column in enumerate(COLUMNS, start=4)}


def _dictionary(tag: str, *names: str) -> list[str]:
    found = []
    for name in names:
        found += [keys.codes(tag, DICTIONARIES[name]), keys.texts(tag, DICTIONARIES[name])]
    return found


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
        DICTIONARY_LIMITS["job_name"],
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
