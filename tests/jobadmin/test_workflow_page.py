"""The page of a workflow draws every job or gathers many, links to exactly those jobs, and acts on all of it."""

import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.utils import translation

import statuses
from jobadmin import graphlayout, workflow
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.paths import job_url, workflow_url
from statuses import State
from statuses.testing import make_status
from tests.jobadmin.engines import toy_engine

pytestmark = pytest.mark.usefixtures("store")

HOSTILE = '"><script>alert(1)</script>{{ 7*7 }}'


@pytest.fixture
def client(browse: Any) -> Client:
    return browse()


def run_of(number: int, *, failed: int = 0, name: str = "pkg.map", **more: Any) -> dict[str, Any]:
    """split -> `number` jobs `pkg.map`, of which the first `failed` failed -> merge."""
    split = make_status("succeeded", job_name="pkg.split", **more)
    maps = [make_status("failed" if n < failed else "succeeded", job_name=name, depends_on=[split.id], **more) for n in range(number)]
    merge = statuses.create(job_name="pkg.merge", depends_on=[job.id for job in maps], **more)
    return {"split": split, "maps": maps, "merge": merge}


def html_of(client: Client, status: statuses.Status, query: str = "") -> str:
    response = client.get(workflow_url(status.id) + query)
    assert response.status_code == 200, response.content
    return response.content.decode()


def words_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def boxes(html: str) -> list[str]:
    return re.findall(r'<g class="j-flow__box.*?\n.*?</g>\s*(?=<g class="j-flow|</svg>)', html, re.DOTALL)


def link(html: str, words: str) -> str:
    """Where the link with this text leads."""
    found = [
        address
        for address, inside in re.findall(r'<a [^>]*href="([^"]+)"[^>]*>(.*?)</a>', html, re.DOTALL)
        if words_of(inside).startswith(words)
    ]
    assert found, f"no link {words!r}"
    return unescape(found[0])


def listed(address: str) -> set[str]:
    """Ids of the jobs that a link of ours is about."""
    return set(JobFilter.from_querystring(urlsplit(address).query).query.ids())


def test_a_small_workflow_is_drawn_job_by_job(client: Client) -> None:
    made = run_of(3)

    html = html_of(client, made["merge"])

    assert len(boxes(html)) == 5
    assert html.count('class="j-flow__line"') + html.count('class="j-flow__line is-critical"') >= 6
    for status in (made["split"], *made["maps"], made["merge"]):
        assert f'href="{job_url(status.id)}"' in html
    assert "4 of 5 ended" in words_of(html)
    assert "Workflow of pkg. merge" in words_of(html)


def test_many_of_one_name_and_depth_are_one_box_with_their_counts(client: Client) -> None:
    made = run_of(40, failed=3)

    html = html_of(client, made["split"])

    assert len(boxes(html)) == 3
    assert "pkg.map, 40 jobs: 37 succeeded, 3 failed" in unescape(html)
    assert "40 of 40 · 3 failed" in words_of(html)


def test_a_gathered_box_links_to_exactly_its_jobs(client: Client) -> None:
    made = run_of(40, failed=3)
    run_of(30, failed=5)
    html = html_of(client, made["split"])

    assert listed(link(html, "40 of 40 · 3 failed")) == {job.id for job in made["maps"]}
    assert listed(link(html[html.index('id="flow-steps"') :], "3 failed")) == {job.id for job in made["maps"][:3]}


def test_two_steps_of_one_name_are_told_apart_by_their_depth(client: Client) -> None:
    before = make_status("succeeded", job_name="start")
    first = [make_status("succeeded", job_name="work", depends_on=[before.id]) for _ in range(20)]
    second = [make_status("queued", job_name="work", depends_on=[job.id for job in first]) for _ in range(20)]

    html = html_of(client, before)

    assert listed(link(html, "20 of 20 ended")) == {job.id for job in first}
    assert listed(link(html, "0 of 20 ended")) == {job.id for job in second}


def test_a_step_opens_into_its_jobs_those_in_trouble_first(client: Client) -> None:
    made = run_of(100, failed=2)
    html = html_of(client, made["split"])

    address = link(html, "pkg.map")
    opened = client.get(address.split("#")[0]).content.decode()

    assert address.startswith(workflow_url(made["split"].id))
    assert len(boxes(opened)) == workflow.OPENED_MOST + 3
    for job in made["maps"][:2]:
        assert f'href="{job_url(job.id)}"' in opened
    assert link(opened, "Every step as one box again") == workflow_url(made["split"].id)


def test_jobs_in_a_row_are_one_box(client: Client) -> None:
    before = make_status("succeeded", job_name="start")
    row = []
    for _ in range(50):
        row.append(before := make_status("succeeded", job_name="step", depends_on=[before.id]))
    last = make_status("queued", job_name="end", depends_on=[before.id])

    html = html_of(client, last)

    assert len(boxes(html)) == 3
    assert "step, 50 jobs in a row: 50 succeeded" in unescape(html)
    assert listed(link(html, "50 of 50 ended")) == {job.id for job in row}


