"""Questions about statuses: an immutable, lazy description of which jobs, with every answer about them.

Nothing is read before an answer is asked for. numpy is loaded then, not here: workers that only write never need it."""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, overload

from . import clauses, encoding
from .answers import Bin, Bucket, Durations, FacetCount, Report
from .arguments import callback, flag, most, natural, nearest, one_of, shown, steps
from .clauses import Clause
from .columns import DICTIONARIES, FIELDS, SPANS, TIMESTAMPS
from .errors import LimitedQuery
from .states import State
from .status import Status
from .store import Store, current

if TYPE_CHECKING:
    from .bulk import Changed
    from .collection import Statuses
    from .evaluation import Selection
    from .pages import Block, Order
    from .reports import Counted
    from .sheets import Sheet

#: What jobs can be sorted by, with or without a leading "-".
SORTABLE = (*TIMESTAMPS, "ended_at", *SPANS)
#: Jobs that iteration loads at once.
LOADED_AT_ONCE = 100

Field = Literal["job_name", "queue", "user", "worker", "engine", "job_arg", "error"]
Span = Literal["run_time", "wait_time"]
Places = Iterator[tuple[int, int, Any, Any, Any]]


@dataclass(frozen=True, repr=False)
class Query:
    """The jobs that match, in an order. Every method that narrows gives a new query."""

    terms: tuple[tuple[bool, tuple[Clause, ...]], ...] = ()
    """(wanted, clauses): all of them hold; or, where not wanted, not all of them."""
    order: str = "-recorded_at"
    """The sorted value, "-" before it for the largest first."""
    most: int | None = None
    """Jobs at most."""
    skipped: int = 0
    """Jobs left out at the beginning."""
    cursor: str | None = None
    """Only what follows this place in the order."""
    backward: bool = False
    """What precedes the cursor instead, the nearest ones."""

    def where(self, **conditions: Any) -> "Query":
        """Jobs that match every clause, too. Raises: ValueError naming an unknown clause or a wrong value."""
        return self._with(True, conditions)

    def exclude(self, **conditions: Any) -> "Query":
        """Without the jobs that match all of these clauses together. Raises: ValueError as `where`."""
        return self._with(False, conditions)

    def _with(self, wanted: bool, conditions: Mapping[str, Any]) -> "Query":
        made = tuple(clauses.make(name, value) for name, value in conditions.items())
        return replace(self, terms=(*self.terms, (wanted, made))) if made else self

    def order_by(self, order: str) -> "Query":
        """Sorted by a timestamp, `run_time` or `wait_time`; "-" before it: descending. Jobs without the value come
        last; equals as they were created, later first where it descends. Raises: ValueError."""
        name = order.removeprefix("-") if isinstance(order, str) else order
        if not isinstance(name, str) or name not in SORTABLE:
            raise ValueError(f"order_by knows {', '.join(SORTABLE)}, not {shown(order)}{nearest(name, SORTABLE)}")
        if self.cursor is not None:
            raise ValueError("order_by comes before after() and before(): a cursor is of one order")
        return replace(self, order=order)

    def limit(self, number: int) -> "Query":
        """At most so many jobs. Raises: ValueError when negative."""
        return replace(self, most=natural("limit", number))

    def offset(self, number: int) -> "Query":
        """Without the first so many. Raises: ValueError when negative."""
        return replace(self, skipped=natural("offset", number))

    def after(self, cursor: str) -> "Query":
        """What follows the place a page gave as `next`. Raises: ValueError for a broken cursor, or one of another order."""
        return self._at(cursor, backward=False)

    def before(self, cursor: str) -> "Query":
        """The nearest jobs before the place a page gave as `previous`, still in order. Raises: ValueError as `after`."""
        return self._at(cursor, backward=True)

    def _at(self, cursor: str, backward: bool) -> "Query":
        from . import pages

        pages.decode(self._order(), cursor)
        return replace(self, cursor=cursor, backward=backward)

    @overload
    def __getitem__(self, index: int) -> Status: ...
    @overload
    def __getitem__(self, index: slice) -> "Query": ...
    def __getitem__(self, index: int | slice) -> "Status | Query":
        if isinstance(index, slice):
            return self._slice(index)
        found = self._slice(slice(natural("index", index), index + 1)).first()
        if found is None:
            raise IndexError(f"there is no job at {index}")
        return found

    def _slice(self, part: slice) -> "Query":
        if part.step is not None:
            raise ValueError("a slice of a query has no step")
        start = natural("slice", 0 if part.start is None else part.start)
        most = None if self.most is None else max(self.most - start, 0)
        if part.stop is not None:
            wanted = max(natural("slice", part.stop) - start, 0)
            most = wanted if most is None else min(most, wanted)
        return replace(self, skipped=self.skipped + start, most=most)

    @property
    def is_limited(self) -> bool:
        """Whether limit, offset, a slice or a cursor leaves jobs out."""
        return self.most is not None or self.skipped > 0 or self.cursor is not None

    def describe(self) -> str:
        """The jobs in words: `failed jobs named planning.sync, recorded since 2026-07-01 00:00:00 UTC`."""
        before, behind = [], []
        for wanted, made in self.terms:
            words = [clause.describe() for clause in made]
            if not wanted:
                behind.append("but not " + " and ".join(words))
                continue
            before += [word for clause, word in zip(made, words, strict=True) if clause.field == "state"]
            behind += [word for clause, word in zip(made, words, strict=True) if clause.field != "state"]
        text = " ".join([", ".join(before), "jobs"]).strip() if before else "jobs" if behind else "all jobs"
        return " ".join([text, ", ".join(behind)]).strip()

    def __repr__(self) -> str:
        part = "" if not self.is_limited else f", {self.most if self.most is not None else 'all'} after {self.skipped}"
        return f"<Query {self.describe()} by {self.order}{part}>"

    def _selection(self) -> "Selection":
        from . import evaluation, pages

        if self.cursor is None:
            return evaluation.Selection(self.terms)
        order = self._order()
        key = pages.decode(order, self.cursor)
        beyond = pages.Beyond(order.turned, key.turned) if self.backward else pages.Beyond(order, key)
        return evaluation.Selection(self.terms, beyond)

    def _order(self) -> "Order":
        from . import pages

        return pages.Order(self.order.removeprefix("-"), self.order.startswith("-"))

    def count(self) -> int:
        """How many jobs match; limit and offset count. Source: state column and those of the filter."""
        from . import evaluation, stats

        (found,) = evaluation.run(current(), [(self._selection(), stats.counts)])
        return self._limited(sum(found.values()))

    def _limited(self, total: int) -> int:
        left = max(total - self.skipped, 0)
        return left if self.most is None else min(left, self.most)

    def exists(self) -> bool:
        """Whether any job matches; limit and offset count. Looks no further than the first it finds."""
        from . import pages

        return self.most != 0 and pages.holds_more_than(current(), self._selection(), self.skipped)

    def counts(self) -> dict[State, int]:
        """Jobs per state within this query; every state present, zeros included.
        Raises: LimitedQuery, StoreUnavailable. Source: state column of each segment and those of the filter, no record."""
        from . import stats

        return self._answer("counts", stats.counts)

    def counts_by(self, field: Field, limit: int | None = 20, order: str = "-total") -> list[FacetCount]:
        """The values of a field that most jobs have, largest first, ties by value; jobs without a value are not listed. Or the first
        in another order ("-": the largest first): `value`, a state, `failure_rate` (of the ended ones), `run_time`, `wait_time` (their
        95th percentile, 0 without any). Raises: ValueError, LimitedQuery, StoreUnavailable.
        Source: state column and the field's; for `job_arg`, in the first order alone, the tags; the span's column."""
        from . import reports

        answer, wanted = reports.facets_of(one_of("counts_by", field, FIELDS), order), most(limit)
        return self._answer("counts_by", lambda evaluation: answer(evaluation, field, wanted, distinct=False)).counts

    def durations(self, span: Span) -> Durations:
        """How long jobs ran or waited: seconds, exact, percentiles by nearest rank.
        Raises: ValueError, LimitedQuery, StoreUnavailable. Source: the span's column and the filter's."""
        from . import stats

        one_of("durations", span, SPANS)
        return self._answer("durations", lambda evaluation: stats.durations(evaluation, span))

    def durations_by(self, field: Field, span: Span, limit: int | None = 20) -> dict[str, Durations]:
        """How long jobs ran or waited (`run_time`, `wait_time`), for each of the values of `field` that most of them have; largest first,
        ties by value. `field`: `job_name`, `queue`, `user`, `worker`, `engine` or `error`, of which a job has one at most.
        Raises: ValueError, LimitedQuery, StoreUnavailable."""
        from . import groups

        one_of("durations_by", field, DICTIONARIES)
        one_of("durations_by", span, SPANS)
        wanted = most(limit)
        return self._answer("durations_by", lambda evaluation: groups.durations_by(evaluation, field, span, wanted))

    def histogram(self, span: Span, bins: int = 40) -> list[Bin]:
        """How many jobs ran or waited how long, bins of equal width on a logarithmic scale; empty without any, one bin
        where all took as long. Raises: ValueError, LimitedQuery, StoreUnavailable."""
        from . import stats

        one_of("histogram", span, SPANS)
        number = steps("bins", bins)
        return self._answer("histogram", lambda evaluation: stats.histogram(evaluation, span, number))

    def timeline(self, on: str = "recorded_at", after: Any = None, before: Any = None, buckets: int = 60) -> list[Bucket]:
        """Jobs per step of time and state: equal widths from `after` to `before`, by default from the earliest to the
        latest match. Empty when nothing says where to begin or to end.
        Raises: ValueError, LimitedQuery, StoreUnavailable. Source: state column, that of `on` and the filter's."""
        from . import reports

        return self._answer("timeline", reports.timeline_of(on=on, after=after, before=before, buckets=buckets))

    def _answer(self, name: str, answer: Any) -> Any:
        from . import evaluation

        self._refuse_limited(name)
        return evaluation.run(current(), [(self._selection(), answer)])[0]

    def _refuse_limited(self, name: str) -> None:
        if self.is_limited:
            raise LimitedQuery(name)

    def report(
        self,
        *,
        counts: bool = False,
        count: bool = False,
        counts_by: Mapping[str, "Counted"] | None = None,
        earliest_by: Mapping[str, str] | None = None,
        durations: Sequence[str] = (),
        durations_by: Mapping[str, tuple[str, int | None]] | None = None,
        histogram: Mapping[str, int] | None = None,
        timeline: Mapping[str, Any] | None = None,
        flags: bool = False,
        bounds: bool = False,
    ) -> Report:
        """Several answers from one read of the store, all of one moment per segment: what a page asks.

        `counts_by={"job_name": 10}` or `{"job_name": ("-failed", 10)}`, after the first 90 `{"job_name": ("-failed", 10, 90)}`,
        `earliest_by={"queue": "queued_at"}`, `durations=("run_time",)`, `durations_by={"job_name": ("run_time", 20)}`,
        `histogram={"run_time": 40}`, `timeline={"on": ..., "after": ..., "before": ..., "buckets": ...}`.
        Raises: ValueError, LimitedQuery, StoreUnavailable."""
        from .asking import together

        asked = {
            "counts": counts, "count": count, "counts_by": counts_by, "earliest_by": earliest_by, "durations": durations,
            "durations_by": durations_by, "histogram": histogram, "timeline": timeline, "flags": flags, "bounds": bounds,
        }  # fmt: skip
        return together((self, asked))[0]

    def values(self, field: Field, prefix: str = "", limit: int | None = None) -> list[str]:
        """The texts a field ever had, those that begin with `prefix`, sorted. Not filtered: what a prefix stands for.
        Raises: ValueError. Source: the field's dictionary, caught up."""
        if not isinstance(prefix, str):
            raise TypeError(f"prefix must be a string, not {type(prefix).__name__}")
        return self._texts("values", (field,), prefix, limit)[field]

    def values_of(self, fields: Collection[Field], limit: int | None = None) -> dict[str, list[str]]:
        """The texts that each of several fields ever had, as `values`, in one round trip.
        Raises: ValueError. Source: the fields' dictionaries, caught up."""
        if isinstance(fields, str):
            raise TypeError(f"fields must be several, not {shown(fields)}")
        return self._texts("values_of", fields, "", limit)

    def _texts(self, name: str, fields: Collection[Field], prefix: str, limit: int | None) -> dict[str, list[str]]:
        from . import dictionaries

        for field in fields:
            one_of(name, field, DICTIONARIES)
        store, wanted = current(), most(limit)
        families, texts = range(len(store.families)), dictionaries.texts_of(store)
        asked = [(family, field) for field in fields for family in families]
        found = texts.beginning(asked, prefix) if prefix else texts.catch_up(asked)
        return {field: _sorted((found[family, field] for family in families), wanted) for field in fields}

    def newest_by(self, field: Field, found: Collection[FacetCount]) -> dict[str, Status]:
        """The last recorded job of each value that `counts_by` (or a report) found; left out where it has changed since.
        Raises: ValueError, LimitedQuery, StoreUnavailable. Source: one read for all of them, of the segments that hold
        those moments; one record each."""
        from . import evaluation, fetching, pages

        one_of("newest_by", field, DICTIONARIES)
        self._refuse_limited("newest_by")
        store, order = current(), pages.Order()
        narrowed = (self.where(**{field: one.value, "recorded_at": (one.last, one.last)}) for one in found)
        tasks: list[evaluation.Task] = [(query._selection(), lambda evaluation: pages.first(evaluation, order)) for query in narrowed]
        loaded = fetching.load(store, pages.join(evaluation.run(store, tasks)), slice(None)) if tasks else []
        return {str(status._record.texts[field]): status for status in loaded}

    def _blocks(self, store: Store, extra: int = 0) -> Iterator["Block"]:
        """Matching rows within limit and offset, in order (from the cursor backwards for `before`)."""
        from . import pages

        order = self._order().turned if self.backward else self._order()
        need = None if self.most is None else self.skipped + self.most + extra
        left = self.skipped
        for block in pages.in_order(store, self._selection(), order, need if self.most != 0 else 0):
            part = pages.part(block, slice(min(left, len(block.ranks)), None))
            left -= len(block.ranks) - len(part.ranks)
            if len(part.ranks):
                yield part

    def ids(self) -> list[str]:
        """The ids, in order; limit and offset count. Source: as a page, no record but of jobs with an id of their own."""
        from . import fetching

        store = current()
        found = [id for block in self._blocks(store) for id in fetching.ids_of(store, block)]
        return found[::-1] if self.backward else found

    def __iter__(self) -> Iterator[Status]:
        from . import fetching

        if self.backward:
            yield from self.run()
            return
        store = current()
        for block in self._blocks(store):
            for first in range(0, len(block.ranks), LOADED_AT_ONCE):
                yield from fetching.load(store, block, slice(first, first + LOADED_AT_ONCE))

    def run(self) -> "Statuses":
        """The jobs, loaded, in order, with the cursors of the pages beside it.

        Which jobs match is as of the read of their segment; what they hold is as of their loading right after; one
        removed in between is left out."""
        from . import fetching, pages
        from .collection import Statuses

        store, order = current(), self._order()
        block = pages.join(list(self._blocks(store, extra=1)))
        more = self.most is not None and len(block.ranks) > self.most
        block = pages.part(block, slice(0, self.most))
        if self.backward:
            block = pages.turn(block)
        loaded = fetching.load(store, block, slice(None))
        if not len(block.ranks):
            return Statuses(loaded)
        first, last = (pages.encode(order, pages.key_at(block, at)) for at in (0, -1))
        if self.backward:
            return Statuses(loaded, next=last, previous=first if more else None)
        return Statuses(loaded, next=last if more else None, previous=None if self.cursor is None else first)

    def sheets(self) -> Iterator["Sheet"]:
        """The jobs in order, some hundred at a time, column by column: for files of any size, at a quarter of what their
        `Status` objects cost. Which jobs match is as of the read of their segment, made anew for every 20,000."""
        from . import sheets

        return sheets.of(current(), self)

    def first(self) -> Status | None:
        """The first job, None without any; the limit counts."""
        if self.most == 0:
            return None
        found = self.limit(1).run() if not self.backward else self.run()
        return found[0] if len(found) else None

    def places(self) -> Places:
        """(family, segment, rows, rn, states) of the jobs, as arrays: what a bulk verb works on. Segment by segment,
        newest first, each as of one moment; a limited query's jobs are chosen in its order first."""
        from . import pages

        store = current()
        if not self.is_limited:
            for segment, rows, randoms, states in pages.everywhere(store, self._selection()):
                yield segment.family, segment.number, rows, randoms, states
            return
        yield from pages.by_segment(pages.join(list(self._blocks(store))))

    def request_kill_all(
        self, *, by: str | None = None, reason: str | None = None, end_queued: bool = False, progress: Any = None
    ) -> "Changed":
        """Ask every matching job to die; with `end_queued` those that wait are killed in the same step. Ended ones are skipped."""
        from . import bulk

        callback("progress", progress)
        return bulk.request_kill(bulk.of_places(self.places()), by=by, reason=reason, end_queued=end_queued, progress=progress)

    def kill_now_all(self, *, by: str | None = None, reason: str | None = None, progress: Any = None) -> "Changed":
        """Kill what waits by our own word, ask what runs and end it through its engine."""
        from . import bulk

        callback("progress", progress)
        return bulk.kill_now(bulk.of_places(self.places()), by=by, reason=reason, progress=progress)

    def delete_all(self, force: bool = False, *, only_ended: bool = False, undo_for: Any = None, progress: Any = None) -> "Changed":
        """Remove every matching job. Raises: NotCompleted (and removes nothing) without `force` and `only_ended` when
        any of them, as of this one read, is not completed."""
        from . import bulk

        callback("progress", progress)
        flag("force", force)
        flag("only_ended", only_ended)
        return bulk.delete(bulk.of_places(self.places()), force=force, only_ended=only_ended, undo_for=undo_for, progress=progress)

    def retry_all(self, *, by: str | None = None, progress: Any = None) -> "Changed":
        """Run every matching job again through its engine. Skipped: what has not ended, and whose engine cannot."""
        from . import bulk

        callback("progress", progress)
        encoding.text(by, "by")
        return bulk.retry(bulk.of_places(self.places()), by=by, progress=progress)


def _sorted(lists: Iterable[list[str]], limit: int | None) -> list[str]:
    """The first of the different texts of some lists; what a cleaner took out is empty."""
    found = dict.fromkeys(chain(*lists))  # what is in order already takes no time to sort
    found.pop("", None)
    # Of thousands of names every page offers a few.
    return heapq.nsmallest(limit, found) if limit is not None and 8 * limit < len(found) else sorted(found)[:limit]
