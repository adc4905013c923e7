"""Answers about how many and how long: counts by state, durations, histograms. Exact, from columns alone.

Percentiles are found in two looks: the first counts values in cells of a logarithmic grid (the upper 16 bits of the
value as a float: 16 cells an octave), the second fetches the values of the few cells that hold a percentile."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from .answers import Bin, Durations
from .clock import from_us
from .evaluation import COUNTS, Answer, Evaluation, Found, Hits, Look
from .masks import I64_MAX
from .segments import Array, pick
from .states import State

PERCENTILES = (50, 95, 99)
_STATES = tuple(State)
_NONE = dict.fromkeys(_STATES, 0)
#: Sum of the int64 values of one segment stays exact below this: 65,520 rows of it are under 2**63.
EXACT_SUM = 1 << 46


def counts(evaluation: Evaluation) -> Answer[dict[State, int]]:
    """Jobs per state, all seven."""
    found = yield COUNTS
    return states_of(sum_of(found).tolist())


def sum_of(found: Found) -> Array:
    """The counts by state of all segments together."""
    total = np.zeros(len(State), np.int64)
    for _, part in found:
        total += part
    return total


def states_of(numbers: Sequence[int]) -> dict[State, int]:
    """Numbers in the order of the states, by state."""
    # Most steps of a timeline hold nothing, and a copy takes a tenth of the time.
    return dict(zip(_STATES, numbers, strict=True)) if any(numbers) else _NONE.copy()


def bounds(evaluation: Evaluation) -> Answer[Any]:
    """When the first and the last job was recorded, None without any. Read of the segments that can hold them."""
    counted = yield replace(COUNTS, ahead=frozenset({"recorded_at"}), again=False)
    if not counted:
        return None
    known = {segment.key: segment.bounds("recorded_at") or (-I64_MAX, I64_MAX) for segment, _ in counted}
    # Each of them holds a match: the first is no later than the lowest upper bound, the last no earlier than the highest lower one.
    first, last = min(high for _, high in known.values()), max(low for low, _ in known.values())
    chosen = {key for key, (low, high) in known.items() if low <= first or high >= last}
    found = yield replace(extent("recorded_at"), only=lambda segment: segment.key in chosen)
    return from_us(min(low for _, (low, _) in found)), from_us(max(high for _, (_, high) in found))


def extent(column: str) -> Look:
    """Lowest and highest filled cell of a column."""
    from .pages import columns_of, values_of

    def compute(hits: Hits) -> tuple[int, int] | None:
        cells = hits.of(values_of(hits.view, column))
        cells = pick(cells, cells != 0)
        return (int(cells.min()), int(cells.max())) if len(cells) else None

    return Look(("extent", column), compute, columns_of(column) | {"state"}, volatile=column == "heartbeat_at")


@dataclass(frozen=True)
class Totals:
    """What the spans of one group of jobs come to."""

    n: int
    total: int
    low: int
    high: int


@dataclass(frozen=True)
class _Cells(Totals):
    """With a histogram over the logarithmic grid."""

    cells: Array
    """Ascending, each once."""
    counts: Array


def durations(evaluation: Evaluation, column: str) -> Answer[Durations]:
    """How long the matching jobs took."""
    found = yield _grid(column)
    if not found:
        return Durations(n=0)
    merged = _merge([part for _, part in found])
    ranks = _ranks(merged)
    inside = yield _inside(column, tuple(sorted({cell for cell, _ in ranks})), column)
    values = _by_cell(part for _, part in inside)
    return durations_of(merged, [nth(values[cell], rank) for cell, rank in ranks])


def _grid(column: str) -> Look:
    return Look(("grid", column), partial(_count_cells, column), frozenset({"state", column}), ahead=frozenset({"state", column}))


def spans(hits: Hits, column: str) -> Array:
    """The known spans in microseconds: the cells hold one more."""

    def make() -> Array:
        cells = hits.take(column)
        return pick(cells, cells != 0) - 1

    return hits.once(("spans", column), make)


def span_cells(hits: Hits, column: str) -> Array:
    """The grid cell of each of them."""
    return hits.once(("span cells", column), lambda: cells_of(spans(hits, column)))


def cells_of(values: Array) -> Array:
    """The grid cell of each value: the upper 16 bits of the float. Ascending with the value, 0 alone in cell 0."""
    return (values.astype(np.float64).view(np.uint64) >> np.uint64(48)).astype(np.uint16)


def _count_cells(column: str, hits: Hits) -> tuple[Any, ...] | None:
    values = spans(hits, column)
    return _grid_of(values, span_cells(hits, column)) if len(values) else None


def _grid_of(values: Array, cells: Array) -> tuple[Any, ...]:
    """What the numbers of one group come to: `_Cells`, still by segment."""
    counted = np.bincount(cells)
    filled = np.flatnonzero(counted)
    return len(values), _total(values), int(values.min()), int(values.max()), filled.astype(np.uint16), counted[filled].astype(np.uint32)


def _total(values: Array) -> int:
    return int(values.sum()) if int(values.max()) < EXACT_SUM else sum(values.tolist())


def _merge(parts: Sequence[tuple[Any, ...]]) -> _Cells:
    numbers, totals, lows, highs, cells, counts = zip(*parts, strict=True)
    counted = np.bincount(np.concatenate(cells), weights=np.concatenate(counts))
    filled = np.flatnonzero(counted)
    return _Cells(sum(numbers), sum(totals), min(lows), max(highs), filled, counted[filled].astype(np.int64))


def _ranks(merged: _Cells) -> list[tuple[int, int]]:
    """For each percentile the cell that holds it, and its rank (from 0) within."""
    above = np.cumsum(merged.counts)
    found = []
    for percentile in PERCENTILES:
        rank = -(-merged.n * percentile // 100)
        index = int(np.searchsorted(above, rank))
        found.append((int(merged.cells[index]), rank - 1 - int(above[index] - merged.counts[index])))
    return found


def _inside(column: str, cells: tuple[int, ...], name: str) -> Look:
    def compute(hits: Hits) -> tuple[tuple[int, Array], ...] | None:
        values, found = spans(hits, column), span_cells(hits, column)
        parts = tuple((cell, pick(values, found == cell)) for cell in cells)
        return parts if any(len(part) for _, part in parts) else None

    return Look(("inside", name, cells), compute, frozenset({"state", column}))


def _by_cell(parts: Iterable[tuple[tuple[Any, Array], ...]]) -> dict[Any, Array]:
    lists: dict[Any, list[Array]] = {}
    for part in parts:
        for cell, values in part:
            lists.setdefault(cell, []).append(values)
    return {cell: np.concatenate(values) for cell, values in lists.items()}


def nth(values: Array, rank: int) -> int:
    """The value of a rank, from 0."""
    return int(np.partition(values, rank)[rank])


def durations_of(merged: Totals, percentiles: Sequence[int]) -> Durations:
    """In seconds."""
    p50, p95, p99 = (value / 1e6 for value in percentiles)
    average = merged.total / merged.n / 1e6
    return Durations(n=merged.n, min=merged.low / 1e6, avg=average, p50=p50, p95=p95, p99=p99, max=merged.high / 1e6)


def histogram(evaluation: Evaluation, column: str, bins: int) -> Answer[list[Bin]]:
    """How many matching jobs took how long, in bins of equal width on a logarithmic scale."""
    found = yield _grid(column)
    if not found:
        return []
    bins_by = _Bins(_edges(_merge([part for _, part in found]), bins))
    edges = bins_by.edges
    parts = yield Look(("bins", column, tuple(edges)), partial(_count_bins, column, bins_by), frozenset({"state", column}))
    numbers = sum((part for _, part in parts), np.zeros(len(edges) - 1, np.int64))
    return [Bin(low=low, high=high, n=int(n)) for (low, high), n in zip(pairwise(edges), numbers, strict=True)]


def _edges(merged: _Cells, bins: int) -> list[float]:
    """Seconds. Where the shortest is 0, which no logarithm reaches, the first bin goes from 0 to the grid cell of the
    shortest longer one."""
    low, high = merged.low / 1e6, merged.high / 1e6
    if low == high or bins == 1:
        return [low, high]
    if low > 0:
        return _geometric(low, high, bins)
    start = float(np.array([int(merged.cells[1]) << 48], np.uint64).view(np.float64)[0]) / 1e6
    return [0.0, *_geometric(start, high, bins - 1)]


def _geometric(low: float, high: float, bins: int) -> list[float]:
    ratio = math.log(high / low) / bins
    return [low, *(low * math.exp(ratio * number) for number in range(1, bins)), high]


class _Bins:
    """Which bin a value falls into: by its grid cell where that lies within one bin, else by search."""

    def __init__(self, edges: list[float]) -> None:
        self.edges = edges
        lower = (np.arange((1 << 15) + 1, dtype=np.uint64) << np.uint64(48)).view(np.float64)
        first = self._search(np.nan_to_num(lower, nan=np.inf))
        self._bin = np.where(first[:-1] == first[1:], first[:-1], -1).astype(np.int32)

    def _search(self, values: Array) -> Array:
        index = np.searchsorted(self.edges, values / 1e6, side="right") - 1
        return np.clip(index, 0, len(self.edges) - 2)

    def of(self, values: Array, cells: Array) -> Array:
        """The bin of each value (microseconds), whose grid cells are given."""
        found = self._bin.take(cells)
        open_ = np.flatnonzero(found < 0)
        found[open_] = self._search(values[open_])
        return found


def _count_bins(column: str, bins: _Bins, hits: Hits) -> Array | None:
    values = spans(hits, column)
    return np.bincount(bins.of(values, span_cells(hits, column)), minlength=len(bins.edges) - 1) if len(values) else None
