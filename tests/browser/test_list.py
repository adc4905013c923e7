"""Stories about the list, in a real browser: look, sort, page, select, act on a row."""

import re
from datetime import timedelta

import pytest
from playwright.sync_api import expect

import statuses
from jobadmin.tables import choosable
from statuses.testing import make_status

from .looks import axe, reads_at_every_size

pytestmark = pytest.mark.django_db(transaction=True)


def load(number: int, state: str = "succeeded", **more) -> None:
    now = statuses.server_time()
    ends = {f"{state}_at": now} if state in ("succeeded", "failed", "killed") else {}
    statuses.load(
        {
            "job_name": f"library.job_{n % 3}",
            "job_args": {"book": f"Book:{n}"},
            "queue": "bulk" if n % 2 else "default",
            "user": "ines",
            "state": state,
            "recorded_at": now - timedelta(seconds=number - n),
            "queued_at": now - timedelta(seconds=number - n),
            **({"started_at": now} if ends else {}),
            **ends,
            **more,
        }
        for n in range(number)
    )


def picked(page) -> str:
    return page.locator("[data-picked]").inner_text()


def test_selecting_a_row_a_range_the_page_and_all_that_match(page) -> None:
    load(60)
    page.goto("/admin/jobs/list/")
    boxes = page.locator("#j-list tbody .j-check")
    expect(page.locator("[data-bulk]")).to_be_hidden()

    boxes.nth(1).click()
    assert picked(page).startswith("1 selected")
    assert page.locator("[data-verb=remove] .j-btn__n").inner_text() == "1"
    assert page.locator("[data-verb=kill]").get_attribute("aria-disabled") == "true"

    boxes.nth(5).click(modifiers=["Shift"])
    assert picked(page).startswith("5 selected")

    page.locator("thead [data-pick=page]").click()
    assert picked(page).startswith("50 selected")
    page.get_by_role("button", name="Select all 60 that match").click()
    assert picked(page) == "60 selected all that match"
    assert page.locator("[data-verb=remove] .j-btn__n").inner_text() == "60"

    page.get_by_role("button", name="Select only the 50 on this page").click()
    assert picked(page).startswith("50 selected")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("[data-bulk]")).to_be_hidden()


def test_pages_and_order_are_links_and_back_works(page) -> None:
    load(120)
    page.goto("/admin/jobs/list/")
    page.get_by_role("link", name="Older").click()
    page.get_by_text("51 – 100").wait_for()
    page.get_by_role("link", name="Run time").click()
    page.locator("th[aria-sort=descending]", has_text="Run time").wait_for()
    assert "sort=-run_time" in page.url

    page.go_back()
    page.get_by_text("51 – 100").wait_for()


def test_keys_move_between_rows_select_and_open(page) -> None:
    load(5)
    page.goto("/admin/jobs/list/")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.closest('tbody tr')?.rowIndex") == 1, "there is no row before the first"
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("tr.is-picked")).to_have_count(1)
    assert page.locator("#j-list tbody tr").nth(1).get_attribute("class") == "is-picked"
    page.keyboard.press("Escape")
    expect(page.locator("tr.is-picked")).to_have_count(0)

    page.locator("#j-list tbody tr").nth(1).locator(".j-check").focus()
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/list/" not in url)
    page.go_back()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/list/" not in url)


def test_a_row_s_job_is_asked_to_stop(page) -> None:
    job = make_status("started", job_name="library.reindex")
    page.goto("/admin/jobs/list/")

    page.get_by_role("button", name=f"Request kill {job.id}", exact=True).click()

    page.locator(".s-killreq.j-badge").wait_for()
    assert job.reload().kill_requested_by == "admin"
    said = page.locator(".messagelist li", has_text="Library.reindex: Asked to stop.")
    expect(said).to_be_visible()

    job.killed()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("#j-list .j-badge.s-killed").wait_for()
    said.wait_for(state="detached")


def test_after_a_key_acted_on_a_row_the_keys_go_on_from_there(page) -> None:
    for name in ("library.first", "library.second", "library.third"):
        make_status("started", job_name=name)
    page.goto("/admin/jobs/list/")
    page.keyboard.press("j")
    page.keyboard.press("j")

    page.keyboard.press("K")
    page.locator(".s-killreq.j-badge").wait_for()

    page.wait_for_function("document.activeElement.textContent === 'library.second'")
    assert [job.job_name for job in statuses.all() if job.kill_requested] == ["library.second"]


