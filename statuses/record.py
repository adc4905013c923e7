"""One row as read from Redis, decoded; dictionary texts by code."""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from . import encoding, keys, segmentscripts
from .dictionaries import texts_of
from .ids import Place, encode
from .states import REMOVED, State
from .store import Store

#: Fields of a row's hashes and what they hold. Values over 64 bytes live in the second hash.
FIELDS = {
    "i": "own id",
    "a": "job_args, JSON",
    "p": "provider job id",
    "P": "id of the parent",
    "D": "depends_on, JSON: ids of the jobs it waits for, ours or the engine's",
    "R": "root: the id, ours or the engine's, of the job or group its workflow began with",
    "n": "number of the present attempt, absent for 0",
    "u": "token of the creation under an own id",
    "g": "progress: at, or at and out_of with a tab between",
    "m": "progress message",
    "o": "summary of the last error",
    "b": "kill requested by",
    "y": "reason of the kill request",
    "K": "the resource until whose deletion the status is kept",
}
ARCHIVED = struct.Struct("<B6I10q")
TEXTS = ("job_name", "user", "queue", "worker", "engine", "error")
_TIMES = ("recorded_at", "queued_at", "started_at", "succeeded_at", "failed_at", "killed_at", "kill_requested_at", "heartbeat_at")
_NUMBERS = (*_TIMES, "run_time", "wait_time", "keep_for", "loaded_at", "gone_at")
#: The columns that `lua/read.lua` gives, in its order: how a cell is unpacked, and its bytes.
READ = {"state": ("B", 1), **dict.fromkeys(("random", *TEXTS), ("I", 4)), **dict.fromkeys(_NUMBERS, ("q", 8))}
_WIDTHS = tuple(width for _, width in READ.values())
#: Rows read by one command, and commands in one round trip: none of them holds Redis for a millisecond.
ROWS_A_COMMAND = 20
COMMANDS_A_TRIP = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What a row held at one moment."""

    id: str
    place: Place
    state: State
    removed: bool
    """Removed, but not yet for good."""
    texts: dict[str, str | None]
    """Job name, user, queue, worker, engine, error group by column name."""
    numbers: dict[str, int]
    """Microseconds by column name; 0 none. run_time, wait_time and keep_for are one more than their value."""
    fields: dict[str, str]
    """See FIELDS."""
    attempt: int
    archived: bool = False

    def time_us(self, name: str) -> int | None:
        """A timestamp in microseconds, None when it was never set."""
        return self.numbers.get(name) or None

    def span_us(self, name: str) -> int | None:
        """run_time, wait_time or keep_for in microseconds, None when not known."""
        kept = self.numbers.get(name, 0)
        return kept - 1 if kept else None

    @property
    def job_args(self) -> dict[str, Any]:
        return encoding.loads(self.fields["a"]) if "a" in self.fields else {}


def _fields(flat: Sequence[bytes]) -> dict[str, str]:
    return {
        name.decode(): value.decode(errors="surrogateescape") for name, value in zip(flat[::2], flat[1::2], strict=True) if name != b"u"
    }


def read_rows(store: Store, family: int, segment: int, rows: Sequence[int], *, primary: bool = False) -> list[Record | None]:
    """The records of rows of one segment, in their order, removed ones too, None where no job is. Each is of one moment.

    Source: a script per 20 rows, 20 of them in a round trip; one more for new texts."""
    ordered, found = sorted(set(rows)), {}
    size = ROWS_A_COMMAND * COMMANDS_A_TRIP
    for first in range(0, len(ordered), size):
        part = ordered[first : first + size]
        found.update(zip(part, _read(store, family, segment, part, primary), strict=True))
    return [found[row] for row in rows]


def _read(store: Store, family: int, segment: int, rows: Sequence[int], primary: bool) -> list[Record | None]:
    raw = read_raw(store, family, segment, rows, primary=primary)
    return [
        _record(raw.texts, family, segment, row, unpacked, _fields(flat)) if unpacked[0] else None
        for row, unpacked, flat in zip(rows, zip(*raw.cells(), strict=True), raw.fields, strict=True)
    ]


class Raw(NamedTuple):
    """Rows of one segment as they lie in Redis, each of one moment."""

    columns: dict[str, bytes]
    """The cells of every row, 0 where there are none; a row whose state is 0 holds no job."""
    fields: list[list[bytes]]
    """Of each row names and values in turn, see FIELDS."""
    texts: dict[str, list[str]]
    """The texts of the codes in the columns of TEXTS, as in `dictionaries`."""
    codes: dict[str, tuple[int, ...]]
    """The columns of TEXTS as numbers."""

    def cells(self) -> list[tuple[int, ...]]:
        """All columns as numbers."""
        unpacks = _unpacks(len(self.fields))
        return [self.codes[name] if name in self.codes else unpacks[name](kept) for name, kept in self.columns.items()]


@lru_cache(maxsize=512)
def _unpacks(rows: int) -> dict[str, Callable[[bytes], tuple[int, ...]]]:
    return {name: struct.Struct(f"<{rows}{kind}").unpack for name, (kind, _) in READ.items()}


def read_raw(store: Store, family: int, segment: int, rows: Sequence[int], *, primary: bool = False) -> Raw:
    """Rows of one segment, ascending, undecoded. Source: a script per 20 rows, all in one round trip; one more for new texts."""
    dictionaries = texts_of(store)
    known = {name: dictionaries.known(family, name) for name in TEXTS}
    lengths = [len(one.texts) for one in known.values()]
    parts = [rows[first : first + ROWS_A_COMMAND] for first in range(0, len(rows), ROWS_A_COMMAND)]
    replies = segmentscripts.read(store, family, segment, parts, dict(zip(TEXTS, lengths, strict=True)), primary=primary)
    wholes = [*map(_whole, parts, replies)]
    columns = dict(zip(READ, map(b"".join, zip(*wholes, strict=True)) if len(wholes) > 1 else wholes[0], strict=True))
    unpacks = _unpacks(len(rows))
    codes = {name: unpacks[name](columns[name]) for name in TEXTS}
    highest = {name: max(cells) for name, cells in codes.items()}
    seals = [dict(zip(TEXTS, reply[2], strict=True)) for reply in replies]
    stale = [
        name
        for name, top in highest.items()
        if top > len(known[name].texts) or (top and any(seal[name] != known[name].seal for seal in seals))
    ]
    texts = {name: one.texts for name, one in known.items()} | _fresh(store, family, stale, primary)
    return Raw(columns, [flat for _, flats, _ in replies for flat in flats], texts, codes)


def _whole(rows: Sequence[int], reply: tuple[list[bytes], Any, Any]) -> list[bytes]:
    """The columns of a reply, cells that are not there made 0."""
    number = len(rows)
    return [
        cells if len(cells) == number * width else cells.ljust(number * width, b"\0")
        for cells, width in zip(reply[0], _WIDTHS, strict=True)
    ]


def _fresh(store: Store, family: int, names: Sequence[str], primary: bool) -> dict[str, list[str]]:
    found = texts_of(store).catch_up([(family, name) for name in names], primary=primary) if names else {}
    return {name: texts for (_, name), texts in found.items()}


@lru_cache(maxsize=4096)
def progress(kept: str) -> float:
    """The share, 0.0 to 1.0, that a field `g` tells."""
    at, tab, out_of = kept.partition("\t")
    whole = number(out_of) if tab else 1.0
    return number(at) / whole if whole else 1.0


def number(text: str) -> float:
    """What `set_progress` was given, whole or not."""
    return float(text) if any(mark in text for mark in ".en") else int(text)


def _text(texts: Sequence[str], code: int) -> str | None:
    return (texts[code - 1] or None) if 0 < code <= len(texts) else None


def _record(texts: dict[str, list[str]], family: int, segment: int, row: int, cells: tuple[int, ...], fields: dict[str, str]) -> Record:
    state, random, *rest = cells
    place = Place(family, segment, row, random, fields.get("i"))
    numbers = dict(zip(_NUMBERS, rest[6:], strict=True))
    return Record(
        id=place.own_id or encode(numbers["recorded_at"], place),
        place=place,
        state=State.of_code(state - REMOVED if state > REMOVED else state),
        removed=state > REMOVED,
        texts={name: _text(texts[name], code) for name, code in zip(TEXTS, rest[:6], strict=True)},
        numbers=numbers,
        fields=fields,
        attempt=int(fields.get("n", 0)),
    )


def read_attempt(store: Store, present: Record, number: int) -> Record | None:
    """The archived attempt `number` of a job; None when there is none. Two round trips: nothing in it says whether the
    texts known here are still those of its codes."""
    return read_attempts(store, present, [number])[0]


def read_attempts(store: Store, present: Record, numbers: Sequence[int]) -> list[Record | None]:
    """Archived attempts of a job, in this order; None for one that there is not. Two round trips, however many they are."""
    return _attempts(store, present, numbers, store.pipeline([("HGETALL", name) for name in _names(store, present, numbers)], primary=True))


def read_attempts_with_errors(store: Store, present: Record, numbers: Sequence[int]) -> list[tuple[Record, bytes | None] | None]:
    """The same, each with what its errors are kept as. Two round trips, however many they are."""
    names = _names(store, present, numbers)
    replies = store.pipeline([*(("HGETALL", name) for name in names), *(("GET", name + "e") for name in names)], primary=True)
    records = _attempts(store, present, numbers, replies[: len(names)])
    return [None if one is None else (one, errors) for one, errors in zip(records, replies[len(names) :], strict=True)]


def _names(store: Store, present: Record, numbers: Sequence[int]) -> list[str]:
    segment = keys.segment(store.families[present.place.family], present.place.segment)
    return [keys.attempt(segment, present.place.row, number) for number in numbers]


def _attempts(store: Store, present: Record, numbers: Sequence[int], replies: Sequence[Any]) -> list[Record | None]:
    """One round trip where there are any: nothing in an attempt says whether the texts known here are still those of its codes."""
    found = [flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True)) for flat in replies]
    cells = [ARCHIVED.unpack(flat.pop(b"c")) if flat else None for flat in found]
    used = [name for at, name in enumerate(TEXTS, 1) if any(each is not None and each[at] for each in cells)]
    texts: dict[str, list[str]] = {name: [] for name in TEXTS} | _fresh(store, present.place.family, used, True)
    return [
        _attempt(present, number, each, flat, texts) if each is not None else None
        for number, each, flat in zip(numbers, cells, found, strict=True)
    ]


def _attempt(present: Record, number: int, cells: tuple[int, ...], flat: Mapping[bytes, bytes], texts: dict[str, list[str]]) -> Record:
    state, *rest = cells
    fields = {name.decode(): value.decode(errors="surrogateescape") for name, value in flat.items()}
    inherited = {name: present.fields[name] for name in ("a", "P", "D", "R") if name in present.fields}
    return Record(
        id=f"{present.id}:{number}",
        place=present.place,
        state=State.of_code(state),
        removed=False,
        texts={name: _text(texts[name], code) for name, code in zip(TEXTS, rest[:6], strict=True)},
        numbers=dict(zip(_NUMBERS[:10], rest[6:], strict=True)),
        fields={**inherited, **fields},
        attempt=number,
        archived=True,
    )
