"""Filters of the job page: hostile text made safe to show, moments of one day, names that may break."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from jobadmin import cells, formats
from jobadmin.actions import Action
from jobadmin.filters import JobFilter
from jobadmin.paths import resource_url
from jobadmin.resolver import resolver
from jobadmin.tracebacks import Part
from jobadmin.tracemarkup import parts_html
from statuses import Status

register = template.Library()


@register.filter
def redacted(text: Any) -> str:
    """A text a job carries, without its secrets."""
    return resolver().redact_text(str(text)) if text else ""


@register.filter
def afterwards(action: Action, status: Status) -> str:
    """What can be done about an action on this job when it is over."""
    return action.afterwards(status)


@register.filter
def clock(value: datetime | None, shows_date: bool = False) -> str:
    """The time of day to the millisecond, with its date where asked; the whole on hover and for machines."""
    if value is None:
        return formats.NOTHING
    return _time(value, formats.clock(value, shows_date=shows_date))


@register.filter
def clock_short(value: datetime | None) -> str:
    """The time of day to the second; on another day than today the date before it."""
    if value is None:
        return formats.NOTHING
    return _time(value, formats.clock_short(value))


def _time(value: datetime, words: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', formats.machine(value), formats.moment(value), words)


@register.filter
def day(value: datetime | None) -> str:
    """The date and the zone that the times beside it are meant in."""
    return formats.day(value)


@register.simple_tag
def listed(**values: str) -> str:
    """``{% listed user="marta" %}``: address of the list of all jobs, of any time, with these values."""
    return JobFilter().with_(**values, span="all").url("list")


@register.simple_tag
def value_link(parameter: str, text: str, css: str = "") -> SafeString:
    """``{% value_link "queue" status.queue %}``: a value with the list of its jobs; without, where the address would hold a secret."""
    shown = redacted(text)
    names = mark_safe(f' class="{css}"') if css else ""
    if shown != text:
        return format_html("<span{}>{}</span>", names, formats.breakable(shown))
    return format_html('<a{} href="{}">{}</a>', names, listed(**{parameter: text}), formats.breakable(text))


@register.simple_tag
def traceback(parts: Iterable[Part]) -> SafeString:
    """``{% traceback trace.parts %}``: its lines, foreign frames folded."""
    return parts_html(parts)


@register.filter
def resources(status: Status) -> list[tuple[str, str]]:
    """The resources a job works on, in the order of its arguments: how each is shown, and its page. What holds a secret has none."""
    return [(shown, resource_url(text) if shown == text else "") for text, shown in cells.resources(status).items()]


@register.filter
def chip_css(text: str) -> str:
    """The classes of a resource in a row."""
    return cells.chip_css(text)


@register.filter
def label(status: Status) -> str:
    """What tells jobs of one name apart: the first resource, else the id."""
    return next((shown for shown, _ in resources(status)), status.id)


@register.filter
def percent(status: Status) -> int:
    """Whole percent done, 100 only at the end."""
    progress = status.progress or 0.0
    return 100 if progress >= 1 else min(99, int(progress * 100))
