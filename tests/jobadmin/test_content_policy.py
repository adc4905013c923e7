"""A strict content policy where a project asks for one, and never in place of its own."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from jobadmin.middleware import CONTENT_POLICY

pytestmark = pytest.mark.usefixtures("store")

NAME = "Content-Security-Policy"
PAGES = "jobadmin.middleware.PagesContentPolicyMiddleware"
OTHERS = [name for name in settings.MIDDLEWARE if not name.startswith("jobadmin.")]


def of_the_project(get_response):
    """A policy as a project sends it that has inline scripts: not where an answer has one."""

    def answered(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault(NAME, "script-src 'nonce-x'")
        return response

    return answered


@pytest.mark.parametrize("name", ["overview", "list", "operations", "api"])
def test_the_pages_of_the_dashboard_have_it_and_no_others(browse, settings, name: str) -> None:
    settings.MIDDLEWARE = [PAGES, *OTHERS]
    client = browse()

    assert client.get(reverse(f"jobadmin:{name}"))[NAME] == CONTENT_POLICY
    assert NAME not in client.get(reverse("admin:login")) and NAME not in client.get("/nothing-here/")


def test_a_page_for_a_failure_has_it_too(browse, settings) -> None:
    settings.MIDDLEWARE = [PAGES, *OTHERS]

    page = browse().get(reverse("jobadmin:list") + "?sate=failed")

    assert page.status_code == 400 and page[NAME] == CONTENT_POLICY


@pytest.mark.parametrize("place", [1, len(OTHERS) + 1])
def test_the_projects_own_counts(browse, settings, place: int) -> None:
    settings.MIDDLEWARE = [PAGES, *OTHERS]
    settings.MIDDLEWARE.insert(place, f"{__name__}.of_the_project")

    assert browse().get(reverse("jobadmin:overview"))[NAME] == "script-src 'nonce-x'"


def test_without_it_no_policy_is_sent(browse, settings) -> None:
    settings.MIDDLEWARE = OTHERS

    assert NAME not in browse().get(reverse("jobadmin:overview"))
