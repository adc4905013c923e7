"""Statuses in any state, made through the public door."""

from typing import Any

from ..collection import create
from ..states import State
from ..status import Status

_NEVER_RAN = (State.unqueued, State.queued, State.unknown)


def make_status(state: str = "queued", *, error: object = None, **as_create: Any) -> Status:
    """A status that came to `state` as jobs do: through queued and started where that is on its way.

    `error`: an exception or any JSON, for a job that ran (ValueError for another). The rest as `statuses.create`."""
    target = State(state)
    if error is not None and target in _NEVER_RAN:
        raise ValueError(f"error is for a job that ran, not for one that is {target}")
    given: dict[str, Any] = {"job_name": "tests.job", **as_create}
    status = create(**given)
    if target is State.unqueued:
        return status
    status.queued()
    if target is State.queued:
        return status
    if target is State.unknown:
        return status.unknown()
    status.started(worker="worker-1")
    if error is not None:
        status.add_error(error)
    if target is State.started:
        return status
    return {State.succeeded: status.succeeded, State.failed: status.failed, State.killed: status.killed}[target]()
