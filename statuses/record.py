"""One row as read from Redis, decoded; dictionary texts by code."""

import struct
from collections.abc import Sequence
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
_CELLS = struct.Struct("<BI6I13q")
ARCHIVED = struct.Struct("<B6I10q")
TEXTS = ("job_name", "user", "queue", "worker", "engine", "error")
_TIMES = ("recorded_at", "queued_at", "started_at", "succeeded_at", "failed_at", "killed_at", "kill_requested_at", "heartbeat_at")
_NUMBERS = (*_TIMES, "run_time", "wait_time", "keep_for", "loaded_at", "gone_at")


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
    """The records of rows of one segment, removed ones too, None where no job is. One round trip (two for new texts)."""
    if not rows:
        return []
    dictionaries = texts_of(store)
    known = {name: dictionaries.known(family, name) for name in TEXTS}
    replies, seals = scripts.read(store, family, segment, rows, {name: len(one.texts) for name, one in known.items()}, primary=primary)
    cells = [_CELLS.unpack(reply[0]) if reply else None for reply in replies]
    highest = {name: max((c[2 + i] for c in cells if c), default=0) for i, name in enumerate(TEXTS)}
    stale = [name for name, top in highest.items() if top > len(known[name].texts) or (top and seals[name] != known[name].seal)]
    texts = {name: one.texts for name, one in known.items()} | _fresh(store, family, stale, primary)
    return [
        None if unpacked is None else _record(texts, family, segment, row, unpacked, _fields(reply[1]))
        for row, unpacked, reply in zip(rows, cells, replies, strict=True)
    ]


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
    """The archived attempt `number` of a job; None when there is none. One round trip."""
    place = present.place
    key = keys.attempt(keys.segment(store.families[place.family], place.segment), place.row, number)
    flat = store.read("HGETALL", key)
    found = flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))
    if not found:
        return None
    state, *rest = ARCHIVED.unpack(found.pop(b"c"))
    texts = {name: texts_of(store).known(place.family, name).texts for name in TEXTS}
    texts |= _fresh(store, place.family, [name for name, code in zip(TEXTS, rest, strict=False) if code > len(texts[name])], True)
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