def test_the_menu_of_a_row_opens_beside_it(page) -> None:
    job = make_status("succeeded")
    page.goto("/admin/jobs/list/")

    button = page.get_by_role("button", name=f"More actions for {job.id}")
    button.click()

    menu = page.locator(".j-rowmenu:popover-open")
    expect(menu).to_be_visible()
    place, anchor = menu.bounding_box(), button.bounding_box()
    assert abs(place["x"] + place["width"] - anchor["x"] - anchor["width"]) < 3
    assert menu.get_by_role("button", name="Remove").is_visible()
    assert menu.get_by_role("button", name=re.compile("^Request kill.*ended")).is_visible(), "why not, for those without a pointer too"


def test_removing_one_job_asks_in_a_dialog(page) -> None:
    job = make_status("succeeded")
    page.goto("/admin/jobs/list/")
    page.get_by_role("button", name=f"More actions for {job.id}").click()
    page.locator(".j-rowmenu:popover-open").get_by_role("button", name="Remove").click()

    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Remove this job?").wait_for()
    assert axe(page) == []
    dialog.get_by_role("link", name="Cancel").click()
    assert statuses.find(job.id)

    page.get_by_role("button", name=f"More actions for {job.id}").click()
    page.locator(".j-rowmenu:popover-open").get_by_role("button", name="Remove").click()
    dialog.get_by_role("button", name="Remove").click()
    page.get_by_text("No jobs yet").wait_for()
    assert statuses.find(job.id) is None


def test_with_alt_a_value_is_left_out(page) -> None:
    load(4)
    page.goto("/admin/jobs/list/")

    page.locator("#j-list tbody").get_by_role("link", name="bulk").first.click(modifiers=["Alt"])

    page.wait_for_url("**queue=-bulk*")
    page.locator("#j-count", has_text="2 of 4 jobs").wait_for()


def test_a_live_look_leaves_the_keys_on_their_row(page) -> None:
    load(4)
    page.goto("/admin/jobs/list/")
    page.keyboard.press("j")
    page.keyboard.press("j")
    at = page.evaluate("document.activeElement.closest('tr').id")

    page.evaluate("document.querySelector('#j-list').dataset.old = ''")
    make_status("queued", job_name="the.newest")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.locator("#j-list:not([data-old])").wait_for()

    assert page.evaluate("document.activeElement.closest('tr')?.id") == at
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 1


def test_what_one_click_asked_for_a_second_one_leaves_out(page) -> None:
    load(4)
    page.goto("/admin/jobs/list/")
    page.locator("#j-list tbody").get_by_role("link", name="bulk").first.click()
    page.locator("#j-count", has_text="2 of 4 jobs").wait_for()

    page.get_by_role("link", name="Leave out: Queue bulk").click()
    page.wait_for_url("**queue=-bulk*")
    page.locator("#j-list tbody").get_by_role("link", name="default").first.wait_for()
    expect(page.locator("#j-list tbody").get_by_role("link", name="bulk")).to_have_count(0)

    page.get_by_role("link", name="Show only: Queue bulk").click()
    page.wait_for_url("**queue=bulk*")


def test_an_answer_that_takes_long_looks_like_loading(page) -> None:
    load(4)
    page.goto("/admin/jobs/list/")
    page.route("**/list/?*state=failed*", lambda route: None)  # never answered

    page.locator(".j-chip.s-failed").click()

    assert page.locator("#j-main").get_attribute("aria-busy") == "true"
    page.locator("#j-main.is-loading").wait_for()
    assert page.locator("#j-list").evaluate("list => getComputedStyle(list, '::after').content") == '""'


@pytest.mark.parametrize("width", [820, 390])
def test_a_number_below_its_state_begins_where_that_begins(page, width: int) -> None:
    load(3)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/admin/jobs/list/")

    begins = page.evaluate(
        """[...document.querySelectorAll(".j-strip--slim .j-tile")].map(tile => {
          const [label, number] = [".j-tile__label", ".j-tile__count"].map(css => tile.querySelector(css));
          return label.getBoundingClientRect().bottom <= number.getBoundingClientRect().top + 1
            && getComputedStyle(label).paddingLeft === getComputedStyle(number).paddingLeft;
        })"""
    )
    assert begins == [True] * 9


