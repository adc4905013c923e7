"""What can be asked of Celery: end a running job, drop a waiting one, send a call again."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import kombu.exceptions
from celery.utils import uuid
from kombu.utils.json import loads as kombu_loads

from statuses import EngineCannot, State, Status

from .. import attempts
from ..base import Engine
from . import publishing
from .adapter import Adapter
from .messages import USER

#: Seconds a worker has to say what it did; with a destination it answers in hundredths.
ANSWER_SECONDS = 2.0
#: Seconds in which a worker that did not answer is not asked again: a thousand jobs of a dead one take one wait.
SILENT_SECONDS = 10.0


class Celery(Engine):
    """One tracked Celery app."""

    can_kill = True
    can_kill_queued = True
    can_retry = True

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.app = adapter.app
        self.name = adapter.engine_name
        self._silent: dict[str, float] = {}

    def kill(self, status: Status) -> None:
        """Kill the pool process that runs the job (SIGKILL). Prefork alone has one process a job.
        The worker tells when it is done, so the job is shown as killed only then.
        Raises: EngineCannot.  One message to that worker, waits at most 2 seconds for its answer."""
        worker, task_id = status.worker, status.provider_job_id
        if not worker or not task_id:
            raise self._cannot(status, "kill", "it is not known which worker runs it")
        answer = self._terminate(status, worker, task_id)
        error = str(answer.get("error") or "")
        if "does not implement kill_job" in error:
            raise self._cannot(status, "kill", f"the pool of worker {worker} runs jobs in threads, which nothing can end from outside")
        if error:
            raise self._cannot(status, "kill", f"worker {worker} says: {error}")
        if task_id not in str(answer.get("ok")) and status.reload().state is State.started:
            raise self._cannot(status, "kill", f"worker {worker} does not run it (any more)")

    def _terminate(self, status: Status, worker: str, task_id: str) -> dict[str, Any]:
        """What the worker says to the order."""
        why = "it is gone, or its pool (solo) runs the job in the worker itself, which hears nothing meanwhile"
        silent = self._cannot(status, "kill", f"worker {worker} did not answer within {ANSWER_SECONDS:g} s: {why}")
        if time.monotonic() < self._silent.get(worker, 0.0):
            raise silent
        try:
            replies = self.app.control.revoke(
                task_id, destination=[worker], terminate=True, signal="SIGKILL", reply=True, timeout=ANSWER_SECONDS, limit=1
            )
        except (kombu.exceptions.KombuError, OSError) as error:
            raise self._cannot(status, "kill", f"the broker does not answer: {error}") from error
        for reply in replies or []:
            if worker in reply:
                return reply[worker]
        self._silent[worker] = time.monotonic() + SILENT_SECONDS
        raise silent

    def revoke(self, status: Status) -> None:
        """Tell the workers to drop the message when they meet it; they refuse its start in any case."""
        task_id = status.provider_job_id
        if task_id:
            self.adapter.guard.run("revoking", lambda: self.app.control.revoke(task_id))

    def retry(self, status: Status, by: str | None = None) -> Status:
        """Send the call again under a new Celery id (a revoked one would be dropped), as the next attempt.
        Raises: EngineCannot when the call was not kept whole, or the broker is away (the new attempt then failed)."""
        args, kwargs, options = self._call(status)
        attempt = status.attempt
        status.requeued(attempt=attempt, sources=_RETRIED)
        if not status.changed:
            raise self._cannot(status, "retry", "somebody else did in the same moment")
        task_id = uuid()
        status.set_provider_job_id(task_id)
        attempt = status.attempt
        try:
            with publishing.again(status, attempt):
                self.app.send_task(options.pop("task"), args, kwargs, task_id=task_id, **options)
        except Exception as error:
            attempts.end(status, State.failed, attempt, error)
            raise self._cannot(status, "retry", f"sending it failed: {error}") from error
        return status

    def _call(self, status: Status) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
        call = status.call
        if not call or not isinstance(call.get("options"), dict) or "task" not in call["options"]:
            raise self._cannot(status, "retry", "its call was not kept")
        if call.get("not_kept"):
            raise self._cannot(status, "retry", f"its arguments were not kept: {call['not_kept']}")
        # Celery's own JSON gives dates, UUIDs and decimals back as they were sent.
        args, kwargs = kombu_loads(json.dumps([call["args"], call["kwargs"]]))
        return args, kwargs, _sendable(kombu_loads(json.dumps(call["options"])), status)

    def _cannot(self, status: Status, action: str, why: str) -> EngineCannot:
        return EngineCannot(status.id, self.name, action, why)


#: States a retry may leave: the job is over, or nobody knows.
_RETRIED = frozenset({State.succeeded, State.failed, State.killed, State.unknown})


def _sendable(options: dict[str, Any], status: Status) -> dict[str, Any]:
    """Options for `send_task` now: no date that has passed, no chord (it has ended without this member), the same user."""
    options = {name: value for name, value in options.items() if name not in ("eta", "chord", "group_id")}
    expires = options.get("expires")
    if isinstance(expires, str) and _passed(expires):
        options.pop("expires")
    headers = dict(options.pop("headers", None) or {})
    if status.user:
        headers[USER] = status.user
    return {**options, "headers": headers}


def _passed(text: str) -> bool:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return True
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) <= datetime.now(UTC)
