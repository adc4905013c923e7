"""A bulk operation over a filter names no jobs, and yet the page of each says who did what to it, why, and in which operation."""

import re
from datetime import timedelta
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from jobadmin import audit, runner
from jobadmin.models import Operation
from jobadmin.paths import job_url
from statuses import EngineCannot, Status
from statuses.testing import frozen_clock, make_status

from .engines import toy_engine
from .test_bulk import confirm

pytestmark = pytest.mark.usefixtures("store")


def carry_out(client: Client, action: str, query: str, **fields: Any) -> Operation:
    confirm(client, action, query, **fields)
    runner.run_pending()
    return Operation.objects.latest("pk")


def trail_of(client: Client, status: Status) -> str:
    html = client.get(job_url(status.id)).content.decode()
    return html.partition('id="job-audit"')[2].partition("</section>")[0]


def words_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.mark.parametrize(
    "query",
    ["span=all", "span=all&state=failed&name=tests.*&queue=bulk", "span=24h&by=failed_at&state=ended&flag=-stale&resource=Book:53",
     "span=all&error=ValueError*&worker=worker-1&user=-rita"],
)  # fmt: skip
def test_a_job_says_who_retried_it_with_all_others_that_matched(browse: Any, query: str) -> None:
    client = browse()
    with toy_engine():
        facts = {"engine": "toy", "queue": "bulk", "job_args": {"book": "Book:53"}, "error": ValueError("no")}
        status, _other = make_status("failed", **facts), make_status("failed", **facts)

        operation = carry_out(client, "retry", query, reason="the disk was full")
        trail = trail_of(client, status)

    assert operation.changed == 2
    assert "marta retried the job the disk was full" in words_of(trail)
    assert "with 1 other job" in words_of(trail) and "other jobs" not in words_of(trail) and "from 127.0.0.1" in words_of(trail)
    assert f"/operations/{operation.pk}/" in trail
    assert "Automatic" not in trail and "Sent again" not in trail


def test_an_attempt_after_the_one_that_was_retried_is_the_engines_own(browse: Any) -> None:
    client = browse()
    with toy_engine():
        status = make_status("failed", engine="toy")
        carry_out(client, "retry", "span=all&state=failed")
        status.reload().started().failed().requeued()

        words = words_of(trail_of(client, status))

    assert words.count("retried the job") == words.count("Automatic retry") == 1
    assert words.index("Automatic retry") < words.index("retried the job")


@pytest.mark.parametrize("action", ["kill", "kill-now"])
def test_a_job_says_who_killed_it_with_all_others_that_matched(browse: Any, action: str) -> None:
    client = browse()
    status, _other = make_status("queued", queue="bulk"), make_status("queued", queue="bulk")

    operation = carry_out(
        client, action, "span=all&state=queued&queue=bulk", reason="wrong date", **({"typed": "2"} if action == "kill-now" else {})
    )
    trail = trail_of(client, status)

    assert words_of(trail).count("wrong date") == 1
    assert f"/operations/{operation.pk}/" in trail and "with 1 other job" in words_of(trail)


def test_a_kill_is_told_by_the_attempt_that_it_ended_although_the_job_was_sent_again(browse: Any) -> None:
    client = browse()
    with toy_engine():
        status = make_status("queued", engine="toy")
        kill = carry_out(client, "kill", "span=all&state=queued", reason="not now")
        retry = carry_out(client, "retry", "span=all&state=killed", reason="now")
        trail = trail_of(client, status)

    assert [int(pk) for pk in re.findall(r"/operations/(\d+)/", trail)] == [retry.pk, kill.pk]


def test_an_operation_on_other_jobs_is_not_told(browse: Any) -> None:
    client = browse()
    with toy_engine():
        mine, theirs = (make_status("failed", engine="toy", queue=queue, job_args={"book": queue}) for queue in ("mine", "theirs"))
        for query in ("queue=theirs", "resource=theirs", "queue=-mine"):
            carry_out(client, "retry", f"span=all&{query}")
            theirs.reload().started().failed()
        mine.requeued()

        words = words_of(trail_of(client, mine))

    assert "marta" not in words and "Operation" not in words


def test_what_was_sent_again_while_nobody_knows_by_whom_is_not_called_automatic(browse: Any) -> None:
    with frozen_clock() as clock:
        status = make_status("failed")
        clock.tick(timedelta(minutes=5))
        status.requeued()

        words = words_of(trail_of(browse(), status))

    assert "Sent again" in words and "attempt 2" in words and "Automatic" not in words