def test_chips_do_not_touch_and_the_strip_has_no_open_corner(page) -> None:
    load(3, job_args={"book": "Book:a-long-name-of-a-book", "shelf": "Shelf:a-long-name-of-a-shelf", "at": "Place:somewhere-else"})
    for address in ("/admin/jobs/", "/admin/jobs/list/"):
        page.goto(address)
        for width in (700, 768, 1100):
            page.set_viewport_size({"width": width, "height": 900})
            strip, last = page.locator(".j-strip").bounding_box(), page.locator(".j-strip .j-tile").last.bounding_box()
            assert abs(strip["x"] + strip["width"] - last["x"] - last["width"]) <= 1, (address, width)
            assert abs(strip["y"] + strip["height"] - last["y"] - last["height"]) <= 1, (address, width)
            if address.endswith("/list/"):
                assert nearest_chips(page) >= 3, width


def nearest_chips(page) -> float:
    """Pixels between those chips of the first row that are nearest to each other."""
    boxes = (
        page.locator("#j-list tbody tr")
        .first.locator(".j-chip--res")
        .evaluate_all("chips => chips.map(c => c.getBoundingClientRect().toJSON())")
    )
    assert len(boxes) > 1
    return min(
        max(other["left"] - one["right"], one["left"] - other["right"], other["top"] - one["bottom"], one["top"] - other["bottom"])
        for number, one in enumerate(boxes)
        for other in boxes[number + 1 :]
    )


def test_new_jobs_wait_for_a_click(page) -> None:
    load(3)
    page.goto("/admin/jobs/list/")
    page.locator("#j-live").click()
    make_status("queued", job_name="the.newest")

    page.locator("#j-live").click()
    page.get_by_role("link", name="1 new job").wait_for()
    expect(page.get_by_text("the.newest")).to_have_count(0)

    page.get_by_role("link", name="1 new job").click()
    page.locator("#j-list").get_by_text("the.newest").wait_for()
    expect(page.get_by_role("link", name="1 new job")).to_have_count(0)


def test_columns_and_rows_are_the_viewer_s_choice(page) -> None:
    load(120)
    page.goto("/admin/jobs/list/")
    page.get_by_label("Rows").select_option("100")
    page.get_by_text("1 – 100").wait_for()
    page.get_by_role("button", name="Columns").click()
    page.locator("#j-columns").get_by_label("Engine").check()
    page.get_by_role("button", name="Show these").click()
    page.locator("thead th", has_text="Engine").wait_for()
    assert "columns" not in page.url

    newer = page.get_by_role("button", name="Newer")
    assert (newer.get_attribute("aria-disabled"), newer.get_attribute("title")) == ("true", "This is the first page")

    page.reload()
    expect(page.locator("thead th", has_text="Engine")).to_be_visible()
    expect(page.get_by_text("1 – 100")).to_be_visible()

    page.get_by_role("button", name="Columns").click()
    expect(page.locator("#j-columns input:checked:disabled")).to_have_count(2)
    page.locator("#j-columns").evaluate("menu => menu.querySelectorAll('input:enabled').forEach(box => { box.checked = false; })")
    page.get_by_role("button", name="Show these").click()
    page.locator("thead th", has_text="Engine").wait_for(state="detached")
    expect(page.locator("thead th", has_text="Job")).to_be_visible()


def test_nothing_serious_is_found_by_axe(page) -> None:
    load(5)
    load(3, "failed")
    make_status("started", user="otto").set_progress(0.4, message="40 of 100").request_kill()
    page.goto("/admin/jobs/list/?span=all")
    page.locator("#j-list tbody .j-check").first.click()

    reads_at_every_size(page, "list", part=".ja")


