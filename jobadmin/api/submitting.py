"""Sending a job by its name."""

from __future__ import annotations

from django.utils import timezone

from jobadmin import operations
from jobadmin.api import rows
from jobadmin.api.calls import Answer, Asked
from jobadmin.api.door import demand
from jobadmin.api.errors import Refused
from jobadmin.filters import BadFilter
from jobadmin.redaction import redact_text
from jobadmin.verbs import SUBMIT
from statuses import Changed, EngineCannot, NotRegistered
from statuses.engines import registry
from statuses.engines.base import Engine


def submit(asked: Asked) -> Answer:
    """Send it, and write down who did."""
    request, body = asked.request, asked.body
    demand(request, SUBMIT.permission)
    name, args, kwargs = body["job_name"], body["args"] or [], body["kwargs"] or {}
    engine = _engine(body["engine"], name)
    begun, reason = timezone.now(), (body["reason"] or "").strip()
    user = body["user"] or request.user.get_username()
    try:
        job = engine.submit(name, args, kwargs, queue=body["queue"], user=user)
    except NotRegistered as error:
        raise BadFilter("job_name", name, error.why) from error
    except TypeError as error:
        raise BadFilter("args", name, f"the arguments that it takes: {error}") from error
    except EngineCannot as error:
        changed = Changed(skipped=1, by_reason={"cannot": 1})
        failed = operations.record(
            request=request, action=SUBMIT.slug, job_id=name, changed=changed, reason=reason, error=str(error), begun=begun, is_id=False
        )
        more = {"operation": rows.operation(failed, request.user)}
        raise Refused(409, "engine_cannot", f"Not sent: {redact_text(error.why)}.", more=more) from error
    made = operations.record(
        request=request,
        action=SUBMIT.slug,
        job_id=job.id if job is not None else name,
        changed=Changed(changed=1, by_reason={"submitted": 1}),
        reason=reason,
        begun=begun,
        is_id=job is not None,
    )
    told = rows.present(job.id) if job is not None else None
    message = "Sent." if told else "Sent. Its jobs are not tracked here, or it is not seen yet."
    answer = {"message": message, "operation": rows.operation(made, request.user), "job": told}
    return Answer(answer, 201, {"Location": told["url"]}) if told else Answer(answer, 202)


def _engine(wanted: str | None, job_name: str) -> Engine:
    """The engine that is asked for, or the one that knows the name.  Raises: BadFilter, Refused."""
    able = [engine for engine in registry.all() if engine.can_submit]
    if not able:
        raise Refused(409, "engine_cannot", "No engine of this site can send a job by its name.")
    if wanted is not None:
        found = next((engine for engine in able if engine.name == wanted), None)
        if found is None:
            raise BadFilter("engine", wanted, f"one of {', '.join(engine.name for engine in able)}")
        return found
    knowing = [engine for engine in able if _knows(engine, job_name)]
    if len(knowing) > 1:
        raise BadFilter("engine", "", f"one of {', '.join(engine.name for engine in knowing)}: each of them knows the name")
    return knowing[0] if knowing else able[0]


def _knows(engine: Engine, job_name: str) -> bool:
    try:
        return engine.knows(job_name)
    except EngineCannot:
        return True  # it says itself what is wrong
