"""What end users see: the jobs they started, and how far one of them is. It stands in the product's own frame, not in the admin's."""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Page, Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.http import urlencode
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

import statuses
from jobadmin import moments
from jobadmin.directions import shown_in_page
from jobadmin.mine import WORDS, OwnJob, is_own, jobs_of, may_follow
from jobadmin.parameters import SHOWN, BadFilter, UnknownParameter, one_of, whole
from jobadmin.paths import split_attempt, unquote
from jobadmin.viewing import of_request, viewed_by
from jobadmin.views.failures import unreadable_words
from jobadmin.views.unchanged import entity_tag, not_modified
from statuses import State, Status
from statuses.states import GROUPS

logger = logging.getLogger(__name__)

#: Jobs on a page.
ROWS = 20
#: What HTMX takes for "ask no more": the answer for a job that is over. Our own script reads it off the answer itself.
STOP_POLLING = 286
#: Nobody hears sooner than this that there is nothing for them: the answer for somebody else's job takes as long as that for none.
REFUSAL_SECONDS = 0.03
#: Seconds after which a page without a store may be asked for again.
RETRY_SECONDS = 8
#: Seconds between two looks at a list, by the state of the job that moves most.
LIST_SECONDS = {State.started: 3, State.queued: 5, State.unqueued: 30}
#: How long a relative time ("4 s ago") stands still on a list that is looked at, seconds.
STILL_SECONDS = 10
#: What the list takes.
_PARAMETERS = ("state", "page", "part_of")
#: How alike a name is that was to be one of these: a letter is missing, too many or in another place; `stage` is another word.
_NEAR = 0.85
View = Callable[..., HttpResponse]


def for_users(view: View) -> View:
    """Decorator: whoever is signed in; others see the project's login, or 403 where a part of a page was asked for. A store that is away
    becomes 503, one that is not as expected 500, a parameter nobody can read 400, what is not there or not theirs 404: each in a
    sentence, and none says more."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return _login(request)
        began = time.monotonic()
        with viewed_by(of_request(request)):
            try:
                return view(request, *args, **kwargs)
            except statuses.StoreUnavailable:
                return _failure(request, 503, _away(), headers={"Retry-After": str(RETRY_SECONDS)})
            except (statuses.StatusNotFound, Http404):
                time.sleep(max(0.0, began + REFUSAL_SECONDS - time.monotonic()))
                return _failure(request, 404, _("This job is not there, or it is not yours."))
            except BadFilter as error:
                return _failure(request, 400, unreadable_words(error))
            except statuses.StatusesError:
                logger.exception("the job store is not as expected")
                return _failure(request, 500, _away())

    return answered


@require_safe
@for_users
def mine(request: HttpRequest) -> HttpResponse:
    """The jobs of whoever looks, or those that are parts of one job, newest first; the part that changes when a script asks.
    Source: one read of the store for all counts, one page of records, and what came of those that ended; the record of the job
    whose parts they are."""
    _refuse_mistyped(request)
    own, now, of = jobs_of(request.user), moments.now(), request.GET.get("part_of", "")
    parent = own.where(id=of).first() if of else None
    own = own.where(parent=of) if of else own
    chosen = _chosen(request)
    counts = own.counts()
    total = sum(counts[state] for state in chosen)
    query = own if len(chosen) == len(State) else own.where(state=list(chosen))
    page = _page(request, query, total)
    rows = list(page.object_list)
    looks, has_parts = is_part(request), _have_parts(rows)
    jobs = [
        OwnJob(status, now, part_of=above, looks=looks, has_parts=has_parts)
        for status, above in zip(rows, [None] * len(rows) if of else _wholes(request, rows), strict=True)
    ]
    still = int(now.timestamp()) // STILL_SECONDS
    tag = entity_tag(request.user.pk, request.get_full_path(), get_language(), counts, [job.seen for job in jobs], still)
    if looks and (same := not_modified(request, tag)):
        return same
    context = {
        "jobs": jobs,
        "page": page,
        "total": total,
        "states": [{**state, "url": _address(request, state=[state["name"]])} for state in _states(counts, request.GET.getlist("state"))],
        "is_narrowed": len(chosen) < len(State),
        "has_any": any(counts.values()),
        "seconds": next((most for state, most in LIST_SECONDS.items() if counts[state]), None),
        "here": request.get_full_path(),
        "all_url": _address(request, state=[]),
        "part_of": of,
        "whole": OwnJob(parent, now) if parent else None,
        "pages": {way: _address(request, page=number) for way, number in _neighbours(page)},
    }
    if not looks:
        return render(request, "jobadmin/user/mine.html", context)
    response = render(request, "jobadmin/user/_mine.html", context)
    response.headers["ETag"] = tag
    return response


@require_safe
@for_users
def progress(request: HttpRequest, quoted: str) -> HttpResponse:
    """How far one job is: its bar when a script asks, else a small page with it. Theirs alone, unless they may see any.
    Source: the job's record; where it runs and says nothing, the states and progress of its children; for the page one count of
    the viewer's own among these."""
    job_id = unquote(quoted)
    status = statuses.find(job_id) if split_attempt(job_id)[1] is None else None
    if status is None or not may_follow(request, status):
        raise Http404
    job = OwnJob(status, moments.now())
    if not is_part(request):
        parts = jobs_of(request.user).where(parent=status.id).count()
        context = {"job": job, "is_own": is_own(request.user, status), "parts": parts, "parts_url": parts_url(status.id)}
        return render(request, "jobadmin/user/progress.html", context)
    if job.is_over:
        # Not to be kept by anybody: 304 has no word that ends the asking.
        return render(request, "jobadmin/user/_progress.html", {"job": job}, status=STOP_POLLING, headers={"Cache-Control": "no-store"})
    tag = entity_tag(request.user.pk, get_language(), *job.seen)
    if same := not_modified(request, tag):
        return same
    response = render(request, "jobadmin/user/_progress.html", {"job": job})
    response.headers["ETag"] = tag
    return response


