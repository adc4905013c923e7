"""The parameters of the dashboard's URLs: what each may hold, which are defaults, and what is refused."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

import statuses
from jobadmin import spans

#: Parameter -> the field of the library it asks, where the value is a text of a bounded dictionary.
FIELDS: Mapping[str, Any] = {"name": "job_name", "queue": "queue", "user": "user", "worker": "worker", "engine": "engine", "error": "error"}
#: Parameters whose values match exactly, without prefixes.
EXACT = {"resource": "job_arg", "id": "id", "workflow": "id"}
#: What `step` may say beside a depth (`3`) or several (`3-9`) of a workflow: the jobs at which it came to a halt.
STOPPED = "stopped"
FLAGS = ("kill_requested", "stale")
STATES = (*(state.value for state in statuses.State), "completed", "incomplete", "ended")
#: Timestamps that `by` may name.
TIMES = {
    "recorded_at": gettext_lazy("Created"),
    "queued_at": gettext_lazy("Queued"),
    "started_at": gettext_lazy("Started"),
    "ended_at": gettext_lazy("Ended"),
    "succeeded_at": gettext_lazy("Succeeded"),
    "failed_at": gettext_lazy("Failed"),
    "killed_at": gettext_lazy("Killed"),
    "kill_requested_at": gettext_lazy("Kill requested"),
    "heartbeat_at": gettext_lazy("Last heartbeat"),
}
#: The same inside a sentence: ``created in the last 7 days``. Languages differ in what they write small there.
TIMES_WITHIN = {
    "recorded_at": pgettext_lazy("in a sentence", "created"),
    "queued_at": pgettext_lazy("in a sentence", "queued"),
    "started_at": pgettext_lazy("in a sentence", "started"),
    "ended_at": pgettext_lazy("in a sentence", "ended"),
    "succeeded_at": pgettext_lazy("in a sentence", "succeeded"),
    "failed_at": pgettext_lazy("in a sentence", "failed"),
    "killed_at": pgettext_lazy("in a sentence", "killed"),
    "kill_requested_at": pgettext_lazy("in a sentence", "kill requested"),
    "heartbeat_at": pgettext_lazy("in a sentence", "last heartbeat"),
}
SORTS = (*TIMES, "run_time", "wait_time")

#: Every parameter that says which jobs, in the order in which a URL carries them.
REPEATED = ("id", "state", "flag", "name", "queue", "user", "worker", "engine", "resource", "error", "workflow")
SINGLE = ("step", "operation", "q", "span", "from", "to", "by", "sort", "after")
PARAMETERS = (*REPEATED, *SINGLE)
DEFAULTS = {"span": spans.DEFAULT, "by": "recorded_at", "sort": "-recorded_at"}
#: Parameters that name no jobs by themselves: which moment a span is about, and what is shown first.
NAMING_NONE = frozenset({"by", "sort", "after"})
#: Parameters of single pages, which change how something is shown and never which jobs: see `page_value`.
PAGE_PARAMETERS = frozenset({"chart", "rank", "part", "prefix", "columns", "page", "per", "tab", "next", "live", "upto", "kept"})

#: Of those the ones that say where it is shown, and where one goes afterwards: they stand on the way to an action, too.
SHOWN_ONLY = frozenset({"next", "part"})

LABELS = {
    "id": gettext_lazy("Selected"),
    "state": gettext_lazy("State"),
    "flag": gettext_lazy("Flag"),
    "name": gettext_lazy("Job name"),
    "queue": gettext_lazy("Queue"),
    "user": gettext_lazy("User"),
    "worker": gettext_lazy("Worker"),
    "engine": gettext_lazy("Engine"),
    "resource": gettext_lazy("Resource"),
    "error": gettext_lazy("Error"),
    "workflow": gettext_lazy("Workflow"),
    "step": gettext_lazy("Step"),
    "operation": gettext_lazy("Changed during"),
    "q": gettext_lazy("Search"),
}

#: Values one parameter may repeat; as many rows can be selected by id.
MOST_VALUES = 200
#: Characters of a refused name or value that are told.
SHOWN = 100
#: Characters one value may have: the longest text a job can have, and the marks that may stand around it (``-``, ``\\``, ``*``).
LONGEST_VALUE = 1_000 + 4


_STEP = re.compile(r"[0-9]{1,5}(-[0-9]{1,5})?")


def is_foreign(parameter: str) -> bool:
    """Whether mail and chat programs put it behind every link that is clicked there: it says nothing about jobs."""
    return parameter.startswith("utm_") or parameter in ("fbclid", "gclid", "msclkid", "mc_cid", "mc_eid")


class BadFilter(Exception):
    """Raised when a parameter of the URL cannot be understood; says which, what it was and what was expected."""

    def __init__(self, parameter: str, value: str, expected: str) -> None:
        super().__init__(f"{parameter}={value!r}: expected {expected}")
        self.parameter = parameter
        self.value = value
        self.expected = expected


class UnknownParameter(BadFilter):
    """Raised for a parameter that there is not; `near` is the one that was meant, as far as one can tell."""

    def __init__(self, parameter: str, value: str, known: Iterable[str] = PARAMETERS) -> None:
        known = list(known)
        self.near = next(iter(difflib.get_close_matches(parameter[:SHOWN], known, n=1)), "")
        if self.near:
            expected = _("the parameter %s") % self.near
        else:
            expected = _("one of the parameters %s") % ", ".join(known) if known else _("nothing: none is taken here")
        super().__init__(parameter[:SHOWN], value[:SHOWN], expected)


def page_value(request: HttpRequest, name: str, allowed: Iterable[str], default: str) -> str:
    """A parameter of this page alone, one of `allowed`.  Raises: BadFilter."""
    value = request.GET.get(name) or default
    if value not in (allowed := tuple(allowed)):
        raise BadFilter(name, value[:SHOWN], one_of(allowed))
    return value


def whole(text: str, digits: int = 9) -> int | None:
    """The number, from 0, that a text of at most so many digits is; None for every other text."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= digits else None


