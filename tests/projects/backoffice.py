"""URLs of a project whose people never see Django's own admin: the jobs stand in a site of its own, below a path."""

from django.contrib import admin
from django.http import HttpRequest
from django.urls import include, path

from jobadmin.admin import JobAdmin, OperationAdmin
from jobadmin.models import Job, Operation


class Backoffice(admin.AdminSite):
    """Operators enter it, staff or not."""

    site_header = "Paper mill"
    site_title = "Paper mill"
    site_url = None

    def has_permission(self, request: HttpRequest) -> bool:
        return request.user.is_active and request.user.groups.filter(name="Operators").exists()


backoffice = Backoffice(name="backoffice")
backoffice.register(Job, JobAdmin)
backoffice.register(Operation, OperationAdmin)

urlpatterns = [
    path("admin/", admin.site.urls),
    path("x/y/", include([path("backoffice/jobs/", include("jobadmin.urls")), path("backoffice/", backoffice.urls)])),
]
