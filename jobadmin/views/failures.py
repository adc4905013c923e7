"""Pages for what went wrong: what happened, what still works, what to do. None of them asks the store anything, but one
that reads its file how far it is."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit, urlunsplit

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobadmin import conditions, migrated, moments, outage
from jobadmin.filterbar import FilterBar
from jobadmin.filters import STRICT, JobFilter
from jobadmin.frame import admin_site, login_url
from jobadmin.parameters import UnknownParameter
from jobadmin.records import NotRecorded, ended_by
from jobadmin.redaction import redact_text
from jobadmin.resolver import resolver
from jobadmin.views.base import render
from statuses import health

#: Rights by their codenames, in the words of the group editor.
_RIGHTS = {
    "view_job": gettext_lazy("Can view jobs"),
    "kill_job": gettext_lazy("Can kill jobs"),
    "retry_job": gettext_lazy("Can retry jobs"),
    "remove_job": gettext_lazy("Can remove jobs"),
    "submit_job": gettext_lazy("Can submit jobs"),
    "control_workers": gettext_lazy("Can control workers"),
}

#: Seconds after which a page that could not be answered tries again by itself.
RETRY_SECONDS = 8
#: So long at most a program is told to wait for a store that says how long it will take.
LONGEST_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What a failure page says."""

    status: int
    """HTTP status code."""
    title: str
    """One sentence: what happened."""
    body: str
    """What that means and what to do."""
    works: tuple[str, ...] = ()
    """What still works, a sentence each."""
    acts: tuple[tuple[str, str], ...] = ()
    """Ways on: words and address, the best first."""
    detail: str = ""
    """The machine's own words, shown small to those who may see jobs."""
    server: str = ""
    """Which server is meant; as the machine's words."""
    is_there: bool = False
    """Whether it says so itself, and is not silent."""
    since: datetime | None = None
    """When it was seen first; None where that is just now."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further response headers."""

    @property
    def away_seconds(self) -> float:
        return (moments.now() - self.since).total_seconds() if self.since else 0.0


def bad_request(request: HttpRequest, exc: Exception) -> HttpResponse:
    """400: a parameter that nobody can read. ``exc`` is a BadFilter (parameter, value, expected) or says it in words."""
    parameter = getattr(exc, "parameter", None)
    return _respond(
        request,
        Failure(
            status=400,
            title=_("This filter cannot be read"),
            body=unreadable_words(exc),
            works=(_("Nothing was counted, changed or guessed."),),
            acts=_without(request, parameter) + _ways(request),
        ),
    )


def unreadable_words(exc: Exception) -> str:
    """Which parameter cannot be what it was, and what was expected: a BadFilter's, or what else says it in words."""
    if getattr(exc, "parameter", None) is None:
        return str(exc) or _("The address holds something that cannot be read.")
    if isinstance(exc, UnknownParameter):
        words = {"parameter": exc.parameter, "expected": exc.expected}
        if exc.near:
            return _("There is no parameter “%(parameter)s”. Did you mean %(expected)s?") % words
        return _("There is no parameter “%(parameter)s”. Expected: %(expected)s.") % words
    return _("%(parameter)s cannot be “%(value)s”. Expected: %(expected)s.") % {
        "parameter": exc.parameter,
        "value": _short(getattr(exc, "value", "")),
        "expected": getattr(exc, "expected", ""),
    }


def forbidden_words(right: str) -> str:
    """Which right an account lacks, by its codename; empty: no right would help."""
    if not right:
        return _("Your account may not do this.")
    return _("Your account lacks the right “%(right)s”.") % {"right": _RIGHTS.get(right, right)}


