"""The API does what the buttons do: the same verbs, guards, record and words."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

import statuses
from jobadmin import runner
from jobadmin.models import Operation
from jobadmin.paths import action_url
from statuses.engines import registry
from statuses.testing import make_status
from tests.jobadmin.engines import Sender, toy_engine
from tests.jobadmin.schemas import fits

pytestmark = pytest.mark.usefixtures("store")

API = "/admin/jobs/api/"
EVERY = ("view_job", "kill_job", "retry_job", "remove_job", "submit_job")


@pytest.fixture
def client(browse: Any) -> Client:
    return browse(*EVERY)


@pytest.fixture
def engine() -> Any:
    with toy_engine() as engine:
        yield engine


@pytest.fixture
def sender() -> Any:
    engine = registry.register(Sender())
    yield engine
    registry.unregister(engine.name)


def post(client: Client, path: str, body: Any = None, **headers: str) -> HttpResponse:
    address = path if path.startswith("/") else API + path
    return client.post(address, json.dumps(body) if body is not None else "", content_type="application/json", headers=headers)


def did(response: HttpResponse, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.content
    fits(response, "POST")
    return response.json()


def refused(response: HttpResponse, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    found = response.json()
    assert found["error"]["code"] == code, found
    fits(response, "POST")
    return found


# One job


def test_a_kill_ends_a_queued_job_and_is_written_down(client: Client) -> None:
    job = make_status("queued")

    found = did(post(client, f"jobs/{job.id}/kill/", {"reason": "not needed"}))

    assert job.reload().is_killed and job.kill_requested_by == "marta" and job.kill_reason == "not needed"
    assert found["message"] == "Killed: it had not started and never will." and found["job"]["state"] == "killed"
    operation = Operation.objects.get()
    assert (operation.action, operation.username, operation.ids, operation.reason) == ("kill", "marta", [job.id], "not needed")
    assert (operation.by_reason, operation.address) == ({"killed": 1}, "127.0.0.1")
    assert LogEntry.objects.get().object_id == job.id
    assert found["operation"]["id"] == operation.pk


@pytest.mark.parametrize("action", ["kill", "kill-now", "retry", "remove"])
@pytest.mark.parametrize("state", ["unqueued", "queued", "started", "succeeded", "failed", "killed", "unknown"])
def test_every_action_on_every_state_does_and_says_what_the_page_does(client: Client, engine: Any, action: str, state: str) -> None:
    one, other = make_status(state, engine="toy"), make_status(state, engine="toy")

    answer = post(client, f"jobs/{one.id}/{action}/").json()
    page = client.post(action_url(other.id, action), {"confirmed": "1"})

    said = " ".join(str(message) for message in get_messages(page.wsgi_request))
    assert (answer["message"] if "message" in answer else answer["error"]["message"]) in said
    mine, theirs = Operation.objects.order_by("pk")
    assert (mine.by_reason, mine.state, mine.changed, mine.error) == (theirs.by_reason, theirs.state, theirs.changed, theirs.error)
    found = [statuses.find(job.id) for job in (one, other)]
    assert [job and (job.state, job.attempt, job.kill_requested) for job in found] == [
        found[1] and (found[1].state, found[1].attempt, found[1].kill_requested)
    ] * 2


def test_what_is_not_possible_is_409_with_the_reason_and_on_record(client: Client) -> None:
    job = make_status("started")

    found = refused(post(client, f"jobs/{job.id}/remove/"), 409, "not_possible")

    assert found["error"]["message"] == "Still running. It can be removed once it has ended."
    assert found["operation"]["by_reason"] == {"cannot": 1}
    assert statuses.find(job.id) is not None


def test_an_engine_that_cannot_is_409_with_its_reason_without_secrets(client: Client, engine: Any) -> None:
    engine.refuses = "the broker at redis://u:hunter2@host does not answer"
    job = make_status("failed", engine="toy")

    found = refused(post(client, f"jobs/{job.id}/retry/"), 409, "engine_cannot")

    assert found["error"]["message"].startswith("Not sent again: the broker at redis://u:[redacted]@host")
    assert "hunter2" not in json.dumps(found)


def test_a_retry_sent_a_second_time_for_the_same_attempt_sends_nothing(client: Client, engine: Any) -> None:
    job = make_status("failed", engine="toy")
    did(post(client, f"jobs/{job.id}/retry/", {"attempt": 0}))
    job.reload().started().failed()

    refused(post(client, f"jobs/{job.id}/retry/", {"attempt": 0}), 409, "not_possible")

    assert engine.retried == [job.id]


def test_a_removed_job_can_be_brought_back(client: Client) -> None:
    job = make_status("failed")
    found = did(post(client, f"jobs/{job.id}/remove/"))
    assert found["job"] is None and statuses.find(job.id) is None and found["operation"]["can_undo"]

    restoring = did(post(client, found["operation"]["url"] + "undo/"), 202)
    runner.run_pending()

    assert statuses.find(job.id).is_failed
    assert client.get(restoring["url"]).json()["state"] == "done"
    refused(post(client, found["operation"]["url"] + "undo/"), 409, "over")


@pytest.mark.parametrize("path", ["jobs/{id}_3A0/kill/", "jobs/nobody/kill/", "jobs/{id}/explode/", "explode/", "operations/1/stop/"])
def test_nothing_is_done_to_what_is_not_there(client: Client, path: str) -> None:
    job = make_status("queued")

    response = post(client, path.format(id=job.id))

    assert response.status_code == 404 and response.json()["error"]["code"] == "not_found"
    assert job.reload().is_queued and not Operation.objects.exists()


# Everything that matches


def test_what_would_be_done_is_told_and_nothing_is(client: Client) -> None:
    for state in ("queued", "queued", "started", "failed"):
        make_status(state, job_name="mail.send")

    response = client.get(API + "kill/", {"name": "mail.send"})

    fits(response, "GET")
    plan = response.json()
    assert (plan["total"], plan["changes"], plan["asks_count"]) == (4, 3, False)
    assert sum(line["number"] for line in plan["lines"]) == 4
    assert sum(line["number"] for line in plan["lines"] if line["changes"]) == 3
    assert not Operation.objects.exists() and statuses.where(state="killed").count() == 0


def test_a_filter_is_enough_for_few_and_begins_the_same_operation_as_the_page(client: Client) -> None:
    for _ in range(3):
        make_status("queued", job_name="mail.send")
    other = make_status("queued", job_name="other")

    response = post(client, "kill/?name=mail.send", {"reason": "too many"})

    begun = did(response, 202)
    assert response["Location"] == begun["url"] and not begun["is_over"]
    runner.run_pending()
    found = client.get(begun["url"]).json()
    assert (found["state"], found["changed"], found["by_reason"], found["reason"]) == ("done", 3, {"killed": 3}, "too many")
    assert other.reload().is_queued
    assert Operation.objects.get().filter.startswith("name=mail.send&")


def test_more_than_a_page_lets_pass_without_the_number_needs_it_here_too(client: Client) -> None:
    for _ in range(101):
        make_status("queued")

    found = refused(post(client, "kill/?span=7d"), 409, "not_confirmed")
    assert found["plan"]["asks_count"] and found["plan"]["changes"] == 101
    assert found["error"]["message"] == "The number typed is not the number announced. Nothing was changed."
    refused(post(client, "kill/?span=7d", {"count": 100}), 409, "not_confirmed")
    assert not Operation.objects.exists()

    did(post(client, "kill/?span=7d", {"count": 101}), 202)


@pytest.mark.parametrize("action", ["remove", "kill-now"])
def test_a_removal_and_an_instant_kill_always_need_the_number(client: Client, engine: Any, action: str) -> None:
    make_status("failed" if action == "remove" else "queued")

    refused(post(client, f"{action}/?span=7d"), 409, "not_confirmed")
    did(post(client, f"{action}/?span=7d", {"count": 1}), 202)


def test_a_promise_holds_the_set_that_was_announced_and_is_kept_once(client: Client) -> None:
    first = make_status("failed")
    promise = client.get(API + "remove/?state=failed").json()["promise"]
    later = make_status("failed")

    begun = did(post(client, "remove/", {"promise": promise, "count": 1}), 202)
    again = did(post(client, "remove/", {"promise": promise, "count": 1}), 202)
    runner.run_pending()

    assert begun["id"] == again["id"] and Operation.objects.count() == 1
    assert statuses.find(first.id) is None and statuses.find(later.id) is not None


@pytest.mark.parametrize("wrong", ["nonsense", "of another verb", "too old", "beside a filter"])
def test_a_promise_that_cannot_be_kept_changes_nothing(client: Client, monkeypatch: Any, wrong: str) -> None:
    job = make_status("queued")
    promise = client.get(API + ("retry/" if wrong == "of another verb" else "kill/")).json()["promise"]
    if wrong == "too old":
        monkeypatch.setattr("jobadmin.operations.PROMISE_LASTS", timedelta(seconds=-1))

    response = post(
        client, "kill/?state=queued" if wrong == "beside a filter" else "kill/", {"promise": promise if wrong != "nonsense" else wrong}
    )

    assert response.status_code == (400 if wrong == "beside a filter" else 409)
    assert ("plan" in response.json()) is (wrong == "too old")
    assert job.reload().is_queued and not Operation.objects.exists()


def test_chosen_jobs_are_named_by_their_ids(client: Client) -> None:
    jobs = [make_status("queued") for _ in range(3)]

    did(post(client, f"kill/?span=all&id={jobs[0].id}&id={jobs[2].id}"), 202)
    runner.run_pending()

    assert [job.reload().is_killed for job in jobs] == [True, False, True]
    assert Operation.objects.get().ids == [jobs[0].id, jobs[2].id]


@pytest.mark.parametrize(
    ("address", "body", "parameter"),
    [
        ("kill/", None, "promise"),
        ("kill/", {"promise": ""}, "promise"),
        ("kill/?name=", None, "name"),
        ("kill/?state=queued&name=", None, "name"),
        ("kill/?step=3", None, "step"),
        ("kill/?workflow=&step=3", None, "workflow"),
        ("kill/?operation=", None, "operation"),
        ("kill/?by=failed_at&span=all", None, "by"),
        ("kill/?sort=-run_time", None, "promise"),
        ("kill/?by=failed_at", None, "promise"),
    ],
)
def test_what_a_program_forgot_to_fill_in_is_not_everything(client: Client, address: str, body: Any, parameter: str) -> None:
    job = make_status("queued", job_name="mail.send")

    error = refused(post(client, address, body), 400, "bad_parameter")["error"]

    assert error["parameter"] == parameter
    assert job.reload().is_queued and not Operation.objects.exists()


def test_nothing_to_do_is_said(client: Client) -> None:
    make_status("succeeded")

    found = refused(post(client, "kill/?span=7d"), 409, "not_confirmed")

    assert found["error"]["message"].startswith("Nothing is left to do")


def test_an_operation_that_waits_can_be_stopped_once(client: Client) -> None:
    make_status("queued")
    begun = did(post(client, "kill/?span=7d"), 202)

    assert did(post(client, begun["url"] + "stop/"))["state"] == "stopped"
    assert refused(post(client, begun["url"] + "stop/"), 409, "over")["operation"]["state"] == "stopped"
    assert statuses.where(state="queued").count() == 1


def test_a_filter_that_cannot_be_read_does_nothing(client: Client) -> None:
    job = make_status("queued")

    found = refused(post(client, "kill/?stat=failed"), 400, "bad_parameter")

    assert found["error"]["parameter"] == "stat"
    assert job.reload().is_queued


# Submitting


def test_a_job_is_sent_by_its_name_and_written_down(client: Client, sender: Sender) -> None:
    response = post(
        client, "submit/", {"job_name": "mail.send", "args": ["anna"], "kwargs": {"subject": "hi"}, "queue": "slow", "reason": "try"}
    )

    found = did(response, 201)
    job = statuses.find(found["job"]["id"])
    assert (job.job_name, job.queue, job.user, job.call) == ("mail.send", "slow", "marta", {"args": ["anna"], "kwargs": {"subject": "hi"}})
    assert response["Location"] == found["job"]["url"]
    operation = Operation.objects.get()
    assert (operation.action, operation.ids, operation.by_reason, operation.reason) == ("submit", [job.id], {"submitted": 1}, "try")
    assert "submitted the job" in client.get(found["job"]["page"]).content.decode()
    listed = client.get(reverse("jobadmin:operations")).content.decode()
    assert "Submit job" in listed
    assert "Job submitted" in client.get(found["operation"]["page"]).content.decode()


def test_whose_job_it_is_can_be_said_and_who_sent_it_is_on_record(client: Client, sender: Sender) -> None:
    found = did(post(client, "submit/", {"job_name": "mail.send", "args": ["anna"], "user": "nightly"}), 201)

    assert found["job"]["user"] == "nightly" and Operation.objects.get().username == "marta"


def test_a_job_that_is_not_tracked_is_sent_and_said_so(client: Client, sender: Sender) -> None:
    sender.tracks = False

    found = did(post(client, "submit/", {"job_name": "mail.send", "args": ["anna"]}), 202)

    assert found["job"] is None and Operation.objects.get().description == "mail.send"
    assert client.get(found["operation"]["page"]).status_code == 200


@pytest.mark.parametrize(
    ("body", "parameter", "expected"),
    [
        ({}, "job_name", "text"),
        ({"job_name": ""}, "job_name", "text"),
        ({"job_name": None}, "job_name", "text"),
        ({"job_name": "mail.sent"}, "job_name", "there is mail.send"),
        ({"job_name": "os.system", "args": ["true"]}, "job_name", "it knows no job of this name"),
        ({"job_name": "mail.send", "args": "anna"}, "args", "a list"),
        ({"job_name": "mail.send", "kwargs": ["anna"]}, "kwargs", "an object"),
        ({"job_name": "mail.send"}, "args", "missing a required argument"),
        ({"job_name": "mail.send", "args": ["anna"], "kwargs": {"cc": 1}}, "args", "unexpected keyword argument"),
        ({"job_name": "mail.send", "args": ["anna"], "engine": "celery"}, "engine", "one of toy"),
        ({"job_name": "mail.send", "args": ["anna"], "queue": 7}, "queue", "text"),
        ({"job_name": "mail.send", "args": ["anna"], "que": "slow"}, "que", "the parameter queue"),
        ({"job_name": "a\x00b"}, "job_name", "text"),
        ({"job_name": "x" * 201}, "job_name", "at most 200"),
    ],
)
def test_what_cannot_be_sent_is_said_and_nothing_is(client: Client, sender: Sender, body: Any, parameter: str, expected: str) -> None:
    error = refused(post(client, "submit/", body), 400, "bad_parameter")["error"]

    assert error["parameter"] == parameter and expected in error["expected"]
    assert statuses.all().count() == 0
    assert [found.by_reason for found in Operation.objects.all()] in ([], [{"cannot": 1}]), "on record what the engine was asked"


def test_arguments_that_do_not_fit_are_told_and_not_the_name(client: Client, sender: Sender) -> None:
    error = refused(post(client, "submit/", {"job_name": "mail.send", "args": ["anna"], "kwargs": {"cc": 1}}), 400, "bad_parameter")[
        "error"
    ]

    assert error["message"].startswith('args cannot be “["anna"]”. Expected: the arguments that it takes: ')


def test_an_engine_that_fails_to_send_is_409_and_on_record(client: Client, sender: Sender) -> None:
    sender.refuses = "sending it failed: password=hunter2"

    found = refused(post(client, "submit/", {"job_name": "mail.send", "args": ["anna"]}), 409, "engine_cannot")

    assert found["error"]["message"] == "Not sent: sending it failed: password=[redacted]."
    operation = Operation.objects.get()
    assert (operation.action, operation.state, operation.changed, operation.ids) == ("submit", "failed", 0, [])
    page = client.get(found["operation"]["page"]).content.decode()
    assert "hunter2" not in page and "/again/" not in page and f'href="{reverse("jobadmin:job", args=["mail.send"])}"' not in page


def test_of_several_engines_that_know_a_name_one_must_be_chosen(client: Client, sender: Sender) -> None:
    other = registry.register(Sender("other"))
    try:
        error = refused(post(client, "submit/", {"job_name": "mail.send", "args": ["anna"]}), 400, "bad_parameter")["error"]
        assert error["parameter"] == "engine" and "other, toy" in error["expected"]

        assert did(post(client, "submit/", {"job_name": "mail.send", "args": ["anna"], "engine": "other"}), 201)["job"]["engine"] == "other"
    finally:
        registry.unregister(other.name)


def test_without_an_engine_that_can_nothing_is_sent(client: Client, engine: Any) -> None:
    refused(post(client, "submit/", {"job_name": "mail.send"}), 409, "engine_cannot")


# Bodies


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("{", "application/json", 400),
        ("[1]", "application/json", 400),
        ("7", "application/json", 400),
        ('{"reason": NaN}', "application/json", 400),
        ('{"reason": "a", "reason": "b"}', "application/json", 400),
        ('{"reason": "\\ud800"}', "application/json", 400),
        ('{"attempt": 1e400}', "application/json", 400),
        ("[" * 100_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        ("reason=x", "application/x-www-form-urlencoded", 415),
        ("x" * 3_000_000, "application/json", 413),
    ],
    ids=["broken", "a list", "a number", "NaN", "twice", "half a character", "infinite", "deep", "no UTF-8", "a form", "huge"],
)
def test_a_body_that_is_no_object_in_json_does_nothing(client: Client, body: Any, kind: str, status: int) -> None:
    job = make_status("queued")

    response = client.post(f"{API}jobs/{job.id}/kill/", body, content_type=kind)

    assert response.status_code == status, response.content
    assert response.json()["error"]["code"] in ("bad_body", "too_large")
    assert job.reload().is_queued and not Operation.objects.exists()


def test_arguments_nested_too_deeply_are_refused(client: Client, sender: Sender) -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]

    refused(post(client, "submit/", {"job_name": "mail.send", "args": deep}), 400, "bad_body")


def test_a_reason_is_cut_nowhere_but_refused_where_it_is_too_long(client: Client) -> None:
    job = make_status("queued")

    error = refused(post(client, f"jobs/{job.id}/kill/", {"reason": "x" * 2001}), 400, "bad_parameter")["error"]

    assert error["parameter"] == "reason" and job.reload().is_queued
    assert not Operation.objects.exists()


@pytest.mark.parametrize("how", ["away", "gone"])
def test_what_was_done_is_told_as_done_where_its_job_cannot_be_read_after_it(
    client: Client, sender: Sender, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    job, submit = make_status("queued"), sender.submit

    def find_nothing(id: str) -> None:
        if how == "away":
            raise statuses.StoreUnavailable("find", "it went away")

    def submitted(*arguments: Any, **more: Any) -> Any:
        sent = submit(*arguments, **more)
        monkeypatch.setattr("jobadmin.api.rows.statuses.find", find_nothing)
        return sent

    monkeypatch.setattr(sender, "submit", submitted)
    sent = did(post(client, "submit/", {"job_name": "mail.send", "args": ["anna"]}), 202)
    monkeypatch.undo()
    monkeypatch.setattr("jobadmin.api.doing.rows.present", lambda id: None)
    killed = did(post(client, f"jobs/{job.id}/kill/"))

    assert (sent["job"], killed["job"]) == (None, None)
    assert statuses.where(job_name="mail.send").count() == 1 and job.reload().is_killed
    assert [operation.changed for operation in Operation.objects.order_by("pk")] == [1, 1]
