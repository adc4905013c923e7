"""What a bulk verb would do to a set of jobs: counts by effect, from one report of the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobadmin import refusals
from jobadmin.formats import count
from jobadmin.verbs import BULK, KILL, KILL_NOW, REMOVE, RETRY, Verb, able_engines
from jobadmin.words import gettext as _
from statuses import Query, Report, State, Status

#: Engines told apart in one plan; a project has a handful.
_ENGINES = 50

#: What a plan is made of, for `Query.report`.
QUESTIONS: Mapping[str, Any] = {"counts": True, "flags": True, "counts_by": {"engine": _ENGINES}}

_ENDED = (State.succeeded, State.failed, State.killed)
_WAITING = (State.unqueued, State.queued)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row of a plan or of a result: a number of jobs and what becomes of them."""

    number: int
    title: str
    note: str = ""
    icon: str = ""
    """Symbol and colour, a state's name or a flag's; empty for what is skipped."""

    @property
    def is_skip(self) -> bool:
        return not self.icon


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many of `total` jobs a verb changes, by effect; the lines add up to `total`."""

    verb: Verb
    total: int
    changes: int
    lines: tuple[Line, ...]
    afterwards: str = ""
    """What can be done about it when it is over."""

    @property
    def question(self) -> str:
        return self.verb.ask(self.changes, self.total)

    @property
    def button(self) -> str:
        return self.verb.say("button", self.changes)

    @property
    def asks_typing(self) -> bool:
        return self.verb.asks_typing(self.changes)


def measure(query: Query) -> Census:
    """The counts that plans are made of. Raises: StoreUnavailable.
    Source: one read of the store, no record; one more where some workers cannot end what they run."""
    report, stuck = query.report(**QUESTIONS), 0
    if report.counts[State.started] and refusals.any_worker():
        able = query.where(state=State.started, engine=able_engines(KILL_NOW.capability))
        stuck = able.count() - refusals.without(able).count()
    return Census(report, stuck)


def plan(verb: Verb, census: Census) -> Plan:
    """What `verb` would do to the jobs that were counted."""
    lines = tuple(line for line in _LINES[verb.slug](verb, census) if line.number)
    changes = sum(line.number for line in lines if not line.is_skip)
    return Plan(verb=verb, total=census.total, changes=changes, lines=lines, afterwards=_afterwards(verb, census) if changes else "")


def _afterwards(verb: Verb, census: Census) -> str:
    """Whether what a kill changes can be retried: that takes an engine that can."""
    if verb not in (KILL, KILL_NOW):
        return ""
    free, capability = [state for state in verb.states if state not in verb.needy], verb.capability
    concerned = sum(census.counts[state] for state in free) + sum(census.able(state, capability) for state in verb.needy)
    again = sum(census.able(state, RETRY.capability) for state in free)
    again += sum(census.able(state, capability, RETRY.capability) for state in verb.needy)
    if again == concerned:
        return _("Killed jobs can be retried.")
    if not again:
        return _("These jobs cannot be retried afterwards: no engine is known that could run them again.")
    return _("Afterwards those can be retried whose engine can run a job again; for others no such engine is known.")


def plans(census: Census, slugs: Iterable[str] = tuple(BULK)) -> list[Plan]:
    """The plans of several verbs for one set of jobs, in the order of the bar."""
    return [plan(BULK[slug], census) for slug in slugs]


class Census:
    """Jobs counted by state, by what was asked of them, and by what their engine can do."""

    def __init__(self, report: Report, stuck: int = 0) -> None:
        self.report = report
        self.stuck = stuck
        """Started ones whose engine can end a job, and whose worker cannot."""
        self.counts: dict[State, int] = report.counts
        self.requested: dict[State, int] = report.flags["kill_requested"]
        self.engines = report.counts_by["engine"]
        self.total = sum(self.counts.values())

    def of(self, states: Iterable[State]) -> int:
        return sum(self.counts[state] for state in states)

    def able(self, state: State, *capabilities: str) -> int:
        """Jobs in `state` whose engine states that it can do all of these."""
        able = set.intersection(*(set(able_engines(capability)) for capability in capabilities))
        return sum(found.by_state[state] for found in self.engines if found.value in able)

    def words(self, states: Iterable[State]) -> str:
        """ "43,310 succeeded, 3,391 failed": the states that occur."""
        return ", ".join(f"{count(self.counts[state])} {_STATE_WORDS[state]()}" for state in states if self.counts[state])


_STATE_WORDS = {
    State.unqueued: lambda: _("unqueued"),
    State.queued: lambda: _("queued"),
    State.started: lambda: _("started"),
    State.succeeded: lambda: _("succeeded"),
    State.failed: lambda: _("failed"),
    State.killed: lambda: _("killed"),
    State.unknown: lambda: _("unknown"),
}


def _waiting(census: Census) -> list[Line]:
    note = _("will not start")
    return [
        Line(number=census.counts[State.unqueued], title=_("Unqueued"), note=note, icon="unqueued"),
        Line(number=census.counts[State.queued], title=_("Queued"), note=note, icon="queued"),
    ]


def _ended(census: Census) -> Line:
    return Line(number=census.of(_ENDED), title=_("Skipped: already ended"), note=census.words(_ENDED))


def _kill_lines(verb: Verb, census: Census) -> list[Line]:
    asked = {state: census.requested.get(state, 0) for state in (State.started, State.unknown)}
    started = census.counts[State.started] - asked[State.started]
    unknown = census.counts[State.unknown] - asked[State.unknown]
    return [
        *_waiting(census),
        Line(number=started, title=_("Started"), note=_("asked to stop"), icon="started"),
        Line(number=unknown, title=_("Unknown"), note=_("asked to stop, for what still runs"), icon="unknown"),
        Line(number=sum(asked.values()), title=_("Skipped: asked before"), note=_("not ended yet")),
        _ended(census),
    ]


def _kill_now_lines(verb: Verb, census: Census) -> list[Line]:
    able = census.able(State.started, verb.capability)
    stuck = min(census.stuck, able)
    return [
        *_waiting(census),
        Line(number=able - stuck, title=_("Started"), note=_("process ended at once"), icon="started"),
        Line(
            number=stuck,
            title=_("Skipped: started, at a worker that cannot"),
            note=_("it runs jobs in threads or in itself, without a process to end; Request kill asks to stop"),
        ),
        Line(
            number=census.counts[State.started] - able,
            title=_("Skipped: started"),
            note=_("no engine is known that could end the process; Request kill asks to stop"),
        ),
        Line(
            number=census.counts[State.unknown],
            title=_("Skipped: unknown"),
            note=_("no process is known to end; Request kill asks to stop"),
        ),
        _ended(census),
    ]


def _retry_lines(verb: Verb, census: Census) -> list[Line]:
    able = {state: census.able(state, verb.capability) for state in verb.states}
    others = [state for state in State if state not in verb.states]
    return [
        Line(number=able[State.failed], title=_("Failed"), note=_("sent again"), icon="failed"),
        Line(number=able[State.killed], title=_("Killed"), note=_("sent again"), icon="killed"),
        Line(
            number=able[State.unknown],
            title=_("Unknown"),
            note=_("sent again; one that still runs then runs twice"),
            icon="unknown",
        ),
        Line(
            number=census.of(verb.states) - sum(able.values()),
            title=_("Skipped: cannot be run again"),
            note=_("no engine is known that can"),
        ),
        Line(number=census.of(others), title=_("Skipped: still to come, running or succeeded"), note=census.words(others)),
    ]


def _remove_lines(verb: Verb, census: Census) -> list[Line]:
    note = _("removed, with earlier attempts")
    others = [state for state in State if state not in verb.states]
    return [
        Line(number=census.counts[State.succeeded], title=_("Succeeded"), note=note, icon="succeeded"),
        Line(number=census.counts[State.failed], title=_("Failed"), note=note, icon="failed"),
        Line(number=census.counts[State.killed], title=_("Killed"), note=note, icon="killed"),
        Line(number=census.of(others), title=_("Skipped: not ended"), note=census.words(others)),
    ]


_LINES = {
    KILL.slug: _kill_lines,
    KILL_NOW.slug: _kill_now_lines,
    RETRY.slug: _retry_lines,
    REMOVE.slug: _remove_lines,
}


def applies(verb: Verb, status: Status) -> bool:
    """Whether a verb would change this one job now; what the counts of `plan` are the sum of."""
    if status.state not in verb.states:
        return False
    if status.state in verb.once and status.kill_requested:
        return False
    if status.state not in verb.needy:
        return True
    return status.engine in able_engines(verb.capability) and not (verb.ends_processes and refusals.why_not_kill(status))
