"""URLs of a project that shows its customers their jobs, and has neither the dashboard nor Django's admin."""

from django.urls import include, path

urlpatterns = [path("jobs/", include("jobadmin.user_urls"))]
