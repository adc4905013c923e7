"""Several answers from one read: the questions of a report, collected, asked together, and put into place."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import facets, resources, stats
from .answers import Report
from .clauses import IsStale, KillRequested
from .evaluation import Evaluation, Selection, Task, run
from .store import Store

#: Where the answer goes: the report's attributes so far, the answer.
_Put = Callable[[dict[str, Any], Any], None]
#: Answer, more conditions on the jobs, where the answer goes.
_Question = tuple[Callable[[Evaluation], Any], tuple[Any, ...], _Put]


@dataclass
class Asked:
    """The questions of one report."""

    questions: list[_Question] = field(default_factory=list)

    def _ask(self, answer: Callable[[Evaluation], Any], put: _Put, *conditions: Any) -> None:
        self.questions.append((answer, conditions, put))

    def counts(self) -> None:
        self._ask(stats.counts, lambda to, found: to.update(counts=found, total=sum(found.values())))

    def counts_by(self, name: str, limit: int | None) -> None:
        answer = resources.counts_by if name == "job_arg" else facets.counts_by

        def put(to: dict[str, Any], found: facets.Facets) -> None:
            to.setdefault("counts_by", {})[name] = found.counts
            to.setdefault("distinct", {})[name] = found.distinct

        self._ask(lambda evaluation: answer(evaluation, name, limit, distinct=True), put)

    def durations(self, span: str) -> None:
        self._ask(lambda evaluation: stats.durations(evaluation, span), _into("durations", span))

    def durations_by(self, name: str, span: str, limit: int | None) -> None:
        self._ask(lambda evaluation: stats.durations_by(evaluation, name, span, limit), _into("durations_by", name))

    def histogram(self, span: str, bins: int) -> None:
        self._ask(lambda evaluation: stats.histogram(evaluation, span, bins), _into("histogram", span))

    def timeline(self, answer: Callable[[Evaluation], Any]) -> None:
        self._ask(answer, lambda to, found: to.update(timeline=found))

    def flags(self) -> None:
        self._ask(stats.counts, _into("flags", "kill_requested"), KillRequested(wanted=True))
        self._ask(stats.counts, lambda to, found: to.setdefault("flags", {}).update(stale=sum(found.values())), IsStale(wanted=True))

    def bounds(self) -> None:
        self._ask(stats.bounds, lambda to, found: to.update(bounds=found))

    def report(self, store: Store, selection: Selection, counts: bool) -> Report:
        """The answers, all of one moment per segment."""
        tasks: list[Task] = [(selection.and_also(*more) if more else selection, answer) for answer, more, _ in self.questions]
        found: dict[str, Any] = {}
        for (_, _, put), answer in zip(self.questions, run(store, tasks) if tasks else [], strict=True):
            put(found, answer)
        if not counts:
            found.pop("counts", None)
        return Report(**found)


def _into(attribute: str, name: str) -> _Put:
    def put(to: dict[str, Any], found: Any) -> None:
        to.setdefault(attribute, {})[name] = found

    return put
