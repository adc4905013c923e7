"""What changes nothing: the jobs of a filter, one job, counts and durations, and what was done."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from django.urls import reverse
from django.utils.http import urlencode

import statuses
from jobadmin.api import rows
from jobadmin.api.calls import Answer, Asked
from jobadmin.api.door import demand
from jobadmin.filters import JobFilter
from jobadmin.models import Job, Operation
from jobadmin.paths import split_attempt, unquote
from jobadmin.resolver import resolver
from jobadmin.tables import JobData
from jobadmin.verbs import BULK
from statuses import State, Status, StatusNotFound, metrics
from statuses.engines import registry

_SPANS = ("run_time", "wait_time")
#: Parameter of the list of operations -> field.
_FIELDS = {"action": "action", "user": "username"}
#: States in which a kill request is still to be heard.
_LIVE = (State.unqueued, State.queued, State.started, State.unknown)


def index(asked: Asked) -> Answer:
    """Where everything is.  Source: the clock of the store."""
    user = asked.request.user
    rights = ("view_job", *(name for name, _words in Job._meta.permissions))
    counted = ("metrics",) if metrics.is_on() else ()
    links = {name: reverse(f"jobadmin:api_{name}") for name in ("jobs", "counts", "durations", "operations", "submit", *counted)}
    return Answer(
        {
            "version": _version(),
            "links": {
                **links,
                **{slug: reverse("jobadmin:api_bulk", args=[slug]) for slug in BULK},
                "openapi": reverse("jobadmin:api_openapi"),
                "pages": reverse("jobadmin:overview"),
            },
            "export": _export(""),
            "engines": [
                {"name": one.name, "can_kill": one.can_kill, "can_retry": one.can_retry, "can_submit": one.can_submit}
                for one in registry.all()
            ],
            "rights": [right for right in rights if resolver().may(user, right)],
            "user": user.get_username(),
            "now": rows.moment(statuses.server_time()),
        }
    )


def jobs(asked: Asked) -> Answer:
    """A page of the list.  Source: one count, one page of records."""
    found: JobFilter = asked.query["filter"]
    limit: int = asked.query["limit"]
    page = JobData(found.query, total=0, rows=limit, cursor=found.cursor).page
    following = found.with_(after=page.next).querystring(limit=str(limit)) if page.next else None
    return Answer(
        {
            "total": found.query.count(),
            "span": rows.span(found),
            "jobs": [rows.row(job) for job in page],
            "next": f"{reverse('jobadmin:api_jobs')}?{following}" if following else None,
            "page": found.url("list"),
            "export": _export(found.querystring()),
        }
    )


def job(asked: Asked) -> Answer:
    """One job, or an earlier attempt of one.  Source: its record; see `rows.full`."""
    id = unquote(asked.path["id"])
    job_id, number = split_attempt(id)
    status = _find(job_id)
    demand(asked.request, "view_job", status)
    return Answer(rows.full(status if number is None else _find(id), asked.request.user))


def operations(asked: Asked) -> Answer:
    """A page of what was done.  Source: two queries of the database."""
    asked_for = {name: asked.query[name] for name in ("action", "user") if asked.query[name]}
    found = Operation.objects.filter(**{_FIELDS[name]: value for name, value in asked_for.items()})
    after, limit = asked.query["after"], asked.query["limit"]
    rest = found if after is None else found.filter(pk__lt=after)
    page = list(rest.order_by("-pk").defer("ids", "undo_token")[: limit + 1])
    shown = page[:limit]
    following = urlencode({**asked_for, "limit": limit, "after": shown[-1].pk}) if len(page) > limit else None
    here = reverse("jobadmin:operations")
    return Answer(
        {
            "total": found.count(),
            "operations": [rows.listed_operation(one, asked.request.user) for one in shown],
            "next": f"{reverse('jobadmin:api_operations')}?{following}" if following else None,
            "page": f"{here}?{urlencode(asked_for)}" if asked_for else here,
        }
    )


def counts(asked: Asked) -> Answer:
    """Source: one read of the store, no record."""
    found: JobFilter = asked.query["filter"]
    facet = asked.query["facet"]
    report = found.query.report(counts=True, flags=True, counts_by={facet: asked.query["limit"]} if facet else None)
    flags = report.flags
    return Answer(
        {
            "total": report.total,
            "counts": rows.states(report.counts),
            "flags": {"kill_requested": sum(flags["kill_requested"].get(state, 0) for state in _LIVE), "stale": flags["stale"]},
            "span": rows.span(found),
            "facet": facet,
            "distinct": report.distinct.get(facet) if facet else None,
            "values": [rows.facet(value) for value in report.counts_by[facet]] if facet else [],
        }
    )


def durations(asked: Asked) -> Answer:
    """Source: one read of the store, no record."""
    found: JobFilter = asked.query["filter"]
    facet, limit = asked.query["facet"], asked.query["limit"]
    by = [{"durations": (span,), **({"durations_by": {facet: (span, limit)}} if facet else {})} for span in _SPANS]
    run, wait = statuses.together(*((found.query, questions) for questions in by))
    values = {name: report.durations_by[facet] for name, report in zip(_SPANS, (run, wait), strict=True)} if facet else {}
    told = dict.fromkeys(value for of_span in values.values() for value in of_span)
    return Answer(
        {
            "run_time": rows.durations(run.durations["run_time"]),
            "wait_time": rows.durations(wait.durations["wait_time"]),
            "span": rows.span(found),
            "facet": facet,
            "values": [
                {"value": rows.redact_text(value)}
                | {span: rows.durations(of_span[value]) if value in of_span else None for span, of_span in values.items()}
                for value in told
            ],
        }
    )


def _find(job_id: str) -> Status:
    """Raises: StatusNotFound."""
    status = statuses.find(job_id)
    if status is None:
        raise StatusNotFound(job_id)
    return status


def _export(querystring: str) -> dict[str, str]:
    """Files of the same jobs, whole."""
    ending = f"?{querystring}" if querystring else ""
    return {kind: reverse(f"jobadmin:api_export_{kind}") + ending for kind in ("csv", "json")}


def _version() -> str:
    try:
        return version("jobadmin")
    except PackageNotFoundError:
        return "0"
