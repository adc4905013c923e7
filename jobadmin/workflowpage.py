"""Everything the page of a workflow shows: the drawing, the table of its steps, and the buttons."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlencode

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

import statuses
from jobadmin import graphlayout
from jobadmin.filters import JobFilter
from jobadmin.formats import STATE_WORDS, count, duration
from jobadmin.parameters import MOST_VALUES, STOPPED
from jobadmin.paths import job_url, workflow_url
from jobadmin.resolver import resolver
from jobadmin.templatetags.jobadmin_job import resources
from jobadmin.verbs import BULK, KILL, RETRY, Verb, able_engines
from jobadmin.workflow import ENDED, ORDER, Graph, Step, graph, step_filter
from statuses import State, Status

#: Characters of a name that a box has room for.
NAME_CHARACTERS = 20
#: Width of the bar in a box and in the table, and the least width of a part that is there.
BAR, LEAST = 160.0, 2.0
#: Seconds between two looks at a workflow for each hundred jobs: a walk costs what it finds.
SECONDS_A_HUNDRED = 2


@dataclass(frozen=True, kw_only=True)
class Part:
    """One state's share of a bar, with the list of exactly those jobs."""

    state: str
    n: int
    x: float
    width: float
    url: str

    @property
    def words(self) -> str:
        """``20 failed``."""
        return f"{count(self.n)} {str(STATE_WORDS[self.state]).lower()}"


@dataclass(frozen=True, kw_only=True)
class Button:
    """What can be done to the whole workflow, or why not."""

    verb: Verb
    label: str
    url: str
    why_not: str = ""


class Box:
    """One step as it is drawn and listed."""

    def __init__(self, page: WorkflowPage, step: Step) -> None:
        self.page = page
        self.step = step
        which = step.jobs[0].id if step.job else step.is_rest
        self.id = "step-" + hashlib.blake2b(f"{step.key}{which}".encode(), digest_size=6).hexdigest()

    @cached_property
    def name(self) -> str:
        """Redacted; in words where there is none."""
        if self.step.name:
            return resolver().redact_text(self.step.name)
        if self.step.names > 1:
            return ngettext("%(n)s job name", "%(n)s job names", self.step.names) % {"n": count(self.step.names)}
        return _("Without a name")

    @property
    def short_name(self) -> str:
        """As the box has room; the end tells dotted names apart."""
        return self.name if len(self.name) <= NAME_CHARACTERS else "…" + self.name[1 - NAME_CHARACTERS :]

    @cached_property
    def is_here(self) -> bool:
        """Whether the job one came from is in it."""
        return any(job.id == self.page.status.id for job in self.step.jobs)

    @cached_property
    def jobs(self) -> JobFilter:
        """Exactly its jobs; of what is left of an opened step, the whole step's."""
        return step_filter(self.page.status.id, self.step)

    @property
    def list_url(self) -> str:
        return self.jobs.url("list")

    @cached_property
    def url(self) -> str:
        """To the job; for several: the same page with them drawn one by one, else their list."""
        if self.step.job is not None:
            return job_url(self.step.job.id)
        return self.page.opening(self.step.key) + f"#{self.id}" if self.step.can_open else self.list_url

    @property
    def number(self) -> str:
        return count(len(self.step.jobs))

    @cached_property
    def title(self) -> str:
        """All of it in one sentence, for hover and screen readers."""
        if self.step.job is not None:
            resource = next((shown for shown, _ in resources(self.step.job)), "")
            return ", ".join(filter(None, (f"{self.name}: {self.line}", resolver().redact_text(resource))))
        kind = _("%(n)s jobs in a row") if self.step.in_a_row else _("%(n)s jobs")
        return f"{self.name}, {kind % {'n': self.number}}: {', '.join(part.words for part in self.parts)}"

    @cached_property
    def line(self) -> str:
        """What stands below the name: the state and how long or how far; of several, how many ended, or how many failed."""
        step, job = self.step, self.step.job
        if job is None:
            figures = {"ended": count(step.ended), "total": self.number, "worst": self.parts[-1].words}
            return (_("%(ended)s of %(total)s · %(worst)s") if step.failed else _("%(ended)s of %(total)s ended")) % figures
        word = str(STATE_WORDS[job.state])
        if job.run_time is not None:
            return f"{word} · {duration(job.run_time)}"
        return f"{word} · {int(100 * job.progress)} %" if job.is_started and job.progress is not None else word

    @cached_property
    def parts(self) -> list[Part]:
        return parts(self.step.counts, self.jobs)

    @property
    def bar_x(self) -> float:
        return self.step.x + 12

    @cached_property
    def acts(self) -> list[tuple[Verb, str]]:
        """What can be done to the jobs of this step alone: (verb, confirm page). Sent again are those at which it stopped."""
        found = []
        if self.step.open and self.page.may(KILL):
            found.append((KILL, self.jobs.with_(state=[str(state) for state in KILL.states]).url("bulk", KILL.slug)))
        if (stopped := self._stopped()) and self.page.may(RETRY):
            found.append((RETRY, stopped.url("bulk", RETRY.slug)))
        return found

    def _stopped(self) -> JobFilter | None:
        """Its jobs at which the workflow stopped; too many for an address by their name, which other steps may have, too."""
        ids = [job.id for job in self.step.jobs if job.id in self.page.stopped_ids]
        if len(ids) > MOST_VALUES:
            return self.page.jobs.with_(step=STOPPED, name=self.step.name or None)
        return JobFilter().with_(id=ids, span="all") if ids else None

    @property
    def after(self) -> list[str]:
        """Names of the steps it comes after, each once."""
        return list(dict.fromkeys(self.page.box_of[id(step)].name for step in self.step.after))


