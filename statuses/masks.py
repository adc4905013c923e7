"""What a clause asks of the columns of one segment: tests that give a boolean array, one cell a row.

A test is bound to one family (texts are codes by then) and rewritten for each segment: what its bounds settle
beforehand is not computed, and does not stand in the key under which its results are kept."""

from collections.abc import Iterable
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from .columns import DEAD_ROW
from .encoding import tag_hash
from .segments import Array, Posting, Segment, View, pick
from .states import ENDED, MOMENTS, State

_NO_ROWS = np.zeros(0, np.int64)
#: Hashes of one bucket that are compared one by one: a list of a few hundred entries takes microseconds, `isin` sixty of them.
FEW = 16
I64_MAX = (1 << 63) - 1
I64_MIN = -(1 << 63)
#: Columns that make up `ended_at`: the moment of the state, for each ended state.
ENDED_COLUMNS = frozenset({"state", *(f"{state}_at" for state in ENDED)})


class Test:
    """One condition. Immutable; equal digests mean equal conditions."""

    columns: frozenset[str] = frozenset()
    """Columns it reads."""
    postings: frozenset[Posting] = frozenset()
    """Posting lists it reads."""
    volatile: bool = False
    """Whether it reads cells that change without a new version: its results are never kept."""

    def words(self) -> tuple[Any, ...]:
        """What makes it this condition and no other."""
        return ()

    @cached_property
    def digest(self) -> bytes:
        """A short name of the condition."""
        return blake2b(repr((type(self).__name__, self.words())).encode(), digest_size=16).digest()

    @property
    def is_volatile(self) -> bool:
        return self.volatile

    def within(self, segment: Segment) -> "Test":
        """The same condition for one segment, simpler where its bounds allow; exact for the segment's version."""
        return self

    def stable(self) -> "Test":
        """A condition that this one implies and that reads nothing volatile."""
        return TRUE if self.is_volatile else self

    def mask(self, view: View) -> Array:
        """Where it holds; rows that are no live job may be True."""
        raise NotImplementedError


class _Constant(Test):
    def __init__(self, value: bool) -> None:
        self.value = value

    def words(self) -> tuple[Any, ...]:
        return (self.value,)

    def mask(self, view: View) -> Array:
        return np.full(view.segment.rows, self.value)


TRUE = _Constant(True)
FALSE = _Constant(False)


class All(Test):
    """Every one of several conditions."""

    def __init__(self, tests: Iterable[Test]) -> None:
        self.tests = tuple(tests)
        self.columns = frozenset().union(*(test.columns for test in self.tests))
        self.postings = frozenset().union(*(test.postings for test in self.tests))

    def words(self) -> tuple[Any, ...]:
        return tuple(test.digest for test in self.tests)

    @property
    def is_volatile(self) -> bool:
        return any(test.is_volatile for test in self.tests)

    def within(self, segment: Segment) -> Test:
        return every(test.within(segment) for test in self.tests)

    def stable(self) -> Test:
        return every(test.stable() for test in self.tests)

    def mask(self, view: View) -> Array:
        result = self.tests[0].mask(view)
        for test in self.tests[1:]:
            if not result.any():
                return result
            result = result & test.mask(view)
        return result


def every(tests: Iterable[Test]) -> Test:
    """All of `tests`, flattened and without constants; cheap ones first."""
    kept: list[Test] = []
    for test in tests:
        if test is FALSE:
            return FALSE
        if isinstance(test, All):
            kept += test.tests
        elif test is not TRUE:
            kept.append(test)
    if not kept:
        return TRUE
    return kept[0] if len(kept) == 1 else All(sorted(kept, key=_cost))


def _cost(test: Test) -> tuple[int, bytes]:
    kinds = (RowsHere, States, Tag, Codes)
    place = next((number for number, kind in enumerate(kinds) if isinstance(test, kind)), len(kinds))
    return place, test.digest


