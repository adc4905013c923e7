"""In which order the values of a field are listed: by their jobs, by those in a state, by what failed, by how long they took.

The first of thousands are found from numbers by code; only those that can be among them are looked at more closely."""

import hashlib
from collections.abc import Mapping
from functools import partial

import numpy as np

from .columns import SPANS
from .evaluation import Answer, Evaluation, Found, Hits, Look
from .groups import cells_by_place, merged_cells, percentile_places
from .segments import Array
from .states import ENDED, State
from .stats import cells_of
from .values import Values, ranked, window

#: What values can be listed by; "-" before it: the largest first. A span stands for the 95th percentile of it.
ORDERS = ("value", "total", *(state.value for state in State), "failure_rate", *SPANS)
LARGEST = "-total"
PERCENTILE = 95


def columns_of(order: str) -> frozenset[str]:
    """What must be read of the jobs for it, beside field and state."""
    return frozenset({order.removeprefix("-")}) & frozenset(SPANS)


def listed(
    evaluation: Evaluation, field: str, values: Values, table: Array, order: str, limit: int | None, skipped: int = 0
) -> Answer[list[tuple[str, int]]]:
    """(text, number) of `limit` values after the first `skipped` in an order, equals by text. `table`: jobs by number and state code."""
    by, descending = order.removeprefix("-"), order.startswith("-")
    among = np.flatnonzero(table.any(axis=1))
    if by in SPANS:
        keys, among, skipped = yield from _took(evaluation, field, by, values, among, descending, limit, skipped)
    else:
        keys = _numbers(table, by)
    return ranked(keys if descending else -keys, among, limit, values.text, backward=order == "-value", skipped=skipped)


def _numbers(table: Array, by: str) -> Array:
    """What decides, by number; nothing where the text alone does."""
    if by == "value":
        return np.zeros(len(table), np.int64)
    if by == "total":
        return table.sum(axis=1)
    if by == "failure_rate":
        ended = table[:, [state.code for state in ENDED]].sum(axis=1)
        return table[:, State.failed.code] / np.maximum(ended, 1)
    return table[:, State(by).code]


def _took(
    evaluation: Evaluation, field: str, column: str, values: Values, among: Array, descending: bool, limit: int | None, skipped: int
) -> Answer[tuple[Array, Array, int]]:
    """The percentile by number, microseconds, 0 without a span, of those of `among` that can be listed; which those are; and how many of
    them are skipped.

    The cell of the logarithmic grid that holds it tells which they are: only their spans in it are looked at."""
    needed = frozenset({"state", field, column})
    found = yield Look(("cells by value", field, column), partial(_count_cells, field, column), needed, ahead=needed)
    cells, within = _places(values, found)
    among, before = window(cells if descending else -cells, among, limit, skipped)
    wanted = _by_code(values, cells, among)
    digest = hashlib.sha1(b"".join(part.tobytes() for part in wanted.values()), usedforsecurity=False).digest()
    inside = yield Look(("inside by value", field, column, digest), partial(_find_inside, field, column, wanted), needed)
    keys = np.zeros(values.size, np.int64)
    if inside:
        numbers = np.concatenate([values.numbers(segment.family, codes) for segment, (codes, _) in inside])
        spans = np.concatenate([spans for _, (_, spans) in inside])
        order = np.lexsort((spans, numbers))
        held, starts = np.unique(numbers[order], return_index=True)
        keys[held] = spans[order][starts + within[held]]
    return keys, among, skipped - before


def _count_cells(field: str, column: str, hits: Hits) -> tuple[Array, Array] | None:
    """(code << 16 | grid cell) of each pair there is, ascending, and how often it is there."""
    codes, spans = hits.take(field), hits.take(column)
    chosen = np.flatnonzero((codes != 0) & (spans != 0))
    return cells_by_place(codes.take(chosen), cells_of(spans.take(chosen) - 1)) if len(chosen) else None


def _places(values: Values, found: Found) -> tuple[Array, Array]:
    """By number: the cell that holds the percentile, 0 without a span, and its rank within."""
    if not found:
        return np.zeros(values.size, np.int64), np.zeros(values.size, np.int64)
    keys = np.concatenate([values.numbers(segment.family, keys >> 16) << 16 | keys & 0xFFFF for segment, (keys, _) in found])
    every, sums = merged_cells(keys, np.concatenate([counts for _, (_, counts) in found]))
    sizes = np.bincount(every >> 16, weights=sums, minlength=values.size).astype(np.int64)
    cells, within = percentile_places(every, sums, sizes, PERCENTILE)
    return np.where(sizes, cells, 0), within


def _by_code(values: Values, cells: Array, among: Array) -> Mapping[int, Array]:
    """Family -> by code the cell that is looked into; 0 for none, and behind the last."""
    sought = np.zeros(len(cells), np.uint16)
    sought[among] = cells[among]
    found = {}
    for family, codes in values.present.items():
        found[family] = np.zeros(int(codes[-1]) + 2, np.uint16)
        found[family][codes] = sought[values.numbers(family, codes)]
    return found


def _find_inside(field: str, column: str, wanted: Mapping[int, Array], hits: Hits) -> tuple[Array, Array] | None:
    """(code, span) of the hits whose span is in the cell that is looked into."""
    cells = wanted.get(hits.view.segment.family)
    if cells is None:
        return None
    codes, spans = hits.take(field), hits.take(column)
    sought = cells.take(codes, mode="clip")
    chosen = np.flatnonzero((sought != 0) & (spans != 0))
    codes, spans = codes.take(chosen), spans.take(chosen) - 1
    inside = np.flatnonzero(cells_of(spans) == sought.take(chosen))
    return (codes.take(inside), spans.take(inside)) if len(inside) else None
