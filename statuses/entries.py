"""The entries of posting lists that speak of matching jobs, of all buckets of a segment at once: there are 256, and to begin something
with one of them takes longer than to do it with its few hundred entries."""

from collections.abc import Iterator, Sequence

import numpy as np

from .columns import TAG_BUCKETS
from .evaluation import Hits
from .segments import Array

#: Buckets of the hash times the 8 bits after it.
CELLS = TAG_BUCKETS * 256
#: Bits of a hash within its bucket.
_BITS = 48
_TOGETHER = 5
#: Buckets whose entries are put in order at a time: few enough for the processor's cache.
TOGETHER = 1 << _TOGETHER


def padded(hits: Hits) -> Array:
    """The mask over every row an entry can name; the dead row's cell is False."""

    def make() -> Array:
        mask = np.zeros(1 << 16, bool)
        mask[: hits.view.segment.rows] = hits.mask
        return mask

    return hits.once("padded", make)


def count_cells(hits: Hits, kind: str) -> Array | None:
    """How many matching entries each cell has."""
    entries, sizes = _matching(hits, kind, range(TAG_BUCKETS))
    if not len(entries):
        return None
    counted = np.bincount(_cells(entries, np.arange(TAG_BUCKETS), sizes), minlength=CELLS)
    return counted.astype(np.uint16 if int(np.max(counted)) < 1 << 16 else np.uint32)


def each_once(hits: Hits, kind: str, buckets: Sequence[int], wanted: Array | None = None) -> Iterator[tuple[Array, Array]]:
    """(hash, row) of the matching entries of some ascending buckets, each once, ascending, those of a few buckets at a time; `wanted`: of
    those cells alone. A hash has 56 bits: bucket, then the six bytes of an entry, as a little endian number."""
    for first in range(0, len(buckets), TOGETHER):
        some = buckets[first : first + TOGETHER]
        entries, sizes = _matching(hits, kind, some, wanted)
        if len(entries):
            entries, numbers = _in_order(entries, np.repeat(np.arange(len(some), dtype=np.uint16), sizes))
            hashes = np.array(some, np.uint64).take(numbers) << np.uint64(_BITS) | entries >> np.uint64(16)
            yield hashes, (entries & np.uint64(0xFFFF)).view(np.int64)


def _in_order(entries: Array, numbers: Array) -> tuple[Array, Array]:
    """Entries and the numbers of their buckets, each once, by number and entry.

    By sixteen bits they are put in order in a third of the time that all would take. What has these in common is mostly one hash, with
    its rows ascending already; the few others are sorted."""
    shift = np.uint16(16 - _TOGETHER)
    bits = numbers << shift | (entries >> np.uint64(48 + _TOGETHER)).astype(np.uint16)
    order = np.argsort(bits, kind="stable")
    entries, bits = entries.take(order), bits.take(order)
    not_ascending = np.flatnonzero((entries[1:] <= entries[:-1]) & (bits[1:] == bits[:-1]))
    if len(not_ascending):
        mixed = np.zeros(1 << 16, bool)
        mixed[bits.take(not_ascending)] = True
        at = np.flatnonzero(mixed.take(bits))
        some, same = entries.take(at), bits.take(at)
        entries[at] = some = some.take(np.lexsort((some, same)))
        again = at[1:].compress((some[1:] == some[:-1]) & (same[1:] == same[:-1]))
        if len(again):
            entries, bits = np.delete(entries, again), np.delete(bits, again)
    return entries, bits >> shift


def _matching(hits: Hits, kind: str, buckets: Sequence[int], wanted: Array | None = None) -> tuple[Array, Array]:
    """The matching entries of some buckets, one after the other, as a copy; and how many each has."""
    lists = [hits.view.posting(kind, bucket) for bucket in buckets]
    entries = np.concatenate(lists) if lists else np.zeros(0, np.uint64)
    sizes = np.array([len(entries) for entries in lists], np.int64)
    chosen = padded(hits).take((entries & np.uint64(0xFFFF)).view(np.int64))
    if wanted is not None:
        chosen &= wanted.take(_cells(entries, np.array(buckets), sizes))
    kept = np.flatnonzero(chosen)
    if len(kept) < len(entries):
        entries = entries.take(kept)
        sizes = np.diff(np.searchsorted(kept, np.concatenate([[0], np.cumsum(sizes)])))
    return entries, sizes


def _cells(entries: Array, buckets: Array, sizes: Array) -> Array:
    """The cell of each entry."""
    return ((entries >> np.uint64(16)) & np.uint64(0xFF)).view(np.int64) + np.repeat(buckets.astype(np.int64) << 8, sizes)
