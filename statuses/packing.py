"""Segments that hold little: dead ones are dropped with all their keys, sparse ones packed.

Without it a few jobs kept for half a year would hold every segment of that half year."""

import numpy as np

from . import faults, keys, segmentscripts, snapshot
from .columns import COLUMNS, DEAD_ROW
from .snapshot import POSTINGS, Array, Snapshot
from .states import ENDED
from .store import Store

#: A segment is packed when fewer than one in so many of its cells hold a job, a packed one again when fewer than one in two do.
SPARSE = 4
SPARSE_AGAIN = 2
#: A packed segment of fewer cells is left as it is: nothing is won.
SMALL = 256
#: How long rows that `load` was given may stay empty before they count as never filled, microseconds.
PATIENCE_US = 3_600_000_000
_QUIET = tuple(state.code for state in ENDED)


def is_waiting(found: Snapshot, now_us: int) -> bool:
    """Whether `load` may still fill rows of it."""
    version_us = int.from_bytes(found.version[:8], "little")
    return now_us - version_us < PATIENCE_US and bool(faults.unfilled(found).any())


def is_dead(found: Snapshot, now_us: int) -> bool:
    """Whether it was used, and no job, removed or not, is left in it."""
    return bool(found.handed_out) and not faults.occupied(found).any() and not is_waiting(found, now_us)


def is_sparse(found: Snapshot, now_us: int) -> bool:
    """Whether packing it is worth it. Removed jobs that can be restored hold it as it is."""
    live = int(np.count_nonzero(faults.occupied(found)))
    if not live or faults.removed(found).any() or is_waiting(found, now_us):
        return False
    if found.packed is None:
        return live * SPARSE < found.cells
    return found.cells >= SMALL and live * SPARSE_AGAIN < found.cells


def drop(store: Store, family: int, number: int, version: bytes, first: int | None) -> bool:
    """Drop a segment that was dead in `version`, with every key that belongs to it as a whole (those of its rows went with
    the rows); False when somebody wrote to it since. first: the lowest segment from then on, None where it stays."""
    prefix = keys.segment(store.families[family], number)
    parts = [keys.tokens(prefix), keys.last_call(prefix), *(prefix + name for name in POSTINGS)]
    return segmentscripts.drop(store, family, number, version, parts, first)


def pack(store: Store, family: int, number: int, now_us: int) -> bool:
    """Pack a segment as it is now, if it is sparse; whether that was done. Two round trips, nobody waits longer than
    some milliseconds. Dead entries of its tags go at the same time."""
    found = snapshot.take(store, family, number, postings=POSTINGS)
    if not found.exists or len(found.version) != 16 or not faults.is_sound(found) or not is_sparse(found, now_us):
        return False
    cells = np.flatnonzero(faults.occupied(found))
    rows = found.numbers[cells]
    packed = segmentscripts.Packed(
        version=found.version,
        heartbeats=found.raw["heartbeat_at"],
        rows=rows.astype("<u2").tobytes(),
        quiet=bool(np.isin(found.column("state")[cells], _QUIET).all()),
        columns=[_cells(found.column(column.name)[cells], column.made_with_segment) for column in COLUMNS],
        postings={found.prefix + name: _entries(kept, rows) for name, kept in found.postings.items()},
    )
    return segmentscripts.pack(store, family, number, packed)


def _cells(cells: Array, always: bool) -> bytes:
    return cells.tobytes() if always or cells.any() else b""


def _entries(kept: bytes, rows: Array) -> bytes:
    """The entries of rows that stay."""
    entries = np.frombuffer(kept, "<u8", count=len(kept) // 8)
    there = np.zeros(DEAD_ROW + 1, bool)
    there[rows] = True
    return entries[there[entries & np.uint64(DEAD_ROW)]].tobytes()
