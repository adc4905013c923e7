"""How long jobs took, for each of the values that most of them have: as `stats.durations`, for thousands of groups at once."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .answers import Durations
from .evaluation import Answer, Evaluation, Found, Hits, Look
from .masks import I64_MAX
from .segments import Array, pick, starts_of
from .stats import EXACT_SUM, PERCENTILES, Totals, cells_of, durations_of, nth
from .values import Codes, Values, ranked


def durations_by(evaluation: Evaluation, field: str, column: str, limit: int | None) -> Answer[dict[str, Durations]]:
    """How long the matching jobs took, for each of the values that most of them have."""
    needed = frozenset({"state", field, column})
    numbers = yield Look(("timed", field, column), partial(_count_timed, field, column), needed, ahead=needed)
    winners = _winners(evaluation, field, numbers, limit)
    chosen = _by_family(winners)
    groups = {family: _Groups(codes) for family, codes in chosen.items()}
    cells = yield Look(("grids", field, column, _key(chosen)), partial(_count_group_cells, field, column, groups), needed, ahead=needed)
    merged, ranks = _merge_groups(winners, chosen, cells)
    sought = {family: _sought(family, codes, winners, ranks) for family, codes in chosen.items()}
    wanted = {family: _Sought(groups[family], cells) for family, cells in sought.items()}
    inside = yield Look(("insides", field, column, _key(sought)), partial(_group_insides, field, column, wanted), needed)
    values = _by_group_cell(inside, winners, wanted)
    return {text: durations_of(merged[text], [nth(values[text, cell], rank) for cell, rank in ranks[text]]) for text in winners}


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
    values = Values(evaluation, field, {family: np.flatnonzero(total) for family, total in totals.items()})
    joined = values.join(totals)
    return {text: values.codes(number) for text, number in ranked(joined, np.flatnonzero(joined), limit, values.text)}


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
        self._index = np.full(max(codes, default=0) + 2, -1, _small(len(codes)))
        self._index[list(codes)] = np.arange(len(codes))

    def of(self, field: str, column: str, hits: Hits) -> tuple[Array, Array]:
        """(place in the list, span) of the hits that have one of the codes and a span."""
        cells, spans_kept = hits.take(field), hits.take(column)
        index = self._index.take(cells, mode="clip")
        chosen = np.flatnonzero((index >= 0) & (spans_kept != 0))
        return index.take(chosen), spans_kept.take(chosen) - 1


class _Timed(NamedTuple):
    """What the spans of the groups of one segment come to, by their place in the list of groups."""

    places: Array
    """Groups with a span, ascending."""
    numbers: Array
    totals: list[int]
    lows: Array
    highs: Array
    keys: Array
    """Place and grid cell, the place in the upper bits, ascending."""
    counts: Array


def _count_group_cells(field: str, column: str, chosen: Mapping[int, _Groups], hits: Hits) -> _Timed | None:
    groups = chosen.get(hits.view.segment.family)
    if groups is None:
        return None
    index, values = groups.of(field, column, hits)
    if not len(index):
        return None
    keys, counts = cells_by_place(index, cells_of(values))
    order = np.argsort(index, kind="stable")
    index, values = index.take(order), values.take(order)
    starts = starts_of(index)
    if int(values.max()) < EXACT_SUM:
        totals = np.add.reduceat(values, starts).tolist()
    else:
        totals = [sum(part.tolist()) for part in np.split(values, starts[1:])]
    numbers = np.diff(np.append(starts, len(index)))
    lows, highs = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    return _Timed(index.take(starts).astype(np.int64), numbers, totals, lows, highs, keys, counts)


def cells_by_place(index: Array, cells: Array) -> tuple[Array, Array]:
    """(place << 16 | cell) of each pair there is, ascending, and how often it is there."""
    lowest = int(cells.min())
    width = int(cells.max()) - lowest + 1
    if (int(index.max()) + 1) * width < 8 * len(index) + (1 << 19):
        counted = np.bincount(index.astype(np.int64) * width + (cells.astype(np.int64) - lowest))
        found = np.flatnonzero(counted)
        return (found // width << 16) | (found % width + lowest), counted[found].astype(np.uint32)
    keys, counts = np.unique(index.astype(np.int64) << 16 | cells, return_counts=True)
    return keys, counts.astype(np.uint32)


def _merge_groups(
    winners: _Winners, chosen: Mapping[int, tuple[int, ...]], found: Found
) -> tuple[dict[str, Totals], dict[str, list[tuple[int, int]]]]:
    """What the groups come to, and where their percentiles are (as `_ranks`): all groups at once, there may be thousands."""
    if not found:
        return {}, {}
    numbers = {pair: number for number, pairs in enumerate(winners.values()) for pair in pairs}
    of_place = {family: np.array([numbers[family, code] for code in codes], np.int64) for family, codes in chosen.items()}
    sizes, totals = np.zeros(len(winners), np.int64), [0] * len(winners)
    lows, highs = np.full(len(winners), I64_MAX), np.zeros(len(winners), np.int64)
    keys = []
    for segment, part in found:
        owner = of_place[segment.family]
        mine = owner[part.places]
        sizes[mine] += part.numbers
        lows[mine], highs[mine] = np.minimum(lows[mine], part.lows), np.maximum(highs[mine], part.highs)
        for number, total in zip(mine.tolist(), part.totals, strict=True):
            totals[number] += total
        keys.append(owner[part.keys >> 16] << 16 | part.keys & 0xFFFF)
    every, counts = np.concatenate(keys), np.concatenate([part.counts for _, part in found])
    every, sums = merged_cells(every, counts)
    ranks: list[list[tuple[int, int]]] = [[] for _ in winners]
    for percentile in PERCENTILES:
        for places, place in zip(
            ranks, zip(*(part.tolist() for part in percentile_places(every, sums, sizes, percentile)), strict=True), strict=True
        ):
            places.append(place)
    merged = map(Totals, sizes.tolist(), totals, lows.tolist(), highs.tolist())
    return dict(zip(winners, merged, strict=True)), dict(zip(winners, ranks, strict=True))


def merged_cells(keys: Array, counts: Array) -> tuple[Array, Array]:
    """The pairs of several segments, as `cells_by_place` has them, put together."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = starts_of(keys)
    return keys[starts], np.add.reduceat(counts[order].astype(np.int64), starts)


