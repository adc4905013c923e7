"""The graph of a workflow in a real browser: read at every width, followed while it runs, walked by keyboard."""

from typing import Any

import pytest
from playwright.sync_api import expect

import statuses
from jobadmin.paths import job_url, workflow_url
from statuses.testing import make_status

from .looks import axe, reads_at_every_size


@pytest.fixture
def made(live: Any) -> dict[str, Any]:
    """split -> sixty maps of all states -> merge, and a child that merge sent."""
    states = ["succeeded"] * 40 + ["failed"] * 3 + ["killed"] * 2 + ["started"] * 5 + ["queued"] * 8 + ["unqueued", "unknown"]
    split = make_status("succeeded", job_name="genome.split", job_args={"book": "Book:53"})
    maps = [make_status(state, job_name="genome.map_reads_of_a_sequence", depends_on=[split.id]) for state in states]
    merge = statuses.create(job_name="genome.merge", depends_on=[job.id for job in maps])
    child = merge.spawn("genome.index")
    return {"split": split, "maps": maps, "merge": merge, "child": child}


def test_the_page_can_be_read_at_every_width_and_in_both_themes(page, made):
    page.goto(workflow_url(made["split"].id))
    expect(page.locator(".j-flow__box")).to_have_count(4)

    reads_at_every_size(page, "workflow")


def test_names_of_the_steps_before_are_read_whole_on_a_phone(page, made):
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(workflow_url(made["split"].id))

    after = page.locator(".j-flow__after", has_text="genome.map_reads_of_a_sequence").first

    assert after.evaluate("cell => cell.clientWidth > cell.closest('tr').clientWidth * 0.8")


def test_what_a_step_does_not_have_takes_no_line_of_a_phone(page, made):
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(workflow_url(made["split"].id))
    first = page.locator("#flow-steps tbody tr").first

    expect(first).to_contain_text("genome.split")
    assert "After" not in first.inner_text() and "–" not in first.inner_text()
    name, step = (first.locator(css).bounding_box() for css in ("th", "td >> nth=0"))
    assert name["y"] < step["y"]


def test_the_job_one_came_from_is_in_sight_and_what_one_scrolled_to_stays(page, made):
    page.clock.install()
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(workflow_url(made["split"].id) + "?open=1.genome.map_reads_of_a_sequence")
    graph, here = page.locator("#flow-graph .j-flow"), page.locator("#flow-graph .is-here")
    frame, box = graph.bounding_box(), here.bounding_box()
    assert frame["x"] <= box["x"] and box["x"] + box["width"] <= frame["x"] + frame["width"]

    graph.evaluate("box => box.scrollTo(40, 0)")
    made["maps"][45].succeeded()
    page.clock.run_for(6_000)

    expect(page.locator("#flow-head")).to_contain_text("47 of 63 ended")
    assert graph.evaluate("box => box.scrollLeft") == 40


def test_names_stay_inside_their_boxes(page, made):
    page.goto(workflow_url(made["split"].id) + "?open=1.genome.map_reads_of_a_sequence")

    expect(page.locator(".j-flow__box")).to_have_count(63)
    out = page.evaluate(
        """[...document.querySelectorAll(".j-flow__box")].filter(box => {
          const face = box.querySelector(".j-flow__face").getBoundingClientRect();
          return [...box.querySelectorAll("text")].some(text => text.getBoundingClientRect().right > face.right - 2);
        }).length"""
    )
    assert out == 0


def test_a_box_opens_by_keyboard_and_its_jobs_are_links(page, made):
    page.goto(workflow_url(made["split"].id))

    page.locator(".j-flow__box.is-many a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".j-flow__box")).to_have_count(63)
    page.locator(f'.j-flow__box a[href="{job_url(made["maps"][41].id)}"]').focus()
    page.keyboard.press("Enter")

    expect(page.locator(".j-job__id")).to_have_text(made["maps"][41].id)


def test_the_page_follows_the_workflow(page, made):
    page.clock.install()
    page.goto(workflow_url(made["split"].id))
    expect(page.locator("#flow-head")).to_contain_text("46 of 63 ended")

    for status in made["maps"][45:50]:
        status.succeeded()
    page.clock.run_for(6_000)

    expect(page.locator("#flow-head")).to_contain_text("51 of 63 ended")
    expect(page.locator(".j-flow__box.is-many")).to_contain_text("50 of 60 · 3 failed")


def test_the_jobs_page_shows_the_graph_and_follows_it(page, made):
    page.clock.install()
    page.goto(job_url(made["merge"].id))
    here = page.locator("#job-workflow .j-flow__box.is-here")
    expect(here).to_contain_text("Unqueued")

    made["merge"].queued()
    page.clock.run_for(6_000)

    expect(here).to_contain_text("Queued")
    assert axe(page) == []


def test_the_jobs_page_links_to_the_workflow_without_script(browser, live, made):
    context = browser.new_context(base_url=live.url, java_script_enabled=False)
    context.add_cookies([live.cookie()])
    page = context.new_page()
    page.goto(job_url(made["merge"].id))

    page.click("#job-workflow a")

    expect(page.locator(".j-flow__box")).to_have_count(4)
    context.close()


def test_all_of_it_is_killed_from_one_button(page, made):
    page.goto(workflow_url(made["split"].id))

    page.click("#act-kill")

    expect(page.locator("#content")).to_contain_text("Request kill for 17 of 63 jobs?")
