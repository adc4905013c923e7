"""The page of workers: who they are, what they take and run, what they did in the last hour, who is lost."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

import statuses
from jobadmin import fleet, standstill
from jobadmin import upkeep as chores
from jobadmin.controls import Button, buttons
from jobadmin.filters import JobFilter
from jobadmin.fleet import Fleet
from jobadmin.models import Operation
from jobadmin.redaction import redact_text
from jobadmin.standstill import Nobody
from jobadmin.upkeep import Upkeep
from statuses import FacetCount, Query, State, Status
from statuses.engines import registry
from statuses.engines.base import Worker

#: Workers on the page; the lost ones and those with the most running jobs first.
MOST = 200
#: Running jobs named for each, and looked for in all.
MOST_NAMED, MOST_LOOKED_AT = 3, 500
#: A lost worker that left nothing is told of this long.
LOST_FOR = timedelta(hours=1)
#: Stopped workers that did not come back are told of this long, and so many of them.
STOPPED_FOR, MOST_STOPPED = timedelta(days=1), 5


class Taken(NamedTuple):
    """A queue that a worker takes from."""

    name: str
    url: str
    """The jobs that wait in it; empty where the name holds a secret."""
    is_paused: bool


@dataclass(frozen=True, kw_only=True)
class WorkerRow:
    """One worker. Every number comes with the link to what it counts."""

    name: str
    about: Worker | None
    """What its engine tells; None where none does and jobs say that they run on it."""
    condition: str
    """`busy`, `idle`, `stopping`, `lost`, or `untold`."""
    queues: list[Taken]
    url: str
    """Everything that ever ran on it."""
    running: int
    """Jobs it runs itself."""
    running_url: str
    named: list[Status]
    """Some of them, the newest start first."""
    left: int
    """Started jobs of a worker of this name that is gone: they started before this one came up."""
    left_url: str
    left_named: list[Status]
    """Some of those."""
    since: datetime | None
    """Its own jobs started then or later; None: all that are said to run on it are its own."""
    started: int
    """In the last hour."""
    started_url: str
    succeeded: int
    succeeded_url: str
    failed: int
    failed_url: str
    since_url: str
    """Everything it started since it came up; empty where that moment is not known."""
    buttons: list[Button]
    """What can be done to it."""

    @property
    def is_lost_with_jobs(self) -> bool:
        return self.condition == "lost" and self.running > 0


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """A worker that somebody stopped from here, and that is not there any more."""

    name: str
    at: datetime
    by: str
    reason: str
    operation: int
    """Where the record of it stands."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """What the page shows."""

    rows: list[WorkerRow]
    total: int
    """Workers in all."""
    fleet: Fleet
    queue: str
    """Only those that take from this queue; empty: all."""
    stopped: list[Stopped]
    """Those that were stopped from here and did not come back, the last first."""
    upkeep: Upkeep
    """Who keeps the store in order."""
    nobody: Nobody | None
    """That none is alive while jobs wait."""

    @property
    def tells_upkeep(self) -> bool:
        """Whether there is something to tell of it: a chore, or workers that nobody looks after."""
        return bool(self.upkeep.rows or self.rows or registry.all()) and not self.queue

    @property
    def alive(self) -> int:
        return sum(row.condition in ("busy", "idle", "stopping") for row in self.rows)

    @property
    def lost(self) -> list[WorkerRow]:
        """Those that left jobs behind."""
        return [row for row in self.rows if row.is_lost_with_jobs]


_MICROSECOND = timedelta(microseconds=1)

#: Order of the rows.
_ORDER = ("lost", "stopping", "busy", "untold", "idle")


def read(jobs: JobFilter, queue: str = "") -> Workers:
    """Every worker of every engine, as of now.
    Source: the version of the store; what the engines tell; two counts by worker, the newest running jobs; one more look for each
    worker that came up after a job that is said to run on it had started."""
    seen = statuses.version()
    jobs = replace(jobs, at=seen.at)
    told = fleet.read(queues=False)
    started = statuses.where(state=State.started).report(counts_by={"worker": None}, earliest_by={"worker": "started_at"})
    running, earliest = _by_value(started.counts_by["worker"]), started.earliest_by["worker"]
    hour = _by_value(jobs.with_(by="started_at", span="1h").query.counts_by("worker", None))
    about = {worker.name: worker for worker in sorted(told.workers, key=lambda worker: worker.is_alive)}
    shown = [name for name in {**about, **running} if _is_shown(about.get(name), name in running, queue, jobs.now)]
    left = {name: _left(about.get(name), earliest.get(name)) for name in shown}
    found = [_row(name, about.get(name), jobs, running, hour, left[name], seen.paused) for name in shown]
    found.sort(key=lambda row: (not row.is_lost_with_jobs, _ORDER.index(row.condition), -row.running, row.name))
    rows = found[:MOST]
    _name_jobs(rows)
    rows = [fleet.without_secrets(row) for row in rows]
    stopped = [] if queue else _stopped({worker.name for worker in told.workers if worker.is_alive}, jobs.now)
    upkeep = chores.read(seen.upkeep, seen.at)
    nobody = None if queue else standstill.nobody(told, jobs.now)
    return Workers(rows=rows, total=len(found), fleet=told, queue=queue, stopped=stopped, upkeep=upkeep, nobody=nobody)


def _stopped(alive: set[str], now: datetime) -> list[Stopped]:
    """What the record of operations tells of workers that are gone.  Source: one query of the database."""
    orders = Operation.objects.filter(action=Operation.Action.STOP_WORKER, changed=1, created_at__gte=now - STOPPED_FOR)
    found: dict[str, Stopped] = {}
    for order in orders.order_by("-created_at")[: 10 * MOST_STOPPED]:
        name = order.description.partition(": ")[2]
        if name not in alive and name not in found:
            found[name] = Stopped(
                name=redact_text(name), at=order.created_at, by=order.username, reason=redact_text(order.reason), operation=order.pk
            )
    return list(found.values())[:MOST_STOPPED]


def _by_value(found: list[FacetCount]) -> dict[str, FacetCount]:
    return {facet.value: facet for facet in found}


def _is_shown(about: Worker | None, runs: bool, queue: str, now: datetime) -> bool:
    if queue:
        return about is not None and about.is_alive and not about.is_stopping and queue in about.queues
    if runs or about is None or about.is_alive:
        return True
    return about.seen_at is None or now - about.seen_at <= LOST_FOR


def _left(about: Worker | None, earliest: datetime | None) -> tuple[datetime | None, int]:
    """Since when the jobs of a worker are its own, and how many of its name are of one that is gone. What it says itself that it
    runs is its own, whatever the clocks say."""
    if about is None or not about.is_alive or about.started_at is None or earliest is None or earliest >= about.started_at:
        return None, 0
    before = _of(about.name, about.started_at)
    own = [status.started_at for status in before.where(id=list(about.running)).run() if status.started_at] if about.running else []
    since = min([about.started_at, *own])
    return since, _of(about.name, since).count()


def _of(worker: str, before: datetime) -> Query:
    return statuses.where(state=State.started, worker=worker, started_at=(None, before - _MICROSECOND))


def _row(
    name: str,
    about: Worker | None,
    jobs: JobFilter,
    running: Mapping[str, FacetCount],
    hour: Mapping[str, FacetCount],
    gone: tuple[datetime | None, int],
    paused: Collection[tuple[str, str]],
) -> WorkerRow:
    listed, lately = jobs.with_(queue=None, worker=name, span="all"), jobs.with_(queue=None, worker=name, by="started_at", span="1h")
    did = hour.get(name)
    since, left = gone if gone[1] else (None, 0)
    runs = (running[name].total if name in running else 0) - left
    now = listed.with_(state="started", **({"by": "started_at"} if since else {}))
    return WorkerRow(
        name=name,
        about=about,
        condition=_condition(about, runs),
        buttons=buttons(about) if about is not None else [],
        queues=[_taken(queue, about, jobs, paused) for queue in about.queues] if about else [],
        url=listed.url("list"),
        running=runs,
        running_url=now.with_(**{"from": since, "span": None}).url("list") if since else now.url("list"),
        named=[],
        left=left,
        left_url=now.with_(to=since - _MICROSECOND, span=None).url("list") if since else "",
        left_named=[],
        since=since,
        started=did.total if did else 0,
        started_url=lately.url("list"),
        succeeded=did.by_state[State.succeeded] if did else 0,
        succeeded_url=lately.url("list", state="succeeded"),
        failed=did.by_state[State.failed] if did else 0,
        failed_url=lately.url("list", state="failed"),
        since_url=_since(listed, about),
    )


def _since(listed: JobFilter, about: Worker | None) -> str:
    if about is None or about.started_at is None:
        return ""
    return listed.with_(**{"by": "started_at", "span": None, "from": about.started_at}).url("list")


def _taken(queue: str, about: Worker, jobs: JobFilter, paused: Collection[tuple[str, str]]) -> Taken:
    shown = redact_text(queue)
    url = jobs.url("list", queue=queue, state="queued", span="all") if shown == queue else ""
    return Taken(name=shown, url=url, is_paused=queue in about.held or (about.engine, queue) in paused)


def _condition(about: Worker | None, running: int) -> str:
    if about is None:
        return "untold"
    if not about.is_alive:
        return "lost"
    if about.is_stopping:
        return "stopping"
    return "busy" if running else "idle"


def _name_jobs(rows: Sequence[WorkerRow]) -> None:
    """Put the newest running jobs into their rows, no more than were counted: one may have started since."""
    busy = {row.name: row for row in rows if row.running or row.left}
    if not busy:
        return
    for status in statuses.where(state=State.started, worker=list(busy)).order_by("-started_at").limit(MOST_LOOKED_AT):
        row = busy.get(status.worker or "")
        if row is None:
            continue
        is_own = row.since is None or status.started_at is None or status.started_at >= row.since
        named, counted = (row.named, row.running) if is_own else (row.left_named, row.left)
        if len(named) < min(MOST_NAMED, counted):
            named.append(status)
