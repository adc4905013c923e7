"""Matching jobs in order, page by page, without sorting what no page shows.

Segments are visited by the bound of the sorted column, until the last row of the page beats the bound of every
segment not yet seen. A row's position (segment, row, family) settles ties: later created first, where the order is
descending, earlier first where it ascends; rows without the value come last either way. All of that is one ascending
pair of numbers here, (rank, tie): turned round for a page before a cursor."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from .arguments import shown
from .columns import SPANS, TIMESTAMPS
from .evaluation import COUNTS, Answer, Evaluation, Found, Hits, Look, Selection
from .masks import ENDED_COLUMNS, FALSE, I64_MAX, TRUE, Test, ended_at
from .segments import Array, Segment, View
from .store import Store

#: Columns a page can be sorted by.
SORTABLE = (*TIMESTAMPS, "ended_at", *SPANS)
#: Segments looked at in the first and in the largest step.
STEPS = (2, 32)


def columns_of(name: str) -> frozenset[str]:
    """The columns that make up a sortable value."""
    return ENDED_COLUMNS if name == "ended_at" else frozenset({name})


def values_of(view: View, name: str) -> Array:
    """The cells of a sortable value, 0 for none."""
    return ended_at(view) if name == "ended_at" else view.column(name)


class Key(NamedTuple):
    """Where a row stands in an order: smaller is earlier."""

    rank: int
    tie: int


@dataclass(frozen=True)
class Order:
    """By which value, and in which direction."""

    column: str = "recorded_at"
    descending: bool = True
    backward: bool = False
    """From the end to the beginning: for the page before a cursor."""

    def __str__(self) -> str:
        return ("-" if self.descending else "") + self.column

    @property
    def turned(self) -> "Order":
        """The same order from the other end."""
        return replace(self, backward=not self.backward)

    def _sign(self, descending: bool) -> int:
        return -1 if descending != self.backward else 1

    @property
    def missing(self) -> int:
        """The rank of a row without the value."""
        return -I64_MAX if self.backward else I64_MAX

    @property
    def never_missing(self) -> bool:
        """Whether every job has the value."""
        return self.column == "recorded_at"

    def key(self, value: int, segment: int, row: int, family: int) -> Key:
        """The key of one row; value 0: it has none."""
        sign = self._sign(self.descending)
        return Key(sign * value if value else self.missing, sign * _position(segment, row, family))

    def keys(self, view: View, rows: Array) -> tuple[Array, Array]:
        """Ranks and ties of rows of a snapshot, given by their cells."""
        values = values_of(view, self.column)[rows]
        sign = self._sign(self.descending)
        segment = view.segment
        ties = sign * (((segment.number << 16) + view.numbers(rows).astype(np.int64) << 6) + segment.family)
        return np.where(values == 0, self.missing, sign * values), ties

    def bounds(self, segment: Segment) -> tuple[int, int]:
        """Lowest and highest rank a row of the segment can have."""
        known = segment.bounds(self.column)
        if known is None:
            low, high = -I64_MAX, I64_MAX
        elif self._sign(self.descending) > 0:
            low, high = known
        else:
            low, high = -known[1], -known[0]
        if self.never_missing:
            return low, high
        return min(low, self.missing), max(high, self.missing)


def _position(segment: int, row: int, family: int) -> int:
    return (segment << 16 | row) << 6 | family


def place_of(tie: int) -> tuple[int, int, int]:
    """(family, segment, row) of a tie."""
    position = abs(tie)
    return position & 63, position >> 22, position >> 6 & 0xFFFF


@dataclass(frozen=True)
class Beyond:
    """What comes after a row in an order; the row itself need not be there any more."""

    order: Order
    key: Key

    def bind(self, family: int) -> Test:
        """The condition on a family's rows."""
        return _After(self.order, self.key)


class _After(Test):
    def __init__(self, order: Order, key: Key) -> None:
        self.order, self.key = order, key
        self.columns = columns_of(order.column)
        self.volatile = order.column == "heartbeat_at"

    def words(self) -> tuple[object, ...]:
        return str(self.order), self.order.backward, self.key

    def within(self, segment: Segment) -> Test:
        low, high = self.order.bounds(segment)
        if low > self.key.rank:
            return TRUE
        return FALSE if high < self.key.rank else self

    def mask(self, view: View) -> Array:
        ranks, ties = self.order.keys(view, np.arange(view.segment.rows))
        return (ranks > self.key.rank) | ((ranks == self.key.rank) & (ties > self.key.tie))


class Block(NamedTuple):
    """Matching rows in order."""

    ranks: Array
    ties: Array
    randoms: Array
    recorded: Array
    states: Array


def _empty() -> Block:
    none = np.zeros(0, np.int64)
    return Block(none, none, none.astype(np.uint32), none, none.astype(np.uint8))


def join(blocks: Sequence[Block]) -> Block:
    """Blocks one after the other."""
    return Block(*(np.concatenate(parts) for parts in zip(*blocks, strict=True))) if blocks else _empty()


def turn(block: Block) -> Block:
    """A backward block in its order's own direction."""
    return Block(-block.ranks[::-1], -block.ties[::-1], *(column[::-1] for column in block[2:]))


def key_at(block: Block, at: int) -> Key:
    """The key of one row of a block."""
    return Key(int(block.ranks[at]), int(block.ties[at]))


