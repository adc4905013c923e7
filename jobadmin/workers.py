"""The page of workers: who they are, what they take and run, what they did in the last hour, who is lost."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import statuses
from jobadmin import fleet
from jobadmin.controls import Button, buttons
from jobadmin.filters import JobFilter
from jobadmin.fleet import Fleet
from jobadmin.models import Operation
from jobadmin.redaction import redact_text
from statuses import FacetCount, State, Status
from statuses.engines.base import Worker

#: Workers on the page; the lost ones and those with the most running jobs first.
MOST = 200
#: Running jobs named for each, and looked for in all.
MOST_NAMED, MOST_LOOKED_AT = 3, 500
#: A lost worker that left nothing is told of this long.
LOST_FOR = timedelta(hours=1)
#: Stopped workers that did not come back are told of this long, and so many of them.
STOPPED_FOR, MOST_STOPPED = timedelta(days=1), 5


@dataclass(frozen=True, kw_only=True)
class WorkerRow:
    """One worker. Every number comes with the link to what it counts."""

    name: str
    about: Worker | None
    """What its engine tells; None where none does and jobs say that they run on it."""
    condition: str
    """`busy`, `idle`, `stopping`, `lost`, or `untold`."""
    queues: list[tuple[str, str]]
    """Name, and link to the jobs that wait in it."""
    url: str
    """Everything that ever ran on it."""
    running: int
    running_url: str
    named: list[Status]
    """Some of the jobs that run, the newest start first."""
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

    @property
    def alive(self) -> int:
        return sum(row.condition in ("busy", "idle", "stopping") for row in self.rows)

    @property
    def lost(self) -> list[WorkerRow]:
        """Those that left jobs behind."""
        return [row for row in self.rows if row.is_lost_with_jobs]


#: Order of the rows.
_ORDER = ("lost", "stopping", "busy", "untold", "idle")


def read(jobs: JobFilter, queue: str = "") -> Workers:
    """Every worker of every engine. `jobs`: a filter that says which moment is now.
    Source: what the engines tell; two counts by worker, the newest running jobs."""
    told = fleet.read(queues=False)
    running = _by_value(statuses.where(state=State.started).counts_by("worker", None))
    hour = _by_value(jobs.with_(by="started_at", span="1h").query.counts_by("worker", None))
    about = {worker.name: worker for worker in sorted(told.workers, key=lambda worker: worker.is_alive)}
    shown = [name for name in {**about, **running} if _is_shown(about.get(name), name in running, queue, jobs.now)]
    found = [_row(name, about.get(name), jobs, running, hour) for name in shown]
    found.sort(key=lambda row: (not row.is_lost_with_jobs, _ORDER.index(row.condition), -row.running, row.name))
    rows = found[:MOST]
    _name_jobs(rows)
    rows = [fleet.without_secrets(row) for row in rows]
    stopped = [] if queue else _stopped({worker.name for worker in told.workers if worker.is_alive}, jobs.now)
    return Workers(rows=rows, total=len(found), fleet=told, queue=queue, stopped=stopped)


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


def _row(name: str, about: Worker | None, jobs: JobFilter, running: Mapping[str, FacetCount], hour: Mapping[str, FacetCount]) -> WorkerRow:
    listed, lately = jobs.with_(queue=None, worker=name, span="all"), jobs.with_(queue=None, worker=name, by="started_at", span="1h")
    did = hour.get(name)
    runs = running[name].total if name in running else 0
    return WorkerRow(
        name=name,
        about=about,
        condition=_condition(about, runs),
        buttons=buttons(about) if about is not None else [],
        queues=[_queue(queue, jobs) for queue in (about.queues if about else ())],
        url=listed.url("list"),
        running=runs,
        running_url=listed.url("list", state="started"),
        named=[],
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


def _queue(queue: str, jobs: JobFilter) -> tuple[str, str]:
    shown = redact_text(queue)
    return shown, jobs.url("list", queue=queue, state="queued", span="all") if shown == queue else ""


def _condition(about: Worker | None, running: int) -> str:
    if about is None:
        return "untold"
    if not about.is_alive:
        return "lost"
    if about.is_stopping:
        return "stopping"
    return "busy" if running else "idle"


def _name_jobs(rows: Sequence[WorkerRow]) -> None:
    """Put the newest running jobs into their rows."""
    busy = [row.name for row in rows if row.running]
    if not busy:
        return
    found: dict[str, list[Status]] = defaultdict(list)
    for status in statuses.where(state=State.started, worker=busy).order_by("-started_at").limit(MOST_LOOKED_AT):
        if status.worker and len(found[status.worker]) < MOST_NAMED:
            found[status.worker].append(status)
    for row in rows:
        row.named.extend(found[row.name])
