"""The list of operations for programs, and the page of the calls for people."""

import json
import re
from types import ModuleType
from typing import Any

import pytest
from django.contrib import admin
from django.http import HttpResponse
from django.test import Client
from django.test.utils import override_settings
from django.urls import include, path, reverse

from jobadmin.api.calls import CALLS
from jobadmin.api.openapi import path_of
from jobadmin.models import Operation
from jobadmin.parameters import PARAMETERS
from statuses.testing import make_status
from tests.jobadmin.schemas import fits

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

API = "/admin/jobs/api/"
LIST = API + "operations/"
#: What a browser says that it takes.
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def asked(client: Client, address: str = LIST, **parameters: Any) -> dict[str, Any]:
    response = client.get(address, parameters)
    assert response.status_code == 200, response.content
    fits(response, "GET")
    return response.json()


def written(number: int, **facts: Any) -> list[Operation]:
    facts = {"action": "kill", "username": "olu", "state": "done", "announced": 1, "changed": 1, "ids": ["a"], "description": "a", **facts}
    return [Operation.objects.create(**facts) for _ in range(number)]


def test_operations_are_listed_newest_first_a_page_at_a_time(browse: Any) -> None:
    client, made = browse(), written(5)

    first = asked(client, limit=2)
    second = asked(client, first["next"])
    written(1)
    third = asked(client, second["next"])

    numbers = [[one["id"] for one in page["operations"]] for page in (first, second, third)]
    newest = [one.pk for one in reversed(made)]
    assert numbers == [newest[:2], newest[2:4], newest[4:]], "one that begins meanwhile shifts none of the others"
    assert first["total"] == 5 and third["next"] is None
    assert first["page"] == reverse("jobadmin:operations")


def test_a_page_that_ends_with_the_last_one_has_no_next(browse: Any) -> None:
    client, _ = browse(), written(2)

    assert asked(client, limit=2)["next"] is None


def test_operations_can_be_asked_for_by_what_they_do_and_who_began_them(browse: Any) -> None:
    client = browse()
    written(2, action="retry"), written(2, username="rita"), written(3, action="retry", username="rita")

    found = asked(client, action="retry", user="rita", limit=2)

    assert found["total"] == 3 and {(one["action"], one["user"]) for one in found["operations"]} == {("retry", "rita")}
    assert "action=retry" in found["next"] and len(asked(client, found["next"])["operations"]) == 1
    assert client.get(found["page"]).status_code == 200 and found["page"].endswith("?action=retry&user=rita")


@pytest.mark.parametrize("wrong", ["action=explode", "limit=0", "limit=201", "after=x", "after=-1", "state=done", "page=2"])
def test_what_cannot_be_asked_is_refused(browse: Any, wrong: str) -> None:
    assert browse().get(f"{LIST}?{wrong}").status_code == 400


def test_a_list_shows_what_its_page_shows_and_asks_the_store_nothing(browse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = browse()
    make_status("started")
    client.post(API + "kill/?span=all", json.dumps({"reason": "password=hunter2"}), content_type="application/json")
    Operation.objects.update(state="done", by_reason={"requested": 1}, changed=1, started_at="2026-01-01T00:00Z")
    one = client.get(f"{LIST}{Operation.objects.get().pk}/").json()
    monkeypatch.setattr("statuses.query.Query.count", lambda self: 1 / 0)

    listed = asked(client)["operations"][0]

    assert listed == {name: value for name, value in one.items() if name != "still_running"}
    assert "hunter2" not in json.dumps(listed)


def test_fifty_operations_cost_as_many_questions_as_one(browse: Any, django_assert_num_queries: Any) -> None:
    client, _ = browse(), written(1)
    with django_assert_num_queries(6) as counted:
        client.get(LIST)

    written(49)

    with django_assert_num_queries(len(counted)):
        assert len(client.get(LIST).json()["operations"]) == 50


def test_who_may_not_look_at_jobs_sees_no_operations(browse: Any) -> None:
    written(1)

    assert browse("kill_job", name="otto").get(LIST).status_code == 403
    assert Client().get(LIST).status_code == 401


# The page


def calls_page(client: Client) -> HttpResponse:
    return client.get(API, headers=BROWSER)


def test_a_browser_is_shown_every_call_and_every_parameter(browse: Any) -> None:
    response = calls_page(browse())

    text = response.content.decode()
    rows = re.findall(r'<th role="rowheader" scope="row" class="j-mono">(GET|POST) (?:<a href="([^"]+)">)?([^<]+)', text)
    assert [(method, address) for method, _url, address in rows] == [(call.method, path_of(call)) for call in CALLS]
    assert response["Content-Type"].startswith("text/html")
    for name in PARAMETERS:
        assert f'class="j-mono">{name}</th>' in text
    for url in {url for _method, url, _address in rows if url and "metrics" not in url}:
        assert browse(name=f"reader{url.count('/')}{len(url)}").get(url).status_code == 200


def test_programs_are_answered_as_before(browse: Any) -> None:
    client = browse()
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}, {"Accept": "application/json, text/plain, */*"}):
        response = client.get(API, headers=accept)

        assert response.json()["links"]["operations"] == LIST
        assert "Accept" in response["Vary"]
    assert client.post(API, headers=BROWSER).status_code == 405
    assert client.get(API + "counts/", headers=BROWSER)["Content-Type"] == "application/json"


def test_a_browser_is_led_to_the_login_and_a_program_is_told(browse: Any) -> None:
    page, answer = calls_page(Client()), Client().get(API)

    assert page.status_code == 302 and "/login/" in page["Location"] and answer.status_code == 401
    assert calls_page(browse("kill_job", name="otto")).status_code == 403


def test_every_page_leads_to_the_calls_and_to_ones_own_jobs(browse: Any) -> None:
    client = browse()

    text = client.get(reverse("jobadmin:overview")).content.decode()

    head = text.partition('id="user-tools"')[2].partition("</div>")[0]
    assert f'<a href="{API}">API</a>' in head and f'<a href="{reverse("jobadmin_user:mine")}">My jobs</a>' in head
    refused = browse("kill_job", name="otto").get(reverse("jobadmin:overview")).content.decode()
    assert f'href="{API}"' not in refused


def test_where_nobody_has_a_page_of_their_own_jobs_nothing_leads_there(browse: Any) -> None:
    client, urls = browse(), ModuleType("urls")
    urls.urlpatterns = [path("admin/jobs/", include("jobadmin.urls")), path("admin/", admin.site.urls)]

    with override_settings(ROOT_URLCONF=urls):
        text = client.get("/admin/jobs/").content.decode()

    assert "My jobs" not in text and ">API</a>" in text
