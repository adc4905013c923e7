"""Answers about values: which job names, queues, users, workers, engines or error groups the matching jobs have.

The first look counts (value, state) pairs by code: state column and the field's, nothing else. When the first and
the last job of each was recorded is asked of the few segments that can hold them, once the largest are known."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from . import orders
from .answers import FacetCount
from .clock import from_us
from .evaluation import Answer, Evaluation, Found, Hits, Look, Moved
from .pages import columns_of, values_of
from .segments import Array, pick, starts_of
from .stats import states_of
from .values import Codes, Values


class Facets(NamedTuple):
    """The largest values of a field, and how many different ones there are (resources: 0 where it was not asked for)."""

    counts: list[FacetCount]
    distinct: int


def counts_by(
    evaluation: Evaluation, field: str, limit: int | None, distinct: bool = False, order: str = orders.LARGEST, skipped: int = 0
) -> Answer[Facets]:
    """`limit` values after the first `skipped` in an order, by default that of those that most matching jobs have."""
    further = orders.columns_of(order)
    ahead = frozenset({"state", field, "recorded_at"}) | further
    found = yield replace(pairs_of(field), ahead=ahead, again=bool(further))
    if not found:
        return Facets([], 0)
    values, table = tabled(evaluation, field, found)
    chosen = yield from orders.listed(evaluation, field, values, table, order, limit, skipped)
    ends = yield from _ends(field, found, {text: values.codes(number) for text, number in chosen})
    facets = [_facet(text, numbers, ends[text]) for (text, _), numbers in zip(chosen, table[[n for _, n in chosen]].tolist(), strict=True)]
    return Facets(facets, len(values))


def earliest_by(evaluation: Evaluation, field: str, on: str) -> Answer[dict[str, datetime]]:
    """Text -> the earliest of a moment among the matching jobs with that value; left out where none of them has it."""
    columns = columns_of(on) | {"state", field}
    parts = yield Look(("earliest", field, on), partial(_find_earliest, field, on), columns, volatile=on == "heartbeat_at")
    texts = evaluation.texts((family, field) for family in {segment.family for segment, _ in parts})
    found: dict[str, int] = {}
    for segment, (codes, first) in parts:
        known = texts[segment.family, field]
        for code, moment in zip(codes.tolist(), first.tolist(), strict=True):
            if code > len(known) or not known[code - 1]:
                raise Moved
            found[known[code - 1]] = min(moment, found.get(known[code - 1], moment))
    return {text: from_us(moment) for text, moment in found.items()}


def _find_earliest(field: str, on: str, hits: Hits) -> tuple[Array, Array] | None:
    codes, moments = hits.take(field), hits.of(values_of(hits.view, on))
    inside = (codes != 0) & (moments != 0)
    ends = ends_by(pick(codes, inside), pick(moments, inside))
    return None if ends is None else ends[:2]


def _facet(text: str, numbers: Sequence[int], ends: tuple[int, int]) -> FacetCount:
    by_state = states_of(numbers[1:])
    return FacetCount(value=text, total=sum(numbers), by_state=by_state, first=from_us(ends[0]), last=from_us(ends[1]))


def pairs_of(field: str) -> Look:
    """Counts (value, state) pairs by code, for `tabled`."""
    return Look(("pairs", field), partial(_count_pairs, field), frozenset({"state", field}))


def tabled(evaluation: Evaluation, field: str, found: Found) -> tuple[Values, Array]:
    """The values that were found, at least one, and the jobs of each by number and state code."""
    tables = {family: _table([part for segment, part in found if segment.family == family]) for family in {s.family for s, _ in found}}
    values = Values(evaluation, field, {family: np.flatnonzero(table.any(axis=1)) for family, table in tables.items()})
    return values, values.join(tables)


def _count_pairs(field: str, hits: Hits) -> tuple[Array, Array] | None:
    codes = hits.take(field)
    return count_values((codes << np.uint32(3)) | hits.take("state"), least=8)


def count_values(values: Array, least: int = 0) -> tuple[Array, Array] | None:
    """The different values from `least` on, ascending, and how often each is there."""
    if not len(values):
        return None
    if int(values.max()) < 4 * len(values) + 4096:
        counted = np.bincount(values)
        counted[:least] = 0
        found = np.flatnonzero(counted).astype(np.uint32)
        numbers = counted[found]
    else:
        ordered = np.sort(pick(values, values >= least))
        starts = starts_of(ordered)
        found, numbers = ordered[starts], np.diff(np.append(starts, len(ordered)))
    return (found, numbers.astype(np.uint32)) if len(found) else None


def _table(parts: Sequence[tuple[Array, Array]]) -> Array:
    """Jobs by code and state code."""
    pairs = np.concatenate([pair for pair, _ in parts])
    counted = np.bincount(pairs, weights=np.concatenate([number for _, number in parts])).astype(np.int64)
    whole = np.zeros(-(-len(counted) // 8) * 8, np.int64)
    whole[: len(counted)] = counted
    return whole.reshape(-1, 8)


def _ends(field: str, found: Found, winners: Mapping[str, Codes]) -> Any:
    """Text -> first and last recorded_at, from the segments that can hold them."""
    owners = _owners(winners)
    chosen = _can_hold_ends(found, owners, len(winners))
    look = Look(("ends", field), partial(_find_ends, field), frozenset({"state", field, "recorded_at"}), only=lambda s: s.key in chosen)
    ends = yield look
    lows, highs = np.full(len(winners), _LATEST), np.full(len(winners), _EARLIEST)
    for segment, (codes, first, last) in ends:
        wanted, texts = owners.get(segment.family, (codes[:0], codes[:0]))
        at = np.searchsorted(codes, wanted)
        there = np.flatnonzero(codes.take(at, mode="clip") == wanted)
        at, texts = at[there], texts[there]
        lows[texts], highs[texts] = np.minimum(lows[texts], first[at]), np.maximum(highs[texts], last[at])
    return dict(zip(winners, zip(lows.tolist(), highs.tolist(), strict=True), strict=True))


_EARLIEST, _LATEST = -(1 << 63), (1 << 63) - 1


def _owners(winners: Mapping[str, Codes]) -> dict[int, tuple[Array, Array]]:
    """Family -> its codes, and the number of the text that each stands for; a text has one code in a family."""
    pairs = np.array([(family, code, number) for number, codes in enumerate(winners.values()) for family, code in codes]).reshape(-1, 3)
    return {int(family): (pairs[pairs[:, 0] == family, 1], pairs[pairs[:, 0] == family, 2]) for family in np.unique(pairs[:, 0])}


def _can_hold_ends(found: Found, owners: Mapping[int, tuple[Array, Array]], number: int) -> set[tuple[Any, ...]]:
    """Keys of the segments that can hold the first or the last job of a text: by their bounds of recorded_at."""
    held = []
    # Every segment with a job of a text has one at or before its upper bound, so the earliest is no later than the lowest of those.
    earliest, latest = np.full(number, _LATEST), np.full(number, _EARLIEST)
    for segment, (keys, _) in found:
        codes, texts = owners.get(segment.family, (keys[:0], keys[:0]))
        present = keys >> 3
        texts = texts[present.take(np.searchsorted(present, codes), mode="clip") == codes]
        low, high = segment.bounds("recorded_at") or (_EARLIEST, _LATEST)
        earliest[texts], latest[texts] = np.minimum(earliest[texts], high), np.maximum(latest[texts], low)
        held.append((segment, texts, low, high))
    return {segment.key for segment, texts, low, high in held if np.any((low <= earliest[texts]) | (high >= latest[texts]))}


def _find_ends(field: str, hits: Hits) -> tuple[Array, Array, Array] | None:
    codes, recorded = hits.take(field), hits.take("recorded_at")
    return ends_by(pick(codes, codes != 0), pick(recorded, codes != 0))


def ends_by(codes: Array, moments: Array) -> tuple[Array, Array, Array] | None:
    """The different codes, ascending, with the lowest and the highest moment of each."""
    if not len(codes):
        return None
    if int(codes.max()) < 4 * len(codes) + 4096 and bool((moments[1:] >= moments[:-1]).all()):
        return _ends_in_order(codes, moments)
    order = np.lexsort((moments, codes))
    codes, moments = codes[order], moments[order]
    starts = starts_of(codes)
    ends = np.append(starts[1:], len(codes)) - 1
    return codes[starts], moments[starts], moments[ends]


def _ends_in_order(codes: Array, moments: Array) -> tuple[Array, Array, Array]:
    """The same of ascending moments, without sorting: of several writes to one place the last one stays."""
    at = np.arange(len(codes))
    first = np.full(int(codes.max()) + 1, -1)
    last = first.copy()
    last[codes] = at
    first[codes[::-1]] = at[::-1]
    found = np.flatnonzero(first >= 0)
    return found.astype(np.uint32), moments[first[found]], moments[last[found]]
