"""Answers over time: how many matching jobs there were in each of equal steps, by state."""

from functools import partial
from itertools import pairwise

import numpy as np

from .answers import Bucket
from .clock import from_us
from .evaluation import Answer, Evaluation, Hits, Look
from .pages import columns_of, values_of
from .segments import Array, Segment, pick
from .states import State
from .stats import extent, states_of


def timeline(evaluation: Evaluation, on: str, after: int | None, before: int | None, buckets: int) -> Answer[list[Bucket]]:
    """Jobs by the step in which `on` lies and by present state; `after` and `before` in microseconds, None: as found."""
    low, high = after, before
    if low is None or high is None:
        found = yield _ahead(on)
        inside = [ends for _, ends in found]
        low = min((ends[0] for ends in inside), default=None) if low is None else low
        high = max((ends[1] for ends in inside), default=None) if high is None else high
    if low is None or high is None or low > high:
        return []
    edges = edges_of(low, high, buckets)
    look = Look(
        ("timeline", on, low, high, buckets),
        partial(_count, on, edges),
        columns_of(on) | {"state"},
        only=partial(_overlaps, on, low, high),
        volatile=on == "heartbeat_at",
    )
    parts = yield look
    table = sum((part for _, part in parts), np.zeros((buckets, len(State)), np.int64))
    moments = pairwise(map(from_us, edges))
    return [Bucket(start=start, end=end, counts=states_of(numbers)) for (start, end), numbers in zip(moments, table.tolist(), strict=True)]


def _ahead(on: str) -> Look:
    look = extent(on)
    return Look(look.key, look.compute, look.columns, ahead=look.columns, volatile=look.volatile)


def edges_of(low: int, high: int, buckets: int) -> list[int]:
    """Where the steps begin, and the end: whole microseconds, rounded up."""
    return [low - (low - high) * number // buckets for number in range(buckets + 1)]


def _overlaps(on: str, low: int, high: int, segment: Segment) -> bool:
    bounds = segment.bounds(on)
    return bounds is None or (bounds[0] <= high and bounds[1] >= low)


def _count(on: str, edges: list[int], hits: Hits) -> Array | None:
    moments, states = hits.of(values_of(hits.view, on)), hits.take("state")
    inside = (moments != 0) & (moments >= edges[0]) & (moments <= edges[-1])
    if not inside.all():
        moments, states = pick(moments, inside), pick(states, inside)
    if not len(moments):
        return None
    buckets = len(edges) - 1
    pairs = _steps(moments, edges) * 8 + states
    return np.bincount(pairs, minlength=buckets * 8).reshape(buckets, 8)[:, 1:].astype(np.int32)


def _steps(moments: Array, edges: list[int]) -> Array:
    """The step of each moment. As the edges are rounded up, this division gives exactly the step between them."""
    buckets, width = len(edges) - 1, edges[-1] - edges[0]
    if width == 0:
        return np.full(len(moments), buckets - 1)
    if width * buckets < 1 << 62:
        steps = (moments - edges[0]) * buckets // width
    else:
        steps = np.searchsorted(np.array(edges), moments, side="right") - 1
    return np.minimum(steps, buckets - 1)
