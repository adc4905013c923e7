"""The four bulk verbs, and the taking back of a removal: whom they change, who may, and their words.

One table for the bulk bar, the confirm page, the runner and the result: what a button announces is what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from jobadmin import refusals
from jobadmin.formats import count
from statuses import Changed, Query, State, Status
from statuses.engines import registry

#: How long a bulk removal can be taken back.
UNDO_FOR = timedelta(minutes=10)

#: Changing more jobs than this asks for the count, typed.
TYPED_ABOVE = 100

#: Called with how many of a batch are through and its size; returning False stops the verb after the present step.
Progress = Callable[[int, int], bool | None]

_WAITING = (State.unqueued, State.queued)
_ENDED = (State.succeeded, State.failed, State.killed)
_RETRIED = (State.failed, State.killed, State.unknown)


@dataclass(frozen=True, kw_only=True, eq=False)
class Verb:
    """One thing that can be done to many jobs at once."""

    slug: str
    """As in the address and in `Operation.action`: kill, kill-now, retry, remove, restore."""
    permission: str
    """Codename of the right it takes, in the app `jobadmin`."""
    icon: str
    """Symbol in the sprite, without its `j-`."""
    label: Promise
    """On buttons."""
    short: Promise
    """In the head of every page while it runs."""
    states: tuple[State, ...]
    """States it can change; jobs in any other are skipped."""
    capability: str = ""
    """The engine flag that `needy` states depend on: can_kill, can_retry; empty where no engine is asked."""
    needy: tuple[State, ...] = ()
    """States in which only the job's engine can do it."""
    ends_processes: bool = False
    """Whether `needy` jobs are changed by the worker that runs them, so that some workers cannot."""
    once: tuple[State, ...] = ()
    """States in which a job that was asked to die before is not asked again."""
    asks: tuple[State, ...] = ()
    """States in which a job has had its turn once it was asked to die, for all that it did not end yet."""
    past: tuple[str, ...] = ()
    """Moments that must not be later than the counting: a job that entered one of them since is another case."""
    batch: int = 10_000
    """Jobs done between two marks of progress that outlive the process: less where each takes an engine's time."""
    always_typed: bool = False
    """Whether the count is typed however few change."""
    risky: bool = False
    """Whether its button is shown as dangerous."""
    is_gentle: bool = False
    """Whether nothing is lost by it: what confirms it does not warn."""
    explanation: Promise
    question: Promise
    question_some: Promise
    button: Promise
    doing: Promise
    did: Promise

    def asks_typing(self, changes: int) -> bool:
        """Whether a person must type the count before `changes` jobs are changed."""
        return changes > 0 and (self.always_typed or changes > TYPED_ABOVE)

    def ask(self, changes: int, total: int) -> str:
        """The question of the confirm page."""
        words = self.question if changes == total else self.question_some
        return words % {"count": total if words is self.question_some else changes, "n": count(changes), "total": count(total)}

    def say(self, words: str, number: int) -> str:
        """One of `button`, `doing`, `did` for a number of jobs."""
        return getattr(self, words) % {"count": number, "n": count(number)}

    def settled(self, query: Query, at: datetime) -> tuple[Query, ...]:
        """What this verb changes within `query` as it stood at `at`, in disjoint parts: sets that only shrink from then on.

        Jobs that came, ended or were queued again after the counting are left alone: nobody was asked about them.
        """
        query = query.exclude(recorded_at=(at + _MICROSECOND, None))
        for moment in self.past:
            query = query.exclude(**{moment: (at + _MICROSECOND, None)})
        if self.once:
            query = query.exclude(kill_requested=True, state=list(self.once))
        if self.asks:
            query = query.exclude(kill_requested_at=(at + _MICROSECOND, None), state=list(self.asks))
        free = [state for state in self.states if state not in self.needy]
        parts = [query.where(state=free)] if free else []
        if self.needy:
            able = query.where(state=list(self.needy), engine=able_engines(self.capability))
            parts.append(refusals.without(able) if self.ends_processes else able)
        return tuple(parts)

    def passes_over(self, ids: Sequence[str], query: Query, at: datetime) -> dict[str, str]:
        """Those of these jobs, all that `query` can match, that it does nothing to: id -> outcome.  Source: a query a part and one more."""
        taken = {id for part in self.settled(query, at) for id in part.ids()}
        left = [id for id in ids if id not in taken]
        return dict.fromkeys(left, "moved") | {job.id: self._passed_for(job) for job in query.where(id=left)} if left else {}

    def _passed_for(self, job: Status) -> str:
        """The outcome, of a job that it does not take as it is."""
        if job.state not in self.states:
            return f"ended-{job.state}" if job.is_ended else "incomplete"
        if job.state in self.needy and job.engine not in able_engines(self.capability):
            return "cannot"
        return "already" if job.kill_requested else "moved"

    def carry_out(self, query: Query, *, by: str, reason: str, progress: Progress) -> Changed:
        """Do it to every job that `query` matches now; idempotent, so a batch that was cut short can be repeated."""
        return _CALLS[self.slug](query, by, reason or None, progress)


