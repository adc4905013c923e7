"""A whole segment as checking, cleaning and packing see it: as it stands on the primary, at one moment.

Readers of questions go through `segments`, which knows versions, zones and replicas; here the bytes count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import clock, keys
from .columns import BY_NAME, COLUMNS, SEGMENT_ROWS, TAG_BUCKETS, TAGS
from .ids import Place, encode
from .store import Command, Store

Array = NDArray[Any]
TYPES = {1: np.dtype("u1"), 4: np.dtype("<u4"), 8: np.dtype("<i8")}
#: The last parts of the keys of all posting lists of a segment.
POSTINGS: tuple[str, ...] = tuple(f"{kind}{bucket}" for kind in TAGS.values() for bucket in range(TAG_BUCKETS))
ALL = tuple(column.name for column in COLUMNS)
#: Bytes one command asks for at most: more would hold Redis for over a millisecond.
COMMAND_BYTES = 1 << 20
#: Version, rows, zone, row numbers: what stands before the columns in the reply.
_HEAD = 4


@dataclass(frozen=True)
class Snapshot:
    """What one MGET gave of a segment."""

    family: int
    number: int
    prefix: str
    version: bytes
    """16 bytes; fewer where it is broken or missing."""
    handed_out: int | None
    """Rows handed out, None where that is missing."""
    zone: bytes
    packed: bytes | None
    """The row numbers of a packed segment as they stand."""
    raw: dict[str, bytes | None]
    """Column name -> its bytes, None where it does not exist."""
    postings: dict[str, bytes]
    """Last part of the key of a posting list -> its entries; only those that exist."""

    @property
    def exists(self) -> bool:
        """Whether scripts and readers see a segment here."""
        return self.handed_out is not None and self.raw["state"] is not None

    @cached_property
    def cells(self) -> int:
        """Cells of a full column."""
        return SEGMENT_ROWS if self.packed is None else len(self.packed) // 2

    @cached_property
    def numbers(self) -> Array:
        """The row of each cell, ascending."""
        return np.arange(SEGMENT_ROWS) if self.packed is None else np.frombuffer(self.packed[: self.cells * 2], "<u2").astype(np.int64)

    def column(self, name: str) -> Array:
        """The cells of a column; zeros where there are none."""
        kept, kind = self.raw[name] or b"", TYPES[BY_NAME[name].width]
        found = np.frombuffer(kept, kind, count=min(len(kept) // kind.itemsize, self.cells))
        return found if len(found) == self.cells else np.concatenate([found, np.zeros(self.cells - len(found), kind)])

    def id_of(self, cell: int, own_id: str | None = None) -> str:
        """The id of the job in a cell, as far as the cells tell."""
        random = int(self.column("random")[cell])
        place = Place(self.family, self.number, int(self.numbers[cell]), random)
        return own_id or encode(max(int(self.column("recorded_at")[cell]), 0), place)


def command(store: Store, family: int, number: int, columns: Sequence[str] = ALL, postings: Sequence[str] = ()) -> Command:
    """The MGET whose reply `of_reply` takes."""
    prefix = keys.segment(store.families[family], number)
    head = (keys.version(prefix), keys.rows(prefix), keys.zone(prefix), keys.numbers(prefix))
    return ("MGET", *head, *(keys.column(prefix, BY_NAME[name].key) for name in columns), *(prefix + name for name in postings))


def of_reply(
    store: Store, family: int, number: int, reply: Sequence[bytes | None], columns: Sequence[str] = ALL, postings: Sequence[str] = ()
) -> Snapshot:
    """The snapshot in the reply to `command` with the same arguments."""
    version, handed_out, zone, packed = reply[:_HEAD]
    entries = zip(postings, reply[_HEAD + len(columns) :], strict=True)
    return Snapshot(
        family=family,
        number=number,
        prefix=keys.segment(store.families[family], number),
        version=version or b"",
        handed_out=int(handed_out) if handed_out is not None and handed_out.isdigit() else None,
        zone=zone or b"",
        packed=packed,
        raw=dict(zip(columns, reply[_HEAD : _HEAD + len(columns)], strict=True)),
        postings={name: kept for name, kept in entries if kept},
    )


def take(store: Store, family: int, number: int, columns: Sequence[str] = ALL, postings: Sequence[str] = ()) -> Snapshot:
    """A segment's columns and posting lists, up to nine megabytes for all of it, of one version. One round trip: MGETs that
    hold nobody up for long; where they differ in the version, another with all in one."""
    plan = list(_plan(columns, postings))
    replies = store.pipeline([command(store, family, number, *part) for part in plan], primary=True)
    if any(reply[:_HEAD] != replies[0][:_HEAD] for reply in replies):
        plan, replies = [(columns, postings)], store.pipeline([command(store, family, number, columns, postings)], primary=True)
    found = [value for (names, _), reply in zip(plan, replies, strict=True) for value in reply[_HEAD : _HEAD + len(names)]]
    entries = [value for (names, _), reply in zip(plan, replies, strict=True) for value in reply[_HEAD + len(names) :]]
    return of_reply(store, family, number, [*replies[0][:_HEAD], *found, *entries], columns, postings)


def _plan(columns: Sequence[str], postings: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Columns and posting lists of each command."""
    part: list[str] = []
    for name in columns:
        if part and sum(BY_NAME[one].width for one in (*part, name)) * SEGMENT_ROWS > COMMAND_BYTES:
            yield part, ()
            part = []
        part.append(name)
    if part or not postings:
        yield part, ()
    yield from (((), postings[first : first + TAG_BUCKETS]) for first in range(0, len(postings), TAG_BUCKETS))


def now_us(store: Store) -> int:
    """The present time of the store."""
    frozen = clock.frozen_us()
    if frozen is not None:
        return frozen
    seconds, microseconds = store.pipeline([("TIME",)], primary=True)[0]
    return int(seconds) * 1_000_000 + int(microseconds)