def parts(counts: Mapping[State, int], jobs: JobFilter) -> list[Part]:
    """The bar: every state that occurs, its width, its list."""
    total = sum(counts.values())
    room = BAR - LEAST * len(counts) - max(len(counts) - 1, 0)
    found, x = [], 0.0
    for state, number in counts.items():
        width = LEAST + room * number / total
        url = jobs.with_(state=str(state)).url("list")
        found.append(Part(state=str(state), n=number, x=round(x, 1), width=round(width, 1), url=url))
        x += width + 1
    return found


class WorkflowPage:
    """The workflow around one job.  Source: a walk. Raises: StoreUnavailable."""

    def __init__(self, status: Status, *, opened: Sequence[str], user: AbstractBaseUser | AnonymousUser) -> None:
        self.status = status
        self.opened = list(dict.fromkeys(opened))
        self.user = user
        self.workflow = statuses.workflow(status)
        self.jobs = JobFilter().with_(workflow=status.id, span="all")
        self.jobs.__dict__["workflows"] = {status.id: self.workflow}

    @property
    def name(self) -> str:
        return resolver().redact_text(self.status.job_name or self.status.id)

    @property
    def title(self) -> str:
        return _("Workflow of %(name)s") % {"name": self.name}

    @cached_property
    def graph(self) -> Graph:
        return graph(self.workflow, self.opened)

    @cached_property
    def drawing(self) -> graphlayout.Drawing:
        return graphlayout.draw(self.graph)

    @cached_property
    def boxes(self) -> list[Box]:
        return [Box(self, step) for step in self.drawing.steps]

    @cached_property
    def box_of(self) -> dict[int, Box]:
        return {id(box.step): box for box in self.boxes}

    @property
    def is_alone(self) -> bool:
        """Whether no other job belongs to it."""
        return len(self.workflow.jobs) < 2

    @property
    def has_critical(self) -> bool:
        return any(step.is_critical for step in self.drawing.steps)

    @property
    def has_sent(self) -> bool:
        return any(not line.waits for line in self.drawing.lines)

    @property
    def url(self) -> str:
        return workflow_url(self.status.id)

    def opening(self, key: str) -> str:
        """The page with one more step drawn job by job."""
        return f"{self.url}?{urlencode([('open', one) for one in (*self.opened, key)])}"

    @cached_property
    def parts(self) -> list[Part]:
        return parts(self.graph.counts, self.jobs)

    # What can be done

    def may(self, verb: Verb) -> bool:
        return resolver().may(self.user, verb.permission)

    def can_retry(self, jobs: Sequence[Status]) -> bool:
        """Whether the engine of any of them can send a job again."""
        able = set(able_engines(RETRY.capability))
        return any(job.engine in able for job in jobs)

    @cached_property
    def stopped(self) -> list[Status]:
        """The jobs that a retry of the whole sends again."""
        return [job for job in self.workflow.stopped if self.can_retry([job])]

    @cached_property
    def stopped_ids(self) -> frozenset[str]:
        return frozenset(job.id for job in self.stopped)

    @cached_property
    def behind(self) -> int:
        """Jobs that failed, were killed or got lost, and stand behind others that did not go well."""
        return sum(step.failed for step in self.graph.steps) - len(self.workflow.stopped) - len(self.unsure)

    @cached_property
    def unsure(self) -> list[Status]:
        """Those of which nobody has looked at all that is tied to them: the workflow is too large."""
        return [self.workflow.jobs[number] for number in sorted(self.workflow.rim) if self.workflow.jobs[number].state in RETRY.states]

    @cached_property
    def buttons(self) -> list[Button]:
        return [make() for verb, make in ((KILL, self._kill), (RETRY, self._retry)) if self.may(verb)]

    def _kill(self) -> Button:
        number = sum(n for state, n in self.graph.counts.items() if state not in ENDED)
        label = ngettext("Request kill for %(n)s", "Request kill for %(n)s", number) % {"n": count(number)}
        why = "" if number else _("All of its jobs have ended.")
        return Button(verb=KILL, label=label, url=self.jobs.url("bulk", KILL.slug), why_not=why)

    def _retry(self) -> Button:
        number = len(self.stopped)
        why = "" if number else _("No job of it failed, was killed or got lost that could be sent again now.")
        label = ngettext("Retry %(n)s where it stopped", "Retry %(n)s where it stopped", number) % {"n": count(number)}
        return Button(verb=RETRY, label=label, url=self.jobs.with_(step=STOPPED).url("bulk", RETRY.slug), why_not=why)

    # Live

    @property
    def poll_seconds(self) -> int | None:
        """Seconds to the next look; None where nothing can change any more."""
        if self.graph.ended == self.graph.total:
            return None
        return max(resolver().poll_seconds, SECONDS_A_HUNDRED * self.graph.total // 100)

    @cached_property
    def fingerprint(self) -> str:
        """Changes when anything the page shows changes."""
        seen = [[job.id, str(job.state), job.attempt, job.progress, bool(job.kill_requested)] for job in self.workflow.jobs]
        return hashlib.blake2b(json.dumps(seen).encode(), digest_size=9).hexdigest()


assert set(ORDER) == set(State)
assert {KILL.slug, RETRY.slug} <= set(BULK)
