"""Tags and filters of the dashboard's templates: formats, icons, links that change the filter."""

from __future__ import annotations

import json
from datetime import datetime
from functools import lru_cache
from typing import Any

from django import template
from django.template.base import Parser, Variable
from django.template.base import Token as TemplateToken
from django.templatetags.i18n import TranslateNode, do_translate
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from jobadmin import embedding, formats, migrated, moments, paths
from jobadmin.filterbar import FilterBar, Toggle
from jobadmin.filters import JobFilter
from jobadmin.namerows import bar_markup, name_rows
from jobadmin.panels.ranking import NameTable
from jobadmin.tokens import Token
from jobadmin.viewing import Viewing, present
from jobadmin.words import language
from statuses import Status

register = template.Library()

#: Icons of the flags are named differently from the flags.
ICONS = {"kill_requested": "killreq"}


@register.simple_tag
@lru_cache(maxsize=256)
def icon(name: str) -> SafeString:
    """``{% icon "failed" %}``: a drawing of the sprite; says nothing to a screen reader."""
    return format_html('<svg class="j-i" aria-hidden="true"><use href="#j-{}"/></svg>', ICONS.get(str(name), name))


@register.simple_tag
def drawing(name: str) -> SafeString:
    """``{% drawing "failed" %}``: the same drawing where no sprite stands on the page."""
    return embedding.drawing(ICONS.get(str(name), str(name)))


@register.simple_tag(takes_context=True)
def job_progress(context: template.Context, job: Status | str | None) -> SafeString:
    """``{% job_progress status %}``, a Status or an id: how far the job is, kept up to date, in any page of the project. Nothing for
    None, for a job that is gone, and for a viewer who may not see it.  Source: nothing for a Status that was read, else its record."""
    return embedding.progress(context, job)


@register.simple_tag(takes_context=True)
def job_progress_assets(context: template.Context) -> SafeString:
    """``{% job_progress_assets %}``: style and script of the bars, for the head of a page. The first bar of a page brings them along
    where nothing else did."""
    return embedding.assets(context)


class Words(template.Node):
    """Words that stand in a template, translated once for each language: a page has a hundred of them."""

    def __init__(self, node: TranslateNode) -> None:
        self.node = node
        self.known: dict[str | None, str] = {}

    def render(self, context: template.Context) -> str:
        spoken = language()
        if spoken not in self.known:
            self.known[spoken] = self.node.render(context)
        return self.known[spoken]


@register.tag
def translate(parser: Parser, token: TemplateToken) -> template.Node:
    """``{% translate "Jobs" %}`` as Django has it."""
    node = do_translate(parser, token)
    is_fixed = (
        isinstance(node.filter_expression.var, Variable) and not node.filter_expression.var.lookups and not node.filter_expression.filters
    )
    return Words(node) if is_fixed and node.asvar is None and node.message_context is None else node


@register.filter
def css_state(name: str) -> str:
    """``failed`` -> ``s-failed``: gives everything inside the colours of a state or flag."""
    return f"s-{ICONS.get(str(name), name)}"


@register.filter
def state_word(name: str) -> str:
    """``failed`` -> ``Failed``, in the reader's language."""
    return _state_word(str(name), language())


@lru_cache(maxsize=512)
def _state_word(name: str, language: str | None) -> str:
    return str(formats.STATE_WORDS.get(name, name))


@register.filter
def state_head(name: str) -> str:
    """The same as the head of a column of numbers, with soft hyphens where it may break. (As entities: one that is text would be shown,
    see `directions`. What is to be read aloud is the word without them.)"""
    return mark_safe(escape(str(formats.STATE_HEADS.get(str(name), name))).replace("\u00ad", "&shy;"))


@register.simple_tag
def state_badge(name: str, large: bool = False) -> SafeString:
    """A state as icon, word and colour."""
    return _badge(name, large, language())


@lru_cache(maxsize=128)
def _badge(name: str, large: bool, language: str | None) -> SafeString:
    classes = f"j-badge {'j-badge--lg ' if large else ''}{css_state(name)}"
    return format_html('<span class="{}">{}{}</span>', classes, icon(name), state_word(name))


@register.simple_tag
def toggle_chip(toggle: Toggle) -> SafeString:
    """A state or flag of the filter bar, to be switched on and off."""
    return _toggle_chip(toggle, language())


@lru_cache(maxsize=256)
def _toggle_chip(toggle: Toggle, language: str | None) -> SafeString:
    markup = '<label class="j-chip {}"><input class="j-vh" type="checkbox" name="{}" value="{}"{}>{}{}</label>'
    checked = mark_safe(" checked" if toggle.is_on else "")
    return format_html(markup, css_state(toggle.name), toggle.parameter, toggle.name, checked, icon(toggle.name), state_word(toggle.name))


@register.simple_tag
def flag_badge(name: str) -> SafeString:
    """A flag, which stands beside a state and never in its place."""
    word = state_word(name)
    markup = '<span class="j-badge j-badge--flag {}" title="{}">{}<span class="j-vh">{}</span></span>'
    return format_html(markup, css_state(name), word, icon(name), word)


@register.filter
def count(number: int) -> str:
    """1204318 -> ``1,204,318``."""
    return formats.count(number)


@register.filter
def plain(number: float) -> str:
    """A number for an attribute of SVG or data: never in the reader's language."""
    return f"{number:.3f}".rstrip("0").rstrip(".")


