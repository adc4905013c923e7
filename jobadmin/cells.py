"""What stands in the cells of the list: badges, progress, outcome, actions; every text a job carries is escaped and cut."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from html import escape
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from jobadmin.actions import ACTIONS
from jobadmin.formats import NOTHING, cut, duration, out_of
from jobadmin.paths import HERE, anchor, page_url, segment
from jobadmin.redaction import redact, redact_text
from jobadmin.templatetags.jobadmin import flag_badge, icon, state_badge
from jobadmin.verbs import KILL, RETRY, Verb
from jobadmin.words import gettext as _
from jobadmin.words import language
from statuses import State, Status

#: A started job silent for longer than this is marked; the library's `stale` clause has the same limit.
STALE_AFTER = timedelta(seconds=60)

#: Characters of a resource that are always read whole.
_SHORT = 16

_ENDED = (State.succeeded, State.failed, State.killed)


def badges(job: Status, now: datetime) -> Iterator[SafeString]:
    """The state, and the flags that stand beside it."""
    yield state_badge(job.state.value)
    if job.kill_requested and job.state not in _ENDED:
        yield flag_badge("kill_requested")
    if is_stale(job, now):
        yield flag_badge("stale")


def is_stale(job: Status, now: datetime) -> bool:
    """Whether a started job has been silent for longer than it may."""
    return job.state == State.started and job.heartbeat_at is not None and now - job.heartbeat_at > STALE_AFTER


def progress(job: Status, now: datetime) -> SafeString:
    # Not rounded up: 100 % is for what is done. The little more makes 0.57 what it says.
    percent = int(job.progress * 100 + 1e-6)
    if is_stale(job, now):
        note = _("no sign for %(time)s") % {"time": duration((now - job.heartbeat_at).total_seconds())}
    else:
        note = cut(redact_text(job.progress_message or out_of(job.progress_at, job.progress_out_of)), 120)
    return format_html(
        '<span class="j-prog"><b>{} %</b><svg class="j-bar s-started" viewBox="0 0 100 6" preserveAspectRatio="none" '
        'aria-hidden="true"><rect width="{}" height="6"/></svg><span class="j-cut j-quiet" title="{}">{}</span></span>',
        percent, percent, note, note,
    )  # fmt: skip


def outcome(job: Status, now: datetime) -> tuple[str, bool]:
    """How it stands, in words, and whether that is bad."""
    if job.state == State.failed:
        return job.error_summary or _("Failed without an error"), True
    if job.state == State.killed:
        return _killed(job), False
    if is_stale(job, now):
        return _("no sign for %(time)s") % {"time": duration((now - job.heartbeat_at).total_seconds())}, False
    if job.state == State.unknown:
        return job.error_summary or _("No engine has a record of it"), False
    return job.progress_message or "", False


def _killed(job: Status) -> str:
    words = _("Killed by %(user)s") % {"user": job.kill_requested_by} if job.kill_requested_by else _("Killed")
    if job.started_at is None:
        words = _("%(killed)s before it started") % {"killed": words}
    return f"{words}: {job.kill_reason}" if job.kill_reason else words


def seconds(value: float | None) -> str:
    return nothing() if value is None else duration(value)


def nothing() -> SafeString:
    return _NOTHING


_NOTHING = format_html('<span class="is-nil">{}</span>', NOTHING)


def flat(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        yield from (str(one) for one in value) if isinstance(value, (list, tuple)) else (str(value),)


def resources(job: Status) -> dict[str, str]:
    """What the job works on -> how that is shown."""
    given = ((str(name), text) for name, value in (job.job_args or {}).items() for text in flat([value]))
    return {text: str(next(iter(redact({name: text}).values()))) for name, text in given}


def chip_css(text: str) -> str:
    """The classes of a resource in a row: a short one is read whole, a long one gives way."""
    return "j-chip j-chip--res is-long" if len(text) > _SHORT else "j-chip j-chip--res"


class Menus:
    """The actions of each row of one table: the likeliest as a button, and a menu with all that the viewer may do; each is a
    plain form's button. What is not possible now stays there and says why; `verbs` are those that are permitted.

    What speaks against an action depends on the job's state, engine and worker, and on whether it was asked to die: jobs that
    agree in these share their markup."""

    def __init__(self, verbs: Iterable[Verb]) -> None:
        self.verbs = tuple(verbs)
        self._kinds: dict[Any, str] = {}

    def of(self, job: Status, links: Sequence[tuple[str, str, str]] = ()) -> SafeString:
        """The menu of a job; `links` lead to other lists: icon, address, words."""
        ways = tuple((name, words) for name, _url, words in links)
        kind = (job.state, job.engine, job.kill_requested, job.worker if job.is_started else None, ways)
        markup = self._kinds.get(kind)
        if markup is None:
            markup = self._kinds[kind] = self._made(job, ways)
        markup = markup.replace(HERE, escape(segment(job.id)))
        for number, (_name, url, _words) in enumerate(links):
            markup = markup.replace(f"{_LINK}{number}.", escape(url))
        markup = markup.replace(_ANCHOR, anchor(job.id)).replace(_ATTEMPT, str(job.attempt))
        return mark_safe(markup.replace(_ID, escape(job.id)))

    def _made(self, job: Status, ways: tuple[tuple[str, str], ...]) -> str:
        why_not = tuple((verb.slug, ACTIONS[verb.slug].why_not(job) or "") for verb in self.verbs)
        likely = KILL if job.state not in _ENDED else RETRY
        return _menu(language(), page_url("job", HERE), likely.slug, why_not, ways)


#: Stand for what is a job's own in the markup that its menu shares with those of other jobs.
_ID, _ANCHOR, _LINK, _ATTEMPT = "\x01id\x01", "\x01anchor\x01", "\x01link\x01", "\x01attempt\x01"


@lru_cache(maxsize=1024)
def _menu(language: str | None, address: str, likely: str, why_not: tuple[tuple[str, str], ...], ways: tuple[tuple[str, str], ...]) -> str:
    """Button and menu in the words of `language`, `address` being that of the job: a page of the list has fifty, of a handful
    of kinds."""
    button = next((_button(slug, why, small=True) for slug, why in why_not if slug == likely), "")
    items = format_html_join("", "<li>{}</li>", ((_button(slug, why),) for slug, why in why_not))
    others = format_html_join(
        "", '<li><a class="j-btn j-btn--quiet" href="{}">{}{}</a></li>',
        ((f"{_LINK}{number}.", icon(name), words) for number, (name, words) in enumerate(ways)),
    )  # fmt: skip
    return format_html(
        '{}<button type="button" class="j-btn j-btn--quiet j-btn--sm j-btn--icon" popovertarget="more-{}" '
        'aria-label="{}" title="{}">{}</button><ul class="j-menu j-rowmenu" id="more-{}" popover>'
        '<li><a class="j-btn j-btn--quiet" href="{}">{}{}</a></li>{}{}</ul>',
        button, _ANCHOR, _("More actions for %(id)s") % {"id": _ID}, _("More actions"), icon("more"),
        _ANCHOR, address, icon("right"), _("Open"), items, others,
    )  # fmt: skip


def _button(slug: str, why_not: str, *, small: bool = False) -> SafeString:
    """A button of one action."""
    action = ACTIONS[slug]
    label = str(action.verb.label)
    css = "j-btn j-btn--quiet j-btn--sm j-btn--icon" if small else "j-btn j-btn--quiet"
    if action.verb.risky and not small:
        css += " j-btn--risk"
    address = page_url("job_action", HERE, slug)
    where = (
        format_html('type="button" aria-disabled="true"{}', format_html(' title="{}"', why_not) if small else "")
        if why_not
        else format_html('form="j-row" formaction="{}" title="{}"', address, action.title if not small else label)
    )
    if slug == RETRY.slug and not why_not:
        where = format_html('{} name="attempt" value="{}"', where, _ATTEMPT)
    if action.confirms and not why_not:
        where = format_html("{} data-asks", where)
    spoken = format_html(' aria-label="{}"', f"{label} {_ID}" if not why_not else f"{label} {_ID}: {why_not}")
    # In the menu the reason stands below the words: a tooltip is nothing for the keyboard.
    words = "" if small else format_html("<span>{}<small>{}</small></span>", label, why_not) if why_not else label
    return format_html('<button {} class="{}"{}>{}{}</button>', where, css, spoken if small else "", icon(action.verb.icon), words)