def test_what_can_be_done_to_a_row_is_in_sight_however_wide_the_row_is(page) -> None:
    load(2, job_args={"workflow": "Workflow:montage-chameleon-2mass-015d-001", "machine": "Machine:memory-1"})
    page.goto("/admin/jobs/list/?span=all")
    page.locator("#j-list .j-table--jobs").evaluate("table => { table.style.minWidth = '2000px' }")
    for width in (860, 940, 1280):
        page.set_viewport_size({"width": width, "height": 900})

        last = page.locator("#j-list tbody .c-acts .j-btn--icon:visible").last.bounding_box()

        assert last["x"] + last["width"] < width - 24, width


def test_with_every_column_what_can_be_done_hides_none_at_the_end_and_tells_before_that_there_are_more(page) -> None:
    load(2, "failed", errors=["OutOfCards"])
    page.goto("/admin/jobs/list/?" + "&".join(f"columns={name}" for name in choosable()))
    acts, head = page.locator("#j-list tbody .c-acts").first, page.locator("#j-list thead .c-acts")
    before = acts.evaluate("cell => getComputedStyle(cell).backgroundImage")

    assert abs(acts.bounding_box()["x"] - head.bounding_box()["x"]) < 1
    page.locator("#j-list .j-scroll").evaluate("box => new Promise(done => { box.onscroll = done; box.scrollLeft = box.scrollWidth })")
    last = page.locator("#j-list tbody tr").first.locator("td").nth(-2).bounding_box()

    assert last["x"] + last["width"] <= acts.bounding_box()["x"] + 1
    page.wait_for_function(
        "before => getComputedStyle(document.querySelector('#j-list tbody .c-acts')).backgroundImage !== before", arg=before
    )


def test_the_usual_columns_fit_into_a_page_of_1440_px_with_longer_words_than_english_has(page) -> None:
    about = {
        "job_name": "packages.check_imports",
        "user": "nightly",
        "job_args": {"package": "Package:celery", "module": "Module:celery.app"},
    }
    load(3, "failed", errors=["sqlite3.OperationalError: database is locked"], **about)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.set_extra_http_headers({"Accept-Language": "de"})
    page.goto("/admin/jobs/list/")

    expect(page.locator("#j-list .j-badge", has_text="Fehlgeschlagen")).to_have_count(3)
    assert page.locator("#j-list .j-scroll").evaluate("box => box.scrollWidth <= box.clientWidth")


@pytest.mark.parametrize("width", [1440, 1366])
def test_two_resources_leave_a_row_one_line_tall_and_the_rest_of_it_to_the_error(page, width: int) -> None:
    about = {"package": "Package:opentelemetry-semantic-conventions", "module": "Module:opentelemetry.semconv.attributes"}
    load(2, "failed", job_name="packages.check_imports", job_args=about, errors=["ModuleNotFoundError: No module named 'glide_sync'"])
    load(1)
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/admin/jobs/list/")
    error = page.locator("#j-list .j-outcome--bad").first

    assert len(set(page.locator("#j-list tbody tr").evaluate_all("rows => rows.map(row => row.offsetHeight)"))) == 1
    assert page.locator("#j-list .j-scroll").evaluate("box => box.scrollWidth <= box.clientWidth")
    assert error.evaluate("one => one.scrollHeight <= one.clientHeight + 1"), "read whole"


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_job_all_of_whose_texts_are_very_long_is_as_wide_as_its_page(page, language: str) -> None:
    long = "a.user.with.a.very.long.name.that.never.ends@a-company-with-a-long-name.example"
    texts = {
        "job_name": f"package.{long}",
        "user": long,
        "queue": f"queue.{long}",
        "job_args": {"a": f"Shelf:1-{long}", "b": f"Shelf:2-{long}"},
    }
    load(2, job_args={"book": "Book:53"}, user="ines")
    load(2, "failed", **texts, errors=[f"ModuleNotFoundError: {long}"])
    for state in ("succeeded", "killed", "unknown", "queued"):
        load(1, state, **texts)
    make_status("started", **texts).set_progress(0.7, message=long).request_kill()
    page.set_extra_http_headers({"Accept-Language": language})
    page.goto("/admin/jobs/list/?span=all")
    found = []
    for width in (1700, 1536, 1440, 1366, 1280, 1230, 1024, 900, 850):
        page.set_viewport_size({"width": width, "height": 900})
        hidden = page.locator("#j-list .j-scroll").evaluate("box => box.scrollWidth - box.clientWidth")
        found += [(width, hidden)] if hidden > 0 else []
        for short in ("Book:53", "ines"):
            text = page.locator("#j-list").get_by_text(short, exact=True).first
            cut = text.is_visible() and text.evaluate(
                "one => one.scrollWidth > one.clientWidth && getComputedStyle(one).display !== 'inline'"
            )
            found += [(width, short)] if cut else []

    assert found == []
    page.set_viewport_size({"width": 1440, "height": 900})
    assert page.locator("#j-list tbody tr").evaluate_all("rows => Math.max(...rows.map(row => row.offsetHeight))") <= 35


