"""The entries of posting lists that speak of matching jobs, of all buckets of a segment at once: there are 256, and to begin something
with one of them takes longer than to do it with its few hundred entries."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from .columns import TAG_BUCKETS
from .evaluation import Hits
from .segments import Array

#: Buckets of the hash times the 8 bits after it.
CELLS = TAG_BUCKETS * 256
#: Bits of a hash within its bucket.
_BITS = 48


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


def each_once(hits: Hits, kind: str, buckets: Sequence[int], wanted: Array | None = None) -> tuple[Array, Array]:
    """(hash, row) of the matching entries of some ascending buckets, each once, ascending; `wanted`: of those cells alone. A hash has
    56 bits: bucket, then the six bytes of an entry, as a little endian number."""
    entries, sizes = _matching(hits, kind, buckets, wanted)
    ends = np.cumsum(sizes).tolist()
    for first, last in pairwise([0, *ends]):
        entries[first:last].sort()
    hashes = entries >> np.uint64(16)
    hashes |= np.repeat(np.array(buckets, np.uint64) << np.uint64(_BITS), sizes)
    again = (entries[1:] == entries[:-1]) & (hashes[1:] == hashes[:-1])
    if again.any():
        kept = np.flatnonzero(np.concatenate([[True], ~again]))
        entries, hashes = entries[kept], hashes[kept]
    return hashes, (entries & np.uint64(0xFFFF)).view(np.int64)


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
