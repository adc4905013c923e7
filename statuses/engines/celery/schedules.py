"""What Celery's beat sends again and again, from where beat reads it itself: nobody is asked.

Beat tells nobody when it sent what: the newest job of a task's name stands for its last run. The tables of django-celery-beat, where this
process has them, keep such moments too, some minutes late: the later of both counts. An entry there stands for that of its name in
the configuration, as its scheduler has it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from celery.schedules import crontab, maybe_schedule
from celery.schedules import schedule as interval

from ..base import Schedule
from ..schedules import last_runs
from .adapter import Adapter

#: Schedules told of.
MOST = 200
_FIELDS = ("_orig_minute", "_orig_hour", "_orig_day_of_month", "_orig_month_of_year", "_orig_day_of_week")


def schedules(adapter: Adapter) -> list[Schedule]:
    """The entries of `beat_schedule` and of django-celery-beat, by name. Raises: StoreUnavailable.
    Source: the configuration; one query of the database where there are such tables; one count by job name."""
    configured = {str(name): entry for name, entry in (adapter.app.conf.beat_schedule or {}).items()}
    kept = adapter.guard.run("reading the tables of django-celery-beat", _kept) or {}
    entries = sorted({**configured, **kept}.items())[:MOST]
    last = last_runs([str(entry["task"]) for _, entry in entries if "task" in entry])
    found = (adapter.guard.run(f"reading the schedule {name}", partial(_read, adapter, name, entry, last)) for name, entry in entries)
    return [schedule for schedule in found if schedule is not None]


def _kept() -> dict[str, dict[str, Any]]:
    """The periodic tasks of django-celery-beat, as entries of `beat_schedule` are. Nothing where it is none of this project's apps:
    Django alone loads its models."""
    models = sys.modules.get("django_celery_beat.models")
    if models is None:
        return {}
    rows = models.PeriodicTask.objects.select_related("interval", "crontab", "solar", "clocked").order_by("-enabled", "name")[:MOST]
    # Tables that were never made must not break the transaction that a page may run in.
    with sys.modules["django.db.transaction"].atomic(using=rows.db):
        return {row.name: _entry(row) for row in rows}


def _entry(row: Any) -> dict[str, Any]:
    options = {name: getattr(row, name) for name in ("queue", "exchange", "routing_key") if getattr(row, name)}
    began, start = _aware(row.last_run_at), _aware(row.start_time)
    return {
        "task": row.task,
        "schedule": row.schedule,
        "options": options,
        "enabled": row.enabled,
        "last": began or (start if start and start > datetime.now(UTC) else None),
    }


def _aware(moment: datetime | None) -> datetime | None:
    """Without `USE_TZ` the table holds the wall clock of `TIME_ZONE`, which Django makes that of the process."""
    return moment.astimezone() if moment is not None and moment.tzinfo is None else moment


def _read(adapter: Adapter, name: str, entry: Mapping[str, Any], last: Mapping[str, datetime]) -> Schedule:
    task, options = str(entry["task"]), entry.get("options") or {}
    rule = maybe_schedule(entry["schedule"], entry.get("relative", False), app=adapter.app)
    runs = [moment for moment in (last.get(task), entry.get("last")) if moment is not None]
    return Schedule(
        name=str(name),
        job_name=task,
        engine=adapter.engine_name,
        **_words(rule),
        queue=_queue(adapter.app, task, options),
        next_at=_next(rule, max(runs, default=None)),
        is_enabled=entry.get("enabled", True),
    )


def _words(rule: Any) -> dict[str, Any]:
    if isinstance(rule, crontab):
        return {"cron": " ".join(str(getattr(rule, field)) for field in _FIELDS), "time_zone": str(rule.tz)}
    if hasattr(rule, "clocked_time"):  # of django-celery-beat
        return {"is_once": True}
    if type(rule) is interval:
        return {"every_seconds": rule.run_every.total_seconds()}
    return {"rule": str(rule)}


def _next(rule: Any, last: datetime | None) -> datetime | None:
    """After the last run; of one that never ran the next moment of its rule, and of a distance in time nobody knows."""
    if last is None and type(rule) is interval:
        return None
    now = datetime.now(UTC)
    try:
        left = rule.remaining_estimate(last or now)
    except Exception:  # a rule of the project's own, or one that needs a package this process has not
        return None
    return now + left if isinstance(left, timedelta) else None


def _queue(app: Any, task: str, options: Mapping[str, Any]) -> str | None:
    """Where beat will send it."""
    routed = app.amqp.router.route(dict(options), task, (), {})
    queue = routed.get("queue")
    return getattr(queue, "name", queue) or routed.get("routing_key")
