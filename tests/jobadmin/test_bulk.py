"""Confirming a bulk operation: what is announced, what is asked for, what is refused."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.urls import reverse

import statuses
from jobadmin.models import Operation
from jobadmin.operations import Promise
from jobadmin.verbs import BULK
from statuses.testing import make_status
from tests.jobadmin.engines import toy_engine

pytestmark = pytest.mark.usefixtures("store")

ALL = "span=all"


def url(action: str, query: str = ALL) -> str:
    return f"{reverse('jobadmin:bulk', args=[action])}?{query}"


def promise(page) -> str:
    return re.search(r'name="promise" value="([^"]+)"', page.content.decode())[1]


def confirm(client, action: str, query: str = ALL, **fields):
    """Look at the confirm page and send it."""
    page = client.get(url(action, query))
    return client.post(reverse("jobadmin:bulk", args=[action]), {"promise": promise(page), **fields})


def some(engine: str | None = None, **by_state: int) -> None:
    for state, number in by_state.items():
        for _ in range(number):
            make_status(state, engine=engine)


def test_looking_changes_nothing(browse) -> None:
    some(queued=2, started=1, succeeded=3)

    page = browse().get(url("kill"))

    assert page.status_code == 200
    assert statuses.all().counts()["queued"] == 2
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("step=3", "step cannot be “3”. Expected: the parameter workflow beside it"),
        ("workflow=&step=3", "workflow cannot be “”. Expected: a value: without one it would match everything"),
        ("name=", "name cannot be “”. Expected: a value"),
        ("state=queued&operation=", "operation cannot be “”. Expected: a value"),
        ("by=failed_at&span=all", "by cannot be “failed_at”. Expected: no moment beside span=all"),
        ("upto=2026-01-01T00:00:00Z", "There is no parameter “upto”."),
        ("sate=failed", "There is no parameter “sate”. Did you mean the parameter state?"),
    ],
)
def test_what_would_be_left_aside_asks_about_no_job(browse, query: str, said: str) -> None:
    some(queued=2)

    page = browse().get(url("kill", query))

    assert page.status_code == 400 and said in unescape(page.content.decode())
    assert "promise" not in page.content.decode() and reverse("jobadmin:bulk", args=["kill"]) not in page.content.decode()


def test_where_the_question_is_shown_and_where_one_goes_afterwards_may_stand_beside_the_filter(browse) -> None:
    some(queued=2)

    assert browse().get(url("kill", "state=queued&part=dialog&next=/admin/jobs/list/")).status_code == 200


def test_all_jobs_of_a_list_that_tells_another_moment_can_be_asked_about(browse) -> None:
    some(queued=2)
    client = browse()

    listed = client.get(reverse("jobadmin:list") + "?by=started_at&span=all").content.decode()
    addresses = [unescape(address) for address in re.findall(r'(?:href|data-all-url)="([^"]*/(?:bulk/kill/|export\.csv)[^"]*)"', listed)]

    assert len(addresses) == 3
    for address in addresses:
        assert client.get(address).status_code == 200


def test_the_plan_says_the_effect_by_state_and_adds_up(browse) -> None:
    some(queued=2, started=2, unknown=1, succeeded=3, failed=1)
    statuses.where(state="started").run()[0].request_kill()

    plan = browse().get(url("kill")).context["plan"]

    assert [(line.number, line.title) for line in plan.lines] == [
        (2, "Queued"),
        (1, "Started"),
        (1, "Unknown"),
        (1, "Skipped: asked before"),
        (4, "Skipped: already ended"),
    ]
    assert plan.changes == 4
    assert plan.question == "Request kill for 4 of 9 jobs?"
    assert sum(line.number for line in plan.lines) == plan.total == 9


@pytest.mark.parametrize("action", ["kill", "kill-now"])
@pytest.mark.parametrize(
    ("engines", "said", "never"),
    [
        (["toy"], "Killed jobs can be retried.", "cannot be retried"),
        ([None], "These jobs cannot be retried afterwards: no engine is known that could run them again.", "can be retried"),
        (["gone"], "These jobs cannot be retried afterwards", "can be retried"),
        (
            ["toy", None],
            "Afterwards those can be retried whose engine can run a job again; for others no such engine is known.",
            "These jobs cannot",
        ),
    ],
    ids=["an engine", "none", "one that is not installed", "some"],
)
def test_a_kill_promises_a_retry_only_to_jobs_that_have_an_engine_for_it(browse, action: str, engines: list, said: str, never: str) -> None:
    with toy_engine():
        for engine in engines:
            some(engine, queued=2)
        some("toy", failed=1)  # ended: no kill changes it

        body = browse().get(url(action)).content.decode().split('class="j-dlg__body"')[1]

    assert said in body
    assert never not in body.replace(said, "").split("j-plan")[0]


def test_jobs_that_kill_now_skips_promise_no_retry(browse) -> None:
    with toy_engine() as engine:
        engine.can_kill = False
        some("toy", started=1)
        some(None, queued=1)

        assert "These jobs cannot be retried afterwards" in browse().get(url("kill-now")).content.decode()


def test_the_filter_is_frozen_with_absolute_times(browse) -> None:
    some(queued=1)

    page = browse().get(url("kill", "span=24h&state=queued"))

    kept = Promise.read(promise(page), BULK["kill"])
    assert "from=" in kept.filter and "to=" in kept.filter and "span" not in kept.filter
    assert kept.changes == 1


def test_a_few_jobs_need_no_typing(browse) -> None:
    some(queued=3)

    answer = confirm(browse(), "kill", reason="too slow")

    operation = Operation.objects.get()
    assert answer.status_code == 302 and answer.url == reverse("jobadmin:operation", args=[operation.pk])
    assert (operation.action, operation.announced, operation.state, operation.reason) == ("kill", 3, "waiting", "too slow")
    assert operation.username == "marta" and operation.address == "127.0.0.1"
    assert operation.plan["counts"]["queued"] == 3


@pytest.mark.parametrize("typed", ["", "100", "abc", "1010"])
def test_more_than_a_hundred_need_the_count_typed(browse, typed: str) -> None:
    some(queued=101)

    answer = confirm(browse(), "kill", typed=typed)

    assert answer.status_code == 409
    assert "not the number announced" in answer.content.decode()
    assert not Operation.objects.exists()


@pytest.mark.parametrize("typed", ["1203", "1,203", "1 203", "1.203"])
def test_the_count_may_be_typed_with_separators(browse, typed: str) -> None:
    statuses.load(
        {"state": "queued", "recorded_at": datetime(2026, 1, 1, tzinfo=UTC), "queued_at": datetime(2026, 1, 1, tzinfo=UTC)}
        for _ in range(1203)
    )

    answer = confirm(browse(), "kill", typed=typed)

    assert answer.status_code == 302
    assert Operation.objects.get().announced == 1203


def test_one_job_to_remove_needs_the_count_too(browse) -> None:
    some(failed=1)
    client = browse()

    assert confirm(client, "remove", typed="").status_code == 409
    assert confirm(client, "remove", typed="1").status_code == 302


def test_kill_now_is_always_typed(browse) -> None:
    some(queued=1)
    client = browse()

    assert confirm(client, "kill-now").status_code == 409
    assert confirm(client, "kill-now", typed="1").status_code == 302


def test_selected_rows_are_named_by_id(browse) -> None:
    first, second, _ = make_status("queued"), make_status("queued"), make_status("queued")

    answer = confirm(browse(), "kill", f"span=all&id={first.id}&id={second.id}")

    operation = Operation.objects.get()
    assert answer.status_code == 302
    assert operation.announced == 2 and operation.ids == [first.id, second.id]


def test_more_than_two_hundred_ids_are_refused(browse) -> None:
    ids = "&".join(f"id=a{n}" for n in range(201))

    assert browse().get(url("kill", f"span=all&{ids}")).status_code == 400


def test_a_promise_is_for_one_verb_and_cannot_be_forged(browse) -> None:
    some(queued=1, failed=1)
    client = browse()
    signed = promise(client.get(url("kill")))

    for action, text in (("remove", signed), ("kill", signed[:-2] + "xx"), ("kill", "")):
        answer = client.post(url(action), {"promise": text, "typed": "1"})
        assert answer.status_code == 409
    assert not Operation.objects.exists()


def test_what_ended_meanwhile_is_no_obstacle(browse) -> None:
    some(queued=3)
    client = browse()
    page = client.get(url("kill"))
    statuses.all().first().started().succeeded()

    answer = client.post(url("kill"), {"promise": promise(page)})

    assert answer.status_code == 302
    assert Operation.objects.get().announced == 3


def test_when_nothing_is_left_it_says_so(browse) -> None:
    job = make_status("queued")
    client = browse()
    page = client.get(url("kill"))
    job.started().succeeded()

    answer = client.post(url("kill"), {"promise": promise(page)})

    assert answer.status_code == 409
    assert "Nothing is left to do" in answer.content.decode()


def test_a_confirmation_sent_twice_is_one_operation(browse) -> None:
    some(queued=2)
    client = browse()
    signed = promise(client.get(url("kill")))

    first, second = (client.post(url("kill"), {"promise": signed}) for _ in range(2))

    assert Operation.objects.count() == 1
    assert first.url == second.url == reverse("jobadmin:operation", args=[Operation.objects.get().pk])


def test_of_two_clicks_at_one_moment_the_slower_is_shown_the_operation_of_the_other(browse, monkeypatch) -> None:
    some(queued=2)
    client, meanwhile = browse(), []
    signed = promise(client.get(url("kill")))

    def which(selection):
        if not meanwhile:  # the first has looked and found nothing begun; the second comes before it writes
            meanwhile.append(None)
            meanwhile[0] = client.post(url("kill"), {"promise": signed})
        return "all"

    monkeypatch.setattr("jobadmin.operations.which", which)
    answer = client.post(url("kill"), {"promise": signed})

    assert Operation.objects.count() == 1
    assert answer.url == meanwhile[0].url


def test_two_confirm_pages_of_the_same_jobs_are_two_operations(browse) -> None:
    some(queued=2)
    client = browse()

    pages = [client.get(url("kill")) for _ in range(2)]
    for page in pages:
        client.post(url("kill"), {"promise": promise(page)})

    assert Operation.objects.count() == 2


def test_only_what_loses_something_is_confirmed_in_the_colour_of_danger(browse) -> None:
    client = browse()
    with toy_engine():
        make_status("failed", engine="toy")

        pages = {action: client.get(url(action)).content.decode() for action in ("retry", "remove")}

    looks = {action: re.search(r'<button type="submit" class="j-btn (j-btn--\w+)', page)[1] for action, page in pages.items()}
    assert looks == {"retry": "j-btn--primary", "remove": "j-btn--danger"}
    assert all("optional, kept in the audit trail" in page for page in pages.values())


def test_nothing_to_change_offers_no_button(browse) -> None:
    some(succeeded=2)

    text = browse().get(url("kill")).content.decode()

    assert "changes none of these jobs" in text
    assert 'type="submit" class="j-btn j-btn--danger"' not in text


def test_jobs_that_came_after_the_counting_are_not_promised(browse) -> None:
    some(queued=1)
    page = browse().get(url("kill"))
    kept = Promise.read(promise(page), BULK["kill"])
    make_status("queued")

    parts = BULK["kill"].settled(statuses.all(), kept.at)

    assert sum(part.count() for part in parts) == 1


@pytest.mark.parametrize(
    ("action", "right"), [("kill", "kill_job"), ("kill-now", "kill_job"), ("retry", "retry_job"), ("remove", "remove_job")]
)
def test_each_verb_takes_its_right(browse, action: str, right: str) -> None:
    some(queued=1, failed=1)
    others = {"kill_job", "retry_job", "remove_job"} - {right}
    without, with_it = browse("view_job", *others, name="ines"), browse("view_job", right, name="otto")

    assert without.get(url(action)).status_code == 403
    assert without.post(url(action), {}).status_code == 403
    assert with_it.get(url(action)).status_code == 200


def test_an_anonymous_visitor_is_sent_to_the_login(client, db) -> None:
    assert client.get(url("kill")).url.startswith(reverse("admin:login"))


def test_a_form_without_its_token_is_refused(browse) -> None:
    some(queued=1)
    client = browse(enforce_csrf_checks=True)
    signed = promise(client.get(url("kill")))

    answer = client.post(url("kill"), {"promise": signed})

    assert answer.status_code == 403
    assert not Operation.objects.exists()


def test_an_unknown_verb_is_not_found(browse) -> None:
    assert browse().get(url("explode")).status_code == 404


def test_other_methods_are_refused(browse) -> None:
    assert browse().put(url("kill")).status_code == 405


def test_hostile_text_is_escaped_in_the_question(browse) -> None:
    make_status("queued", job_name="<script>alert(1)</script>")

    text = browse().get(url("kill", "span=all&name=%3Cscript%3Ealert(1)%3C/script%3E")).content.decode()

    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_dialog_gets_the_question_alone(browse) -> None:
    some(queued=1)

    text = browse().get(url("kill"), headers={"HX-Request": "true"}).content.decode()

    assert "<html" not in text and 'hx-target="#j-dialog"' in text


def test_the_dialog_gets_the_progress_after_the_question(browse) -> None:
    some(queued=1)
    client = browse()
    signed = promise(client.get(url("kill")))

    answer = client.post(url("kill"), {"promise": signed}, headers={"HX-Request": "true"})

    text = answer.content.decode()
    assert answer.status_code == 200
    assert "Requesting kill for 1 job" in text
    assert 'id="j-toast"' in text and 'hx-swap-oob="true"' in text


def test_a_store_that_is_away_is_a_page_and_queues_nothing(browse, other_server) -> None:
    client = browse()
    statuses.configure(url=other_server.url, namespace="away")
    make_status("queued")
    signed = promise(client.get(url("kill")))
    other_server.stop()

    assert client.get(url("kill")).status_code == 503
    assert client.post(url("kill"), {"promise": signed}).status_code == 503
    assert not Operation.objects.exists()


def test_an_old_promise_is_asked_again(browse, monkeypatch) -> None:
    some(queued=1)
    client = browse()
    signed = promise(client.get(url("kill")))
    monkeypatch.setattr("jobadmin.operations.PROMISE_LASTS", timedelta(seconds=-1))

    make_status("queued", job_name="another")

    answer = client.post(url("kill"), {"promise": signed})

    assert answer.status_code == 409
    assert "out of date" in answer.content.decode()
    assert answer.context["plan"].total == 1, "the same jobs, no others"


@pytest.mark.parametrize("how", ["cut", "empty", "of another action"])
def test_a_promise_that_cannot_be_read_offers_nothing_in_its_place(browse, how: str) -> None:
    some(queued=2, failed=2)
    client = browse()
    signed = promise(client.get(url("kill", f"id={statuses.where(state='queued').first().id}")))
    sent = {"cut": signed[:-3], "empty": "", "of another action": signed}[how]
    verb = "remove" if how == "of another action" else "kill"

    answer = client.post(reverse("jobadmin:bulk", args=[verb]), {"promise": sent})

    said = answer.content.decode()
    assert answer.status_code == 409 and "Nothing was changed" in said
    assert 'name="promise"' not in said
    assert not Operation.objects.exists() and statuses.where(state="queued").count() == 2


def test_as_many_rows_as_can_be_picked_are_asked_about_in_the_body(browse) -> None:
    some(succeeded=201)
    ids = statuses.all().limit(200).ids()
    client = browse()

    page = client.post(reverse("jobadmin:bulk", args=["remove"]), {"id": ids, "next": "/admin/jobs/list/?per=200"})

    assert page.status_code == 200 and page.context["plan"].question == "Remove 200 jobs?"
    assert page.context["back"] == "/admin/jobs/list/?per=200"
    assert not Operation.objects.exists()
    client.post(reverse("jobadmin:bulk", args=["remove"]), {"promise": promise(page), "typed": "200"})
    assert sorted(Operation.objects.get().ids) == sorted(ids)


def test_without_a_row_picked_nothing_is_asked_and_nothing_done(browse) -> None:
    some(queued=2)

    answer = browse().post(reverse("jobadmin:bulk", args=["kill"]), {"next": "/admin/jobs/list/?state=queued"}, follow=True)

    assert answer.redirect_chain[0][0] == "/admin/jobs/list/?state=queued"
    assert "No job was selected" in answer.content.decode()
    assert statuses.all().counts()["queued"] == 2 and not Operation.objects.exists()


def test_a_picked_id_is_never_taken_for_everything_else(browse) -> None:
    some(queued=2)

    page = browse().post(reverse("jobadmin:bulk", args=["kill"]), {"id": ["-x", "y*"]})

    assert page.context["plan"].total == 0
