"""Operations over many jobs: announcing one, confirming it, stopping it, taking it back.

A row of `Operation` is the queue: it is written here, carried out by `runner`, and shown by `views.operations`. It keeps the
frozen filter rather than the jobs, so what it does is decided by the store, not by what a browser held.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core import signing
from django.db import IntegrityError, router, transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

import statuses
from jobadmin import moments, runner
from jobadmin.filters import JobFilter
from jobadmin.models import Operation
from jobadmin.plans import Plan, measure, plan
from jobadmin.records import REASON_LENGTH, NotRecorded, log, who, writing
from jobadmin.redaction import redact_text
from jobadmin.resolver import resolver
from jobadmin.targets import selected_ids, which
from jobadmin.verbs import RESTORE, Verb
from statuses import Query

#: A confirm page left open longer than this must be looked at again before it is sent.
PROMISE_LASTS = timedelta(hours=12)

_SALT = "jobadmin.operations"
_STOPPED = gettext_lazy("Stopped")


class NotConfirmed(Exception):
    """Raised when a confirmation does not fit what it confirms; the message says why, in words for the page."""

    def __init__(self, why: str, filter: str | None = None) -> None:
        super().__init__(why)
        self.filter = filter
        """What was announced, where that can be read: a promise that is too old."""


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What a confirm page announced: which jobs, as of when, how many change."""

    verb: Verb
    filter: str
    """Frozen query string: spans absolute."""
    at: datetime
    """Server time of the counting."""
    changes: int
    key: str = field(default_factory=lambda: secrets.token_hex(16))
    """Of this one page: what it confirms is done once."""

    def sign(self) -> str:
        """For the form: comes back as it was, or not at all."""
        fields = [self.verb.slug, self.filter, self.at.isoformat(), self.changes, self.key]
        return signing.dumps(fields, salt=_SALT, compress=True)

    @classmethod
    def read(cls, signed: str, verb: Verb) -> Promise:
        """What `sign` wrote, for the same verb. Raises: NotConfirmed; with the filter where it is only too old."""
        outdated = _("What was announced is out of date. Look at the counts again and confirm them.")
        try:
            slug, text, at, changes, key = signing.loads(signed, salt=_SALT, max_age=PROMISE_LASTS)
        except signing.SignatureExpired as error:
            slug, text, *_rest = signing.loads(signed, salt=_SALT)
            raise NotConfirmed(outdated, text if slug == verb.slug else None) from error
        except (signing.BadSignature, ValueError) as error:
            raise NotConfirmed(outdated) from error
        if slug != verb.slug:
            raise NotConfirmed(_("What was announced was another action. Look at the counts again and confirm them."))
        return cls(verb=verb, filter=text, at=datetime.fromisoformat(at), changes=changes, key=key)

    @property
    def query(self) -> Query:
        return JobFilter.from_querystring(self.filter).query


def announce(verb: Verb, selection: JobFilter) -> tuple[Plan, Promise]:
    """The plan of a verb for what a filter matches now, and the promise that binds its confirmation to it."""
    at = statuses.server_time()
    frozen = selection.frozen()
    found = plan(verb, measure(JobFilter.from_querystring(frozen).query))
    return found, Promise(verb=verb, filter=frozen, at=at, changes=found.changes)


def confirm(promise: Promise, *, request: HttpRequest, typed: str, reason: str) -> Operation:
    """Queue what was announced, after counting again on the server; sent a second time, the operation of the first.

    Fewer jobs than announced are fine: what ended is skipped. More never are. Raises: NotConfirmed, NotRecorded, StoreUnavailable.
    """
    begun = Operation.objects.filter(promise=promise.key)
    if sent_before := begun.first():
        return sent_before
    verb = promise.verb
    if verb.asks_typing(promise.changes) and _digits(typed) != str(promise.changes):
        raise NotConfirmed(_("The number typed is not the number announced. Nothing was changed."))
    remaining = sum(part.count() for part in verb.settled(promise.query, promise.at))
    if not remaining:
        raise NotConfirmed(_("Nothing is left to do: the jobs have changed since they were counted."))
    selection = JobFilter.from_querystring(promise.filter)
    counts = promise.query.counts()
    try:
        return _queue(
            request=request,
            action=verb.slug,
            promise=promise.key,
            filter=promise.filter,
            ids=selected_ids(selection),
            description=redact_text(which(selection)),
            announced=promise.changes,
            plan={"at": promise.at.isoformat(), "counts": {str(state): number for state, number in counts.items()}},
            reason=reason,
        )
    except NotRecorded as error:
        if isinstance(error.__cause__, IntegrityError) and (sent_before := begun.first()):
            return sent_before  # the other one of two clicks was quicker, since we looked
        raise


def stop(operation: Operation, *, request: HttpRequest) -> bool:
    """Ask an operation to end after the batch it is at; what waits ends at once. False: it is over already. Raises: NotRecorded."""
    States, by = Operation.State, request.user.get_username()
    with writing():
        waiting = Operation.objects.filter(pk=operation.pk, state=States.WAITING).update(
            state=States.STOPPED,
            stopped_by=by,
            ended_at=moments.now(),
            by_reason={"stopped": operation.announced},
            skipped=operation.announced,
        )
        running = Operation.objects.filter(pk=operation.pk, state=States.RUNNING)
        if not (waiting or running.update(state=States.STOPPING, stopped_by=by)):
            return False
        log(operation, _STOPPED, request.user)
    return True


def why_not_stopped(operation: Operation) -> str:
    """Why `stop` did nothing: it is over, or under way where nobody is asked between two batches."""
    if operation.is_over:
        return _("It was over already.")
    return _("It cannot be stopped from here: a command carries it out, or it is done at once.")


def can_undo(operation: Operation) -> bool:
    """Whether a removal can still be taken back."""
    return bool(
        operation.is_over
        and operation.undone_at is None
        and operation.undo_until
        and operation.undo_until > moments.now()
        and operation.undo_token  # last: the list of operations leaves it out, and asks for that of the few that come so far
    )


def may_undo(user: Any, operation: Operation) -> bool:
    """Whether somebody may take this removal back. What was removed is shown to nobody: where the project is asked about each job, that is
    for whoever removed them, who was allowed each."""
    say = resolver()
    if not say.may(user, RESTORE.permission):
        return False
    return not say.asks_each_job or operation.user_id == user.pk


def not_ours_to_undo() -> str:
    """Why somebody else's removal is not taken back."""
    return _("Only the one who removed these jobs can take that back.")


def undo(operation: Operation, *, request: HttpRequest) -> Operation | None:
    """Queue the taking back of a removal; None when it is too late or somebody else was faster. Raises: NotRecorded."""
    if not can_undo(operation):
        return None
    with writing():
        fresh = Operation.objects.filter(pk=operation.pk, undone_at=None)
        if not fresh.update(undone_at=moments.now()):
            return None
        return _queue(
            request=request,
            action=RESTORE.slug,
            filter=operation.filter,
            ids=operation.ids,
            description=operation.description,
            announced=operation.changed,
            plan={"of": operation.pk},
            reason="",
        )


def _queue(*, request: HttpRequest, reason: str, **fields: Any) -> Operation:
    with writing():
        operation = Operation.objects.create(**who(request), reason=reason.strip()[:REASON_LENGTH], **fields)
        log(operation)
        transaction.on_commit(runner.wake, using=router.db_for_write(Operation))
    return operation


def _digits(typed: str) -> str:
    """The number as typed, without what people put between its digits."""
    return "".join(character for character in typed if character not in " ,.'’\u00a0\u202f\u2009_")
