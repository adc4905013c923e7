"""Addresses below the dashboard that are none."""

from django.http import Http404, HttpRequest, HttpResponse

from jobadmin.views.base import needs, page_without_store


@needs("view_job")
@page_without_store
def nowhere(request: HttpRequest, address: str) -> HttpResponse:
    """404 in the frame of the pages, where the project's own page for it would be a bare line. Source: nothing."""
    raise Http404