def forbidden(request: HttpRequest, exc: Exception | None = None, *, right: str = "", words: str = "") -> HttpResponse:
    """403: signed in, but without the right, whose codename may be given; `words`: why, where no right would help."""
    lacks = forbidden_words(right or (str(exc) if exc else ""))
    return _respond(
        request,
        Failure(
            status=403,
            title=_("Not permitted"),
            body=words or lacks + " " + _("Whoever manages users can grant it, to you or to one of your groups."),
            works=(_("Nothing was changed."),),
            acts=_ways_for(request),
        ),
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403: a form without its token, or with an old one. Signature is Django's, for ``CSRF_FAILURE_VIEW``."""
    return _respond(
        request,
        Failure(
            status=403,
            title=_("This form is out of date"),
            body=_(
                "It was sent without the token that proves it came from this site: the page is old, or cookies are off. "
                "Load the page again and repeat the action."
            ),
            works=(_("Nothing was changed."),),
            acts=_back(request) + _ways(request),
            detail=reason,
        ),
    )


def not_confirmed(request: HttpRequest, why: str) -> HttpResponse:
    """409: a confirmation that nobody can read any more, of who knows which jobs."""
    return _respond(
        request,
        Failure(
            status=409,
            title=_("This form is out of date"),
            body=why,
            works=(_("Nothing was changed."),),
            acts=_back(request) + _ways(request),
        ),
    )


def not_found(request: HttpRequest, exc: Exception | None = None) -> HttpResponse:
    """404: no such job. ``exc`` is StatusNotFound (``id``) or nothing."""
    job_id = getattr(exc, "id", None)
    return _respond(
        request,
        Failure(
            status=404,
            title=_("Not found") if job_id is None else _("This job does not exist"),
            body=not_found_words(job_id),
            works=(_("Removed jobs stay in the record of operations: who, when and why."),) if job_id is not None else (),
            acts=_ways(request) + (((_("Operations"), reverse("jobadmin:operations")),) if job_id is not None else ()),
        ),
    )


def not_found_words(job_id: str | None) -> str:
    """That there is no such job, or nothing at all."""
    if job_id is None:
        return _("There is nothing at this address.")
    return _(
        "No job has the id “%(id)s”. It was removed, by someone or because its time to be kept was over, or the address is not complete."
    ) % {"id": _short(job_id)}


def not_allowed(request: HttpRequest) -> HttpResponse:
    """405: the address of a button, asked for as if it were a page."""
    return _respond(
        request,
        Failure(
            status=405,
            title=_("Nothing to look at"),
            body=_("This address is where a button sends its order. It does nothing when it is opened."),
            works=(_("Nothing was changed."),),
            acts=_ways(request),
            headers={"Allow": "POST"},
        ),
    )


def unavailable(request: HttpRequest, exc: Exception | None = None) -> HttpResponse:
    """503: the store does not answer, or refuses and says why. The page's frame stands, nothing is guessed, and it tries again."""
    since, now, begun, said = outage.seen(), moments.now(), ended_by(exc) if exc else None, conditions.said(exc)
    works = [_("Jobs that already run go on.")]
    if begun is not None:
        works.append(
            _("What was asked for broke off: perhaps it is done, perhaps not. It is on record as operation %(pk)s.") % {"pk": begun.pk}
        )
    elif said is None:
        works.append(_("Kill, retry and remove are off until Redis is back; nothing was changed."))
    else:
        works.append(_("Nothing was changed."))
    reads = said is not None and said.only_writes
    works.append(_("Pages that only read the jobs are shown.") if reads else _("The rest of this site works as before."))
    return _respond(
        request,
        Failure(
            status=503,
            title=said.title if said else _("Redis does not answer"),
            body=" ".join(filter(None, (said and said.body, _unread(request, said)))),
            works=tuple(works),
            acts=_again(request) + (((_("Operations"), reverse("jobadmin:operations")),) if begun else ()),
            detail=redact_text(str(exc or "")),
            server=redact_text(", ".join(health.addresses())),
            is_there=said is not None,
            since=since if now - since >= timedelta(seconds=1) else None,
            headers=later(said),
        ),
    )


def _unread(request: HttpRequest, said: conditions.Said | None) -> str:
    """What of the page there is not, as the store was not read."""
    if said and said.only_writes:
        return ""
    if _is_part(request):
        return _("What is shown was read before, and may be out of date.")
    if said:
        return _("Counts and jobs cannot be shown until then, and none are made up.")
    return _("Counts and jobs cannot be shown until it is back, and none are made up.")


def later(said: conditions.Said | None) -> dict[str, str]:
    """When to come again, for a program."""
    return {"Retry-After": str(max(RETRY_SECONDS, min(said.left_seconds or 0, LONGEST_SECONDS) if said else 0))}


def unavailable_words() -> str:
    """That the store does not answer, in one sentence."""
    return _("Redis does not answer") + "."


def unreadable(request: HttpRequest, exc: Exception) -> HttpResponse:
    """500: the store is there, and not as the settings or this program expect it. To wait is no help."""
    return _respond(
        request,
        Failure(
            status=500,
            title=_("The job store is not as expected"),
            body=_(
                "Redis is there, but what it holds and what this dashboard was set up for do not fit: a setting, another program "
                "that writes to the same keys, or a fault of this one. Waiting does not help."
            ),
            works=(_("Jobs that already run go on."), _("“manage.py check_jobs” looks at everything that is kept and says what is wrong.")),
            acts=_again(request),
            detail=redact_text(str(exc)),
        ),
    )


def not_recorded(request: HttpRequest, exc: NotRecorded) -> HttpResponse:
    """503, or 500 where to wait is no help: the database does not take the record of an action, so that it was not done."""
    return _respond(
        request,
        Failure(
            status=not_recorded_status(exc),
            title=_("This could not be written down"),
            body=not_recorded_words(exc),
            works=(_("Nothing was changed."),),
            acts=_back(request) + _ways(request),
            detail=redact_text(str(exc)),
            headers={"Retry-After": str(RETRY_SECONDS)} if exc.is_away else {},
        ),
    )


def not_recorded_words(exc: NotRecorded) -> str:
    """That nothing is done which the database does not take, and whether to try it again."""
    if exc.is_away:
        return _(
            "The database does not take the record of this action, and nothing is done without one. Nothing was changed; try it again."
        )
    return _(
        "The database does not take the record of this action, and nothing is done without one. Nothing was changed. "
        "To try it again does not help: whoever runs the site finds the reason in its log, and with “%(remedy)s”."
    ) % {"remedy": "manage.py check --database default"}


def not_recorded_status(exc: NotRecorded) -> int:
    """Whether that may pass."""
    return 503 if exc.is_away else 500


def not_migrated(request: HttpRequest) -> HttpResponse:
    """503: what is done here is written down first, and there is no table for it."""
    return _respond(
        request,
        Failure(
            status=503,
            title=_("The tables of Jobadmin are missing"),
            body=not_migrated_words(),
            works=(_("Nothing was changed."), _("Pages that only read the jobs are shown.")),
            acts=_back(request) + _ways(request),
        ),
    )


def not_migrated_words() -> str:
    """What is missing, what for, and what helps."""
    return _(
        "The database of this site lacks tables, or columns, in which Jobadmin keeps who did what and which views were saved. "
        "Whoever runs the site creates them with “%(remedy)s”. Until then nothing can be killed, retried or removed here."
    ) % {"remedy": migrated.REMEDY}


def _respond(request: HttpRequest, failure: Failure) -> HttpResponse:
    """The whole page, or the notice alone when HTMX asked for a part of one."""
    may_look = _may_look(request)
    context = {
        "failure": failure if may_look else replace(failure, detail="", server=""),
        "tabs": FilterBar(jobs=JobFilter(at=moments.now()), view="overview", matched=0, total=0) if may_look else None,
        "here": getattr(request.resolver_match, "url_name", ""),
        "title": failure.title,
        "brief": failure.status == 503 and _is_part(request),
        "retry_seconds": RETRY_SECONDS if failure.status == 503 and request.method == "GET" else None,
    }
    template = "jobadmin/failures/_note.html" if _is_part(request) else "jobadmin/failures/page.html"
    return render(request, template, context, status=failure.status, headers=failure.headers)


def _is_part(request: HttpRequest) -> bool:
    """Whether HTMX asked, for a part of a page that stands."""
    return bool(getattr(request, "htmx", False)) and not request.htmx.boosted


def _may_look(request: HttpRequest) -> bool:
    """Whether the pages that the tabs lead to, and what servers are called, are for this viewer."""
    return admin_site().has_permission(request) and resolver().may(request.user, "view_job")


def _ways(request: HttpRequest) -> tuple[tuple[str, str], ...]:
    """The two pages to go on from."""
    return ((_("Overview"), reverse("jobadmin:overview")), (_("List of jobs"), reverse("jobadmin:list")))


def _ways_for(request: HttpRequest) -> tuple[tuple[str, str], ...]:
    """Ways on for somebody who was refused: to what they may see."""
    site = admin_site()
    if not site.has_permission(request):
        here = request.get_full_path() if request.method == "GET" else reverse("jobadmin:overview")
        return ((_("Sign in as someone else"), f"{login_url()}?{urlencode({'next': here})}"),)
    if resolver().may(request.user, "view_job"):
        return _ways(request)
    return ((_("Home"), reverse("admin:index", current_app=site.name)),)


def _without(request: HttpRequest, parameter: str | None) -> tuple[tuple[str, str], ...]:
    """The same page without the parameter that could not be read; not where that would ask for something to be done to more jobs."""
    if parameter is None or parameter not in request.GET or getattr(request.resolver_match, "url_name", "") in STRICT:
        return ()
    rest = request.GET.copy()
    del rest[parameter]
    address = f"{request.path}?{rest.urlencode()}" if rest else request.path
    return ((_("Drop “%(parameter)s”") % {"parameter": parameter}, address),)


def _again(request: HttpRequest) -> tuple[tuple[str, str], ...]:
    """The same page once more; for a form, the page it was sent from, for a form is never repeated by itself."""
    if _is_part(request) and request.method == "GET":
        here = request.htmx.current_url_abs_path
        return ((_("Try now"), here),) if here else tuple((_("Try now"), url) for _words, url in _back(request))
    if request.method == "GET":
        return ((_("Try now"), request.get_full_path()),)
    return _back(request)


def _back(request: HttpRequest) -> tuple[tuple[str, str], ...]:
    """The page the request came from, if that is one of this site's."""
    came_from = urlsplit(request.headers.get("Referer", ""))
    if came_from.netloc != request.get_host():
        return ()
    return ((_("Back to the page"), urlunsplit(("", "", came_from.path, came_from.query, ""))),)


def _short(value: object, limit: int = 120) -> str:
    """Text of a hostile value, cut to a length a sentence can hold."""
    text = str(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
