"""Every action is on record before it is done, and what cannot be written down is not done."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.core.management import CommandError, call_command
from django.db import OperationalError, ProgrammingError, connection, connections
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

import statuses
from jobadmin import models, runner
from jobadmin.models import Operation
from jobadmin.paths import action_url, job_url
from statuses import Status, StoreUnavailable
from statuses.engines import registry
from statuses.engines.base import Worker
from statuses.testing import make_status
from tests.jobadmin.databases import needs_undoable_tables
from tests.jobadmin.engines import Sender
from tests.jobadmin.schemas import fits
from tests.jobadmin.test_bulk import promise, url

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

API = "/admin/jobs/api/"
EVERY = ("view_job", "kill_job", "retry_job", "remove_job", "submit_job", "control_workers")
REFUSED = "The database does not take the record of this action, and nothing is done without one."


class Watched(Sender):
    """An engine that looks at the record in the moment in which it is asked."""

    can_stop_worker = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Operation] = []
        self.raises: BaseException | None = None

    def _asked(self) -> None:
        self.seen += Operation.objects.all()
        if self.raises is not None:
            raise self.raises

    def kill(self, status: Status) -> None:
        self._asked()

    def retry(self, status: Status, by: str | None = None) -> Status:
        self._asked()
        return super().retry(status, by)

    def submit(self, job_name: str, *args: Any, **more: Any) -> Status | None:
        self._asked()
        return super().submit(job_name, *args, **more)

    def stop_worker(self, worker: Worker) -> None:
        self._asked()


@pytest.fixture
def engine() -> Generator[Watched]:
    made = Watched()
    made.there = [Worker(name="w1")]
    registry.register(made)
    yield made
    registry.unregister(made.name)


@pytest.fixture
def client(browse: Any) -> Client:
    return browse(*EVERY)


@contextmanager
def refusing(
    start: str, error: type[Exception] = OperationalError, times: int = 99, words: str = "attempt to write a readonly database"
) -> Generator[None]:
    """A database that takes no statement that begins so."""
    left = [times]

    def ask(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.replace("`", '"').startswith(start) and left[0]:
            left[0] -= 1
            raise error(words)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(ask):
        yield


NO_RECORD = 'INSERT INTO "jobadmin_operation"'
NO_OUTCOME = 'UPDATE "jobadmin_operation"'


def post(client: Client, path: str, body: Any = None) -> HttpResponse:
    return client.post(path if path.startswith("/") else API + path, json.dumps(body or {}), content_type="application/json")


def kill(client: Client, status: Status, **form: str) -> HttpResponse:
    return client.post(action_url(status.id, "kill-now"), {"confirmed": "yes", **form})


def stop_worker(client: Client, **form: str) -> HttpResponse:
    return client.post(reverse("jobadmin:control", args=["stop-worker"]), {"engine": "toy", "name": "w1", "confirmed": "yes", **form})


def said(response: HttpResponse) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def page_of(client: Client, operation: Operation) -> str:
    return client.get(reverse("jobadmin:operation", args=[operation.pk])).content.decode()


# Before it is done


def test_an_action_on_a_job_is_on_record_when_the_engine_hears_of_it(client: Client, engine: Watched) -> None:
    one, other = make_status("started", engine="toy"), make_status("failed", engine="toy")

    kill(client, one, reason="stuck")
    post(client, f"jobs/{other.id}/retry/", {"reason": "again"})

    first, second = engine.seen[0], engine.seen[-2]
    assert (first.action, first.username, first.address, first.ids, first.reason) == ("kill-now", "marta", "127.0.0.1", [one.id], "stuck")
    assert (second.action, second.ids, second.reason) == ("retry", [other.id], "again")
    assert {first.state, second.state} == {"unknown"} and not first.is_over and first.started_at
    assert [found.state for found in Operation.objects.all()] == ["done", "done"]
    assert LogEntry.objects.count() == 2


def test_an_order_to_a_worker_and_a_job_that_is_sent_are_on_record_before(client: Client, engine: Watched) -> None:
    stop_worker(client, reason="deploy")
    sent = post(client, "submit/", {"job_name": "mail.send", "args": ["anna"]}).json()

    order = engine.seen[0]
    assert (order.action, order.description, order.reason, order.state) == ("stop-worker", "toy: w1", "deploy", "unknown")
    submitted = next(found for found in engine.seen if found.action == "submit")
    assert (submitted.description, submitted.state, submitted.ids) == ("mail.send", "unknown", [])
    assert Operation.objects.get(action="submit").ids == [sent["job"]["id"]]
    assert LogEntry.objects.get(object_id=sent["job"]["id"]).object_repr == sent["job"]["id"]


def test_an_operation_over_a_filter_is_on_record_before_its_first_job(client: Client, engine: Watched) -> None:
    make_status("failed", engine="toy")

    post(client, "retry/?span=all", {"reason": "mail is back"})
    assert engine.seen == [] and Operation.objects.get().state == "waiting"
    runner.run_pending()

    assert [(found.state, found.reason) for found in engine.seen] == [("running", "mail is back")]


def test_a_command_is_on_record_before_its_first_job(engine: Watched) -> None:
    make_status("failed", engine="toy")

    call_command("jobs", "retry", "span=all", "--by", "olu", stdout=StringIO())

    assert [(found.username, found.state) for found in engine.seen] == [("olu", "unknown")]
    assert Operation.objects.get().state == "done" and not LogEntry.objects.exists()


# What cannot be written down


def test_what_the_database_takes_no_record_of_is_not_done_and_the_page_says_so(client: Client) -> None:
    status = make_status("queued")

    with refusing(NO_RECORD):
        response = client.post(
            action_url(status.id, "kill"), {"next": "/admin/jobs/list/"}, headers={"Referer": "http://testserver/admin/jobs/list/"}
        )

    text = response.content.decode()
    assert response.status_code == 503 and REFUSED in text and "Nothing was changed." in text
    assert 'href="/admin/jobs/list/">Back to the page' in text
    assert status.reload().is_queued and not LogEntry.objects.exists()


def test_a_dialog_is_asked_again_with_the_reason_as_it_was_typed(client: Client, engine: Watched) -> None:
    status = make_status("started", engine="toy")

    with refusing(NO_RECORD):
        answers = [kill(client, status, reason='the "cow" is out'), stop_worker(client, reason='the "cow" is out')]

    for response in answers:
        text = response.content.decode()
        assert response.status_code == 503 and REFUSED in text
        assert 'value="the &quot;cow&quot; is out"' in text and 'name="confirmed"' in text
    assert engine.seen == [] and not status.reload().kill_requested


@pytest.mark.parametrize("path", ["jobs/{id}/kill/", "kill/?span=all", "submit/"])
def test_the_api_answers_503_and_does_nothing(client: Client, engine: Watched, path: str) -> None:
    status = make_status("queued")

    with refusing(NO_RECORD):
        response = post(client, path.format(id=status.id), {"job_name": "mail.send", "args": ["anna"]} if path == "submit/" else {})

    fits(response, "POST")
    assert (response.status_code, response.json()["error"]["code"]) == (503, "not_recorded")
    assert REFUSED in response.json()["error"]["message"] and response["Retry-After"]
    assert status.reload().is_queued and statuses.all().count() == 1 and not Operation.objects.exists()


def test_a_database_that_is_not_set_up_is_500_for_to_wait_is_no_help(client: Client) -> None:
    status = make_status("queued")

    with refusing(NO_RECORD, ProgrammingError):
        page, answer = client.post(action_url(status.id, "kill")), post(client, f"jobs/{status.id}/kill/")

    assert page.status_code == answer.status_code == 500 and "Retry-After" not in answer
    assert REFUSED in page.content.decode() and status.reload().is_queued


@pytest.mark.parametrize(
    "words",
    [
        "no such table: main.shop_user",
        "(1824, \"Failed to open the referenced table 'shop_user'\")",
        "(1054, \"Unknown column 'promise'\")",
    ],
)
def test_a_table_that_is_not_there_is_not_waited_for(client: Client, engine: Watched, words: str) -> None:
    status, started = make_status("queued"), make_status("started", engine="toy")
    bulk = promise(client.get(url("kill")))

    with refusing(NO_RECORD, words=words):
        pages = [
            client.post(action_url(status.id, "kill")),
            kill(client, started),
            stop_worker(client),
            client.post(reverse("jobadmin:bulk", args=["kill"]), {"promise": bulk}),
        ]
        answers = [post(client, f"jobs/{status.id}/kill/"), post(client, "kill/?span=all")]

    for response in (*pages, *answers):
        text = response.content.decode()
        assert response.status_code == 500 and "Retry-After" not in response
        assert REFUSED in text and "To try it again does not help" in text and "try it again." not in text
    assert {answer.json()["error"]["code"] for answer in answers} == {"not_recorded"}
    assert status.reload().is_queued and engine.seen == [] and not Operation.objects.exists()


class Parted:
    """A router that puts the tables of the dashboard beside the others, and lets nothing there refer to them."""

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool | None:
        return False if {one._meta.app_label, other._meta.app_label} == {"jobadmin", "auth"} else None


def test_a_router_that_allows_no_relation_is_told_as_what_lasts(client: Client, settings: Any) -> None:
    status = make_status("queued")
    settings.DATABASE_ROUTERS = [Parted()]

    page, answer = client.post(action_url(status.id, "kill")), post(client, f"jobs/{status.id}/kill/")

    assert (page.status_code, answer.status_code, answer.json()["error"]["code"]) == (500, 500, "not_recorded")
    assert REFUSED in page.content.decode() and status.reload().is_queued


def test_without_djangos_log_there_is_no_record_and_no_action(client: Client) -> None:
    status = make_status("queued")

    with refusing('INSERT INTO "django_admin_log"'):
        client.post(action_url(status.id, "kill"))

    assert status.reload().is_queued and not Operation.objects.exists()


def test_a_bulk_operation_is_asked_again_with_its_reason(client: Client) -> None:
    make_status("queued")
    confirmed = {"promise": promise(client.get(url("kill", "span=all"))), "reason": "deploy"}

    with refusing(NO_RECORD):
        response = client.post(url("kill", ""), confirmed)

    text = response.content.decode()
    assert response.status_code == 503 and REFUSED in text and 'value="deploy"' in text
    assert not Operation.objects.exists()


def test_an_operation_is_neither_stopped_nor_taken_back_without_a_record(client: Client) -> None:
    make_status("failed")
    post(client, "remove/?span=all", {"count": 1})
    waiting = reverse("jobadmin:operation_stop", args=[Operation.objects.get().pk])

    with refusing('INSERT INTO "django_admin_log"'):
        stopped = client.post(waiting)
        assert stopped.status_code == 503 and Operation.objects.get().state == "waiting"
        runner.run_pending()
        undone = client.post(reverse("jobadmin:operation_undo", args=[Operation.objects.get().pk]))

    assert undone.status_code == 503 and Operation.objects.get().undone_at is None


def test_a_command_does_nothing_without_a_record_unless_it_is_told_to() -> None:
    status, out = make_status("queued"), StringIO()

    with refusing(NO_RECORD):
        with pytest.raises(CommandError, match="--unrecorded does it without"):
            call_command("jobs", "kill", f"id={status.id}", stdout=out)
        assert status.reload().is_queued
        call_command("jobs", "kill", f"id={status.id}", "--unrecorded", stdout=out, stderr=out)

    assert status.reload().is_killed and "Not written to the audit trail: attempt to write" in out.getvalue()


def test_a_command_is_no_worse_off_where_nobody_has_made_the_tables() -> None:
    """As on a fresh clone: no page acts there, and no trail is kept."""
    needs_undoable_tables()
    status, out = make_status("queued"), StringIO()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE jobadmin_operation RENAME TO away")

    call_command("jobs", "kill", f"id={status.id}", stdout=out, stderr=out)

    assert status.reload().is_killed and "Not written to the audit trail: the database has no tables of Jobadmin" in out.getvalue()


# What breaks off


@pytest.mark.parametrize(
    ("error", "words"), [(RuntimeError("hunter2"), "RuntimeError"), (StoreUnavailable("redis", "gone away"), "gone away")]
)
def test_an_action_that_raises_is_on_record_as_what_nobody_knows_the_outcome_of(
    browse: Any, engine: Watched, error: Exception, words: str
) -> None:
    client = browse(*EVERY, raise_request_exception=False)
    status, engine.raises = make_status("started", engine="toy"), error

    page = kill(client, status)
    post(client, f"jobs/{status.id}/kill-now/")
    stop_worker(client)

    assert page.status_code in (500, 503)
    for operation in Operation.objects.all():
        assert (operation.state, operation.by_reason, operation.changed) == ("failed", {"unsure": 1}, 0)
        assert operation.is_over and operation.is_unsure and words in operation.error and "hunter2" not in operation.error
    assert Operation.objects.count() == 3
    text = page_of(client, Operation.objects.filter(action="kill-now").first())
    assert "Kill now: the outcome is not known" in text and "Perhaps done, perhaps not" in text


def test_where_redis_went_away_in_between_nobody_claims_that_nothing_was_changed(client: Client, engine: Watched) -> None:
    status, engine.raises = make_status("started", engine="toy"), StoreUnavailable("redis", "gone away")

    page, answer = kill(client, status).content.decode(), post(client, f"jobs/{status.id}/kill-now/")

    first, second = Operation.objects.order_by("pk")
    assert f"It is on record as operation {first.pk}." in page and "nothing was changed" not in page
    assert answer.status_code == 503 and answer.json()["operation"]["id"] == second.pk
    assert answer.json()["operation"]["by_reason"] == {"unsure": 1}
    fits(answer, "POST")


def test_a_process_that_is_told_to_end_says_so_on_record(client: Client, engine: Watched) -> None:
    status, engine.raises = make_status("started", engine="toy"), SystemExit(1)

    with pytest.raises(SystemExit):
        kill(client, status)

    assert Operation.objects.get().by_reason == {"unsure": 1}


def test_a_project_that_binds_requests_into_transactions_keeps_the_record_of_what_raised(
    browse: Any, engine: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browse(*EVERY, raise_request_exception=False)
    status, engine.raises = make_status("started", engine="toy"), RuntimeError()
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)

    kill(client, status)
    post(client, f"jobs/{status.id}/kill-now/")
    stop_worker(client)

    assert Operation.objects.count() == 3


# What nobody wrote down


def test_an_outcome_that_the_database_does_not_take_is_told_all_the_same(client: Client) -> None:
    killed, removed = make_status("queued"), make_status("failed")

    with refusing(NO_OUTCOME):
        page = client.post(action_url(killed.id, "kill"))
        answer = post(client, f"jobs/{removed.id}/remove/")

    assert killed.reload().is_killed and statuses.find(removed.id) is None
    assert "Killed: it had not started and never will. The database did not take what came of it" in said(page)
    assert answer.status_code == 200 and "its record says that the outcome is not known" in answer.json()["message"]
    assert answer.json()["operation"]["state"] == "unknown" and not answer.json()["operation"]["can_undo"]
    fits(answer, "POST")


def test_an_outcome_is_written_at_the_second_try_where_a_connection_was_lost(client: Client) -> None:
    with refusing(NO_OUTCOME, times=1):
        response = client.post(action_url(make_status("queued").id, "kill"))

    assert "did not take" not in said(response)
    assert Operation.objects.get().by_reason == {"killed": 1}


def test_an_operation_whose_process_died_says_that_nobody_knows(client: Client, engine: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    status = make_status("started", engine="toy")
    with refusing(NO_OUTCOME):
        kill(client, status)
    young = page_of(client, Operation.objects.get())

    monkeypatch.setattr(models, "TOLD_WITHIN", timedelta(0))
    operation = Operation.objects.get()
    page, job = page_of(client, operation), client.get(job_url(status.id)).content.decode()
    listed = client.get(reverse("jobadmin:operations")).content.decode()
    told = client.get(f"{API}operations/{operation.pk}/").json()

    assert "written down before it was begun" in young and "Under way" in young and "Stop after this batch" not in young
    assert 'hx-trigger="every 1s"' in young and "hx-trigger" not in page
    assert "Nobody knows what came of it." in page and "Perhaps done, perhaps not" in page
    assert "Outcome not known</span>" in listed
    assert "killed the job at once" in job and "nobody wrote down what came of it" in job and "wanted to" not in job
    assert job.count("requested a kill") == 0, "the request is the work of the kill"
    assert (told["state"], told["is_over"], told["by_reason"]) == ("unknown", True, {"unsure": 1})


def test_nothing_in_the_head_of_the_pages_waits_for_it(client: Client) -> None:
    with refusing(NO_OUTCOME):
        client.post(action_url(make_status("queued").id, "kill"))

    assert Operation.standing().active == 0
    assert runner.take() is None, "no process takes it over"


def test_the_number_that_pages_compare_grows_when_an_action_is_through_and_not_when_it_begins(client: Client, engine: Watched) -> None:
    kill(client, make_status("started", engine="toy"))  # the number of the first one of all is whatever the database gives it
    standing: list[int] = []
    engine._asked = lambda: standing.append(Operation.standing().ended)
    before = Operation.standing().ended

    kill(client, make_status("started", engine="toy"))

    assert standing == [before] and Operation.standing().ended == before + 1


def test_the_list_that_is_kept_open_shows_one_under_way_and_its_end(client: Client, engine: Watched) -> None:
    looks: list[HttpResponse] = []
    address, live = reverse("jobadmin:operations") + "?live=1", {"HX-Request": "true"}
    engine._asked = lambda: looks.append(client.get(address, headers=live))
    first = client.get(address, headers=live)

    kill(client, make_status("started", engine="toy"))
    last = client.get(address, headers={**live, "If-None-Match": looks[0]["ETag"]})

    assert looks[0]["ETag"] != first["ETag"] and "Under way" in looks[0].content.decode()
    assert last.status_code == 200 and "Under way" not in last.content.decode()


def test_who_stopped_an_operation_is_on_record(client: Client) -> None:
    make_status("queued")
    post(client, "kill/?span=all")
    operation = Operation.objects.get()

    client.post(reverse("jobadmin:operation_stop", args=[operation.pk]))
    again = post(client, f"operations/{operation.pk}/stop/")

    assert Operation.objects.get().stopped_by == "marta" and "Stopped by marta before its end." in page_of(client, operation)
    assert again.status_code == 409
    assert [entry.change_message.split(",")[0] for entry in LogEntry.objects.order_by("pk")] == ["Request kill", "Stopped"]