@register.filter
def breakable(text: str) -> SafeString:
    """``{{ row.name|breakable }}``: a name that may break after its dots and dashes, escaped."""
    return formats.breakable(text)


@register.simple_tag
def share(part: int, whole: int) -> str:
    """``{% share 3 40 %}``: ``7.5 %``."""
    return formats.share(part, whole)


@register.filter
def duration(seconds: float | None) -> str:
    """97.2 -> ``1 min 37 s``."""
    return formats.duration(seconds)


@register.filter
def duration_brief(seconds: float | None) -> str:
    """97.2 -> ``1.6 min``."""
    return formats.brief(seconds)


@register.filter
def duration_figure(seconds: float | None) -> SafeString:
    """A duration in one unit, the unit small: ``1.9 <small>h</small>``."""
    return format_html_join(" ", "{} <small>{}</small>", formats.duration_parts(seconds, brief=True))


@register.filter
def when(value: datetime | None) -> str:
    """As the viewer reads times, relative or absolute; the absolute time with its zone on hover and for machines."""
    if not value:  # a template gives an empty text for what is not there
        return format_html('<span class="is-nil">{}</span>', formats.NOTHING)
    words = formats.when(value, moments.now())
    return format_html('<time datetime="{}" title="{}">{}</time>', formats.machine(value), formats.moment(value), words)


@register.filter
def moment(value: datetime | None) -> str:
    """Date, time and zone."""
    if value is None:
        return format_html('<span class="is-nil">{}</span>', formats.NOTHING)
    return format_html('<time datetime="{}">{}</time>', formats.machine(value), formats.moment(value))


@register.filter
def dated(value: datetime, pattern: str) -> str:
    """``{{ at|dated:"D j M, H:i" }}``: in the viewer's zone, as their language writes it."""
    return formats.dated(value, pattern)


@register.filter
def machine(value: datetime) -> str:
    """For the attribute ``datetime``: UTC in ISO 8601."""
    return formats.machine(value)


@register.simple_tag
def viewing() -> Viewing:
    """``{% viewing as viewing %}``: how this viewer reads times."""
    return present()


@register.simple_tag
def units() -> str:
    """``{% units %}``: what units of time are called, as JSON for the scripts."""
    return json.dumps(formats.units(), ensure_ascii=False)


@register.simple_tag
def bar(part: float, whole: float, state: str = "", kind: str = "") -> SafeString:
    """A small horizontal bar: its length is an attribute, so that no inline style is needed."""
    colours = "".join(f" {name}" for name in (kind and f"j-bar--{kind}", state and css_state(state)) if name)
    return mark_safe(bar_markup(part, whole, escape(colours)))


@register.simple_tag
def filter_url(jobs: JobFilter, viewname: str = "list", *args: str, **changes: Any) -> str:
    """``{% filter_url filter "list" name=row.value state="failed" %}``: link with parameters changed.

    Values are taken literally; None or an empty text removes the parameter.
    """
    return jobs.url(viewname, *args, **changes)


@register.simple_tag(name="name_rows")
def rows_of_names(shown: NameTable, jobs: JobFilter, bar: FilterBar) -> SafeString:
    """``{% name_rows shown filter bar %}``: the rows of the table of job names."""
    return name_rows(shown, jobs, bar)


@register.simple_tag
def here_url(bar: FilterBar, **changes: Any) -> str:
    """Link to the page one is on, with parameters changed."""
    return bar.url(**changes)


@register.simple_tag
def without_url(bar: FilterBar, parameter: str, value: str) -> str:
    """Link to the page one is on, with a value left out."""
    return bar.without(parameter)(value)


@register.simple_tag(takes_context=True)
def lacking_tables(context: template.Context) -> str:
    """What the database lacks, in words; empty where it has everything, or the page says it itself.  Source: see `migrated`."""
    from jobadmin.views.failures import not_migrated_words

    return not_migrated_words() if "failure" not in context and migrated.is_lacking() else ""


@register.simple_tag
def bulk_url(jobs: JobFilter, action: str, **changes: Any) -> str:
    """Link to the page that announces an action on all that match."""
    return jobs.url("bulk", action, **changes)


@register.simple_tag
def exclude_url(jobs: JobFilter, viewname: str, parameter: str, value: str) -> str:
    """Link to the same jobs without those that have `value`."""
    kept = [token for token in jobs.tokens(parameter) if token.value != value]
    return jobs.url(viewname, **{parameter: [*kept, Token(value, negative=True)]})


@register.simple_tag
def add_url(jobs: JobFilter, viewname: str, parameter: str, value: str) -> str:
    """Link to the same jobs narrowed to `value`."""
    return jobs.url(viewname, **{parameter: Token(value)})


@register.filter
def job_url(job_id: str) -> str:
    """Address of a job's page."""
    return paths.job_url(job_id)


@register.filter
def resource_url(resource: str) -> str:
    """Address of a resource's page."""
    return paths.resource_url(resource)


@register.simple_tag
def rank_url(bar: FilterBar, rank: str, present: str) -> str:
    """Link that ranks a table by `rank`: the largest first, names from A; a second time the other way round."""
    first = rank if rank == "name" else f"-{rank}"
    other = f"-{rank}" if rank == "name" else rank
    wanted = other if present == first else first
    return bar.url(rank=None if wanted == "-total" else wanted)
