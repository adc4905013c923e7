"""The page of schedules: which jobs come again by themselves, by which rule, when next, and what became of the last."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from django.utils import timezone
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext as _

import statuses
from jobadmin import fleet, formats, moments
from jobadmin.filters import JobFilter
from jobadmin.paths import queue_url
from jobadmin.redaction import redact_text
from statuses import FacetCount, State, Status
from statuses.engines import registry
from statuses.engines.base import Schedule

#: Schedules on the page; those that come next.
MOST = 200
#: A schedule is overdue when its moment passed longer ago than this: engines look about once a minute.
GRACE = timedelta(minutes=2)
#: Overdue schedules that are named above the table.
MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class ScheduleRow:
    """One schedule. Every number comes with the link to what it counts."""

    about: Schedule
    rule: str
    """In words."""
    exact: str
    """As the engine has it, where that is something else."""
    url: str
    """All of its jobs."""
    queue_url: str
    last: Status | None
    """Its newest job, of all that have its name."""
    is_overdue: bool
    day: int
    """Jobs of the last day."""
    day_url: str
    failed: int
    """Of those."""
    failed_url: str


@dataclass(frozen=True, kw_only=True)
class Schedules:
    """What the page shows."""

    rows: list[ScheduleRow]
    total: int
    silent: list[str]
    """Engines that have schedules and could not tell of them."""
    without: list[str]
    """Engines of this project that know no schedules."""

    @property
    def fleet(self) -> "Schedules":
        return self

    @property
    def overdue(self) -> list[ScheduleRow]:
        """Some of those that did not come, to be said loudly."""
        return [row for row in self.rows if row.is_overdue][:MOST_NAMED]

    @property
    def also_overdue(self) -> int:
        """How many more there are."""
        return sum(row.is_overdue for row in self.rows) - len(self.overdue)


def read(jobs: JobFilter) -> Schedules:
    """Every schedule of every engine, the overdue ones first, then by their next time. `jobs`: a filter that says which moment is now.
    Source: what the engines tell; one count by name, and the newest job of each name."""
    told, silent = fleet.schedules()
    order = sorted(told, key=lambda found: (not found.is_enabled, found.next_at is None, found.next_at or jobs.now, found.name))
    shown = order[:MOST]
    names = sorted({schedule.job_name for schedule in shown})
    lately = jobs.with_(span="24h").query.where(job_name=names).counts_by("job_name", None) if names else []
    day = {facet.value: facet for facet in lately}
    newest = {name: statuses.where(job_name=name).order_by("-recorded_at").first() for name in names}
    without = [engine.name for engine in registry.all() if not engine.has_schedules]
    return Schedules(rows=[_row(schedule, jobs, day, newest) for schedule in shown], total=len(told), silent=silent, without=without)


def _row(schedule: Schedule, jobs: JobFilter, day: Mapping[str, FacetCount], newest: Mapping[str, Status | None]) -> ScheduleRow:
    listed, lately = jobs.with_(name=schedule.job_name, span="all"), jobs.with_(name=schedule.job_name, span="24h")
    counted = day.get(schedule.job_name)
    rule, exact = words(schedule)
    is_open = redact_text(schedule.job_name) == schedule.job_name  # a secret stands in no address
    return ScheduleRow(
        about=_shown(schedule),
        rule=rule,
        exact=exact,
        url=listed.url("list") if is_open else "",
        queue_url=queue_url(schedule.queue) if schedule.queue and redact_text(schedule.queue) == schedule.queue else "",
        last=newest[schedule.job_name],
        is_overdue=bool(schedule.is_enabled and schedule.next_at and schedule.next_at < jobs.now - GRACE),
        day=counted.total if counted else 0,
        day_url=lately.url("list") if is_open else "",
        failed=counted.by_state[State.failed] if counted else 0,
        failed_url=lately.url("list", state="failed") if is_open else "",
    )


def _shown(schedule: Schedule) -> Schedule:
    queue = redact_text(schedule.queue) if schedule.queue else schedule.queue
    return replace(schedule, name=redact_text(schedule.name), job_name=redact_text(schedule.job_name), queue=queue)


def words(schedule: Schedule) -> tuple[str, str]:
    """The rule in words, and as its engine has it where that says it otherwise."""
    if schedule.is_once:
        return _("once"), ""
    if schedule.every_seconds is not None:
        return _("every %(time)s") % {"time": formats.every(timedelta(seconds=schedule.every_seconds))}, ""
    if schedule.cron is None:
        return schedule.rule, ""
    zone = f" {schedule.time_zone}" if schedule.time_zone else ""
    said = _cron(schedule.cron.split())
    if not said:
        return f"{schedule.cron}{zone}", ""
    return f"{said}{zone}" if re.search(r"\d:\d", said) or _has_other_minutes(schedule.cron) else said, f"{schedule.cron}{zone}"


def _has_other_minutes(cron: str) -> bool:
    """Whether minute 7 of the rule is another one on the viewer's clock, which is not whole hours from others'."""
    offset = timezone.localtime(moments.now()).utcoffset() or timedelta()
    return cron.split()[0].isdigit() and bool(offset % timedelta(hours=1))


def _cron(fields: Sequence[str]) -> str:
    """The usual ones in words; empty for any other."""
    if len(fields) != 5:
        return ""
    minute, hour, day, month, weekday = fields
    if [hour, day, month, weekday] == ["*"] * 4:
        return _minutes(minute)
    time = f"{int(hour):02d}:{int(minute):02d}" if hour.isdigit() and minute.isdigit() else ""
    if not time or month != "*":
        return ""
    if (day, weekday) == ("*", "*"):
        return _("every day at %(time)s") % {"time": time}
    if day == "*" and re.fullmatch(r"[0-7](,[0-7])*", weekday):
        days = ", ".join(str(WEEKDAYS[(int(number) - 1) % 7]) for number in weekday.split(","))
        return _("%(days)s at %(time)s") % {"days": days, "time": time}
    if day.isdigit() and weekday == "*":
        return _("every month on day %(day)s at %(time)s") % {"day": day, "time": time}
    return ""


def _minutes(minute: str) -> str:
    if minute == "*":
        return _("every minute")
    step = re.fullmatch(r"\*/(\d+)", minute)
    if step and 60 % int(step[1]) == 0:
        return _("every %(time)s") % {"time": formats.every(timedelta(minutes=int(step[1])))}
    return _("every hour at minute %(minute)s") % {"minute": minute} if minute.isdigit() else ""
