"""The same answers, computed the obvious way over loaded statuses; and stores and questions made at random."""

import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from random import Random
from typing import Any

import statuses
from statuses import clauses, clock, segmentscripts
from statuses.columns import DICTIONARIES, SPANS, TIMESTAMPS
from statuses.errors import StatusNotFound
from statuses.ids import Place, decode
from statuses.states import GROUPS, State
from statuses.store import current
from statuses.testing import FrozenClock

MOMENTS = (*TIMESTAMPS, "ended_at")
NAMES = ["alpha", "beta", "gamma", "delta", "épsilon"]
RESOURCES = ["Book:1", "Book:2", "Book:3", "Shelf:1", "Author:7", "Author:8"]
ERRORS = ["disk full", "timeout after 5 s", {"class": "pkg.Boom"}, "timeout after 70 s"]


class World:
    """A store under change: every job ever made, by id, and the clock."""

    def __init__(self, random: Random, frozen: FrozenClock) -> None:
        self.random = random
        self.clock = frozen
        self.ids: list[str] = []

    def tick(self) -> None:
        """Some time passes: mostly little, sometimes much, sometimes none."""
        self.clock.tick(timedelta(microseconds=self.random.choice([0, 1, 1, 7, 950, 31_000, 1_000_000, 86_400_000_000])))

    def create(self) -> None:
        pick, chance = self.random.choice, self.random.random
        resources = self.random.sample(RESOURCES, self.random.randrange(4))
        own = f"own-{len(self.ids)}" if chance() < 0.15 else None
        made = statuses.create(
            job_name=pick([*NAMES, None]),
            queue=pick(["q1", "q2", None]),
            user=pick(["ann", "bob", "eve", None]),
            engine=pick(["celery", None]),
            job_args={f"a{n}": text for n, text in enumerate(resources)} | ({"again": resources * 2} if chance() < 0.3 else {}),
            provider_job_id=pick([f"p{len(self.ids)}", "shared", None]),
            parent=pick([self.ids[0] if self.ids else "none", None, None]),
            depends_on=pick([self.ids[-3:], ["none", "shared"], None, None]),
            root=pick([self.ids[0] if self.ids else "none", None, None]),
            id=own,
            state=pick([*State]),
        )
        self.ids.append(made.id)

    def load(self) -> None:
        """A few jobs with times of their own, before and after everything else."""
        before = {job.id for job in self.jobs()}
        records = []
        for _ in range(self.random.randrange(1, 6)):
            at = clock.to_us(self.clock.now) - self.random.randrange(10**13)
            record: dict[str, Any] = {"job_name": self.random.choice(NAMES), "recorded_at": at}
            record["job_args"] = {"b": self.random.choice(RESOURCES)}
            for name in ("queued_at", "started_at", "failed_at", "succeeded_at", "kill_requested_at"):
                if self.random.random() < 0.6:
                    record[name] = at + self.random.choice([-5, 0, 1, 10**6, self.random.randrange(10**12)])
            record["state"] = self.random.choice([*State]).value
            records.append(record)
        try:
            statuses.load(records)
        except ValueError:
            return
        self.ids += [id for id in statuses.all().ids() if id not in before]

    def change(self) -> None:
        """Something happens to one job."""
        if not self.ids:
            return
        status = statuses.find(self.random.choice(self.ids))
        if status is None:
            return
        pick = self.random.choice
        verbs = [
            lambda: getattr(status, pick([*State]).value)(),
            lambda: getattr(status, pick([*State]).value)(),
            lambda: status.started(worker=pick(["w1", "w2"])),
            lambda: status.add_error(pick(ERRORS)),
            lambda: status.heartbeat(),
            lambda: status.request_kill(),
            lambda: status.requeued(),
            lambda: status.set_job_name(pick([*NAMES, f"new-{self.random.randrange(50)}"])),
            lambda: status.set_job_args({"x": pick([*RESOURCES, f"Page:{self.random.randrange(50)}"])}),
            lambda: status.set_user(pick(["ann", "zoe", None])),
            lambda: status.set_provider_job_id("shared"),
            lambda: status.delete(force=True) if self.random.random() < 0.3 else None,
            lambda: statuses.where(id=status.id).delete_all(only_ended=True, undo_for=timedelta(hours=1)),
        ]
        with suppress(StatusNotFound):
            pick(verbs)()

    def next_segment(self) -> None:
        """New jobs go to another segment from now on."""
        here = current()
        family = self.random.randrange(len(here.families))
        number = here.current.get(family)
        if number is not None:
            segmentscripts.next_segment(here, family, number)

    def live(self, steps: int) -> None:
        for _ in range(steps):
            self.tick()
            (self.random.choices([self.create, self.change, self.load, self.next_segment], [8, 12, 0.7, 0.7])[0])()

    def jobs(self) -> list["Job"]:
        """Everything that lives, each read by its own id."""
        found = (statuses.find(id) for id in self.ids)
        return [Job(status) for status in found if status is not None]