def test_a_thousand_jobs_of_as_many_names_are_still_a_few_boxes(client: Client) -> None:
    root = statuses.create(job_name="root")
    statuses.load({"job_name": f"name {n}", "depends_on": [root.id], "state": "succeeded"} for n in range(1000))

    html = html_of(client, root)

    assert len(boxes(html)) == 2
    assert "1,000 job names" in words_of(html)


def test_a_job_alone_says_so(client: Client) -> None:
    assert "No other job belongs to it" in words_of(html_of(client, make_status("queued")))


def test_an_unknown_job_is_not_found_and_no_rights_see_nothing(client: Client, browse: Any) -> None:
    status = make_status("queued")

    assert client.get(workflow_url("nobody")).status_code == 404
    assert browse("kill_job", name="paul").get(workflow_url(status.id)).status_code == 403
    assert client.post(workflow_url(status.id)).status_code == 405


def test_what_jobs_carry_is_escaped_and_redacted(client: Client) -> None:
    made = run_of(6, name=HOSTILE)

    html = html_of(client, made["split"], "?open=" + HOSTILE)

    assert "<script>alert" not in html


def test_buttons_are_about_the_whole_workflow(client: Client) -> None:
    with toy_engine():
        made = run_of(5, failed=2, engine="toy")
        run_of(5, failed=2, engine="toy")
        html = html_of(client, made["split"])

        kill = JobFilter.from_querystring(urlsplit(link(html, "Request kill for 1")).query)
        retry = JobFilter.from_querystring(urlsplit(link(html, "Retry 2 where it stopped")).query)

        assert kill.query.counts()[State.unqueued] == 1
        assert set(kill.query.ids()) == {made["split"].id, made["merge"].id, *(job.id for job in made["maps"])}
        assert set(retry.query.ids()) == {job.id for job in made["maps"][:2]}


def test_only_what_failed_first_is_retried_what_stands_behind_is_told(client: Client) -> None:
    with toy_engine():
        first = make_status("failed", job_name="first", engine="toy")
        make_status("queued", job_name="second", engine="toy", depends_on=[first.id]).killed()
        html = html_of(client, first)

        assert listed(link(html, "Retry 1 where it stopped")) == {first.id}
        assert "1 more stands behind a job that did not succeed" in words_of(html)


