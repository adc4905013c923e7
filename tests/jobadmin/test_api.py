"""The API reads what the pages read: the same jobs, the same numbers, the same refusals, without secrets."""

import json
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

import statuses
from jobadmin.api.schemas import SCHEMAS
from jobadmin.filters import JobFilter
from jobadmin.plans import measure
from statuses.testing import frozen_clock, make_status
from tests.jobadmin.schemas import fits

pytestmark = pytest.mark.usefixtures("store")

API = "/admin/jobs/api/"


@pytest.fixture
def client(browse: Any) -> Client:
    return browse()


def got(client: Client, address: str, **query: Any) -> dict[str, Any]:
    """The answer to a GET that goes well."""
    response = client.get(address if address.startswith("/") else API + address, query)
    assert response.status_code == 200, response.content
    fits(response, "GET")
    return response.json()


def refused(response: HttpResponse, status: int, code: str) -> dict[str, Any]:
    """The error of an answer that does not."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/json"
    error = response.json()["error"]
    assert error["code"] == code
    return error


def test_the_index_says_where_everything_is_and_what_one_may(client: Client) -> None:
    found = got(client, API)

    for address in (*found["links"].values(), *found["export"].values()):
        assert client.get(address).status_code in (200, 405), address
    assert found["rights"] == ["view_job", "kill_job", "retry_job", "remove_job"]
    assert (found["user"], found["engines"]) == ("marta", [])


def test_a_row_has_the_attributes_of_its_status_in_their_names(client: Client) -> None:
    with frozen_clock(datetime(2026, 1, 31, 14, 30, tzinfo=UTC)) as clock:
        job = make_status("queued", job_name="mail.send", queue="mail", user="anna", job_args={"book": "Book:53"})
        clock.tick(1.5)
        job.started(worker="w1")
        clock.tick(2.25)
        job.set_progress(7, 10, message="seven").failed()
        (row,) = got(client, "jobs/", span="all")["jobs"]

    assert row["recorded_at"] == "2026-01-31T14:30:00.000000Z"
    assert row["failed_at"] == row["ended_at"] == "2026-01-31T14:30:03.750000Z"
    assert (row["wait_time"], row["run_time"], row["progress"], row["progress_message"]) == (1.5, 2.25, 0.7, "seven")
    assert (row["id"], row["state"], row["job_args"], row["worker"]) == (job.id, "failed", {"book": "Book:53"}, "w1")
    assert row["succeeded_at"] is None and row["is_ended"] and not row["kill_requested"]
    for name, value in row.items():
        if name not in ("url", "page") and not isinstance(value, str) and name != "job_args":
            assert value == getattr(statuses.find(job.id), name), name


def test_no_attribute_of_a_status_is_left_out() -> None:
    attributes = {name for name, value in vars(statuses.Status).items() if isinstance(value, property) and name[0] != "_"}
    told = set(SCHEMAS["Job"]["properties"]) | {f"is_{state}" for state in statuses.State}

    assert attributes - told == {"progress_at", "progress_out_of", "root", "kept_until_deleted"}


def test_a_list_is_read_page_by_page_to_its_end_and_holds_each_job_once(client: Client) -> None:
    ids = [make_status("queued", job_name="mail.send").id for _ in range(7)]
    make_status("queued", job_name="other")

    page, pages = got(client, "jobs/", name="mail.send", limit=3), []
    while True:
        assert page["total"] == 7
        pages.append([row["id"] for row in page["jobs"]])
        if page["next"] is None:
            break
        page = got(client, page["next"])

    assert [len(one) for one in pages] == [3, 3, 1]
    assert [id for one in pages for id in one] == ids[::-1]


def test_a_list_leads_to_the_same_jobs_elsewhere(client: Client) -> None:
    job = make_status("failed", job_name="mail/send")
    make_status("failed", job_name="other")

    found = got(client, "jobs/", name="mail/send")

    assert f'id="job-{job.id}"' in client.get(found["page"]).content.decode() or job.id in client.get(found["page"]).content.decode()
    exported = json.loads(b"".join(client.get(found["export"]["json"]).streaming_content))
    assert [row["id"] for row in exported] == [job.id] == [row["id"] for row in found["jobs"]]
    for name, value in exported[0].items():
        mine = found["jobs"][0]["error_summary" if name == "error" else name]
        assert value == mine or datetime.fromisoformat(value) == datetime.fromisoformat(mine), name


@pytest.mark.parametrize("id", ["list", "api", "a/b c", "..", "über:x", "100%", "_3A", "a?b#c"])
def test_a_job_of_any_id_is_found_at_its_own_address(client: Client, id: str) -> None:
    make_status("queued", id=id)
    (row,) = got(client, "jobs/")["jobs"]

    found = got(client, row["url"])

    assert found["id"] == id
    assert client.get(found["page"]).status_code == 200
    for action in found["actions"].values():
        assert client.get(action["url"]).status_code == 405


def test_one_job_tells_its_errors_data_call_attempts_and_children(client: Client) -> None:
    job = make_status("queued", job_name="mail.send", call={"args": [1], "kwargs": {"password": "hunter2"}})
    job.started().add_error(ValueError("token=abcdef")).failed().requeued().started().add_error("second").save({"api_key": "x1", "n": 2})
    child = job.spawn("part")
    child.started()

    found = got(client, f"jobs/{job.id}/")

    assert found["errors"] == ["second"] and found["data"] == {"api_key": "[redacted]", "n": 2}
    assert found["call"] == {"args": [1], "kwargs": {"password": "[redacted]"}}
    assert found["children"]["counts"]["started"] == 1 and found["children"]["ids"] == [child.id]
    (before,) = found["prior_attempts"]
    assert (before["id"], before["attempt"], before["state"]) == (f"{job.id}:0", 0, "failed")
    assert before["errors"][0]["class"] == "ValueError" and "abcdef" not in json.dumps(found) and "hunter2" not in json.dumps(found)
    assert got(client, f"jobs/{job.id}_3A0/")["errors"] == before["errors"]
    assert found["actions"]["remove"]["why_not"].startswith("Still running.")


def test_only_actions_that_one_may_are_told(browse: Any) -> None:
    job = make_status("failed")

    found = got(browse("view_job", "retry_job"), f"jobs/{job.id}/")

    assert list(found["actions"]) == ["retry"]


def test_what_a_job_carries_is_without_secrets_everywhere(client: Client) -> None:
    secret = "password=hunter2"
    job = make_status("queued", job_name=secret, queue=secret, user=secret, job_args={"token": "hunter2"}, data={"secret": "hunter2"})
    job.started(worker=secret).add_error(secret).set_progress(0.5, message=secret).request_kill(by=secret, reason=secret)

    answers = [
        client.get(API + path)
        for path in (
            "jobs/",
            f"jobs/{job.id}/",
            *(f"counts/?facet={name}" for name in ("job_name", "queue", "user", "worker", "error")),
            "durations/?facet=job_name",
        )
    ]

    for answer in answers:
        assert answer.status_code == 200 and "hunter2" not in answer.content.decode()
        fits(answer, "GET")


def test_hostile_texts_come_back_as_they_are(client: Client) -> None:
    name = '</script>\u202e"\\\ud7ff\x01 😀'
    make_status("queued", job_name=name)

    response = client.get(API + "jobs/", {"name": name})

    assert response.json()["jobs"][0]["job_name"] == name
    assert response["X-Content-Type-Options"] == "nosniff" and response["Content-Type"] == "application/json"


def test_counts_agree_with_the_library_and_with_the_page(client: Client) -> None:
    for state, number in (("queued", 3), ("failed", 2), ("succeeded", 5)):
        for at in range(number):
            make_status(state, job_name="mail.send" if at else "other", queue="mail")
    make_status("started").request_kill()

    for query in ("", "state=failed", "name=mail.*&state=-failed", "flag=kill_requested", "queue=mail&span=1h", "span=all", "by=failed_at"):
        found = got(client, f"{API}counts/?{query}")
        jobs = JobFilter.from_querystring(query)
        assert found["counts"] == {str(state): n for state, n in jobs.query.counts().items()}, query
        assert found["total"] == got(client, f"{API}jobs/?{query}")["total"] == measure(jobs.query).total
        text = client.get(f"{reverse('jobadmin:list')}?{query}").content.decode()
        assert f"{found['total']} job" in text or not found["total"], query


def test_the_kill_requested_of_the_counts_are_those_of_the_filter(client: Client) -> None:
    with frozen_clock() as clock:
        make_status("started").request_kill()
        make_status("started").request_kill().killed()
        make_status("started").heartbeat()
        clock.tick(120)
        found = got(client, "counts/")

        assert found["flags"] == {"kill_requested": 1, "stale": 1}
        for flag, number in found["flags"].items():
            assert got(client, "jobs/", flag=flag)["total"] == number


@pytest.mark.parametrize("facet", ["job_name", "queue", "user", "worker", "engine", "job_arg", "error"])
def test_a_facet_counts_as_the_library_does(client: Client, facet: str) -> None:
    for number in range(5):
        job = make_status("started", job_name=f"n{number % 3}", queue="mail", user="u", engine="e", job_args={"book": f"Book:{number % 2}"})
        job.add_error(ValueError(number)).failed()

    found = got(client, "counts/", facet=facet, limit=2)

    expected = statuses.all().counts_by(facet, 2)
    assert [(one["value"], one["total"], one["by_state"]["failed"]) for one in found["values"]] == [
        (one.value, one.total, one.by_state[statuses.State.failed]) for one in expected
    ]
    assert found["distinct"] >= len(found["values"]) and found["facet"] == facet


def test_durations_agree_with_the_library(client: Client) -> None:
    with frozen_clock() as clock:
        for number in range(10):
            job = make_status("queued", job_name=f"n{number % 2}")
            clock.tick(0.5)
            job.started()
            clock.tick(number)
            job.succeeded()
        make_status("queued", job_name="waits")
        found = got(client, "durations/", facet="job_name")

        for span in ("run_time", "wait_time"):
            told = statuses.all().durations(span)
            assert found[span] == {name: getattr(told, name) for name in ("n", "min", "avg", "p50", "p95", "p99", "max")}
            by = statuses.all().durations_by("job_name", span)
            assert {one["value"]: one[span]["p95"] for one in found["values"] if one[span]} == {name: one.p95 for name, one in by.items()}
    assert got(client, "durations/", name="waits")["run_time"] == dict.fromkeys(("min", "avg", "p50", "p95", "p99", "max")) | {"n": 0}


def test_a_relative_span_is_the_one_of_the_pages_and_can_be_held(client: Client) -> None:
    with frozen_clock() as clock:
        make_status("queued")
        clock.tick(10 * 86400)
        make_status("queued")
        found = got(client, "counts/", span="7d")
        window = JobFilter.from_querystring("span=7d").window

        assert found["total"] == 1
        assert datetime.fromisoformat(found["span"]["from"]) == window.after
        assert datetime.fromisoformat(found["span"]["to"]) == window.before
        held = got(client, "counts/", **{"from": found["span"]["from"], "to": found["span"]["to"]})
        assert held["total"] == 1 and held["span"] == found["span"]


@pytest.mark.parametrize(
    ("path", "parameter", "expected"),
    [
        ("jobs/?state=lost", "state", "one of"),
        ("jobs/?stat=failed", "stat", "the parameter state"),
        ("jobs/?limit=0", "limit", "a whole number from 1 to 200"),
        ("jobs/?limit=201", "limit", "a whole number from 1 to 200"),
        ("jobs/?limit=9999999999999", "limit", "a whole number from 1 to 200"),
        ("jobs/?limit=1&limit=2", "limit", "one value"),
        ("jobs/?chart=table", "chart", "one of the parameters"),
        ("jobs/?after=nonsense", "after", "the position"),
        ("jobs/?from=yesterday", "from", "ISO 8601"),
        ("jobs/?from=2026-01-01&span=1h", "span", "no span beside"),
        ("jobs/?sort=name", "sort", "one of"),
        ("jobs/?q=%00", "q", "null characters"),
        ("counts/?facet=name", "facet", "one of job_name"),
        ("counts/?facet=job_name&limit=x", "limit", "a whole number"),
        ("durations/?facet=job_arg", "facet", "one of job_name"),
        ("kill/?limit=3", "limit", "one of the parameters"),
        ("?state=failed", "state", "nothing"),
        ("jobs/?step=3", "step", "the parameter workflow beside it"),
        ("counts/?step=3&workflow=", "workflow", "a value"),
        ("jobs/?name=", "name", "a value"),
        ("counts/?state=failed&state=", "state", "a value"),
        ("durations/?operation=", "operation", "a value"),
        ("kill/?q=", "q", "a value"),
        ("counts/?by=failed_at&span=all", "by", "no moment beside span=all"),
        ("openapi.json?x=", "x", "nothing"),
    ],
)
def test_a_parameter_that_cannot_be_is_named_with_what_was_expected(client: Client, path: str, parameter: str, expected: str) -> None:
    error = refused(client.get(API + path), 400, "bad_parameter")

    assert error["parameter"] == parameter
    assert expected in error["expected"] and expected in error["message"]


def test_the_pages_and_the_api_say_the_same_of_a_bad_filter(client: Client) -> None:
    error = refused(client.get(API + "jobs/?state=lost"), 400, "bad_parameter")

    assert error["message"] in unescape(client.get(reverse("jobadmin:list") + "?state=lost").content.decode())


@pytest.mark.parametrize(
    "path",
    [
        "jobs/no-such-job/",
        "jobs/no-such-job_3A1/",
        "operations/7/",
        "operations/99999999999999999999/",
        "nothing/",
        "nothing/at/all/",
        "jobs",
        "jobs/a/b/c/",
    ],
)
def test_what_is_not_there_is_404_in_json(client: Client, path: str) -> None:
    refused(client.get(API + path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("post", "jobs/", "GET, HEAD, OPTIONS"),
        ("get", "submit/", "POST, OPTIONS"),
        ("delete", "counts/", "GET, HEAD, OPTIONS"),
        ("put", "kill/", "GET, POST, HEAD, OPTIONS"),
        ("get", "jobs/x/kill/", "POST, OPTIONS"),
        ("get", "operations/1/stop/", "POST, OPTIONS"),
    ],
)
def test_a_method_that_is_not_for_an_address_is_405_with_those_that_are(client: Client, method: str, path: str, allow: str) -> None:
    response = getattr(client, method)(API + path)

    refused(response, 405, "method_not_allowed")
    assert response["Allow"] == allow
    assert client.options(API + path)["Allow"] == allow


def test_head_is_get_without_a_body_and_nothing_is_kept_by_others(client: Client) -> None:
    make_status("queued")

    response = client.head(API + "jobs/")

    assert (response.status_code, response.content) == (200, b"")
    assert response["Cache-Control"] == "no-store, private"


def test_a_store_that_is_away_is_503_with_a_time_to_come_again(client: Client, monkeypatch: Any) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise statuses.StoreUnavailable("reading", "nobody there")

    monkeypatch.setattr(statuses.Query, "report", away)
    response = client.get(API + "counts/")

    error = refused(response, 503, "store_unavailable")
    assert int(response["Retry-After"]) > 0
    assert error["message"].startswith("Redis does not answer.")


def test_moments_bound_a_list_inclusively(client: Client) -> None:
    with frozen_clock() as clock:
        first = make_status("queued")
        clock.tick(1)
        make_status("queued")
        at = first.recorded_at

        assert got(client, "jobs/", **{"from": at.isoformat(), "to": at.isoformat()})["total"] == 1
        assert got(client, "jobs/", **{"from": (at + timedelta(microseconds=1)).isoformat()})["total"] == 1
