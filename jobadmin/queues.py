"""The page of queues: what waits in each and since when, who takes it, how fast."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import statuses
from jobadmin import delivery, depths, fleet
from jobadmin.controls import Button, buttons
from jobadmin.filters import JobFilter
from jobadmin.fleet import Fleet
from jobadmin.paths import queue_url
from jobadmin.redaction import redact_text
from jobadmin.seen import seen
from statuses import FacetCount, State

#: Queues on the page; those with the most waiting jobs.
MOST = 200
#: Notices on a page about some queues, for those in which most jobs wait.
MOST_NOTICES = 5
#: Minutes over which the speed is measured, where jobs are known that long; `spans` has a preset of that length.
SPEED_MINUTES = 15


@dataclass(frozen=True, kw_only=True)
class QueueRow:
    """One queue. Every number comes with the link to what it counts."""

    name: str
    url: str
    """Its page."""
    line: str
    """Path of the small chart of the last day, 100 by 26; empty where nothing waited."""
    area: str
    engines: tuple[str, ...]
    waiting: int
    waiting_url: str
    oldest_at: datetime | None
    """When the first of those that wait was queued."""
    ahead: int | None
    """Of those, how many living workers have taken from the broker without starting them; None: not known."""
    missing: int
    """Of those, how many are certainly neither in the broker's queue nor with a living worker."""
    missing_url: str
    """Those that wait, the first to come first: they are among them."""
    running: int
    running_url: str
    workers: int
    knows_workers: bool
    """Whether that is all: an engine that does not say now may have others."""
    workers_url: str
    is_unserved: bool
    """Jobs wait, and it is certain that no living worker takes them."""
    is_paused: bool
    """By every engine that has a queue of this name."""
    paused_in: tuple[str, ...]
    """The engines that paused theirs, where others did not: empty where all did, or none."""
    paused_at: datetime | None
    paused_by: str | None
    still_taking: int
    """Workers of an engine that paused it which take from it all the same: they have not heard of it yet."""
    buttons: list[Button]
    """What can be done to it."""
    per_minute: float
    speed_url: str
    started: int
    """In the last hour."""
    started_url: str
    failed: int
    """Of those."""
    failed_url: str
    wait_p95: float | None
    """Seconds those waited."""
    slowest_url: str


@dataclass(frozen=True, kw_only=True)
class Queues:
    """What the page shows."""

    rows: list[QueueRow]
    total: int
    """Queues in all."""
    fleet: Fleet
    speed_seconds: float
    """Over how long a time the speed is measured."""

    @property
    def unserved(self) -> list[QueueRow]:
        return [row for row in self.rows if row.is_unserved]

    @property
    def lacking(self) -> list[QueueRow]:
        """Queues with jobs that the broker does not have."""
        return [row for row in self.rows if row.missing]

    @property
    def missing(self) -> int:
        """Those jobs, in all queues."""
        return sum(row.missing for row in self.rows)


@dataclass(frozen=True, kw_only=True)
class _Counts:
    """Jobs by queue."""

    queued: Mapping[str, FacetCount]
    since: Mapping[str, datetime]
    """When the first of them was queued."""
    settled: Mapping[str, FacetCount]
    """Of those the ones that have waited for a while."""
    started: Mapping[str, FacetCount]
    lately: Mapping[str, FacetCount]
    hour: Mapping[str, FacetCount]
    waits: Mapping[str, statuses.Durations]
    seen: timedelta
    """What of the time of `lately` there was anything to see."""


def read(jobs: JobFilter, only: str | None = None) -> Queues:
    """Every queue of every engine, those without a worker first; or one of them. `jobs`: a filter that says which moment is now.
    Source: what the engines tell; five counts by queue and the store's bounds, no record; where nobody serves a queue one more;
    samples of a day."""
    told = fleet.read()
    counts = _count(jobs)
    names = {*(queue.name for queue in told.queues), *counts.queued, *counts.started, *counts.hour}
    # What waits, then what is alive: queues that nobody uses any more come last.
    order = (
        sorted(names, key=lambda name: (-_total(counts.queued, name), -_total(counts.hour, name), name))[:MOST]
        if only is None
        else [only]
        if only in names
        else []
    )
    drawn = depths.sparks(order)
    rows = [_row(name, jobs, told, counts, drawn[name]) for name in order]
    rows = [fleet.without_secrets(row) for row in sorted(rows, key=lambda row: not row.is_unserved)]
    return Queues(rows=rows, total=len(names), fleet=told, speed_seconds=counts.seen.total_seconds())


@dataclass(frozen=True, kw_only=True)
class Unserved:
    """A queue in which jobs wait that nobody takes, on a page about some queues."""

    name: str
    url: str
    """Its page; empty where the name holds a secret."""
    waiting: int
    oldest_at: datetime | None


def unserved(jobs: JobFilter, told: Fleet) -> list[Unserved]:
    """Of the queues that a filter asks for by name those with jobs that certainly no living worker takes; `told`: `fleet.of` it.
    Source: nothing where it asks for none; one count by queue; for each queue that no worker serves four more."""
    if not told.knowing:
        return []
    asked = JobFilter(at=jobs.now).with_(queue=jobs.tokens("queue"), state="queued", span="all").query
    waits = asked.report(counts_by={"queue": None}, earliest_by={"queue": "queued_at"})
    found = [one for one in waits.counts_by["queue"] if not told.serving(one.value) and fleet.is_meant(jobs, one.value)]
    stuck = [
        one
        for one in found
        if told.is_unserved(one.value, _engines_of(one.value), lambda one=one: moves(one.value, JobFilter(at=jobs.now)))
    ]
    rows = [
        Unserved(name=one.value, url=queue_url(one.value), waiting=one.total, oldest_at=waits.earliest_by["queue"].get(one.value))
        for one in stuck[:MOST_NOTICES]
    ]
    return [replace(row, name=redact_text(row.name), url="") if redact_text(row.name) != row.name else row for row in rows]


