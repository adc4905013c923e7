"""A job as the person sees it who started it: what it is called, how far it is, what came of it.

Nothing of what is inside: no arguments, errors, tracebacks, workers, queues or attempts, and not who ended it or why.
"""

from __future__ import annotations

import logging
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy

import statuses
from jobadmin import formats, outputs, paths
from jobadmin.frame import admin_site
from jobadmin.resolver import Resolver, resolver
from jobadmin.words import gettext as _
from jobadmin.words import language
from statuses import Query, State, Status
from statuses.columns import OTHER
from statuses.states import ENDED

logger = logging.getLogger(__name__)

#: What states are called for people who run nothing themselves.
WORDS = {
    "unqueued": gettext_lazy("Planned"),
    "queued": gettext_lazy("Waiting"),
    "started": gettext_lazy("Running"),
    "succeeded": gettext_lazy("Done"),
    "failed": gettext_lazy("Failed"),
    "killed": gettext_lazy("Stopped"),
    "unknown": gettext_lazy("Not known"),
}
#: Longest texts that are shown, characters: what a job is called, what it says of itself, why it failed.
LONGEST_TITLE, LONGEST_MESSAGE, LONGEST_FAILURE = 200, 300, 1_000
#: State -> seconds between two looks at most. They begin with `Resolver.poll_seconds` and grow with the time that nothing happened:
#: who waits for an hour does not ask every two seconds.
SLOWEST = {State.started: 15, State.queued: 15, State.unqueued: 30, State.unknown: 30}
#: The share of that time after which the next look comes.
_GROWTH = 1 / 60
#: How long what came of jobs stands on a page that is open, seconds: while one job runs, the others have nothing new to say.
KEPT_SECONDS = 60


def jobs_of(user: AbstractBaseUser | AnonymousUser) -> Query:
    """The jobs that this person started.  Source: nothing yet."""
    name = _name(user)
    return statuses.where(user=[name] if name else [])


def is_own(user: AbstractBaseUser | AnonymousUser, status: Status) -> bool:
    """Whether this person started the job."""
    name = _name(user)
    return bool(name) and status.user == name


def _name(user: AbstractBaseUser | AnonymousUser) -> str:
    """What jobs of this person have as `user`; empty for who is nobody. The word for users that a full dictionary has no room for is no
    person either: whoever is called like that would see the jobs of all those."""
    name = str(user.get_username()) if user.is_authenticated else ""
    return "" if name == OTHER else name


def may_follow(request: HttpRequest, status: Status) -> bool:
    """Whether the viewer may see how far a job is: their own, or any for those who may see it in the dashboard."""
    user = request.user
    return is_own(user, status) or (_may_enter(request) and bool(resolver().may(user, "view_job", status)))


def _may_enter(request: HttpRequest) -> bool:
    """Whether the dashboard is for this viewer; a project that has none asks whether they are staff."""
    user = request.user
    if not user.is_authenticated:
        return False
    try:
        return bool(admin_site().has_permission(request))
    except NoReverseMatch:
        return bool(user.is_active and getattr(user, "is_staff", False))


