"""Jobs that share something with one job: a resource, the name, the error; and how jobs of its name did lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import statuses
from jobadmin.filters import JobFilter
from jobadmin.redaction import redact_text
from statuses import Durations, State, Status
from statuses.states import ENDED

#: How far back "usual for jobs of this name" looks; the words on the page say the same.
USUAL_SPAN = timedelta(days=7)

#: Resources of one job that are counted: the first with a list of its jobs, the others with the number alone.
MOST_RESOURCES = 5

#: Jobs of a name that must have run before anything is called usual.
LEAST_RUNS = 5


@dataclass(frozen=True, kw_only=True)
class Related:
    """The jobs that share one thing."""

    value: str
    """The resource or the name."""
    total: int
    url: str
    """List of all of them."""
    jobs: Sequence[Status]
    """The newest others."""
    shows_name: bool
    """Whether their names tell them apart, else their resources."""
    others: Sequence[tuple[str, int, str]] = ()
    """Further resources: text, number of jobs, list."""


@dataclass(frozen=True, kw_only=True)
class Usual:
    """How jobs of one name did within USUAL_SPAN."""

    ended: int
    failed: int
    run: Durations
    wait: Durations

    @property
    def run_seconds(self) -> float | None:
        """Median run time, where enough of them ran."""
        return self.run.p50 if self.run.n >= LEAST_RUNS else None


def related(status: Status, resources: Sequence[str], shown: int) -> list[Related]:
    """Other jobs of the first resource, and of the same name; the newest ``shown`` of each.
    Source: all counts from one read, and a page of records of each."""
    resources = list(dict.fromkeys(resources))[:MOST_RESOURCES]
    queries = {("resource", text): statuses.where(job_arg=text) for text in resources}
    if status.job_name:
        queries["name", status.job_name] = statuses.where(job_name=status.job_name)
    reports = statuses.together(*((query, {"count": True}) for query in queries.values()))
    totals = {shared: report.total or 0 for shared, report in zip(queries, reports, strict=True)}
    others = [(text, totals["resource", text], listed("resource", text)) for text in resources[1:]]
    return [
        Related(
            value=value,
            total=totals[parameter, value],
            url=listed(parameter, value),
            jobs=[job for job in query.limit(shown + 1).run() if job.id != status.id][:shown],
            shows_name=parameter == "resource",
            others=others if parameter == "resource" else (),
        )
        for (parameter, value), query in queries.items()
        if parameter == "name" or value == resources[0]
    ]


def usual(job_name: str | None, now: datetime) -> Usual | None:
    """How jobs of a name did lately; None without a name or where none ended.
    Source: one report; the span begins at a full hour, so that its partial results serve many pages."""
    if not job_name:
        return None
    after = now.replace(minute=0, second=0, microsecond=0) - USUAL_SPAN
    report = statuses.where(job_name=job_name, recorded_at=(after, None)).report(counts=True, durations=("run_time", "wait_time"))
    ended = sum(report.counts[state] for state in ENDED)
    if not ended:
        return None
    return Usual(ended=ended, failed=report.counts[State.failed], run=report.durations["run_time"], wait=report.durations["wait_time"])


def alike(status: Status) -> tuple[str, int] | None:
    """List and number of the other jobs with the error of this one; no address where the error holds a secret."""
    group = status.error_group
    if not group:
        return None
    total = statuses.where(error=group).count() - 1
    return (listed("error", group), total) if total > 0 else None


def listed(parameter: str, value: str) -> str:
    """Address of the list of all jobs, of any time, with one value; empty where it would hold a secret."""
    if redact_text(value) != value:
        return ""
    return JobFilter().with_(**{parameter: value}, span="all").url("list")
