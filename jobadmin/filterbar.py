"""The filter bar: what its fields, toggles, chips and links show for a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, lru_cache

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

import statuses
from jobadmin import spans
from jobadmin.filters import FIELDS, FLAGS, LABELS, TIMES, Chip, JobFilter
from jobadmin.parameters import REPEATED
from jobadmin.redaction import redact_text
from jobadmin.tokens import Token
from jobadmin.words import gettext as _

#: Fields with suggestions, in the order of the bar: parameter, icon, what several values are called.
PICKERS = (
    ("name", "job", gettext_lazy("%d names")),
    ("queue", "queue", gettext_lazy("%d queues")),
    ("user", "user", gettext_lazy("%d users")),
)
#: Values a field offers to a browser without script.
OFFERED = 40


@dataclass(frozen=True, kw_only=True)
class Picker:
    """A field of the bar that takes one value, and adds to several."""

    parameter: str
    icon: str
    label: str
    value: str
    """The one value asked for, as the URL writes it; empty when there are none or several."""
    placeholder: str
    several: str
    """What stands there for several values, ``%d`` being how many."""
    is_set: bool
    offered: SafeString
    """Known values, as the URL would write them: the options of a list."""


@dataclass(frozen=True, kw_only=True)
class Toggle:
    """A state or flag that can be switched on and off."""

    parameter: str
    name: str
    is_on: bool


@dataclass(frozen=True, kw_only=True)
class ShownChip:
    """An active filter, and what can be done about it."""

    chip: Chip
    url: str
    """The page without it."""
    turned_url: str
    """The page with its opposite: what is asked for left out, what is left out asked for; empty where it has none."""

    @property
    def turned_words(self) -> str:
        words = {"label": self.chip.label, "values": ", ".join(self.chip.values or self.chip.without)}
        return (_("Leave out: %(label)s %(values)s") if self.chip.values else _("Show only: %(label)s %(values)s")) % words


@dataclass(frozen=True, kw_only=True)
class SpanLink:
    """A preset of the time span."""

    name: str
    label: str
    url: str
    is_on: bool


@dataclass(frozen=True, kw_only=True)
class FilterBar:
    """Everything the bar shows; `view` and `path_args` name the page it belongs to."""

    jobs: JobFilter
    view: str
    matched: int
    total: int
    path_args: tuple[str, ...] = ()
    within: tuple[tuple[str, str], ...] = ()
    """What the page itself asks for, beside the filter, as parameters: the resource that it is about."""
    extras: Mapping[str, str] = field(default_factory=dict)
    """Parameters of this page alone that stay while the filter changes: the chart's scale, the order of names."""

    @cached_property
    def key(self) -> tuple[object, ...] | None:
        """All that fields and links are made from, to compare; None where the filter has no such key."""
        key = self.jobs.key
        return None if key is None else (self.view, self.path_args, key, tuple(self.extras.items()))

    @property
    def action(self) -> str:
        """Where the form is sent."""
        return reverse(f"jobadmin:{self.view}", args=self.path_args)

    @property
    def here(self) -> str:
        """This page with this filter, as a link that can be sent."""
        return self.url()

    @property
    def fixed(self) -> str:
        """The same with an absolute span: shows these jobs tomorrow, too."""
        window = self.jobs.window
        return self.url() if window.is_open else self.url(**{"span": None, "from": window.after, "to": window.before})

    def url(self, **changes: object) -> str:
        return self.jobs.url(self.view, *self.path_args, **{**self.extras, **changes})

    def without(self, parameter: str) -> Callable[[str], str]:
        """Makes links to this page that leave one value of `parameter` more out, for a column of them."""
        address = self.url(**{parameter: [*self.jobs.tokens(parameter), Token("any-value")]})
        before, _marker, after = address.partition(urlencode({parameter: "any-value"}))
        return lambda value: before + urlencode({parameter: str(Token(value, negative=True))}) + after

    @property
    def clear_url(self) -> str:
        """The page without any filter; the span stays."""
        bare = self.jobs.without_facets()
        return (bare if self.jobs.span else bare.with_(span=None)).url(self.view, *self.path_args, **self.extras)

    @property
    def offered(self) -> tuple[SafeString, ...]:
        """The options of all fields with suggestions."""
        return tuple(self._offered.values())

    @cached_property
    def _offered(self) -> dict[str, SafeString]:
        fields = {parameter: FIELDS[parameter] for parameter, *_rest in PICKERS}
        known = statuses.all().values_of(tuple(fields.values()), limit=OFFERED)
        return {
            parameter: _options(tuple(text for text in known[field] if redact_text(text) == text)) for parameter, field in fields.items()
        }

    @property
    def pickers(self) -> list[Picker]:
        return [self._picker(parameter, icon, several) for parameter, icon, several in PICKERS]

    def _picker(self, parameter: str, icon: str, several: str) -> Picker:
        tokens = self.jobs.tokens(parameter)
        return Picker(
            parameter=parameter,
            icon=icon,
            label=str(LABELS[parameter]),
            value=str(tokens[0]) if len(tokens) == 1 else "",
            placeholder=str(several) % len(tokens) if len(tokens) > 1 else str(LABELS[parameter]),
            several=str(several),
            is_set=bool(tokens),
            offered=self._offered[parameter],
        )

    @property
    def states(self) -> list[Toggle]:
        on = self.jobs.states
        return [Toggle(parameter="state", name=state.value, is_on=state.value in on) for state in statuses.State]

    @property
    def flags(self) -> list[Toggle]:
        return [Toggle(parameter="flag", name=flag, is_on=flag in self.jobs.flags) for flag in FLAGS]

    @property
    def kept(self) -> Iterator[tuple[str, str]]:
        """Parameters that the form shows no field for: hidden inputs carry them along."""
        single = {parameter for parameter, *_rest in PICKERS if len(self.jobs.tokens(parameter)) == 1}
        toggles = {(toggle.parameter, toggle.name) for toggle in (*self.states, *self.flags)}
        for name, value in self.jobs.params:
            if name not in {"q", "by", "after", *single} and (name, value) not in toggles:
                yield name, value
        yield from self.extras.items()

    @property
    def kept_beside_span(self) -> list[tuple[str, str]]:
        """Parameters that the form of an own span carries along."""
        kept = [(name, value) for name, value in self.jobs.params if name not in {"span", "from", "to", "after"}]
        return [*kept, *self.extras.items()]

    @property
    def spans(self) -> list[SpanLink]:
        labels = {name: preset.label for name, preset in spans.PRESETS.items()} | {spans.ALL: _("All")}
        return [SpanLink(name=name, label=label, url=self.url(span=name), is_on=self.jobs.span == name) for name, label in labels.items()]

    @property
    def own_span(self) -> tuple[str, str] | None:
        """From and to of a span of its own, as the fields take them (local time)."""
        if self.jobs.span:
            return None
        return _local(self.jobs.after), _local(self.jobs.before)

    @property
    def times(self) -> list[tuple[str, str, bool]]:
        return [(name, str(label), name == self.jobs.by) for name, label in TIMES.items()]

    @property
    def chips(self) -> list[ShownChip]:
        """The active filters, each with the links that take it away and turn it round."""
        return [self._shown(chip) for chip in self.jobs.chips]

    @property
    def toggled_chips(self) -> list[ShownChip]:
        """The same of what toggles show: a narrow page hides those behind a button."""
        return [self._shown(chip) for chip in self.jobs.toggled_chips]

    def _shown(self, chip: Chip) -> ShownChip:
        tokens = self.jobs.tokens(chip.parameter) if chip.parameter in REPEATED and chip.parameter != "workflow" else []
        # Of a mixture the opposite is no sentence; a secret stands in no address that we write.
        clear = not (chip.values and chip.without) and all(redact_text(token.value) == token.value for token in tokens)
        turned = [replace(token, negative=not token.negative) for token in tokens] if clear else []
        return ShownChip(chip=chip, url=self.url(**chip.removes), turned_url=self.url(**{chip.parameter: turned}) if turned else "")

    @property
    def droppable(self) -> list[tuple[Chip, str]]:
        """What an empty page offers to take away, states included."""
        return [(chip, self.url(**chip.removes)) for chip in self.jobs.every_chip][:3]

    @property
    def active(self) -> int:
        """How many parameters are filtered by, for the button that a narrow page shows."""
        return self.jobs.active

    @property
    def refresh_seconds(self) -> int:
        """How often a live page looks again."""
        return self.jobs.preset.refresh_seconds if self.jobs.preset else spans.REFRESH_SECONDS

    @property
    def live_words(self) -> str:
        """What the live button does, for its tooltip."""
        return _("Looks again every %(n)s s (L)") % {"n": self.refresh_seconds}

    @property
    def live_every(self) -> str:
        """The same on the button."""
        return every(self.refresh_seconds)

    @property
    def overview_url(self) -> str:
        return self.jobs.url("overview")

    @property
    def list_url(self) -> str:
        """The list of the jobs that this page counts."""
        return self.jobs.url("list", **{name: Token(value) for name, value in self.within})

    @property
    def within_query(self) -> str:
        """What suggestions are to be counted under, beside the filter."""
        return urlencode([(name, str(Token(value))) for name, value in self.within])

    @property
    def everything_url(self) -> str:
        """The list of all jobs there are."""
        return JobFilter().url("list", span=spans.ALL)


@lru_cache(maxsize=64)
def _options(texts: tuple[str, ...]) -> SafeString:
    """Kept, for these are on every page and seldom others than on the last one."""
    return format_html_join("", '<option value="{}">', ((str(Token(text)),) for text in texts))


def every(seconds: int) -> str:
    """How often a live page looks, after the word Live: ``every 15 s``, ``every minute``."""
    return _("every minute") if seconds == 60 else _("every %(n)s s") % {"n": seconds}


def _local(moment: datetime | None) -> str:
    """For a field of type datetime-local, which knows seconds at most; a last microsecond reads as the full second."""
    if moment is None:
        return ""
    if moment.microsecond == 999_999:
        moment += timedelta(microseconds=1)
    return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M:%S")