def test_a_name_of_the_usual_length_is_read_whole_beside_long_resources_and_errors(page) -> None:
    texts = {
        "job_name": "packages.compile_source",
        "job_args": {"a": "Package:1-prometheus-client", "b": "Module:1-prometheus_client.aiohttp"},
    }
    load(3, **texts, user="nightly", queue="default")
    load(2, "failed", **texts, errors=["ModuleNotFoundError: No module named 'aiohttp', nor anything that is like it"])
    page.goto("/admin/jobs/list/?span=all")
    cut = []
    for width in (1920, 1440, 1280, 1230):
        page.set_viewport_size({"width": width, "height": 900})
        names = page.locator("#j-list tbody th > a")
        cut += [width] if names.evaluate_all("names => names.some(one => one.scrollHeight > one.clientHeight + 2)") else []

    assert cut == []


@pytest.mark.parametrize("language", ["en", "de"])
def test_which_time_is_meant_stands_beside_the_time_and_the_tabs_of_a_phone_in_a_row(page, language: str) -> None:
    load(1)
    page.set_extra_http_headers({"Accept-Language": language})
    page.goto("/admin/jobs/list/?span=all")
    time, which = page.locator(".j-seg--time"), page.locator(".j-field:has(.j-by)")
    apart = []
    for width in (1440, 1280, 1230, 1181, 1100, 900):
        page.set_viewport_size({"width": width, "height": 900})
        apart += [width] if time.bounding_box()["y"] != which.bounding_box()["y"] else []

    assert apart == []
    page.set_viewport_size({"width": 390, "height": 900})
    assert len(set(page.locator("#j-tabs a:visible").evaluate_all("tabs => tabs.map(tab => tab.offsetTop)"))) == 1


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_rows_of_the_list_are_as_wide_as_their_page(page, language: str) -> None:
    load(3)
    for state in ("failed", "killed", "unknown"):
        load(3, state, errors=["demo.errors.PackageIsBroken: it holds no files that could be read"])
    make_status("started", job_name="packages.audit.list_entry_points").set_progress(0.4, message="40 of 100 packages").request_kill()
    told = make_status(
        "started", job_name="packages.audit", job_args={"a": "Package:whitenoise", "b": "Module:whitenoise.runserver_nostatic"}
    )
    told.set_progress(0.7, message="everything that was found so far is compared with what was found the last time")
    page.set_extra_http_headers({"Accept-Language": language})
    page.goto("/admin/jobs/list/?span=all")
    found = []
    for width in (1600, 1536, 1440, 1366, 1280, 1100, 1024, 900, 860, 820, 768, 700):
        page.set_viewport_size({"width": width, "height": 900})
        hidden = page.locator("#j-list .j-scroll").evaluate("box => box.scrollWidth - box.clientWidth")
        found += [(width, hidden)] if hidden > 0 else []

    assert found == []
    expect(page.get_by_title("everything that was found so far")).to_have_count(1)


def test_the_two_lines_of_a_group_of_errors_touch_no_edge(page) -> None:
    with pytest.raises(ZeroDivisionError), statuses.track("books.count"):
        _ = 1 / 0
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/admin/jobs/errors/?span=all")

    expect(page.locator("tbody th small")).to_have_text(re.compile("test_the_two_lines"))
    assert page.locator("tbody tr").evaluate("row => row.getBoundingClientRect().height") >= 44


@pytest.mark.parametrize("width", [640, 500, 390, 320])
def test_why_a_group_of_errors_cannot_be_retried_is_told_inside_a_phone(page, width: int) -> None:
    load(3, "failed", errors=["swf status 0"])
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/admin/jobs/errors/?span=all")
    page.locator("tbody .j-act").hover()

    why, box = page.locator("tbody .j-why"), page.locator(".j-scroll")
    expect(why).to_be_visible()
    assert box.evaluate("box => box.scrollWidth <= box.clientWidth")


