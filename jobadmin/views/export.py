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
    return file_of(JobFilter.to_act_on(request), "csv")


@needs("view_job")
@page
@require_safe
def export_json(request: HttpRequest) -> StreamingHttpResponse:
    """All jobs of the filter as one array of objects."""
    return file_of(JobFilter.to_act_on(request), "json")


#: Kind of file -> who writes it, and what it is for a browser.
_KINDS: dict[str, tuple[Callable[[Query], Iterator[str]], str]] = {
    "csv": (as_csv, "text/csv; charset=utf-8"),
    "json": (as_json, "application/json"),
}


def file_of(selection: JobFilter, kind: str) -> StreamingHttpResponse:
    """The jobs of a filter as it stands now, so a file that takes a while holds one moment's set. `kind`: `csv` or `json`."""
    write, content_type = _KINDS[kind]
    frozen = JobFilter.from_querystring(selection.frozen()).with_(sort=selection.sort)
    pieces = write(frozen.query)
    # The first piece reads the store: a failure is a page that says so, not half a file.
    pieces = chain([next(pieces)], pieces)
    response = StreamingHttpResponse(pieces, content_type=content_type)
    name = f"jobs-{timezone.localtime(moments.now()):%Y-%m-%d-%H%M%S}.{kind}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Cache-Control"] = "no-store"
    return response
