"""Sending a job by its name."""

from __future__ import annotations

from typing import Any

from jobadmin.acting import untold
from jobadmin.api import rows
from jobadmin.api.calls import Answer, Asked
from jobadmin.api.door import demand
from jobadmin.api.errors import Refused
from jobadmin.api.fields import written
from jobadmin.filters import BadFilter
from jobadmin.records import recorded, who
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
    user, reason = body["user"] or request.user.get_username(), body["reason"] or ""
    with recorded(who(request), action=SUBMIT.slug, description=name, ids=[], reason=reason) as record:
        try:
            job = engine.submit(name, args, kwargs, queue=body["queue"], user=user)
        except (NotRegistered, TypeError, EngineCannot) as error:
            record.complete(Changed(skipped=1, by_reason={"cannot": 1}), error=str(error))
            raise _refused(error, name, args, rows.operation(record.operation, request.user)) from error
        sent = Changed(changed=1, by_reason={"submitted": 1})
        is_told = record.complete(sent, job_id=job.id if job is not None else None)
    told = rows.present(job.id) if job is not None else None
    message = "Sent." if told else "Sent. Its jobs are not tracked here, or it is not seen yet."
    answer = {
        "message": message if is_told else f"{message} {untold()}",
        "operation": rows.operation(record.operation, request.user),
        "job": told,
    }
    return Answer(answer, 201, {"Location": told["url"]}) if told else Answer(answer, 202)


def _refused(error: Exception, name: str, args: list[Any], operation: dict[str, Any]) -> Exception:
    """What is answered where nothing was sent."""
    if isinstance(error, NotRegistered):
        return BadFilter("job_name", name, error.why)
    if isinstance(error, EngineCannot):
        return Refused(409, "engine_cannot", f"Not sent: {redact_text(error.why)}.", more={"operation": operation})
    return BadFilter("args", written(args), f"the arguments that it takes: {error}")


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
