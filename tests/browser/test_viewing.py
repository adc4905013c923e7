"""Times in a real browser: its own zone, the switch with and without script, and what a first visit costs."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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


def in_zone(live: Any, browser: Any, zone: str, **cookies: str) -> Any:
    """A page of somebody who lives there."""
    context = browser.new_context(base_url=live.url, timezone_id=zone, viewport={"width": 1360, "height": 900}, reduced_motion="reduce")
    told = [{"name": name, "value": value, "url": live.url} for name, value in {"ja_zone": zone, **cookies}.items()]
    context.add_cookies([live.cookie(), *told])
    return context.new_page()


def said(page: Any, key: str) -> str:
    """What the chart's bubble says of the bar that a key leads to."""
    plot = page.locator("#j-chart .u-over")
    plot.focus()
    plot.press(key)
    return page.locator("#j-chart .j-tip b").first.inner_text()


def test_a_bar_of_a_day_is_said_by_its_day_and_by_its_hours_after_clocks_were_set(live: Any, browser: Any) -> None:
    with frozen_clock(AT):
        make_status("succeeded")
    page = in_zone(live, browser, "Europe/Berlin")
    page.clock.set_fixed_time(AT)

    page.goto("/admin/jobs/?from=2026-10-01&to=2026-11-30")  # clocks are set on 25 October
    assert (said(page, "Home"), said(page, "End")) == ("Thu 1 Oct", "Mon 30 Nov, 23:00 – Tue 1 Dec, 23:00")

    page.goto("/admin/jobs/?from=2026-11-01&to=2026-12-31")
    assert (said(page, "Home"), said(page, "End")) == ("Sun 1 Nov", "Thu 31 Dec")
    page.context.close()


@pytest.mark.parametrize(
    ("at", "first", "last"),
    [
        ("2026-12-31T23:50", "Wed 30 Dec, 23:40 – Thu 31 Dec, 00:00", "31 Dec 2026, 23:40 – 1 Jan 2027, 00:00"),
        ("2027-01-01T00:10", "31 Dec 2026, 00:00–00:20", "Fri 1 Jan, 00:00–00:20"),
        ("2028-02-29T23:50", "Mon 28 Feb, 23:40 – Tue 29 Feb, 00:00", "Tue 29 Feb, 23:40 – Wed 1 Mar, 00:00"),
    ],
)
def test_the_year_of_a_bar_is_said_where_it_is_not_this_one_where_the_page_is_read(
    live: Any, browser: Any, at: str, first: str, last: str
) -> None:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    with frozen_clock(moment - timedelta(hours=23)) as clock:
        make_status("succeeded")
        clock.tick(timedelta(hours=23))
        page = in_zone(live, browser, "America/Los_Angeles", ja_times="utc")  # where a year begins eight hours later
        page.clock.set_fixed_time(moment)

        page.goto("/admin/jobs/?span=24h")

        assert (said(page, "Home"), said(page, "End")) == (first, last)
    page.context.close()


def test_the_clock_of_a_page_that_stays_open_is_that_of_its_zone_in_summer_and_in_winter(live: Any, browser: Any) -> None:
    make_status("succeeded")
    page = in_zone(live, browser, "Europe/Berlin")
    page.clock.install()
    told: dict[str, str] = {"etag": '"same"'}

    def unchanged(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, headers={**answer.headers, **told})

    page.route("**live=1**", unchanged)
    page.goto("/admin/jobs/?span=24h")
    # The first look puts in what it finds; those that find the same after it set the clock alone.
    for at, shown in (("00:59:35", ":"), ("00:59:50", "02:59:50"), ("01:00:05", "02:00:05")):
        told["date"] = f"Sun, 25 Oct 2026 {at} GMT"
        with page.expect_response("**live=1**"):
            page.clock.run_for(15_000)
        expect(page.locator("#j-updated time")).to_contain_text(shown)
    page.context.close()


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
