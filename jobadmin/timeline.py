"""One attempt of a job as a line through time: every moment it recorded, and the gaps between them.

Reads attributes of Status objects alone; asks the store nothing. Moments are sorted as the clocks say, so a gap is never
negative; where two coincide, the order of a job's life decides.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from jobadmin.formats import STATE_WORDS, count, duration

#: Progress below this is too little to guess the end from.
LEAST_PROGRESS = 0.02

_ENDS = ("succeeded", "failed", "killed")


@dataclass(frozen=True, kw_only=True)
class Stop:
    """A moment on the line."""

    state: str
    """State it belongs to, for its colour."""
    icon: str
    name: str
    at: datetime | None = None
    note: str = ""
    is_next: bool = False
    """Has not happened yet."""
    shows_date: bool = False
    """On another day than the stop before it."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What lies between a moment and the next."""

    state: str
    """State the job was in meanwhile."""
    seconds: float | None
    """Length; None while it is not known."""
    word: str = ""
    """``waited``, ``ran for``."""
    is_wait: bool = False
    """Nothing of the job's own was going on."""
    is_next: bool = False
    """Lies ahead."""
    ticks: bool = False
    """Still growing."""


@dataclass(frozen=True, kw_only=True)
class Leg:
    """A gap (none before the first stop) and the stop it leads to."""

    gap: Gap | None
    stop: Stop


def legs(status: Any, *, now: datetime, before: Any = None, retried_by: str | None = None, usual: float | None = None) -> list[Leg]:
    """The line of one attempt.

    ``before`` is the attempt before it, ``retried_by`` whoever sent it again, ``usual`` the median run time of jobs of this
    name in seconds, from which a job without progress guesses its end.
    """
    stops = _dated(sorted(_stops(status, before, retried_by), key=lambda stop: stop.at))
    ahead = None if status.is_ended else _ahead(status, now, usual)
    line: list[Leg] = []
    for place, stop in enumerate(stops):
        line.append(Leg(gap=_gap(stops[place - 1], stop) if place else None, stop=stop))
    if ahead:
        line.append(Leg(gap=_growing(stops[-1], status, now) if stops else None, stop=ahead))
    return line


def _stops(status: Any, before: Any, retried_by: str | None) -> list[Stop]:
    """Every moment the attempt recorded, in the order of a job's life."""
    since = before.ended_at or before.started_at if before is not None else None
    found = [_first(status, before, since, retried_by)]
    if status.queued_at and (since is None or status.queued_at >= since):
        name = _("Queued again") if before is not None else _("Queued")
        found.append(Stop(state="queued", icon="queued", name=name, at=status.queued_at, note=status.queue or ""))
    if status.kill_requested_at and (since is None or status.kill_requested_at >= since):
        by = _("by %(user)s") % {"user": status.kill_requested_by} if status.kill_requested_by else ""
        found.append(Stop(state="killreq", icon="killreq", name=_("Kill requested"), at=status.kill_requested_at, note=by))
    if status.started_at:
        worker = _("worker %(worker)s") % {"worker": status.worker} if status.worker else ""
        found.append(Stop(state="started", icon="started", name=_("Started"), at=status.started_at, note=worker))
    for state in _ENDS:
        at = getattr(status, f"{state}_at")
        if at:
            found.append(Stop(state=state, icon=state, name=str(STATE_WORDS[state]), at=at))
    return [stop for stop in found if stop is not None]


def _first(status: Any, before: Any, since: datetime | None, retried_by: str | None) -> Stop | None:
    """Where the line begins: the job's creation, or the end of the attempt before."""
    if before is None:
        by = _("by %(user)s") % {"user": status.user} if status.user else ""
        return Stop(state="unqueued", icon="unqueued", name=_("Created"), at=status.recorded_at, note=by)
    if since is None:
        return None
    note = (
        _("retried by %(user)s") % {"user": retried_by} if retried_by else _("attempt %(number)s") % {"number": count(before.attempt + 1)}
    )
    state = str(before.state) if before.is_ended else "unqueued"
    return Stop(state=state, icon=state, name=str(STATE_WORDS[state]) if before.is_ended else _("Given up"), at=since, note=note)


def _dated(stops: list[Stop]) -> list[Stop]:
    """Marks the stops that need their date said: all, when the attempt spans days."""
    days = {timezone.localtime(stop.at).date() for stop in stops}
    if len(days) < 2:
        return stops
    return [replace(stop, shows_date=True) for stop in stops]


def _gap(one: Stop, other: Stop) -> Gap:
    seconds = max((other.at - one.at).total_seconds(), 0.0)
    if other.state == "started":
        return Gap(state=one.state, seconds=seconds, word=_("waited"), is_wait=True)
    if one.state == "started":
        return Gap(state="started", seconds=seconds, word=_("ran for"))
    return Gap(state=one.state, seconds=seconds, is_wait=one.state != "killreq" or other.state not in _ENDS)


def _growing(last: Stop, status: Any, now: datetime) -> Gap:
    """The gap between the last moment and now."""
    running = str(status.state) == "started"
    since = status.started_at if running and status.started_at else last.at
    word = _("runs for") if running else _("waits for") if str(status.state) in ("queued", "unqueued") else _("silent for")
    return Gap(
        state="started" if running else last.state,
        seconds=max((now - since).total_seconds(), 0.0),
        word=word,
        is_wait=not running,
        ticks=True,
    )


def _ahead(status: Any, now: datetime, usual: float | None) -> Stop | None:
    """What comes next, with a guess at when where there is ground for one."""
    state = str(status.state)
    if state == "unknown":
        return Stop(state="unknown", icon="unknown", name=_("Unknown"), note=_("nobody said what came of it"), is_next=True)
    if state != "started":
        return Stop(state="unqueued", icon="clock", name=_("Starts") if state == "queued" else _("Is queued"), is_next=True)
    left = remaining_seconds(status, now, usual)
    if left is None:
        return Stop(state="unqueued", icon="clock", name=_("Ends"), note=_overdue(usual), is_next=True)
    note = _("%(time)s to go") % {"time": duration(left)}
    return Stop(state="unqueued", icon="clock", name=_("Ends"), at=now + timedelta(seconds=left), note=note, is_next=True)


def remaining_seconds(status: Any, now: datetime, usual: float | None) -> float | None:
    """Seconds until a running job should end, by its progress, else by what is usual for its name; None: no ground to say."""
    if not status.started_at:
        return None
    run = (now - status.started_at).total_seconds()
    progress = status.progress
    if progress is not None and LEAST_PROGRESS <= progress < 1 and run > 0:
        return run * (1 - progress) / progress
    return usual - run if usual is not None and run < usual else None


def _overdue(usual: float | None) -> str:
    return _("usually after %(time)s") % {"time": duration(usual)} if usual is not None else ""