def creation(place: Place, recorded: int) -> tuple[int, ...]:
    """What is larger for a job that was created later."""
    return (recorded if len(current().families) > 1 else 0, place.segment, place.row, place.family)


class Job:
    """What a loaded status says."""

    def __init__(self, status: statuses.Status) -> None:
        self.id = status.id
        self.state = status.state
        self.texts = {name: getattr(status, "error_group" if name == "error" else name) for name in DICTIONARIES}
        self.resources = {t for value in status.job_args.values() for t in (value if isinstance(value, list) else [value])}
        self.provider_job_id, self.parent, self.root = status.provider_job_id, status.parent, status.root
        self.depends_on = status.depends_on
        self.moments = {name: None if (at := getattr(status, name)) is None else clock.to_us(at) for name in MOMENTS}
        self.spans = {name: getattr(status, name) for name in SPANS}
        self.created = creation(status._place(), clock.to_us(status.recorded_at))
        self.is_stale = status.is_stale

    def value(self, name: str) -> Any:
        return self.spans[name] if name in SPANS else self.moments[name]

    def values(self, field: str) -> set[str]:
        return self.resources if field == "job_arg" else {self.texts[field]} - {None}

    def matches(self, name: str, value: Any) -> bool:
        """One clause."""
        if name in ("kill_requested", "stale"):
            return (self.moments["kill_requested_at"] is not None if name == "kill_requested" else self.is_stale) is value
        if name in SPANS or name in MOMENTS:
            after, before = (value.get("after"), value.get("before")) if isinstance(value, dict) else value
            mine = self.value(name)
            return mine is not None and (after is None or mine >= after) and (before is None or mine <= before)
        wanted = set(value) if isinstance(value, list) else {value}
        if name == "state":
            return self.state in {state for word in wanted for state in GROUPS.get(word, {word})}
        if name == "id":
            return self.id in wanted
        if name == "depends_on":
            return bool(wanted & {*self.depends_on})
        mine = self.values(name) if name in (*DICTIONARIES, "job_arg") else {getattr(self, name)}
        return bool(mine & wanted)


Term = tuple[bool, dict[str, Any]]


def matching(jobs: list[Job], terms: list[Term]) -> list[Job]:
    return [job for job in jobs if all(all(job.matches(*clause) for clause in given.items()) is wanted for wanted, given in terms)]


def query(terms: list[Term]) -> statuses.query.Query:
    made = statuses.all()
    for wanted, given in terms:
        made = made.where(**given) if wanted else made.exclude(**given)
    return made


def random_terms(random: Random, jobs: list[Job], most: int = 2) -> list[Term]:
    def some() -> dict[str, Any]:
        return dict(random_clause(random, jobs) for _ in range(random.choice([1, 1, 1, 2])))

    return [(random.random() < 0.7, some()) for _ in range(random.randrange(most + 1))]


def random_clause(random: Random, jobs: list[Job]) -> tuple[str, Any]:
    name = random.choice(clauses.NAMES)
    if name in ("kill_requested", "stale"):
        return name, random.random() < 0.5
    if name in SPANS or name in MOMENTS:
        return name, _random_span(random, [job.value(name) for job in jobs if job.value(name) is not None], name in SPANS)
    if name == "state":
        options: list[Any] = [*State, *GROUPS]
    elif name == "id":
        options = [*(job.id for job in jobs), "nobody", "x:1", "01890a5d-ac96-8000-8000-000000000001"]
    elif name in DICTIONARIES or name == "job_arg":
        options = [*sorted({text for job in jobs for text in job.values(name)}), "never seen"]
    elif name == "depends_on":
        options = [*sorted({text for job in jobs for text in job.depends_on}), "none"]
    else:
        options = [*(getattr(job, name) for job in jobs if getattr(job, name)), "none"]
    if random.random() < 0.4:
        return name, random.choice(options)
    return name, random.sample(options, random.randrange(min(len(options), 5) + 1))