@pytest.mark.parametrize(("sent_as", "said"), [("engine-1", "Automatic retry"), ("engine-2", "Sent again")])
def test_an_engine_that_renews_its_id_for_a_person_tells_its_own_retries(browse: Any, sent_as: str, said: str) -> None:
    with frozen_clock() as clock, toy_engine() as engine:
        engine.renews_id = True
        status = make_status("failed", engine="toy", provider_job_id="engine-1")
        clock.tick(timedelta(minutes=5))
        status.requeued().set_provider_job_id(sent_as)

        assert said in words_of(trail_of(browse(), status))


def test_of_two_operations_that_may_have_been_it_none_is_named(browse: Any) -> None:
    client = browse()
    with toy_engine():
        status = make_status("failed", engine="toy")
        operation = carry_out(client, "retry", "span=all")
        operation.pk, operation.promise = None, None
        operation.save()

        trail = trail_of(client, status)

    assert "/operations/" not in trail


@pytest.mark.django_db
def test_a_job_nobody_acted_on_costs_no_question(store: Any, django_assert_num_queries: Any) -> None:
    status = make_status("failed")

    with django_assert_num_queries(1):
        audit.operations_on(status.id, [status])


def on_the_page(client: Client, action: str, ids: str, **fields: Any) -> None:
    carry_out(client, action, f"span=all&{ids}", **fields)


def from_a_shell(client: Client, action: str, ids: str, **fields: Any) -> None:
    verb, *now = action.split("-")
    call_command("jobs", verb, *ids.split("&"), "--yes", *(f"--{word}" for word in now), stdout=StringIO(), stderr=StringIO())


@pytest.mark.parametrize("acts", [on_the_page, from_a_shell])
@pytest.mark.parametrize(
    ("action", "taken", "passed", "did", "wanted", "why"),
    [
        ("kill", "queued", "succeeded", "requested a kill", "wanted to request a kill", "it had ended already: succeeded"),
        ("kill-now", "queued", "failed", "killed the job at once", "wanted to kill the job at once", "it had ended already: failed"),
        ("retry", "failed", "started", "retried the job", "wanted to retry the job", "it had not ended"),
        ("remove", "failed", "started", "removed the job", "wanted to remove the job", "it had not ended"),
    ],
)  # fmt: skip
def test_of_selected_jobs_only_those_that_were_acted_on_say_so(
    browse: Any, acts: Any, action: str, taken: str, passed: str, did: str, wanted: str, why: str
) -> None:
    client = browse()
    with toy_engine():
        one, other = make_status(taken, engine="toy"), make_status(passed, engine="toy")

        acts(client, action, f"id={one.id}&id={other.id}", typed="1")

        operation = Operation.objects.get()
        assert (operation.changed, sorted(operation.ids)) == (1, sorted([one.id, other.id]))
        if action != "remove":
            assert did in words_of(trail_of(client, one)) and "wanted to" not in words_of(trail_of(client, one))
        words = words_of(trail_of(client, other))
        assert wanted in words and why in words and did not in words


@pytest.mark.parametrize("acts", [on_the_page, from_a_shell])
def test_a_job_that_its_engine_refused_among_selected_ones_says_that(browse: Any, acts: Any) -> None:
    client = browse()
    with toy_engine() as engine:
        one, other = make_status("failed", engine="toy"), make_status("failed", engine="toy")
        whole, engine.retry = engine.retry, lambda status, by=None: refuse(status) if status.id == other.id else whole(status, by)

        acts(client, "retry", f"id={one.id}&id={other.id}")

        assert "retried the job" in words_of(trail_of(client, one))
        words = words_of(trail_of(client, other))
    assert "wanted to retry the job" in words and "its engine could not" in words and "retried the job" not in words


def refuse(status: Status) -> Status:
    raise EngineCannot(status.id, "toy", "retry", "its call was not kept")


def test_a_job_that_is_passed_over_says_so_while_the_others_are_under_way(browse: Any, monkeypatch: Any) -> None:
    client, waiting, ended = browse(), make_status("queued"), make_status("succeeded")
    confirm(client, "kill", f"span=all&id={waiting.id}&id={ended.id}")
    operation, lease = runner.take()

    runner.Work(operation, lease)._take_over()

    assert "wanted to request a kill" in words_of(trail_of(client, ended))
    assert "wanted to" not in words_of(trail_of(client, waiting))