class Not(Test):
    """The opposite of a condition."""

    def __init__(self, test: Test) -> None:
        self.test = test
        self.columns, self.postings = test.columns, test.postings

    def words(self) -> tuple[Any, ...]:
        return (self.test.digest,)

    @property
    def is_volatile(self) -> bool:
        return self.test.is_volatile

    def within(self, segment: Segment) -> Test:
        return opposite(self.test.within(segment))

    def mask(self, view: View) -> Array:
        return ~self.test.mask(view)


def opposite(test: Test) -> Test:
    """Not `test`, constants turned at once."""
    if test is TRUE or test is FALSE:
        return FALSE if test is TRUE else TRUE
    return test.test if isinstance(test, Not) else Not(test)


class States(Test):
    """The present state is one of several."""

    columns = frozenset({"state"})

    def __init__(self, states: Iterable[State]) -> None:
        self.codes = tuple(sorted(state.code for state in states))

    def words(self) -> tuple[Any, ...]:
        return self.codes

    def mask(self, view: View) -> Array:
        cells = view.column("state")
        if len(self.codes) <= 3:
            result = cells == self.codes[0]
            for code in self.codes[1:]:
                result |= cells == code
            return result
        table = np.zeros(256, bool)
        table[list(self.codes)] = True
        return table[cells]


class Codes(Test):
    """The cell of a dictionary column is one of several codes."""

    def __init__(self, column: str, codes: Iterable[int]) -> None:
        self.column = column
        self.codes = tuple(sorted(codes))
        self.columns = frozenset({column})

    def words(self) -> tuple[Any, ...]:
        return self.column, self.codes

    @cached_property
    def _table(self) -> Array:
        table = np.zeros(self.codes[-1] + 2, bool)
        table[list(self.codes)] = True
        return table

    def mask(self, view: View) -> Array:
        cells = view.column(self.column)
        if len(self.codes) <= 3:
            result = cells == self.codes[0]
            for code in self.codes[1:]:
                result |= cells == code
            return result
        return self._table.take(cells, mode="clip")


