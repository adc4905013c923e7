"""Doing one action to one job, for whoever asks: the page's button and the API alike."""

from django.http import HttpRequest
from django.utils import timezone

import statuses
from jobadmin import operations
from jobadmin.actions import Action, Outcome, refused, sent_before
from jobadmin.models import Operation
from jobadmin.paths import split_attempt
from statuses import Status, StatusNotFound


def job_itself(job_id: str) -> Status:
    """The job of this id: an earlier attempt is history, nothing can be done to it.  Raises: StatusNotFound."""
    status = statuses.find(job_id) if split_attempt(job_id)[1] is None else None
    if status is None:
        raise StatusNotFound(job_id)
    return status


def act(action: Action, status: Status, *, request: HttpRequest, reason: str, attempt: str | None) -> tuple[Outcome, Operation]:
    """What came of it, and its record. Whoever calls has looked at the rights. `attempt`: the one that was shown, if that is said."""
    begun = timezone.now()
    why_not = action.why_not(status)
    outcome = sent_before(action, status, attempt) or (
        refused(action, status, why_not) if why_not else action.perform(status, request.user.get_username(), reason)
    )
    operation = operations.record(
        request=request,
        action=action.slug,
        job_id=status.id,
        changed=outcome.changed,
        reason=reason,
        error=outcome.error,
        begun=begun,
    )
    return outcome, operation
