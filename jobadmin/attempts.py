"""The attempts of a job: the newest of them, the one that is looked at, and a tab for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django.utils.translation import gettext as _

from jobadmin.formats import STATE_WORDS, clock_short, duration
from statuses import Status, StatusNotFound

#: Earlier attempts that are read for the page, the newest, each with its errors.
MOST_ATTEMPTS = 40

#: Attempts that get a tab.
MOST_TABS = 12

#: How far the links to those without one lead: any of a thousand is a few steps away.
STEPS = (1, 10, 100)


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


class Attempts:
    """What a page knows of one job's attempts. Raises: StatusNotFound when ``number`` never was, or is gone.
    Source: of the earlier ones, which are read when the first is asked for, two round trips for all of them; none for the present one."""

    def __init__(self, status: Status, number: int) -> None:
        self.status = status
        self.number = number
        self.total = status.attempt + 1

    @cached_property
    def newest(self) -> Sequence[Status]:
        """The newest attempts, the present one last."""
        return [*(attempt for number, attempt in self._earlier.items() if number >= self._first), self.status]

    @cached_property
    def shown(self) -> Status:
        """The attempt that is looked at."""
        found = self._known(self.number)
        if found is None:
            raise StatusNotFound(f"{self.status.id}:{self.number}")
        return found

    @cached_property
    def before(self) -> Status | None:
        """The attempt before it."""
        return self._known(self.number - 1)

    @cached_property
    def tabs(self) -> list[Tab]:
        """The newest attempts, newest first, and the one that is looked at."""
        newest = self.newest[-MOST_TABS:]
        listed = newest if self.shown in newest else [self.shown, *newest[1:]]
        return [_tab(attempt, attempt.attempt == self.number) for attempt in reversed(listed)]

    @property
    def left_out(self) -> int:
        """Attempts without a tab."""
        return self.total - len(self.tabs)

    @property
    def ways(self) -> list[int]:
        """Some of those without a tab, newest first, as people count: the first, and those around the oldest tab and the one looked at."""
        listed, oldest = {tab.attempt for tab in self.tabs}, self.total - MOST_TABS
        starts = (oldest, min(self.number, oldest))
        around = {start + way for start in starts for step in STEPS for way in (step, -step)}
        return sorted((number + 1 for number in {0, oldest, *around} - listed if 0 <= number < self.total), reverse=True)

    def _known(self, number: int) -> Status | None:
        return self.status if number == self.total - 1 else self._earlier.get(number)

    @property
    def _first(self) -> int:
        return max(0, self.total - 1 - MOST_ATTEMPTS)

    @cached_property
    def _earlier(self) -> dict[int, Status]:
        """The newest by their numbers, and the two that are looked at; without those that are gone."""
        looked_at = {self.number - 1, self.number} & {*range(self._first)}
        numbers = [*sorted(looked_at), *range(self._first, self.total - 1)]
        return {attempt.attempt: attempt for attempt in self.status.attempts_at(numbers) if attempt is not None}


def _tab(attempt: Status, selected: bool) -> Tab:
    state = str(attempt.state)
    word = STATE_WORDS[state]
    if attempt.run_time is not None:
        words = _("%(state)s after %(time)s") % {"state": word, "time": duration(attempt.run_time)}
    elif attempt.is_started and attempt.started_at:
        words = _("%(state)s %(time)s") % {"state": word, "time": clock_short(attempt.started_at)}
    else:
        words = str(word)
    return Tab(attempt=attempt.attempt, state=state, words=words, selected=selected)