class Has(Test):
    """The cell is not empty."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.columns = frozenset({column})

    def words(self) -> tuple[Any, ...]:
        return (self.column,)

    def within(self, segment: Segment) -> Test:
        return TRUE if self.column == "recorded_at" else self

    def mask(self, view: View) -> Array:
        return view.column(self.column) != 0


class Between(Test):
    """A timestamp or a span of time lies between two bounds, both inclusive; None is open. No value: no."""

    def __init__(self, column: str, low: int | None, high: int | None) -> None:
        self.column = column
        self.low = None if low is None or low <= I64_MIN else low
        self.high = None if high is None or high >= I64_MAX else high
        self.columns = frozenset({column})

    def words(self) -> tuple[Any, ...]:
        return self.column, self.low, self.high

    def within(self, segment: Segment) -> Test:
        bounds = segment.bounds(self.column)
        if bounds is None:
            return self
        low, high = bounds
        if (self.low is not None and self.low > high) or (self.high is not None and self.high < low):
            return FALSE
        need_low = self.low is not None and self.low > low
        need_high = self.high is not None and self.high < high
        if not need_low and not need_high:
            return Has(self.column).within(segment)
        if (self.low is None or need_low) and (self.high is None or need_high):
            return self
        return Between(self.column, self.low if need_low else None, self.high if need_high else None)

    def mask(self, view: View) -> Array:
        return between(view.column(self.column), self.low, self.high)


def between(cells: Array, low: int | None, high: int | None) -> Array:
    """Where filled cells lie between two bounds; 0 is an empty cell."""
    if (low is not None and low > I64_MAX) or (high is not None and high < I64_MIN):
        return np.zeros(len(cells), bool)
    result = cells != 0 if (low is None or low <= 0) and (high is None or high >= 0) else None
    if low is not None:
        above = cells >= low
        result = above if result is None else result & above
    if high is not None:
        below = cells <= high
        result = below if result is None else result & below
    assert result is not None
    return result


class Heartbeat(Between):
    """A heartbeat between two bounds: these cells change without a new version."""

    volatile = True

    def __init__(self, low: int | None, high: int | None) -> None:
        super().__init__("heartbeat_at", low, high)


class Ended(Between):
    """The moment of entering the ended state a job is in lies between two bounds."""

    def __init__(self, low: int | None, high: int | None) -> None:
        super().__init__("ended_at", low, high)
        self.columns = ENDED_COLUMNS

    def within(self, segment: Segment) -> Test:
        found = [segment.bounds(column) for column in ENDED_COLUMNS - {"state"}]
        known = [bounds for bounds in found if bounds is not None]
        if len(known) < len(found):
            return self
        low, high = min(low for low, _ in known), max(high for _, high in known)
        if (self.low is not None and self.low > high) or (self.high is not None and self.high < low):
            return FALSE
        return self

    def mask(self, view: View) -> Array:
        return between(ended_at(view), self.low, self.high)


def ended_at(view: View) -> Array:
    """The moment of entering the ended state each row is in, 0 where it is in none."""
    states = view.column("state")
    result = np.zeros(len(states), np.int64)
    for state in ENDED:
        there = states == state.code
        if there.any():
            moment = MOMENTS[state]
            assert moment is not None
            result[there] = view.column(moment)[there]
    return result


class Stale(Test):
    """Started, and the last heartbeat is older than a moment."""

    columns = frozenset({"state", "heartbeat_at"})
    volatile = True

    def __init__(self, before_us: int) -> None:
        self.before_us = before_us

    def words(self) -> tuple[Any, ...]:
        return (self.before_us,)

    def stable(self) -> Test:
        return States([State.started])

    def mask(self, view: View) -> Array:
        beats = view.column("heartbeat_at")
        return (beats != 0) & (beats < self.before_us) & (view.column("state") == State.started.code)


class Tag(Test):
    """One of several texts is among the tags of one kind."""

    def __init__(self, kind: str, texts: Iterable[str]) -> None:
        self.kind = kind
        hashes: dict[int, set[int]] = {}
        for text in texts:
            bucket, entry = tag_hash(text)
            hashes.setdefault(bucket, set()).add(int.from_bytes(entry, "little"))
        self.hashes = {bucket: tuple(sorted(found)) for bucket, found in sorted(hashes.items())}
        self.postings = frozenset((kind, bucket) for bucket in self.hashes)

    def words(self) -> tuple[Any, ...]:
        return self.kind, tuple(self.hashes.items())

    def rows(self, view: View) -> Array:
        """The cells of jobs that have one of the tags, unordered, some perhaps twice."""
        found = []
        for bucket, hashes in self.hashes.items():
            entries = view.posting(self.kind, bucket)
            if not len(entries):
                continue
            names = entries >> np.uint64(16)
            if len(hashes) > FEW:
                hit = np.isin(names, np.array(hashes, np.uint64))
            else:
                hit = names == np.uint64(hashes[0])
                for other in hashes[1:]:
                    hit |= names == np.uint64(other)
            found.append((pick(entries, hit) & np.uint64(DEAD_ROW)).view(np.int64))
        rows = np.concatenate(found) if found else _NO_ROWS
        return rows[rows < view.segment.rows]

    def mask(self, view: View) -> Array:
        result = np.zeros(view.segment.rows, bool)
        result[self.rows(view)] = True
        return result


class Rows(Test):
    """The row is one of several, given by family and segment."""

    def __init__(self, family: int, places: Iterable[tuple[int, int, int]]) -> None:
        self.by_segment: dict[int, set[int]] = {}
        for number, segment, row in places:
            if number == family:
                self.by_segment.setdefault(segment, set()).add(row)

    def words(self) -> tuple[Any, ...]:
        return tuple((segment, tuple(sorted(rows))) for segment, rows in sorted(self.by_segment.items()))

    def within(self, segment: Segment) -> Test:
        found = self.by_segment.get(segment.number)
        return FALSE if not found else RowsHere(sorted(found))


class RowsHere(Test):
    """The row is one of several of this segment."""

    def __init__(self, rows: Iterable[int]) -> None:
        self.rows = tuple(rows)

    def words(self) -> tuple[Any, ...]:
        return self.rows

    def mask(self, view: View) -> Array:
        result = np.zeros(view.segment.rows, bool)
        result[view.cells(self.rows)] = True
        return result
