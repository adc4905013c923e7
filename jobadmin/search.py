"""What the search field means: a job's id, a resource, its engine's id; else where the text stands that it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

import statuses
from jobadmin.parameters import FIELDS, LABELS
from jobadmin.paths import job_url
from jobadmin.redaction import redact_text
from jobadmin.tokens import Token

if TYPE_CHECKING:
    from jobadmin.filterbar import FilterBar

#: What the field finds by itself, the first that there is.
FOUND = ("id", "job_arg", "provider_job_id")
#: Parameters under which a text is looked for that is none of these.
ELSEWHERE = ("name", "queue", "user", "worker", "error")
#: Values offered that hold the text, of each parameter.
MOST_NEAR = 3
#: Jobs of a stretch of time looked through for an id that begins so.
MOST_BEGUN = 2_000
#: The beginning of an id that the service made, its dashes taken out: at least the minute that eight digits name.
_BEGINNING = re.compile(r"[0-9a-f]{8,31}")
#: The year 2200 in microseconds: digits that begin with a later time are no id.
_END_US = 7_258_118_400_000_000


@dataclass(frozen=True, kw_only=True)
class Place:
    """A filter or a job that the text could have meant."""

    label: str
    """What it filters by: Job name, Queue; or that it is a job."""
    value: str
    url: str
    """The page with this filter in the place of the search, or the job's."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A text that is no id and no resource, and where it stands."""

    text: str
    exact: list[Place]
    """Values that are this text."""
    near: list[Place]
    """Values that hold it, and jobs whose ids begin with it."""


def narrowed(query: statuses.Query, text: str) -> statuses.Query:
    """The jobs that the search field means: one id, else a resource, else the engine's own id."""
    return query.where(**{_clause_of(text) or "job_arg": text})


def elsewhere(bar: FilterBar) -> Search | None:
    """Where the text of the search stands; None where nothing is searched, or it is an id or a resource that there is.
    Source: up to eight small counts and five dictionaries; for the beginning of an id the jobs of its time."""
    text = bar.jobs.q
    if not text or is_found(text):
        return None
    if redact_text(text) != text:  # a secret stands in no address that we write
        return Search(text=redact_text(text), exact=[], near=[])
    exact = [_place(bar, name, text) for name in parameters_of(text)]
    near = [] if exact else [_place(bar, name, value) for name in ELSEWHERE for value in islice(_holding(name, text), MOST_NEAR)]
    begun = [] if exact else [Place(label=_("Job"), value=id, url=job_url(id)) for id in ids_beginning(text)]
    return Search(text=text, exact=exact, near=[*begun, *near])


def is_found(text: str) -> bool:
    """Whether it is an id, a resource or an engine's id that there is.  Source: three small counts."""
    return _clause_of(text) is not None


def _clause_of(text: str) -> str | None:
    """What the field finds by itself: the first clause that a job matches."""
    return next((clause for clause in FOUND if statuses.where(**{clause: text}).exists()), None)


def parameters_of(text: str) -> list[str]:
    """The parameters that the whole text is a value of.  Source: five small counts."""
    return [name for name in ELSEWHERE if statuses.where(**{FIELDS[name]: text}).exists()]


def ids_beginning(text: str) -> list[str]:
    """The first ids that begin with the text, at most MOST_NEAR.  Source: the ids of the jobs recorded in the time that
    an id begins with, MOST_BEGUN at most; nothing for a text that is no such beginning."""
    text = text.lower()
    if not _BEGINNING.fullmatch(digits := text.replace("-", "")):
        return []
    earliest, latest = (int(digits[:12].ljust(12, filling), 16) * 1000 for filling in "0f")
    if latest >= _END_US:
        return []
    recorded = statuses.where(recorded_at=(earliest, latest + 999)).order_by("recorded_at").limit(MOST_BEGUN)
    return list(islice((id for id in recorded.ids() if id.startswith(text)), MOST_NEAR))


def _holding(name: str, text: str) -> list[str]:
    """Values that hold the text and no secret, those that begin with it first."""
    folded = text.casefold()
    found = [value for value in statuses.all().values(FIELDS[name]) if folded in value.casefold() and redact_text(value) == value]
    return sorted(found, key=lambda value: (not value.casefold().startswith(folded), value))


def _place(bar: FilterBar, name: str, value: str) -> Place:
    tokens = [token for token in bar.jobs.tokens(name) if token != Token(value)]
    return Place(label=str(LABELS[name]), value=value, url=bar.url(q=None, **{name: [*tokens, Token(value)]}))