def test_a_list_that_is_cards_on_a_tablet_is_sorted_and_picked_there(page) -> None:
    load(3)
    page.set_viewport_size({"width": 768, "height": 900})
    page.goto("/admin/jobs/list/?span=all")

    page.get_by_role("checkbox", name="Select this page").check()
    expect(page.locator("#j-list tbody .j-check:checked")).to_have_count(3)
    page.get_by_role("checkbox", name="Select this page").uncheck()
    page.locator("#j-list thead").get_by_role("link", name="Run time").click()
    page.wait_for_url("**sort=-run_time**")


def test_a_name_on_a_card_breaks_after_a_sign_and_not_inside_a_word(page) -> None:
    names = [
        "mail.send_invoice_with_reminder_to_all",
        "billing.invoices.reminders:send-second/by_letter.or_otherwise",
        "<b>x</b>.y&amp;" + "_z" * 20,
    ]
    for name in names:
        load(1, job_name=name)
    page.set_viewport_size({"width": 390, "height": 900})
    for address in ("list/?span=all", "names/?span=all"):
        page.goto(f"/admin/jobs/{address}")
        links = page.locator("#j-main tbody th > a")
        assert sorted(links.evaluate_all("all => all.map(one => one.textContent)")) == sorted(names)
        nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        assert set(names) <= {node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == "link"}, "read aloud as it is"
        ends = links.evaluate_all(
            """all => all.flatMap(link => {
              const text = [...link.childNodes].filter(node => node.nodeType === 3).flatMap(node => [...node.data].map((sign, at) => {
                const one = document.createRange();
                one.setStart(node, at);
                one.setEnd(node, at + 1);
                return [sign, Math.round(one.getBoundingClientRect().top)];
              }));
              return text.filter(([, top], at) => at + 1 < text.length && text[at + 1][1] > top + 4).map(([sign]) => sign);
            })"""
        )
        assert len(ends) > 1 and set(ends) <= set("._-:/"), (address, ends)


def test_what_a_job_does_not_have_takes_no_line_of_a_phone(page) -> None:
    load(1)
    load(1, "failed", errors=["OutOfCards"])
    make_status("queued", job_name="mail.send")
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto("/admin/jobs/list/")
    rows = page.locator("#j-list tbody tr")
    expect(rows).to_have_count(3)
    cells = "row => [...row.querySelectorAll('td, th')].filter(cell => cell.offsetParent && cell.innerText.trim() === '–').length"

    assert rows.evaluate_all(f"rows => rows.map({cells})") == [0, 0, 0]
    succeeded, failed = (rows.filter(has=page.locator(f".s-{state}")) for state in ("succeeded", "failed"))
    assert succeeded.bounding_box()["height"] < failed.bounding_box()["height"] - 10
    expect(succeeded.locator(".c-run")).to_be_visible()


