"""Stories about one job, in a real browser: watch it, kill it, remove it, read its errors; with script and without."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

import statuses
from jobadmin.paths import job_url
from statuses import outputs
from statuses.testing import make_status
from tests.jobadmin.engines import Toy, toy_engine
from tests.servers import Server

from .looks import axe, reads_at_every_size

pytestmark = pytest.mark.django_db(transaction=True)

TRACEBACK = """Traceback (most recent call last):
  File "/srv/venv/lib/python3.11/site-packages/celery/app/trace.py", line 477, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/venv/lib/python3.11/site-packages/django/db/transaction.py", line 7, in inner
    return func()
  File "/srv/planning/tasks.py", line 118, in recalculate
    plan.rebuild(chapters=chapters)
django.db.utils.OperationalError: deadlock detected
DETAIL:  Process 4182 waits for ShareLock on transaction 90114; blocked by process 4177."""


@pytest.fixture
def engine() -> Iterator[Toy]:
    with toy_engine() as engine:
        yield engine


@pytest.fixture
def plain_page(live: Any, browser: Any) -> Iterator[Any]:
    """A page in a browser without script."""
    context = browser.new_context(base_url=live.url, java_script_enabled=False, viewport={"width": 1360, "height": 900})
    context.add_cookies([live.cookie()])
    yield context.new_page()
    context.close()


def busy_job() -> statuses.Status:
    """A job in its third attempt with everything the page can show."""
    parent = make_status("started", job_name="planning.nightly_rollup")
    status = parent.spawn(
        "planning.recalculate_task_plan", job_args={"plan": "TaskPlan:42", "book": "Book:53"}, queue="default", user="marta.k",
        engine="toy", provider_job_id="3f6a2c10-97d4-4a1b-9e55",
        call={"args": [], "kwargs": {"plan_id": 42, "chapters": "all", "api_key": "sk-1"}},
    )  # fmt: skip
    status.queued().started(worker="default-2@app-07")
    status.add_error({"class": "django.db.utils.OperationalError", "message": "deadlock detected", "traceback": TRACEBACK, "frames": []})
    status.failed().requeued().started().request_kill(by="j.okafor", reason="Wrong start date").killed()
    status.requeued().started(worker="default-2@app-07").heartbeat().set_progress(8, 12, message="placing slots")
    status.save({"slots_moved": 318, "conflicts": [{"slot": 9114, "reason": "room taken"}]})
    for state in ("succeeded", "failed", "started", "queued"):
        child = status.spawn("planning.recalculate_chapter", job_args={"c": f"Chapter:{state}"}).queued()
        if state != "queued":
            child.started().set_progress(35, 49, message="35 of 49 slots")
        if state in ("succeeded", "failed"):
            getattr(child, state)()
    make_status("failed", job_name="mail.send_digest", job_args={"p": "TaskPlan:42"}, error="no route")
    return status


def test_the_job_page_and_its_dialogs_are_clean_for_assistive_technology(page: Any, engine: Toy) -> None:
    page.goto(job_url(busy_job().id))
    reads_at_every_size(page, "job", part=".ja")
    page.get_by_role("button", name="Kill now").first.click()
    page.get_by_role("dialog", name="Kill this job now?").wait_for()

    reads_at_every_size(page, "job-dialog", part=".ja")


@pytest.mark.parametrize("width", [1440, 390])
def test_what_copies_the_id_of_the_engine_stands_beside_it(page: Any, engine: Toy, width: int) -> None:
    job = make_status("started", engine="toy", provider_job_id="3f6a2c10-97d4-4a1b-9e55-0c1d2e3f4a5b-0c1d2e3f4a5b-0c1d2e3f4a5b")
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(job_url(job.id))

    shown, copies = (page.locator(css).bounding_box() for css in (".j-provider", "#copy-provider"))

    assert shown["x"] + shown["width"] <= copies["x"]
    assert abs(shown["y"] + shown["height"] / 2 - copies["y"] - copies["height"] / 2) < 3


@pytest.mark.console_errors
def test_a_job_that_is_gone_is_said_cleanly(page: Any) -> None:
    page.goto(job_url("no-such-job"))

    page.get_by_role("heading", name="This job does not exist").wait_for()


def test_killing_a_running_job_is_seen_to_its_end_without_a_reload(page: Any) -> None:
    status = make_status("started", job_name="library.reindex")
    page.clock.install()
    page.goto(job_url(status.id))

    page.get_by_role("button", name="Request kill").click()
    page.locator(".messagelist").get_by_text("Asked to stop.").wait_for()
    page.locator("#job-head").get_by_text("Kill requested").wait_for()

    with pytest.raises(statuses.KillRequested):
        status.check_kill()
    status.killed()
    page.clock.fast_forward(3_000)
    page.locator("#job-head .j-badge", has_text="Killed").wait_for()
    assert page.locator("#act-kill").get_attribute("aria-disabled") == "true"
    expect(page.get_by_text("Asked to stop."), "it has ended").to_have_count(0)
    expect(page.locator("#job-timeline").get_by_text("Kill requested")).to_be_visible()

    status.requeued().started()
    page.clock.fast_forward(31_000)
    page.locator("#job-head .j-badge", has_text="Started").wait_for()
    status.succeeded()
    page.clock.fast_forward(3_000)
    page.locator("#job-head .j-badge", has_text="Succeeded").wait_for()
    assert page.locator("#job-live").get_attribute("data-seconds") is None


def test_progress_moves_and_what_one_opened_stays_open(page: Any, engine: Toy) -> None:
    status = busy_job()
    page.clock.install()
    page.goto(job_url(status.id))
    page.locator(".j-fold summary").first.click()

    status.set_progress(10, 12, message="nearly there")
    page.clock.fast_forward(3_000)
    page.get_by_text("nearly there").first.wait_for()

    assert page.locator("#job-head [role=progressbar]").get_attribute("aria-valuenow") == "83"
    assert page.locator(".j-fold").first.get_attribute("open") is not None


def test_killing_now_asks_for_a_reason_and_tells_the_engine(page: Any, engine: Toy) -> None:
    status = make_status("started", job_name="library.reindex", engine="toy")
    page.goto(job_url(status.id))

    page.get_by_role("button", name="Kill now").click()
    dialog = page.get_by_role("dialog", name="Kill this job now?")
    dialog.get_by_label("Reason").fill("it hangs")
    dialog.get_by_role("button", name="Kill now").click()

    page.locator(".messagelist").get_by_text("Its process was told to end at once.").wait_for()
    page.locator("#job-audit").get_by_text("it hangs").first.wait_for()
    assert engine.killed == [status.id]


def test_a_dialog_can_be_left_with_escape_and_gives_the_focus_back(page: Any) -> None:
    status = make_status("failed")
    page.goto(job_url(status.id))

    page.locator("#act-remove").focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Remove this job?").wait_for()
    page.keyboard.press("Escape")

    page.get_by_role("dialog", name="Remove this job?").wait_for(state="hidden")
    expect(page.locator("#act-remove")).to_be_focused()
    assert statuses.find(status.id) is not None


@pytest.mark.console_errors  # 404 is the answer
def test_a_job_removed_in_another_tab_is_said_when_the_dialog_is_answered(page: Any) -> None:
    status = make_status("failed")
    page.goto(job_url(status.id))
    page.locator("#act-remove").click()
    dialog = page.get_by_role("dialog", name="Remove this job?")
    dialog.wait_for()

    status.delete(force=True)
    dialog.get_by_role("button", name="Remove").click()

    page.get_by_role("heading", name="This job does not exist").wait_for()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert axe(page) == []


def test_a_removed_job_leads_to_the_list_and_can_be_taken_back(page: Any) -> None:
    status = make_status("failed", job_name="library.reindex")
    page.goto(job_url(status.id))

    page.locator("#act-remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()

    page.get_by_text("This can be taken back for ten minutes.").wait_for()
    assert "/list/" in page.url and statuses.find(status.id) is None
    page.get_by_role("link", name="Look at it or take it back").click()
    page.wait_for_url("**/operations/*/")


def test_a_retry_shows_the_next_attempt(page: Any, engine: Toy) -> None:
    status = make_status("failed", engine="toy", error="no route")
    page.goto(job_url(status.id))

    page.locator("#act-retry").click()

    page.get_by_text("Sent again, as attempt 2.").wait_for()
    expect(page.get_by_role("tab")).to_have_count(2)


def test_attempts_are_tabs_for_pointer_keys_and_history(page: Any, engine: Toy) -> None:
    page.goto(job_url(busy_job().id))
    line = page.locator("#job-timeline")

    page.get_by_role("tab", name="Attempt 1").click()
    line.get_by_text("Attempt 1 of 3").wait_for()
    assert page.url.endswith("?attempt=0")

    page.get_by_role("tab", name="Attempt 1").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    line.get_by_text("Attempt 2 of 3").wait_for()

    page.go_back()
    line.get_by_text("Attempt 1 of 3").wait_for()


def test_another_attempt_leaves_the_rest_of_the_page_as_it_is(page: Any, engine: Toy) -> None:
    page.goto(job_url(busy_job().id))
    page.evaluate("document.querySelector('#job-errors').same = true")
    tabs = page.get_by_role("tab")
    assert [tab.get_attribute("tabindex") for tab in tabs.all()] == ["0", "-1", "-1"]

    tabs.first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")

    page.locator("#job-timeline").get_by_text("Attempt 2 of 3").wait_for()
    assert page.evaluate("document.querySelector('#job-errors').same")
    expect(page.locator("#attempt-tab-1")).to_be_focused()
    assert [tab.get_attribute("tabindex") for tab in tabs.all()] == ["-1", "0", "-1"]


def test_keys_are_explained_on_the_page_of_a_job_and_lead_away(page: Any, engine: Toy) -> None:
    page.goto(job_url(busy_job().id))
    page.keyboard.press("?")
    help = page.get_by_role("dialog", name="Keyboard shortcuts")
    help.get_by_text("Request kill").wait_for()
    expect(help.get_by_text("Select the row")).to_have_count(0)
    page.keyboard.press("Escape")
    help.wait_for(state="hidden")

    for key, place in {"l": "list/", "q": "queues/", "w": "workers/", "o": ""}.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**/admin/jobs/{place}")

    page.goto(job_url(busy_job().id))
    page.keyboard.press("g")
    page.keyboard.press("w")
    page.wait_for_url("**/admin/jobs/workers/")


def test_a_traceback_opens_folds_and_is_copied_whole(page: Any, context: Any, engine: Toy) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(job_url(busy_job().id))
    trace = page.locator(".j-trace").first
    hidden = trace.locator(".j-fold").get_by_text("celery/app/trace.py")

    expect(hidden).not_to_be_visible()
    trace.get_by_text("2 frames inside celery and django").click()
    expect(hidden).to_be_visible()
    trace.get_by_role("button", name="Copy").click()

    page.locator("#copy-trace-0.is-copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == TRACEBACK


@pytest.mark.parametrize("width", [1440, 390])
def test_why_it_failed_is_read_whole_without_scrolling_sideways(page: Any, width: int) -> None:
    says = "The slot 9114 is taken already: the room is booked from 14:00 to 16:30 by another plan, and moving it would break a rule, "
    says += "for no chapter may be placed twice in one week"
    frame = 'File "/srv/planning/tasks.py", line 118, in recalculate'
    text = f"Traceback (most recent call last):\n  {frame}\n    plan.rebuild()\nValueError: {says}"
    errors = [{"class": "ValueError", "message": says, "traceback": text, "frames": []} for _ in range(2)]
    job = make_status("started", job_name="planning.recalculate")
    for error in errors:
        job.add_error(error)
    job.failed()
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(job_url(job.id))
    whole = "one => one.scrollWidth <= one.clientWidth + 1"

    opened, closed = page.locator(".j-trace summary .j-cut").all()
    assert opened.evaluate(whole) and not closed.evaluate(whole)
    assert page.locator(".j-trace[open] .err").last.evaluate(whole)


def test_words_of_an_output_are_not_broken_where_there_is_room_to_scroll(page: Any) -> None:
    def parts(status: Any) -> list[Any]:
        rows = [("reports.summarise", "succeeded", "57 files, 13,726 lines, 476,469 bytes")]
        return [outputs.Table(columns=("Check", "State", "Found"), rows=rows)]

    outputs.register("packages.audit")(parts)
    try:
        job = make_status("succeeded", job_name="packages.audit")
        page.set_viewport_size({"width": 390, "height": 900})
        page.goto(job_url(job.id))
        lines = """cells => cells.map(cell => {
          const words = document.createRange();
          words.selectNodeContents(cell);
          return words.getClientRects().length;
        })"""

        assert page.locator(".j-output__scroll td").evaluate_all(lines)[:2] == [1, 1]
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    finally:
        outputs.unregister(parts)


@pytest.mark.console_errors
def test_a_store_that_stops_while_one_looks_is_said_and_what_was_known_stays(page: Any) -> None:
    with tempfile.TemporaryDirectory(prefix="ja-") as folder:
        server = Server(Path(folder), "s")
        statuses.configure(url=server.url, namespace="lost")
        status = make_status("started", job_name="library.reindex")
        page.clock.install()
        page.goto(job_url(status.id))

        server.stop()
        page.clock.fast_forward(3_000)
        page.get_by_role("alert").get_by_text("Redis does not answer").wait_for()
        assert page.get_by_role("heading", name="library.reindex").is_visible()

        server.start()
        page.clock.fast_forward(9_000)
        page.get_by_role("alert").wait_for(state="hidden")
        server.stop()


def test_keys_retry_and_ask_to_stop(page: Any, engine: Toy) -> None:
    status = make_status("failed", engine="toy")
    page.goto(job_url(status.id))

    page.keyboard.press("r")
    page.locator(".messagelist").get_by_text("Sent again").wait_for()
    page.wait_for_load_state()  # the words stand there before the scripts listen
    page.keyboard.press("Shift+K")
    page.locator(".messagelist").get_by_text("Killed: it had not started").wait_for()


def test_why_something_is_not_possible_is_shown_to_the_keyboard(page: Any) -> None:
    page.goto(job_url(make_status("started").id))

    page.locator("#act-remove").focus()

    assert page.get_by_role("tooltip").filter(has_text="It can be removed once it has ended.").is_visible()


def test_everything_works_without_script(plain_page: Any, engine: Toy) -> None:
    status = make_status("started", job_name="library.reindex", engine="toy")
    status.failed().requeued().started()
    plain_page.goto(job_url(status.id))

    plain_page.get_by_role("tab", name="Attempt 1").click()
    plain_page.get_by_text("Attempt 1 of 2").wait_for()
    plain_page.locator("#act-kill").click()
    plain_page.locator(".messagelist").get_by_text("Asked to stop.").wait_for()
    plain_page.locator("#act-kill-now").click()
    plain_page.get_by_role("heading", name="Kill this job now?").wait_for()
    plain_page.get_by_label("Reason").fill("it hangs")
    plain_page.get_by_role("button", name="Kill now").click()
    plain_page.locator(".messagelist").get_by_text("Its process was told to end at once.").wait_for()
    assert engine.killed == [status.id]

    status.killed()
    plain_page.goto(job_url(status.id))
    plain_page.locator("#act-remove").click()
    plain_page.get_by_role("heading", name="Remove this job?").wait_for()
    plain_page.get_by_role("button", name="Remove").click()
    plain_page.get_by_text("This can be taken back for ten minutes.").wait_for()
    assert statuses.find(status.id) is None


def test_sub_jobs_whose_texts_are_very_long_are_as_wide_as_their_page(page: Any) -> None:
    long = "a.very.long.name.that.never.ends@a-company-with-a-long-name.example"
    parent = make_status("started")
    for _ in range(2):
        make_status(
            "failed", parent=parent, job_name=f"package.{long}", job_args={"a": f"Shelf:1{long}", "b": f"Shelf:2{long}"}, error=long
        )
    page.goto(job_url(parent.id))
    table = page.locator("#children table")
    wide = []
    for width in (1440, 1280, 1024, 900, 390):
        page.set_viewport_size({"width": width, "height": 900})
        wide += [width] if table.evaluate("one => one.scrollWidth > one.parentNode.clientWidth") else []
        wide += [width] if page.evaluate("document.documentElement.scrollWidth") > width else []

    assert wide == []


def test_attempts_stand_two_in_a_row_on_a_phone_in_german_too(page: Any) -> None:
    status = make_status("failed", error="late")
    for _ in range(3):
        status.requeued().started().failed(error="late")
    page.set_extra_http_headers({"Accept-Language": "de"})
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(job_url(status.id))

    assert len(set(page.get_by_role("tab").evaluate_all("tabs => tabs.map(tab => tab.offsetTop)"))) == 2
