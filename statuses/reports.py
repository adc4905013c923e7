"""Several answers from one read: the questions of a report, collected, asked together, and put into place."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from . import facets, groups, orders, resources, stats, timeseries
from .answers import Report
from .arguments import mapping, most, natural, one_of, shown, steps
from .clauses import MOMENTS, IsStale, KillRequested, moment_us
from .columns import DICTIONARIES, FIELDS, SPANS
from .evaluation import Answer, Evaluation, Selection, Task, run_in
from .store import Store

#: Where the answer goes: the report's attributes so far, the answer.
_Put = Callable[[dict[str, Any], Any], None]
#: Answer, more conditions on the jobs, where the answer goes.
_Question = tuple[Callable[[Evaluation], Any], tuple[Any, ...], _Put]


#: How many values are counted, None: all; or in which order, how many, and after how many others.
Counted = int | None | tuple[str, int | None] | tuple[str, int | None, int]


@dataclass
class Asked:
    """The questions of one report, as `Query.report` takes them. Raises: TypeError, ValueError naming the argument."""

    questions: list[_Question] = field(default_factory=list)
    shows_counts: bool = False
    """Whether the counts by state stand in the report, or their sum alone."""

    def _ask(self, answer: Callable[[Evaluation], Any], put: _Put, *conditions: Any) -> None:
        self.questions.append((answer, conditions, put))

    def counts(self) -> None:
        self._ask(stats.counts, lambda to, found: to.update(counts=found, total=sum(found.values())))

    def counts_by(self, fields: Mapping[str, Counted] | None) -> None:
        for name, asked in mapping("counts_by", fields).items():
            order, limit, *skipped = asked if isinstance(asked, tuple | list) and len(asked) in (2, 3) else (orders.LARGEST, asked)
            answer = facets_of(one_of("counts_by", name, FIELDS), order, *skipped)
            self._ask(partial(answer, field=name, limit=most(limit), distinct=True), partial(_put_facets, name=name))

    def earliest_by(self, fields: Mapping[str, str] | None) -> None:
        for name, on in mapping("earliest_by", fields).items():
            one_of("earliest_by", name, DICTIONARIES)
            self._ask(partial(facets.earliest_by, field=name, on=one_of("earliest_by", on, MOMENTS)), _into("earliest_by", name))

    def durations(self, spans: Collection[str]) -> None:
        if isinstance(spans, str) or not isinstance(spans, Collection):
            raise TypeError(f"durations must be a list of spans, not {shown(spans)}")
        for span in spans:
            self._ask(partial(stats.durations, column=one_of("durations", span, SPANS)), _into("durations", span))

    def durations_by(self, fields: Mapping[str, tuple[str, int | None]] | None) -> None:
        for name, asked in mapping("durations_by", fields).items():
            if not isinstance(asked, tuple | list) or len(asked) != 2:
                raise TypeError(f"durations_by maps a field to (span, limit), not to {shown(asked)}")
            one_of("durations_by", name, DICTIONARIES)
            answer = partial(groups.durations_by, field=name, column=one_of("durations_by", asked[0], SPANS), limit=most(asked[1]))
            self._ask(answer, _into("durations_by", name))

    def histogram(self, spans: Mapping[str, int] | None) -> None:
        for span, bins in mapping("histogram", spans).items():
            answer = partial(stats.histogram, column=one_of("histogram", span, SPANS), bins=steps("bins", bins))
            self._ask(answer, _into("histogram", span))

    def timeline(self, how: Mapping[str, Any]) -> None:
        for word in mapping("timeline", how):
            one_of("timeline", word, ("on", "after", "before", "buckets"))
        self._ask(timeline_of(**how), lambda to, found: to.update(timeline=found))

    def flags(self) -> None:
        self._ask(stats.counts, _into("flags", "kill_requested"), KillRequested(wanted=True))
        self._ask(stats.counts, lambda to, found: to.setdefault("flags", {}).update(stale=sum(found.values())), IsStale(wanted=True))

    def bounds(self) -> None:
        self._ask(stats.bounds, lambda to, found: to.update(bounds=found))

    def tasks(self, selection: Selection) -> list[Task]:
        """The questions about the jobs of `selection`, in their order."""
        return [(selection.and_also(*more) if more else selection, answer) for answer, more, _ in self.questions]

    def report(self, answers: Iterable[Any], version: str) -> Report:
        """The answers to `tasks`, put into place."""
        found: dict[str, Any] = {}
        for (_, _, put), answer in zip(self.questions, answers, strict=True):
            put(found, answer)
        if not self.shows_counts:
            found.pop("counts", None)
        return Report(**found, version=version)


def asked(
    *,
    counts: bool = False,
    count: bool = False,
    counts_by: Mapping[str, Counted] | None = None,
    earliest_by: Mapping[str, str] | None = None,
    durations: Collection[str] = (),
    durations_by: Mapping[str, tuple[str, int | None]] | None = None,
    histogram: Mapping[str, int] | None = None,
    timeline: Mapping[str, Any] | None = None,
    flags: bool = False,
    bounds: bool = False,
) -> Asked:
    """The questions of `Query.report`."""
    made = Asked(shows_counts=counts)
    if counts or count:
        made.counts()
    made.counts_by(counts_by)
    made.earliest_by(earliest_by)
    made.durations(durations)
    made.durations_by(durations_by)
    made.histogram(histogram)
    if timeline is not None:
        made.timeline(timeline)
    if flags:
        made.flags()
    if bounds:
        made.bounds()
    return made


def answer(store: Store, wanted: Sequence[tuple[Selection, Asked]]) -> list[Report]:
    """The reports in their order, from one read, all of one moment per segment."""
    parts = [questions.tasks(selection) for selection, questions in wanted]
    tasks = [task for part in parts for task in part]
    found, version = run_in(store, tasks) if tasks else ([], "")
    answers = iter(found)
    return [questions.report(list(islice(answers, len(part))), version) for (_, questions), part in zip(wanted, parts, strict=True)]


def timeline_of(*, on: str = "recorded_at", after: Any = None, before: Any = None, buckets: int = 60) -> Callable[[Evaluation], Any]:
    """What answers a timeline. Raises: ValueError naming the argument."""
    one_of("timeline", on, MOMENTS)
    low, high, number = moment_us("after", after), moment_us("before", before), steps("buckets", buckets)
    return lambda evaluation: timeseries.timeline(evaluation, on, low, high, number)


def facets_of(field: str, order: str = orders.LARGEST, skipped: int = 0) -> Callable[..., Answer[facets.Facets]]:
    """What counts by a field, listed in an order from a place on. Raises: ValueError naming it."""
    first = natural("skipped", skipped)
    by = one_of("order", order.removeprefix("-") if isinstance(order, str) else order, orders.ORDERS)
    if field != "job_arg":
        return partial(facets.counts_by, order=order, skipped=first)
    if order != orders.LARGEST or first:
        raise ValueError(f"job_arg is counted by the largest alone, from the first on, not by {by} from place {first}")
    return resources.counts_by


def _put_facets(to: dict[str, Any], found: facets.Facets, name: str) -> None:
    to.setdefault("counts_by", {})[name] = found.counts
    to.setdefault("distinct", {})[name] = found.distinct


def _into(attribute: str, name: str) -> _Put:
    def put(to: dict[str, Any], found: Any) -> None:
        to.setdefault(attribute, {})[name] = found

    return put
