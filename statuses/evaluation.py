"""How a question is answered: partial results by segment, kept while the segment's version stays, added up.

An answer is a generator. It yields a `Look` (what to compute of each segment), receives what was found, may look
again, and returns its result. Several answers run side by side: what they need of a segment is read once.

All that one evaluation gives is of one moment per segment. A segment that was written between two looks is answered
from the snapshot of the first one, where that is still in memory; else everything is asked again, and of that segment
all that was asked of any is read at once from then on, so that the number of times is bounded. Of segments that were
written to lately, as far as they are not known, all is read at once from the beginning: most of them are written again
before the last look."""

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np

from . import dictionaries, directory
from .cache import partials
from .clauses import Clause
from .columns import DICTIONARIES
from .directory import Lookup
from .errors import StoreUnavailable
from .masks import FALSE, TRUE, All, States, Tag, Test, every, opposite
from .segments import Array, Posting, Segment, View, Want, read
from .states import State
from .store import Store

Answered = TypeVar("Answered")

#: Bytes of snapshots one evaluation keeps for its later looks, the newest segments' first.
KEPT_BYTES = 64 << 20
#: How long before the last write to any segment another one was written, microseconds, that counts as lively: an answer takes a small
#: part of it, and by the versions themselves no clock is asked.
LIVELY_US = 10_000_000
#: Times an evaluation is asked again before every snapshot is kept. Each time all segments that moved are known, and what is asked
#: of them: with many families as many are written to at once.
RESTARTS = 6
#: Times in all: then it is no writer that keeps it from its end, but a text that is nowhere.
MOST_RESTARTS = 2 * RESTARTS

_NOTHING = object()
_NO_TEXTS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Selection:
    """Which jobs a question is about: terms that all hold, each some clauses, or the opposite of them together."""

    terms: tuple[tuple[bool, tuple[Clause, ...]], ...] = ()
    """(wanted, clauses): all of the clauses hold, or, where not wanted, not all of them."""
    beyond: Any = None
    """A `pages.Beyond`: only what follows a cursor."""

    def and_also(self, *clauses: Clause) -> "Selection":
        """The same, with more conditions."""
        return Selection((*self.terms, (True, clauses)), self.beyond)

    def bind(self, bind: Callable[[Clause, int], Test], family: int) -> Test:
        """The condition in terms of one family's columns, by those of its clauses."""
        tests = [] if self.beyond is None else [self.beyond.bind(family)]
        for wanted, clauses in self.terms:
            test = every(bind(clause, family) for clause in clauses)
            tests.append(test if wanted else opposite(test))
        return every(tests)


class Hits:
    """The rows of one snapshot that match. The mask is made at the first use."""

    def __init__(self, view: View, test: Test) -> None:
        self.view = view
        self.test = test
        self._made: dict[Any, Array] = {}

    @cached_property
    def _mask(self) -> Array | None:
        """Where they are, None when that is everywhere."""
        if _implies_live(self.test):
            return self.test.mask(self.view)
        # Unsigned: 0 (no job) becomes 255, and a removed one is 8 or more.
        live = (self.view.column("state") - np.uint8(1)) < len(State)
        if self.test is TRUE:
            return None if live.all() else live
        return self.test.mask(self.view) & live

    @property
    def mask(self) -> Array:
        """Where they are."""
        return np.ones(self.view.segment.rows, bool) if self._mask is None else self._mask

    @cached_property
    def rows(self) -> Array:
        """The cells they are in, ascending; `view.numbers` knows their rows."""
        return np.arange(self.view.segment.rows) if self._mask is None else np.flatnonzero(self._mask)

    def take(self, column: str) -> Array:
        """Their cells of a column (not a copy where all rows match)."""
        return self.of(self.view.column(column))

    def of(self, cells: Array) -> Array:
        """Their cells of an array with one cell a row."""
        return cells if self._mask is None else cells.take(self.rows)

    def once(self, name: Any, make: Callable[[], Array]) -> Array:
        """An array that several looks need, made at the first use."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]


def _implies_live(test: Test) -> bool:
    return isinstance(test, States) or (isinstance(test, All) and any(isinstance(part, States) for part in test.tests))


@dataclass(frozen=True)
class Look:
    """One thing to compute of every segment."""

    key: tuple[Any, ...]
    """Names the computation; with the filter's digest and the version it names the result."""
    compute: Callable[[Hits], Any]
    """The partial result; None where there is nothing."""
    columns: frozenset[str]
    """Columns it reads, besides the filter's."""
    postings: frozenset[Posting] = frozenset()
    """Posting lists it reads."""
    only: Callable[[Segment], bool] | None = None
    """Segments that can have a result; None: all."""
    ahead: frozenset[str] = frozenset()
    """Columns that later looks of the same answer may need; empty for the last one."""
    again: bool = True
    """Whether later looks go to most segments: their snapshots are worth keeping then."""
    volatile: bool = False
    """Reads cells that change without a new version: never kept."""


