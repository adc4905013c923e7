"""Who keeps the store in order, and who does no more: what the page of workers, the shell and notes about lost jobs tell of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from jobadmin import formats
from jobadmin.redaction import redact_text
from statuses.upkeep import CHECK, CLEAN, REAP, RETRY, SAMPLE, Chore

#: How to have a reaper.
COMMAND = "manage.py reap_jobs --every 30"


class Duty(NamedTuple):
    """What a chore is called, what it is for, and what comes of it when nobody does it."""

    name: Promise
    does: Promise
    missed: Promise


#: Chore -> the words for it, in the order of the page.
DUTIES = {
    REAP: Duty(
        gettext_lazy("Reaper"),
        gettext_lazy("gives up jobs of lost workers"),
        gettext_lazy("Meanwhile jobs of lost workers stay started."),
    ),
    CLEAN: Duty(
        gettext_lazy("Cleaner"),
        gettext_lazy("removes jobs whose time to be kept is over"),
        gettext_lazy("Meanwhile jobs stay beyond their time, and take memory."),
    ),
    RETRY: Duty(
        gettext_lazy("Retrier"),
        gettext_lazy("sends failures again"),
        gettext_lazy("Meanwhile these failures are not sent again."),
    ),
    SAMPLE: Duty(
        gettext_lazy("Sampler"),
        gettext_lazy("writes down how deep queues are"),
        gettext_lazy("Meanwhile the charts of queues have a gap."),
    ),
    CHECK: Duty(
        gettext_lazy("Check"),
        gettext_lazy("looks whether all that is kept agrees"),
        gettext_lazy("Meanwhile nobody notices what does not agree."),
    ),
}
#: What a round did -> the words for it.
RESULTS = {
    "failed": ngettext_lazy("%(n)s marked failed", "%(n)s marked failed", "count"),
    "ended": ngettext_lazy("%(n)s marked as ended", "%(n)s marked as ended", "count"),
    "unknown": ngettext_lazy("%(n)s marked unknown", "%(n)s marked unknown", "count"),
    "retried": ngettext_lazy("%(n)s sent again", "%(n)s sent again", "count"),
    "cannot": ngettext_lazy("%(n)s cannot be sent again", "%(n)s cannot be sent again", "count"),
    "removed": ngettext_lazy("%(n)s removed", "%(n)s removed", "count"),
    "operations": ngettext_lazy("%(n)s operation removed", "%(n)s operations removed", "count"),
    "checked": ngettext_lazy("%(n)s job looked at", "%(n)s jobs looked at", "count"),
    "wrong": ngettext_lazy("%(n)s thing wrong", "%(n)s things wrong", "count"),
    "repaired": ngettext_lazy("%(n)s mended", "%(n)s mended", "count"),
    "queues": ngettext_lazy("%(n)s queue", "%(n)s queues", "count"),
}


@dataclass(frozen=True, kw_only=True)
class UpkeepRow:
    """A chore of one process."""

    about: Chore
    now: datetime

    @property
    def duty(self) -> Duty | None:
        """Its words; None for a chore of somebody else."""
        return DUTIES.get(self.about.chore)

    @property
    def name(self) -> str:
        return str(self.duty.name) if self.duty else redact_text(self.about.chore)

    @property
    def narrowed(self) -> str:
        """What it is narrowed to."""
        return redact_text(self.about.about)

    @property
    def condition(self) -> str:
        """`overdue`, `broken`, `ended`, `running`, or `once`."""
        if self.about.is_overdue(self.now):
            return "overdue"
        if self.about.error:
            return "broken"
        if self.about.ended_at:
            return "ended"
        return "running" if self.about.every_seconds is not None else "once"

    @property
    def is_trouble(self) -> bool:
        return self.condition in ("overdue", "broken")

    @property
    def every(self) -> str:
        """How soon it comes again, as a duration."""
        return formats.every(timedelta(seconds=self.about.every_seconds or 0))

    @property
    def took(self) -> str:
        """How long its last round took."""
        return formats.duration(self.about.took_seconds)

    @property
    def result(self) -> str:
        """What its last round that found something did, in words; empty where none has."""
        return ", ".join(_result(name, number) for name, number in self.about.did.items())

    @property
    def found_at(self) -> datetime | None:
        """When that was, if its last round found nothing more."""
        return self.about.did_at if self.about.did_at != self.about.ran_at else None

    @property
    def missed(self) -> str:
        """What comes of it while nobody does it."""
        return str(self.duty.missed) if self.duty else ""

    @property
    def warning(self) -> str:
        """In a sentence, for a shell."""
        words = {"name": self.name, "host": self.about.host, "pid": self.about.pid, "error": self.about.error}
        if self.condition == "broken":
            said = _("%(name)s on %(host)s, pid %(pid)s: its last round ended with %(error)s.") % words
        else:
            words |= {"every": self.every, "ago": formats.when(self.about.ran_at, self.now)}
            said = _("%(name)s on %(host)s, pid %(pid)s, is overdue: it meant to come every %(every)s, its last round was %(ago)s.") % words
        return f"{said} {self.missed}".strip()


def _result(name: str, number: int) -> str:
    words = RESULTS.get(name)
    shown = formats.count(number)
    return words % {"count": number, "n": shown} if words is not None else f"{shown} {redact_text(name)}"


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """What is told of it."""

    rows: list[UpkeepRow]
    """Those in trouble first."""
    reaper: str
    """Empty where lost jobs are given up, else why they are not: see `reaper`."""

    @cached_property
    def troubles(self) -> list[UpkeepRow]:
        """To be said loudly."""
        return [row for row in self.rows if row.is_trouble]

    @property
    def warnings(self) -> list[str]:
        """What somebody has to look after, in sentences."""
        return [row.warning for row in self.troubles]

    @property
    def without_reaper(self) -> str:
        """In a sentence that nobody gives up lost jobs, where that is no trouble of somebody who should; empty where somebody does."""
        return str(NO_REAPER.get(self.reaper, ""))

    @property
    def command(self) -> str:
        """How to have a reaper."""
        return COMMAND


#: Why there is no reaper, where that is no trouble of one.
NO_REAPER = {
    "never": gettext_lazy("No reaper has run: jobs of lost workers stay started."),
    "ended": gettext_lazy("The reaper was ended, and no other runs: jobs of lost workers stay started."),
}


def read(chores: Sequence[Chore], now: datetime) -> Upkeep:
    """What runs, and of what does not run any more the last that did.  Source: nothing."""
    rows = [UpkeepRow(about=chore, now=now) for group in _groups(chores) for chore in shown(group, now)]
    order = [*DUTIES]
    rows.sort(key=lambda row: (not row.is_trouble, order.index(row.about.chore) if row.duty else len(order), row.name, row.narrowed))
    return Upkeep(rows=rows, reaper=reaper(chores, now))


def reaper(chores: Iterable[Chore], now: datetime) -> str:
    """Empty where a reaper gives lost jobs up, as far as can be told; else why none does: `never` one ran, the last one was
    `ended`, is `overdue`, or `broken`.  Source: nothing."""
    reapers = shown([chore for chore in chores if chore.chore == REAP], now)
    found = [UpkeepRow(about=chore, now=now).condition for chore in reapers]
    if not found:
        return "never"
    return "" if found[0] != "overdue" and {"running", "once"} & {*found} else found[0]


def _groups(chores: Iterable[Chore]) -> list[list[Chore]]:
    """Those that do the same, whoever it is: one of them is enough."""

    def same(chore: Chore) -> tuple[str, str]:
        return chore.chore, chore.about

    return [[*found] for _key, found in groupby(sorted(chores, key=same), same)]


def shown(group: Sequence[Chore], now: datetime) -> list[Chore]:
    """Of those that do the same all that come again in time; where none does the last one, and before it one that is overdue,
    unless another came in the time for which that one would have been waited for."""
    last_first = sorted(group, key=lambda chore: chore.ran_at, reverse=True)
    running = [chore for chore in last_first if chore.patience is not None and not chore.is_overdue(now)]
    if running or not last_first:
        return running
    last = last_first[0]
    announced = next((chore for chore in last_first if chore.every_seconds is not None), None)
    if announced is None or announced is last or announced.patience is None or now - last.ran_at <= announced.patience:
        return [last]
    return [announced, last]