def by_segment(block: Block) -> Iterator[tuple[int, int, Array, Array, Array]]:
    """(family, segment, rows, rn, states) of a block's rows, each segment once."""
    positions = np.abs(block.ties)
    homes = (positions >> 22 << 6) | (positions & 63)
    for home in np.unique(homes)[::-1].tolist():
        chosen = np.flatnonzero(homes == home)
        yield home & 63, home >> 6, positions[chosen] >> 6 & 0xFFFF, block.randoms[chosen], block.states[chosen]


def _sorted(block: Block, need: int | None) -> Block:
    order = np.lexsort((block.ties, block.ranks))[:need]
    return Block(*(part[order] for part in block))


def part(block: Block, chosen: slice | Array) -> Block:
    """Some rows of a block."""
    return Block(*(part[chosen] for part in block))


def _best(order: Order, need: int | None, hits: Hits) -> Block | None:
    """The first `need` matching rows of a segment."""
    rows = hits.rows
    if not len(rows):
        return None
    ranks, ties = order.keys(hits.view, rows)
    if need is not None and need < len(rows):
        last = np.partition(ranks, need - 1)[need - 1]
        below, equal = np.flatnonzero(ranks < last), np.flatnonzero(ranks == last)
        equal = equal[np.argsort(ties[equal])][: need - len(below)]
        chosen = np.concatenate([below, equal])
        rows, ranks, ties = rows[chosen], ranks[chosen], ties[chosen]
    block = Block(ranks, ties, *(hits.view.column(name)[rows] for name in ("random", "recorded_at", "state")))
    return _sorted(block, need)


def first(evaluation: Evaluation, order: Order) -> Answer[Block]:
    """The first matching row, as a block of at most one; where it lies the selection says, or all segments are looked at."""
    columns = columns_of(order.column) | {"state", "random", "recorded_at"}
    found = yield Look(("best", str(order), order.backward, 1), partial(_best, order, 1), columns)
    return _sorted(join([block for _, block in found]), 1)


def in_order(store: Store, selection: Selection, order: Order, need: int | None) -> Iterator[Block]:
    """Matching rows in blocks that follow each other, `need` of them at most; None: all.

    Each segment is answered as of the moment it is looked at, and looked at once."""
    if need is not None and need <= 0:
        return
    evaluation = Evaluation(store, [selection])
    key = ("best", str(order), order.backward, need)
    columns = columns_of(order.column) | {"state", "random", "recorded_at"}
    volatile = order.column == "heartbeat_at" or need is None or need > 2000
    look = Look(key, partial(_best, order, need), columns, volatile=volatile)
    waiting = sorted(_candidates(evaluation), key=lambda segment: order.bounds(segment)[0])
    held, given, step = _empty(), 0, STEPS[0]
    while waiting or len(held.ranks):
        now, waiting = waiting[:step], waiting[step:]
        step = min(step * 2, STEPS[1])
        found: Found = evaluation.collect([(0, look)], among=now)[0] if now else []
        evaluation.forget()
        held = _sorted(join([held, *(block for _, block in found)]), None if need is None else need - given)
        # A segment that may still hold an equal rank can hold an earlier tie.
        certain = len(held.ranks) if not waiting else int(np.searchsorted(held.ranks, order.bounds(waiting[0])[0], side="left"))
        if certain:
            yield part(held, slice(0, certain))
            given += certain
            held = part(held, slice(certain, None))
        if need is not None and given >= need:
            return


def _candidates(evaluation: Evaluation) -> list[Segment]:
    return [segment for segment in evaluation.segments.values() if not evaluation.is_known_empty(0, segment)]


def holds_more_than(store: Store, selection: Selection, number: int) -> bool:
    """Whether more than `number` jobs match; stops at the segment that settles it."""
    evaluation = Evaluation(store, [selection])
    waiting, step, found = _candidates(evaluation), 1, 0
    while waiting:
        now, waiting = waiting[:step], waiting[step:]
        step = min(step * 2, STEPS[1])
        found += sum(int(part.sum()) for _, part in evaluation.collect([(0, COUNTS)], among=now)[0])
        evaluation.forget()
        if found > number:
            return True
    return False


def everywhere(store: Store, selection: Selection) -> Iterator[tuple[Segment, Array, Array, Array]]:
    """(segment, rows, rn, states) of every match, newest segment first, ascending within; each segment as of one moment."""
    evaluation = Evaluation(store, [selection])
    look = Look(("rows",), _rows, frozenset({"state", "random"}), volatile=True)
    waiting = _candidates(evaluation)
    for first in range(0, len(waiting), STEPS[0] * 4):
        for segment, part in evaluation.collect([(0, look)], among=waiting[first : first + STEPS[0] * 4])[0]:
            yield segment, *part
        evaluation.forget()


def _rows(hits: Hits) -> tuple[Array, Array, Array] | None:
    rows = hits.rows
    return (hits.view.numbers(rows), hits.take("random"), hits.take("state")) if len(rows) else None


def encode(order: Order, key: Key) -> str:
    """A cursor: where a row stands in an order, as text for an address."""
    return base64.urlsafe_b64encode(json.dumps([str(order), key.rank, key.tie]).encode()).decode().rstrip("=")


def decode(order: Order, cursor: str) -> Key:
    """The key in a cursor. ValueError for a broken one, or one of another order."""
    try:
        name, rank, tie = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (AttributeError, ValueError, TypeError, RecursionError):
        raise ValueError(f"cursor {shown(cursor)} is broken") from None
    if type(name) is not str or type(rank) is not int or type(tie) is not int or max(abs(rank), abs(tie)) > I64_MAX:
        raise ValueError(f"cursor {shown(cursor)} is broken")
    if name != str(order):
        raise ValueError(f"cursor is of the order {name!r}, not {str(order)!r}")
    return Key(rank, tie)
