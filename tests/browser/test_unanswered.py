"""What somebody sees whose page gets no answer, or one that is not ours, or who is no longer logged in: in the middle of looking, of an
action, of a download."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import expect

import statuses
from jobadmin.models import Operation
from jobadmin.paths import job_url
from statuses.testing import make_status
from tests.jobadmin.engines import Toy, toy_engine

from .looks import axe
from .test_overview import load

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.console_errors]

PROXY = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
ANSWERS: dict[str, Callable[[Any], Any]] = {
    "a page of a proxy": lambda route: route.fulfill(status=502, content_type="text/html", body=PROXY),
    "nothing": lambda route: route.abort(),
    "nothing, for ever": lambda route: None,
}


@pytest.fixture
def engine() -> Iterator[Toy]:
    with toy_engine() as engine:
        yield engine


def pages() -> dict[str, str]:
    running = make_status("started", job_name="library.reindex").set_progress(1, 9)
    return {"list": "/admin/jobs/list/?span=15m", "job": job_url(running.id), "queues": "/admin/jobs/queues/"}


def wait_in_line(number: int) -> None:
    for _ in range(number):
        make_status("queued", job_name="library.reindex")


def looks_without_answer(page: Any, answer: Callable[[Any], Any]) -> None:
    """The next look of the page goes out, and its time is over."""
    page.route("**/*live=*", answer)
    with page.expect_request("**/*live=*"):
        page.clock.fast_forward(6_000)
    page.clock.fast_forward(16_000)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("which", ["list", "job", "queues"])
def test_a_look_that_is_not_answered_is_told_and_the_next_one_takes_it_back(page: Any, live: Any, which: str, answer: str) -> None:
    page.clock.install()
    page.goto(pages()[which])
    told = page.get_by_role("alert").get_by_text("The server does not answer")

    looks_without_answer(page, ANSWERS[answer])
    told.wait_for()
    expect(page.locator(".j-stalewrap")).to_be_visible()

    page.unroute_all()
    page.clock.fast_forward(130_000)
    told.wait_for(state="hidden")
    expect(page.locator(".j-stalewrap")).to_have_count(0)


@pytest.mark.parametrize("which", ["list", "job", "queues"])
def test_who_is_logged_out_while_looking_is_led_to_the_login_and_back(page: Any, live: Any, which: str) -> None:
    address = pages()[which]
    page.clock.install()
    page.goto(address)

    Session.objects.all().delete()
    page.clock.fast_forward(6_000)

    page.wait_for_url("**/login/**")
    log_in(page)
    page.wait_for_url(f"**{address}")


def log_in(page: Any) -> None:
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill("admin")
    page.get_by_role("button", name="Log in").click()


def test_an_action_of_somebody_who_was_logged_out_is_said_to_be_undone_and_can_be_repeated(page: Any, live: Any, engine: Toy) -> None:
    status = make_status("queued", engine="toy")
    page.goto(job_url(status.id))
    Session.objects.all().delete()

    page.get_by_role("button", name="Request kill").click()
    page.get_by_text("Nothing was done: you were not logged in any more.").wait_for()
    assert status.reload().is_queued
    log_in(page)

    page.wait_for_url(f"**{job_url(status.id)}")
    page.get_by_role("button", name="Request kill").click()
    page.locator(".messagelist").get_by_text("Killed").wait_for()
    assert status.reload().is_killed


def test_an_operation_confirmed_after_logging_out_is_said_to_be_undone(page: Any, live: Any) -> None:
    wait_in_line(3)
    page.goto("/admin/jobs/list/?state=queued")
    page.locator("thead [data-pick=page]").click()
    page.locator("[data-verb=kill]").click()
    confirm = page.get_by_role("dialog").get_by_role("button", name="Request kill for 3")
    confirm.wait_for()
    Session.objects.all().delete()

    confirm.click()

    page.get_by_text("Nothing was done: you were not logged in any more.").wait_for()
    log_in(page)
    page.wait_for_url("**/admin/jobs/list/?state=queued")
    assert statuses.all().counts()["queued"] == 3


def test_a_download_after_logging_out_is_no_file_of_the_login(page: Any, live: Any) -> None:
    load(3)
    page.goto("/admin/jobs/list/?state=failed")
    page.get_by_role("button", name="Export").click()
    Session.objects.all().delete()

    page.get_by_role("link", name="as CSV").click()

    page.wait_for_url("**/login/**")
    log_in(page)
    page.wait_for_url("**/admin/jobs/list/?state=failed")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="as CSV").click()
    assert download.value.suggested_filename.endswith(".csv")


@pytest.mark.parametrize("answer", ["a page of a proxy", "nothing"])
def test_an_operation_that_was_not_answered_says_so_in_its_dialog(page: Any, live: Any, answer: str) -> None:
    wait_in_line(3)
    page.goto("/admin/jobs/list/")
    page.locator("thead [data-pick=page]").click()
    page.locator("[data-verb=kill]").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("wrong date")
    page.route("**/bulk/kill/", ANSWERS[answer])

    dialog.get_by_role("button", name="Request kill for 3").click()
    expect(dialog.get_by_role("alert")).to_contain_text("The server did not answer")
    expect(dialog.get_by_role("link", name="Look at the operations")).to_be_visible()
    assert axe(page, "#j-dialog") == []

    page.unroute_all()
    dialog.get_by_role("button", name="Request kill for 3").click()
    expect(dialog.get_by_role("status")).to_have_text("Kill requested for 3 jobs")
    assert Operation.objects.get().reason == "wrong date"


@pytest.mark.parametrize("answer", ["a page of a proxy", "nothing"])
def test_a_filter_that_was_not_answered_is_not_shown_as_chosen(page: Any, live: Any, answer: str) -> None:
    load(3)
    page.goto("/admin/jobs/list/")
    chip = page.locator("#j-filters").get_by_role("checkbox", name="Killed")
    page.route("**/list/?*", ANSWERS[answer])

    page.locator("#j-filters .j-chip", has_text="Killed").click()

    page.get_by_role("alert").get_by_text("The server does not answer").wait_for()
    expect(chip).not_to_be_checked()
    assert page.url.endswith("/list/")


def test_enter_pressed_twice_sends_once(page: Any, live: Any, engine: Toy) -> None:
    status = make_status("failed", engine="toy")
    page.goto(job_url(status.id))
    retry = page.get_by_role("button", name="Retry")

    sent = retry.evaluate(
        """button => {
          let sent = 0;
          addEventListener("submit", event => { if (!event.defaultPrevented) sent += 1; });
          button.click();
          button.click();
          return sent;
        }"""
    )

    assert sent == 1
    page.get_by_text("Sent again, as attempt 2.").wait_for()
    assert Operation.objects.count() == 1
