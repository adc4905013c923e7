"""One row as read from Redis, decoded; dictionary texts by code."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import encoding, keys, scripts
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
#: What `lua/read.lua` gives of each column: state, random, texts, numbers.
_FORMATS = (("B", 1), ("I", 4), *(("I", 4) for _ in TEXTS), *(("q", 8) for _ in _NUMBERS))
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
    dictionaries = texts_of(store)
    known = {name: dictionaries.known(family, name) for name in TEXTS}
    lengths = [len(one.texts) for one in known.values()]
    parts = [rows[first : first + ROWS_A_COMMAND] for first in range(0, len(rows), ROWS_A_COMMAND)]
    replies = scripts.read(store, family, segment, parts, dict(zip(TEXTS, lengths, strict=True)), primary=primary)
    cells = [each for part, (columns, _, _) in zip(parts, replies, strict=True) for each in _cells(columns, len(part))]
    highest = {name: max((c[2 + i] for c in cells), default=0) for i, name in enumerate(TEXTS)}
    seals = [dict(zip(TEXTS, reply[2], strict=True)) for reply in replies]
    stale = [
        name
        for name, top in highest.items()
        if top > len(known[name].texts) or (top and any(seal[name] != known[name].seal for seal in seals))
    ]
    texts = {name: one.texts for name, one in known.items()} | _fresh(store, family, stale, primary)
    fields = [each for _, flats, _ in replies for each in flats]
    return [
        _record(texts, family, segment, row, unpacked, _fields(flat)) if unpacked[0] else None
        for row, unpacked, flat in zip(rows, cells, fields, strict=True)
    ]


def _cells(columns: Sequence[bytes], rows: int) -> Iterator[tuple[int, ...]]:
    """The cells of each row; 0 where there are none."""
    unpacked = (
        struct.unpack(f"<{rows}{kind}", cells if len(cells) == rows * width else cells.ljust(rows * width, b"\0"))
        for (kind, width), cells in zip(_FORMATS, columns, strict=True)
    )
    return zip(*unpacked, strict=True)


def _fresh(store: Store, family: int, names: Sequence[str], primary: bool) -> dict[str, list[str]]:
    found = texts_of(store).catch_up([(family, name) for name in names], primary=primary) if names else {}
    return {name: texts for (_, name), texts in found.items()}


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
    place = present.place
    key = keys.attempt(keys.segment(store.families[place.family], place.segment), place.row, number)
    flat = store.read("HGETALL", key)
    found = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
    if not found:
        return None
    state, *rest = ARCHIVED.unpack(found.pop(b"c"))
    used = [name for name, code in zip(TEXTS, rest, strict=False) if code]
    texts: dict[str, list[str]] = {name: [] for name in TEXTS} | _fresh(store, place.family, used, True)
    fields = {name.decode(): value.decode(errors="surrogateescape") for name, value in found.items()}
    inherited = {name: present.fields[name] for name in ("a", "P", "D", "R") if name in present.fields}
    return Record(
        id=f"{present.id}:{number}",
        place=place,
        state=State.of_code(state),
        removed=False,
        texts={name: _text(texts[name], code) for name, code in zip(TEXTS, rest[:6], strict=True)},
        numbers=dict(zip(_NUMBERS[:10], rest[6:], strict=True)),
        fields={**inherited, **fields},
        attempt=number,
        archived=True,
    )
