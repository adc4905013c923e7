"""One row as read from Redis, decoded; dictionary texts by code."""

import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import encoding, keys, scripts
from .columns import DICTIONARIES
from .ids import Place, encode
from .states import REMOVED, State
from .store import Store

#: Fields of a row's hashes and what they hold. Values over 64 bytes live in the second hash.
FIELDS = {
    "i": "own id",
    "a": "job_args, JSON",
    "p": "provider job id",
    "P": "id of the parent",
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




class Dictionaries:
    """Dictionary texts by code, read when a code is met that is not known yet."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._known: dict[tuple[int, str], list[str]] = {}

    def catch_up(self, family: int, wanted: dict[str, int]) -> None:
        """Make sure that codes up to `wanted[dictionary column]` have texts. One round trip when some have not."""
        missing = {name: top for name, top in wanted.items() if top > len(self._known.get((family, name), ()))}
        if not missing:
            return
        tag = self._store.families[family]
        replies = self._store.pipeline([("LRANGE", keys.texts(tag, DICTIONARIES[name]), 0, -1) for name in missing])
        with self._lock:
            for name, texts in zip(missing, replies, strict=True):
                self._known[family, name] = [text.decode() for text in texts]

    def text(self, family: int, name: str, code: int) -> str | None:
        """The text of a code; None for 0 and for a code that is not there."""
        known = self._known.get((family, name), ())
        return known[code - 1] or None if 0 < code <= len(known) else None


def _fields(flat: Sequence[bytes]) -> dict[str, str]:
    return {
        name.decode(): value.decode(errors="surrogateescape") for name, value in zip(flat[::2], flat[1::2], strict=True) if name != b"u"
    }


def read_rows(store: Store, family: int, segment: int, rows: Sequence[int], *, primary: bool = False) -> list[Record | None]:
    """The records of rows of one segment, removed ones too, None where no job is. One round trip (two for new texts)."""
    if not rows:
        return []
    replies = store.script("read", *scripts.read_call(store, family, segment, rows), primary=primary)
    return _decode_rows(store, family, segment, rows, replies)


def _decode_rows(store: Store, family: int, segment: int, rows: Sequence[int], replies: Sequence[Any]) -> list[Record | None]:
    cells = [_CELLS.unpack(reply[0]) if reply else None for reply in replies]
    dictionaries = dictionaries_of(store)
    wanted = {name: max((c[2 + i] for c in cells if c), default=0) for i, name in enumerate(TEXTS)}
    dictionaries.catch_up(family, wanted)
    return [
        None if unpacked is None else _record(dictionaries, family, segment, row, unpacked, _fields(reply[1]))
        for row, unpacked, reply in zip(rows, cells, replies, strict=True)
    ]


def _record(texts: Dictionaries, family: int, segment: int, row: int, cells: tuple[int, ...], fields: dict[str, str]) -> Record:
    state, random, *rest = cells
    place = Place(family, segment, row, random, fields.get("i"))
    numbers = dict(zip(_NUMBERS, rest[6:], strict=True))
    return Record(
        id=place.own_id or encode(numbers["recorded_at"], place),
        place=place,
        state=State.of_code(state - REMOVED if state > REMOVED else state),
        removed=state > REMOVED,
        texts={name: texts.text(family, name, code) for name, code in zip(TEXTS, rest[:6], strict=True)},
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
    dictionaries = dictionaries_of(store)
    dictionaries.catch_up(place.family, {name: rest[i] for i, name in enumerate(TEXTS)})
    fields = {name.decode(): value.decode(errors="surrogateescape") for name, value in found.items()}
    inherited = {name: present.fields[name] for name in ("a", "P") if name in present.fields}
    return Record(
        id=f"{present.id}:{number}",
        place=place,
        state=State.of_code(state),
        removed=False,
        texts={name: dictionaries.text(place.family, name, code) for name, code in zip(TEXTS, rest[:6], strict=True)},
        numbers=dict(zip(_NUMBERS[:10], rest[6:], strict=True)),
        fields={**inherited, **fields},
        attempt=number,
        archived=True,
    )


_lock = threading.Lock()


def dictionaries_of(store: Store) -> Dictionaries:
    """The dictionary texts of a store, one object a store."""
    with _lock:
        found = store.__dict__.get("dictionaries")
        if found is None:
            found = store.__dict__["dictionaries"] = Dictionaries(store)
        return found
