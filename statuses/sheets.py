"""Many jobs column by column: what a file of millions of rows is made of, without an object for each job."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import pages, record
from .arguments import nearest, shown
from .columns import TIMESTAMPS
from .pages import Block
from .segments import Array
from .states import BY_CODE, REMOVED
from .store import Store

if TYPE_CHECKING:
    from .query import Query

#: Jobs of a sheet: one round trip.
ROWS = record.ROWS_A_COMMAND * record.COMMANDS_A_TRIP
#: Jobs that one look at the columns chooses: finding the next ones costs as much for a few as for that many.
CHOSEN_AT_ONCE = 20_000

_DTYPES = {"B": "u1", "I": "<u4", "q": "<i8"}
_STATES = {code: state.value for code, state in BY_CODE.items()}
#: Column of a sheet -> the field that holds its text.
_FIELDS = {
    "job_args": b"a",
    "provider_job_id": b"p",
    "parent": b"P",
    "root": b"R",
    "progress_message": b"m",
    "error_summary": b"o",
    "kill_requested_by": b"b",
    "kill_reason": b"y",
}


class _Part:
    """The rows of a sheet that lie in one segment."""

    def __init__(self, store: Store, family: int, segment: int, rows: Array, randoms: Array) -> None:
        self.home = family, segment
        self.raw = record.read_raw(store, family, segment, rows.tolist())
        states = self.column("state")
        self.there = np.flatnonzero((states > 0) & (states < REMOVED) & (self.column("random") == randoms))
        self.rows = rows[self.there]

    def column(self, name: str) -> Array:
        return np.frombuffer(self.raw.columns[name], _DTYPES[record.READ[name][0]])


class Sheet:
    """Some hundred jobs in their order, each as of one moment, column by column; those removed meanwhile are left out."""

    def __init__(self, store: Store, block: Block) -> None:
        places = np.abs(block.ties)
        homes, rows = (places >> 22 << 6) | (places & 63), places >> 6 & 0xFFFF
        self._parts: list[_Part] = []
        chosen = []
        for home in np.unique(homes).tolist():
            at = np.flatnonzero(homes == home)
            at = at[np.argsort(rows[at])]
            part = _Part(store, home & 63, home >> 6, rows[at], block.randoms[at])
            self._parts.append(part)
            chosen.append(at[part.there])
        self._order = np.argsort(np.concatenate(chosen))
        found = [part.raw.fields[at] for part in self._parts for at in part.there.tolist()]
        self._fields: list[dict[bytes, bytes]] = [
            dict(zip(flat[::2], flat[1::2], strict=True)) for flat in [found[at] for at in self._order.tolist()]
        ]

    def __len__(self) -> int:
        return len(self._order)

    def column(self, name: str) -> Any:
        """One value a job, as `Status` has it under that name; but the timestamps as an array of microseconds, 0 for none,
        `state` and `job_args` as texts: JSON, equal for jobs with equal arguments. Raises: ValueError."""
        if name not in _READERS:
            raise ValueError(f"a sheet has no column {shown(name)}{nearest(name, _READERS)}")
        return _READERS[name](self, name)

    def _joined(self, of: Callable[[_Part], Array]) -> Array:
        return np.concatenate([of(part) for part in self._parts])[self._order]

    def _cells(self, name: str) -> Array:
        return self._joined(lambda part: part.column(name)[part.there])

    def _ids(self, _: str) -> list[str]:
        families, segments = (self._joined(lambda part, at=at: np.full(len(part.rows), part.home[at])) for at in (0, 1))
        rows = self._joined(lambda part: part.rows)
        made = made_ids(families, segments, rows, self._cells("random"), self._cells("recorded_at"))
        own = (fields.get(b"i") for fields in self._fields)
        return [id if mine is None else _decoded(mine) for id, mine in zip(made, own, strict=True)]

    def _states(self, name: str) -> list[str]:
        return [_STATES[code] for code in self._cells(name).tolist()]

    def _texts(self, name: str) -> list[str | None]:
        """The texts of a dictionary: each family has its own."""
        column = "error" if name == "error_group" else name
        texts = [part.raw.texts[column] for part in self._parts]
        homes = self._joined_numbers()
        codes = self._cells(column).tolist()
        return [
            (known[code - 1] or None) if 0 < code <= len(known) else None
            for known, code in zip(map(texts.__getitem__, homes), codes, strict=True)
        ]

    def _joined_numbers(self) -> list[int]:
        """Of each job the number of its part."""
        lengths = [len(part.rows) for part in self._parts]
        return np.repeat(np.arange(len(lengths)), lengths)[self._order].tolist()

    def _seconds(self, name: str) -> list[float | None]:
        return [(kept - 1) / 1e6 if kept else None for kept in self._cells(name).tolist()]

    def _field(self, name: str) -> list[str | None]:
        key = _FIELDS[name]
        return [None if (kept := fields.get(key)) is None else _decoded(kept) for fields in self._fields]

    def _attempts(self, _: str) -> list[int]:
        return [int(fields.get(b"n", 0)) for fields in self._fields]

    def _progress(self, _: str) -> list[float | None]:
        return [None if (kept := fields.get(b"g")) is None else record.progress(_decoded(kept)) for fields in self._fields]


def made_ids(families: Array, segments: Array, rows: Array, randoms: Array, recorded_us: Array) -> list[str]:
    """The generated ids of many rows, as `ids.encode` makes one."""
    low = (segments & 0xFF) << 54 | rows << 38 | families << 32 | randoms
    high = recorded_us // 1000 << 16 | 8 << 12 | segments >> 8
    text = np.stack([high, low | -1 << 63], axis=1).astype(">i8").tobytes().hex()
    made = (text[at : at + 32] for at in range(0, len(text), 32))
    return [f"{id[:8]}-{id[8:12]}-{id[12:16]}-{id[16:20]}-{id[20:]}" for id in made]


def _decoded(kept: bytes) -> str:
    return kept.decode(errors="surrogateescape")


_READERS: Mapping[str, Callable[[Sheet, str], Any]] = {
    "id": Sheet._ids,
    "state": Sheet._states,
    **dict.fromkeys(("job_name", "user", "queue", "worker", "engine", "error_group"), Sheet._texts),
    **dict.fromkeys(TIMESTAMPS, Sheet._cells),
    **dict.fromkeys(("run_time", "wait_time"), Sheet._seconds),
    **dict.fromkeys(_FIELDS, Sheet._field),
    "attempt": Sheet._attempts,
    "progress": Sheet._progress,
}


def of(store: Store, query: "Query") -> Iterator[Sheet]:
    """All jobs of a query, in order. Source: as a page, for 20,000 at a time; a round trip a sheet."""
    more = True
    while more:
        most = query.most if query.backward else CHOSEN_AT_ONCE if query.most is None else min(CHOSEN_AT_ONCE, query.most)
        block = pages.join(list(replace(query, most=most)._blocks(store)))
        if query.backward:
            block = pages.turn(block)
        for first in range(0, len(block.ranks), ROWS):
            yield Sheet(store, pages.part(block, slice(first, first + ROWS)))
        more = not query.backward and most != query.most and len(block.ranks) == most
        if more:
            left = None if query.most is None else query.most - most
            cursor = pages.encode(query._order(), pages.key_at(block, -1))
            query = replace(query, skipped=0, most=left, cursor=cursor)
