"""Saving a view and opening it, in a real browser: with script and without."""

from collections.abc import Iterator
from typing import Any

import pytest

from jobadmin.models import SavedView
from statuses.testing import make_status

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def plain_page(live: Any, browser: Any) -> Iterator[Any]:
    context = browser.new_context(base_url=live.url, java_script_enabled=False, viewport={"width": 1360, "height": 900})
    context.add_cookies([live.cookie()])
    yield context.new_page()
    context.close()


def save(page: Any, name: str) -> None:
    page.locator("#j-views > summary").click()
    page.locator("#j-views input[name=name]").fill(name)
    page.locator("#j-save-view button").click()
    page.get_by_text(f"The view “{name}” was saved.").wait_for()


def test_the_filter_as_it_stands_is_saved_opened_and_deleted(page: Any) -> None:
    make_status("failed", job_name="mail.send", error="no route")
    page.goto("/admin/jobs/list/")
    page.locator(".j-chip.s-failed").first.click()
    page.wait_for_url("**state=failed**")

    save(page, "What failed")

    assert SavedView.objects.get().querystring == "state=failed"
    page.goto("/admin/jobs/")
    page.locator("#j-views > summary").click()
    page.get_by_role("link", name="What failed").click()
    page.wait_for_url("**/list/?state=failed")
    page.locator("#j-views > summary").click()
    page.get_by_role("button", name="Delete the view What failed").click()
    page.get_by_text("The view “What failed” was deleted.").wait_for()
    assert not SavedView.objects.exists()


def test_views_are_saved_and_opened_without_script(plain_page: Any) -> None:
    make_status("failed", job_name="mail.send", error="no route")
    plain_page.goto("/admin/jobs/list/?state=failed")

    save(plain_page, "What failed")

    plain_page.goto("/admin/jobs/")
    plain_page.locator("#j-views > summary").click()
    plain_page.get_by_role("link", name="What failed").click()
    plain_page.wait_for_url("**/list/?state=failed")


def test_a_name_begun_and_left_holds_nothing_up(page: Any) -> None:
    make_status("failed", job_name="mail.send", error="no route")
    page.goto("/admin/jobs/list/")
    page.locator("#j-views > summary").click()
    page.locator("#j-views input[name=shared]").check()

    page.keyboard.press("Escape")

    page.wait_for_function("!document.querySelector('#j-views[open]') && !document.querySelector('#j-views :checked')")
