"""Answers about how many and how long: counts by state, durations, histograms. Exact, from columns alone.

Percentiles are found in two looks: the first counts values in cells of a logarithmic grid (the upper 16 bits of the
value as a float: 16 cells an octave), the second fetches the values of the few cells that hold a percentile."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from .answers import Bin, Durations
from .clock import from_us
from .evaluation import COUNTS, Answer, Evaluation, Found, Hits, Look
from .facets import Codes, merge_texts, most
from .segments import Array, pick
from .states import State

PERCENTILES = (50, 95, 99)
#: Sum of the int64 values of one segment stays exact below this: 65,520 rows of it are under 2**63.
_EXACT_SUM = 1 << 46


def counts(evaluation: Evaluation) -> Answer[dict[State, int]]:
    """Jobs per state, all seven."""
    found = yield COUNTS
    return states_of(sum_of(found))


def sum_of(found: Found) -> Array:
    """The counts by state of all segments together."""
    total = np.zeros(len(State), np.int64)
    for _, part in found:
        total += part
    return total


def states_of(numbers: Sequence[int] | Array) -> dict[State, int]:
    """Numbers in the order of the states, by state."""
    return {state: int(number) for state, number in zip(State, numbers, strict=True)}


def bounds(evaluation: Evaluation) -> Answer[Any]:
    """When the first and the last job was recorded, None without any."""
    found = yield extent("recorded_at")
    if not found:
        return None
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
class _Totals:
    """What the spans of one group of jobs come to."""

    n: int
    total: int
    low: int
    high: int


@dataclass(frozen=True)
class _Cells(_Totals):
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
    return _durations(merged, [_nth(values[cell], rank) for cell, rank in ranks])


def _grid(column: str) -> Look:
    return Look(("grid", column), partial(_count_cells, column), frozenset({"state", column}), ahead=frozenset({"state", column}))


def spans(hits: Hits, column: str) -> Array:
    """The known spans in microseconds: the cells hold one more."""
    cells = hits.take(column)
    return pick(cells, cells != 0) - 1


def cells_of(values: Array) -> Array:
    """The grid cell of each value: the upper 16 bits of the float. Ascending with the value, 0 alone in cell 0."""
    return (values.astype(np.float64).view(np.uint64) >> np.uint64(48)).astype(np.uint16)


def _count_cells(column: str, hits: Hits) -> tuple[Any, ...] | None:
    values = spans(hits, column)
    return _grid_of(values, cells_of(values)) if len(values) else None


def _grid_of(values: Array, cells: Array) -> tuple[Any, ...]:
    """What the numbers of one group come to: `_Cells`, still by segment."""
    counted = np.bincount(cells)
    filled = np.flatnonzero(counted)
    return len(values), _total(values), int(values.min()), int(values.max()), filled.astype(np.uint16), counted[filled].astype(np.uint32)


def _total(values: Array) -> int:
    return int(values.sum()) if int(values.max()) < _EXACT_SUM else sum(values.tolist())


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
        values = spans(hits, column)
        found = cells_of(values)
        parts = tuple((cell, pick(values, found == cell)) for cell in cells)
        return parts if any(len(part) for _, part in parts) else None

    return Look(("inside", name, cells), compute, frozenset({"state", column}))


def _by_cell(parts: Iterable[tuple[tuple[Any, Array], ...]]) -> dict[Any, Array]:
    lists: dict[Any, list[Array]] = {}
    for part in parts:
        for cell, values in part:
            lists.setdefault(cell, []).append(values)
    return {cell: np.concatenate(values) for cell, values in lists.items()}


def _nth(values: Array, rank: int) -> int:
    return int(np.partition(values, rank)[rank])


def _durations(merged: _Totals, percentiles: Sequence[int]) -> Durations:
    p50, p95, p99 = (value / 1e6 for value in percentiles)
    average = merged.total / merged.n / 1e6
    return Durations(n=merged.n, min=merged.low / 1e6, avg=average, p50=p50, p95=p95, p99=p99, max=merged.high / 1e6)


def durations_by(evaluation: Evaluation, field: str, column: str, limit: int | None) -> Answer[dict[str, Durations]]:
    """How long the matching jobs took, for each of the values that most of them have."""
    needed = frozenset({"state", field, column})
    numbers = yield Look(("timed", field, column), partial(_count_timed, field, column), needed, ahead=needed)
    winners = _winners(evaluation, field, numbers, limit)
    chosen = _by_family(winners)
    groups = {family: _Groups(codes) for family, codes in chosen.items()}
    cells = yield Look(("grids", field, column, _key(chosen)), partial(_count_group_cells, field, column, groups), needed, ahead=needed)
    merged, ranks = _merge_groups(winners, cells)
    sought = {family: _sought(family, codes, winners, ranks) for family, codes in chosen.items()}
    wanted = {family: _Sought(groups[family], cells) for family, cells in sought.items()}
    inside = yield Look(("insides", field, column, _key(sought)), partial(_group_insides, field, column, wanted), needed)
    values = _by_group_cell(inside, winners)
    return {text: _durations(merged[text], [_nth(values[text, cell], rank) for cell, rank in ranks[text]]) for text in winners}


#: Text -> the (family, code) pairs that stand for it.
_Winners = Mapping[str, Codes]


def _count_timed(field: str, column: str, hits: Hits) -> tuple[Array, Array] | None:
    codes, cells = hits.take(field), hits.take(column)
    codes = pick(codes, (cells != 0) & (codes != 0))
    if not len(codes):
        return None
    if int(codes.max()) < 4 * len(codes) + 4096:
        counted = np.bincount(codes)
        found = np.flatnonzero(counted)
        return found.astype(np.uint32), counted[found].astype(np.uint32)
    found, counted = np.unique(codes, return_counts=True)
    return found, counted.astype(np.uint32)


def _winners(evaluation: Evaluation, field: str, found: Found, limit: int | None) -> _Winners:
    totals: dict[int, Array] = {}
    for family in {segment.family for segment, _ in found}:
        parts = [part for segment, part in found if segment.family == family]
        totals[family] = np.bincount(np.concatenate([c for c, _ in parts]), weights=np.concatenate([n for _, n in parts])).astype(np.int64)
    values = merge_texts(evaluation, field, totals, limit)
    return {text: values[text][1] for text in most({text: total for text, (total, _) in values.items()}, limit)}


def _by_family(winners: _Winners) -> dict[int, tuple[int, ...]]:
    found: dict[int, list[int]] = {}
    for pairs in winners.values():
        for family, code in pairs:
            found.setdefault(family, []).append(code)
    return {family: tuple(sorted(codes)) for family, codes in found.items()}


def _key(by_family: Mapping[int, tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(sorted(by_family.items()))


class _Groups:
    """Codes of one family by their place in a list; made once, used for every segment."""

    def __init__(self, codes: Sequence[int]) -> None:
        self.codes = codes
        # A table, not a search: the cells of a column are looked up by the hundred thousand.
        self._index = np.full(max(codes, default=0) + 2, -1, np.int16 if len(codes) < 1 << 15 else np.int32)
        self._index[list(codes)] = np.arange(len(codes))

    def of(self, field: str, column: str, hits: Hits) -> tuple[Array, Array]:
        """(place in the list, span) of the hits that have one of the codes and a span."""
        cells, spans_kept = hits.take(field), hits.take(column)
        index = self._index.take(cells, mode="clip")
        chosen = np.flatnonzero((index >= 0) & (spans_kept != 0))
        return index.take(chosen), spans_kept.take(chosen) - 1


def _count_group_cells(field: str, column: str, chosen: Mapping[int, _Groups], hits: Hits) -> Any:
    groups = chosen.get(hits.view.segment.family)
    if groups is None:
        return None
    index, values = groups.of(field, column, hits)
    order = np.argsort(index, kind="stable")
    index, values = index.take(order), values.take(order)
    cells = cells_of(values)
    starts = np.searchsorted(index, np.arange(len(groups.codes) + 1))
    found = []
    for number, code in enumerate(groups.codes):
        part = slice(starts[number], starts[number + 1])
        if part.start < part.stop:
            found.append((code, *_grid_of(values[part], cells[part])))
    return tuple(found) or None


def _merge_groups(winners: _Winners, found: Found) -> tuple[dict[str, _Totals], dict[str, list[tuple[int, int]]]]:
    """What the groups come to, and where their percentiles are (as `_ranks`): all groups at once, there may be thousands."""
    numbers = {pair: number for number, pairs in enumerate(winners.values()) for pair in pairs}
    totals = [_Totals(0, 0, 1 << 63, 0)] * len(winners)
    owners, cells, counts = [], [], []
    for segment, groups in found:
        for code, n, total, low, high, cells_of_group, counts_of_group in groups:
            number = numbers[segment.family, code]
            last = totals[number]
            totals[number] = _Totals(last.n + n, last.total + total, min(last.low, low), max(last.high, high))
            owners.append(number)
            cells.append(cells_of_group)
            counts.append(counts_of_group)
    if not owners:
        return {}, {}
    keys = np.repeat(np.array(owners, np.int64) << 16, [len(part) for part in cells]) | np.concatenate(cells)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    keys, sums = keys[starts], np.add.reduceat(np.concatenate(counts)[order].astype(np.int64), starts)
    above, sizes = np.cumsum(sums), np.array([group.n for group in totals], np.int64)
    before = np.cumsum(sizes) - sizes
    ranks: list[list[tuple[int, int]]] = [[] for _ in totals]
    for percentile in PERCENTILES:
        rank = -(-sizes * percentile // 100)
        index = np.searchsorted(above, before + rank)
        within = rank - 1 - (above[index] - sums[index] - before)
        for places, place in zip(ranks, zip((keys[index] & 0xFFFF).tolist(), within.tolist(), strict=True), strict=True):
            places.append(place)
    return dict(zip(winners, totals, strict=True)), dict(zip(winners, ranks, strict=True))


#: (code, the grid cells to fetch of it), for one family.
_CellsByCode = tuple[tuple[int, tuple[int, ...]], ...]


def _sought(family: int, codes: tuple[int, ...], winners: _Winners, ranks: Mapping[str, list[tuple[int, int]]]) -> _CellsByCode:
    texts = {pair: text for text, pairs in winners.items() for pair in pairs}
    return tuple((code, tuple(sorted({cell for cell, _ in ranks[texts[family, code]]}))) for code in codes)


class _Sought:
    """The (group, cell) pairs whose values are wanted, as a table; made once, used for every segment."""

    def __init__(self, groups: _Groups, cells: _CellsByCode) -> None:
        self.groups = groups
        self.names = [(code, cell) for code, cells_of_code in cells for cell in cells_of_code]
        self._slots = {cell: slot for slot, cell in enumerate(sorted({cell for _, cell in self.names}))}
        # 16 bits where they do: sorting them stably goes by radix, ten times as fast.
        small = np.int16 if len(self.names) < 1 << 15 else np.int32
        self._slot = np.full(1 << 16, len(self._slots), np.intp)
        self._slot[list(self._slots)] = range(len(self._slots))
        self._name = np.full((len(groups.codes), len(self._slots) + 1), -1, small)
        places = {code: place for place, code in enumerate(groups.codes)}
        for number, (code, cell) in enumerate(self.names):
            self._name[places[code], self._slots[cell]] = number

    def of(self, index: Array, cells: Array) -> Array:
        """Which name each (place, cell) is, -1 for none."""
        return self._name.take(self._slot.take(cells) + index * np.intp(self._name.shape[1]))


def _group_insides(field: str, column: str, sought: Mapping[int, _Sought], hits: Hits) -> Any:
    wanted = sought.get(hits.view.segment.family)
    if wanted is None:
        return None
    index, values = wanted.groups.of(field, column, hits)
    at = wanted.of(index, cells_of(values))
    chosen = np.flatnonzero(at >= 0)
    at, values = at.take(chosen), values.take(chosen)
    order = np.argsort(at, kind="stable")
    at, values = at.take(order), values.take(order)
    starts = np.searchsorted(at, np.arange(len(wanted.names) + 1))
    found = tuple((*name, values[starts[n] : starts[n + 1]].copy()) for n, name in enumerate(wanted.names) if starts[n] < starts[n + 1])
    return found or None


def _by_group_cell(found: Found, winners: _Winners) -> dict[tuple[str, int], Array]:
    texts = {pair: text for text, pairs in winners.items() for pair in pairs}
    lists: dict[tuple[str, int], list[Array]] = {}
    for segment, parts in found:
        for code, cell, values in parts:
            lists.setdefault((texts[segment.family, code], cell), []).append(values)
    return {key: np.concatenate(values) for key, values in lists.items()}


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

    def of(self, values: Array) -> Array:
        """The bin of each value (microseconds)."""
        found = self._bin.take(cells_of(values))
        open_ = np.flatnonzero(found < 0)
        found[open_] = self._search(values[open_])
        return found


def _count_bins(column: str, bins: _Bins, hits: Hits) -> Array | None:
    values = spans(hits, column)
    return np.bincount(bins.of(values), minlength=len(bins.edges) - 1) if len(values) else None
