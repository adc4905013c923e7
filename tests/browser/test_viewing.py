"""Times in a real browser: its own zone, the switch with and without script, and what a first visit costs."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from jobadmin.paths import job_url
from statuses.testing import frozen_clock, make_status

pytestmark = pytest.mark.django_db(transaction=True)

AT = datetime(2026, 11, 19, 23, 32, 3, tzinfo=UTC)


@pytest.fixture
def in_tokyo(live: Any, browser: Any) -> Iterator[Any]:
    """A page of somebody whose clock is nine hours ahead."""
    context = browser.new_context(base_url=live.url, timezone_id="Asia/Tokyo", viewport={"width": 1360, "height": 900})
    context.add_cookies([live.cookie()])
    yield context.new_page()
    context.close()


def test_the_first_page_already_has_the_browsers_times(in_tokyo: Any) -> None:
    with frozen_clock(AT):
        status = make_status("succeeded", job_name="mail.send")
        requests: list[str] = []
        in_tokyo.on("request", lambda request: requests.append(request.url))

        in_tokyo.goto(job_url(status.id))

        in_tokyo.get_by_text("20 Nov 2026, JST").wait_for()
        assert len(requests) <= 12, requests
        in_tokyo.reload()
        expect(in_tokyo.get_by_text("20 Nov 2026, JST")).to_be_visible()


def test_the_list_is_written_again_in_the_browsers_zone(in_tokyo: Any) -> None:
    status = make_status("succeeded", job_name="mail.send")

    in_tokyo.goto("/admin/jobs/list/")

    in_tokyo.locator(f"#job-{status.id} time[title$=' JST']").first.wait_for()


def test_the_switch_stays_on_the_filter_one_has_come_to(page: Any) -> None:
    make_status("failed", job_name="mail.send", error="no route")
    page.goto("/admin/jobs/list/")
    page.locator(".j-chip.s-failed").first.click()
    page.wait_for_url("**state=failed**")

    page.locator("#j-times summary").click()
    page.locator("#j-times button[value=utc]").click()

    page.locator("#j-times summary", has_text="UTC").wait_for()
    assert "state=failed" in page.url


def test_the_switch_works_without_script(live: Any, browser: Any) -> None:
    status = make_status("failed", job_name="mail.send", error="no route")
    context = browser.new_context(base_url=live.url, java_script_enabled=False)
    context.add_cookies([live.cookie()])
    page = context.new_page()
    page.goto(job_url(status.id))

    page.locator("#j-times summary").click()
    page.locator("#j-times button[value=utc]").click()

    page.locator("#j-times summary", has_text="UTC").wait_for()
    assert page.url.endswith(job_url(status.id))
    context.close()


def test_nothing_moves_by_itself_for_who_wants_it_still(page: Any) -> None:
    job = make_status("started", job_name="mail.send").set_progress(0.5)

    for address in ("/admin/jobs/", "/admin/jobs/list/", job_url(job.id)):
        page.goto(address)
        moving = page.evaluate("document.getAnimations().filter(one => one.timeline === document.timeline).map(one => one.animationName)")
        assert moving == [], address
