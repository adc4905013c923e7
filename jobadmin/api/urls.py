"""Addresses of the API, below those of the dashboard: one view for each path of the table."""

from itertools import groupby

from django.urls import path, re_path

from jobadmin.api.calls import CALLS
from jobadmin.api.door import view_of

urlpatterns = [
    *(path(route, view_of(list(calls)), name=name) for (route, name), calls in groupby(CALLS, key=lambda call: (call.path, call.name))),
    # What is no address of ours is told in JSON, too.
    re_path("", view_of(()), name="api_nothing"),
]
