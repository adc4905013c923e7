"""Stories about bulk operations, in a real browser, with the real runner behind them."""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import expect

import statuses
from jobadmin.models import Operation

from ..servers import until
from .looks import reads_at_every_size
from .test_list import load

pytestmark = pytest.mark.django_db(transaction=True)


def test_all_that_match_are_removed_after_the_count_was_typed_and_brought_back(page) -> None:
    load(60)
    page.goto("/admin/jobs/list/")
    page.locator("thead [data-pick=page]").click()
    page.get_by_role("button", name="Select all 60 that match").click()
    page.get_by_role("button", name=re.compile("^Remove")).click()

    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Remove 60 jobs?").wait_for()
    go = dialog.get_by_role("button", name="Remove 60")
    assert go.is_disabled()
    dialog.get_by_label("Type 60 to confirm").fill("61")
    assert go.is_disabled()
    dialog.get_by_label("Type 60 to confirm").fill("60")
    dialog.get_by_label("Reason").fill("old stuff")
    go.click()

    dialog.get_by_role("heading", name="60 jobs removed").wait_for()
    assert statuses.all().count() == 0
    operation = Operation.objects.get()
    assert (operation.reason, operation.announced, operation.changed) == ("old stuff", 60, 60)

    dialog.get_by_role("button", name="Undo").click()
    dialog.get_by_role("heading", name="60 jobs brought back").wait_for()
    assert statuses.all().count() == 60
    dialog.get_by_role("link", name="Done").click()
    page.locator("#j-list tbody tr").first.wait_for()


