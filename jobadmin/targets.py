"""Which jobs an operation is about: the frozen filter it keeps, and the moment it was counted."""

from __future__ import annotations

from datetime import datetime

import statuses
from jobadmin.filters import JobFilter
from jobadmin.models import Operation
from statuses import Query


def query_of(operation: Operation, *, at_any_state: bool = False) -> Query:
    """The jobs an operation is about, whether or not it changes them; `at_any_state`: also once they have moved on."""
    if operation.filter:
        selection = JobFilter.from_querystring(operation.filter)
        return (selection.with_(state=None, flag=None) if at_any_state else selection).query
    return statuses.where(id=list(operation.ids or []))


def counted_at(operation: Operation) -> datetime:
    """Server time of the counting that was confirmed; for one job's own action the time it was asked for."""
    at = operation.plan.get("at")
    return datetime.fromisoformat(at) if at else operation.created_at


def selection_of(operation: Operation) -> JobFilter:
    """The filter an operation keeps; for one without, the jobs it names."""
    if operation.filter:
        return JobFilter.from_querystring(operation.filter)
    return JobFilter().with_(id=operation.ids, span="all")


def list_url(operation: Operation, **changes: object) -> str:
    """Link to the list of the jobs an operation is about."""
    return selection_of(operation).url("list", **changes)
