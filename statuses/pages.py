"""Matching jobs in order, page by page, without sorting what no page shows.

Segments are visited by the bound of the sorted column, until the last row of the page beats the bound of every
segment not yet seen. Among equals those created later come first where the order descends, earlier ones where it
ascends; rows without the value come last either way. In one family a row's place (segment, row) tells what was created
later, even within a microsecond; rows of several families have but their times to be compared by, and places decide
between equal times. All of that is one ascending triple of numbers here, (rank, made, tie): turned round for a page
before a cursor."""

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
#: Columns a block holds besides its keys.
READ = frozenset({"random", "recorded_at", "state"})


def columns_of(name: str) -> frozenset[str]:
    """The columns that make up a sortable value."""
    return ENDED_COLUMNS if name == "ended_at" else frozenset({name})


def values_of(view: View, name: str) -> Array:
    """The cells of a sortable value, 0 for none."""
    return ended_at(view) if name == "ended_at" else view.column(name)


class Keys(NamedTuple):
    """The keys of many rows."""

    ranks: Array
    made: Array
    ties: Array


class Key(NamedTuple):
    """Where a row stands in an order: smaller is earlier."""

    rank: int
    made: int
    """When it was created, 0 in a store of one family."""
    tie: int

    @property
    def turned(self) -> "Key":
        """The same row's key in the turned order."""
        return Key(*(-number for number in self))


@dataclass(frozen=True)
class Order:
    """By which value, and in which direction."""

    column: str = "recorded_at"
    descending: bool = True
    backward: bool = False
    """From the end to the beginning: for the page before a cursor."""
    merged: bool = False
    """Whether rows of several families are put in order, whose places tell nothing about creation."""

    def __str__(self) -> str:
        return ("-" if self.descending else "") + self.column

    @property
    def turned(self) -> "Order":
        """The same order from the other end."""
        return replace(self, backward=not self.backward)

    def across(self, store: Store) -> "Order":
        """The order as the rows of a store are put in it."""
        return replace(self, merged=len(store.families) > 1)

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

    @property
    def columns(self) -> frozenset[str]:
        """The columns that keys are made of."""
        return columns_of(self.column) | ({"recorded_at"} if self.merged else set())

    def keys(self, view: View, rows: Array) -> "Keys":
        """The keys of rows of a snapshot, given by their cells."""
        values = values_of(view, self.column)[rows]
        sign = self._sign(self.descending)
        segment = view.segment
        ties = sign * (((segment.number << 16) + view.numbers(rows).astype(np.int64) << 6) + segment.family)
        made = sign * view.column("recorded_at")[rows] if self.merged else np.zeros(len(rows), np.int64)
        return Keys(np.where(values == 0, self.missing, sign * values), made, ties)

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
        self.order, self.key = replace(order, merged=key.made != 0), key
        self.columns = self.order.columns
        self.volatile = order.column == "heartbeat_at"

    def words(self) -> tuple[object, ...]:
        return str(self.order), self.order.backward, self.key

    def within(self, segment: Segment) -> Test:
        low, high = self.order.bounds(segment)
        if low > self.key.rank:
            return TRUE
        return FALSE if high < self.key.rank else self

    def mask(self, view: View) -> Array:
        rank, made, tie = self.key
        keys = self.order.keys(view, np.arange(view.segment.rows))
        later = (keys.made > made) | ((keys.made == made) & (keys.ties > tie))
        return (keys.ranks > rank) | ((keys.ranks == rank) & later)


class Block(NamedTuple):
    """Matching rows in order."""

    ranks: Array
    made: Array
    ties: Array
    randoms: Array
    recorded: Array
    states: Array


def _empty() -> Block:
    none = np.zeros(0, np.int64)
    return Block(none, none, none, none.astype(np.uint32), none, none.astype(np.uint8))


def join(blocks: Sequence[Block]) -> Block:
    """Blocks one after the other."""
    return Block(*(np.concatenate(parts) for parts in zip(*blocks, strict=True))) if blocks else _empty()