def test_a_workflow_that_is_too_large_says_what_is_not_shown_and_retries_only_what_is_certain(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr(statuses.workflow, "__defaults__", (4,))
    with toy_engine():
        row = [make_status("succeeded", job_name="pkg.step", engine="toy")]
        for _ in range(5):
            row.append(make_status("succeeded", job_name="pkg.step", engine="toy", depends_on=[row[-1].id]))
        row[3].failed()
        html = html_of(client, row[1])

        assert "More than 4 jobs belong to it." in words_of(html)
        assert "1 that did not succeed is not sent again from here" in words_of(html)
        assert "where it stopped" not in re.sub(r'<span class="j-act">.*?</span></span>', "", html, flags=re.DOTALL)
        assert len(JobFilter.from_querystring(urlsplit(workflow_url(row[1].id)).query).with_(workflow=row[1].id).query.ids()) == 4


def test_a_workflow_that_is_whole_says_nothing_of_that(client: Client) -> None:
    assert 'id="flow-cut"' not in html_of(client, run_of(2)["split"])


def test_without_rights_there_are_no_buttons(browse: Any) -> None:
    made = run_of(2, failed=1)

    html = html_of(browse("view_job"), made["split"])

    assert 'id="act-kill"' not in html
    assert 'id="act-retry"' not in html
    assert "bulk/" not in html


def test_the_confirm_page_counts_the_workflow_and_the_operation_changes_it_alone(client: Client) -> None:
    made, other = run_of(3), run_of(3)
    address = link(html_of(client, made["split"]), "Request kill for 1")

    page = client.get(address).content.decode()

    promise = unescape(re.search(r'name="promise" value="([^"]+)"', page)[1])  # type: ignore[index]
    assert "pkg.split" in words_of(page)
    assert client.post(urlsplit(address).path, {"promise": promise, "reason": "no use"}).status_code == 302
    _carry_out()
    assert made["merge"].reload().state is State.killed
    assert other["merge"].reload().state is State.unqueued


def _carry_out() -> None:
    from jobadmin.runner import Work, take

    while (taken := take()) is not None:
        Work(*taken).run()


def test_a_look_that_finds_nothing_new_is_empty(client: Client) -> None:
    made = run_of(2)
    version = re.search(r'data-version="([^"]+)"', html_of(client, made["split"]))[1]  # type: ignore[index]

    assert client.get(workflow_url(made["split"].id), {"live": version}).status_code == 204
    made["merge"].started()
    changed = client.get(workflow_url(made["split"].id), {"live": version})

    assert changed.status_code == 200
    assert b"<html" not in changed.content


def test_a_workflow_that_has_ended_is_not_looked_at_again(client: Client) -> None:
    made = run_of(2)
    assert "data-seconds" in html_of(client, made["split"])

    made["merge"].started().succeeded()

    assert "data-seconds" not in html_of(client, made["split"])


def test_the_jobs_page_has_the_graph_where_there_is_a_workflow(client: Client) -> None:
    made = run_of(2)
    alone = make_status("queued")

    for status in (made["split"], made["maps"][0], made["merge"]):
        assert f'data-workflow="{workflow_url(status.id)}?part=graph"' in client.get(job_url(status.id)).content.decode()
    assert "data-workflow" not in client.get(job_url(alone.id)).content.decode()
    part = client.get(workflow_url(made["split"].id), {"part": "graph"}).content.decode()
    assert len(boxes(part)) == 4
    assert "<html" not in part


def test_an_id_that_reads_workflow_has_a_page_and_a_workflow(client: Client) -> None:
    status = statuses.create(id="workflow")

    assert client.get(job_url(status.id)).status_code == 200
    assert client.get(workflow_url(status.id)).status_code == 200


def test_the_list_can_be_filtered_by_workflow_and_without_it() -> None:
    made, other = run_of(2), run_of(2)
    ids = {made["split"].id, made["merge"].id, *(job.id for job in made["maps"])}
    wanted = JobFilter().with_(workflow=made["maps"][0].id, span="all")

    assert set(wanted.query.ids()) == ids
    assert set(wanted.with_(step="1").query.ids()) == {job.id for job in made["maps"]}
    assert set(wanted.with_(step="0-1").query.ids()) == ids - {made["merge"].id}
    assert not ids & set(JobFilter.from_querystring(f"workflow=-{made['split'].id}&span=all").query.ids())
    assert other["split"].id in JobFilter.from_querystring(f"workflow=-{made['split'].id}&span=all").query.ids()
    assert JobFilter.from_querystring("workflow=nobody&span=all").query.count() == 0
    with translation.override("en"):
        assert "pkg.map, step 2" in wanted.with_(step="1").describe()
    assert parse_qs(wanted.with_(step="1").querystring()) == {"workflow": [made["maps"][0].id], "step": ["1"], "span": ["all"]}


@pytest.mark.parametrize("step", ["x", "-1", "1-", "123456", "1-2-3"])
def test_a_step_nobody_can_read_is_refused(step: str) -> None:
    with pytest.raises(BadFilter, match="step"):
        JobFilter.from_querystring(f"workflow=a&step={step}")


def test_boxes_never_overlap_and_stand_below_what_they_come_after() -> None:
    made = run_of(20)
    for status in made["maps"][:9]:
        make_status("queued", job_name=f"extra {status.id}", depends_on=[status.id, made["split"].id])
    found = workflow.graph(statuses.workflow(made["split"]), [f"1.{made['maps'][0].job_name}"])

    drawing = graphlayout.draw(found)

    places = [(step.x, step.y) for step in drawing.steps]
    assert len(set(places)) == len(places)
    for x, y in places:
        assert 0 <= x <= drawing.width - graphlayout.WIDTH
        assert 0 <= y <= drawing.height - graphlayout.HEIGHT
        assert not [1 for a, b in places if (a, b) != (x, y) and abs(a - x) < graphlayout.WIDTH and abs(b - y) < graphlayout.HEIGHT]
    assert all(found.steps[before].y < found.steps[after].y for before, after in found.links)


def test_the_way_the_end_waited_for_is_marked() -> None:
    start = make_status("succeeded", job_name="start")
    make_status("succeeded", job_name="quick", depends_on=[start.id])
    slow = make_status("succeeded", job_name="slow", depends_on=[start.id])
    make_status("succeeded", job_name="end", depends_on=[slow.id])

    steps = workflow.graph(statuses.workflow(start)).steps

    assert {step.name for step in steps if step.is_critical} == {"start", "slow", "end"}


def test_no_line_is_drawn_for_who_sent_what_waits_for_others_it_sent() -> None:
    parent = make_status("succeeded", job_name="parent")
    member = parent.spawn("member")
    statuses.create(job_name="body", parent=parent.id, depends_on=[member.id])

    found = workflow.graph(statuses.workflow(parent))

    assert {(found.steps[a].name, found.steps[b].name): waits for (a, b), waits in found.links.items()} == {
        ("parent", "member"): False,
        ("member", "body"): True,
    }


def test_a_step_is_killed_and_retried_alone(client: Client) -> None:
    with toy_engine():
        made = run_of(40, failed=3, engine="toy")
        waiting = [make_status("queued", job_name="extra", engine="toy", depends_on=[made["split"].id]) for _ in range(30)]
        made["merge"].killed()
        html = html_of(client, made["split"])
        steps = html[html.index('id="flow-steps"') :]

        assert listed(link(steps, "Request kill extra")) == {job.id for job in waiting}
        assert listed(link(steps, "Retry pkg.map")) == {job.id for job in made["maps"][:3]}
        assert "Retry pkg.merge" not in words_of(steps)