#: What a look found, segments without a result left out.
Found = list[tuple[Segment, Any]]
Answer = Generator[Look, Found, Answered]
#: The jobs, and the answer about them (a function, for it may have to begin again).
Task = tuple[Selection, Callable[["Evaluation"], "Answer[Any]"]]


class Moved(Exception):
    """A segment changed between two looks: what was computed from the first does not fit the second."""


@dataclass
class Restless:
    """What those that had to begin again leave to the next: segments that moved meanwhile, and what was asked of any segment. All
    of that is read of a restless segment at its first look, so that no later one finds it moved."""

    segments: set[tuple[Any, ...]] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    postings: set[Posting] = field(default_factory=set)


def _count_states(hits: Hits) -> Array | None:
    states = hits.take("state")
    if len(states) < 4096:
        found = np.bincount(states, minlength=8)[1:8]
    else:
        found = np.array([np.count_nonzero(states == state.code) for state in State])
    return found if found.any() else None


#: Matching jobs by state code - 1; the one look that several answers share.
COUNTS = Look(("counts",), _count_states, frozenset({"state"}))


class Evaluation:
    """One read of the store for some questions: listing, bound filters, snapshots. Lives as long as the call."""

    def __init__(self, store: Store, selections: Sequence[Selection], restless: Restless | None = None, all_kept: bool = False) -> None:
        self.store = store
        self._restless = restless if restless is not None else Restless()
        self._has_moved = False
        self._is_narrowed = False
        self.is_last = all_kept
        partials.max_entries = store.config.cache_entries
        self._views: dict[tuple[Any, ...], View] = {}
        self._held: dict[tuple[Any, ...], int] = {}
        self._kept = 0
        self._whole: set[tuple[Any, ...]] = set()
        self._planned = 0
        self._given: set[tuple[Any, ...]] = set()
        self._texts: dict[tuple[int, str], list[str]] = {}
        self._coded: list[str] = []
        self._selections = selections
        self._lookup = Lookup()
        for clause in {clause for selection in selections for _, clauses in selection.terms for clause in clauses}:
            clause.look_up(self._lookup)
        self.listing = directory.look(store, self._lookup)
        self.segments: dict[tuple[Any, ...], Segment] = {segment.key: segment for segment in self.listing.segments}
        self._lively = _lively(self.listing.segments) if restless is not None else frozenset()
        self._bind()

    def _bind(self) -> None:
        families = range(len(self.store.families))
        # Selections have most clauses in common; one may name thousands of texts.
        bind = lru_cache(maxsize=None)(lambda clause, family: clause.bind(self.listing, family))
        self._tests = [[selection.bind(bind, family) for family in families] for selection in self._selections]
        self._within: dict[tuple[int, tuple[Any, ...], bytes], Test] = {}
        # The (family, column) where a text asked for has no code yet: newer cells could hold it.
        self._unknown = [
            (family, column)
            for (family, column), known in self.listing.codes.items()
            if not self._lookup.texts.get(column, _NO_TEXTS) <= known.keys()
        ]

    def texts(self, keys: Iterable[tuple[int, str]]) -> dict[tuple[int, str], list[str]]:
        """The texts of dictionaries by (family, column): no code that was read is missing. Those of all columns that were read
        last are asked for at once: several answers want them."""
        wanted = tuple(keys)
        if any(key not in self._texts for key in wanted):
            ahead = [(family, column) for family in {family for family, _ in wanted} for column in self._coded]
            self._texts |= dictionaries.texts_of(self.store).catch_up((*wanted, *ahead))
        return {key: self._texts[key] for key in wanted}

    def test(self, which: int, segment: Segment) -> Test:
        """The filter of a selection as it is within a segment."""
        key = (which, segment.key, segment.version)
        found = self._within.get(key)
        if found is None:
            found = self._within[key] = self._tests[which][segment.family].within(segment)
        return found

    def narrow(self) -> None:
        """Find the segments where the filters can match at all, before whole columns are read for them; once."""
        if not self._is_narrowed:
            self._is_narrowed = True
            for which in range(len(self._selections)):
                self._probe(which)

    def _probe(self, which: int) -> None:
        tests = self._tests[which]
        if any(test.is_volatile for test in tests):
            self._settle(which, COUNTS, lambda test: test.stable() if test.is_volatile else None)
        if any(test.postings for test in tests):
            self._settle(which, _TAGGED, _tags_of)

    def _settle(self, which: int, look: Look, part: Callable[[Test], Test | None]) -> None:
        """Rule out segments where `part` of the filter matches nothing."""
        asked, versions = {}, {}
        for segment in self.segments.values():
            test = self.test(which, segment)
            tested = None if test is FALSE else part(test)
            if tested is not None and tested is not TRUE:
                asked[segment.key], versions[segment.key] = tested, segment.version
        found = {segment.key for segment, _ in self._gather([(asked.get, look)])[0]}
        for key, version in versions.items():
            if key not in found:
                self._within[which, key, version] = FALSE

    def is_known_empty(self, which: int, segment: Segment) -> bool:
        """Whether a segment is known to hold no match, without a read (after `narrow`)."""
        test = self.test(which, segment)
        if test is FALSE or test.is_volatile:
            return test is FALSE
        counted = partials.peek((segment.key, test.digest, COUNTS.key), segment.version)
        return counted is not None and counted[0] is None

    def forget(self) -> None:
        """Let the snapshots go; the segments given so far must not be looked at again."""
        self._views.clear()
        self._held.clear()
        self._kept = 0

    def collect(self, looks: Sequence[tuple[int, Look]], among: Iterable[Segment] | None = None) -> list[Found]:
        """What each look finds with the selection of that number, in all segments or `among` some. Raises: Moved."""
        keys = None if among is None else {segment.key for segment in among}

        def filter_of(which: int) -> Callable[[tuple[Any, ...]], Test | None]:
            def test(key: tuple[Any, ...]) -> Test | None:
                return None if keys is not None and key not in keys else self.test(which, self.segments[key])

            return test

        self._texts, self._coded = {}, [column for column in DICTIONARIES if any(column in look.columns for _, look in looks)]
        for _, look in looks:
            self._restless.columns |= look.columns | look.ahead
            self._restless.postings |= look.postings
        self.narrow()
        found = self._gather([(filter_of(which), look) for which, look in looks])
        self._given |= self.segments.keys() if keys is None else keys
        return found

    def _gather(self, looks: Sequence[tuple[Callable[[tuple[Any, ...]], Test | None], Look]]) -> list[Found]:
        results: list[dict[tuple[Any, ...], Any]] = [{} for _ in looks]
        pending = list(self.segments)
        while pending:
            again: list[tuple[Any, ...]] = []
            wants = [want for key in pending if (want := self._want(key, looks, results)) is not None]
            for want, view in read(self.store, wants):
                key = want.segment.key
                view = self._accept(key, view)
                if view is None:
                    again.append(key)
                else:
                    self._fill(key, view, looks, results)
            if self._has_moved:
                raise Moved
            pending = again
        there = self.segments
        return [[(there[key], value) for key, value in found.items() if key in there and value is not None] for found in results]

    def _want(self, key: tuple[Any, ...], looks: Sequence[Any], results: list[dict[Any, Any]]) -> Want | None:
        """What must be read of a segment: nothing where every partial is kept, or its snapshot is still there."""
        segment = self.segments.get(key)
        if segment is None:
            return None
        keeps_all = self._keeps_all(key)
        columns: set[str] = set()
        postings: set[Posting] = set()
        missing = is_new = False
        for found, (filter_of, look) in zip(results, looks, strict=True):
            found.pop(key, None)
            test = filter_of(key)
            if test is None or test is FALSE:
                continue
            missing |= keeps_all  # what later looks need is read now, though this one's answer is known, or not wanted
            if look.only is not None and not look.only(segment):
                continue
            is_volatile = look.volatile or test.is_volatile
            kept = None if is_volatile else partials.get((key, test.digest, look.key), segment.version)
            if kept is not None:
                found[key] = kept[0]
                continue
            missing = True
            is_new |= not is_volatile
            columns |= look.columns | test.columns
            postings |= look.postings | test.postings
            if test.is_volatile:
                columns |= look.ahead
        if not missing:
            return None
        columns |= {column for family, column in self._unknown if family == segment.family}
        if keeps_all or (is_new and self._has_room(segment)):
            columns, postings = self._everything(segment.family, columns, postings)
        view = self._views.get(key)
        if view is not None:
            columns, postings = view.lacks(columns, postings)
            if not columns and not postings:
                self._fill(key, view, looks, results)
                return None
        return Want(segment, tuple(sorted(columns)), tuple(sorted(postings)))

    def _everything(self, family: int, columns: set[str], postings: set[Posting]) -> tuple[set[str], set[Posting]]:
        """What any look asks of any segment of a family, as far as that is known, and with it these."""
        tests = [tests[family] for tests in self._tests]
        return (
            columns.union(self._restless.columns, *(test.columns for test in tests)),
            postings.union(self._restless.postings, *(test.postings for test in tests)),
        )

    def _has_room(self, segment: Segment) -> bool:
        """Whether a segment is lively, and there is room for all of it."""
        if segment.key not in self._lively or segment.key in self._whole:
            return segment.key in self._whole
        columns, postings = self._everything(segment.family, set(), set())
        self._planned += Want(segment, tuple(columns), tuple(postings)).nbytes
        if self._planned > KEPT_BYTES:
            self._lively = frozenset()  # what is left is older
            return False
        self._whole.add(segment.key)
        return True

    def _keeps_all(self, key: tuple[Any, ...]) -> bool:
        return self.is_last or key in self._restless.segments

    def _accept(self, key: tuple[Any, ...], view: View | None) -> View | None:
        """The snapshot when it is of the version everything else is of. None: the segment is another now: look at it again, or, once
        something was given of it, at everything (`_has_moved`, after the others of the read, which may have moved, too)."""
        segment = self.segments[key]
        if view is not None and view.segment.version == segment.version:
            kept = self._views.get(key)
            if kept is None:
                return view
            kept.add(view)
            return kept
        self._restless.segments.add(key)
        if key in self._given:
            self._has_moved = True
            return None
        if view is None:
            del self.segments[key]
            return None
        if key in self._views:  # what was to complete it is of another version: all of that is read
            self._kept -= self._held.pop(key, 0)
            del self._views[key]
            return None
        self._catch_up(view)
        self.segments[key] = view.segment
        self._views[key] = view
        return None

    def _catch_up(self, view: View) -> None:
        """Bind the filters again when a cell newer than the listing may hold a text that had no code then. What other
        segments gave stays right: in the versions they were read in, that text was not there."""
        for family, column in self._unknown:
            if family == view.segment.family:
                cells = view.column(column)
                if len(cells) and int(cells.max()) > self.listing.sizes[family, column]:
                    newer = directory.look(self.store, self._lookup)
                    self.listing.codes, self.listing.sizes = newer.codes, newer.sizes
                    self._bind()
                    return

    def _fill(self, key: tuple[Any, ...], view: View, looks: Sequence[Any], results: list[dict[Any, Any]]) -> None:
        hits: dict[bytes, Hits] = {}
        made: dict[tuple[bytes, Any], Any] = {}
        for found, (filter_of, look) in zip(results, looks, strict=True):
            test = filter_of(key)
            if key in found or test is None or test is FALSE or (look.only is not None and not look.only(view.segment)):
                continue
            if test.digest not in hits:
                hits[test.digest] = Hits(view, test)
            name = test.digest, look.key
            if name not in made:  # several answers may look for the same
                made[name] = look.compute(hits[test.digest])
                if not (look.volatile or test.is_volatile):
                    partials.put((key, *name), view.segment.version, made[name])
            found[key] = made[name]
        self._keep(key, view, looks)

    def _keep(self, key: tuple[Any, ...], view: View, looks: Sequence[Any]) -> None:
        """Hold on to what later looks need of a snapshot, as long as there is room; to all of a restless or lively segment's."""
        self._kept -= self._held.pop(key, 0)
        self._views.pop(key, None)
        if not self._keeps_all(key) and key not in self._whole:
            # What is volatile is read for each look otherwise, and may differ between two.
            asked = [(look, test) for filter_of, look in looks if look.ahead and (test := filter_of(key)) is not None]
            needed = [(look, test) for look, test in asked if look.again or test.is_volatile]
            columns = {name for look, test in needed for name in look.ahead | test.columns}
            if not columns or self._kept >= KEPT_BYTES:
                return
            view = view.part(columns, {name for look, test in needed for name in look.postings | test.postings})
        self._views[key] = view
        self._held[key] = view.nbytes
        self._kept += view.nbytes


