"""All jobs of a filter in one file, for programs as for people."""

from __future__ import annotations

from django.http import StreamingHttpResponse

from jobadmin.api.calls import Asked
from jobadmin.views.export import file_of


def csv(asked: Asked) -> StreamingHttpResponse:
    """Comma-separated values.  Source: the records of all that match, a few hundred at a time."""
    return file_of(asked.query["filter"], "csv")


def json(asked: Asked) -> StreamingHttpResponse:
    """One array of objects.  Source: as `csv`."""
    return file_of(asked.query["filter"], "json")
