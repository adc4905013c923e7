"""Pages about one dimension of the jobs: all names, all errors, one resource; and suggestions for the filter bar."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from jobadmin.views.base import needs, page


@needs("view_job")
@page
def names(request: HttpRequest) -> HttpResponse:
    return HttpResponse("names")


@needs("view_job")
@page
def errors(request: HttpRequest) -> HttpResponse:
    return HttpResponse("errors")


@needs("view_job")
@page
def resource(request: HttpRequest, resource: str) -> HttpResponse:
    return HttpResponse(resource)


@needs("view_job")
@page
def suggest(request: HttpRequest, field: str) -> HttpResponse:
    return HttpResponse(field)