def turn(block: Block) -> Block:
    """A backward block in its order's own direction."""
    return Block(*(-column[::-1] for column in block[:3]), *(column[::-1] for column in block[3:]))


def key_at(block: Block, at: int) -> Key:
    """The key of one row of a block."""
    return Key(int(block.ranks[at]), int(block.made[at]), int(block.ties[at]))


def by_segment(block: Block) -> Iterator[tuple[int, int, Array, Array, Array]]:
    """(family, segment, rows, rn, states) of a block's rows, each segment once."""
    positions = np.abs(block.ties)
    homes = (positions >> 22 << 6) | (positions & 63)
    for home in np.unique(homes)[::-1].tolist():
        chosen = np.flatnonzero(homes == home)
        yield home & 63, home >> 6, positions[chosen] >> 6 & 0xFFFF, block.randoms[chosen], block.states[chosen]


def _sorted(block: Block, need: int | None) -> Block:
    order = np.lexsort((block.ties, block.made, block.ranks))[:need]
    return Block(*(part[order] for part in block))


def part(block: Block, chosen: slice | Array) -> Block:
    """Some rows of a block."""
    return Block(*(part[chosen] for part in block))


def _best(order: Order, need: int | None, hits: Hits) -> Block | None:
    """The first `need` matching rows of a segment."""
    rows = hits.rows
    if not len(rows):
        return None
    found = order.keys(hits.view, rows)
    if need is not None and need < len(rows):
        ranks = found.ranks
        last = np.partition(ranks, need - 1)[need - 1]
        below, equal = np.flatnonzero(ranks < last), np.flatnonzero(ranks == last)
        equal = equal[np.lexsort((found.ties[equal], found.made[equal]))][: need - len(below)]
        chosen = np.concatenate([below, equal])
        rows, found = rows[chosen], Keys(*(part[chosen] for part in found))
    block = Block(*found, *(hits.view.column(name)[rows] for name in ("random", "recorded_at", "state")))
    return _sorted(block, need)


def first(evaluation: Evaluation, order: Order) -> Answer[Block]:
    """The first matching row, as a block of at most one; where it lies the selection says, or all segments are looked at."""
    order = order.across(evaluation.store)
    found = yield Look(("best", str(order), order.backward, 1), partial(_best, order, 1), order.columns | READ)
    return _sorted(join([block for _, block in found]), 1)


def in_order(store: Store, selection: Selection, order: Order, need: int | None) -> Iterator[Block]:
    """Matching rows in blocks that follow each other, `need` of them at most; None: all.

    Each segment is answered as of the moment it is looked at, and looked at once."""
    if need is not None and need <= 0:
        return
    evaluation = Evaluation(store, [selection])
    order = order.across(store)
    key = ("best", str(order), order.backward, need)
    volatile = order.column == "heartbeat_at" or need is None or need > 2000
    look = Look(key, partial(_best, order, need), order.columns | READ, volatile=volatile)
    waiting = sorted(_candidates(evaluation), key=lambda segment: order.bounds(segment)[0])
    # Each family has a segment of the same time.
    held, given, step = _empty(), 0, max(STEPS[0], len(store.families))
    while waiting or len(held.ranks):
        now, waiting = waiting[:step], waiting[step:]
        step = min(step * 2, max(step, STEPS[1]))
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
    evaluation.narrow()
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
    return base64.urlsafe_b64encode(json.dumps([str(order), *key]).encode()).decode().rstrip("=")


def decode(order: Order, cursor: str) -> Key:
    """The key in a cursor. ValueError for a broken one, or one of another order."""
    try:
        name, *numbers = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        key = Key(*numbers)
    except (AttributeError, ValueError, TypeError, RecursionError):
        raise ValueError(f"cursor {shown(cursor)} is broken") from None
    if type(name) is not str or any(type(number) is not int or abs(number) > I64_MAX for number in key):
        raise ValueError(f"cursor {shown(cursor)} is broken")
    if name != str(order):
        raise ValueError(f"cursor is of the order {name!r}, not {str(order)!r}")
    return key