def test_the_way_out_of_a_filter_with_a_long_word_fits_a_phone(page) -> None:
    load(1)
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto("/admin/jobs/errors/?error=SoftTimeLimitExceeded+demo%2Flong_tasks.py%3Afind_similar")

    drop = page.locator(".j-empty__acts .j-btn").first.bounding_box()

    assert drop["x"] >= 0 and drop["x"] + drop["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_long_texts_do_not_push_out_of_sight_how_a_job_ended(page) -> None:
    long = "a.user.with.a.long.name@a-company-with-one.example"
    load(3)
    load(
        3,
        "failed",
        user=long,
        queue=long,
        job_name=f"package.{long}",
        errors=["OutOfCards: none are left"],
        job_args={"x": f"Shelf:{long}"},
    )
    for width in (1280, 1024):
        page.set_viewport_size({"width": width, "height": 800})
        page.goto("/admin/jobs/list/")

        row = page.locator("#j-list tbody tr", has_text="OutOfCards").first
        outcome, acts = (row.locator(css).first.bounding_box() for css in (".j-outcome", ".c-acts .j-btn:visible"))
        user = row.locator(f"[title*='{long}']").first

        assert outcome["x"] + outcome["width"] <= acts["x"], width
        expect(user).to_be_visible()


def test_as_much_of_an_error_as_its_row_is_tall_can_be_read(page) -> None:
    load(1)
    load(1, "failed", errors=["ModuleNotFoundError: No module named 'grequests', which every second job of this name needs"])
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/admin/jobs/list/")
    heights = page.locator("#j-list tbody tr").evaluate_all("rows => rows.map(row => row.offsetHeight)")
    error = page.locator("#j-list .j-outcome--bad")

    def lines() -> int:
        return error.evaluate("one => Math.round(one.clientHeight / parseFloat(getComputedStyle(one).lineHeight))")

    assert len(set(heights)) == 1 and lines() == 2
    page.set_viewport_size({"width": 390, "height": 900})
    assert lines() == 3


def test_opened_on_a_phone_the_filters_scroll_away_with_the_page(page) -> None:
    load(60)
    page.set_viewport_size({"width": 390, "height": 700})
    page.goto("/admin/jobs/list/")
    bar, button = page.locator("#j-filters"), page.locator("#j-all-filters")

    page.evaluate("scrollTo(0, 1500)")
    assert bar.bounding_box()["y"] == 0
    button.click()
    expect(page.locator("#j-in-name")).to_be_in_viewport()
    page.evaluate("scrollTo(0, 1500)")
    expect(bar).not_to_be_in_viewport()

    button.click()
    page.evaluate("scrollTo(0, 1500)")
    expect(bar).to_be_in_viewport()


def test_a_narrow_list_names_the_states_it_is_filtered_by(page) -> None:
    load(2, "failed")
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto("/admin/jobs/list/?state=failed&state=killed&flag=stale")
    chips = page.locator("#j-tokens .j-chip:visible")
    assert chips.all_inner_texts() == ["State Failed, Killed", "Flag Stale heartbeat"]
    assert page.locator("#j-count").inner_text() == "0 of 2 jobs"
    assert page.locator("#j-count").is_visible() and page.locator("label.s-stale").is_hidden()

    page.get_by_role("link", name="Remove filter Flag Stale heartbeat").click()
    page.locator("#j-list tbody .j-badge.s-failed").first.wait_for()
    assert "flag" not in page.url

    page.set_viewport_size({"width": 1440, "height": 900})
    expect(chips, "its toggles tell").to_have_count(0)


def test_what_clears_the_filter_stands_beside_what_is_filtered_by(page) -> None:
    load(2, "failed")

    def beside(what: str) -> float:
        clear, other = page.get_by_role("link", name="Clear all"), page.locator(what).first
        clear.wait_for()
        one, two = clear.bounding_box(), other.bounding_box()
        return abs(one["y"] + one["height"] / 2 - two["y"] - two["height"] / 2)

    page.goto("/admin/jobs/list/?state=failed")
    assert beside("label.s-stale") < 4
    page.set_viewport_size({"width": 390, "height": 900})
    assert beside("#j-tokens .j-chip") < 4
    page.set_viewport_size({"width": 1440, "height": 900})

    page.goto("/admin/jobs/list/?state=failed&queue=bulk")
    assert beside("#j-tokens .j-chip:visible") < 4
    page.get_by_role("link", name="Remove filter Queue bulk").click()
    page.locator("#j-clear a").wait_for()
    assert beside("label.s-stale") < 4

    page.get_by_role("link", name="Clear all").click()
    page.get_by_role("link", name="Clear all").wait_for(state="detached")
    assert "state" not in page.url


def test_without_script_the_list_is_forms_and_links(browser, live) -> None:
    load(60)
    context = browser.new_context(base_url=live.url, java_script_enabled=False)
    context.add_cookies([live.cookie()])
    page = context.new_page()
    page.goto("/admin/jobs/list/")

    fields = page.locator(".j-field:has(input[list])")
    assert fields.count() == 3 and fields.locator(".j-i:visible").count() == 3, "the browser has an arrow of its own"
    page.get_by_role("link", name="Older").click()
    expect(page.get_by_text("51 – 60")).to_be_visible()
    page.get_by_role("link", name="Wait").first.click()
    page.wait_for_url("**sort=-wait_time*")
    expect(page.get_by_role("link", name="Remove 60")).to_be_visible()
    context.close()
