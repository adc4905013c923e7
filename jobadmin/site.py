"""URLs of the project that shows the dashboard: Django's admin, with the jobs inside it."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="jobadmin:overview")),
    # Before the admin, whose last pattern catches everything below it.
    path("admin/jobs/", include("jobadmin.urls")),
    path("admin/", admin.site.urls),
]
