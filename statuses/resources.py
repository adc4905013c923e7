"""The resources that most matching jobs work on, from hashes alone.

The first look counts entries over 16 bits of the hash (one number for all texts that share them); those cells with
the largest sums are then counted exactly, text by text, as far as they can hold one of the largest. Only the texts
of the winners are read, each from one job that has it."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from . import resourcetexts
from .answers import FacetCount
from .clock import from_us
from .columns import TAG_BUCKETS
from .entries import CELLS, count_cells, each_once, padded
from .evaluation import Answer, Evaluation, Found, Hits, Look
from .facets import Facets, ends_by
from .segments import Array, Posting, starts_of
from .states import State
from .stats import states_of

#: Cells counted exactly at first, for each value asked for.
CELLS_A_VALUE = 4
#: Texts read to settle the order among equals at the cut. Beyond, equals are taken by their hash: their order by text
#: would need every text there is.
TIES = 2_000
#: Entries counted text by text in one look: where nearly every job has a resource of its own, all of them must be.
ENTRIES = 1_000_000
_KIND = "job_arg"
_ALL_POSTINGS: frozenset[Posting] = frozenset((_KIND, bucket) for bucket in range(TAG_BUCKETS))


def counts_by(evaluation: Evaluation, field: str, limit: int | None, distinct: bool = False) -> Answer[Facets]:
    """The resources that most matching jobs have, under any argument name."""
    upper = yield from _upper(limit)
    merged = _Merged([])
    todo = _first_cells(upper, limit)
    done = np.zeros(CELLS, bool)
    while len(todo):
        done[todo] = True
        merged = _Merged([*merged.found, *(yield _exact(todo))], limit)
        todo = _a_part(upper, np.flatnonzero(_reachable(upper, merged, limit) & ~done))
    number = (yield from _distinct()) if distinct else 0
    chosen = _winners(merged.totals, limit)
    texts = _texts(evaluation, merged, chosen)
    ranked = sorted(zip(texts, chosen.tolist(), strict=True), key=lambda item: (-int(merged.totals[item[1]]), item[0]))[:limit]
    ends = yield from _ends(merged, [at for _, at in ranked])
    return Facets([_facet(text, merged, at, ends[int(merged.hashes[at])]) for text, at in ranked], number)


def _upper(limit: int | None) -> Any:
    """How many entries each cell has. Where all cells are counted exactly anyway: more than there can be."""
    if limit is None or CELLS_A_VALUE * limit >= CELLS:
        return np.full(CELLS, np.iinfo(np.int64).max // CELLS)
    ahead = frozenset({"state", "recorded_at"})
    found = yield Look(("tag cells",), partial(count_cells, kind=_KIND), frozenset({"state"}), _ALL_POSTINGS, ahead=ahead)
    upper = np.zeros(CELLS, np.int64)
    for _, part in found:
        upper += part
    return upper


def _first_cells(upper: Array, limit: int | None) -> Array:
    filled = np.flatnonzero(upper)
    if limit is None:
        return filled
    number = max(CELLS_A_VALUE * limit, 64)
    if number >= len(filled):
        return filled
    return np.sort(filled[np.argpartition(upper[filled], len(filled) - number)[len(filled) - number :]])


def _reachable(upper: Array, merged: "_Merged", limit: int | None) -> Array:
    """Where a cell can hold one of the largest values: its sum reaches the smallest winner's."""
    return upper >= max(_least(merged.totals, limit), 1) if limit != 0 else np.zeros(CELLS, bool)


def _least(totals: Array, limit: int | None) -> int:
    """The total of the last winner, 0 while there are fewer than `limit`."""
    if limit is None or len(totals) < limit:
        return 0
    return int(np.partition(totals, len(totals) - limit)[len(totals) - limit])


def _a_part(upper: Array, cells: Array) -> Array:
    """The first of these cells, as many as are counted in one look: whole buckets, so that none is read twice."""
    if not len(cells):
        return cells
    entries = np.cumsum(upper[cells])
    last = cells[max(int(np.searchsorted(entries, ENTRIES)) - 1, 0)] >> 8
    return cells[cells >> 8 <= last]


