"""Everything the page of one job shows, panel by panel.

Each panel is a cached property, so a view or a fragment pays only for what it renders. Whatever a job carries goes through
the resolver's redaction here, before any template sees it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _

import statuses
from jobadmin import audit, jsontext, timeline
from jobadmin.actions import ACTIONS, Button
from jobadmin.filters import JobFilter
from jobadmin.formats import STATE_WORDS, duration
from jobadmin.models import Operation
from jobadmin.paths import action_url, resource_url
from jobadmin.resolver import resolver
from jobadmin.tracebacks import Trace
from statuses import State, Status, StatusNotFound
from statuses.query import Query
from statuses.engines import registry

#: How far back "usual for jobs of this name" looks.
USUAL_SPAN = timedelta(days=7)

#: How far back the speed of a queue is measured.
DRAIN_SPAN = timedelta(minutes=10)

#: Jobs this one depends on that are listed.
MOST_AWAITED = 20

#: Resources of one job that are counted: the first with a list of its jobs, the others with the number alone.
RELATED_RESOURCES = 5

#: Attempts that get a tab.
MOST_TABS = 12

#: Errors of all attempts together that are shown.
MOST_ERRORS = 25


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Something the job works on."""

    text: str
    """As it is shown."""
    name: str
    """Argument it came in under."""
    url: str = ""
    """Page of the resource; empty where the text holds a secret, which may not stand in an address either."""
    filter: str = ""
    """Value for the list's filter, empty likewise."""
    elsewhere: str | None = None
    """Where the thing itself lives in the product."""


@dataclass(frozen=True, kw_only=True)
class Related:
    """Jobs that share something with this one."""

    value: str
    """The resource or the name."""
    total: int
    url: str
    """List of all of them."""
    jobs: Sequence[Status]
    """The newest others."""
    shows_name: bool
    """Whether their names tell them apart, else their resources."""
    others: Sequence[tuple[str, int, str]] = ()
    """Further resources: text, number of jobs, list."""


@dataclass(frozen=True, kw_only=True)
class Usual:
    """How jobs of this name did lately."""

    total: int
    ended: int
    failed: int
    run: Any
    """Durations of run times."""
    wait: Any


