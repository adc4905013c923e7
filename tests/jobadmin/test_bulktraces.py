"""A bulk operation over a filter names no jobs, and yet the page of each says who did what to it, why, and in which operation."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.test import Client

from jobadmin import audit, runner
from jobadmin.models import Operation
from jobadmin.paths import job_url
from statuses import Status
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
