"""Stories about the overview, in a real browser: look, filter, drill down, select a span, come back."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import expect

import statuses
from jobadmin import outage
from jobadmin.filters import JobFilter
from jobadmin.models import Operation
from statuses.testing import make_status

from .looks import axe

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ("library.reindex_book", "mail.send", "reports.build_pdf")


#: Where the words of each cell of a card begin, from the top of the page; the label above them left aside.
VALUE_TOPS = """cells => cells.map(cell => {
  const words = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT).nextNode(), range = document.createRange();
  range.selectNodeContents(words);
  return Math.round(range.getBoundingClientRect().top);
})"""


def load(number: int = 120, hours: float = 40) -> None:
    """Jobs of three names over the last hours, every tenth of them failed."""
    now = statuses.server_time()
    statuses.load(
        {
            "job_name": NAMES[n % 3],
            "queue": "bulk" if n % 2 else "default",
            "user": "ines",
            "job_args": {"book": f"Book:{n % 7}"},
            "state": state,
            "recorded_at": at,
            "queued_at": at,
            "started_at": at + timedelta(milliseconds=n % 900 + 3),
            f"{state}_at": at + timedelta(seconds=n % 50 + 1),
            "errors": [{"class": "builtins.ValueError", "message": "no such book"}] if state == "failed" else [],
        }
        for n in range(number)
        for state in ("failed" if n % 10 == 0 else "succeeded",)
        for at in (now - timedelta(hours=hours * (number - n) / number, minutes=1),)
    )


def matched(page) -> int:
    return int(re.match(r"[\d,]+", page.locator("#j-count").inner_text())[0].replace(",", ""))


def matches(page, number: int) -> None:
    """Wait until so many jobs are told."""
    expect(page.locator("#j-count")).to_have_text(re.compile(rf"^{number:,}\b"), use_inner_text=True)


def in_list(url: str) -> int:
    """Jobs that the address of a list finds."""
    return JobFilter.from_querystring(url.partition("?")[2]).query.count()


@pytest.mark.parametrize("language", ["en", "de"])
def test_names_and_durations_are_as_wide_as_their_page(page, language: str) -> None:
    load(1_200)
    long, states = "packages.check_every_import_of_every_module", ("unqueued", "queued", "started", "killed", "unknown")
    statuses.load({"job_name": long, "state": state} for state in states for _ in range(1_111))
    page.set_extra_http_headers({"Accept-Language": language})

    for address in ("/admin/jobs/?span=all", "/admin/jobs/names/?span=all"):
        page.goto(address)
        expect(page.get_by_title(long)).to_have_count(1)
        for width in (390, 640, 801, 849, 900, 1024, 1180, 1229, 1280, 1366, 1440, 1600, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.locator("#j-names .j-scroll").evaluate("box => box.scrollWidth <= box.clientWidth"), (address, width)
            for words in page.locator("#j-durations .j-dur__head, #j-durations dd, .j-tile").all():
                assert words.evaluate("all => all.scrollWidth <= all.clientWidth"), (address, width, words.inner_text())


def test_a_head_breaks_in_two_before_a_name_is_cut_for_it_and_is_read_aloud_as_one_word(page) -> None:
    load(30)
    statuses.load({"job_name": NAMES[0], "state": state} for state in ("unqueued", "unknown"))
    page.set_viewport_size({"width": 1280, "height": 900})
    page.set_extra_http_headers({"Accept-Language": "de"})
    page.goto("/admin/jobs/?span=all")

    head = page.locator("#j-names th", has=page.get_by_role("link", name="Fehlgeschlagen", exact=True))
    expect(head).to_have_count(1)
    assert head.locator(".j-sort").bounding_box()["height"] > 24, "two lines"
    page.goto("/admin/jobs/names/?span=all")
    assert head.locator(".j-sort").bounding_box()["height"] <= 24, "one, where there is room"


def test_the_overview_is_whole_within_few_requests_and_bytes(page):
    load()
    sizes = []
    page.on("response", lambda response: sizes.append((response.url, len(response.body()))))

    page.goto("/admin/jobs/")
    page.wait_for_load_state("networkidle")

    for id in ("j-tiles", "j-activity", "j-durations", "j-names", "j-errors"):
        expect(page.locator(f"#{id}")).to_be_visible()
    expect(page.locator("#j-chart canvas")).to_be_visible()
    assert len(sizes) <= 12, sizes
    matches(page, 120)


def test_a_number_leads_to_the_list_of_exactly_those_jobs(page):
    load()
    page.goto("/admin/jobs/")

    page.get_by_role("link", name="12 failed", exact=True).click()

    page.wait_for_url("**/admin/jobs/list/?state=failed")
    matches(page, 12)
    page.go_back()
    page.get_by_role("link", name="4 failed, mail.send").click()
    page.wait_for_url("**/list/?state=failed&name=mail.send")
    matches(page, 4)


def at_rest(page):
    """Nothing is asked for or swapped in any more."""
    page.wait_for_function("!document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling, [aria-busy=true]')")


def test_tiles_and_chips_toggle_states_in_place_and_the_browser_goes_back(page):
    load()
    page.goto("/admin/jobs/")
    page.evaluate("window.same = true")

    page.locator("#j-tile-failed").click()
    expect(page).to_have_url(re.compile(r"/admin/jobs/\?state=failed$"))
    expect(page.locator("#j-count")).to_contain_text("12 of 120")
    expect(page.locator("#j-say")).to_have_text("12 of 120 jobs")
    assert page.get_by_role("checkbox", name="Failed").is_checked()
    assert page.locator("#j-tile-failed").get_attribute("aria-current") == "true"

    page.locator("label.s-succeeded").click()
    expect(page).to_have_url(re.compile(r"state=succeeded&state=failed|state=failed&state=succeeded"))
    expect(page.locator("#j-count")).to_contain_text("120 of 120")
    assert page.evaluate("window.same")

    at_rest(page)
    page.go_back()
    expect(page).to_have_url(re.compile(r"\?state=failed$"))
    expect(page.locator("#j-count")).to_contain_text("12 of 120")
    at_rest(page)
    page.go_back()
    expect(page.locator("#j-count")).to_contain_text("120 of 120")
    assert not page.get_by_role("checkbox", name="Failed").is_checked()


def test_names_are_suggested_with_counts_added_and_left_out(page):
    load()
    page.goto("/admin/jobs/")
    field = page.get_by_role("combobox", name="Job name")

    field.click()
    field.type("ma")
    option = page.locator("[role=option]", has=page.locator("mark"), has_text="mail.send")
    expect(option).to_contain_text("40")
    field.press("ArrowDown")
    assert field.get_attribute("aria-activedescendant") == option.get_attribute("id")
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"\?name=mail\.send$"))
    expect(page.locator("#j-count")).to_contain_text("40 of 120")
    expect(field).to_have_value("mail.send")

    field.click()
    page.get_by_role("option", name=re.compile("library")).click()
    expect(page.locator("#j-count")).to_contain_text("80 of 120")
    expect(page.locator("#j-tokens")).to_contain_text("mail.send, library.reindex_book")

    page.get_by_role("link", name=re.compile("Remove filter Job name")).click()
    expect(page.locator("#j-count")).to_contain_text("120 of 120")
    field.click()
    page.get_by_role("option", name=re.compile("reports")).click(modifiers=["Alt"])
    expect(page).to_have_url(re.compile(r"\?name=-reports\.build_pdf$"))
    expect(page.locator("#j-count")).to_contain_text("80 of 120")


def test_the_newest_jobs_of_a_resource_can_be_read_whole_on_a_phone(page):
    load()
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto("/admin/jobs/resources/Book_3A3/?span=all")
    table = page.locator(".j-scroll", has=page.locator("caption", has_text="Newest jobs"))

    expect(table.get_by_role("row")).to_have_count(11)
    assert table.evaluate("box => box.scrollWidth <= box.clientWidth")
    assert axe(page) == []


def test_names_on_the_page_of_a_resource_are_counted_among_its_jobs(page):
    load()
    page.goto("/admin/jobs/resources/Book_3A3/")
    field = page.get_by_role("combobox", name="Job name")

    field.click()

    number = statuses.where(job_arg="Book:3", job_name="mail.send").count()
    expect(page.get_by_role("option", name=re.compile("mail.send"))).to_have_text(f"mail.send{number}")


def test_the_search_field_offers_a_job_name_and_finds_a_queue_by_enter(page):
    load()
    page.goto("/admin/jobs/")
    field = page.locator("#j-in-q")

    field.type("mail")
    option = page.locator(".j-combo:visible [role=option]")
    expect(option).to_contain_text("Job namemail.send40")
    option.click()
    expect(page).to_have_url(re.compile(r"\?name=mail\.send$"))
    expect(page.locator("#j-in-name")).to_have_value("mail.send")  # the address changes before the page does
    assert field.input_value() == ""

    field.type("bulk")
    field.press("Enter")
    expect(page).to_have_url(re.compile(r"\?name=mail\.send&queue=bulk$"))
    expect(page.locator("#j-count")).to_contain_text("20 of 120")
    assert (field.input_value(), page.locator("#j-in-queue").input_value()) == ("", "bulk")


def test_escape_closes_suggestions_and_keeps_the_focus(page):
    load()
    page.goto("/admin/jobs/")
    field = page.get_by_role("combobox", name="Queue")
    field.click()
    expect(page.locator(".j-combo:visible [role=option]")).to_have_count(2)

    field.press("Escape")

    expect(page.locator(".j-combo:visible")).to_have_count(0)
    assert page.evaluate("document.activeElement.name") == "queue"


def test_half_a_word_is_no_filter(page):
    load()
    page.goto("/admin/jobs/")
    field = page.get_by_role("combobox", name="Job name")
    field.click()
    field.type("mail")
    expect(page.locator(".j-combo:visible mark").first).to_be_visible()

    page.locator("#j-in-q").click()

    assert field.input_value() == ""
    assert page.url.endswith("/admin/jobs/")


def test_a_resource_is_searched_for_from_the_keyboard(page):
    load()
    page.goto("/admin/jobs/")

    page.keyboard.press("/")
    page.keyboard.type("Book:3")
    expect(page.get_by_role("option", name=re.compile("Book:3"))).to_be_visible()
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(r"\?q=Book%3A3$"))
    expect(page.locator("#j-count")).to_contain_text("17 of 120")


def test_a_preset_and_an_own_span_narrow_the_page(page):
    load()
    page.goto("/admin/jobs/")

    page.locator("#j-span-24h").click()
    expect(page).to_have_url(re.compile(r"\?span=24h$"))
    expect(page.locator("#j-span-24h")).to_have_attribute("aria-current", "true")
    assert 60 <= matched(page) <= 80

    now = statuses.server_time()
    page.locator("#j-own-span summary").click()
    page.get_by_label("From", exact=True).fill((now - timedelta(hours=10)).strftime("%Y-%m-%dT%H:%M"))
    page.get_by_label("To", exact=True).fill(now.strftime("%Y-%m-%dT%H:%M"))
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page).to_have_url(re.compile(r"from=[^&]+Z&to=[^&]+Z"))
    expect(page.locator("#j-tokens")).to_contain_text("Created")
    assert matched(page) == in_list(page.url)


def test_dragging_over_the_chart_zooms_in_or_lists_exactly_those_jobs(page):
    load()
    page.goto("/admin/jobs/?span=24h")
    plot = page.locator("#j-chart .u-over")
    box = plot.bounding_box()

    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 60, steps=5)
    page.mouse.up()
    pop = page.get_by_role("dialog", name="Selected time span")
    expect(pop).to_be_visible()
    promised = sum(int(text.replace(",", "")) for text in pop.locator("li b").all_inner_texts())
    zoom = pop.get_by_role("link", name="Zoom in").get_attribute("href")
    pop.get_by_role("link", name="List jobs").click()

    page.wait_for_url("**/list/?from=*")
    assert promised == matched(page) == in_list(page.url) > 0
    page.goto(zoom)
    matches(page, promised)
    expect(page.locator("#j-chart canvas")).to_be_visible()


def test_a_span_is_selected_with_the_keys(page):
    load()
    page.goto("/admin/jobs/?span=24h")
    plot = page.locator("#j-chart .u-over")

    plot.focus()
    for _ in range(30):
        plot.press("Shift+ArrowLeft")
    plot.press("Enter")
    pop = page.get_by_role("dialog", name="Selected time span")
    expect(pop).to_be_visible()
    assert page.evaluate("document.activeElement.textContent") == "Zoom in"

    page.keyboard.press("Escape")
    expect(pop).to_have_count(0)
    assert page.evaluate("document.activeElement.classList.contains('u-over')")

    plot.press("Shift+ArrowLeft")
    plot.press("Enter")
    expect(pop.locator("[data-length]")).to_have_text("40 min")  # a new selection begins where the keys stand
    page.keyboard.press("Escape")


def test_the_bubble_tells_of_all_that_is_selected_with_the_keys_and_of_a_bar_without_jobs(page):
    load(20, hours=4)
    page.goto("/admin/jobs/?span=24h")
    plot, tip = page.locator("#j-chart .u-over"), page.locator("#j-chart .j-tip")

    plot.focus()
    for _ in range(4):
        plot.press("Shift+ArrowLeft")
    told, numbers = tip.locator("b").first.inner_text(), tip.locator("li").all_inner_texts()
    plot.press("Enter")
    pop = page.get_by_role("dialog", name="Selected time span")
    assert numbers and (told, numbers) == (pop.locator("[data-when]").inner_text(), pop.locator("li").all_inner_texts())

    page.keyboard.press("Escape")
    plot.press("Home")
    expect(tip.locator("li")).to_have_text("0 jobs")


def test_what_was_dragged_is_changed_with_the_keys_and_cancelled_with_escape(page):
    load()
    page.goto("/admin/jobs/?span=24h")
    box = page.locator("#j-chart .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60, steps=3)
    page.mouse.up()
    pop = page.get_by_role("dialog", name="Selected time span")
    before = pop.locator("[data-when]").inner_text()

    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    after = pop.locator("[data-when]").inner_text()
    assert before != after
    # Blanks stand beside the dash where the other end lies on another day.
    assert before.split("–")[0].strip() == after.split("–")[0].strip()

    page.keyboard.press("Escape")
    expect(pop).to_have_count(0)


def test_the_legend_hides_series_and_the_scale_changes_without_a_request(page):
    load()
    page.goto("/admin/jobs/")
    requests = []
    page.on("request", lambda request: requests.append(request.url) if "/static/" not in request.url else None)

    page.get_by_role("button", name="Succeeded").click()
    expect(page.get_by_role("button", name="Succeeded")).to_have_attribute("aria-pressed", "false")
    page.locator("#j-mode-share").click()
    expect(page).to_have_url(re.compile(r"\?chart=share$"))
    expect(page.locator("#j-mode-share")).to_have_attribute("aria-current", "true")

    assert requests == []
    page.reload()
    expect(page.locator("#j-mode-share")).to_have_attribute("aria-current", "true")


def test_the_chart_is_there_as_a_table(page):
    load()
    page.goto("/admin/jobs/")

    page.locator("#j-mode-table").click()

    expect(page.get_by_role("region", name="Activity as a table")).to_be_visible()
    totals = page.locator("#j-activity tbody td:nth-of-type(1)").all_inner_texts()
    assert sum(int(text.replace(",", "")) for text in totals) == 120


def test_names_are_sorted_by_what_one_clicks(page):
    load()
    page.goto("/admin/jobs/")

    page.locator("#j-rank-name").click()
    expect(page).to_have_url(re.compile(r"\?rank=name$"))
    expect(page.locator("#j-names tbody th").first).to_have_text("library.reindex_book")
    page.locator("#j-rank-name").click()
    expect(page.locator("#j-names tbody th").first).to_have_text("reports.build_pdf")
    expect(page).to_have_url(re.compile(r"\?rank=-name$"))


def test_a_live_page_shows_what_is_new_and_waits_while_one_types(page):
    load(6, hours=0.05)
    page.goto("/admin/jobs/?span=15m")
    expect(page.locator("#j-count")).to_contain_text("6 of 6")
    page.locator("#j-live").click()  # off, then on: on looks at once

    make_status("failed", job_name="fresh.failure")
    page.locator("#j-live").click()
    expect(page.locator("#j-count")).to_contain_text("7 of 7")

    page.locator("#j-in-q").fill("Book")
    make_status("failed", job_name="fresh.failure")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator("#j-count")).to_contain_text("7 of 7")
    assert page.locator("#j-in-q").input_value() == "Book"


def test_a_link_to_the_view_is_copied_relative_or_fixed(page, context):
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    load()
    page.goto("/admin/jobs/?span=24h&state=failed")

    page.keyboard.press("c")
    assert page.evaluate("navigator.clipboard.readText()").endswith("/admin/jobs/?state=failed&span=24h")
    page.locator("#j-copy-link summary").click()
    page.get_by_role("button", name=re.compile("These dates")).click()
    fixed = page.evaluate("navigator.clipboard.readText()")

    assert "from=" in fixed
    assert "to=" in fixed
    assert in_list(fixed) == matched(page)


def test_the_keys_are_explained_and_can_be_switched_off(page):
    load(3)
    page.goto("/admin/jobs/")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.get_by_label("Shortcuts are on").uncheck()
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_hidden()
    page.keyboard.press("g")
    page.keyboard.press("l")
    assert page.url.endswith("/admin/jobs/")


def test_escape_leads_back_to_where_a_menu_was_opened(page):
    load(3)
    page.goto("/admin/jobs/")
    page.locator("#j-own-span summary").click()
    page.get_by_label("From", exact=True).focus()

    page.keyboard.press("Escape")

    expect(page.locator("#j-own-span")).not_to_have_attribute("open", "")
    expect(page.locator("#j-own-span summary")).to_be_focused()


def test_several_values_are_counted_in_the_same_words_before_and_after_a_click(page):
    load()
    page.goto("/admin/jobs/?queue=bulk&queue=default")
    field = page.get_by_role("combobox", name="Queue")
    assert field.get_attribute("placeholder") == "2 queues"

    page.locator("#j-tile-failed").click()
    expect(page).to_have_url(re.compile("state=failed"))
    expect(field).to_have_attribute("placeholder", "2 queues")


def test_with_alt_a_name_or_an_error_is_left_out_of_the_page_one_is_on(page):
    load()
    page.goto("/admin/jobs/?state=failed&queue=bulk&queue=default")
    before = matched(page)

    page.locator("#j-names tbody th a", has_text="mail.send").click(modifiers=["Alt"])
    page.wait_for_url(re.compile(r"/admin/jobs/\?.*name=-mail.send"))
    assert 0 < matched(page) < before
    expect(page.locator("#j-names tbody th", has_text="mail.send")).to_have_count(0)

    page.locator("#j-errors a.j-mono").first.click(modifiers=["Alt"])
    page.wait_for_url(re.compile("error=-builtins.ValueError"))
    matches(page, 0)


def test_both_numbers_of_the_bar_lead_to_their_jobs(page):
    load()
    page.goto("/admin/jobs/?state=failed&span=24h")
    shown = matched(page)

    page.locator("#j-count a").last.click()
    page.wait_for_url("**/list/?span=all")
    matches(page, 120)
    page.go_back()
    page.locator("#j-count a").first.click()
    page.wait_for_url("**/list/?state=failed&span=24h")
    matches(page, shown)


def test_g_and_l_lead_to_the_list_and_keep_the_filter(page):
    load()
    page.goto("/admin/jobs/?state=failed")

    page.keyboard.press("g")
    page.keyboard.press("l")

    page.wait_for_url("**/list/?state=failed")


@pytest.mark.console_errors
def test_a_store_that_stops_leaves_the_numbers_dimmed_and_says_so(page, other_server):
    statuses.configure(url=other_server.url, namespace="stops")
    load(9)
    page.goto("/admin/jobs/")
    other_server.stop()

    page.locator("#j-tile-failed").click()

    expect(page.locator("#j-alert")).to_contain_text("Redis does not answer")
    expect(page.locator("#j-main.j-stalewrap")).to_be_visible()
    expect(page.locator("#j-tiles")).to_be_visible()


@pytest.mark.console_errors
def test_a_page_that_looks_once_a_minute_tells_of_an_outage_within_seconds_and_of_its_end(page, other_server):
    statuses.configure(url=other_server.url, namespace="stops")
    load(9)
    page.clock.install()
    page.goto("/admin/jobs/")
    assert page.locator("#j-live").get_attribute("title") == "Looks again every 60 s (L)"
    other_server.stop()

    page.clock.fast_forward(9_000)
    expect(page.locator("#j-alert")).to_contain_text("Redis does not answer")
    expect(page.locator("#j-main")).to_have_class(re.compile("j-stalewrap"))
    expect(page.locator("#j-alert").get_by_role("link", name="Try now")).to_have_attribute("href", "/admin/jobs/")

    other_server.start()
    page.clock.fast_forward(17_000)
    expect(page.locator("#j-alert")).to_be_empty()
    expect(page.locator("#j-main")).not_to_have_class(re.compile("j-stalewrap"))


@pytest.mark.console_errors
def test_a_page_opened_while_the_store_is_away_counts_on_and_is_there_by_itself_once_that_is_back(page, other_server, monkeypatch):
    statuses.configure(url=other_server.url, namespace="stops")
    load(9)
    other_server.stop()
    monkeypatch.setattr(outage, "_since", timezone.now() - timedelta(seconds=147))
    page.clock.install()
    page.goto("/admin/jobs/?span=1h")
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"No reply from \S+ for 2 min [2-5]\d s\."))

    page.clock.run_for(4_000)
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"for 2 min [3-5]\d s\."))
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"Next try in [1-4] s"))
    other_server.start()
    page.clock.run_for(5_000)

    expect(page.locator("#j-main")).to_be_visible()
    assert page.url.endswith("/admin/jobs/?span=1h")


def test_the_live_button_says_how_often_the_page_of_this_span_looks(page):
    load(3)
    page.goto("/admin/jobs/")

    page.locator("#j-span-1h").click()

    expect(page.locator("#j-live")).to_have_attribute("title", "Looks again every 5 s (L)")
    expect(page.locator("#j-live")).to_have_text("Live, every 5 s")


def test_on_a_phone_the_live_button_stands_beside_the_title_above_the_ways_to_the_pages(page):
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto("/admin/jobs/")

    title, live, tabs = (page.locator(css).bounding_box() for css in (".j-head__title", "#j-live", "#j-tabs"))

    assert abs(title["y"] + title["height"] / 2 - live["y"] - live["height"] / 2) < 2
    assert tabs["y"] >= live["y"] + live["height"]


@pytest.mark.parametrize("width", [1440, 390])
def test_the_live_button_shows_how_old_the_page_may_be_while_it_is_on(page, width):
    load(3)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/admin/jobs/")

    expect(page.locator("#j-live .j-live__every")).to_be_visible()
    expect(page.locator("#j-live")).to_have_text("Live, every minute")
    page.locator("#j-live").click()
    expect(page.locator("#j-live .j-live__every")).to_be_hidden()


@pytest.mark.parametrize("changes", [True, False])
def test_a_page_that_looks_once_a_minute_shows_what_an_operation_elsewhere_came_to_within_seconds(page, changes):
    load(9)
    # Numbers go on where other tests had operations.
    Operation.objects.create(action="kill", state=Operation.State.DONE)
    page.clock.install()
    page.goto("/admin/jobs/")
    looks = []
    page.on("request", lambda request: looks.append(request.url) if "live=1" in request.url else None)
    operation = Operation.objects.create(action="kill", state=Operation.State.RUNNING)
    with page.expect_response("**/pulse/"):
        page.clock.fast_forward(9_000)
    assert looks == []

    if changes:
        statuses.all().first().delete(force=True)
    operation.state = Operation.State.DONE
    operation.save()
    with page.expect_response("**live=1**"):
        page.clock.fast_forward(9_000)
    if changes:
        expect(page.locator("#j-count")).to_contain_text("8 of 8")
    for _ in range(3):
        with page.expect_response("**/pulse/"):
            page.clock.fast_forward(9_000)
    assert len(looks) == 1


def test_everything_works_without_script(browser, live):
    load()
    context = browser.new_context(base_url=live.url, java_script_enabled=False)
    context.add_cookies([live.cookie()])
    page = context.new_page()

    page.goto("/admin/jobs/")
    expect(page.locator(".j-chart__plot svg")).to_be_visible()
    expect(page.locator("#j-live")).to_be_hidden()
    page.locator("label.s-failed").click()
    page.locator("#j-in-name").fill("mail.*")
    page.get_by_role("button", name="Apply").click()
    matches(page, 4)
    page.locator("#j-span-30d").click()
    matches(page, 4)
    page.get_by_role("link", name="Remove filter Job name mail.*").click()
    matches(page, 12)
    page.locator("#j-mode-problems").click()
    expect(page.locator(".j-mark.s-failed")).to_be_visible()
    page.locator("#j-mode-table").click()
    page.locator("#j-activity tbody a").first.click()
    page.wait_for_url("**/list/?*")
    context.close()


def test_a_new_project_is_free_of_axe_and_an_error_leads_to_its_group(page):
    page.goto("/admin/jobs/")
    expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
    assert axe(page) == []

    load()
    page.goto("/admin/jobs/errors/")
    page.locator("#j-errors tbody a.j-mono").first.click()
    expect(page.get_by_text("Retry the group", exact=False).first).to_be_visible()


def test_why_a_group_cannot_be_retried_is_shown_whole_beside_its_button(page):
    make_status("failed", error="lost")
    page.goto("/admin/jobs/errors/")
    page.get_by_role("button", name="Retry").focus()

    for width in (1360, 390):
        page.set_viewport_size({"width": width, "height": 900})

        why, table = page.get_by_role("tooltip").bounding_box(), page.locator("#j-errors .j-scroll").bounding_box()
        assert page.get_by_role("tooltip", name="None of these jobs has ended").is_visible()
        assert table["x"] <= why["x"] and why["x"] + why["width"] <= table["x"] + table["width"], width
        assert table["y"] <= why["y"] and why["y"] + why["height"] <= table["y"] + table["height"], width


def test_styles_and_scripts_are_small():
    static = Path(__file__).parents[2] / "static" / "jobadmin"

    for name, most in {"app.js": 48_000, "chart.js": 48_000, "jobadmin.css": 56_000}.items():
        assert (static / name).stat().st_size < most


def test_the_numbers_of_a_card_stand_in_line_whether_or_not_they_lead_anywhere(page) -> None:
    load(12)
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto("/admin/jobs/names/")

    tops = page.locator("#j-names tbody tr").first.locator("td").evaluate_all(VALUE_TOPS)

    assert len(tops) == 8 and len(set(tops[:3])) == len(set(tops[3:6])) == len(set(tops[6:])) == 1, tops


def test_no_column_of_the_names_goes_while_one_looks(page) -> None:
    load(30, hours=0.5)
    waiting, lost = make_status("unqueued", job_name=NAMES[0]), make_status("unknown", job_name=NAMES[0])
    page.clock.install()
    page.goto("/admin/jobs/?span=1h")
    heads = page.locator("#j-names thead th")
    before = heads.all_inner_texts()
    assert {"Unqueued", "Unknown"} <= set(before)

    waiting.queued()
    lost.queued()
    for _ in range(2):
        with page.expect_response("**live=1**"):
            page.clock.fast_forward(6_000)

    expect(page.locator("#j-tiles .s-queued .j-tile__count")).to_have_text("2")
    assert heads.all_inner_texts() == before
    assert "kept" not in page.url and page.locator("#j-main a[href*=kept]").count() == 0