class _Merged:
    """Exact counts of single hashes over all segments; of the largest only, where there is a limit."""

    def __init__(self, found: Found, limit: int | None = None) -> None:
        self.found = found
        """(segment, (hashes, jobs by state, a row of each))."""
        every = np.concatenate([np.zeros(0, np.uint64), *(part[0] for _, part in found)])
        order = np.argsort(every, kind="stable")
        every = every[order]
        starts = starts_of(every)
        self.hashes = every[starts]
        """As `each_once` has them. Ascending."""
        self.numbers = np.zeros((len(starts), len(State)), np.int64)
        """Jobs by hash and state."""
        if found:
            self.numbers = np.add.reduceat(np.concatenate([part[1] for _, part in found])[order], starts, axis=0, dtype=np.int64)
        self.totals = self.numbers.sum(axis=1)
        if limit and len(self.totals) > limit:
            self._cut(_least(self.totals, limit))

    def _cut(self, least: int) -> None:
        """Forget what is smaller than the smallest winner."""
        kept = np.flatnonzero(self.totals >= least)
        if len(kept) == len(self.totals):
            return
        self.hashes, self.numbers, self.totals = self.hashes[kept], self.numbers[kept], self.totals[kept]
        cut = []
        for segment, (hashes, numbers, rows) in self.found:
            there = np.flatnonzero(np.isin(hashes, self.hashes))
            if len(there):
                cut.append((segment, (hashes[there], numbers[there], rows[there])))
        self.found = cut

    def places(self, chosen: Array) -> Iterator[resourcetexts.Places]:
        """A job that has each of some hashes, given by index."""
        left = self.hashes[chosen]
        for segment, (hashes, _, rows) in self.found:
            at = np.searchsorted(hashes, left)
            there = hashes.take(at, mode="clip") == left
            if there.any():
                yield segment.family, segment.number, rows[at[there]]
                left = left[~there]


def _exact(cells: Array) -> Look:
    buckets = np.unique(cells >> 8)
    postings = frozenset((_KIND, int(bucket)) for bucket in buckets)
    wanted = np.zeros(CELLS, bool)
    wanted[cells] = True
    look = partial(_count_hashes, wanted, buckets.tolist())
    key = ("tags", hashlib.sha1(wanted.tobytes(), usedforsecurity=False).digest())
    return Look(key, look, frozenset({"state"}), postings, ahead=frozenset({"state", "recorded_at"}))


def _count_hashes(wanted: Array, buckets: Sequence[int], hits: Hits) -> tuple[Array, Array, Array] | None:
    found, every = [], hits.view.column("state")
    for hashes, rows in each_once(hits, _KIND, buckets, None if wanted.all() else wanted):
        starts = starts_of(hashes)
        group = np.zeros(len(hashes), np.int64)
        group[starts[1:]] = 8
        states = every.take(rows)
        numbers = np.bincount(np.cumsum(group) + states, minlength=8 * len(starts)).reshape(-1, 8)[:, 1:]
        found.append((hashes.take(starts), numbers, rows.take(starts)))
    return _joined(hits, found)


def _joined(hits: Hits, parts: Sequence[tuple[Array, Array, Array]]) -> tuple[Array, Array, Array] | None:
    """Hashes, numbers and the cells of some jobs, as a partial result keeps them."""
    if not parts:
        return None
    hashes, numbers, cells = (np.concatenate(part) for part in zip(*parts, strict=True))
    return hashes, numbers.astype(np.uint16), hits.view.numbers(cells).astype(np.uint16)


def _winners(totals: Array, limit: int | None) -> Array:
    """Indexes of the values that may be among the largest: the winners, and what ties with the last of them."""
    if limit is None or limit >= len(totals):
        return np.arange(len(totals))
    if not limit:
        return np.zeros(0, np.intp)
    least = np.partition(totals, len(totals) - limit)[len(totals) - limit]
    above, equal = np.flatnonzero(totals > least), np.flatnonzero(totals == least)
    return np.concatenate([above, equal[: max(TIES, limit)]])


def _texts(evaluation: Evaluation, merged: _Merged, chosen: Array) -> list[str]:
    """The text of each value. Raises: Moved."""
    return resourcetexts.read(evaluation, merged.hashes[chosen].tolist(), lambda some: merged.places(chosen[some]))


def _ends(merged: _Merged, chosen: Sequence[int]) -> Any:
    """Hash -> first and last recorded_at."""
    hashes = np.sort(merged.hashes[list(chosen)]) if chosen else np.zeros(0, np.uint64)
    candidates = _can_hold_ends(merged.found, hashes)
    postings = frozenset((_KIND, bucket) for bucket in np.unique(hashes >> np.uint64(48)).tolist())
    key = ("tag ends", hashlib.sha1(hashes.tobytes(), usedforsecurity=False).digest())
    compute = partial(_find_ends, hashes)
    found = yield Look(key, compute, frozenset({"state", "recorded_at"}), postings, only=lambda s: s.key in candidates)
    lows, highs = np.full(len(hashes), _LATEST), np.full(len(hashes), _EARLIEST)
    for _, (at, first, last) in found:
        lows[at], highs[at] = np.minimum(lows[at], first), np.maximum(highs[at], last)
    return dict(zip(hashes.tolist(), zip(lows.tolist(), highs.tolist(), strict=True), strict=True))


