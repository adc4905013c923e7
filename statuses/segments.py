"""Segments as a reader sees them: what the listing says of one, and a snapshot of its columns as numpy arrays."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import keys
from .cache import CacheInfo, partials
from .columns import BY_NAME, SEGMENT_ROWS, TAGS, TIMESTAMPS
from .store import Command, Store

Array = NDArray[Any]
#: (kind of tag, bucket): names one posting list of a segment.
Posting = tuple[str, int]

#: Bytes asked for in one round trip: enough to keep the line busy, few enough to stay in the processor's cache.
BATCH_BYTES = 4 << 20
#: Bytes asked for by one command: copying more would hold Redis for over a millisecond.
COMMAND_BYTES = 1 << 20
#: Bytes up to which one command asks for several segments: a command costs Redis as much as copying some kilobytes, and a
#: packed segment is no larger.
SHARED_BYTES = 256 << 10
#: Rows of a segment up to which no whole columns are read of it, but the cells of its rows, and of those that may come meanwhile.
YOUNG_ROWS, COMING_ROWS = SEGMENT_ROWS * 3 // 4, 512
#: What a posting list counts for in a batch; its true length is not known before it is read.
POSTING_BYTES = 4096

_TYPES = {1: np.dtype("u1"), 4: np.dtype("<u4"), 8: np.dtype("<i8")}
_ZEROS = {width: np.zeros(SEGMENT_ROWS, dtype) for width, dtype in _TYPES.items()}
_NO_ENTRIES = np.zeros(0, np.dtype("<u8"))
_ZONE_INDEX = {name: 1 + 2 * number for number, name in enumerate(TIMESTAMPS)}
#: Where the zone of a packed segment says how many cells there are.
_CELLS_INDEX = 1 + 2 * len(TIMESTAMPS)
_ROW = np.uint64(0xFFFF)
for _zeros in _ZEROS.values():
    _zeros.setflags(write=False)


def pick(cells: Array, mask: Array) -> Array:
    """The cells where `mask` holds. Numpy's own indexing by a mask takes five times as long: it branches at every cell."""
    return cells.take(np.flatnonzero(mask))


def starts_of(ordered: Array) -> Array:
    """Where each different value begins, of cells whose equals stand together."""
    return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else np.zeros(0, np.intp)


def bulk_rows(rows: Array, randoms: Array) -> bytes:
    """Rows of a segment with their rn, ascending, as a bulk call takes them (`segmentscripts.BULK_ROW`)."""
    order = np.argsort(rows, kind="stable")
    packed = np.empty(len(rows), [("row", "<u2"), ("rn", "<u4")])
    packed["row"], packed["rn"] = rows[order], randoms[order]
    return packed.tobytes()


class Segment:
    """One segment as of one version: which, how many rows, and between which bounds its timestamps lie."""

    __slots__ = ("extent", "extent_stays", "family", "handed_out", "is_packed", "key", "number", "rows", "version", "version_us", "zone")

    def __init__(self, store: bytes, family: int, number: int, version: bytes, rows: int, zone: bytes | None) -> None:
        self.key = (store, family, number)
        self.family = family
        self.number = number
        self.version = version
        self.version_us = int.from_bytes(version[:8], "little")
        self.zone: tuple[int, ...] = struct.unpack(f"<{len(zone) // 8}q", zone) if zone else ()
        self.handed_out = rows
        self.is_packed = len(self.zone) > _CELLS_INDEX
        """Whether it holds the cells of its live rows alone."""
        self.rows = self.zone[_CELLS_INDEX] if self.is_packed else rows
        """Cells to look at in each column: one a row handed out, unless it is packed."""
        self.extent: tuple[int, int] | None = None
        """First and last recorded_at of its rows, once that column was read."""
        self.extent_stays = False
        """Whether the extent holds for later versions too: every row is handed out and filled, and recorded_at never changes."""

    @property
    def is_young(self) -> bool:
        """Whether most of its columns are cells of rows that are not handed out yet."""
        return not self.is_packed and self.handed_out <= YOUNG_ROWS

    @property
    def read_rows(self) -> int:
        """Cells that are read of a column."""
        if self.is_young:
            return self.rows + COMING_ROWS
        return self.rows if self.is_packed else SEGMENT_ROWS

    @property
    def is_full(self) -> bool:
        """Whether no row can be added any more."""
        return self.handed_out >= SEGMENT_ROWS

    def is_loaded(self, column: str) -> bool:
        """Whether `load` put times of its own into the column."""
        index = _ZONE_INDEX[column]
        return len(self.zone) > index + 1 and self.zone[index + 1] != 0

    def bounds(self, column: str) -> tuple[int, int] | None:
        """Microseconds between which every moment of the column lies; None when nothing is known (heartbeats: they
        are written without a new version)."""
        index = _ZONE_INDEX.get(column)
        if index is None or column == "heartbeat_at" or not self.zone:
            return None
        if column == "recorded_at" and self.extent is not None:
            return self.extent
        low, high = self.zone[0], self.version_us
        if self.is_loaded(column):
            low, high = min(low, self.zone[index]), max(high, self.zone[index + 1])
        return low, high

    def learn(self, recorded: Array) -> None:
        """Remember the bounds of the rows' recorded_at. A row that `load` reserved and did not fill yet holds 0."""
        if self.extent is None and len(recorded):
            filled = recorded if recorded.min() else recorded[recorded != 0]
            if len(filled):
                self.extent = int(filled.min()), int(filled.max())
                self.extent_stays = self.is_full and len(filled) == len(recorded)


