"""Workers and queues as plain rows: what their pages show, for a shell and for programs."""

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext, ngettext

from jobadmin import formats
from jobadmin import queues as queues_page
from jobadmin import workers as workers_page
from jobadmin.filters import JobFilter
from jobadmin.fleet import Fleet
from jobadmin.redaction import redact_text
from jobadmin.upkeep import UpkeepRow


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one kind."""

    rows: list[dict[str, Any]]
    silent: list[str]
    """Engines that could not tell now."""
    warnings: list[str]
    """What somebody has to look after."""
    about: str
    """Of what time the numbers are."""
    upkeep: list[dict[str, Any]] = field(default_factory=list)
    """Who keeps the store in order, likewise."""


def workers() -> Rows:
    """Every worker there is, those that were lost with jobs first.  Source: see `workers.read`.  Raises: StoreUnavailable."""
    found = workers_page.read(JobFilter())
    rows = [
        {
            "worker": redact_text(row.name),
            "condition": row.condition,
            "engine": row.about.engine if row.about else None,
            "host": row.about.host if row.about else None,
            "pid": row.about.pid if row.about else None,
            "pool": row.about.pool if row.about else None,
            "concurrency": row.about.concurrency if row.about else None,
            "up_since": row.about.started_at if row.about else None,
            "seen_at": row.about.seen_at if row.about else None,
            "queues": [queue.name for queue in row.queues],
            "running": row.running,
            "jobs": [status.id for status in row.named],
            "left_behind": row.left,
            "started": row.started,
            "succeeded": row.succeeded,
            "failed": row.failed,
        }
        for row in found.rows
    ]
    lost = ngettext("%(count)d lost worker left jobs behind.", "%(count)d lost workers left jobs behind.", len(found.lost))
    warnings = [lost % {"count": len(found.lost)}] if found.lost else []
    warnings += [
        ngettext(
            "Worker %(worker)s: %(count)d job that is said to run on it is of an earlier worker of this name, which is gone.",
            "Worker %(worker)s: %(count)d jobs that are said to run on it are of an earlier worker of this name, which is gone.",
            row.left,
        )
        % {"worker": redact_text(row.name), "count": row.left}
        for row in found.rows
        if row.left
    ]
    without = []
    if found.tells_upkeep and found.upkeep.without_reaper:
        without = [f"{found.upkeep.without_reaper} {gettext('Run')} {found.upkeep.command}"]
    return Rows(
        rows=rows,
        silent=list(found.fleet.silent),
        warnings=[*warnings, *_of_silent(found.fleet), *found.upkeep.warnings, *without],
        about=gettext("Started and failed: in the last hour."),
        upkeep=[of_upkeep(row) for row in found.upkeep.rows],
    )


def of_upkeep(row: UpkeepRow) -> dict[str, Any]:
    """A chore of one process, as plain values."""
    about = row.about
    return {
        "chore": about.chore,
        "about": row.narrowed,
        "condition": row.condition,
        "host": about.host,
        "pid": about.pid,
        "ran_at": about.ran_at,
        "took_seconds": about.took_seconds,
        "every_seconds": about.every_seconds,
        "result": row.result,
        "did": dict(about.did),
        "did_at": about.did_at,
        "error": about.error or None,
        "ended_at": about.ended_at,
    }


def queues() -> Rows:
    """Every queue there is, those that nobody takes from first.  Source: see `queues.read`.  Raises: StoreUnavailable."""
    found = queues_page.read(JobFilter())
    rows = [
        {
            "queue": redact_text(row.name),
            "condition": _condition(row),
            "engines": list(row.engines),
            "waiting": row.waiting,
            "taken_ahead": row.ahead,
            "not_in_broker": row.missing,
            "oldest_at": row.oldest_at,
            "running": row.running,
            "workers": row.workers if row.workers or row.knows_workers else None,
            "paused_at": row.paused_at,
            "per_minute": round(row.per_minute, 2),
            "started": row.started,
            "failed": row.failed,
            "wait_p95": row.wait_p95,
        }
        for row in found.rows
    ]
    warnings = [
        gettext("Queue %(queue)s: %(count)d jobs wait, and no worker takes them.") % {"queue": redact_text(row.name), "count": row.waiting}
        for row in found.unserved
    ]
    warnings += [
        gettext("Queue %(queue)s: of the jobs that wait, %(count)d are not in the broker.")
        % {"queue": redact_text(row.name), "count": row.missing}
        for row in found.lacking
    ]
    about = gettext("Per minute: in the last %(span)s; wait_p95: seconds, of those that started in the last hour.")
    return Rows(
        rows=rows,
        silent=list(found.fleet.silent),
        warnings=[*warnings, *_of_silent(found.fleet)],
        about=about % {"span": formats.brief(found.speed_seconds)},
    )


def _condition(row: queues_page.QueueRow) -> str:
    if row.is_unserved:
        return "unserved"
    if row.paused_in:
        return f"paused in {', '.join(row.paused_in)}"
    return "paused" if row.is_paused else "open"


def _of_silent(told: Fleet) -> list[str]:
    return [gettext("The engine %(engine)s could not tell of its workers and queues.") % {"engine": name} for name in told.silent]