_EARLIEST, _LATEST = -(1 << 63), (1 << 63) - 1


def _can_hold_ends(found: Found, hashes: Array) -> set[tuple[Any, ...]]:
    """Keys of the segments that can hold the first or the last job of a hash: by their bounds of recorded_at."""
    held = []
    # Every segment with a job of a hash has one at or before its upper bound, so the earliest is no later than the lowest of those.
    earliest, latest = np.full(len(hashes), _LATEST), np.full(len(hashes), _EARLIEST)
    for segment, (present, _, _) in found:
        at = np.flatnonzero(present.take(np.searchsorted(present, hashes), mode="clip") == hashes)
        low, high = segment.bounds("recorded_at") or (_EARLIEST, _LATEST)
        earliest[at], latest[at] = np.minimum(earliest[at], high), np.maximum(latest[at], low)
        held.append((segment, at, low, high))
    return {segment.key for segment, at, low, high in held if np.any((low <= earliest[at]) | (high >= latest[at]))}


def _find_ends(hashes: Array, hits: Hits) -> tuple[Array, Array, Array] | None:
    """Which of the hashes there are, by index, and the first and the last recorded_at of each."""
    mask, recorded, found = padded(hits), hits.view.column("recorded_at"), []
    starts = np.searchsorted(hashes, np.arange(TAG_BUCKETS + 1, dtype=np.uint64) << np.uint64(48)).tolist()
    for bucket, (first, last) in enumerate(pairwise(starts)):
        entries = hits.view.posting(_KIND, bucket) if first < last else _NO_ENTRIES
        if not len(entries):
            continue
        wanted, names = hashes[first:last] & np.uint64((1 << 48) - 1), entries >> np.uint64(16)
        at, rows = np.searchsorted(wanted, names), (entries & np.uint64(0xFFFF)).astype(np.intp)
        chosen = np.flatnonzero((wanted.take(at, mode="clip") == names) & mask.take(rows))
        ends = ends_by(at.take(chosen), recorded.take(rows.take(chosen)))
        if ends is not None:
            found.append((ends[0] + first, *ends[1:]))
    if not found:
        return None
    indexes, lows, highs = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return indexes, lows, highs


_NO_ENTRIES = np.zeros(0, np.uint64)


def _distinct() -> Any:
    """How many different resources there are."""
    found = yield Look(("distinct tags",), _hashes, frozenset({"state"}), _ALL_POSTINGS)
    parts = [part for _, part in found]
    return len(np.unique(np.concatenate(parts))) if parts else 0


def _hashes(hits: Hits) -> Array | None:
    found = [hashes.take(starts_of(hashes)) for hashes, _ in each_once(hits, _KIND, range(TAG_BUCKETS))]
    return np.concatenate(found) if found else None


def _count_totals(hits: Hits) -> tuple[Array, Array, Array] | None:
    found = []
    for hashes, rows in each_once(hits, _KIND, range(TAG_BUCKETS)):
        starts = starts_of(hashes)
        found.append((hashes.take(starts), np.diff(np.append(starts, len(hashes))), rows.take(starts)))
    return _joined(hits, found)


#: Counts every resource, whatever the state, for `totals`.
TOTALS = Look(("tag totals",), _count_totals, frozenset({"state"}), _ALL_POSTINGS)


def totals(evaluation: Evaluation, found: Found, limit: int) -> tuple[list[str], Array]:
    """The texts of the resources that most jobs have, and how many have each. Raises: Moved."""
    if not found:
        return [], np.zeros(0, np.int64)
    hashes, numbers, rows = (np.concatenate(parts) for parts in zip(*(part for _, part in found), strict=True))
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    starts = starts_of(hashes)
    sums = np.add.reduceat(numbers[order], starts, dtype=np.int64)
    chosen = _winners(sums, limit)
    ones, ends = order[starts[chosen]], np.cumsum([len(part[0]) for _, part in found])

    def places(some: Sequence[int]) -> Iterator[resourcetexts.Places]:
        wanted = ones[some]
        of = np.searchsorted(ends, wanted, side="right")
        for at in np.unique(of).tolist():
            segment = found[at][0]
            yield segment.family, segment.number, rows[wanted[of == at]]

    return resourcetexts.read(evaluation, hashes[starts[chosen]].tolist(), places), sums[chosen]


def _facet(text: str, merged: _Merged, at: int, ends: tuple[int, int]) -> FacetCount:
    by_state = states_of(merged.numbers[at].tolist())
    return FacetCount(value=text, total=int(merged.totals[at]), by_state=by_state, first=from_us(ends[0]), last=from_us(ends[1]))