def able_engines(capability: str) -> list[str]:
    """Names of the installed engines that state `capability`."""
    return [engine.name for engine in registry.all() if getattr(engine, capability, False)]


_MICROSECOND = timedelta(microseconds=1)

_CALLS: dict[str, Callable[[Query, str, str | None, Progress], Changed]] = {
    "kill": lambda query, by, reason, progress: query.request_kill_all(by=by, reason=reason, end_queued=True, progress=progress),
    "kill-now": lambda query, by, reason, progress: query.kill_now_all(by=by, reason=reason, progress=progress),
    "retry": lambda query, by, reason, progress: query.retry_all(by=by, progress=progress),
    "remove": lambda query, by, reason, progress: query.delete_all(only_ended=True, undo_for=UNDO_FOR, progress=progress),
}

KILL = Verb(
    slug="kill",
    permission="kill_job",
    icon="killreq",
    label=_("Request kill"),
    short=_("Bulk kill"),
    states=(*_WAITING, State.started, State.unknown),
    once=(State.started, State.unknown),
    explanation=_(
        "Queued jobs never start. Started jobs are asked to stop and end at their next checkpoint; code without one runs to its end. "
        "A kill cannot be undone."
    ),
    question=ngettext_lazy("Request kill for %(n)s job?", "Request kill for %(n)s jobs?", "count"),
    question_some=ngettext_lazy("Request kill for %(n)s of %(total)s job?", "Request kill for %(n)s of %(total)s jobs?", "count"),
    button=ngettext_lazy("Request kill for %(n)s", "Request kill for %(n)s", "count"),
    doing=ngettext_lazy("Requesting kill for %(n)s job", "Requesting kill for %(n)s jobs", "count"),
    did=ngettext_lazy("Kill requested for %(n)s job", "Kill requested for %(n)s jobs", "count"),
)

KILL_NOW = Verb(
    slug="kill-now",
    permission="kill_job",
    icon="bolt",
    label=_("Kill now"),
    short=_("Bulk kill now"),
    states=(*_WAITING, State.started),
    capability="can_kill",
    needy=(State.started,),
    ends_processes=True,
    asks=(State.started,),
    batch=500,
    always_typed=True,
    risky=True,
    explanation=_(
        "Queued jobs never start. The process of every started job is ended at once: what it was writing may stay "
        "half done. A kill cannot be undone."
    ),
    question=ngettext_lazy("Kill %(n)s job now?", "Kill %(n)s jobs now?", "count"),
    question_some=ngettext_lazy("Kill %(n)s of %(total)s job now?", "Kill %(n)s of %(total)s jobs now?", "count"),
    button=ngettext_lazy("Kill %(n)s now", "Kill %(n)s now", "count"),
    doing=ngettext_lazy("Killing %(n)s job now", "Killing %(n)s jobs now", "count"),
    did=ngettext_lazy("Kill now sent for %(n)s job", "Kill now sent for %(n)s jobs", "count"),
)

RETRY = Verb(
    slug="retry",
    permission="retry_job",
    icon="retry",
    label=_("Retry"),
    short=_("Bulk retry"),
    states=_RETRIED,
    capability="can_retry",
    needy=_RETRIED,
    past=("queued_at", "failed_at", "killed_at"),
    batch=1_000,
    is_gentle=True,
    explanation=_(
        "Every job is sent to its engine once more, with the arguments it had. What happened so far stays with the "
        "job as an earlier attempt."
    ),
    question=ngettext_lazy("Retry %(n)s job?", "Retry %(n)s jobs?", "count"),
    question_some=ngettext_lazy("Retry %(n)s of %(total)s job?", "Retry %(n)s of %(total)s jobs?", "count"),
    button=ngettext_lazy("Retry %(n)s", "Retry %(n)s", "count"),
    doing=ngettext_lazy("Retrying %(n)s job", "Retrying %(n)s jobs", "count"),
    did=ngettext_lazy("%(n)s job sent again", "%(n)s jobs sent again", "count"),
)

REMOVE = Verb(
    slug="remove",
    permission="remove_job",
    icon="trash",
    label=_("Remove"),
    short=_("Bulk remove"),
    states=_ENDED,
    past=("succeeded_at", "failed_at", "killed_at"),
    always_typed=True,
    risky=True,
    explanation=_(
        "Removed jobs leave every list, count and chart, and their earlier attempts go with them. "
        "This can be taken back for ten minutes; after that it is final."
    ),
    question=ngettext_lazy("Remove %(n)s job?", "Remove %(n)s jobs?", "count"),
    question_some=ngettext_lazy("Remove %(n)s of %(total)s job?", "Remove %(n)s of %(total)s jobs?", "count"),
    button=ngettext_lazy("Remove %(n)s", "Remove %(n)s", "count"),
    doing=ngettext_lazy("Removing %(n)s job", "Removing %(n)s jobs", "count"),
    did=ngettext_lazy("%(n)s job removed", "%(n)s jobs removed", "count"),
)

