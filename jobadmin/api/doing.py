"""What changes jobs: one, everything that a filter matches, and operations under way."""

from __future__ import annotations

from django.http import Http404

from jobadmin import operations
from jobadmin.acting import act, job_itself
from jobadmin.actions import ACTIONS
from jobadmin.api import rows
from jobadmin.api.calls import Answer, Asked
from jobadmin.api.door import demand
from jobadmin.api.errors import Refused
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.models import Operation
from jobadmin.operations import NotConfirmed, Promise
from jobadmin.parameters import NAMING_NONE
from jobadmin.paths import unquote
from jobadmin.verbs import ALL, BULK, Verb


def one(asked: Asked) -> Answer:
    """Do one action to one job."""
    request, action = asked.request, ACTIONS.get(asked.path["action"])
    if action is None:
        raise Http404
    status = job_itself(unquote(asked.path["id"]))
    demand(request, "view_job", status)
    demand(request, action.verb.permission, status)
    attempt = asked.body["attempt"]
    outcome, operation = act(
        action, status, request=request, reason=(asked.body["reason"] or "").strip(), attempt=None if attempt is None else str(attempt)
    )
    told = rows.operation(operation, request.user)
    if not outcome.is_done:
        code = "engine_cannot" if outcome.error else "not_possible"
        raise Refused(409, code, rows.redact_text(outcome.message), more={"operation": told})
    return Answer({"message": outcome.message, "operation": told, "job": rows.present(status.id)})


def announce(asked: Asked) -> Answer:
    """What would be done; nothing is."""
    return Answer(_plan(_verb(asked), asked.query["filter"]))


def many(asked: Asked) -> Answer:
    """Begin an operation over everything that matches, or over what was announced."""
    verb, body, given = _verb(asked), asked.body, asked.query["filter"]
    promise = _counted_now(asked, verb, given) if body["promise"] is None else _promised(verb, body["promise"], given)
    typed = "" if body["count"] is None else str(body["count"])
    try:
        operation = operations.confirm(promise, request=asked.request, typed=typed, reason=body["reason"] or "")
    except NotConfirmed as error:
        raise _not_confirmed(verb, error, promise.filter) from error
    return _begun(asked, operation)


def _counted_now(asked: Asked, verb: Verb, given: JobFilter) -> Promise:
    """What the filter of the address matches in this moment.  Raises: BadFilter where it holds none."""
    if not asked.request.GET.keys() - NAMING_NONE:
        raise BadFilter("promise", "", "a promise, or a filter in the address: span=all or span=7d where everything is meant")
    return operations.announce(verb, given)[1]


def _promised(verb: Verb, signed: str, given: JobFilter) -> Promise:
    if given.params:
        raise BadFilter("promise", signed[:20] + "…", "no promise beside a filter: one of the two says which jobs")
    try:
        return Promise.read(signed, verb)
    except NotConfirmed as error:
        raise _not_confirmed(verb, error, error.filter) from error


def _not_confirmed(verb: Verb, error: NotConfirmed, filter: str | None) -> Refused:
    """With the counts as they are now, where one can tell which jobs were meant."""
    more = {} if filter is None else {"plan": _plan(verb, JobFilter.from_querystring(filter))}
    return Refused(409, "not_confirmed", str(error), more=more)


def _plan(verb: Verb, jobs: JobFilter) -> dict[str, object]:
    return rows.plan(*operations.announce(verb, jobs))


def _verb(asked: Asked) -> Verb:
    """Raises: Http404, Refused."""
    verb = BULK.get(asked.path["action"])
    if verb is None:
        raise Http404
    demand(asked.request, verb.permission)
    return verb


def operation(asked: Asked) -> Answer:
    """One operation."""
    return Answer(rows.operation(_operation(asked), asked.request.user))


def stop(asked: Asked) -> Answer:
    """Ask it to end after the batch it is at."""
    found = _operation(asked, acting=True)
    if not operations.stop(found, request=asked.request):
        found.refresh_from_db()
        code = "over" if found.is_over else "not_possible"
        raise Refused(409, code, operations.why_not_stopped(found), more={"operation": rows.operation(found, asked.request.user)})
    found.refresh_from_db()
    return Answer(rows.operation(found, asked.request.user))


def undo(asked: Asked) -> Answer:
    """Take a removal back, while that can be."""
    found = _operation(asked, acting=True)
    if not operations.may_undo(asked.request.user, found):
        raise Refused(403, "forbidden", operations.not_ours_to_undo())
    restoring = operations.undo(found, request=asked.request)
    if restoring is None:
        words = "This removal cannot be taken back any more. Nothing was changed."
        raise Refused(409, "over", words, more={"operation": rows.operation(found, asked.request.user)})
    return _begun(asked, restoring)


def _begun(asked: Asked, operation: Operation) -> Answer:
    operation.refresh_from_db()
    told = rows.operation(operation, asked.request.user)
    return Answer(told, 202, {"Location": told["url"]})


def _operation(asked: Asked, acting: bool = False) -> Operation:
    """Raises: Http404; Refused for who may not do what it does."""
    found = Operation.objects.filter(pk=asked.path["pk"]).first() if asked.path["pk"] < 2**63 else None
    if found is None:
        raise Http404
    if acting:
        demand(asked.request, ALL[found.action].permission)
    return found
