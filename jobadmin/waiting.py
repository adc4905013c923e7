"""Why a job has not started yet: what stands before it in its queue, how fast that drains, and what it depends on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.formats import number_format
from django.utils.translation import gettext as _

import statuses
from jobadmin import delivery, fleet
from jobadmin.answers import LATELY
from jobadmin.filters import JobFilter
from jobadmin.redaction import redact_text
from jobadmin.seen import seen
from statuses import Query, Status

#: How far back the speed of a queue is measured, where jobs are known that long.
DRAIN_SPAN = timedelta(minutes=10)

#: Jobs that one depends on which are looked for and listed.
MOST_AWAITED = 20


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What the note at the top of a waiting job's page says."""

    awaited: int
    """Jobs it depends on that have not ended."""
    ahead: int | None = None
    """Queued before it in the same queue; None where it is in none."""
    ahead_url: str = ""
    running: int = 0
    """Jobs of its queue that run now."""
    running_url: str = ""
    workers: int = 0
    """Different workers that run them."""
    per_second: float = 0.0
    """Jobs of the queue started a second, lately."""
    measured: float = DRAIN_SPAN.total_seconds()
    """Seconds over which that is."""
    missing: int = 0
    """Jobs of its queue that are neither in the broker nor with a living worker; it may be one of them."""
    missing_url: str = ""
    is_unserved: bool = False
    """Whether it is certain that no living worker takes from its queue."""
    is_paused: bool = False
    """Whether its engine holds the queue."""
    paused_at: datetime | None = None
    paused_by: str | None = None
    is_silent: bool = False
    """Whether its engine could not tell now who takes from its queue."""

    @property
    def is_held(self) -> bool:
        """Whether it is not its turn alone that it waits for, or may not be."""
        return self.is_paused or self.is_unserved or self.is_silent

    @property
    def seconds(self) -> float | None:
        """When its turn should come at that speed; None: no ground to say."""
        if self.ahead is None or not self.per_second or self.is_paused or self.is_unserved:
            return None
        return (self.ahead + 1) / self.per_second

    @property
    def speed(self) -> str:
        """Jobs a second, a minute or an hour: whichever gives a number of at least one."""
        second, minute, hour = self.per_second, self.per_second * 60, self.per_second * 3600
        if second >= 1:
            return _("%(n)s a second") % {"n": _figure(second)}
        return _("%(n)s a minute") % {"n": _figure(minute)} if minute >= 1 else _("%(n)s an hour") % {"n": _figure(hour)}


def _figure(number: float) -> str:
    return number_format(number, decimal_pos=1 if number < 10 else 0)


def why(status: Status, awaited: Sequence[Status], now: datetime) -> Waiting | None:
    """What keeps a job from starting; None once it has started.
    Source: four counts over its queue and the store's bounds, no record; what its engines tell of their workers and queues."""
    if not (status.is_queued or status.is_unqueued):
        return None
    still = sum(1 for job in awaited if not job.is_ended)
    if not status.queue:
        return Waiting(awaited=still)
    in_queue, listed = statuses.where(queue=status.queue), JobFilter().with_(queue=status.queue, span="all")
    running = in_queue.where(state="started").report(count=True, counts_by={"worker": 1})
    started = in_queue.where(started_at=(now - DRAIN_SPAN, None)).count()
    measured = seen(DRAIN_SPAN, now).total_seconds()
    is_open = redact_text(status.queue) == status.queue  # a secret stands in no address
    told = fleet.read(manner=LATELY) if status.is_queued else fleet.Fleet()
    missing = _missing(status.queue, in_queue.where(state="queued"), told, started, now)
    paused = next((queue for queue in told.queues if queue.is_paused and (queue.name, queue.engine) == (status.queue, status.engine)), None)
    moves = delivery.moves(started, running.total or 0, bool(status.queued_at and status.queued_at <= now - delivery.SETTLED))
    before = status.queued_at - timedelta(microseconds=1) if status.queued_at else None
    return Waiting(
        awaited=still,
        ahead=in_queue.where(state="queued", queued_at=(None, before)).count() if before else None,
        ahead_url=listed.url("list", state="queued", by="queued_at", to=before) if before and is_open else "",
        running=running.total or 0,
        running_url=listed.url("list", state="started") if is_open else "",
        workers=running.distinct["worker"],
        per_second=started / measured,
        measured=measured,
        missing=missing,
        missing_url=listed.url("list", state="queued", sort="queued_at") if missing and is_open else "",
        is_unserved=status.is_queued and told.is_unserved(status.queue, [status.engine], lambda: moves),
        is_paused=paused is not None,
        paused_at=paused.paused_at if paused else None,
        paused_by=paused.paused_by if paused else None,
        is_silent=status.engine in told.silent,
    )


def _missing(queue: str, waiting: Query, told: fleet.Fleet, started: int, now: datetime) -> int:
    """Source: one count, where an engine tells how long the queue is."""
    if not any(line.name == queue and line.depth is not None for line in told.queues):
        return 0
    settled = waiting.where(queued_at=(None, now - delivery.SETTLED)).count()
    found = delivery.of(queue, told, waiting=settled, settled=settled, is_moving=bool(started))
    return found.missing if found else 0


def awaited_by(status: Status) -> list[Status]:
    """Jobs that one depends on, known by our id or by the engine's; at most MOST_AWAITED."""
    wanted = list(status.depends_on or ())[:MOST_AWAITED]
    if not wanted:
        return []
    found: dict[str, Status] = {}
    for clause in ("id", "provider_job_id"):
        found.update((job.id, job) for job in statuses.where(**{clause: wanted}).limit(MOST_AWAITED))
    return list(found.values())


def is_awaited(status: Status) -> bool:
    """Whether any job waits for this one, or has it for its root."""
    names = [name for name in (status.id, status.provider_job_id) if name]
    return any(statuses.where(**{clause: names}).exists() for clause in ("depends_on", "root"))