def percentile_places(keys: Array, counts: Array, sizes: Array, percentile: int) -> tuple[Array, Array]:
    """By group the grid cell that holds the percentile, and its rank (from 0) within; of an empty group nothing that means anything.
    `keys`, `counts`: as `merged_cells`; `sizes`: how many each group has."""
    above, before = np.cumsum(counts), np.cumsum(sizes) - sizes
    rank = -(-sizes * percentile // 100)
    index = np.searchsorted(above, before + rank)
    return keys[index] & 0xFFFF, rank - 1 - (above[index] - counts[index] - before)


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
        self._slot = np.full(1 << 16, len(self._slots), np.intp)
        self._slot[list(self._slots)] = range(len(self._slots))
        self._name = np.full((len(groups.codes), len(self._slots) + 1), -1, _small(len(self.names)))
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
    return (at, values) if len(at) else None


def _by_group_cell(found: Found, winners: _Winners, sought: Mapping[int, _Sought]) -> dict[tuple[str, int], Array]:
    """(text, grid cell) -> the values in it, of all segments."""
    texts = {pair: text for text, pairs in winners.items() for pair in pairs}
    slots: dict[tuple[str, int], int] = {}
    of_name = {
        family: np.array([slots.setdefault((texts[family, code], cell), len(slots)) for code, cell in wanted.names], np.int64)
        for family, wanted in sought.items()
    }
    if not found:
        return {}
    at = np.concatenate([of_name[segment.family][names] for segment, (names, _) in found])
    order = np.argsort(at.astype(_small(len(slots))), kind="stable")
    values = np.concatenate([values for _, (_, values) in found])[order]
    starts = np.searchsorted(at[order], np.arange(len(slots) + 1))
    return {key: values[starts[slot] : starts[slot + 1]] for key, slot in slots.items()}


def _small(numbers: int) -> type:
    """16 bits where they do: sorting them stably goes by radix, ten times as fast."""
    return np.int16 if numbers < 1 << 15 else np.int32