def check_once(query: QueryDict, names: Iterable[str]) -> None:
    """Of several values for what has one all but the last would not count.  Raises: BadFilter."""
    for name in names:
        told = dict.fromkeys(filter(None, query.getlist(name)))
        if len(told) > 1:
            raise BadFilter(name, ", ".join(told)[:SHOWN], _("one value, not %d") % len(told))


def check_one_span(given: Mapping[str, tuple[str, ...]]) -> None:
    """What somebody asked for: a preset beside bounds would be two spans, of which one did not count.  Raises: BadFilter."""
    bounds = [name for name in ("from", "to") if given.get(name)]
    if bounds and given.get("span"):
        words = {"bounds": ", ".join(bounds)}
        raise BadFilter("span", given["span"][-1][:SHOWN], _("no span beside %(bounds)s: one of the two says the time") % words)


def check_nothing_is_left_aside(query: QueryDict) -> None:
    """Where something is done to the jobs, or made of them: what a page may leave aside would mean more jobs than were asked for.
    Raises: BadFilter for a parameter without its value, and for a moment without a span."""
    for name in PARAMETERS:
        if name not in ("sort", "after") and not all(query.getlist(name)):
            raise BadFilter(name, "", _("a value: without one it would match everything"))
    by = query.get("by", DEFAULTS["by"])
    if by != DEFAULTS["by"] and query.get("span") == spans.ALL:
        raise BadFilter("by", by[:SHOWN], _("no moment beside span=%s, which asks for every job whatever the moment") % spans.ALL)


def normal(given: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """`given`, checked, single parameters cut to their last value, defaults left out.  Raises: BadFilter."""
    normal = {}
    for name, values in given.items():
        values = values if name in REPEATED else values[-1:]
        if len(values) > MOST_VALUES:
            raise BadFilter(name, str(len(values)), _("at most %d values") % MOST_VALUES)
        for value in values:
            _check(name, value)
        if DEFAULTS.get(name) != values[0]:
            normal[name] = values
    if "step" in normal and "workflow" not in normal:
        raise BadFilter("step", normal["step"][0], _("the parameter workflow beside it: a step is one of a workflow"))
    _normalise_span(normal)
    return normal


def _normalise_span(given: dict[str, tuple[str, ...]]) -> None:
    """Absolute bounds take the place of a preset, and are written in UTC."""
    for name in ("from", "to"):
        if name in given:
            given[name] = (spans.written(spans.parse(given[name][0], end_of_day=name == "to")),)
            given.pop("span", None)
    if {"from", "to"} <= given.keys():
        after, before = (spans.parse(given[name][0], end_of_day=False) for name in ("from", "to"))
        if after > before:
            raise BadFilter("from", given["from"][0], _("a time before the end of the span, %s") % given["to"][0])


@lru_cache(maxsize=4096)
def _check(name: str, value: str) -> None:
    """Raises: BadFilter. What is right stays right: the hundreds of links of a page ask for the same few values."""
    if len(value) > LONGEST_VALUE:
        raise BadFilter(name, value[:SHOWN] + "…", _("at most %d characters") % LONGEST_VALUE)
    if "\x00" in value and name not in (*FIELDS, *EXACT):
        raise BadFilter(name, value[:SHOWN], _("text without null characters"))
    allowed = {"span": spans.NAMES, "by": tuple(TIMES), "state": STATES, "flag": FLAGS, "sort": SORTS}.get(name)
    bare = value.removeprefix("-") if name in ("state", "flag", "sort") else value
    if allowed and bare not in allowed:
        raise BadFilter(name, value[:SHOWN], one_of(allowed))
    if name in ("from", "to"):
        _check_moment(name, value)
    if name == "step" and value != STOPPED and not _STEP.fullmatch(value):
        raise BadFilter(name, value[:SHOWN], _("a depth such as 3, several such as 3-9, or %s") % STOPPED)
    if name == "operation" and whole(value) is None:
        raise BadFilter(name, value[:SHOWN], _("the number of an operation"))
    if (name in FIELDS and value == "-") or (name in EXACT and value == "-"):
        raise BadFilter(name, value, _("a value after the minus"))


def _check_moment(name: str, value: str) -> None:
    try:
        spans.parse(value, end_of_day=name == "to")
    except ValueError as error:
        raise BadFilter(name, value[:SHOWN], _("a time in ISO 8601, such as 2026-01-31T14:30:00Z")) from error


def one_of(allowed: Iterable[str]) -> str:
    """What was expected where there are a few."""
    return _("one of %s") % ", ".join(allowed)