def _lively(segments: Sequence[Segment]) -> frozenset[tuple[Any, ...]]:
    """Keys of the segments that were written to lately."""
    since = max((segment.version_us for segment in segments), default=0) - LIVELY_US
    return frozenset(segment.key for segment in segments if segment.version_us >= since)


def _tags_of(test: Test) -> Test | None:
    tags = [test] if isinstance(test, Tag) else [t for t in test.tests if isinstance(t, Tag)] if isinstance(test, All) else []
    return every(tags) if tags else None


#: Whether any row, live or not, has the tags; reads nothing but the posting lists.
_TAGGED = Look(("tagged",), lambda hits: True if hits.test.mask(hits.view).any() else None, frozenset())


def run(store: Store, tasks: Sequence[Task]) -> list[Any]:
    """The answers, in the order of the tasks, all from one read of the store. Exact as of one moment per segment."""
    return _run(store, tasks)[0]


def run_in(store: Store, tasks: Sequence[Task]) -> tuple[list[Any], str]:
    """The same, and the version of the store they are of, as `Version.text` has it."""
    answers, evaluation = _run(store, tasks)
    return answers, directory.version_text(evaluation.segments.values())


def _run(store: Store, tasks: Sequence[Task]) -> tuple[list[Any], Evaluation]:
    restless = Restless()
    for attempt in range(MOST_RESTARTS + 1):
        try:
            evaluation = Evaluation(store, [s for s, _ in tasks], restless, all_kept=attempt >= RESTARTS)
            return _answer(evaluation, tasks), evaluation
        except Moved:
            continue
    raise StoreUnavailable("a read", "it changes faster than it can be read")


def _answer(evaluation: Evaluation, tasks: Sequence[Task]) -> list[Any]:
    results: list[Any] = [_NOTHING] * len(tasks)
    running = {number: answer(evaluation) for number, (_, answer) in enumerate(tasks)}
    looks = {}
    for number, answer in list(running.items()):
        _advance(number, answer, None, looks, results)
    while looks:
        numbers = list(looks)
        found = evaluation.collect([(number, looks[number]) for number in numbers])
        looks = {}
        for number, partial in zip(numbers, found, strict=True):
            _advance(number, running[number], partial, looks, results)
    return results


def _advance(number: int, answer: "Answer[Any]", found: Found | None, looks: dict[int, Look], results: list[Any]) -> None:
    try:
        looks[number] = next(answer) if found is None else answer.send(found)
    except StopIteration as stop:
        results[number] = stop.value
