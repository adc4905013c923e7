"""Doing one action to one job, for whoever asks: the page's button and the API alike."""

from dataclasses import replace

from django.http import HttpRequest
from django.utils.translation import gettext as _

import statuses
from jobadmin.actions import Action, Outcome, refused, sent_before
from jobadmin.models import Operation
from jobadmin.paths import split_attempt
from jobadmin.records import recorded, who
from statuses import Status, StatusNotFound


def job_itself(job_id: str) -> Status:
    """The job of this id: an earlier attempt is history, nothing can be done to it.  Raises: StatusNotFound."""
    status = statuses.find(job_id) if split_attempt(job_id)[1] is None else None
    if status is None:
        raise StatusNotFound(job_id)
    return status


def act(action: Action, status: Status, *, request: HttpRequest, reason: str, attempt: str | None) -> tuple[Outcome, Operation]:
    """What came of it, and its record, which is written before. Whoever calls has looked at the rights. `attempt`: the one that was
    shown, if that is said.  Raises: NotRecorded, and nothing is done; what the engine and the store raise, which is on record then."""
    with recorded(who(request), action=action.slug, description=status.id, ids=[status.id], reason=reason) as record:
        outcome = _done(action, status, request.user.get_username(), reason, attempt)
        is_told = record.complete(outcome.changed, error=outcome.error)
    return outcome if is_told else replace(outcome, message=f"{outcome.message} {untold()}"), record.operation


def untold() -> str:
    """What is said beside an outcome that the database does not take."""
    return _("The database did not take what came of it: its record says that the outcome is not known.")


def _done(action: Action, status: Status, by: str, reason: str, attempt: str | None) -> Outcome:
    if (outcome := sent_before(action, status, attempt)) is not None:
        return outcome
    why_not = action.why_not(status)
    return refused(action, status, why_not) if why_not else action.perform(status, by, reason)
