"""What matches, as a file to keep: streamed, redacted, safe in a spreadsheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from jobadmin import moments
from jobadmin.exports import as_csv, as_json
from jobadmin.filters import JobFilter
from jobadmin.views.base import needs, page
from statuses import Query


@needs("view_job")
@page
@require_safe
def export_csv(request: HttpRequest) -> StreamingHttpResponse:
    """All jobs of the filter as comma-separated values."""
    return _file(request, as_csv, "csv", "text/csv; charset=utf-8")


@needs("view_job")
@page
@require_safe
def export_json(request: HttpRequest) -> StreamingHttpResponse:
    """All jobs of the filter as one array of objects."""
    return _file(request, as_json, "json", "application/json")


def _file(request: HttpRequest, write: Callable[[Query], Iterator[str]], suffix: str, content_type: str) -> StreamingHttpResponse:
    """The filter as it stands now, so a file that takes a while holds one moment's set."""
    selection = JobFilter.to_act_on(request)
    frozen = JobFilter.from_querystring(selection.frozen()).with_(sort=selection.sort)
    pieces = write(frozen.query)
    # The first piece reads the store: a failure is a page that says so, not half a file.
    pieces = chain([next(pieces)], pieces)
    response = StreamingHttpResponse(pieces, content_type=content_type)
    name = f"jobs-{timezone.localtime(moments.now()):%Y-%m-%d-%H%M%S}.{suffix}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response