def moves(name: str, jobs: JobFilter) -> bool:
    """Whether somebody takes from a queue, as far as its jobs show."""
    there = statuses.where(queue=name)
    settled = there.where(state=State.queued, queued_at=(None, jobs.now - delivery.SETTLED)).count()
    return delivery.moves(lately(jobs.with_(queue=name)).query.count(), there.where(state=State.started).count(), settled)


def is_known(name: str) -> bool:
    """Whether a queue that nobody tells of any more, and in which nothing waits, is one all the same: jobs were in it, or are to be.
    Source: one small count; what the engines tell of their schedules."""
    return statuses.where(queue=name).exists() or any(schedule.queue == name for schedule in fleet.schedules()[0])


def _count(jobs: JobFilter) -> _Counts:
    now = statuses.where(state=[State.queued, State.started])
    hour = _hour(jobs).query.report(counts_by={"queue": None}, durations_by={"queue": ("wait_time", None)})
    queued = now.where(state=State.queued).report(counts_by={"queue": None}, earliest_by={"queue": "queued_at"})
    return _Counts(
        queued=_by_value(queued.counts_by["queue"]),
        since=queued.earliest_by["queue"],
        settled=_by_value(now.where(state=State.queued, queued_at=(None, jobs.now - delivery.SETTLED)).counts_by("queue", None)),
        started=_by_value(now.where(state=State.started).counts_by("queue", None)),
        lately=_by_value(lately(jobs).query.counts_by("queue", None)),
        hour=_by_value(hour.counts_by["queue"]),
        waits=hour.durations_by["queue"],
        seen=seen(timedelta(minutes=SPEED_MINUTES), jobs.now),
    )


def _by_value(found: list[FacetCount]) -> dict[str, FacetCount]:
    return {facet.value: facet for facet in found}


def _total(counts: Mapping[str, FacetCount], name: str) -> int:
    return counts[name].total if name in counts else 0


def _hour(jobs: JobFilter) -> JobFilter:
    return jobs.with_(by="started_at", span="1h")


def lately(jobs: JobFilter) -> JobFilter:
    """Those that started in the time over which the speed is measured."""
    return jobs.with_(by="started_at", span=f"{SPEED_MINUTES}m")


def _row(name: str, jobs: JobFilter, told: Fleet, counts: _Counts, drawn: tuple[str, str]) -> QueueRow:
    listed, hour = jobs.with_(queue=name, span="all"), _hour(jobs).with_(queue=name)
    waiting, started, serving = _total(counts.queued, name), counts.hour.get(name), told.serving(name)
    recent, running, settled = (_total(number, name) for number in (counts.lately, counts.started, counts.settled))
    queues = [queue for queue in told.queues if queue.name == name]
    paused = [queue for queue in queues if queue.is_paused]
    pausing = {queue.engine for queue in paused}
    found = delivery.of(name, told, waiting=waiting, settled=settled, is_moving=bool(recent))
    return QueueRow(
        name=name,
        url=queue_url(name),
        line=drawn[0],
        area=drawn[1],
        engines=tuple(sorted({queue.engine for queue in queues} | {worker.engine for worker in serving})),
        waiting=waiting,
        waiting_url=listed.url("list", state="queued"),
        oldest_at=counts.since.get(name),
        ahead=found.ahead if found else None,
        missing=found.missing if found else 0,
        missing_url=listed.url("list", state="queued", sort="queued_at"),
        running=running,
        running_url=listed.url("list", state="started"),
        workers=len(serving),
        knows_workers=not told.silent,
        workers_url=jobs.url("workers", queue=name),
        is_unserved=bool(waiting and not serving)
        and told.is_unserved(name, _engines_of(name), lambda: delivery.moves(recent, running, settled)),
        is_paused=bool(paused) and len(paused) == len(queues),
        paused_in=tuple(sorted(pausing)) if len(paused) < len(queues) else (),
        paused_at=next((queue.paused_at for queue in paused if queue.paused_at), None),
        paused_by=next((queue.paused_by for queue in paused if queue.paused_by), None),
        still_taking=sum(worker.engine in pausing for worker in told.taking(name)),
        buttons=[button for queue in queues for button in buttons(queue, is_told=len(queues) > 1)],
        per_minute=recent / (counts.seen / timedelta(minutes=1)),
        speed_url=lately(jobs).with_(queue=name).url("list"),
        started=started.total if started else 0,
        started_url=hour.url("list"),
        failed=started.by_state[State.failed] if started else 0,
        failed_url=hour.url("list", state="failed"),
        wait_p95=counts.waits[name].p95 if name in counts.waits else None,
        slowest_url=hour.url("list", sort="-wait_time"),
    )


def _engines_of(queue: str) -> list[str]:
    """Engines of the jobs that wait in a queue."""
    return [found.value for found in statuses.where(queue=queue, state=State.queued).counts_by("engine", None)]
