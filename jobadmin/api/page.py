"""The calls for people: a page of the table, at the address where programs begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import NoReverseMatch, reverse
from django.utils.cache import patch_vary_headers
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from jobadmin.api.calls import CALLS, Call
from jobadmin.api.fields import FILTER, Field
from jobadmin.api.openapi import path_of
from jobadmin.filterbar import FilterBar
from jobadmin.filters import JobFilter
from jobadmin.views.base import needs, page_without_store, render


@dataclass(frozen=True, kw_only=True)
class Line:
    """A call as its row has it."""

    call: Call
    path: str
    """As the document writes it."""
    url: str
    """Where it can be looked at; empty where it changes something, or is about one thing."""
    has_filter: bool
    fields: tuple[Field, ...]
    """What it takes beside the filter, of its address or its body."""


def for_people(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorator: who would rather have HTML than JSON gets the page."""

    @wraps(view)
    def answered(request: HttpRequest, **path: object) -> HttpResponseBase:
        is_looked_at = request.method in ("GET", "HEAD") and request.get_preferred_type(["application/json", "text/html"]) == "text/html"
        response = calls(request) if is_looked_at else view(request, **path)
        patch_vary_headers(response, ("Accept",))
        return response

    return answered


@needs("view_job")
@page_without_store
@require_safe
def calls(request: HttpRequest) -> HttpResponse:
    """Every call, what it takes and does, and every parameter.  Source: nothing, the table."""
    context = {
        "title": _("API"),
        "view": "api",
        "bar": FilterBar(jobs=JobFilter(), view="overview", matched=0, total=0),
        "filter": JobFilter(),
        "lines": list(_lines()),
        "parameters": [(field, _values(field)) for field in FILTER],
        "root": request.build_absolute_uri(reverse("jobadmin:api")),
    }
    return render(request, "jobadmin/api.html", context)


def _lines() -> Iterator[Line]:
    for call in CALLS:
        fields = (*call.query, *(call.body or ()))
        yield Line(
            call=call,
            path=path_of(call),
            url=_url(call),
            has_filter=any(field in FILTER for field in fields),
            fields=tuple(field for field in fields if field not in FILTER),
        )


def _values(field: Field) -> list[str]:
    """What it can be, where that is one of a few; what a leading - makes of them goes without saying."""
    return [value for value in field.schema.get("enum", ()) if not value.startswith("-")]


def _url(call: Call) -> str:
    """Empty for what stands on this very page."""
    try:
        return reverse(f"jobadmin:{call.name}") if call.method == "GET" and call.path else ""
    except NoReverseMatch:
        return ""
