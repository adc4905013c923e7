"""The workflow of a job as it is drawn: its jobs gathered into steps, and the steps laid out.

A step is what stands at the same depth under the same name: eleven hundred jobs `mProject` are one box with one bar. Small
workflows, small steps and those that somebody opened show each job. A row of jobs of one name, each after the one
before, is one step as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

from jobadmin.filters import JobFilter
from jobadmin.parameters import MOST_VALUES
from statuses import State, Status, Workflow

#: Up to so many jobs each is drawn by itself.
ALL_SINGLE = 24
#: Jobs of one name and depth that are still drawn one by one in a larger workflow.
STEP_SINGLE = 3
#: Jobs of an opened step that are drawn; the rest stays one box.
OPENED_MOST = 60
#: Jobs of one name in a row from which on they are one step.
ROW_LEAST = 4
#: Boxes of one drawing: with more, every depth becomes a single box.
MOST_BOXES = 240

#: What is done first, so that bars fill from the left; the worst of a step is looked for from the right.
ORDER = (State.succeeded, State.started, State.queued, State.unqueued, State.unknown, State.killed, State.failed)
ENDED = (State.succeeded, State.failed, State.killed)


@dataclass(eq=False, kw_only=True)
class Step:
    """One box: a job, or several that stand side by side or in a row."""

    key: str
    """Names it in the address that opens it."""
    name: str
    """The job name; empty where several names, or jobs without one, are together."""
    names: int
    """How many different names."""
    first: int
    """Depth of its first jobs."""
    last: int
    """Depth of its last ones."""
    jobs: Sequence[Status]
    in_a_row: bool = False
    is_rest: bool = False
    """What of an opened step is not drawn one by one."""
    can_open: bool = False
    after: list[Step] = field(default_factory=list)
    """The steps it comes after."""
    x: float = 0
    y: float = 0
    is_critical: bool = False
    """Whether the workflow took as long as it did because of it."""

    @property
    def job(self) -> Status | None:
        """The one job of it; None for several."""
        return self.jobs[0] if len(self.jobs) == 1 and not self.is_rest else None

    @cached_property
    def counts(self) -> Mapping[State, int]:
        """Its jobs by state; those that occur."""
        found = Counter(job.state for job in self.jobs)
        return {state: found[state] for state in ORDER if found[state]}

    @property
    def state(self) -> State:
        """The one that asks most for attention."""
        return next(state for state in reversed(ORDER) if state in self.counts)

    @property
    def ended(self) -> int:
        return sum(self.counts.get(state, 0) for state in ENDED)

    @property
    def open(self) -> int:
        """Jobs that have not ended and can be asked to."""
        return len(self.jobs) - self.ended

    @property
    def failed(self) -> int:
        """Jobs that can be sent again: failed, killed or lost."""
        return sum(self.counts.get(state, 0) for state in (State.failed, State.killed, State.unknown))

    @property
    def seconds(self) -> float | None:
        """From its first start to its last end; None before."""
        return _seconds(self.jobs)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The steps of a workflow and what leads from one to another."""

    workflow: Workflow
    steps: Sequence[Step]
    links: Mapping[tuple[int, int], bool]
    """(index of the earlier step, of the later one) -> whether the later one waits for it, else was sent by it."""
    critical: frozenset[tuple[int, int]]
    """The links on the way that the end waited for."""

    @cached_property
    def counts(self) -> Mapping[State, int]:
        """All jobs by state; those that occur."""
        found = Counter(job.state for job in self.workflow.jobs)
        return {state: found[state] for state in ORDER if found[state]}

    @property
    def total(self) -> int:
        return len(self.workflow.jobs)

    @property
    def ended(self) -> int:
        return sum(self.counts.get(state, 0) for state in ENDED)

    @property
    def percent(self) -> int:
        """Whole percent done, 100 only when all have ended; one that runs counts by its own progress."""
        if self.ended == self.total:
            return 100
        running = sum(job.progress or 0.0 for job in self.workflow.jobs if job.is_started)
        return min(99, int(100 * (self.ended + running) / self.total))

    @property
    def seconds(self) -> float | None:
        """From the first start to the last end."""
        return _seconds(self.workflow.jobs)


def _seconds(jobs: Iterable[Status]) -> float | None:
    found = [(job.started_at, job.ended_at) for job in jobs]
    starts = [start for start, _ in found if start]
    ends = [end for _, end in found if end]
    return max(0.0, (max(ends) - min(starts)).total_seconds()) if starts and ends else None


def graph(workflow: Workflow, opened: Iterable[str] = ()) -> Graph:
    """The steps of a workflow, those in ``opened`` job by job, each after what it comes after."""
    steps, of = _steps(workflow, frozenset(opened))
    if len(steps) > MOST_BOXES:
        steps, of = _depths(workflow)
    links: dict[tuple[int, int], bool] = {}
    for edge in workflow.edges:
        pair = of[edge.before], of[edge.after]
        if pair[0] != pair[1]:
            links[pair] = links.get(pair, False) or edge.waits
    links = {pair: waits for pair, waits in links.items() if waits or not _goes_without_saying(pair, links)}
    for before, after in links:
        steps[after].after.append(steps[before])
    critical = critical_path(workflow)
    for number in critical:
        steps[of[number]].is_critical = len(critical) > 1
    way = frozenset((of[before], of[after]) for after, before in pairwise(critical))
    return Graph(workflow=workflow, steps=steps, links=links, critical=way)


