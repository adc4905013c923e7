"""The pages of queues and workers in a real browser."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect

import statuses
from statuses import sampling, upkeep
from statuses.engines import registry
from statuses.engines.base import Engine, Queue, Schedule, Worker
from statuses.testing import frozen_clock, make_status

from .looks import axe, picture, reads_at_every_size, sizes, too_wide

WHY = "its app does not set worker_pool_restarts = True"
LONG = "a-worker-with-a-rather-long-name@ip-10-0-24-117.eu-central-1.compute.internal"


class Lines(Engine):
    """An engine whose workers a test says."""

    name = "lines"
    has_workers = has_queues = has_schedules = True
    can_stop_worker = can_restart_pool = can_pause_queue = True

    def __init__(self) -> None:
        now = statuses.server_time()
        common = {"started_at": now - timedelta(hours=26), "concurrency": 4, "host": "web-3", "pool": "prefork", "pid": 4711}
        self.there = [
            Worker(name="worker-1", queues=("mail", "reports"), seen_at=now, **common),
            Worker(name=LONG, queues=("imports", "held"), held=("held",), refuses={"restart_pool": WHY}, seen_at=now, **common),
            Worker(name="stopping@web-3", queues=("mail",), seen_at=now, is_stopping=True, **common),
            Worker(name="lost@web-4", queues=("mail",), seen_at=now - timedelta(minutes=4), is_alive=False, **common),
        ]

    def workers(self) -> list[Worker]:
        return self.there

    def queues(self) -> list[Queue]:
        held = Queue(name="held", depth=0, is_paused=True, paused_at=statuses.server_time(), paused_by="marta")
        return [Queue(name="mail", depth=1), Queue(name="imports", depth=0), held]

    def schedules(self) -> list[Schedule]:
        now = statuses.server_time()
        return [
            Schedule(
                name="digest",
                job_name="mail.send_digest",
                cron="0 6 * * 1",
                time_zone="UTC",
                queue="mail",
                next_at=now + timedelta(hours=5),
            ),
            Schedule(name=LONG, job_name="covers.render", every_seconds=300.0, queue="imports", next_at=now - timedelta(hours=2)),
            Schedule(name="never", job_name="never.ran", every_seconds=30.0),
            Schedule(name="off", job_name="never.ran", cron="*/15 * * * *", next_at=now, is_enabled=False),
        ]

    def pause_queue(self, queue: str, by: str | None = None) -> bool:
        return True


@pytest.fixture
def engine(live: Any) -> Iterator[Lines]:
    engine = Lines()
    registry.register(engine)
    for state in ("queued", "queued", "queued", "started", "failed", "succeeded", "succeeded"):
        make_status(state, queue="mail", engine="lines", job_name="mail.send_digest")
    make_status("queued", queue="nightly", engine="lines")
    make_status("queued", queue="mail", engine="lines", job_name="covers.render").started("lost@web-4")
    make_status("queued", queue="imports", engine="lines", job_name="covers.render").started(LONG)
    engine.there[1] = replace(engine.there[1], started_at=statuses.server_time())  # after the one that ran it
    with frozen_clock(statuses.server_time() - timedelta(minutes=10)), contextlib.suppress(KeyError), upkeep.watching(30, LONG):
        for chore, error in ((upkeep.REAP, None), (upkeep.CLEAN, KeyError("it died"))):
            with upkeep.doing(chore) as did:
                did |= {"failed": 3, "removed": 120_000}
                if error:
                    raise error
    yield engine
    registry.unregister(engine.name)


@pytest.mark.parametrize("name", ["queues", "workers", "schedules", "redis"])
def test_the_page_can_be_read_at_every_width_and_in_both_themes(page, engine, name):
    page.goto(f"/admin/jobs/{name}/")
    expect(page.locator(f"#j-tab-{name}")).to_have_attribute("aria-current", "page")

    reads_at_every_size(page, name, widest=1360)


def test_the_list_of_a_queue_that_is_held_up_can_be_read(page, engine):
    page.goto("/admin/jobs/list/?queue=nightly&queue=held")
    for words in ("1 job waits in nightly, and no living worker takes from it.", "Paused: held."):
        expect(page.locator(".j-note").filter(has_text=words)).to_be_visible()

    reads_at_every_size(page, "held-up")

    page.set_viewport_size({"width": 390, "height": 900})
    body, button = (page.locator(f"#j-unserved-1 {css}").bounding_box() for css in (".j-note__body", ".j-note__act"))
    assert button["y"] >= body["y"] + body["height"] and abs(button["x"] - body["x"]) < 1


@pytest.mark.parametrize("words", ["No worker is alive, and 4 jobs wait.", "The engine lines could not tell of its workers and queues."])
def test_an_overview_where_nobody_runs_what_waits_can_be_read(page, engine, monkeypatch, words):
    engine.there = [replace(worker, is_alive=False) for worker in engine.there]
    if "could not tell" in words:
        monkeypatch.setattr(Lines, "workers", lambda self: 1 / 0)

    page.goto("/admin/jobs/")

    expect(page.locator(".j-note").filter(has_text=words)).to_be_visible()
    reads_at_every_size(page, "nobody")


@pytest.mark.parametrize("width", [1440, 390])
def test_what_a_worker_takes_from_keeps_to_its_cell(page, engine, width):
    queues = ("held", "imports", "mail", "reports", "nightly")
    engine.there = [replace(engine.there[1], queues=queues)]
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/admin/jobs/workers/")

    cell = page.get_by_role("cell").filter(has=page.locator(".s-killreq"))
    expect(cell).to_have_text("held Paused, imports, mail, reports, nightly")
    assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def test_the_name_of_a_worker_is_no_tower_of_letters_where_the_table_is_wider_than_the_page(page, engine):
    engine.there = engine.there[:1]
    page.set_viewport_size({"width": 1024, "height": 900})
    page.set_extra_http_headers({"Accept-Language": "de"})
    page.goto("/admin/jobs/workers/")
    name = page.locator("#j-main tbody th", has_text="worker-1").first

    assert name.bounding_box()["width"] >= 110
    assert name.bounding_box()["height"] < 80


@pytest.mark.parametrize("name", ["queues", "workers"])
def test_the_heads_of_a_table_stand_in_one_line_with_and_without_a_sign(page, engine, name):
    page.goto(f"/admin/jobs/{name}/")

    tops = (
        page.locator("#j-main table")
        .first.locator("thead th")
        .evaluate_all(
            """heads => heads.map(head => {
          const words = document.createRange();
          words.selectNodeContents(head.querySelector("span") ?? head);
          return Math.round(words.getBoundingClientRect().bottom * 10);
        })"""
        )
    )
    assert len(tops) > 5 and max(tops) - min(tops) <= 5


def test_the_ways_to_the_pages_stand_in_one_line_on_a_phone(page, engine):
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto("/admin/jobs/workers/")

    tops = page.eval_on_selector_all("#j-tabs a", "tabs => tabs.filter(tab => tab.offsetParent).map(tab => tab.offsetTop)")
    assert len(tops) == 6 and len(set(tops)) == 1


@pytest.mark.parametrize("width", [390, 320])
@pytest.mark.parametrize("language", ["en", "de"])
def test_the_way_to_the_present_page_is_in_sight_on_a_phone(page, engine, width, language):
    page.set_viewport_size({"width": width, "height": 900})
    page.set_extra_http_headers({"Accept-Language": language})
    found = []
    for name in ("", "list", "queues", "workers", "schedules", "operations", "redis"):
        page.goto(f"/admin/jobs/{name and name + '/'}")
        box = page.locator("#j-tabs [aria-current=page]").bounding_box()
        found.append(box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width and page.evaluate("scrollY") == 0)

    assert found == [True] * 7


@pytest.mark.parametrize("language", ["en", "de"])
def test_queues_and_workers_are_as_wide_as_their_page(page, engine, language):
    page.set_extra_http_headers({"Accept-Language": language})
    engine.there = [engine.there[0]]
    found = []
    for name in ("queues", "workers"):
        page.goto(f"/admin/jobs/{name}/")
        for width in (1280, 1100, 1024, 960, 768, 700):
            page.set_viewport_size({"width": width, "height": 900})
            hidden = page.locator("#j-main .j-scroll").first.evaluate("box => box.scrollWidth - box.clientWidth")
            found += [(name, width, hidden)] if hidden > 0 else []

    assert found == []


def test_the_page_follows_what_happens_without_a_click(page, engine):
    page.clock.install()
    page.goto("/admin/jobs/queues/")
    expect(page.locator("#j-queues tbody tr")).to_have_count(4)
    expect(page.get_by_text("1 job waits in nightly, and no living worker takes from it.")).to_be_visible()

    engine.there.append(Worker(name="night@web-9", queues=("nightly",), seen_at=statuses.server_time()))
    page.clock.fast_forward(6_000)

    expect(page.get_by_text("no living worker takes from it")).to_have_count(0)


def test_a_number_leads_to_its_jobs(page, engine):
    page.goto("/admin/jobs/queues/")

    page.locator("#j-queues tbody tr", has_text="mail").get_by_role("link", name="3 waiting, mail").click()

    expect(page.locator("#j-count")).to_contain_text("3")


def test_what_cannot_be_done_can_be_reached_by_keyboard_and_says_why(page, engine):
    page.goto("/admin/jobs/workers/")

    button = page.get_by_role("button", name=f"Restart pool: {LONG}"[:90])
    button.focus()

    expect(page.get_by_text(f"lines cannot: {WHY}.")).to_be_visible()
    expect(button).to_have_attribute("aria-disabled", "true")


def test_a_queue_is_paused_after_a_page_has_asked(page, engine):
    page.goto("/admin/jobs/queues/")

    page.get_by_role("button", name="Pause queue: mail").click()
    expect(page.get_by_role("heading", name="Pause this queue?")).to_be_visible()
    assert axe(page) == []
    page.get_by_role("button", name="Pause queue").click()

    expect(page.get_by_text("Paused: mail, also for workers that start later.")).to_be_visible()
    expect(page.locator("#j-tab-queues")).to_have_attribute("aria-current", "page")


@pytest.fixture
def past(engine):
    """Three hours of samples, one in five minutes."""
    with frozen_clock(statuses.server_time() - timedelta(hours=3)) as clock:
        for number in range(37):
            for _ in range(number % 9):
                make_status("queued", queue="mail", engine="lines")
            sampling.sample()
            statuses.where(queue="mail", state="queued").kill_now_all() if number % 9 == 8 else None
            clock.tick(300)


def test_the_page_of_a_queue_draws_its_past(page, engine, past):
    page.goto("/admin/jobs/queues/mail/")
    for width, theme in sizes(page):
        expect(page.locator("#j-depth.is-drawn canvas")).to_be_visible()
        page.locator("#j-depth .u-over").hover(position={"x": width / 2 - 60, "y": 60})
        expect(page.locator("#j-depth .j-tip")).to_be_visible()
        picture(page, f"queue-{width}-{theme}")
        assert [*axe(page), *too_wide(page, width)] == [], (width, theme)


def test_the_past_of_a_queue_can_be_read_without_script(browser, live, past):
    context = browser.new_context(base_url=live.url, java_script_enabled=False)
    context.add_cookies([live.cookie()])
    page = context.new_page()
    page.goto("/admin/jobs/queues/mail/")

    page.get_by_role("link", name="7d").click()
    page.get_by_role("link", name="As table").click()

    expect(page.locator("#j-depth-panel tbody tr")).not_to_have_count(0)
    expect(page.locator("#j-depth-panel [aria-current]")).to_have_text("7d")
    context.close()