@dataclass(frozen=True, kw_only=True)
class Tab:
    """One attempt to choose."""

    attempt: int
    """Zero-based."""
    state: str
    words: str
    """What came of it, and when or how long."""
    selected: bool

    @property
    def number(self) -> int:
        """As people count."""
        return self.attempt + 1

    @property
    def link(self) -> str:
        return f"?attempt={self.attempt}"


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Why a job has not started yet."""

    ahead: int | None
    """Queued before it in the same queue."""
    ahead_url: str
    running: int
    running_url: str
    workers: int
    """Different workers that run something of this queue now."""
    per_second: float
    """Jobs of the queue started a second, lately."""
    seconds: float | None
    """When its turn should come at that speed; None: no ground to say."""
    awaited: int
    """Jobs it depends on that have not ended."""

    @property
    def speed(self) -> str:
        """Jobs a second, a minute or an hour: whichever gives a number of at least one."""
        for factor, words in ((1, _("%(n)s a second")), (60, _("%(n)s a minute")), (3600, _("%(n)s an hour"))):
            if self.per_second * factor >= 1:
                break
        return words % {"n": number_format(self.per_second * factor, decimal_pos=1 if self.per_second * factor < 10 else 0)}


class JobPage:
    """The panels of one job's page, looked at in one of its attempts."""

    def __init__(self, status: Status, *, attempt: int, user: AbstractBaseUser | AnonymousUser, now: datetime) -> None:
        self.status = status
        self.number = attempt
        self.user = user
        self.now = now
        self._say = resolver()

    # The job itself

    @cached_property
    def attempts(self) -> list[Any]:
        """All attempts, the present one last."""
        return [*self.status.prior_attempts, self.status]

    @cached_property
    def shown(self) -> Any:
        """The attempt that is looked at."""
        found = next((attempt for attempt in self.attempts if attempt.attempt == self.number), None)
        if found is None:
            raise StatusNotFound(f"{self.status.id}:{self.number}")
        return found

    @property
    def is_present(self) -> bool:
        return self.shown is self.status

    @property
    def name(self) -> str:
        """Redacted name of the job; its id where it has none."""
        return self._say.redact_text(self.status.job_name or self.status.id)

    @cached_property
    def progress_message(self) -> str:
        return self._say.redact_text(self.status.progress_message or "")

    @property
    def shows_progress(self) -> bool:
        """A bar is worth its place while it moves, or where it stopped short."""
        return self.status.progress is not None and not self.status.is_succeeded

    @cached_property
    def resources(self) -> list[Resource]:
        found = []
        for name, value in (self.status.job_args or {}).items():
            for text in value if isinstance(value, list) else [value]:
                found.append(self._resource(str(name), str(text)))
        return found

    def _resource(self, name: str, text: str) -> Resource:
        shown = self._say.redact({name: text})[name] if name in self._say.redact({name: text}) else self._say.redact_text(text)
        if shown != text:
            return Resource(text=str(shown), name=name)
        return Resource(text=text, name=name, url=resource_url(text), filter=text, elsewhere=self._say.resource_url(text))

    @cached_property
    def parent(self) -> Status | None:
        """The job that spawned this one; None also when it is gone."""
        return statuses.find(self.status.parent) if self.status.parent else None

    @cached_property
    def buttons(self) -> list[Button]:
        """Actions this user may do; those not possible now say why."""
        return [
            Button(action=action, url=action_url(self.status.id, action.slug), why_not=action.why_not(self.status))
            for action in ACTIONS.values()
            if self._say.may(self.user, action.verb.permission, self.status)
        ]

    @cached_property
    def tabs(self) -> list[Tab]:
        """The newest attempts, newest first, and the one that is looked at."""
        newest = self.attempts[-MOST_TABS:]
        listed = newest if self.shown in newest else [self.shown, *newest[1:]]
        return [self._tab(attempt) for attempt in reversed(listed)]

    @property
    def tabs_left_out(self) -> int:
        return len(self.attempts) - len(self.tabs)

    def _tab(self, attempt: Any) -> Tab:
        state = str(attempt.state)
        word = STATE_WORDS[state]
        if attempt.run_time is not None:
            words = _("%(state)s after %(time)s") % {"state": word, "time": duration(attempt.run_time)}
        elif attempt.is_started and attempt.started_at:
            words = _("%(state)s %(time)s") % {"state": word, "time": timezone.localtime(attempt.started_at).strftime("%H:%M:%S")}
        else:
            words = str(word)
        return Tab(attempt=attempt.attempt, state=state, words=words, selected=attempt is self.shown)

    # Time

    @cached_property
    def legs(self) -> list[timeline.Leg]:
        """The timeline of the attempt that is looked at."""
        place = self.attempts.index(self.shown)
        before = self.attempts[place - 1] if place else None
        by = audit.retriers(self.attempts, self.operations).get(self.number)
        usual = self.usual.run.p50 if self.usual and self.usual.run.n >= 5 else None
        return timeline.legs(self.shown, now=self.now, before=before, retried_by=by, usual=usual)

    @cached_property
    def usual(self) -> Usual | None:
        """How jobs of this name did within USUAL_SPAN; None without a name or without any."""
        if not self.status.job_name:
            return None
        report = self._lately().report(counts=True, durations=("run_time", "wait_time"))
        total = sum(report.counts.values())
        ended = sum(report.counts[state] for state in (State.succeeded, State.failed, State.killed))
        run, wait = report.durations["run_time"], report.durations["wait_time"]
        return Usual(total=total, ended=ended, failed=report.counts[State.failed], run=run, wait=wait) if total else None

    def _lately(self) -> Query:
        after = self.now.replace(minute=0, second=0, microsecond=0) - USUAL_SPAN
        return statuses.where(job_name=self.status.job_name, recorded_at=(after, None))

    @cached_property
    def waiting(self) -> Waiting | None:
        """Why it has not started; None once it has."""
        if not (self.status.is_queued or self.status.is_unqueued) or not self.is_present:
            return None
        queue, since = self.status.queue, self.status.queued_at
        awaited = sum(1 for job in self.awaited if not job.is_ended)
        if not queue:
            return Waiting(ahead=None, ahead_url="", running=0, running_url="", workers=0, per_second=0.0, seconds=None, awaited=awaited)
        in_queue = statuses.where(queue=queue)
        just_before = since - timedelta(microseconds=1) if since else None
        ahead = in_queue.where(state="queued", queued_at=(None, just_before)).count() if just_before else None
        started = in_queue.where(started_at=(self.now - DRAIN_SPAN, None)).count()
        running = in_queue.where(state="started").report(count=True, counts_by={"worker": 1})
        speed = started / DRAIN_SPAN.total_seconds()
        everything = JobFilter().with_(queue=queue, span="all")
        return Waiting(
            ahead=ahead,
            ahead_url=everything.url("list", state="queued", by="queued_at", to=just_before) if just_before else "",
            running=running.total,
            running_url=everything.url("list", state="started"),
            workers=running.distinct["worker"],
            per_second=speed,
            seconds=(ahead + 1) / speed if ahead is not None and speed else None,
            awaited=awaited,
        )

    @cached_property
    def awaited(self) -> list[Status]:
        """Jobs this one depends on, known by our id or by the engine's; at most MOST_AWAITED of them."""
        wanted = list(self.status.depends_on or ())[:MOST_AWAITED]
        if not wanted:
            return []
        found = {job.id: job for clause in ("id", "provider_job_id") for job in statuses.where(**{clause: wanted}).limit(MOST_AWAITED)}
        return list(found.values())

    # What went in, what came out

    @cached_property
    def errors(self) -> list[Trace]:
        """Errors of every attempt, the newest first."""
        found: list[Trace] = []
        for attempt in reversed(self.attempts):
            for error in reversed(attempt.errors or []):
                if len(found) < MOST_ERRORS:
                    found.append(Trace.of(self._say.redact(error), attempt=attempt.attempt, group=attempt.error_group))
        return found

    @cached_property
    def errors_total(self) -> int:
        return sum(len(attempt.errors or ()) for attempt in self.attempts)

    @cached_property
    def alike(self) -> tuple[str, int] | None:
        """How many other jobs carry the present error group, and the list of them."""
        group = self.status.error_group
        if not group:
            return None
        total = statuses.where(error=group).count() - 1
        return (_list_of("error", group), total) if total > 0 else None

    @cached_property
    def call(self) -> jsontext.Shown | None:
        """Arguments of the engine's call; the half that is empty is left out."""
        return self._json(self.arguments) if self.arguments else None

    @cached_property
    def raw_call(self) -> Any:
        return self._say.redact(self.status.call) if self.status.call else None

    @property
    def arguments(self) -> Any:
        if not isinstance(self.raw_call, dict) or not {"args", "kwargs"} <= set(self.raw_call):
            return self.raw_call
        given = {name: self.raw_call[name] for name in ("args", "kwargs") if self.raw_call[name]}
        return given if len(given) > 1 else next(iter(given.values()), None)

    @cached_property
    def options(self) -> jsontext.Shown | None:
        """What else the engine was told: its own options of the call."""
        if not isinstance(self.raw_call, dict):
            return None
        rest = {name: value for name, value in self.raw_call.items() if name not in ("args", "kwargs")}
        rest = rest["options"] if set(rest) == {"options"} else rest
        return self._json(rest) if rest and self.raw_call.keys() >= {"args"} else None

    @cached_property
    def data(self) -> jsontext.Shown | None:
        return self._json(self.raw_data) if self.raw_data is not None else None

    @cached_property
    def raw_data(self) -> Any:
        data = self.shown.data
        return self._say.redact(data) if data not in (None, {}, []) else None

    def _json(self, value: Any) -> jsontext.Shown:
        return jsontext.render(value, lines=self._say.shown_lines, characters=self._say.shown_characters)

    @property
    def raw(self) -> dict[str, Any]:
        """Everything long about the job, whole: what "show all of it" opens."""
        return {"call": self.raw_call, "data": self.raw_data, "errors": [self._say.redact(error) for error in self.shown.errors or ()]}

    # Around it

    @cached_property
    def engine(self) -> Any:
        """The engine's adapter, where it is installed."""
        return registry.get(self.status.engine) if self.status.engine else None

    @cached_property
    def is_stale(self) -> bool:
        """Started, and its last sign of life is too old."""
        return self.status.is_stale

    @cached_property
    def related(self) -> list[Related]:
        """Other jobs of the first resource, and of the same name."""
        found = [self._related("resource", text, self._resources_to_count[1:]) for text in self._resources_to_count[:1]]
        if self.status.job_name:
            found.append(self._related("name", self.status.job_name))
        return found

    @cached_property
    def _resources_to_count(self) -> list[str]:
        return list(dict.fromkeys(resource.filter for resource in self.resources if resource.filter))[:RELATED_RESOURCES]

    def _related(self, parameter: str, value: str, others: Sequence[str] = ()) -> Related:
        query = statuses.where(**{{"resource": "job_arg", "name": "job_name"}[parameter]: value})
        newest = query.limit(self._say.shown_related + 1).run()
        return Related(
            value=value,
            total=query.count(),
            url=_list_of(parameter, value),
            jobs=[job for job in newest if job.id != self.status.id][: self._say.shown_related],
            shows_name=parameter == "resource",
            others=[(text, statuses.where(job_arg=text).count(), _list_of("resource", text)) for text in others],
        )

    @cached_property
    def operations(self) -> list[Operation]:
        return audit.operations_on(self.status.id)

    @cached_property
    def trail(self) -> list[audit.Entry]:
        return audit.trail(self.status, self.attempts, self.operations)

    # Live

    @cached_property
    def children_counts(self) -> dict[State, int]:
        return self.status.children.counts()

    @property
    def is_final(self) -> bool:
        """Whether nothing on this page can change any more, short of somebody acting."""
        waits = any(n for state, n in self.children_counts.items() if state not in (State.succeeded, State.failed, State.killed))
        return self.status.is_ended and not waits

    @cached_property
    def fingerprint(self) -> str:
        """Changes when anything the page shows of this job changes; cheap: the status and its children's counts."""
        status = self.status
        seen = [
            str(status.state), status.attempt, status.progress_at, status.progress_out_of, status.progress_message,
            status.job_name, status.queue, status.user, status.worker, status.provider_job_id, status.job_args, status.data,
            len(status.errors or ()), [str(getattr(status, name)) for name in _MOMENTS],
            {str(state): n for state, n in self.children_counts.items()},
        ]  # fmt: skip
        return hashlib.blake2b(json.dumps(seen, default=str).encode(), digest_size=9).hexdigest()


def _list_of(parameter: str, value: str) -> str:
    return JobFilter().with_(**{parameter: value}, span="all").url("list")


_MOMENTS = (
    "recorded_at", "queued_at", "started_at", "succeeded_at", "failed_at", "killed_at", "kill_requested_at", "heartbeat_at",
)  # fmt: skip