def _random_span(random: Random, values: list[Any], floats: bool) -> Any:
    def bound() -> Any:
        if random.random() < 0.25:
            return None
        near = random.choice(values) if values else 1_700_000_000_000_000
        return near + random.choice([0, 0, 1e-6, -1e-6, 5.0] if floats else [0, 0, 1, -1, 3_600_000_000])

    low, high = bound(), bound()
    if low is not None and high is not None and low > high and random.random() < 0.9:
        low, high = high, low
    return random.choice([(low, high), [low, high], {"after": low, "before": high}])


def counts(jobs: list[Job]) -> dict[State, int]:
    return {state: sum(job.state is state for job in jobs) for state in State}


def counts_by(jobs: list[Job], field: str, limit: int | None, order: str = "-total") -> list[tuple[Any, ...]]:
    holders: dict[str, list[Job]] = {}
    for job in jobs:
        for text in job.values(field):
            holders.setdefault(text, []).append(job)
    texts = sorted(holders, reverse=order == "-value")
    if (by := order.removeprefix("-")) != "value":
        texts.sort(key=lambda text: listed_by(holders[text], by), reverse=order.startswith("-"))
    found = []
    for text in texts[:limit]:
        mine = holders[text]
        moments = [at for job in mine if (at := job.moments["recorded_at"]) is not None]
        found.append((text, len(mine), counts(mine), min(moments), max(moments)))
    return found


def listed_by(jobs: list[Job], by: str) -> float:
    """The number that decides where the value of these jobs stands."""
    if by in SPANS:
        return durations(jobs, by)[5] or 0.0
    if by == "failure_rate":
        ended = sum(job.state in GROUPS["ended"] for job in jobs)
        return sum(job.state is State.failed for job in jobs) / ended if ended else 0.0
    return len(jobs) if by == "total" else sum(job.state == by for job in jobs)


def holding(values: Sequence[str], typed: str) -> tuple[list[str], list[str]]:
    """Those that begin with a text, and the others that hold it."""
    folded = typed.casefold()
    begin = [value for value in values if value.casefold().startswith(folded)]
    return begin, [value for value in values if folded in value.casefold() and value not in begin]


def facets(found: list[statuses.answers.FacetCount]) -> list[tuple[Any, ...]]:
    return [(f.value, f.total, dict(f.by_state), clock.to_us(f.first), clock.to_us(f.last)) for f in found]


def durations(jobs: list[Job], span: str) -> tuple[Any, ...]:
    values = sorted(round(job.spans[span] * 1e6) for job in jobs if job.spans[span] is not None)
    if not values:
        return (0, *[None] * 6)
    ranks = [values[math.ceil(len(values) * p / 100) - 1] / 1e6 for p in (50, 95, 99)]
    return (len(values), values[0] / 1e6, sum(values) / len(values) / 1e6, *ranks, values[-1] / 1e6)


def durations_tuple(found: statuses.answers.Durations) -> tuple[Any, ...]:
    return (found.n, found.min, found.avg, found.p50, found.p95, found.p99, found.max)


def durations_by(jobs: list[Job], field: str, span: str, limit: int | None) -> dict[str, tuple[Any, ...]]:
    timed = [job for job in jobs if job.spans[span] is not None]
    totals = Counter(text for job in timed for text in job.values(field))
    order = sorted(totals, key=lambda text: (-totals[text], text))[:limit]
    return {text: durations([job for job in timed if text in job.values(field)], span) for text in order}


def earliest_by(jobs: list[Job], field: str, on: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for job in jobs:
        at = job.moments[on]
        for text in job.values(field) if at is not None else ():
            found[text] = min(at, found.get(text, at))
    return found


def timeline(jobs: list[Job], on: str, edges: list[tuple[int, int]]) -> list[dict[State, int]]:
    """Counts in given buckets, the last one closed."""
    last = len(edges) - 1

    def inside(job: Job, number: int) -> bool:
        at = job.moments[on]
        return at is not None and edges[number][0] <= at and (at < edges[number][1] or (number == last and at == edges[number][1]))

    return [counts([job for job in jobs if inside(job, number)]) for number in range(len(edges))]


def in_order(jobs: list[Job], order: str) -> list[str]:
    name, sign = order.removeprefix("-"), -1 if order.startswith("-") else 1

    def key(job: Job) -> tuple[Any, ...]:
        value = job.value(name)
        return (value is None, 0 if value is None else sign * value, tuple(sign * part for part in job.created))

    return [job.id for job in sorted(jobs, key=key)]


def is_generated(id: str) -> bool:
    return decode(id) is not None
