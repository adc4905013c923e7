"""Tags of the pages of queues and workers."""

from datetime import timedelta

from django import template
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobadmin import formats
from jobadmin.paths import page_url, queue_url
from jobadmin.redaction import redact_text
from jobadmin.templatetags.jobadmin import css_state, icon
from statuses.engines.base import Worker

register = template.Library()

_NONE = mark_safe('<span class="is-nil">0</span>')

#: Condition of a worker -> the state or flag that gives icon and colour, and the word.
CONDITIONS = {
    "busy": ("started", gettext_lazy("Busy")),
    "idle": ("succeeded", gettext_lazy("Idle")),
    "stopping": ("kill_requested", gettext_lazy("Stopping")),
    "lost": ("failed", gettext_lazy("Lost")),
    "untold": ("unknown", gettext_lazy("Not reporting")),
}


@register.filter
def queue_page(queue: str) -> str:
    """The page of a queue; that of all queues where the name holds a secret, which stands in no address."""
    return queue_url(queue) if redact_text(queue) == queue else page_url("queues")


@register.simple_tag
def condition_badge(condition: str) -> SafeString:
    """How a worker is, as icon, word and colour."""
    state, word = CONDITIONS[condition]
    return format_html('<span class="j-badge {}">{}{}</span>', css_state(state), icon(state), word)


@register.simple_tag
def number_link(number: int, url: str, what: str, of: str) -> SafeString:
    """A count that leads to what it counts; zero leads nowhere."""
    if not number:
        return _NONE
    shown = formats.count(number)
    if not url:  # the address would hold a secret
        return format_html('<span class="j-drill">{}</span>', shown)
    return format_html('<a class="j-drill" href="{}" aria-label="{} {}, {}">{}</a>', url, shown, what, Truncator(of).chars(80), shown)


@register.filter
def speed(per_minute: float) -> str:
    """Jobs a minute: 0.07, 3.2, 148."""
    places = 2 if per_minute < 1 else 1 if per_minute < 10 else 0
    return number_format(per_minute, decimal_pos=places, force_grouping=True)


@register.filter
def every(step: timedelta) -> str:
    """The width of a step in words: 5 minutes, 2 hours."""
    return formats.every(step)


@register.filter
def whereabouts(worker: Worker) -> str:
    """``celery on web-3, pid 4711, prefork``: what is known of where a worker is and how it runs."""
    engine = _("%(engine)s on %(host)s") % {"engine": worker.engine, "host": worker.host} if worker.host else worker.engine
    pid = _("pid %(pid)s") % {"pid": worker.pid} if worker.pid else ""
    return ", ".join(Truncator(part).chars(60) for part in (engine, pid, worker.pool) if part)
