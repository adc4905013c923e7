"""Which jobs a page is about: read from the URL in one place, given back as a query, as words and as links."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

from django.http import HttpRequest, QueryDict
from django.utils.http import urlencode
from django.utils.text import capfirst
from django.utils.translation import gettext as _

import statuses
from jobadmin import changedby, search, spans, workflowjobs
from jobadmin.formats import STATE_WORDS, moment_range
from jobadmin.models import Operation
from jobadmin.parameters import (
    DEFAULTS,
    EXACT,
    FIELDS,
    FLAGS,
    LABELS,
    PAGE_PARAMETERS,
    PARAMETERS,
    REPEATED,
    SHOWN_ONLY,
    SINGLE,
    TIMES,
    TIMES_WITHIN,
    BadFilter,
    UnknownParameter,
    check_nothing_is_left_aside,
    check_once,
    check_one_span,
    is_foreign,
    normal,
    page_value,
)
from jobadmin.paths import page_url
from jobadmin.redaction import redact_text
from jobadmin.spans import Window
from jobadmin.tokens import Token
from statuses import Workflow

__all__ = ["DEFAULTS", "EXACT", "FIELDS", "FLAGS", "LABELS", "PARAMETERS", "TIMES", "BadFilter", "Chip", "JobFilter", "page_value"]


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One active filter, as the bar shows it."""

    parameter: str
    label: str
    values: tuple[str, ...]
    """What is wanted, each in words."""
    without: tuple[str, ...]
    """What is left out."""
    removes: Mapping[str, Any]
    """Changes that take this filter away."""

    @property
    def words(self) -> str:
        """The values in one line: ``default, bulk, not mail``."""
        return ", ".join([*self.values, *(_("not %s") % value for value in self.without)])


