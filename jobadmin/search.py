"""What the search field means: a job's id, a resource, its engine's id; else where the text stands that it holds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import statuses
from jobadmin.parameters import FIELDS, LABELS
from jobadmin.redaction import redact_text
from jobadmin.tokens import Token

if TYPE_CHECKING:
    from jobadmin.filterbar import FilterBar

#: What the field finds by itself, the first that there is.
FOUND = ("id", "job_arg", "provider_job_id")
#: Parameters under which a text is looked for that is none of these.
ELSEWHERE = ("name", "queue", "user", "worker")
#: Values offered that hold the text, of each parameter.
MOST_NEAR = 3


@dataclass(frozen=True, kw_only=True)
class Place:
    """A filter that the text could have meant."""

    label: str
    """What it filters by: Job name, Queue."""
    value: str
    url: str
    """The page with this filter in the place of the search."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A text that is no id and no resource, and where it stands."""

    text: str
    exact: list[Place]
    """Values that are this text."""
    near: list[Place]
    """Values that hold it."""


def narrowed(query: statuses.Query, text: str) -> statuses.Query:
    """The jobs that the search field means: one id, else a resource, else the engine's own id."""
    for clause in FOUND:
        if statuses.where(**{clause: text}).exists():
            return query.where(**{clause: text})
    return query.where(job_arg=text)


def elsewhere(bar: FilterBar) -> Search | None:
    """Where the text of the search stands; None where nothing is searched, or it is an id or a resource that there is.
    Source: up to seven small counts and four dictionaries."""
    text = bar.jobs.q
    if not text or any(statuses.where(**{clause: text}).exists() for clause in FOUND):
        return None
    if redact_text(text) != text:  # a secret stands in no address that we write
        return Search(text=redact_text(text), exact=[], near=[])
    exact = [_place(bar, name, text) for name in ELSEWHERE if statuses.where(**{FIELDS[name]: text}).exists()]
    near = [] if exact else [_place(bar, name, value) for name in ELSEWHERE for value in islice(_holding(name, text), MOST_NEAR)]
    return Search(text=text, exact=exact, near=near)


def _holding(name: str, text: str) -> list[str]:
    """Values that hold the text and no secret, those that begin with it first."""
    folded = text.casefold()
    found = [value for value in statuses.all().values(FIELDS[name]) if folded in value.casefold() and redact_text(value) == value]
    return sorted(found, key=lambda value: (not value.casefold().startswith(folded), value))


def _place(bar: FilterBar, name: str, value: str) -> Place:
    tokens = [token for token in bar.jobs.tokens(name) if token != Token(value)]
    return Place(label=str(LABELS[name]), value=value, url=bar.url(q=None, **{name: [*tokens, Token(value)]}))