class View:
    """A snapshot of one segment: columns and posting lists of one version. A cell stands at its row, in a packed segment
    where `numbers` names its row; computing goes by cells, what leaves it speaks of rows."""

    __slots__ = ("_columns", "_numbers", "_postings", "segment")

    def __init__(self, segment: Segment, numbers: bytes | None = None) -> None:
        self.segment = segment
        self._numbers = np.frombuffer(numbers, np.dtype("<u2")).astype(np.int64) if segment.is_packed and numbers else None
        self._columns: dict[str, Array] = {}
        self._postings: dict[Posting, Array] = {}

    def column(self, name: str) -> Array:
        """The cells of the rows handed out; zeros where the column does not exist yet."""
        return self._columns[name]

    def posting(self, kind: str, bucket: int) -> Array:
        """The entries of a posting list as u64: cell in the low 16 bits, 48 bits of hash above."""
        return self._postings[kind, bucket]

    def numbers(self, cells: Array) -> Array:
        """The rows of some cells."""
        return cells if self._numbers is None else self._numbers[cells]

    def cells(self, rows: Sequence[int]) -> Array:
        """Where the cells of some rows are; rows that have none are left out."""
        found = np.array(rows, np.int64)
        if self._numbers is None:
            return found[found < self.segment.rows]
        return np.flatnonzero(np.isin(self._numbers, found))

    def lacks(self, columns: set[str], postings: set[Posting]) -> tuple[set[str], set[Posting]]:
        """What of that was not read."""
        return columns - self._columns.keys(), postings - self._postings.keys()

    def add(self, other: "View") -> None:
        """Take over what another view of the same version read."""
        self._columns.update(other._columns)
        self._postings.update(other._postings)

    def part(self, columns: Iterable[str], postings: Iterable[Posting]) -> "View":
        """The same snapshot with no more than what is named, as far as it was read."""
        view = View(self.segment)
        view._numbers = self._numbers
        view._columns = {name: self._columns[name] for name in columns if name in self._columns}
        view._postings = {name: self._postings[name] for name in postings if name in self._postings}
        return view

    @property
    def nbytes(self) -> int:
        """Bytes of Redis' replies it keeps alive."""
        return sum(a.nbytes for a in self._columns.values()) + sum(a.nbytes for a in self._postings.values())

    def fill(self, columns: Sequence[str], postings: Sequence[Posting], values: Sequence[bytes | None]) -> None:
        """Put the bytes of a reply in as arrays."""
        rows = self.segment.rows
        for name, value in zip(columns, values, strict=False):
            self._columns[name] = _cells(BY_NAME[name].width, rows, value)
        for name, value in zip(postings, values[len(columns) :], strict=True):
            self._postings[name] = self._by_cell(_entries(value))
        if "recorded_at" in columns:
            self.segment.learn(self._columns["recorded_at"])

    def _by_cell(self, entries: Array) -> Array:
        """Entries that name rows, naming cells instead: those of rows that are gone left out."""
        if self._numbers is None or not len(entries):
            return entries
        rows = (entries & _ROW).view(np.int64)
        at = np.minimum(np.searchsorted(self._numbers, rows), len(self._numbers) - 1)
        there = self._numbers[at] == rows
        return (entries[there] & ~_ROW) | at[there].view(np.uint64)


