"""Addresses of the API, below those of the dashboard: one view for each path of the table."""

from itertools import groupby

from django.urls import path, re_path

from jobadmin.api.calls import CALLS
from jobadmin.api.door import view_of
from jobadmin.api.page import for_people

_views = {address: view_of(list(calls)) for address, calls in groupby(CALLS, key=lambda call: (call.path, call.name))}

urlpatterns = [
    *(path(route, view if route else for_people(view), name=name) for (route, name), view in _views.items()),
    # What is no address of ours is told in JSON, too.
    re_path("", view_of(()), name="api_nothing"),
]
