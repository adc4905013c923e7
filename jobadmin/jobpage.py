"""Everything the page of one job shows, panel by panel.

Each panel is a cached property, so a view or a fragment pays only for what it renders. Whatever a job carries goes through
the resolver's redaction here or in a template filter, before anybody sees it.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

import statuses
from jobadmin import audit, jsontext, lost, outputs, related, timeline, waiting
from jobadmin.actions import ACTIONS, Button
from jobadmin.attempts import Attempts
from jobadmin.models import Operation
from jobadmin.paths import action_url, resource_url
from jobadmin.resolver import resolver
from jobadmin.tracebacks import Trace, bounded
from statuses import State, Status
from statuses.engines import registry
from statuses.states import ENDED

#: Errors of all attempts together that are shown.
MOST_ERRORS = 25

#: Seconds after which an open page is drawn anew although its own status stayed the same: while children run, or while it waits.
REDRAWN_SECONDS = 6

_MOMENTS = (
    "recorded_at", "queued_at", "started_at", "succeeded_at", "failed_at", "killed_at", "kill_requested_at", "heartbeat_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Resource:
    """Something the job works on."""

    text: str
    """As it is shown."""
    name: str
    """Argument it came in under."""
    url: str = ""
    """Page of the resource; empty where the text holds a secret, which may not stand in an address either."""
    elsewhere: str | None = None
    """Where the thing itself lives in the product."""


class JobPage:
    """The panels of one job's page, looked at in one of its attempts. Raises: StatusNotFound, StoreUnavailable."""

    def __init__(self, status: Status, *, attempt: int, user: AbstractBaseUser | AnonymousUser, now: datetime) -> None:
        self.status = status
        self.attempts = Attempts(status, attempt)
        self.user = user
        self.now = now
        self._say = resolver()

    # The job itself

    @property
    def shown(self) -> Status:
        """The attempt that is looked at."""
        return self.attempts.shown

    @property
    def is_present(self) -> bool:
        return self.attempts.number == self.status.attempt

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
        (shown,) = self._say.redact({name: text}).values()
        if shown != text:
            return Resource(text=str(shown), name=self._say.redact_text(name))
        return Resource(text=text, name=self._say.redact_text(name), url=resource_url(text), elsewhere=self._say.resource_url(text))

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

    # Time

    @cached_property
    def legs(self) -> list[timeline.Leg]:
        """The timeline of the attempt that is looked at."""
        by = audit.retriers(self.attempts.newest, self.operations).get(self.attempts.number)
        usual = self.usual.run_seconds if self.usual else None
        return timeline.legs(self.shown, now=self.now, before=self.attempts.before, retried_by=by, usual=usual)

    @cached_property
    def usual(self) -> related.Usual | None:
        return related.usual(self.status.job_name, self.now)

    @cached_property
    def awaited(self) -> list[Status]:
        return waiting.awaited_by(self.status)

    @cached_property
    def has_workflow(self) -> bool:
        """Whether other jobs are tied to it by more than being its sub-jobs.  Source: two counts, where nothing else tells."""
        return bool(self.status.root or self.status.depends_on or self.status.parent) or waiting.is_awaited(self.status)

    @cached_property
    def is_lost(self) -> bool:
        """Whether nobody seems to run it.  Source: where somebody wants it to end, what its engine tells of its workers."""
        return self.status.is_stale or (self.status.kill_requested and lost.is_lost(self.status))

    @property
    def outlook(self) -> str:
        """What becomes of it then."""
        return lost.outlook(self.status)

    @cached_property
    def waiting(self) -> waiting.Waiting | None:
        """Why it has not started; None once it has."""
        return waiting.why(self.status, self.awaited, self.now)

    # What went in, what came out

    @cached_property
    def own_errors(self) -> list[Any]:
        """Those of the present attempt; a status reads its own anew each time it is asked."""
        return self.status.errors or []

    @cached_property
    def _recorded(self) -> dict[int, list[Any]]:
        """Attempt -> its errors, of the newest attempts, the newest first."""
        newest = reversed(self.attempts.newest)
        return {one.attempt: self.own_errors if one is self.status else one.errors or [] for one in newest}

    @cached_property
    def errors(self) -> list[Trace]:
        """Errors of the newest attempts, the newest first."""
        every = ((attempt, error) for attempt, errors in self._recorded.items() for error in reversed(errors))
        return [Trace.of(self._say.redact(bounded(error)), attempt=attempt) for attempt, error in islice(every, MOST_ERRORS)]

    @cached_property
    def errors_total(self) -> int:
        return sum(map(len, self._recorded.values()))

    @cached_property
    def alike(self) -> tuple[str, int] | None:
        """List and number of the other jobs with the present error."""
        return related.alike(self.status)

    @cached_property
    def call(self) -> jsontext.Shown | None:
        """Arguments of the engine's call; the half that is empty is left out."""
        given: Any = self.status.call
        if isinstance(given, dict) and {"args", "kwargs"} <= set(given):
            given = {name: given[name] for name in ("args", "kwargs") if given[name]}
            given = given if len(given) > 1 else next(iter(given.values()), None)
        return self._json(given) if given else None

    @cached_property
    def options(self) -> jsontext.Shown | None:
        """What else the engine was told: its own options of the call."""
        given = self.status.call
        if not isinstance(given, dict) or "args" not in given:
            return None
        rest = {name: value for name, value in given.items() if name not in ("args", "kwargs")}
        return self._json(rest["options"] if set(rest) == {"options"} else rest) if rest else None

    @cached_property
    def data(self) -> jsontext.Shown | None:
        data = self.shown.data
        return self._json(data) if data not in (None, {}, []) else None

    @cached_property
    def outputs(self) -> list[outputs.Shown]:
        """What the job gives to look at; an earlier attempt gives nothing."""
        return outputs.shown(self.status) if self.is_present else []

    def _json(self, value: Any) -> jsontext.Shown:
        limits = {"lines": self._say.shown_lines, "characters": self._say.shown_characters}
        most, cut = jsontext.trimmed(value, **limits)
        return jsontext.render(self._say.redact(most), cut=cut, **limits)

    def raw(self, part: str) -> Any:
        """``call``, ``data`` or ``errors``, whole: what "show all of it" opens."""
        return self._say.redact(self.status.call if part == "call" else getattr(self.shown, part))

    # Around it

    @property
    def engine(self) -> Any:
        """The engine's adapter, where it is installed."""
        return registry.get(self.status.engine)

    @cached_property
    def related(self) -> list[related.Related]:
        """Other jobs of the first resource, and of the same name."""
        return related.related(self.status, [resource.text for resource in self.resources if resource.url], self._say.shown_related)

    @cached_property
    def operations(self) -> list[Operation]:
        return audit.operations_on(self.status.id, self.attempts.newest)

    @cached_property
    def trail(self) -> list[audit.Entry]:
        return audit.trail(self.status, self.attempts.newest, self.operations)

    # Live

    @cached_property
    def children_counts(self) -> dict[State, int]:
        return self.status.children.counts()

    @cached_property
    def children_progress(self) -> float | None:
        """0 to 1, all children together; None without children.  Source: the records of those that run, up to 1,000."""
        if not self.children_counts[State.started]:
            total = sum(self.children_counts.values())
            return sum(self.children_counts[state] for state in ENDED) / total if total else None
        return self.status.roll_up().progress

    @property
    def is_final(self) -> bool:
        """Whether nothing on this page can change any more, short of somebody acting."""
        return self.status.is_ended and not any(number for state, number in self.children_counts.items() if state not in ENDED)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when anything the page shows of this job changes; cheap: the status and its children's counts."""
        status = self.status
        seen = [
            str(status.state), status.attempt, status.progress_at, status.progress_out_of, status.progress_message,
            status.job_name, status.queue, status.user, status.worker, status.provider_job_id, status.job_args, status.data,
            len(self.own_errors), [str(getattr(status, name)) for name in _MOMENTS],
            {str(state): number for state, number in self.children_counts.items()}, self._beat, self.is_lost,
        ]  # fmt: skip
        return hashlib.blake2b(json.dumps(seen, default=str).encode(), digest_size=9).hexdigest()

    @property
    def _beat(self) -> int:
        """Moves on where something beside the status itself is shown: running children, a queue."""
        moves = self.children_counts[State.started] or self.status.is_queued
        return int(self.now.timestamp() // REDRAWN_SECONDS) if moves else 0
