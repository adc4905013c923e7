"""What can be done to one job: whether it is possible now, why not, and what came of it in words.

The verbs and their rights are those of `verbs`; here stands what only one job needs. Nothing here trusts the page one came
from: possible or not is asked of the status as it is at the moment of the action, and told from what the store says after.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

import statuses
from jobadmin import lost, refusals, verbs
from jobadmin.formats import count
from jobadmin.words import gettext as _
from statuses import Changed, EngineCannot, Status
from statuses.engines import registry


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one action came to."""

    message: str
    """One or two sentences for whoever asked."""
    changed: Changed
    """The same in numbers, for the record."""
    error: str = ""
    """Why the engine could not, if that was it."""

    @property
    def is_done(self) -> bool:
        """Whether the action did what its button says."""
        return bool(self.changed.changed)


@dataclass(frozen=True, kw_only=True)
class Action:
    """One button of the job page."""

    verb: verbs.Verb
    title: Promise
    """What it does, for the tooltip."""
    perform: Callable[[Status, str, str], Outcome] = field(repr=False)
    """Does it: status, user name, reason."""
    why_not: Callable[[Status], str] = field(repr=False)
    """Why it is not possible now; empty when it is."""
    confirms: bool = False
    """Whether a dialog asks before."""
    asks_reason: bool = False
    question: Promise | str = ""
    explanation: Promise | str = ""
    afterwards: Callable[[Status], str] = field(default=lambda status: "", repr=False)
    """What can be done about it when it is over, for the dialog."""
    button: Promise | str = ""

    @property
    def slug(self) -> str:
        return self.verb.slug


def may_retry(status: Status) -> str:
    """Why a job cannot be sent again now; empty when it can."""
    if status.is_unqueued or status.is_queued or status.is_started:
        return _not_ended(status, _("Retry is possible once it has ended."))
    engine = registry.get(status.engine) if status.engine else None
    if engine is None:
        return _("No engine is known that could run it again.")
    if not engine.can_retry:
        return _("No job of %(engine)s can be sent again.") % {"engine": status.engine}
    return ""


def may_remove(status: Status) -> str:
    """Why a job cannot be removed now; empty when it can."""
    return "" if status.is_ended else _not_ended(status, _("It can be removed once it has ended."))


def may_request_kill(status: Status) -> str:
    """Why a job cannot be asked to stop now; empty when it can."""
    if status.is_ended:
        return _already(status)
    if status.kill_requested and not status.is_queued and not status.is_unqueued:
        return _("It was asked to stop before and has not ended yet.")
    return ""


def may_kill_now(status: Status) -> str:
    """Why a job's process cannot be ended now; empty when it can."""
    if status.is_ended:
        return _already(status)
    if status.is_unknown:
        return _("Nobody knows whether it runs, so there is no process to end. It can be asked to stop.")
    if not status.is_started:
        return ""
    engine = registry.get(status.engine) if status.engine else None
    if engine is None:
        return _("No engine is known that could end its process. It can be asked to stop.")
    if not engine.can_kill:
        return _("No running job of %(engine)s can be ended. It can be asked to stop.") % {"engine": status.engine}
    why = refusals.why_not_kill(status)
    return _("Its worker cannot end it: %(why)s. It can be asked to stop.") % {"why": why} if why else ""


def _after_kill(status: Status) -> str:
    engine = registry.get(status.engine) if status.engine else None
    if engine is not None and engine.can_retry:
        return _("Once killed, it can be retried.")
    return _("It cannot be retried afterwards: no engine is known that could run it again.")


def _not_ended(status: Status, then: str) -> str:
    return f"{_NOT_YET[str(status.state)]} {then}"


def _already(status: Status) -> str:
    return str(_ALREADY[str(status.state)])


#: Tables of lazy words: a page of the list asks two hundred times, and one of each is translated.
_NOT_YET = {
    "unqueued": gettext_lazy("Not queued yet."),
    "queued": gettext_lazy("Still queued."),
    "started": gettext_lazy("Still running."),
    "unknown": gettext_lazy("Nobody knows whether it has ended."),
}
_ALREADY = {
    "succeeded": gettext_lazy("It has ended already: it succeeded."),
    "failed": gettext_lazy("It has ended already: it failed."),
    "killed": gettext_lazy("It has ended already: it was killed."),
}


def _request_kill(status: Status, by: str, reason: str) -> Outcome:
    status.request_kill(by=by, reason=reason or None, end_queued=True)
    if not status.changed:
        why = may_request_kill(status) or _("It was asked to stop before and has not ended yet.")
        return _skipped(why, _ended(status) or "already")
    if status.is_killed:
        return _changed(_("Killed: it had not started and never will."), "killed")
    if lost.is_lost(status):
        return _changed(_with_outlook(_("Asked to stop, but no living worker seems to run it that could hear it."), status), "requested")
    words = _(
        "Asked to stop. It ends at its next checkpoint, code without one runs to its end; the page shows it as killed once it says so."
    )
    return _changed(words, "requested")


