"""A page that is kept open asks again and again: while nothing it shows can have changed, the answer is that it did not.

Told from the store's version, one small read, before anything is counted or rendered. Pages whose jobs run are left out:
progress and heartbeats move without a new version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, wraps
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.translation import get_language

import statuses
from jobadmin.filters import JobFilter
from jobadmin.models import Operation
from jobadmin.resolver import resolver
from jobadmin.verbs import BULK
from jobadmin.viewing import present
from jobadmin.views.base import wants_part

#: Relative times ("4 min ago") are written anew at least this often, seconds.
MOST_SECONDS = 60

View = Callable[..., HttpResponse]


def unless_unchanged(view: View) -> View:
    """Decorator, inside ``page``: a live look that would show what it showed last time gets 304 and costs no more."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "live" not in request.GET or not wants_part(request):
            return view(request, *args, **kwargs)
        # Before the view reads: what changes meanwhile makes the next look differ.
        tag = _tag(request)
        if tag is not None and tag in request.headers.get("If-None-Match", ""):
            return HttpResponseNotModified(headers={"ETag": tag, "Cache-Control": "no-cache, private"})
        response = view(request, *args, **kwargs)
        if tag is not None and response.status_code == 200:
            response.headers["ETag"] = tag
        return response

    return answered


def _tag(request: HttpRequest) -> str | None:
    """What this look depends on, as an entity tag; None where that cannot be told.  Raises: StoreUnavailable, BadFilter.
    Source: the versions of the store's segments; one query of the database."""
    version = statuses.version()
    if not _is_quiet(version.text) or Operation.objects.filter(state__in=Operation.ACTIVE).exists():
        return None
    jobs = replace(JobFilter.from_request(request), at=version.at)
    rights = [resolver().may(request.user, verb.permission) for verb in BULK.values()]
    seen = (
        version.text, request.get_full_path(), jobs.window, int(version.at.timestamp()) // MOST_SECONDS, request.user.pk, rights, present(),
        get_language(), sorted(map(repr, request.session.items())),
    )  # fmt: skip
    return f'"{hashlib.sha1(repr(seen).encode(errors="replace"), usedforsecurity=False).hexdigest()}"'


@lru_cache(maxsize=64)
def _is_quiet(version: str) -> bool:
    """Whether no job runs in this version of the store; asked once a version."""
    return not statuses.where(state="started").exists()