RESTORE = Verb(
    slug="restore",
    permission="remove_job",
    icon="retry",
    label=_("Undo removal"),
    short=_("Undo removal"),
    states=(),
    explanation=_("Jobs that were removed come back as they were."),
    question=ngettext_lazy("Bring %(n)s job back?", "Bring %(n)s jobs back?", "count"),
    question_some=ngettext_lazy("Bring %(n)s job back?", "Bring %(n)s jobs back?", "count"),
    button=ngettext_lazy("Bring %(n)s back", "Bring %(n)s back", "count"),
    doing=ngettext_lazy("Bringing %(n)s job back", "Bringing %(n)s jobs back", "count"),
    did=ngettext_lazy("%(n)s job brought back", "%(n)s jobs brought back", "count"),
)


SUBMIT = Verb(
    slug="submit",
    permission="submit_job",
    icon="add",
    label=_("Submit job"),
    short=_("Submit job"),
    states=(),
    explanation=_("A job is sent to its engine by its name."),
    question=_("Submit this job?"),
    question_some=_("Submit this job?"),
    button=_("Submit job"),
    doing=_("Submitting a job"),
    did=_("Job submitted"),
)


def _beside_jobs(
    permission: str, slug: str, icon: str, label: Promise, explanation: Promise, question: Promise, doing: Promise, did: Promise
) -> Verb:
    """What is done to no job that stands on a page, with one wording for one and for many."""
    words = {"question": question, "question_some": question, "button": label, "doing": doing, "did": did}
    return Verb(slug=slug, permission=permission, icon=icon, label=label, short=label, states=(), explanation=explanation, **words)


#: What a command alone does. Nothing can be done about it on a page.
_by_command = partial(_beside_jobs, "view_job")
#: An order to a worker or a queue: about one, and no job's.
_control = partial(_beside_jobs, "control_workers")


REPAIR = _by_command(
    "repair",
    "retry",
    _("Mend what is kept"),
    _("What does not agree in the store is mended, each thing only if it is still so."),
    _("Mend what does not agree?"),
    ngettext_lazy("Mending %(n)s thing", "Mending %(n)s things", "count"),
    ngettext_lazy("%(n)s thing mended", "%(n)s things mended", "count"),
)
LOAD = _by_command(
    "load",
    "add",
    _("Load jobs"),
    _("Jobs of a log come in with their own past times."),
    _("Load these jobs?"),
    ngettext_lazy("Loading %(n)s job", "Loading %(n)s jobs", "count"),
    ngettext_lazy("%(n)s job loaded", "%(n)s jobs loaded", "count"),
)


STOP_WORKER = _control(
    "stop-worker",
    "stop",
    _("Stop worker"),
    _(
        "It takes no more jobs, ends with those it runs, and is gone. These pages cannot start it again: whatever started it, "
        "such as systemd, Kubernetes or the demo, may do so by itself."
    ),
    _("Stop this worker?"),
    _("Asking a worker to stop"),
    _("Worker asked to stop"),
)
RESTART_POOL = _control(
    "restart-pool",
    "retry",
    _("Restart pool"),
    _("Its processes are replaced by new ones, each when the job it runs has ended. The worker itself stays."),
    _("Restart the pool of this worker?"),
    _("Asking a worker to renew its pool"),
    _("Pool asked to renew"),
)
PAUSE_QUEUE = _control(
    "pause-queue",
    "pause",
    _("Pause queue"),
    _(
        "Its jobs wait until it is resumed, also when workers are started again. Those that run go on, and so does what "
        "workers have taken ahead."
    ),
    _("Pause this queue?"),
    _("Pausing a queue"),
    _("Queue paused"),
)
RESUME_QUEUE = _control(
    "resume-queue",
    "play",
    _("Resume queue"),
    _("Its jobs start again."),
    _("Resume this queue?"),
    _("Resuming a queue"),
    _("Queue resumed"),
)

#: What is done to workers and queues, not to jobs.
CONTROLS: dict[str, Verb] = {verb.slug: verb for verb in (STOP_WORKER, RESTART_POOL, PAUSE_QUEUE, RESUME_QUEUE)}

#: What `bulk/<action>/` takes, in the order of the bar.
BULK: dict[str, Verb] = {verb.slug: verb for verb in (KILL, KILL_NOW, RETRY, REMOVE)}

#: What commands alone do; no filter and no ids tell to what.
BY_COMMAND: dict[str, Verb] = {verb.slug: verb for verb in (REPAIR, LOAD)}

#: Everything an operation can be.
ALL: dict[str, Verb] = {**BULK, RESTORE.slug: RESTORE, SUBMIT.slug: SUBMIT, **CONTROLS, **BY_COMMAND}
