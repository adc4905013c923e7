"""How a task ended, as Huey's storage keeps it."""

from __future__ import annotations

from itertools import islice
from typing import Any

from huey.constants import EmptyData
from huey.utils import Error

from statuses import State, Status

from ... import failure
from .. import calls
from ..attempts import MOST_ATTEMPTS, WORKER_LOST
from ..base import Outcome
from ..tracker import Tracker

#: How the error of a task begins that was ended on purpose: its repr is what Huey keeps.
_KILLED = ("KillRequested(", "CancelExecution(")


def may_be_earlier(status: Status) -> bool:
    """Whether what is kept of its task may be of an attempt before: it ran by the same task, and not to an error for which Huey runs it
    again, or with no retries left. Of one with more than MOST_ATTEMPTS nobody looks.  Reads attempts from the last on, as long as they
    ran by the same task."""
    retries = ((status.call or {}).get("options") or {}).get("retries") or 0
    for times, before in enumerate(islice(status.newest_attempts(), MOST_ATTEMPTS), 1):
        if before.provider_job_id != status.provider_job_id:
            return False
        if times > retries or before.state is not State.failed or before.error_group == WORKER_LOST:
            return True
    return status.attempt > MOST_ATTEMPTS


def outcome(huey: Any, task_id: str, tracker: Tracker) -> Outcome | None:
    """How the task ended. Huey says no moment. A result is the last thing it writes of a task, and so is the error of one that has no
    retries left; a task it retries keeps its id, and the error of an attempt before may stand there (`store_intermediate_errors`).
    Raises: whatever the storage raises where it is away.  One question to it, which leaves the result there."""
    data = huey.get_raw(task_id, peek=True)
    if data is EmptyData:
        return None
    try:
        result = huey.serializer.deserialize(data)
    except (ImportError, AttributeError) as error:
        # A pickle of a class that is not here. Errors are made of texts and can be read everywhere: it is a result.
        why = f"it cannot be read here: {type(error).__name__}: {error}"[: calls.SHOWN]
        return Outcome(state=State.succeeded, data={"result": None, "not_kept": why} if tracker.keep_results else None)
    except Exception:  # signed by somebody else, or by another serializer: it tells nothing
        return None
    if not isinstance(result, Error):
        return Outcome(state=State.succeeded, data=tracker.data_of(result))
    said = result.metadata
    if said.get("retries"):
        return None
    text = str(said.get("error") or "")
    if text.startswith(_KILLED):
        return Outcome(state=State.killed)
    return Outcome(state=State.failed, error=failure.of_traceback(str(said.get("traceback") or text)))
