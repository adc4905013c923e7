"""What an operation has come to, in words and numbers that add up to what was announced."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from jobadmin import changedby, moments
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.formats import count, duration
from jobadmin.models import FORBIDDEN, OPERATIONS, UNSURE, Operation
from jobadmin.paths import job_url
from jobadmin.plans import Line
from jobadmin.redaction import redact_text
from jobadmin.spans import ALL as ALL_TIME
from jobadmin.targets import list_url, query_of, words_of
from jobadmin.verbs import ALL, BULK, BY_COMMAND, CONTROLS, KILL, KILL_NOW, REMOVE, Verb
from statuses import State, StoreUnavailable

#: Outcome -> symbol (empty: the job was skipped) and words, in the order they are shown.
_WORDS: Mapping[str, tuple[str, Promise]] = {
    "killed": ("killed", gettext_lazy("Killed before start")),
    "requested": ("killreq", gettext_lazy("Asked to stop")),
    "retried": ("queued", gettext_lazy("Sent again")),
    "submitted": ("queued", gettext_lazy("Sent")),
    "ordered": ("succeeded", gettext_lazy("Ordered")),
    "removed": ("trash", gettext_lazy("Removed")),
    "mended": ("succeeded", gettext_lazy("Mended")),
    "unmended": ("", gettext_lazy("Left: cannot be mended")),
    "loaded": ("add", gettext_lazy("Loaded")),
    "unreadable": ("", gettext_lazy("Left out: lines that cannot be read")),
    "restored": ("succeeded", gettext_lazy("Brought back")),
    "lost": ("unknown", gettext_lazy("Done or changed when the process before broke off")),
    "ended": ("", gettext_lazy("Ended in the meantime")),
    "ended-succeeded": ("", gettext_lazy("Had ended already: succeeded")),
    "ended-failed": ("", gettext_lazy("Had ended already: failed")),
    "ended-killed": ("", gettext_lazy("Had ended already: killed")),
    "moved": ("", gettext_lazy("Ended or changed in the meantime")),
    "already": ("", gettext_lazy("Asked before")),
    "exhausted": ("", gettext_lazy("Left alone: they had their attempts")),
    "limit": ("", gettext_lazy("Left for the next time: the limit was reached")),
    "promised": ("", gettext_lazy("Left: promised to be kept longer")),
    "incomplete": ("", gettext_lazy("Had not ended")),
    FORBIDDEN: ("", gettext_lazy("Skipped: not allowed")),
    "gone": ("", gettext_lazy("Gone: removed in the meantime")),
    "stopped": ("", gettext_lazy("Not reached: stopped before")),
    "cannot": ("failed", gettext_lazy("Not done: the engine could not")),
    "failed": ("failed", gettext_lazy("Not reached")),
    OPERATIONS: ("trash", gettext_lazy("Operations removed, whose time to be kept was over")),
    UNSURE: ("unknown", gettext_lazy("Perhaps done, perhaps not")),
}

#: Where a verb's own words fit better.
_OWN_WORDS: Mapping[tuple[str, str], Promise] = {
    ("kill-now", "killed"): gettext_lazy("Killed"),
    ("kill-now", "requested"): gettext_lazy("Process told to end"),
    **{(slug, "already"): gettext_lazy("Nothing to change") for slug in CONTROLS},
    ("retry", "already"): gettext_lazy("Sent again before"),
}

#: Outcomes that another try might mend.
_AGAIN = ("failed", "stopped", "cannot")


@dataclass(frozen=True)
class Result:
    """An operation as its page shows it."""

    operation: Operation

    @property
    def verb(self) -> Verb:
        return ALL[self.operation.action]

    @property
    def title(self) -> str:
        if self.operation.is_unsure:
            return _("%(action)s: the outcome is not known") % {"action": self.verb.label}
        if self.operation.is_over:
            return self.verb.say("did", self.operation.changed)
        return self.verb.say("doing", self.operation.announced)

    @property
    def state(self) -> str:
        """How it stands, in words: what is done at once is under way until it is through, or nobody can tell any more."""
        operation = self.operation
        if operation.state == Operation.State.UNKNOWN and not operation.is_lost:
            return _("Under way")
        return operation.get_state_display()

    @property
    def percent(self) -> int:
        """How far it is, 0 to 100."""
        operation = self.operation
        if operation.is_over:
            return 100
        return min(99, 100 * operation.done // operation.announced) if operation.announced else 0

    @property
    def left(self) -> str:
        """About how long it will take yet, in words; empty while nothing can be said."""
        operation = self.operation
        if operation.is_over or not operation.done or not operation.started_at:
            return ""
        elapsed = (moments.now() - operation.started_at).total_seconds()
        seconds = elapsed * (operation.announced - operation.done) / operation.done
        return _("about %(time)s left") % {"time": duration(max(1, round(seconds)))}

    @property
    def took(self) -> float | None:
        """Seconds from its start to its end."""
        operation = self.operation
        if not (operation.started_at and operation.ended_at):
            return None
        return (operation.ended_at - operation.started_at).total_seconds()

    @property
    def by_reason(self) -> Mapping[str, int]:
        """Outcome -> how many."""
        return {UNSURE: self.operation.announced} if self.operation.is_lost else self.operation.by_reason

    @property
    def lines(self) -> list[Line]:
        """What came of how many, in the order of `_WORDS`; outcomes nobody has words for are shown by their name."""
        reasons = {name: number for name, number in self.by_reason.items() if number}
        known = [name for name in _WORDS if name in reasons]
        return [self._line(name, reasons[name]) for name in (*known, *(reasons.keys() - _WORDS.keys()))]

    def _line(self, name: str, number: int) -> Line:
        icon, words = _WORDS.get(name, ("", name))
        words = _OWN_WORDS.get((self.verb.slug, name), words)
        return Line(number=number, title=str(words), note=_NOTES.get(name, lambda result: "")(self), icon=icon)

    @property
    def why_not(self) -> str:
        """What engines said about jobs they could not do; secrets are gone."""
        return redact_text(" ".join(self.operation.plan.get("errors", ())))

    @property
    def adds_up(self) -> int:
        return sum(self.operation.by_reason.values())

    @property
    def again(self) -> int:
        """Jobs that were not done and might be at another try."""
        if self.operation.action not in BULK or self.operation.is_retention:
            return 0
        return sum(self.operation.by_reason.get(name, 0) for name in _AGAIN)

    @cached_property
    def still_running(self) -> int | None:
        """Jobs this operation asked to stop that have not ended; None when that cannot be told.  Source: one count."""
        operation = self.operation
        if self.verb not in (KILL, KILL_NOW) or not operation.by_reason.get("requested") or not operation.started_at:
            return None
        try:
            asked = query_of(operation, at_any_state=True).where(
                kill_requested=True, kill_requested_at=(operation.counted_at, None), state=[State.started, State.unknown]
            )
            return min(asked.count(), operation.by_reason["requested"])
        except (StoreUnavailable, BadFilter):
            return None

    @property
    def still_running_url(self) -> str:
        return list_url(self.operation, state=None, flag="kill_requested")

    @property
    def changed_url(self) -> str:
        """The jobs of its filter that it killed, asked to stop or sent again, whatever became of them. Empty where it changed none,
        where nothing tells which (removed ones are gone), or the filter names them."""
        operation = self.operation
        if not (operation.changed and changedby.can_be_told(operation)):
            return ""
        return JobFilter().url("list", operation=str(operation.pk), span=ALL_TIME)

    @property
    def url(self) -> str:
        """The jobs it is about, as they are now; or the page of workers or queues."""
        if self.is_control:
            return reverse("jobadmin:workers" if self.operation.action in ("stop-worker", "restart-pool") else "jobadmin:queues")
        return list_url(self.operation)

    @property
    def which(self) -> str:
        """The jobs it is about, in words."""
        return words_of(self.operation)

    @property
    def job_url(self) -> str:
        """The page of the one job that it was about; empty where several were, where it removed that, or where the id holds a secret."""
        operation, job_id = self.operation, self.operation.description
        if operation.filter or operation.announced != 1 or not operation.ids or self.is_control or self.verb is REMOVE:
            return ""
        return job_url(job_id) if job_id and redact_text(job_id) == job_id else ""

    @property
    def is_control(self) -> bool:
        """Whether it is about a worker or a queue, not about jobs."""
        return self.operation.action in CONTROLS

    @property
    def leads_nowhere(self) -> bool:
        """Whether nothing but words says what it was about: no filter of the pages and no ids."""
        return self.operation.is_retention or self.operation.action in BY_COMMAND

    @property
    def can_change(self) -> bool:
        """Whether looking again can show something else: while it runs, or jobs it asked have not ended."""
        return not self.operation.is_over or bool(self.still_running)


def _requested(result: Result) -> str:
    running = result.still_running
    if running is None:
        return ""
    ended = result.operation.by_reason["requested"] - running
    first = ngettext("%(n)s has ended", "%(n)s have ended", ended) % {"n": count(ended)}
    second = ngettext("%(n)s still runs", "%(n)s still run", running) % {"n": count(running)}
    return f"{first}, {second}"


_NOTES: Mapping[str, Callable[[Result], str]] = {
    "requested": _requested,
    "failed": lambda result: redact_text(result.operation.error) or result.why_not,
    "cannot": lambda result: result.why_not,
    FORBIDDEN: lambda result: _("%(user)s may not do this to them") % {"user": result.operation.username},
}