def _cells(width: int, rows: int, value: bytes | None) -> Array:
    if not value:
        return _ZEROS[width][:rows]
    cells = np.frombuffer(value, _TYPES[width], count=min(rows, len(value) // width))
    if len(cells) == rows:
        return cells
    return np.concatenate([cells, _ZEROS[width][: rows - len(cells)]])


def _entries(value: bytes | None) -> Array:
    return np.frombuffer(value, _NO_ENTRIES.dtype, count=len(value) // 8) if value else _NO_ENTRIES


@dataclass(frozen=True)
class Want:
    """What is to be read of one segment."""

    segment: Segment
    columns: tuple[str, ...]
    postings: tuple[Posting, ...] = ()

    @property
    def nbytes(self) -> int:
        """About how much the reply will be."""
        return _nbytes(self.segment, self.columns, self.postings)


def _nbytes(segment: Segment, columns: Sequence[str], postings: Sequence[Posting]) -> int:
    return segment.read_rows * sum(BY_NAME[name].width for name in columns) + POSTING_BYTES * len(postings)


def read(store: Store, wants: Iterable[Want]) -> Iterator[tuple[Want, View | None]]:
    """Snapshots in the order asked for; None for a segment that is gone.

    Source: MGETs of up to a megabyte, a few megabytes of them in a round trip; small segments share one. Of a young segment GETRANGEs.
    Where a segment takes several commands, they all say its version, or stand between two that do: when those differ, it is read again
    in one."""
    for batch in _batches(wants):
        plans = [_plan(want) for want in batch]
        replies = _ask(store, [(want.segment, part) for want, plan in zip(batch, plans, strict=True) for part in plan])
        for want, plan in zip(batch, plans, strict=True):
            answered = list(islice(replies, len(plan)))
            parts = [(part, values) for part, values in zip(plan, answered, strict=True) if values is not None]
            if len(parts) < len(plan) or any(values[0] != parts[0][1][0] for _, values in parts):
                whole = want.columns, want.postings
                parts = [(whole, store.pipeline([("MGET", *_names(store, want.segment, *whole))])[0])]
            yield want, _view(want.segment, parts)


def _ask(store: Store, parts: Sequence[tuple[Segment, "_Part"]]) -> Iterator["_Values | None"]:
    """The reply to each part, in one round trip; None where it is not of one moment. Parts of one family that are small go into one
    command together."""
    groups: list[_Shared | _Young] = []
    for segment, part in parts:
        if segment.is_young:
            groups.append(_Young(store, segment, part))
        elif not groups or not groups[-1].takes(segment, part):
            groups.append(_Shared(store, segment, part))
    replies = iter(store.in_order([command for group in groups for command in group.commands]))
    for group in groups:
        answered = [next(replies) for _ in group.commands]
        refused = any(isinstance(reply, Exception) for reply in answered)
        yield from [None] * group.parts if refused else group.values(answered)


class _Shared:
    """One command for some parts of one family, as long as they are small."""

    def __init__(self, store: Store, segment: Segment, part: "_Part") -> None:
        self._store, self._family, self._room = store, segment.family, SHARED_BYTES
        self._sizes: list[int] = []
        self._names: list[str] = ["MGET"]
        self._add(segment, part)

    def takes(self, segment: Segment, part: "_Part") -> bool:
        """Whether the part is one of them now."""
        if segment.family != self._family or _nbytes(segment, *part) > self._room:
            return False
        self._add(segment, part)
        return True

    def _add(self, segment: Segment, part: "_Part") -> None:
        names = _names(self._store, segment, *part)
        self._names += names
        self._sizes.append(len(names))
        self._room -= _nbytes(segment, *part)

    @property
    def parts(self) -> int:
        return len(self._sizes)

    @property
    def commands(self) -> list[Command]:
        return [self._names]

    def values(self, replies: Sequence[Any]) -> list["_Values | None"]:
        """What each part gave."""
        values = iter(replies[0])
        return [list(islice(values, size)) for size in self._sizes]


class _Young:
    """The cells of the rows of a young segment: commands between two that tell its version."""

    parts = 1

    def __init__(self, store: Store, segment: Segment, part: "_Part") -> None:
        self._rows = segment.read_rows
        columns, postings = part
        prefix = keys.segment(store.families[segment.family], segment.number)
        ends = ((keys.column(prefix, BY_NAME[name].key), BY_NAME[name].width * self._rows - 1) for name in columns)
        lists = [keys.posting(prefix, TAGS[kind], bucket) for kind, bucket in postings]
        step = COMMAND_BYTES // POSTING_BYTES
        self.commands: list[Command] = [
            ("MGET", *_beginning(prefix)),
            *(("GETRANGE", name, 0, last) for name, last in ends),
            *(("MGET", *lists[first : first + step]) for first in range(0, len(lists), step)),
            ("GET", keys.version(prefix)),
        ]
        self._columns = len(columns)

    def takes(self, segment: Segment, part: "_Part") -> bool:
        """Whether another part is one of these."""
        return False

    def values(self, replies: Sequence[Any]) -> list["_Values | None"]:
        """What they gave, where it is of one moment, and all of it."""
        (version, rows, zone, numbers), *cells, last = replies
        if version != last or numbers is not None or int(rows or 0) > self._rows:
            return [None]
        lists = [value for reply in cells[self._columns :] for value in reply]
        return [[version, rows, zone, numbers, *cells[: self._columns], *lists]]


def _batches(wants: Iterable[Want]) -> Iterator[list[Want]]:
    batch: list[Want] = []
    size = 0
    for want in wants:
        if batch and size + want.nbytes > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(want)
        size += want.nbytes
    if batch:
        yield batch


#: Columns and posting lists of one command.
_Part = tuple[tuple[str, ...], tuple[Posting, ...]]
#: What a part gave: what every snapshot begins with, and what was asked for.
_Values = list[bytes | None]


def _plan(want: Want) -> list[_Part]:
    """What to ask for in each command, so that none of them holds Redis for a millisecond."""
    if want.nbytes <= COMMAND_BYTES or want.segment.is_young:
        return [(want.columns, want.postings)]
    parts: list[_Part] = []
    columns: list[str] = []
    size = 0
    for name in want.columns:
        width = want.segment.read_rows * BY_NAME[name].width
        if columns and size + width > COMMAND_BYTES:
            parts.append((tuple(columns), ()))
            columns, size = [], 0
        columns.append(name)
        size += width
    if columns:
        parts.append((tuple(columns), ()))
    step = COMMAND_BYTES // POSTING_BYTES
    return parts + [((), want.postings[first : first + step]) for first in range(0, len(want.postings), step)]


def _names(store: Store, segment: Segment, columns: Sequence[str], postings: Sequence[Posting]) -> tuple[str, ...]:
    prefix = keys.segment(store.families[segment.family], segment.number)
    return (
        *_beginning(prefix),
        *(keys.column(prefix, BY_NAME[name].key) for name in columns),
        *(keys.posting(prefix, TAGS[kind], bucket) for kind, bucket in postings),
    )


@lru_cache(maxsize=8192)
def head(prefix: str) -> tuple[str, str, str]:
    """The keys that say whether a segment changed: version, rows, zone."""
    return keys.version(prefix), keys.rows(prefix), keys.zone(prefix)


#: Keys every snapshot begins with.
HEAD = 4


@lru_cache(maxsize=8192)
def _beginning(prefix: str) -> tuple[str, ...]:
    """What every snapshot begins with: the head, and the rows of a packed segment's cells."""
    return (*head(prefix), keys.numbers(prefix))


def _view(known: Segment, parts: Sequence[tuple[_Part, _Values]]) -> View | None:
    version, rows, zone, numbers = parts[0][1][:HEAD]
    if version is None or rows is None:
        return None
    view = View(known if version == known.version else newer(known, version, rows, zone), numbers)
    for (columns, postings), values in parts:
        view.fill(columns, postings, values[HEAD:])
    return view


def newer(known: Segment, version: bytes, rows: bytes, zone: bytes | None, same: bool = True) -> Segment:
    """The segment as of another version; what a full one can never change is kept, while it is the `same` one."""
    segment = Segment(known.key[0], known.family, known.number, version, int(rows), zone)
    if known.extent_stays and same:
        segment.extent, segment.extent_stays = known.extent, True
    return segment


def cache_info() -> CacheInfo:
    """How well the partial results of unchanged segments are found again in this process."""
    return partials.info()
