"""What Huey's consumer sends again and again: the periodic tasks of its registry. A rule is a function of a moment; those that
`crontab` made keep their numbers in their closure, any other is tried minute by minute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..base import Schedule
from .messages import name_of

#: How far a rule that is no crontab is tried, and how many days a crontab's next one is looked for: 29 February.
TRIED, MOST_DAYS = timedelta(days=2), 366 * 8
_MINUTE = timedelta(minutes=1)
#: Order of `crontab`'s sets: month, day, weekday (0 Sunday), hour, minute, each with what it may hold.
_WHOLE = (range(1, 13), range(1, 32), range(7), range(24), range(60))

Sets = tuple[frozenset[int], ...]


def schedules(huey: Any, engine: str) -> list[Schedule]:
    """Its periodic tasks. One question to its storage: whether they are revoked."""
    return [_read(huey, task, engine) for task in huey._registry.periodic_tasks]


def _read(huey: Any, task: Any, engine: str) -> Schedule:
    # Huey asks its rules in the zone it works in: UTC, or this machine's.
    now = huey._get_timestamp()
    sets = _crontab(task)
    found = _next(sets, now) if sets is not None else _tried(task, now)
    zone = UTC if huey.utc else datetime.now().astimezone().tzinfo
    return Schedule(
        name=name_of(task),
        job_name=name_of(task),
        engine=engine,
        cron=_text(sets) if sets is not None else None,
        rule="" if sets is not None else "by a function of its own",
        time_zone="UTC" if huey.utc else None,
        queue=huey.name,
        next_at=found.replace(tzinfo=zone) if found is not None else None,
        is_enabled=not huey.is_revoked(task),
    )


def _cells(function: Any) -> Mapping[str, Any]:
    code, closure = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    return dict(zip(code.co_freevars, (cell.cell_contents for cell in closure), strict=True)) if code and closure else {}


def _crontab(task: Any) -> Sets | None:
    """The numbers of the rule, None where `crontab` did not make it."""
    rule = _cells(type(task).validate_datetime).get("validate_datetime")
    settings = _cells(rule).get("cron_settings")
    if not isinstance(settings, list) or len(settings) != len(_WHOLE):
        return None
    month, day, weekday, hour, minute = map(frozenset, settings)
    return month, day, frozenset(number % 7 for number in weekday), hour, minute  # Sunday is 7, too


def _next(sets: Sets, now: datetime) -> datetime | None:
    """The first minute after this one that fits."""
    months, days, weekdays, hours, minutes = sets
    day, first = now.date(), (now.hour, now.minute)
    for _ in range(MOST_DAYS):
        if day.month in months and day.day in days and day.isoweekday() % 7 in weekdays:
            times = ((hour, minute) for hour in sorted(hours) for minute in sorted(minutes))
            found = next((time for time in times if time > first), None)
            if found is not None:
                return datetime(day.year, day.month, day.day, *found)
        day, first = day + timedelta(days=1), (-1, -1)
    return None


def _tried(task: Any, now: datetime) -> datetime | None:
    moment = now.replace(second=0, microsecond=0)
    for _ in range(TRIED // _MINUTE):
        moment += _MINUTE
        if task.validate_datetime(moment):
            return moment.replace(tzinfo=None)
    return None


def _text(sets: Sets) -> str:
    """As one writes it: minute, hour, day, month, weekday."""
    month, day, weekday, hour, minute = (_field(numbers, whole) for numbers, whole in zip(sets, _WHOLE, strict=True))
    return f"{minute} {hour} {day} {month} {weekday}"


def _field(numbers: frozenset[int], whole: range) -> str:
    if numbers == frozenset(whole):
        return "*"
    step = next((step for step in range(2, len(whole)) if len(numbers) > 1 and numbers == frozenset(whole[::step])), None)
    return f"*/{step}" if step else ",".join(map(str, sorted(numbers)))