def is_part(request: HttpRequest) -> bool:
    """Whether a script asks for the part that changes; our own says so as HTMX does."""
    headers = request.headers
    return headers.get("HX-Request") == "true" and not headers.get("HX-Boosted") and not headers.get("HX-History-Restore-Request")


def render(
    request: HttpRequest, template: str, context: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """A page or a part of one, for this viewer alone."""
    response = TemplateResponse(request, template, dict(context), status=status, headers=dict(headers or {})).render()
    response.content = shown_in_page(response.content)
    patch_vary_headers(response, ("HX-Request", "Cookie"))
    response.headers.setdefault("Cache-Control", "no-cache, private")
    return response


def _failure(request: HttpRequest, status: int, words: str, headers: Mapping[str, str] | None = None) -> HttpResponse:
    template = f"jobadmin/user/{'_failure' if is_part(request) else 'failure'}.html"
    context = {"words": words, "code": status, "here": request.get_full_path()}
    return render(request, template, context, status=status, headers=headers)


def _away() -> str:
    return _("Jobs cannot be shown at the moment. Those that run go on.")


def _login(request: HttpRequest) -> HttpResponse:
    """The project's login, and back here after it; a part of a page cannot show it."""
    if is_part(request):
        return HttpResponse(status=403, headers={"Cache-Control": "no-store"})
    response = redirect_to_login(request.get_full_path())
    add_never_cache_headers(response)
    return response


def _refuse_mistyped(request: HttpRequest) -> None:
    """Raises: BadFilter for a parameter that was to be one of ours. Others are left alone: the project's own frame may have some."""
    for name in request.GET:
        if name not in _PARAMETERS and difflib.get_close_matches(name, _PARAMETERS, n=1, cutoff=_NEAR):
            raise UnknownParameter(name, request.GET[name], _PARAMETERS)


def _chosen(request: HttpRequest) -> list[State]:
    """The states that the parameters ask for, all without one; those with a `-` are left out.  Raises: BadFilter."""
    given = [text for text in request.GET.getlist("state") if text]
    wanted = [state for text in given if not text.startswith("-") for state in _named(text)]
    unwanted = [state for text in given if text.startswith("-") for state in _named(text[1:])]
    return [state for state in State if (state in wanted or not wanted) and state not in unwanted]


def _named(text: str) -> Collection[State]:
    if text in GROUPS:
        return GROUPS[text]
    if text not in WORDS:
        raise BadFilter("state", text[:SHOWN], one_of((*WORDS, *GROUPS)))
    return (State(text),)


def _page(request: HttpRequest, query: statuses.Query, total: int) -> Page:
    """The page that the parameter `page` names, the nearest one where it is too high.  Raises: BadFilter."""
    number = whole(text := request.GET.get("page") or "1")
    if not number:
        raise BadFilter("page", text[:SHOWN], _("a whole number from 1"))
    return Paginator(_Counted(query, total), ROWS).get_page(number)


class _Counted:
    """A query whose matches were counted before."""

    #: Newest first, as every query.
    ordered = True

    def __init__(self, query: statuses.Query, total: int) -> None:
        self.query, self.total = query, total

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, part: slice) -> statuses.Query:
        return self.query[part]


def _neighbours(page: Page) -> list[tuple[str, int]]:
    ways = [("newer", page.number - 1)] if page.has_previous() else []
    return [*ways, ("older", page.number + 1)] if page.has_next() else ways


def _have_parts(rows: list[Status]) -> bool:
    """Whether any of the jobs that say nothing of themselves has children to ask.  Source: one question where there are such jobs."""
    silent = [status.id for status in rows if status.is_started and status.progress is None]
    return bool(silent) and statuses.where(parent=silent).exists()


def parts_url(job_id: str) -> str:
    """Where the viewer's own among the parts of a job are listed."""
    return f"{reverse('jobadmin_user:mine')}?{urlencode({'part_of': job_id})}"


def _wholes(request: HttpRequest, rows: list[Status]) -> list[OwnJob | None]:
    """For each job the one that it is a part of, if that is the viewer's own.  Source: one read where there are any."""
    ids = {status.parent for status in rows if status.parent}
    if not ids:
        return [None] * len(rows)
    now = moments.now()
    found = {status.id: OwnJob(status, now) for status in jobs_of(request.user).where(id=list(ids))}
    return [found.get(status.parent or "") for status in rows]


def _states(counts: Mapping[State, int], given: list[str]) -> list[dict[str, Any]]:
    """The ways to the jobs of each state that there are, and to those that are asked for."""
    return [
        {"name": state.value, "word": WORDS[state.value], "count": number, "is_on": given == [state.value]}
        for state, number in counts.items()
        if number or state.value in given
    ]


def _address(request: HttpRequest, *, state: list[str] | None = None, **changes: object) -> str:
    """This page with other states, and other parameters."""
    given = QueryDict(mutable=True)
    if of := request.GET.get("part_of"):
        given["part_of"] = of
    states = request.GET.getlist("state") if state is None else state
    given.setlist("state", [text for text in states if text])
    for name, value in changes.items():
        if value != 1:
            given[name] = str(value)
    return f"{request.path}?{given.urlencode()}" if given else request.path
