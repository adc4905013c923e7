"""URLs of a project that shows its customers their jobs, and has neither the dashboard nor Django's admin; but pages of its own."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def vacancies(request: HttpRequest) -> HttpResponse:
    return HttpResponse("Vacancies of the shop")


urlpatterns = [path("jobs/", include("jobadmin.user_urls")), path("jobs/", vacancies), path("jobs/in-the-shop/", vacancies)]