def _kill_now(status: Status, by: str, reason: str) -> Outcome:
    try:
        status.kill_now(by=by, reason=reason or None)
    except EngineCannot as error:
        message = _("Not killed: %(why)s.") % {"why": error.why}
        return _skipped(_with_outlook(message, status) if lost.is_lost(status.reload()) else message, "cannot", error=str(error))
    status.reload()
    if status.is_killed:
        return _changed(_("Killed."), "killed")
    if status.is_started:
        return _changed(_("Its process was told to end at once. The page shows it as killed once the engine says so."), "requested")
    return _skipped(may_kill_now(status) or _("Nothing was changed."), _ended(status) or "cannot")


def _with_outlook(message: str, status: Status) -> str:
    return f"{message} {lost.outlook(status)}".strip()


def _retry(status: Status, by: str, reason: str) -> Outcome:
    try:
        status.retry(by=by)
    except EngineCannot as error:
        return _skipped(_("Not sent again: %(why)s.") % {"why": error.why}, "cannot", error=str(error))
    status.reload()
    number = status.attempt + 1 if not status.is_ended else status.attempt + 2
    return _changed(_("Sent again, as attempt %(number)s.") % {"number": count(number)}, "retried")


def _remove(status: Status, by: str, reason: str) -> Outcome:
    changed = statuses.where(id=status.id).delete_all(only_ended=True, undo_for=verbs.UNDO_FOR)
    if changed.changed:
        return Outcome(message=_("Removed. This can be taken back for ten minutes."), changed=changed)
    if changed.missing:
        return Outcome(message=_("It was removed already."), changed=changed)
    return Outcome(message=_("Not removed: it has not ended."), changed=changed)


def _changed(message: str, why: str) -> Outcome:
    return Outcome(message=message, changed=Changed(changed=1, skipped=0, missing=0, by_reason={why: 1}))


def _skipped(message: str, why: str, *, error: str = "") -> Outcome:
    return Outcome(message=message, changed=Changed(changed=0, skipped=1, missing=0, by_reason={why: 1}), error=error)


def sent_before(action: Action, status: Status, attempt: str | None) -> Outcome | None:
    """What a second click on *Retry* comes to where the attempt it was about has a later one, even one that ended meanwhile;
    None: go on. `attempt`: the one that the page showed, if it says."""
    if action.verb is not verbs.RETRY or attempt in (None, str(status.attempt)):
        return None
    return _skipped(_("It was sent again already: the page showed an earlier attempt."), "already")


def refused(action: Action, status: Status, why: str) -> Outcome:
    """What is recorded when an action came too late: nothing changed, and why."""
    return _skipped(why, _ended(status) or "cannot")


def _ended(status: Status) -> str:
    """The outcome of an action that the job's own end was faster than, as `results` has words for it; empty: it has not ended."""
    return f"ended-{status.state}" if status.is_ended else ""


#: The buttons, in the order they stand.
ACTIONS: dict[str, Action] = {
    action.slug: action
    for action in (
        Action(
            verb=verbs.KILL,
            title=gettext_lazy(
                "Asks the job to stop at its next checkpoint; code without one runs to its end. A job that waits never starts."
            ),
            perform=_request_kill,
            why_not=may_request_kill,
        ),
        Action(
            verb=verbs.KILL_NOW,
            title=gettext_lazy("Ends the process at once. Unsaved work is lost."),
            perform=_kill_now,
            why_not=may_kill_now,
            confirms=True,
            asks_reason=True,
            question=gettext_lazy("Kill this job now?"),
            explanation=gettext_lazy(
                "A job that waits never starts. The process of a running one is ended at once: what it was writing may stay "
                "half done. A kill cannot be undone."
            ),
            afterwards=_after_kill,
            button=gettext_lazy("Kill now"),
        ),
        Action(
            verb=verbs.RETRY,
            title=gettext_lazy("Sends the same call to the engine again. What happened so far stays as an earlier attempt."),
            perform=_retry,
            why_not=may_retry,
        ),
        Action(
            verb=verbs.REMOVE,
            title=gettext_lazy("Takes the job out of every list and count. Can be taken back for ten minutes."),
            perform=_remove,
            why_not=may_remove,
            confirms=True,
            asks_reason=True,
            question=gettext_lazy("Remove this job?"),
            explanation=gettext_lazy(
                "It leaves every list, count and chart, and its earlier attempts go with it. Sub-jobs stay. "
                "This can be taken back for ten minutes; after that it is final."
            ),
            button=gettext_lazy("Remove"),
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Button:
    """An action as it stands on one job's page."""

    action: Action
    url: str
    why_not: str
    """Why it is not possible now; empty when it is."""

    @property
    def title(self) -> Any:
        return self.why_not or self.action.title