#: Parameters and values of a filter, in the order of the URL.
Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs a page shows. Never changes: `with_` makes another one."""

    given: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Parameter -> its values as the URL writes them, valid, defaults left out."""
    at: datetime | None = None
    """The moment that relative spans count back from; None: the server's time, asked for once when it is needed."""

    @classmethod
    def from_request(cls, request: HttpRequest) -> JobFilter:
        """The filter in the URL of `request`.  Raises: BadFilter."""
        return cls.from_querydict(request.GET)

    @classmethod
    def to_act_on(cls, request: HttpRequest) -> JobFilter:
        """The filter in the URL of `request`, for what does something to its jobs or hands them out: nothing is left aside that
        would mean fewer.  Raises: BadFilter."""
        for parameter in request.GET.keys() & (PAGE_PARAMETERS - SHOWN_ONLY):
            raise UnknownParameter(parameter, request.GET[parameter])
        return cls.from_querydict(request.GET, strict=True)

    @classmethod
    def from_querystring(cls, text: str) -> JobFilter:
        """The filter that `frozen` or a link wrote.  Raises: BadFilter."""
        try:
            return cls.from_querydict(QueryDict(text.removeprefix("?")))
        except UnicodeDecodeError as error:
            raise BadFilter("query", text[:100], _("text in UTF-8")) from error

    @classmethod
    def from_querydict(cls, query: QueryDict, *, strict: bool = False) -> JobFilter:
        """The filter in `query`; a parameter nobody knows is refused, as it would silently widen the set. `strict`: so is what a form
        of the pages sends for fields that are left empty.  Raises: BadFilter."""
        for parameter in query:
            if parameter not in PARAMETERS and parameter not in PAGE_PARAMETERS and not is_foreign(parameter):
                raise UnknownParameter(parameter, query[parameter])
        if strict:
            check_nothing_is_left_aside(query)
        check_once(query, SINGLE)
        given = {name: tuple(dict.fromkeys(v for v in query.getlist(name) if v)) for name in PARAMETERS}
        check_one_span(given)
        return cls(given=normal({name: values for name, values in given.items() if values}))

    # What is asked

    @property
    def span(self) -> str:
        """Name of the preset, ``all``, or ``""`` for a span of its own (`from`, `to`)."""
        if "from" in self.given or "to" in self.given:
            return ""
        return self._single("span")

    @property
    def by(self) -> str:
        """The timestamp that the span is about."""
        return self._single("by")

    @property
    def sort(self) -> str:
        """Order of a list: a timestamp or duration, ``-`` for descending."""
        return self._single("sort")

    @property
    def cursor(self) -> str | None:
        """Where in the list the page begins (opaque)."""
        return self._single("after") or None

    @property
    def q(self) -> str:
        """What stands in the search field."""
        return self._single("q")

    @property
    def preset(self) -> spans.Preset | None:
        return spans.PRESETS.get(self.span)

    @cached_property
    def now(self) -> datetime:
        """The moment of this reading, by the server's clock."""
        return self.at or statuses.server_time()

    @cached_property
    def window(self) -> Window:
        """The span in absolute times, rounded once for everything that is shown."""
        if self.preset:
            return spans.relative(self.preset, self.now)
        after, before = (self.given.get(name, ("",))[0] for name in ("from", "to"))
        return Window(
            after=spans.parse(after, end_of_day=False) if after else None,
            before=spans.parse(before, end_of_day=True) if before else None,
        )

    @property
    def after(self) -> datetime | None:
        return self.window.after

    @property
    def before(self) -> datetime | None:
        """Last moment that belongs to the span."""
        return self.window.before

    def tokens(self, parameter: str) -> list[Token]:
        """The values of a repeated parameter, understood."""
        return [Token.parse(text, prefixes=parameter in FIELDS) for text in self.given.get(parameter, ())]

    @property
    def states(self) -> list[str]:
        """States asked for by name, in the order of the URL."""
        return [token.value for token in self.tokens("state") if not token.negative]

    @property
    def flags(self) -> list[str]:
        return [token.value for token in self.tokens("flag") if not token.negative]

    @cached_property
    def query(self) -> statuses.Query:
        """The jobs of this filter.  Source: nothing, unless `q` or a prefix must be looked up."""
        query = self._changed if self.operation else statuses.all()
        for parameter in (*FIELDS, *EXACT, "state"):
            query = self._narrowed(query, parameter)
        query = self._flagged(query)
        if self.q:
            query = search.narrowed(query, self.q)
        if not self.window.is_open:
            query = query.where(**{self.by: (self.window.after, self.window.before)})
        return query.order_by(self.sort) if "sort" in self.given else query

    def _narrowed(self, query: statuses.Query, parameter: str) -> statuses.Query:
        if parameter == "workflow":
            return workflowjobs.narrowed(query, self.workflows, self.tokens("workflow"), self._single("step"))
        clause = FIELDS.get(parameter) or EXACT.get(parameter) or parameter
        wanted = [token for token in self.tokens(parameter) if not token.negative]
        unwanted = [token for token in self.tokens(parameter) if token.negative]
        if wanted:
            query = query.where(**{clause: _texts(wanted, clause)})
        if unwanted and (texts := _texts(unwanted, clause)):
            query = query.exclude(**{clause: texts})
        return query

    @cached_property
    def workflows(self) -> dict[str, Workflow]:
        """The workflows asked for, by the id of the job that each is named after.  Source: a walk for each."""
        return {token.value: statuses.workflow(token.value) for token in self.tokens("workflow")}

    @cached_property
    def operation(self) -> Operation | None:
        """The operation whose jobs are asked for.  Raises: BadFilter.  Source: one query of the database."""
        number = self._single("operation")
        return changedby.operation(number) if number else None

    @property
    def _changed(self) -> statuses.Query:
        """The jobs that the operation changed."""
        assert self.operation
        announced = JobFilter.from_querystring(self.operation.filter)
        return changedby.narrowed(announced.with_(**changedby.lost(self.operation, announced._single("step"))).query, self.operation)

    def _flagged(self, query: statuses.Query) -> statuses.Query:
        flags = self.flags
        if len(flags) == len(FLAGS):
            # Either flag: leave out the jobs that have neither. What is stale has not ended.
            query = query.exclude(kill_requested=False, stale=False).exclude(state="ended")
        elif "kill_requested" in flags:
            query = query.where(kill_requested=True).exclude(state="ended")
        elif "stale" in flags:
            query = query.where(stale=True)
        for token in self.tokens("flag"):
            if token.negative and token.value == "stale":
                query = query.exclude(stale=True)
            elif token.negative:
                query = query.exclude(kill_requested=True, state=["unqueued", "queued", "started", "unknown"])
        return query

    # Other filters, and links to them

    def with_(self, **changes: Any) -> JobFilter:
        """The same filter with parameters changed; None removes one, a text is taken literally, a `Token` as it is.

        The position in the list is dropped: it belongs to the set as it was.
        """
        given = {name: values for name, values in self.given.items() if name != "after"}
        if changes.keys() & {"span"}:
            given = {name: values for name, values in given.items() if name not in ("from", "to")}
        if "workflow" in changes and not changes["workflow"]:
            given.pop("step", None)  # which is one of a workflow
        for name, value in changes.items():
            if name not in PARAMETERS:
                raise TypeError(f"no parameter {name!r} in a filter")
            given[name] = tuple(_written(name, one) for one in _many(value))
        changed = {name: given[name] for name in PARAMETERS if given.get(name)}
        made = JobFilter(given=normal(changed), at=self.at or self.__dict__.get("now"))
        if "operation" in self.__dict__ and given.get("operation") == self.given.get("operation"):
            made.__dict__["operation"] = self.operation
        if "workflows" in self.__dict__ and given.get("workflow") == self.given.get("workflow"):
            made.__dict__["workflows"] = self.workflows  # a walk takes longer than everything else here
        return made

    def toggled(self, parameter: str, value: str) -> JobFilter:
        """The same filter with `value` added to what `parameter` asks for, or taken from it."""
        token, tokens = Token(value), self.tokens(parameter)
        kept = [one for one in tokens if one != token]
        return self.with_(**{parameter: kept if len(kept) < len(tokens) else [*kept, token]})

    def without_facets(self) -> JobFilter:
        """The same span, whatever the job."""
        keep = {name: self.given[name] for name in ("span", "from", "to", "by") if name in self.given}
        return replace(self, given=keep)

    @property
    def params(self) -> list[tuple[str, str]]:
        """The parameters in order, as a URL or hidden inputs carry them; defaults are left out."""
        return [(name, value) for name in PARAMETERS for value in self.given.get(name, ())]

    @cached_property
    def key(self) -> Key | None:
        """All that links are made from, to compare; None where words say more: the store names the jobs of a workflow."""
        return None if "workflow" in self.given else tuple(self.params)

    @classmethod
    def of_key(cls, key: Key) -> JobFilter:
        """The filter that has this key."""
        return cls(given={name: tuple(value for other, value in key if other == name) for name, _ in key})

    def querystring(self, **extra: str | None) -> str:
        """The parameters as text; `extra` adds what belongs to one page."""
        pairs = [_pair(name, value) for name, value in self.params]
        return "&".join(pairs + [urlencode({name: value}) for name, value in extra.items() if value])

    def url(self, viewname: str = "list", *args: str, **changes: Any) -> str:
        """Link to a page of the dashboard about these jobs, with parameters changed (see `with_`)."""
        extra = {name: changes.pop(name) for name in list(changes) if name in PAGE_PARAMETERS}
        if viewname in STRICT and self.span == spans.ALL:
            changes.setdefault("by", None)
        changed = self.with_(**changes) if changes or "after" in self.given else self
        query = changed.querystring(**extra)
        return page_url(viewname, *args) + (f"?{query}" if query else "")

    def links(self, viewname: str, parameter: str, **changes: Any) -> Callable[[str | Token], str]:
        """Makes links that differ in the one value of `parameter`, for a column of them."""
        address = self.url(viewname, **{parameter: _ANY}, **changes)
        before, _, after = address.partition(_pair(parameter, _ANY))
        return lambda value: before + _pair(parameter, _written(parameter, value)) + after

    def previous(self) -> JobFilter | None:
        """The same jobs in the stretch just before; None where the span has no beginning."""
        window = spans.previous(self.window, self.preset.length if self.preset else None)
        return self.with_(**{"from": window.after, "to": window.before, "span": None}) if window else None

    def frozen(self) -> str:
        """Query string of the same set with an absolute span that ends now: for what is announced, then done."""
        end = min(self.before, self.now) if self.before else self.now
        changes: dict[str, Any] = {"span": None, "from": self.after, "to": end, "sort": None}
        if self.window.is_open:
            changes["by"] = None
        return self.with_(**changes).querystring()

    # Words

    @property
    def chips(self) -> list[Chip]:
        """The active filters that no toggle of the bar shows already."""
        chips = [self._chip(parameter) for parameter in REPEATED if self._is_chip(parameter)]
        if self.operation:
            chips.append(_one("operation", LABELS["operation"], changedby.words(self.operation)))
        if self.q:
            chips.append(_one("q", LABELS["q"], redact_text(self.q)))
        if not self.span:
            chips.append(_one("span", TIMES[self.by], moment_range(self.after, self.before)))
        return chips

    @property
    def every_chip(self) -> list[Chip]:
        """The active filters, those included that a toggle shows."""
        return [*self.toggled_chips, *(chip for chip in self.chips if chip.parameter != "span")]

    @property
    def toggled_chips(self) -> list[Chip]:
        """The active filters that a toggle of the bar shows, for where there is no room for toggles."""
        return [self._chip(name) for name in ("state", "flag") if name in self.given and not self._is_chip(name)]

    def _is_chip(self, parameter: str) -> bool:
        tokens = self.tokens(parameter)
        if parameter == "flag":
            return any(token.negative for token in tokens)
        if parameter == "state":
            return any(token.negative or token.value not in set(statuses.State) for token in tokens)
        return bool(tokens)

    def _chip(self, parameter: str) -> Chip:
        tokens = self.tokens(parameter)
        words: Mapping[str, Any] = STATE_WORDS if parameter in ("state", "flag") else {}
        if parameter == "workflow":
            words = {name: workflowjobs.words(name, found, self._single("step")) for name, found in self.workflows.items()}
        return Chip(
            parameter=parameter,
            label=str(LABELS[parameter]),
            values=tuple(redact_text(str(words.get(token.value, token.words))) for token in tokens if not token.negative),
            without=tuple(redact_text(str(words.get(token.value, token.words))) for token in tokens if token.negative),
            removes={parameter: None, **({"step": None} if parameter == "workflow" else {})},
        )

    @property
    def is_narrowed(self) -> bool:
        """True when more than the span is asked for."""
        return any(name in self.given for name in _NARROWING)

    @property
    def is_everything(self) -> bool:
        """True when every job there is matches."""
        return self.span == spans.ALL and self.by == "recorded_at" and not self.is_narrowed

    @property
    def active(self) -> int:
        """How many parameters are filtered by."""
        return sum(name in self.given for name in _NARROWING)

    @property
    def not_prefixes(self) -> list[str]:
        """Texts that end in a star where no prefix can be asked for: resources are found by their whole text alone."""
        return [
            redact_text(text.removeprefix("-"))
            for text in self.given.get("resource", ())
            if text.endswith("*") and not text.endswith("\\*")
        ]

    def span_words(self) -> str:
        """The span as part of a sentence: ``created in the last 7 days``."""
        by = str(TIMES_WITHIN[self.by])
        if self.span == spans.ALL:
            return _("at any time")
        if self.preset:
            return _("%(by)s in %(span)s") % {"by": by, "span": self.preset.words}
        return _("%(by)s %(span)s") % {"by": by, "span": moment_range(self.after, self.before)}

    def describe(self) -> str:
        """All of it in words, for a confirmation or the audit trail."""
        parts = [f"{chip.label} {chip.words}" for chip in map(self._chip, REPEATED) if chip.values or chip.without]
        if self.operation:
            parts.append(f"{LABELS['operation']} {changedby.words(self.operation)}")
        if self.q:
            parts.append(f"{LABELS['q']} {redact_text(self.q)}")
        # Where this is kept, a database, null characters may not be.
        return " · ".join([*parts, capfirst(self.span_words())]).replace("\x00", "␀")

    def _single(self, name: str) -> str:
        return self.given.get(name, (DEFAULTS.get(name, ""),))[0]


