"""Kill, retry and remove one job: who may, what happens, what is said and what is written down."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

import statuses
from jobadmin import verbs
from jobadmin.actions import ACTIONS as ACTIONS_BY_SLUG
from jobadmin.formats import clock_short
from jobadmin.models import Operation
from jobadmin.paths import action_url, job_url
from statuses.engines.base import Worker
from statuses.reaper import CONFIRM_SECONDS, Reaper
from statuses.testing import frozen_clock, make_status
from tests.jobadmin.engines import Toy, toy_engine

pytestmark = pytest.mark.usefixtures("store")

ACTIONS = ("kill", "kill-now", "retry", "remove")
RIGHTS = {"kill": "kill_job", "kill-now": "kill_job", "retry": "retry_job", "remove": "remove_job"}


@pytest.fixture
def client(browse: Any) -> Client:
    return browse()


@pytest.fixture
def engine() -> Any:
    with toy_engine() as engine:
        yield engine


def act(client: Client, status: statuses.Status, action: str, **form: str) -> HttpResponse:
    return client.post(action_url(status.id, action), {"confirmed": "yes", **form})


def said(response: HttpResponse) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def test_a_kill_ends_a_queued_job(client: Client) -> None:
    status = make_status("queued")

    response = act(client, status, "kill")

    assert status.reload().is_killed
    assert "Killed: it had not started and never will." in said(response)
    assert Operation.objects.get().by_reason == {"killed": 1}


@pytest.mark.parametrize(
    ("name", "said"), [("toy", "Once killed, it can be retried."), (None, "It cannot be retried afterwards: no engine is known")]
)
def test_the_question_before_a_kill_promises_a_retry_only_where_an_engine_can(
    client: Client, engine: Any, name: str | None, said: str
) -> None:
    status = make_status("started" if name else "queued", engine=name)

    pages = [client.get(job_url(status.id)), client.post(action_url(status.id, "kill-now"))]

    for page in pages:
        text = page.content.decode()
        assert said in text
        assert ("be retried" in text.replace(said, "")) is False


def test_a_kill_that_crosses_the_end_of_the_job_is_recorded_with_that_end(client: Client, engine: Any, monkeypatch: Any) -> None:
    status = make_status("started", engine=engine.name)
    monkeypatch.setattr(engine, "kill", lambda job: statuses.find(job.id).succeeded())

    response = act(client, status, "kill-now")
    page = client.get(job_url(status.id)).content.decode()
    listed = client.get(reverse("jobadmin:operation", args=[Operation.objects.get().pk])).content.decode()

    assert "It has ended already: it succeeded." in said(response)
    assert Operation.objects.get().by_reason == {"ended-succeeded": 1}
    assert "wanted to kill the job at once" in page and "it had ended already: succeeded" in page
    assert "Had ended already: succeeded" in listed


def test_a_kill_asks_a_running_job(client: Client) -> None:
    status = make_status("started")

    response = act(client, status, "kill")

    status.reload()
    assert status.is_started and status.kill_requested and status.kill_requested_by == "marta"
    assert "Asked to stop." in said(response)
    assert Operation.objects.get().by_reason == {"requested": 1}


@pytest.mark.parametrize("action", ["kill", "kill-now"])
def test_a_job_whose_worker_is_gone_is_promised_no_checkpoint_but_told_when_it_is_given_up(
    client: Client, engine: Any, action: str
) -> None:
    engine.refuses = "worker worker-1 does not run it (any more)"
    with frozen_clock() as clock:
        status = make_status("started", engine="toy").heartbeat()
        given_up = status.heartbeat_at + timedelta(seconds=2 * 60 + CONFIRM_SECONDS)
        clock.tick(61)
        Reaper().look()

        response = act(client, status, action)
        page = client.get(job_url(status.id)).content.decode()

    outlook = f"the reaper gives it up as failed, at {clock_short(given_up)} or soon after, unless its engine knows how it ended."
    assert outlook in said(response) and "checkpoint" not in said(response)
    assert outlook in page.partition('id="job-stale"')[2].partition("</div>")[0]


def test_a_job_left_by_a_worker_that_another_of_its_name_has_followed_is_told_so_before_it_is_stale(client: Client, engine: Any) -> None:
    with frozen_clock() as clock:
        status = make_status("started", engine="toy").heartbeat()
        clock.tick(5)
        engine.there = [Worker(name="worker-1", started_at=statuses.server_time())]
        Reaper().look()

        response = act(client, status, "kill")
        page = client.get(job_url(status.id)).content.decode()

    assert "checkpoint" not in said(response) and "gives it up as failed" in said(response)
    assert "No living worker seems to run this job." in page


@pytest.mark.parametrize("running", [True, False])
def test_a_job_that_a_living_worker_runs_ends_at_its_next_checkpoint(client: Client, engine: Any, running: bool) -> None:
    with frozen_clock() as clock:
        status = make_status("started", engine="toy").heartbeat()
        clock.tick(5)
        came_up = statuses.server_time() - timedelta(0 if running else 1)
        engine.there = [Worker(name="worker-1", started_at=came_up, running=[status.id] if running else [])]

        response = act(client, status, "kill")
        page = client.get(job_url(status.id)).content.decode()

    assert "It ends at its next checkpoint" in said(response)
    assert "job-stale" not in page


def test_a_kill_asks_once(client: Client) -> None:
    status = make_status("started")
    act(client, status, "kill")

    response = act(client, status, "kill")

    assert "asked to stop before" in said(response)
    assert [operation.changed for operation in Operation.objects.order_by("pk")] == [1, 0]


@pytest.mark.parametrize(("state", "words"), [("succeeded", "it succeeded"), ("failed", "it failed"), ("killed", "it was killed")])
def test_a_kill_leaves_an_ended_job_alone(client: Client, state: str, words: str) -> None:
    status = make_status(state)

    response = act(client, status, "kill")

    assert str(status.reload().state) == state and not status.kill_requested
    assert words in said(response)


def test_kill_now_asks_first_and_changes_nothing_until_confirmed(client: Client, engine: Toy) -> None:
    status = make_status("started", engine="toy")

    response = client.post(action_url(status.id, "kill-now"))

    assert response.status_code == 200 and b"Kill this job now?" in response.content
    assert not status.reload().kill_requested and engine.killed == [] and not Operation.objects.exists()


def test_kill_now_ends_the_process_and_claims_no_more(client: Client, engine: Toy) -> None:
    status = make_status("started", engine="toy")

    response = act(client, status, "kill-now", reason="stuck")

    assert engine.killed == [status.id]
    assert status.reload().is_started and status.kill_reason == "stuck"
    assert "once the engine says so" in said(response)


def test_kill_now_ends_a_queued_job_by_our_own_word(client: Client) -> None:
    status = make_status("queued", engine="toy")

    act(client, status, "kill-now")

    assert status.reload().is_killed


def test_kill_now_says_why_the_engine_could_not(client: Client, engine: Toy) -> None:
    status = make_status("started", engine="toy")
    engine.refuses = "the worker does not answer"

    response = act(client, status, "kill-now")

    assert "the worker does not answer" in said(response)
    assert Operation.objects.get().state == Operation.State.FAILED


def test_kill_now_is_refused_before_it_asks_where_the_worker_cannot(client: Client, engine: Toy) -> None:
    engine.there = [Worker(name="threads@host", refuses={"kill": "it runs jobs in threads"}), Worker(name="prefork@host")]
    cannot, can, elsewhere = (make_status("queued", engine="toy").started(name) for name in ("threads@host", "prefork@host", "gone@host"))

    response = client.post(action_url(cannot.id, "kill-now"))

    assert "Its worker cannot end it: it runs jobs in threads. It can be asked to stop." in said(response)
    assert not cannot.reload().kill_requested and engine.killed == []
    for status in (can, elsewhere):
        act(client, status, "kill-now")
    assert engine.killed == [can.id, elsewhere.id]


def test_workers_that_cannot_be_read_refuse_nothing(client: Client, engine: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.there = [Worker(name="w@host", refuses={"kill": "it runs jobs in threads"})]
    monkeypatch.setattr(engine, "workers", lambda: 1 / 0)
    status = make_status("queued", engine="toy").started("w@host")

    act(client, status, "kill-now")

    assert engine.killed == [status.id]


def test_kill_now_is_refused_where_no_engine_can(client: Client) -> None:
    response = act(client, make_status("started"), "kill-now")

    assert "No engine is known" in said(response)


def test_a_retry_sends_the_call_again(client: Client, engine: Toy) -> None:
    status = make_status("failed", engine="toy", error="x")

    response = act(client, status, "retry")

    assert engine.retried == [status.id]
    assert status.reload().is_queued and status.attempt == 1
    assert "Sent again, as attempt 2." in said(response)


def test_a_retry_of_a_running_job_is_refused(client: Client, engine: Toy) -> None:
    response = act(client, make_status("started", engine="toy"), "retry")

    assert "Still running." in said(response) and engine.retried == []


@pytest.mark.parametrize("many", [False, True])
def test_an_unknown_job_is_sent_again_alone_and_among_many(client: Client, engine: Toy, many: bool) -> None:
    status = make_status("unknown", engine="toy")

    if many:
        assert statuses.all().retry_all().changed == 1
    else:
        assert "Sent again" in said(act(client, status, "retry"))

    assert engine.retried == [status.id]
    assert status.reload().is_queued
    assert statuses.State.unknown in verbs.RETRY.states


def test_a_retry_says_why_the_engine_could_not(client: Client, engine: Toy) -> None:
    engine.refuses = "its call was not recorded"

    response = act(client, make_status("failed", engine="toy"), "retry")

    assert "its call was not recorded" in said(response)


def test_remove_asks_first(client: Client) -> None:
    status = make_status("succeeded")

    response = client.post(action_url(status.id, "remove"), {"next": "/admin/jobs/list/?state=failed"})

    assert b"Remove this job?" in response.content and statuses.find(status.id) is not None
    assert b"/admin/jobs/list/?state=failed" in response.content


def test_a_removed_job_is_gone_and_can_be_taken_back(client: Client) -> None:
    status = make_status("failed")

    response = act(client, status, "remove", reason="noise")

    operation = Operation.objects.get()
    assert statuses.find(status.id) is None
    assert response.url == reverse("jobadmin:list")
    assert reverse("jobadmin:operation", args=[operation.pk]) in said(response)
    assert operation.undo_token and operation.undo_until > operation.ended_at
    assert statuses.restore(operation.undo_token).changed == 1 and statuses.find(status.id) is not None


def test_a_job_that_runs_is_not_removed(client: Client) -> None:
    status = make_status("started")

    response = act(client, status, "remove")

    assert statuses.find(status.id) is not None and "Still running." in said(response)


def test_one_goes_back_to_the_lists_filter(client: Client) -> None:
    response = act(client, make_status("started"), "kill", next="/admin/jobs/list/?state=started&span=24h")

    assert response.url == "/admin/jobs/list/?state=started&span=24h"


def test_among_other_jobs_the_one_that_was_acted_on_is_named(client: Client, engine: Toy) -> None:
    asked, removed = make_status("started", job_name="<plan>.rebuild"), make_status("failed", job_name="mail.send")

    on_list = said(act(client, asked, "kill", next="/admin/jobs/list/?span=24h"))
    gone = said(act(client, removed, "remove", next="/admin/jobs/list/?span=24h"))

    assert f'<a href="{job_url(asked.id)}">&lt;plan&gt;.rebuild</a>: Asked to stop.' in on_list
    assert "<span>mail.send</span>: Removed." in gone, "no first letter that the admin would write large"
    on_page = said(act(client, asked, "kill", next=f"{job_url(asked.id)}?attempt=0"))
    assert on_page.count("rebuild") == on_list.count("rebuild"), "its own page has its name"


def test_that_it_was_asked_to_stop_is_not_said_beside_how_it_ended(client: Client) -> None:
    ended, running = make_status("started"), make_status("started")
    act(client, ended, "kill")
    ended.killed()

    page = client.get(job_url(ended.id)).content.decode()
    act(client, running, "kill")
    other = client.get(job_url(running.id)).content.decode()

    assert "Asked to stop." not in page and "Kill requested" in page, "its timeline has it"
    assert "Asked to stop." in other


def test_one_never_goes_back_to_another_site(client: Client) -> None:
    status = make_status("started")

    assert act(client, status, "kill", next="https://evil.example/").url == job_url(status.id)


def test_nobody_is_sent_to_the_page_of_a_job_that_is_gone(client: Client) -> None:
    status = make_status("failed")

    assert act(client, status, "remove", next=f"{job_url(status.id)}?attempt=0").url == reverse("jobadmin:list")


def test_every_action_is_written_down(client: Client) -> None:
    status = make_status("started")

    act(client, status, "kill", reason="Wrong start date")

    operation, entry = Operation.objects.get(), LogEntry.objects.get()
    assert (operation.action, operation.username, operation.address, operation.reason) == ("kill", "marta", "127.0.0.1", "Wrong start date")
    assert operation.ids == [status.id] and operation.is_over
    assert entry.object_id == status.id and entry.user.get_username() == "marta"


def test_a_removal_is_a_deletion_in_djangos_log(client: Client) -> None:
    act(client, make_status("failed"), "remove")

    assert LogEntry.objects.get().action_flag == DELETION


def test_the_trail_shows_who_asked_and_from_where(client: Client) -> None:
    status = make_status("started")
    act(client, status, "kill")

    page = client.get(job_url(status.id)).content.decode()

    assert "requested a kill" in page and "from 127.0.0.1" in page


@pytest.mark.parametrize("action", ACTIONS)
def test_looking_at_an_action_is_not_allowed(client: Client, action: str) -> None:
    status = make_status("queued")

    assert client.get(action_url(status.id, action)).status_code == 405
    assert status.reload().is_queued


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_needs_its_right(browse: Any, action: str) -> None:
    others = {"view_job", *RIGHTS.values()} - {RIGHTS[action]}
    status = make_status("failed" if action in ("retry", "remove") else "queued", engine="toy")

    response = act(browse(*others), status, action)

    assert response.status_code == 403
    assert status.reload().attempt == 0 and not status.kill_requested and not Operation.objects.exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_needs_the_right_to_look(browse: Any, action: str) -> None:
    assert act(browse(RIGHTS[action]), make_status("failed"), action).status_code == 403


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_needs_somebody_signed_in(action: str) -> None:
    response = act(Client(), make_status("failed"), action)

    assert response.status_code == 302 and "/login/" in response.url


@pytest.mark.parametrize("action", ACTIONS)
def test_a_form_from_elsewhere_is_refused(browse: Any, action: str) -> None:
    status = make_status("queued")

    response = act(browse(enforce_csrf_checks=True), status, action)

    assert response.status_code == 403 and status.reload().is_queued


def test_an_action_nobody_knows_is_not_found(client: Client) -> None:
    assert act(client, make_status(), "explode").status_code == 404


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_on_a_job_that_is_gone_is_not_found(client: Client, action: str) -> None:
    assert client.post(action_url("no-such-job", action), {"confirmed": "yes"}).status_code == 404


def test_nothing_can_be_done_to_an_earlier_attempt(client: Client) -> None:
    status = make_status("failed").requeued()

    assert client.post(action_url(f"{status.id}:0", "remove"), {"confirmed": "yes"}).status_code == 404


def test_a_hostile_reason_stays_text(client: Client) -> None:
    status = make_status("started")
    act(client, status, "kill", reason="<script>alert(1)</script>")

    assert "<script>alert(1)" not in client.get(job_url(status.id)).content.decode()


def test_what_speaks_against_an_action_depends_on_state_engine_worker_and_kill_request_alone(engine: Any) -> None:
    for state in ("unqueued", "queued", "started", "succeeded", "failed", "killed", "unknown"):
        for name in (None, engine.name):
            plain = make_status(state, engine=name)
            other = make_status(state, engine=name, job_name="mail.send", queue="bulk", user="marta", job_args={"book": "Book:53"})
            for action in ACTIONS_BY_SLUG.values():
                assert action.why_not(plain) == action.why_not(other)


def test_rows_of_different_workers_do_not_share_what_speaks_against_an_action(client: Client, engine: Toy) -> None:
    engine.there = [Worker(name="threads@host", refuses={"kill": "it runs jobs in threads"}), Worker(name="prefork@host")]
    cannot, can = (make_status("queued", engine="toy").started(name) for name in ("threads@host", "prefork@host"))

    page = client.get(reverse("jobadmin:list")).content.decode()

    rows = {job.id: page.split(f'id="job-{job.id}"', 1)[1].split("</tr>", 1)[0] for job in (cannot, can)}
    assert "it runs jobs in threads" in rows[cannot.id]
    assert "it runs jobs in threads" not in rows[can.id]
    assert action_url(can.id, "kill-now") in rows[can.id] and action_url(cannot.id, "kill-now") not in rows[cannot.id]


@pytest.mark.parametrize("page", ["job", "list"])
def test_a_second_click_on_retry_sends_nothing_even_where_the_job_failed_again_meanwhile(client: Client, engine: Any, page: str) -> None:
    status = make_status("failed", engine=engine.name)
    shown = client.get(job_url(status.id) if page == "job" else reverse("jobadmin:list")).content.decode()
    attempt = re.search(r'name="attempt" value="(\d+)"', shown)[1]

    act(client, status, "retry", attempt=attempt)
    status.reload().started().failed()
    second = act(client, status, "retry", attempt=attempt)

    assert engine.retried == [status.id]
    assert "It was sent again already" in said(second)
    assert [operation.changed for operation in Operation.objects.order_by("pk")] == [1, 0]
