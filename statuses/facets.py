"""Answers about values: which job names, queues, users, workers, engines or error groups the matching jobs have.

The first look counts (value, state) pairs by code: state column and the field's, nothing else. When the first and
the last job of each was recorded is asked of the few segments that can hold them, once the largest are known."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .answers import FacetCount
from .clock import from_us
from .evaluation import Answer, Evaluation, Found, Hits, Look, Moved
from .segments import Array, Segment, pick
from .states import State

#: (family, code) pairs that stand for one text.
Codes = tuple[tuple[int, int], ...]


class Facets(NamedTuple):
    """The largest values of a field, and how many different ones there are (resources: 0 where it was not asked for)."""

    counts: list[FacetCount]
    distinct: int


def counts_by(evaluation: Evaluation, field: str, limit: int | None, distinct: bool = False) -> Answer[Facets]:
    """The values that most matching jobs have."""
    columns = frozenset({"state", field})
    found = yield Look(("pairs", field), partial(_count_pairs, field), columns, ahead=columns | {"recorded_at"}, again=False)
    tables = {family: _table([part for segment, part in found if segment.family == family]) for family in {s.family for s, _ in found}}
    totals = {family: table.sum(axis=1) for family, table in tables.items()}
    values = merge_texts(evaluation, field, totals, limit)
    winners = {text: values[text][1] for text in most({text: total for text, (total, _) in values.items()}, limit)}
    number = len(values) if len(tables) > 1 else sum(int(np.count_nonzero(total)) for total in totals.values())
    ends = yield from _ends(field, found, winners)
    return Facets([_facet(text, pairs, tables, ends[text]) for text, pairs in winners.items()], number)


def _facet(text: str, pairs: Codes, tables: Mapping[int, Array], ends: tuple[int, int]) -> FacetCount:
    numbers = sum(tables[family][code] for family, code in pairs)
    by_state = {state: int(numbers[state.code]) for state in State}
    return FacetCount(value=text, total=sum(by_state.values()), by_state=by_state, first=from_us(ends[0]), last=from_us(ends[1]))


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
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else np.zeros(0, np.intp)
        found, numbers = ordered[starts], np.diff(np.append(starts, len(ordered)))
    return (found, numbers.astype(np.uint32)) if len(found) else None


def _table(parts: Sequence[tuple[Array, Array]]) -> Array:
    """Jobs by code and state code."""
    pairs = np.concatenate([pair for pair, _ in parts])
    counted = np.bincount(pairs, weights=np.concatenate([number for _, number in parts])).astype(np.int64)
    whole = np.zeros(-(-len(counted) // 8) * 8, np.int64)
    whole[: len(counted)] = counted
    return whole.reshape(-1, 8)


def merge_texts(evaluation: Evaluation, field: str, totals: Mapping[int, Array], limit: int | None) -> dict[str, tuple[int, Codes]]:
    """Text -> (total, its codes), for every value that may be among the largest `limit`.

    Codes are a family's own: with one family only the largest need a text, with several all of them."""
    if len(totals) == 1:
        ((family, total),) = totals.items()
        chosen = {family: _largest(total, limit)}
    else:
        chosen = {family: np.flatnonzero(total) for family, total in totals.items()}
    texts = evaluation.texts((family, field) for family in chosen)
    found: dict[str, tuple[int, Codes]] = {}
    for family, codes in chosen.items():
        known = texts[family, field]
        for code in codes.tolist():
            if code > len(known) or not known[code - 1]:
                raise Moved
            total, pairs = found.get(known[code - 1], (0, ()))
            found[known[code - 1]] = total + int(totals[family][code]), (*pairs, (family, code))
    return found


def _largest(totals: Array, limit: int | None) -> Array:
    """The codes whose total reaches that of the `limit`-th largest: ties are settled by text."""
    filled = np.flatnonzero(totals)
    if limit is None or limit >= len(filled):
        return filled
    if not limit:
        return filled[:0]
    return filled[totals[filled] >= np.partition(totals[filled], len(filled) - limit)[len(filled) - limit]]


def most(totals: Mapping[str, int], limit: int | None) -> list[str]:
    """The texts with the largest totals, ties by text."""
    return sorted(totals, key=lambda text: (-totals[text], text))[:limit]


def _ends(field: str, found: Found, winners: Mapping[str, Codes]) -> Any:
    """Text -> first and last recorded_at, from the segments that can hold them."""
    holders = {text: _holders(found, pairs) for text, pairs in winners.items()}
    chosen = {segment.key for held in holders.values() for segment in can_be_first_or_last(held)}
    look = Look(("ends", field), partial(_find_ends, field), frozenset({"state", field, "recorded_at"}), only=lambda s: s.key in chosen)
    ends = yield look
    texts = {pair: text for text, pairs in winners.items() for pair in pairs}
    result: dict[str, tuple[int, int]] = {}
    for segment, (codes, first, last) in ends:
        for (family, code), text in texts.items():
            at = int(np.searchsorted(codes, code)) if family == segment.family else len(codes)
            if at < len(codes) and codes[at] == code:
                low, high = result.get(text, (int(first[at]), int(last[at])))
                result[text] = min(low, int(first[at])), max(high, int(last[at]))
    return result


def _holders(found: Found, pairs: Codes) -> list[Segment]:
    """The segments with a job of one of the codes."""
    return [segment for segment, (keys, _) in found if any(_has(keys, code) for family, code in pairs if family == segment.family)]


def _has(keys: Array, code: int) -> bool:
    at = int(np.searchsorted(keys, code << 3))
    return at < len(keys) and int(keys[at]) >> 3 == code


def can_be_first_or_last(segments: Iterable[Segment]) -> list[Segment]:
    """Of segments that hold a job each, those that can hold the earliest or the latest: by their bounds of recorded_at."""
    bounded = [(segment, segment.bounds("recorded_at") or (-(1 << 63), (1 << 63) - 1)) for segment in segments]
    if not bounded:
        return []
    # Every one of them has a job at or before its upper bound, so the earliest is no later than the lowest of those.
    earliest = min(high for _, (_, high) in bounded)
    latest = max(low for _, (low, _) in bounded)
    return [segment for segment, (low, high) in bounded if low <= earliest or high >= latest]


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
    starts = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
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
