"""URLs of the project that shows the dashboard: Django's admin, with the jobs inside it."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="jobadmin:overview")),
    # Browsers ask for it on pages that name no icon, such as the login.
    path("favicon.ico", RedirectView.as_view(url=static("jobadmin/icon.svg"))),
    # Before the admin, whose last pattern catches everything below it.
    path("admin/jobs/", include("jobadmin.urls")),
    path("jobs/", include("jobadmin.user_urls")),
    path("admin/", admin.site.urls),
]
