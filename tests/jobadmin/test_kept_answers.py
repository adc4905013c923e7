"""Answers are kept while the store stays as it is, and no longer; signs of life are read each time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

import statuses
from jobadmin.filters import JobFilter
from jobadmin.panels import Reading, kept
from statuses.testing import frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store")
NOW = datetime(2026, 11, 19, 14, 32, 7, tzinfo=UTC)


@pytest.fixture
def some():
    """Failed, ended and running jobs, one of which was asked to die."""
    kept.forget()
    with frozen_clock(NOW) as clock:
        for name in ("mail.send", "plan.rebuild"):
            make_status("failed", job_name=name, queue="bulk", error=ValueError("no book"))
            make_status("succeeded", job_name=name)
            clock.tick(60)
        statuses.create(job_name="index.book").started(worker="w1").heartbeat()
        make_status("started", job_name="index.book").request_kill()
        yield clock
    kept.forget()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """What each report is asked for from now on."""
    seen: list[set[str]] = []
    together = statuses.together

    def watched(*questions: Any) -> Any:
        seen.extend({name for name, value in what.items() if value} for _, what in questions)
        return together(*questions)

    monkeypatch.setattr(statuses, "together", watched)
    return seen


def look(client: Any, **parameters: str) -> str:
    return client.get(reverse("jobadmin:overview"), {"span": "all", **parameters}).content.decode()


def test_who_looks_again_or_turns_the_chart_waits_for_no_second_count(browse, some, asked):
    client = browse("view_job")
    look(client)
    asked.clear()

    pages = [look(client), look(client, chart="table"), look(client, chart="share")]

    assert asked == [{"flags"}] * 3
    assert all("ValueError" in page and "no book" in page for page in pages)


def test_a_job_that_moves_is_counted_at_once(browse, some):
    client = browse("view_job")
    look(client)

    make_status("failed", job_name="plan.rebuild", error=ValueError("another book"))

    page = look(client)
    assert "another book" in page and 'aria-label="3 failed"' in page


def test_a_job_that_falls_silent_is_seen_without_a_new_version(browse, some):
    client = browse("view_job")
    before = statuses.version().text
    assert "no sign of life" not in look(client)

    some.tick(timedelta(minutes=5))

    page = look(client)
    assert statuses.version().text == before
    assert "1 started job has shown no sign of life" in page and "w1" in page


def reading(query: str = "span=all", version: statuses.Version | None = None) -> Reading:
    return Reading(jobs=JobFilter.from_querystring(query), seen=version or statuses.version())


def test_what_was_read_of_another_version_is_not_kept(some, asked):
    early = statuses.version()
    make_status("queued", job_name="mail.send")

    assert sum(reading(version=early).report.counts.values()) == 7
    asked.clear()
    assert sum(reading(version=early).report.counts.values()) == 7

    assert {"counts", "flags", "counts_by"} <= asked[-1]


def test_a_store_that_moves_between_two_reads_is_counted_anew(some, asked):
    early = statuses.version()
    assert sum(reading(version=early).report.counts.values()) == 6
    make_status("queued", job_name="mail.send").request_kill()

    late = reading(version=early).report

    assert sum(late.counts.values()) == 7 and late.flags["kill_requested"]["queued"] == 1


@pytest.mark.parametrize("query", ["span=all&flag=stale", "span=all&flag=-stale", "span=24h&by=heartbeat_at"])
def test_what_moves_without_a_new_version_is_never_kept(query, some):
    assert reading("span=all").lasting is not None
    assert reading(query).lasting is None


def test_answers_are_bounded(some, monkeypatch):
    monkeypatch.setattr(kept, "MOST", 3)

    for number in range(10):
        _ = reading(f"span=all&name=job.{number}").report

    assert len(kept._answers) == 3


def test_a_report_tells_the_version_it_is_of(some):
    report = statuses.all().report(counts=True, timeline={"buckets": 3})
    make_status("queued")
    later = statuses.where(queue="bulk").report(counts=True)

    assert report.version != later.version == statuses.version().text
    assert statuses.all().report().version == ""