def _goes_without_saying(pair: tuple[int, int], links: Mapping[tuple[int, int], bool]) -> bool:
    """Whether the later step waits for one that comes after the earlier: that who sent those sent it, too, needs no line."""
    sender, sent = pair
    return any(waits and after == sent and (sender, before) in links for (before, after), waits in links.items())


def _by_need(jobs: Sequence[Status], numbers: Iterable[int]) -> list[int]:
    """What asks most for attention first."""
    return sorted(numbers, key=lambda number: -ORDER.index(jobs[number].state))


def _steps(workflow: Workflow, opened: frozenset[str]) -> tuple[list[Step], list[int]]:
    """The steps in the order of their depth, and the step of each job."""
    together: dict[tuple[int, str], list[int]] = {}
    for number, job in enumerate(workflow.jobs):
        together.setdefault((workflow.depths[number], job.job_name or ""), []).append(number)
    single = len(workflow.jobs) <= ALL_SINGLE
    steps: list[Step] = []
    of = [0] * len(workflow.jobs)

    def add(numbers: Sequence[int], key: str, **more: Any) -> None:
        for number in numbers:
            of[number] = len(steps)
        depths = [workflow.depths[number] for number in numbers]
        jobs = [workflow.jobs[number] for number in numbers]
        names = {job.job_name or "" for job in jobs}
        name = jobs[0].job_name or "" if len(names) == 1 else ""
        steps.append(Step(key=key, name=name, names=len(names), first=min(depths), last=max(depths), jobs=jobs, **more))

    rows = {} if single else _rows(workflow, together)
    inside = {number for row in rows.values() for number in row[1:]}
    for (depth, name), numbers in sorted(together.items()):
        key = f"{depth}.{name}"
        if numbers[0] in inside and len(numbers) == 1:
            continue
        row = rows.get(numbers[0])
        if row is not None and key not in opened:
            add(row, key, in_a_row=True, can_open=len(row) <= OPENED_MOST)
            continue
        several = [numbers] if row is None else [[number] for number in row]
        for part in several:
            if single or len(part) <= STEP_SINGLE:
                for number in part:
                    add([number], f"{workflow.depths[number]}.{name}")
            elif key in opened:
                ordered = _by_need(workflow.jobs, part)
                for number in ordered[:OPENED_MOST]:
                    add([number], key)
                if len(part) > OPENED_MOST:
                    add(ordered[OPENED_MOST:], key, is_rest=True)
            else:
                add(part, key, can_open=True)
    return steps, of


def _rows(workflow: Workflow, together: Mapping[tuple[int, str], Sequence[int]]) -> dict[int, list[int]]:
    """First job -> the jobs of its name that follow it one by one, where nothing else leads in or out between them."""
    out = Counter(edge.before for edge in workflow.edges)
    rows: dict[int, list[int]] = {}
    row_of: dict[int, list[int]] = {}
    for (_, name), numbers in sorted(together.items()):
        if len(numbers) > 1:
            continue
        (number,) = numbers
        edges = workflow.before[number]
        before = edges[0].before if len(edges) == 1 else None
        if before in row_of and out[before] == 1 and (workflow.jobs[before].job_name or "") == name:
            row_of[before].append(number)
            row_of[number] = row_of[before]
        else:
            rows[number] = row_of[number] = [number]
    return {first: row for first, row in rows.items() if len(row) >= ROW_LEAST}


def _depths(workflow: Workflow) -> tuple[list[Step], list[int]]:
    """One step a depth, where steps by name would be too many; the deepest together where there are too many depths."""
    of = [min(depth, MOST_BOXES - 1) for depth in workflow.depths]
    inside: dict[int, list[Status]] = {}
    for number, job in enumerate(workflow.jobs):
        inside.setdefault(of[number], []).append(job)
    last = max(workflow.depths)
    steps = []
    for depth, jobs in sorted(inside.items()):
        names = {job.job_name or "" for job in jobs}
        name = jobs[0].job_name or "" if len(names) == 1 else ""
        end = last if depth == MOST_BOXES - 1 else depth
        steps.append(Step(key=f"{depth}.", name=name, names=len(names), first=depth, last=end, jobs=jobs, in_a_row=end > depth))
    return steps, of


def critical_path(workflow: Workflow) -> list[int]:
    """The jobs that the end waited for, the last first: from the one that ended last back to what it came after last.
    Empty until something has ended."""
    ended = [(job.ended_at, number) for number, job in enumerate(workflow.jobs) if job.ended_at]
    if not ended:
        return []
    path = [max(ended)[1]]
    seen = set(path)
    while True:
        edges = workflow.before[path[-1]]
        edges = [edge for edge in edges if edge.waits] or edges
        before = [(at, edge.before) for edge in edges if (at := workflow.jobs[edge.before].ended_at) and edge.before not in seen]
        if not before:
            return path
        path.append(max(before)[1])
        seen.add(path[-1])


def step_filter(anchor: str, step: Step) -> JobFilter:
    """The jobs of a step and no others: by workflow, depth and name."""
    if step.names == 1 and not step.name and len(step.jobs) <= MOST_VALUES:
        return JobFilter().with_(id=[job.id for job in step.jobs], span="all")  # no parameter asks for jobs without a name
    depth = str(step.first) if step.first == step.last else f"{step.first}-{step.last}"
    return JobFilter().with_(workflow=anchor, step=depth, name=step.name or None, span="all")
