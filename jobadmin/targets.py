"""Which jobs an operation is about: the frozen filter it keeps."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

import statuses
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.formats import count
from jobadmin.models import RETENTION, Operation
from jobadmin.paths import page_url
from jobadmin.redaction import redact_text
from statuses import Query


def query_of(operation: Operation, *, at_any_state: bool = False) -> Query:
    """The jobs an operation is about, whether or not it changes them; `at_any_state`: also once they have moved on."""
    if operation.filter:
        selection = JobFilter.from_querystring(operation.filter)
        return (selection.with_(state=None, flag=None) if at_any_state else selection).query
    return statuses.where(id=list(operation.ids or []))


def selection_of(operation: Operation) -> JobFilter:
    """The filter an operation keeps; for one without, the jobs it names."""
    if operation.filter:
        return JobFilter.from_querystring(operation.filter)
    return JobFilter().with_(id=operation.ids, span="all")


def list_url(operation: Operation, **changes: object) -> str:
    """Link to the list of the jobs an operation is about; to the operation where nobody can read any more which those are."""
    try:
        return selection_of(operation).url("list", **changes)
    except BadFilter:
        return page_url("operation", str(operation.pk))


def which(selection: JobFilter) -> str:
    """The jobs of a filter in words; rows picked one by one are counted rather than listed."""
    ids = selected_ids(selection)
    if ids is None or len(ids) == 1:
        return selection.describe() if ids is None else ids[0]
    return ngettext("%(n)s selected job", "%(n)s selected jobs", len(ids)) % {"n": count(len(ids))}


def selected_ids(selection: JobFilter) -> list[str] | None:
    """The rows that were picked one by one; None when the filter itself is the selection."""
    return [value for name, value in selection.params if name == "id"] or None


def due_words(narrowed: str) -> str:
    """The jobs that a cleaning removes, in words. `narrowed`: to what, as the command takes it; empty: all that retention says."""
    if narrowed.startswith("older-than="):
        return narrowed  # whatever retention says
    due = _("Jobs whose time to be kept was over")
    return f"{due} · {narrowed}" if narrowed else due


def words_of(operation: Operation) -> str:
    """The jobs an operation is about, in the language of who looks; secrets are gone.  Source: nothing, the filter that is kept."""
    if operation.is_retention:
        return redact_text(due_words(operation.plan[RETENTION]))
    try:
        selection = JobFilter.from_querystring(operation.filter) if operation.filter else None
    except BadFilter:  # of a version that knew other parameters
        selection = None
    if selection is None or {"workflow", "operation"} & selection.given.keys():  # they are called after what may be gone
        return redact_text(operation.description or operation.filter)
    return redact_text(which(selection))