def test_selected_rows_are_killed_and_the_list_tells(page) -> None:
    load(5, "queued")
    page.goto("/admin/jobs/list/")
    boxes = page.locator("#j-list tbody .j-check")
    boxes.nth(0).click()
    boxes.nth(2).click()
    page.get_by_role("button", name=re.compile("^Request kill 2")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Request kill for 2").click()
    steps = page.evaluate("history.length")

    dialog.get_by_role("heading", name="Kill requested for 2 jobs").wait_for()
    expect(page.locator("[data-bulk]"), "what is done is no longer selected").to_be_hidden()
    expect(dialog.get_by_role("status")).to_have_text("Kill requested for 2 jobs")
    expect(page.locator("#j-list .j-badge.s-killed")).to_have_count(2)  # beneath the dialog, which stays
    expect(dialog).to_be_visible()
    dialog.get_by_role("link", name="Done").click()

    page.locator("#j-list .j-badge.s-killed").nth(1).wait_for()
    assert statuses.all().counts()["queued"] == 3
    expect(page.locator("tr.is-picked")).to_have_count(0)
    expect(page.get_by_role("checkbox", name="Select this page")).to_be_focused()
    assert page.evaluate("history.length") == steps


def test_looking_at_an_operation_leaves_selection_menus_and_words_alone(page) -> None:
    load(60)
    Operation.objects.create(action="retry", username="marta", state="running", announced=9, changed=3, heartbeat_at=timezone.now())
    page.clock.install()
    page.goto("/admin/jobs/list/")
    page.locator("thead [data-pick=page]").click()
    page.get_by_role("button", name="Select all 60 that match").click()
    page.get_by_role("combobox", name="Job name").fill("libr")
    toast = page.locator("#j-toast")

    toast.evaluate("toast => { toast.dataset.old = '' }")
    page.clock.fast_forward(3_000)
    expect(page.locator("#j-toast:not([data-old])")).to_be_visible()

    assert page.locator("[data-picked]").inner_text() == "60 selected all that match"
    assert page.get_by_role("combobox", name="Job name").input_value() == "libr"


def test_an_action_that_applies_to_none_says_so_to_the_keyboard(page) -> None:
    load(2)
    page.goto("/admin/jobs/list/")
    page.locator("#j-list tbody .j-check").first.click()
    kill = page.locator("[data-verb=kill]")

    expect(page.locator("#none-kill")).to_be_hidden()
    kill.focus()

    assert kill.get_attribute("aria-disabled") == "true"
    expect(page.locator("#none-kill")).to_be_visible()
    expect(page.locator("#none-remove")).to_be_hidden()


def test_a_row_removed_in_another_tab_while_the_dialog_is_open_is_counted_as_gone(page) -> None:
    load(3, "queued")
    page.goto("/admin/jobs/list/")
    page.locator("thead [data-pick=page]").click()
    page.get_by_role("button", name=re.compile("^Request kill 3")).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Request kill for 3").wait_for()

    statuses.all().first().delete(force=True)
    dialog.get_by_role("button", name="Request kill for 3").click()

    dialog.get_by_role("heading", name="Kill requested for 2 jobs").wait_for()
    dialog.get_by_role("link", name="Done").wait_for()
    expect(dialog.get_by_text("Gone: removed in the meantime")).to_be_visible()
    operation = Operation.objects.get()
    assert (operation.announced, operation.changed, operation.missing) == (3, 2, 1)


def test_two_hundred_rows_can_be_selected_at_once(page) -> None:
    load(201)
    page.goto("/admin/jobs/list/?per=200")
    page.locator("thead [data-pick=page]").click()

    page.get_by_role("button", name=re.compile("^Remove 200")).click()

    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Remove 200 jobs?").wait_for()
    dialog.get_by_label("Type 200 to confirm").fill("200")
    dialog.get_by_role("button", name="Remove 200").click()
    dialog.get_by_role("heading", name="200 jobs removed").wait_for()
    assert statuses.all().count() == 1


def test_escape_cancels_and_gives_the_focus_back(page) -> None:
    load(2, "queued")
    page.goto("/admin/jobs/list/")
    page.locator("#j-list tbody .j-check").first.click()
    button = page.get_by_role("button", name=re.compile("^Request kill 1"))
    button.click()
    page.get_by_role("dialog").get_by_text("Request kill for 1 job?").wait_for()

    page.keyboard.press("Escape")

    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(button).to_be_focused()
    assert not Operation.objects.exists()


def test_dialog_and_what_it_came_to_are_accessible(page) -> None:
    load(3)
    page.goto("/admin/jobs/list/")
    page.locator("#j-list tbody .j-check").first.click()
    page.get_by_role("button", name=re.compile("^Remove")).click()
    page.get_by_role("dialog").get_by_text("Remove 1 job?").wait_for()
    reads_at_every_size(page, "bulk-dialog", part=".ja")

    page.goto("/admin/jobs/bulk/remove/")
    page.get_by_label("Type 3 to confirm").fill("3")
    page.get_by_role("button", name="Remove 3").click()
    page.get_by_text("3 jobs removed").wait_for()
    button, words = (page.locator(css).bounding_box() for css in (".j-undo .j-btn", ".j-undo .j-quiet"))
    assert abs(button["y"] + button["height"] / 2 - words["y"] - words["height"] / 2) < 2
    reads_at_every_size(page, "bulk-removed", part=".ja")


def test_the_buttons_of_a_question_stand_side_by_side_on_a_phone(page) -> None:
    load(1_200, "failed")
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto("/admin/jobs/bulk/remove/")

    tops = page.locator(".j-dlg__foot .j-btn:visible").evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")

    assert len(tops) == 2 and len(set(tops)) == 1


def test_the_list_of_operations_follows_what_is_begun_elsewhere_and_fits_in_german(page) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.set_extra_http_headers({"Accept-Language": "de"})
    page.goto("/admin/jobs/operations/")
    expect(page.locator("#j-updated time")).to_be_visible()
    which = "state=failed&state=killed&user=nightly&from=2026-01-05T10%3A00%3A00Z&to=2026-01-06T10%3A00%3A00Z"

    begun = Operation.objects.create(action="kill", username="marta", address="127.0.0.1", state="done", announced=4, filter=which)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as if one came back to it

    row = page.locator(f"#operation-row-{begun.pk}")
    expect(row).to_contain_text("Fehlgeschlagen, Abgebrochen")
    assert row.locator(".c-which .j-outcome").evaluate("words => words.scrollHeight <= words.clientHeight + 1")
    assert page.locator(".j-table--operations").evaluate("table => table.scrollWidth <= table.parentElement.clientWidth")


@pytest.mark.parametrize("width", [320, 390, 700, 1440])
def test_which_jobs_an_operation_was_about_and_why_is_read_in_every_width(page, width: int) -> None:
    which, reason = "state=failed&name=packages.check_imports&user=nightly", "The module that was missing is installed now, on all machines"
    Operation.objects.create(action="retry", username="marta", state="done", announced=4, changed=4, filter=which, reason=reason)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/admin/jobs/operations/")

    row = page.locator("tbody tr")
    told = row.locator(".j-outcome").evaluate_all(
        "all => all.map(one => one.scrollWidth <= one.clientWidth && one.scrollHeight <= one.clientHeight + 1)"
    )
    assert told[0] and (width > 800 or told == [True, True])
    inside = "row => [...row.querySelectorAll('.c-which .j-outcome')].every(one => one.getBoundingClientRect().top - row.getBoundingClientRect().top >= 4)"
    assert row.evaluate(inside)


def test_without_script_selected_rows_go_through_the_confirm_page(browser, live) -> None:
    load(3)
    context = browser.new_context(base_url=live.url, java_script_enabled=False)
    context.add_cookies([live.cookie()])
    page = context.new_page()
    page.goto("/admin/jobs/list/")
    page.locator("#j-list tbody .j-check").nth(0).check()
    page.locator("#j-list tbody .j-check").nth(1).check()

    page.get_by_role("button", name="Remove", exact=True).last.click()

    expect(page.get_by_text("Remove 2 jobs?")).to_be_visible()
    page.get_by_label("Type 2 to confirm").fill("1")
    page.get_by_role("button", name="Remove 2").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Type 2 to confirm").fill("2")
    page.get_by_role("button", name="Remove 2").click()
    page.wait_for_url("**/operations/*/")  # a page that is still on its way cannot be read anew
    until(lambda: Operation.objects.get().is_over, "the operation ends")
    page.reload()
    expect(page.get_by_text("2 jobs removed")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    until(lambda: Operation.objects.count() == 2 and Operation.objects.latest("pk").is_over, "the undo ends")
    assert statuses.all().count() == 3
    context.close()
