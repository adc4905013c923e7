"""Jobs, counts and operations as plain values, without secrets."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.urls import reverse

import statuses
from jobadmin import operations
from jobadmin.actions import ACTIONS
from jobadmin.api.schemas import ROW
from jobadmin.attempts import Attempts
from jobadmin.exports import shown
from jobadmin.filters import JobFilter
from jobadmin.models import Operation
from jobadmin.paths import api_action_url, api_job_url, job_url
from jobadmin.plans import Plan
from jobadmin.redaction import redact, redact_text
from jobadmin.resolver import resolver
from jobadmin.results import Result
from jobadmin.targets import which
from statuses import Durations, FacetCount, State, Status

#: Ids of children told with a job.
MOST_CHILDREN = 200


def moment(at: datetime | None) -> str | None:
    """ISO 8601 in UTC, with microseconds whether there are any or not."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def row(job: Status) -> dict[str, Any]:
    """A job as a list has it.  Source: its record."""
    return {**_attributes(job), "url": api_job_url(job.id), "page": job_url(job.id)}


def _attributes(job: Status) -> dict[str, Any]:
    found = {name: shown(name, getattr(job, name)) for name in ROW}
    return {name: moment(value) if isinstance(value, datetime) else value for name, value in found.items()}


def full(job: Status, user: AbstractBaseUser | AnonymousUser) -> dict[str, Any]:
    """All of one job, or of one earlier attempt.
    Source: its record and texts, one count, and the newest earlier attempts in two round trips."""
    earlier = [] if job.archived else Attempts(job, job.attempt).newest[:-1]
    children = job.children
    counts = children.counts()
    return {
        **row(job),
        "errors": redact(job.errors),
        "data": redact(job.data),
        "call": redact(job.call),
        "depends_on": job.depends_on,
        "children": {"total": sum(counts.values()), "counts": states(counts), "ids": children.limit(MOST_CHILDREN).ids()},
        "prior_attempts": [{**_attributes(attempt), "errors": redact(attempt.errors)} for attempt in earlier],
        "actions": {} if job.archived else _actions(job, user),
    }


def present(job_id: str) -> dict[str, Any] | None:
    """A job as it is now that something was done to; None where it is gone, or the store is: what was done is done, and a program that
    is told to come again would do it once more.  Source: its record."""
    try:
        found = statuses.find(job_id)
        return row(found) if found is not None else None
    except (statuses.StoreUnavailable, statuses.StatusNotFound):
        return None


def _actions(job: Status, user: AbstractBaseUser | AnonymousUser) -> dict[str, Any]:
    may = [action for action in ACTIONS.values() if resolver().may(user, action.verb.permission, job)]
    return {action.slug: {"url": api_action_url(job.id, action.slug), "why_not": action.why_not(job) or None} for action in may}


def states(counts: Any) -> dict[str, int]:
    """All seven, in their order."""
    return {state.value: counts[state] for state in State}


def span(jobs: JobFilter) -> dict[str, Any]:
    """The span of a filter in absolute times."""
    return {"by": jobs.by, "from": moment(jobs.after), "to": moment(jobs.before)}


def facet(found: FacetCount) -> dict[str, Any]:
    """One value, and the jobs that have it."""
    return {
        "value": redact_text(found.value),
        "total": found.total,
        "by_state": states(found.by_state),
        "first": moment(found.first),
        "last": moment(found.last),
    }


def durations(found: Durations) -> dict[str, Any]:
    """Seconds."""
    return asdict(found)


def plan(found: Plan, promise: operations.Promise) -> dict[str, Any]:
    """What a verb would do."""
    lines = [{"number": one.number, "title": one.title, "note": one.note, "changes": not one.is_skip} for one in found.lines]
    return {
        "action": found.verb.slug,
        "total": found.total,
        "changes": found.changes,
        "lines": lines,
        "which": redact_text(which(JobFilter.from_querystring(promise.filter))),
        "asks_count": found.asks_typing,
        "promise": promise.sign(),
    }


def operation(found: Operation, user: AbstractBaseUser | AnonymousUser) -> dict[str, Any]:
    """One operation as it is now.  Source: its row; one count where it asked jobs to stop."""
    return {**listed_operation(found, user), "still_running": Result(found).still_running}


def listed_operation(found: Operation, user: AbstractBaseUser | AnonymousUser) -> dict[str, Any]:
    """An operation as a list has it.  Source: its row."""
    result = Result(found)
    return {
        "id": found.pk,
        "action": str(found.action),
        "state": str(found.state),
        "is_over": found.is_over,
        "which": result.which,
        **{name: getattr(found, name) for name in ("announced", "done", "changed", "skipped", "missing")},
        "by_reason": dict(result.by_reason),
        "user": found.username,
        "stopped_by": found.stopped_by,
        "reason": redact_text(found.reason),
        "error": redact_text(found.error),
        **{name: moment(getattr(found, name)) for name in ("created_at", "started_at", "ended_at", "undo_until", "undone_at")},
        "can_undo": operations.can_undo(found) and operations.may_undo(user, found),
        "url": reverse("jobadmin:api_operation", args=[found.pk]),
        "page": reverse("jobadmin:operation", args=[found.pk]),
    }