#: Parameters that ask for less than everything, the span left aside.
_NARROWING = (*REPEATED, "operation", "q")

#: Views that leave nothing aside: see `JobFilter.to_act_on`.
STRICT = frozenset({"bulk", "export_csv", "export_json"})

#: Stands for a value in an address that is made once for many.
_ANY = "any-value"


def _one(parameter: str, label: object, words: str) -> Chip:
    """The chip of a parameter with one value, which is never left out."""
    return Chip(parameter=parameter, label=str(label), values=(words,), without=(), removes={parameter: None})


@lru_cache(maxsize=4096)
def _pair(name: str, value: str) -> str:
    """One parameter as a URL writes it: a page has hundreds of links that differ in one of them."""
    return urlencode({name: value})


def _many(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]


def _written(name: str, value: Any) -> str:
    if isinstance(value, datetime):
        return spans.written(value)
    if name in REPEATED and not isinstance(value, Token):
        return str(Token(str(value)))
    return str(value)


def _texts(tokens: list[Token], clause: Any) -> list[str]:
    """The texts that tokens mean; a prefix means every known one that begins with it."""
    texts: dict[str, None] = {}
    for token in tokens:
        texts.update(dict.fromkeys(statuses.all().values(clause, prefix=token.value) if token.prefix else [token.value]))
    return list(texts)