class OwnJob:
    """What is told of one job. Whatever the job itself carries is redacted and cut here; all of it is still to be escaped."""

    def __init__(
        self, status: Status, now: datetime, *, part_of: OwnJob | None = None, looks: bool = False, has_parts: bool = True
    ) -> None:
        self.status = status
        self.now = now
        self.part_of = part_of
        """The job that this one is a part of, where that is the same person's."""
        self._looks = looks
        self._has_parts = has_parts
        self._say = resolver()

    @property
    def state(self) -> str:
        return self.status.state.value

    @property
    def word(self) -> str:
        return str(WORDS[self.state])

    @property
    def is_over(self) -> bool:
        return self.status.state in ENDED

    @property
    def url(self) -> str:
        """Where its progress is told."""
        return reverse("jobadmin_user:progress", args=[paths.quote(self.status.id)])

    @property
    def anchor(self) -> str:
        return paths.anchor(self.status.id)

    @cached_property
    def title(self) -> str:
        return self._told("job_title", LONGEST_TITLE)

    @cached_property
    def failure(self) -> str:
        """A word about a job that failed; empty for others."""
        return self._told("failure_text", LONGEST_FAILURE) if self.status.is_failed else ""

    def _told(self, method: str, longest: int) -> str:
        """A text of the project's; where its method raises, or has nothing to say, the one that is said without a project."""
        try:
            said = str(getattr(self._say, method)(self.status) or "").strip()
        except Exception:
            logger.exception("the resolver's %s raised for job %s", method, self.status.id)
            said = ""
        return self._short(said or str(getattr(Resolver, method)(self._say, self.status)), longest)

    def _short(self, text: str, longest: int) -> str:
        # The slice is no safe string even where the text was one: what is told is data.
        return formats.cut(self._say.redact_text(text)[:], longest)

    @cached_property
    def percent(self) -> int | None:
        """Whole percent done, 100 only where all is; None where nobody can say.
        Source: where a job that runs says nothing of itself, the states and progress of its children."""
        status = self.status
        if status.is_succeeded:
            return 100
        share = status.progress
        if share is None and status.is_started and self._has_parts:
            share = status.roll_up().progress
        if share is None:
            return None if status.is_started else 0
        # The little more makes 0.57 what it says.
        return 100 if share >= 1 else min(99, int(share * 100 + 1e-6))

    @property
    def shows_percent(self) -> bool:
        """Whether there is a share to tell, also of a job that did not get done: how far it came."""
        if self.status.is_started:
            return self.percent is not None
        return self.status.is_succeeded or (self.is_over and self.status.progress is not None)

    @property
    def spoken(self) -> str:
        """The bar in words."""
        share = f"{self.percent} %" if self.shows_percent else self.word
        return ", ".join(filter(None, (share, self.message or self.remark)))

    @cached_property
    def message(self) -> str:
        """What a job that runs says of itself, or how many it has of how many."""
        if not self.status.is_started:
            return ""
        return self._short(
            self.status.progress_message or formats.out_of(self.status.progress_at, self.status.progress_out_of), LONGEST_MESSAGE
        )

    @property
    def remark(self) -> str:
        """What is odd about a job that has not ended."""
        if self.is_over:
            return ""
        if self.status.kill_requested:
            return _("It was asked to stop.")
        return _("It has not been heard of for a while.") if self.status.is_stale else ""

    @property
    def lasted(self) -> str:
        """How long it took, runs or waits, in words; empty where that is not known."""
        status = self.status
        if self.is_over:
            return "" if status.run_time is None else _("took %(time)s") % {"time": formats.duration(status.run_time)}
        if status.is_started:
            return _("running for %(time)s") % {"time": self._since(status.started_at)}
        if status.is_unknown:
            return ""
        return _("waiting for %(time)s") % {"time": self._since(status.queued_at)}

    def _since(self, moment: datetime | None) -> str:
        seconds = max(1, int(self._seconds(moment)))
        return formats.landmark(seconds) if seconds < 60 else formats.duration(seconds)

    def _seconds(self, moment: datetime | None) -> float:
        return (self.now - (moment or self.status.recorded_at)).total_seconds()

    @cached_property
    def outputs(self) -> list[outputs.Shown]:
        """What came of it.  Source: whatever the processors read; where a page that is open looks again, once in `KEPT_SECONDS`."""
        if not self.is_over:
            return []
        if not self._looks:
            return outputs.shown(self.status)
        return _kept_outputs(self.status, self.status.attempt, language(), int(self.now.timestamp()) // KEPT_SECONDS)

    @property
    def seconds(self) -> int | None:
        """Seconds until it is worth another look; None once it is over."""
        if self.is_over:
            return None
        age = self._seconds(self.status.started_at if self.status.is_started else self.status.queued_at)
        least = max(1, round(self._say.poll_seconds))
        return max(least, min(round(age * _GROWTH), SLOWEST[self.status.state]))

    @property
    def seen(self) -> tuple[Any, ...]:
        """All that its bar depends on; equal as long as it looks the same."""
        status = self.status
        return (
            status.id, self.state, status.attempt, status.progress_at, status.progress_out_of, status.progress_message, self.percent,
            status.job_name, status.kill_requested, status.is_stale, self.seconds,
        )  # fmt: skip


@lru_cache(maxsize=64)
def _kept_outputs(status: Status, attempt: int, language: str | None, turn: int) -> list[outputs.Shown]:
    return outputs.shown(status)
