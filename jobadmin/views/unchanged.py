"""A page that is kept open asks again and again: while nothing it shows can have changed, the answer is that it did not.

Told from the store's version, one small read, before anything is counted or rendered. What moves without a new version is
looked at where a page shows it: how many jobs fell silent; the progress of jobs that run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

import statuses
from jobadmin import upkeep
from jobadmin.filters import JobFilter
from jobadmin.models import Operation
from jobadmin.resolver import resolver
from jobadmin.verbs import BULK
from jobadmin.viewing import present
from jobadmin.views.base import needs, page, wants_part

#: Relative times ("4 min ago") are written anew at least this often, seconds.
MOST_SECONDS = 60
#: Header of the pulse: how many operations have ended, as a number to compare.
OPERATIONS = "X-Operations-Ended"

View = Callable[..., HttpResponse]


def unless_unchanged(*, lists_jobs: bool) -> Callable[[View], View]:
    """Decorator, inside ``page``: a live look that would show what it showed last time gets 304 and costs no more.
    `lists_jobs`: the page shows jobs one by one, with their progress."""

    def decorate(view: View) -> View:
        @wraps(view)
        def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            # Before the view reads: what changes meanwhile makes the next look differ.
            looks = "live" in request.GET and wants_part(request)
            tag = _tag(request, lists_jobs) if looks else None
            if tag is not None and (same := not_modified(request, tag)):
                return same
            request.operations = Operation.standing()
            response = view(request, *args, **kwargs)
            if tag is not None and response.status_code == 200:
                response.headers["ETag"] = tag
            return response

        return answered

    return decorate


def not_modified(request: HttpRequest, tag: str) -> HttpResponse | None:
    """304 where the browser has what `tag` stands for already."""
    if tag not in request.headers.get("If-None-Match", ""):
        return None
    return HttpResponseNotModified(headers={"ETag": tag, "Cache-Control": "no-cache, private"})


def entity_tag(*seen: Any) -> str:
    """What an answer depends on, as an entity tag."""
    return f'"{hashlib.sha1(repr(seen).encode(errors="replace"), usedforsecurity=False).hexdigest()}"'


@needs("view_job")
@page
@require_safe
def pulse(request: HttpRequest) -> HttpResponse:
    """204 while the store answers, 503 with the notice while it is away: what a page that looks seldom asks in between. The
    answer tells whether an operation has ended since, here or elsewhere: `Operation.standing`, which the page carries, too.
    Source: the store's clock, one small query of the database."""
    statuses.server_time()
    return HttpResponse(status=204, headers={"Cache-Control": "no-store", OPERATIONS: str(Operation.standing().ended)})


def version_of(request: HttpRequest) -> statuses.Version:
    """The version of the store as this answer began, asked for once.  Raises: StoreUnavailable."""
    version = getattr(request, "jobs_version", None)
    if version is None:
        version = request.jobs_version = statuses.version()
    return version


def _tag(request: HttpRequest, lists_jobs: bool) -> str | None:
    """What this look depends on, as an entity tag; None where that cannot be told.  Raises: StoreUnavailable, BadFilter.
    Source: the versions of the store's segments; where jobs run their heartbeats; one query of the database."""
    version = version_of(request)
    jobs = replace(JobFilter.from_request(request), at=version.at)
    silent, left = 0, ""
    if _run(version.text, jobs.querystring()):
        if lists_jobs or "stale" in jobs.flags:
            return None
        silent = jobs.query.where(stale=True).count()
        left = silent and upkeep.reaper(version.upkeep, version.at)
    if Operation.standing().active:
        return None
    rights = [resolver().may(request.user, verb.permission) for verb in BULK.values()]
    return entity_tag(
        version.text, sorted(version.paused), silent, left, request.get_full_path(), jobs.window,
        int(version.at.timestamp()) // MOST_SECONDS, request.user.pk, rights,
        present(), get_language(), sorted(map(repr, request.session.items())),
    )  # fmt: skip


@lru_cache(maxsize=256)
def _run(version: str, filter: str) -> bool:
    """Whether jobs of a filter run, whatever states and flags it asks for (the tiles count all); asked once a version."""
    return JobFilter.from_querystring(filter).with_(state=None, flag=None, after=None).query.where(state="started").exists()
