"""The page of one job tells everything about it, to those who may look, and nothing it should not."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

import statuses
from jobadmin import family
from jobadmin.formats import BREAK
from jobadmin.paths import job_url
from jobadmin.redaction import Redactor
from statuses.engines.base import Worker
from statuses.store import Store
from statuses.testing import frozen_clock, make_status
from tests.jobadmin.engines import Toy, toy_engine

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>{{ 7*7 }}\u202e'
SECRET = "hunter2hunter2"

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def client(browse: Any) -> Client:
    return browse()


@pytest.fixture
def engine() -> Any:
    with toy_engine() as engine:
        yield engine


def html_of(client: Client, status: statuses.Status, query: str = "") -> str:
    response = client.get(job_url(status.id) + query)
    assert response.status_code == 200, response.content
    return response.content.decode()


def words_of(client: Client, status: statuses.Status, query: str = "") -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html_of(client, status, query))).split())


def panel(html: str, name: str) -> str:
    """The part of the page with this id, up to the next live part."""
    found = re.search(rf'id="{name}"(.*?)(?=<(?:section|header|dialog)\b|\Z)', html, re.DOTALL)
    assert found, f"no panel {name}"
    return found[1]


def test_the_head_says_what_whose_and_where(client: Client) -> None:
    parent = make_status("started", job_name="planning.nightly")
    status = parent.spawn("planning.plan", job_args={"plan": "TaskPlan:42", "books": ["Book:53", "Book:54"]}, user="marta", queue="bulk")

    head = panel(html_of(client, status), "job-head")

    for text in (f"planning.{BREAK}plan", status.id, "TaskPlan:42", "Book:53", "Book:54", "marta", "bulk", "planning.nightly", "Unqueued"):
        assert text in head
    assert f'href="{job_url(parent.id)}"' in head


def test_every_timestamp_stands_on_the_timeline_with_its_gap(client: Client) -> None:
    with frozen_clock() as clock:
        status = statuses.create(job_name="a.b")
        clock.tick(1.5)
        status.queued()
        clock.tick(60)
        status.started(worker="w-7")
        clock.tick(2)
        status.request_kill(by="olu")
        clock.tick(3)
        status.killed()

        line = panel(html_of(client, status), "job-timeline")

    for text in ("Created", "12:00:00.000", "1.50 s", "Queued", "12:00:01.500", "1 min 00 s", "Started", "12:01:01.500", "w-7", "2.00 s",
                 "Kill requested", "olu", "12:01:03.500", "3.00 s", "Killed", "12:01:06.500"):  # fmt: skip
        assert text in line


def three_attempts() -> statuses.Status:
    status = make_status("started", error="first went wrong")
    status.failed().requeued().started()
    status.add_error("second went wrong")
    return status.failed().requeued().started()


def test_attempts_are_plain_links_the_newest_first(client: Client) -> None:
    html = html_of(client, three_attempts())

    assert re.findall(r'href="(\?attempt=\d)"', html) == ["?attempt=2", "?attempt=1", "?attempt=0"]
    assert re.findall(r'aria-selected="(\w+)"', html) == ["true", "false", "false"]


def test_an_earlier_attempt_can_be_looked_at(client: Client) -> None:
    words = words_of(client, three_attempts(), "?attempt=0")

    assert "Attempt 1 of 3" in words


def test_errors_of_all_attempts_are_listed_newest_first(client: Client) -> None:
    words = words_of(client, three_attempts())

    assert words.index("second went wrong") < words.index("first went wrong")
    assert "2, from earlier attempts" in words


def test_an_attempts_id_leads_to_its_jobs_page(client: Client) -> None:
    status = three_attempts()

    response = client.get(job_url(f"{status.id}:1"))

    assert response.status_code == 302 and response.url == f"{job_url(status.id)}?attempt=1"


@pytest.mark.parametrize("number", ["3", "99999999999"])
def test_an_attempt_that_never_was_is_not_found(client: Client, number: str) -> None:
    assert client.get(job_url(f"{three_attempts().id}:{number}")).status_code == 404


@pytest.mark.parametrize("value", ["3", "-1", "x", "", "²", "1.5", "9" * 40])
def test_an_attempt_nobody_can_read_is_a_bad_request(client: Client, value: str) -> None:
    response = client.get(job_url(three_attempts().id), {"attempt": value})

    assert response.status_code == 400
    assert b"from 0 to 2" in response.content


def test_foreign_frames_of_an_error_are_folded(client: Client) -> None:
    text = ('Traceback (most recent call last):\n  File "/v/site-packages/celery/app/trace.py", line 1, in trace\n    fun()\n'
            '  File "/srv/tasks.py", line 2, in rebuild\n    boom()\nValueError: it broke')  # fmt: skip
    status = make_status("started", error={"class": "ValueError", "message": "it broke", "traceback": text, "frames": []})

    errors = panel(html_of(client, status.failed()), "job-errors")

    assert '<details class="j-fold">' in errors and "1 frame inside celery" in errors
    assert '<span class="hot">boom()</span>' in errors


def test_an_error_links_to_the_other_jobs_that_have_it(client: Client) -> None:
    for _ in range(3):
        make_status("failed", error="disk 7 is full")

    words = words_of(client, make_status("failed", error="disk 9 is full"))

    assert "Show the 3 other jobs with" in words


def test_secrets_appear_nowhere_on_the_page(client: Client) -> None:
    status = make_status(
        "started", job_args={"password": f"Vault:{SECRET}", "url": f"Url:https://u:{SECRET}@host/"},
        error=f"login failed: password={SECRET}",
        call={"args": [f"Bearer {SECRET}"], "kwargs": {"api_key": SECRET, "nested": [{"token": SECRET}]}},
    )  # fmt: skip
    status.save({"cookie": SECRET, "deep": [[{"authorization": SECRET}]]}).set_progress(0.5, message=f"token={SECRET}")
    status.request_kill(by="olu", reason=f"secret: {SECRET}")

    for query in ("", "?part=call", "?part=data", "?part=errors", "?live="):
        assert SECRET not in client.get(job_url(status.id) + query).content.decode()


def test_nothing_a_job_carries_becomes_markup(client: Client) -> None:
    status = statuses.create(
        id=f"<b>'{HOSTILE[:60]}", job_name=HOSTILE, queue=HOSTILE, user=HOSTILE, provider_job_id=HOSTILE, job_args={HOSTILE: HOSTILE},
        call={"args": [HOSTILE], "kwargs": {HOSTILE: HOSTILE}}, depends_on=[HOSTILE], engine="<i>",
    )  # fmt: skip
    status.started(worker=HOSTILE).save({HOSTILE: [HOSTILE]}).set_progress(1, 3, message=HOSTILE)
    status.add_error(HOSTILE)
    status.add_error({"class": HOSTILE, "message": HOSTILE, "traceback": HOSTILE, "frames": [{"file": HOSTILE, "line": 1}]})
    status.request_kill(by=HOSTILE, reason=HOSTILE)
    status.spawn(HOSTILE, job_args={HOSTILE: HOSTILE}).started()

    html = html_of(client, status)

    assert "<img src=x" not in html and "<script>alert" not in html and "<b>'" not in html
    assert "{{ 7*7 }}" in html


def test_huge_data_is_cut_and_can_be_had_whole(client: Client) -> None:
    status = make_status("started")
    status.save({"rows": [{"n": n, "text": "lorem " * 20} for n in range(5000)]})

    html = html_of(client, status)
    whole = client.get(job_url(status.id), {"part": "data"}).json()

    assert len(html) < 250_000 and "Show all of it" in html
    assert len(whole["rows"]) == 5000


def test_a_megabyte_is_read_as_far_as_it_is_shown(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    status = make_status("started", call={"args": ["x" * 300_000], "kwargs": {}})
    status.save({"rows": [{"number": number, "text": "lorem ipsum " * 6, "token": SECRET} for number in range(8_000)]}).succeeded()
    read: list[int] = []
    text = Redactor.text
    monkeypatch.setattr(Redactor, "text", lambda self, given: read.append(len(given)) or text(self, given))

    html = html_of(client, status)

    assert SECRET not in html and "(300,000 characters)" in html
    assert "?part=call" in html and "part=data" in html
    assert len(html) < 150_000 and sum(read) < 100_000
    assert client.get(job_url(status.id) + "?part=data").json()["rows"][7_999] == {
        "number": 7_999, "text": "lorem ipsum " * 6, "token": "[redacted]",
    }  # fmt: skip


def test_a_traceback_of_20000_lines_is_cut_and_its_cut_hides_no_half_of_a_secret(client: Client) -> None:
    key = ["-----BEGIN RSA PRIVATE KEY-----", *(f"{SECRET}{number}" for number in range(26)), "-----END RSA PRIVATE KEY-----"]
    lines = ["Traceback (most recent call last):", *('  File "/srv/a.py", line 3, in f' for _ in range(20_000))]
    for place in (140, len(lines) - 350 - 13):  # across both edges of what is left out
        lines[place : place + len(key)] = key
    status = make_status("started").add_error({"class": "ValueError", "message": "x", "traceback": "\n".join(lines)}).failed()

    html = html_of(client, status)

    assert SECRET not in html
    assert f"… {len(lines) - 500} lines left out …" in html and "part=errors" in html
    assert len(html) < 250_000


def test_a_part_that_does_not_exist_is_a_bad_request(client: Client) -> None:
    assert client.get(job_url(make_status().id), {"part": "passwords"}).status_code == 400


def test_children_are_summed_up_and_listed(client: Client) -> None:
    parent = make_status("started")
    for state in ("succeeded", "succeeded", "failed", "queued"):
        child = parent.spawn("planning.chapter", job_args={"c": f"Chapter:{state}"})
        if state != "queued":
            getattr(child.queued().started(), state)()
        else:
            child.queued()

    html = html_of(client, parent)

    children = panel(html, "children")
    assert "3 of 4 ended" in children and 'aria-label="2 succeeded, 1 failed, 1 queued"' in children
    assert children.count('<tr role="row" id="child-') == 4
    assert "?children=failed#children" in children


def test_children_can_be_narrowed_to_a_state_and_paged(client: Client) -> None:
    parent = make_status("started")
    statuses.load({"parent": parent.id, "job_name": "c", "state": "failed" if n % 2 else "queued"} for n in range(230))

    some = panel(html_of(client, parent), "children")
    failed = panel(html_of(client, parent, "?children=failed"), "children")
    last = panel(html_of(client, parent, "?children=all&page=3"), "children")

    assert some.count('id="child-') == 20 and "Show all 230" in some
    assert failed.count('id="child-') == 100 and "100 of 115 shown" in failed
    assert last.count('id="child-') == 30 and ">Previous<" in last and ">Next<" not in last


def test_of_many_children_those_that_failed_come_first_then_what_runs_and_what_waits_and_each_from_the_newest(client: Client) -> None:
    parent = make_status("started")
    told = ["succeeded"] * 150
    for state, places in {
        "failed": (3, 90),
        "started": (2, 140),
        "queued": (7,),
        "unqueued": (8,),
        "killed": (5,),
        "unknown": (6,),
    }.items():
        for place in places:
            told[place] = state
    statuses.load({"id": f"{n:03}", "parent": parent.id, "job_name": "c", "state": state} for n, state in enumerate(told))

    def listed(query: str = "") -> list[str]:
        return re.findall(r'id="child-(\d+)"', panel(html_of(client, parent, query), "children"))

    rest = [f"{n:03}" for n in reversed(range(150)) if told[n] in ("succeeded", "killed", "unknown")]
    every = ["090", "003", "140", "002", "008", "007", *rest]
    assert listed() == every[:20]
    assert [*listed("?children=all"), *listed("?children=all&page=2")] == every
    assert listed("?children=failed") == ["090", "003"]
    html = panel(html_of(client, parent), "children")
    assert (
        "20 of 150 shown, what failed first, then what runs and what waits" in html and 'href="?children=all#children">Show all 150' in html
    )


def test_the_children_on_a_page_cost_a_few_reads_however_many_there_are(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = make_status("started")
    asked: list[Any] = []
    pipeline = Store.pipeline

    def watched(self: Store, commands: Any, **options: Any) -> Any:
        commands = list(commands)
        asked.extend(commands)
        return pipeline(self, commands, **options)

    def commands() -> int:
        asked.clear()
        counts = parent.children.counts()
        found = family.children(parent.children, counts, 0.5, wanted="", page=1, first=20, params=QueryDict())
        assert len(found.jobs) == 20
        return len(asked)

    monkeypatch.setattr(Store, "pipeline", watched)
    states = ("failed", "started", "queued", "succeeded")
    statuses.load({"parent": parent.id, "state": state} for state in states for _ in range(5))
    few = commands()
    statuses.load({"parent": parent.id, "state": "succeeded"} for _ in range(3000))

    assert 0 < commands() <= few


@pytest.mark.parametrize("query", ["?children=nope", "?children=all&page=x", "?children=all&page=-1"])
def test_children_nobody_can_read_are_a_bad_request(client: Client, query: str) -> None:
    parent = make_status("started")
    parent.spawn("c")

    assert client.get(job_url(parent.id) + query).status_code == 400


def test_the_jobs_of_five_resources_are_counted_in_as_many_round_trips_as_those_of_one(client: Client, round_trips: list[Any]) -> None:
    def trips(*resources: str) -> int:
        status = make_status("started", job_name="a.b", job_args={"books": resources})
        html_of(client, status)
        round_trips.clear()
        html_of(client, status)
        return len(round_trips)

    assert trips("Book:1", "Book:2", "Book:3", "Book:4", "Book:5") == trips("Book:6")


def test_related_jobs_are_counted_and_linked(client: Client) -> None:
    for _ in range(3):
        make_status("succeeded", job_name="a.b", job_args={"b": "Book:1"})
    make_status("succeeded", job_name="c.d", job_args={"b": "Book:1"})

    related = panel(html_of(client, make_status("started", job_name="a.b", job_args={"b": "Book:1"})), "job-related")

    assert "All 5" in related and "All 4" in related
    assert "resource=Book%3A1&amp;span=all" in related and "name=a.b&amp;span=all" in related


def test_a_job_that_is_alone_with_its_name_and_resource_leads_to_no_list_of_one(client: Client) -> None:
    make_status("succeeded", job_name="c.d", job_args={"b": "Book:2"})

    related = panel(html_of(client, make_status("started", job_name="a.b", job_args={"b": ["Book:1", "Book:2"]})), "job-related")

    assert related.count("No other job") == 2
    assert "All 1" not in related
    assert re.sub(r"<[^>]*>", "", related.partition("j-related__all")[2].partition("</p>")[0]).endswith('">Book:2 2')


def test_a_waiting_job_says_what_stands_before_it(client: Client) -> None:
    with frozen_clock() as clock:
        for _ in range(3):
            make_status("queued", queue="bulk")
            clock.tick()
        for _ in range(6):
            make_status("succeeded", queue="bulk")
        make_status("started", queue="bulk")
        status = make_status("queued", queue="bulk")

        words = words_of(client, status)

    assert "3 jobs stand before it in bulk" in words
    assert "1 runs now , on 1 worker" in words


def test_when_its_turn_comes_is_a_guess_and_told_in_one_unit(client: Client) -> None:
    with frozen_clock() as clock:
        for _ in range(7):
            make_status("succeeded", queue="bulk")
            clock.tick(timedelta(minutes=1))
        for _ in range(3):
            make_status("queued", queue="bulk")

        words = words_of(client, make_status("queued", queue="bulk"))

    assert re.search(r"its turn comes in about [\d.]+ min\.", words)


def test_a_job_that_waits_for_others_says_so(client: Client) -> None:
    done = make_status("succeeded", job_name="first.done")
    open_ = make_status("started", job_name="first.open", provider_job_id="engine-id-7")

    words = words_of(client, make_status("queued", depends_on=[done.id, "engine-id-7", "gone"]))

    assert "It waits for 1 other job to end" in words
    assert "first.done" in words and "first.open" in words and open_.id


def test_engine_facts_are_shown(client: Client, engine: Toy) -> None:
    status = make_status("started", engine="toy", provider_job_id="3f6a2c10").heartbeat()

    facts = panel(html_of(client, status), "job-engine")

    for text in ("Toy", "3f6a2c10", "worker-1", "Heartbeat", "Kept until"):
        assert text in facts
    assert "not installed" not in facts


def test_a_silent_job_is_marked_stale(client: Client) -> None:
    with frozen_clock() as clock:
        status = make_status("started").heartbeat()
        clock.tick(timedelta(minutes=5))

        assert "This job has shown no sign of life for a while." in words_of(client, status)


def test_the_trail_tells_what_people_and_the_job_did(client: Client) -> None:
    status = make_status("started", user="rita")
    status.request_kill(by="olu", reason="Wrong start date").killed()
    status.requeued().started()

    words = panel_words(client, status, "job-audit")

    for text in ("rita created the job", "olu requested a kill", "Wrong start date", "Attempt 1 was killed", "after the request",
                 "Automatic retry"):  # fmt: skip
        assert text in words


def panel_words(client: Client, status: statuses.Status, name: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", panel(html_of(client, status), name))).split())


# What one may do, and what is possible now


def test_what_is_not_possible_now_stays_and_says_why(client: Client, engine: Toy) -> None:
    html = html_of(client, make_status("started", engine="toy"))

    assert re.search(r'id="act-retry" aria-disabled="true" aria-describedby="why-retry"', html)
    assert "Still running. Retry is possible once it has ended." in html
    assert "Still running. It can be removed once it has ended." in html
    assert 'id="act-kill" aria-disabled' not in html and 'id="act-kill-now" aria-disabled' not in html


def test_kill_now_is_there_but_disabled_where_the_worker_cannot(client: Client, engine: Toy) -> None:
    engine.there = [Worker(name="threads@host", refuses={"kill": "it runs jobs in threads"})]

    html = html_of(client, make_status("queued", engine="toy").started("threads@host"))

    assert 'id="act-kill-now" aria-disabled="true"' in html and 'id="act-kill" aria-disabled' not in html
    assert "Its worker cannot end it: it runs jobs in threads. It can be asked to stop." in html


def test_an_engine_that_cannot_says_so(client: Client) -> None:
    html = html_of(client, make_status("started", engine="elsewhere"))

    assert "No engine is known that could end its process." in html


@pytest.mark.parametrize(
    ("rights", "shown"),
    [
        (("view_job",), set()), (("view_job", "kill_job"), {"kill", "kill-now"}), (("view_job", "retry_job"), {"retry"}),
        (("view_job", "remove_job"), {"remove"}),
    ],
)  # fmt: skip
def test_what_is_not_permitted_is_absent(browse: Any, rights: tuple[str, ...], shown: set[str]) -> None:
    html = html_of(browse(*rights), make_status("started"))

    assert set(re.findall(r'id="act-([\w-]+)"', html)) == shown


def test_only_staff_with_the_right_see_a_job(browse: Any, person: Any) -> None:
    address = job_url(make_status().id)

    nobody = Client().get(address)
    without = browse("kill_job", name="kim").get(address)
    customer = Client()
    customer.force_login(person("view_job", name="customer", staff=False))

    assert nobody.status_code == 302 and "/login/" in nobody.url
    assert without.status_code == 403
    assert customer.get(address).status_code == 403


def test_a_job_that_is_gone_is_not_found(client: Client) -> None:
    status = make_status("succeeded")
    status.delete()

    response = client.get(job_url(status.id))

    assert response.status_code == 404
    assert b"This job does not exist" in response.content and b"Traceback" not in response.content


def test_the_page_is_only_read(client: Client) -> None:
    address = job_url(make_status().id)

    assert client.head(address).status_code == 200
    assert client.post(address).status_code == 405


# Live


def version(html: str) -> str:
    return re.search(r'data-version="([^"]+)"', html)[1]


def test_an_unchanged_page_answers_with_nothing(client: Client) -> None:
    status = make_status("started")
    seen = version(html_of(client, status))

    response = client.get(job_url(status.id), {"live": seen})

    assert response.status_code == 204 and not response.content


@pytest.mark.parametrize(
    "change",
    [
        lambda job: job.set_progress(0.4), lambda job: job.save({"a": 1}), lambda job: job.add_error("x"), lambda job: job.heartbeat(),
        lambda job: job.request_kill(), lambda job: job.succeeded(), lambda job: job.started(), lambda job: job.spawn("child"),
    ],
)  # fmt: skip
def test_any_change_brings_the_inside_of_the_page(client: Client, change: Any) -> None:
    status = make_status("started")
    seen = version(html_of(client, status))
    change(status)

    response = client.get(job_url(status.id), {"live": seen})

    assert response.status_code == 200
    assert b"<html" not in response.content and b'id="job-head"' in response.content
    assert version(response.content.decode()) != seen


def test_looking_again_stops_when_nothing_can_change_any_more(client: Client) -> None:
    running, ended, parent = make_status("started"), make_status("succeeded"), make_status("started")
    parent.spawn("child").queued()
    parent.succeeded()

    assert "data-seconds" in html_of(client, running)
    assert "data-seconds" not in html_of(client, ended)
    assert "data-seconds" in html_of(client, parent)


@pytest.mark.parametrize("state", ["failed", "killed"])
def test_a_job_that_may_run_again_is_looked_at_now_and_then(client: Client, state: str) -> None:
    assert 'data-seconds="30"' in html_of(client, make_status(state))


def test_no_style_or_script_stands_in_the_page(client: Client) -> None:
    html = html_of(client, three_attempts())

    assert not re.search(r'\sstyle="|<style|\son\w+="', html)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", html) if "application/json" not in tag)


def test_a_job_of_many_attempts_shows_the_newest_and_any_that_is_asked_for(client: Client) -> None:
    status = make_status("started")
    for _ in range(60):
        status.failed().requeued().started()

    html = html_of(client, status)
    first = words_of(client, status, "?attempt=0")

    assert html.count('role="tab"') == 12 and "49 earlier attempts have no tab" in html
    assert "Attempt 1 of 61" in first


def test_the_numbers_of_very_many_attempts_are_written_as_the_list_writes_them(client: Client) -> None:
    status = make_status("failed", error="late")
    for _ in range(1100):
        status.requeued().failed(error="late")

    text = words_of(client, status, "?attempt=1050")

    assert "Attempt 1,051 of 1,101" in text
    assert "1,089 earlier attempts have no tab" in text
    assert not re.search(r"(?i)attempt 1\d\d\d", text)


def test_any_of_many_attempts_is_a_few_links_away(client: Client) -> None:
    status = make_status("started")
    for _ in range(360):
        status.failed().requeued().started()

    def leads(query: str = "") -> list[int]:
        rest = re.search(r"j-attempts__rest.*?</p>", html_of(client, status, query), re.DOTALL)
        assert rest is not None
        return [int(number) for number in re.findall(r"attempt=(\d+)", rest[0])]

    assert leads() == [348, 339, 249, 0]
    assert leads("?attempt=249") == [349, 348, 339, 259, 250, 248, 239, 149, 0]
    assert leads("?attempt=1") == [349, 348, 339, 249, 101, 11, 2, 0]


@pytest.mark.parametrize(("query", "of_two"), [("", ""), ("?attempt=3", "?attempt=0")])
def test_many_attempts_are_as_many_round_trips_as_two(client: Client, round_trips: list[Any], query: str, of_two: str) -> None:
    def trips(status: statuses.Status, query: str) -> int:
        html_of(client, status)  # so that names of workers and of what went wrong are known
        round_trips.clear()
        html_of(client, status, query)
        return len(round_trips)

    few, many = (make_status("started", error="went wrong").failed().requeued().started() for _ in range(2))
    for number in range(60):
        many.add_error(f"went wrong {number}")
        many.failed().requeued().started(worker=f"w{number}")

    assert trips(many, query) == trips(few, of_two)


def test_earlier_attempts_are_not_read_where_only_the_present_one_is_asked_for(client: Client, round_trips: list[Any]) -> None:
    status = three_attempts().save({"rows": 1})

    said = client.get(job_url(status.id), {"part": "data"}).json()

    assert said == {"rows": 1}
    assert not [sent for sent in round_trips if b"HGETALL" in b"".join(sent)]
