"""What the parameter `operation` of a filter means: the jobs that a kill or a retry over a filter changed, whatever became of them.

An operation over a filter names no jobs. What it changed carries the moment: it was there when the jobs were counted, and was asked
to stop, or queued again, while the operation was carried out. So was whom somebody else asked, or an engine sent again, in those
seconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from jobadmin.models import Operation
from jobadmin.parameters import STOPPED, BadFilter
from statuses import Query

#: Verb -> the moment that it leaves on a job.
MOMENTS: Mapping[str, str] = {
    Operation.Action.KILL: "kill_requested_at",
    Operation.Action.KILL_NOW: "kill_requested_at",
    Operation.Action.RETRY: "queued_at",
}
#: What a job may have lost since it was counted: its state, and with a new attempt what the attempt before had.
_LOST: Mapping[str, Any] = dict.fromkeys(("state", "flag", "error", "worker", "by", "sort"))

#: The clock that tells when an operation began and ended, and the store's, may differ by so much.
_SAME = timedelta(seconds=1)


def operation(number: str) -> Operation:
    """The operation of this number.  Raises: BadFilter where there is none, or one whose jobs nothing tells.
    Source: one query of the database."""
    found = Operation.objects.filter(pk=number).first()
    if found is None:
        raise BadFilter("operation", number, _("the number of an operation on record"))
    if not can_be_told(found):
        raise BadFilter("operation", number, _("one that killed or retried what matched a filter"))
    return found


def can_be_told(operation: Operation) -> bool:
    """Whether the jobs say which of them the operation changed."""
    return operation.action in MOMENTS and bool(operation.filter)


def lost(operation: Operation, step: str) -> dict[str, Any]:
    """The parameters of its filter that what it changed fits no longer, as changes that take them out."""
    kept = () if operation.action == Operation.Action.RETRY else ("error", "worker")
    changes = {name: value for name, value in _LOST.items() if name not in kept}
    return {**changes, "span": "all", **({"step": None} if step == STOPPED else {})}


def narrowed(query: Query, operation: Operation) -> Query:
    """Of the jobs of its filter those that were there when they were counted, and changed while it was carried out."""
    at, begun = operation.counted_at, operation.started_at or operation.created_at
    until = operation.ended_at + _SAME if operation.ended_at else None
    return query.where(recorded_at=(None, at), **{MOMENTS[operation.action]: (max(at, begun - _SAME), until)})


def words(operation: Operation) -> str:
    """Which operation, in words."""
    return f"{operation.get_action_display()} {operation.pk}"
