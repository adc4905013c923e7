"""How a task ended, as its backend keeps its result."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.db import connections
from django.utils import timezone

from statuses import State

from ..base import Outcome
from ..tracker import Tracker
from .adapter import error_of, was_killed

#: What a result raises that is there, and whose task is not, or is another thing by now.
_UNREADABLE = (ImportError, AttributeError, SuspiciousOperation, LookupError, ValueError, TypeError)


def outcome_of(backend: Any, result_id: str, since: datetime, tracker: Tracker) -> Outcome | None:
    """How the task ended after `since`: a backend that runs one again keeps the id of its result.
    Raises: whatever the backend raises where it is away.  Called in a thread of its own, whose connections it closes."""
    try:
        result = backend.get_result(result_id)
    except _UNREADABLE:
        return None
    except Exception as error:
        if type(error).__name__ == "TaskResultDoesNotExist":
            return None
        raise
    finally:
        connections.close_all()
    ended_at = result.finished_at if result.is_finished else None
    if ended_at is not None and timezone.is_naive(ended_at):  # without USE_TZ
        ended_at = timezone.make_aware(ended_at, timezone.get_default_timezone())
    if ended_at is None or ended_at < since:
        return None
    if str(result.status) == "SUCCESSFUL":
        return Outcome(state=State.succeeded, data=tracker.data_of(result.return_value), ended_at=ended_at)
    if was_killed(result):
        return Outcome(state=State.killed, ended_at=ended_at)
    return Outcome(state=State.failed, error=error_of(result), ended_at=ended_at)
