"""A workflow is found whole from any of its jobs, in few looks, and says in which order its jobs stand."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import statuses
from statuses import Edge, encoding, keys
from statuses.testing import frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store")

#: Real workflow runs, there on development machines alone.
REAL = Path(__file__).resolve().parents[3] / "shared/data/workflows.jsonl.gz"


def names(workflow):
    return [job.job_name for job in workflow.jobs]


def diamond(**states):
    """first <- left, right <- last, each after the one before."""
    with frozen_clock() as clock:
        made = {}
        for name, after in (("first", ()), ("left", ("first",)), ("right", ("first",)), ("last", ("left", "right"))):
            clock.tick()
            state = states.get(name, "succeeded")
            made[name] = make_status(state, job_name=name, depends_on=[made[one].id for one in after])
    return made


@pytest.mark.parametrize("start", ["first", "left", "right", "last"])
def test_it_is_found_whole_from_any_of_its_jobs(start):
    made = diamond()
    make_status("queued", job_name="another")

    found = statuses.workflow(made[start])

    assert names(found) == ["first", "left", "right", "last"]
    assert found.edges == (Edge(0, 1, True), Edge(0, 2, True), Edge(1, 3, True), Edge(2, 3, True))
    assert found.depths == [0, 1, 1, 2]
    assert found.is_whole
    assert sorted(found.query.ids()) == sorted(status.id for status in made.values())


def test_children_belong_to_it_and_were_sent_not_waited_for():
    parent = make_status("started", job_name="parent")
    child = parent.spawn("child")
    make_status("queued", job_name="after", depends_on=[child.id])

    found = statuses.workflow(parent.id)

    assert names(found) == ["parent", "child", "after"]
    assert found.edges == (Edge(0, 1, False), Edge(1, 2, True))


def test_jobs_may_be_named_by_the_engines_id():
    make_status("succeeded", job_name="a", provider_job_id="task-a")
    make_status("queued", job_name="b", provider_job_id="task-b", depends_on=["task-a"])
    last = make_status("queued", job_name="c", depends_on=["task-b", "never seen"])

    found = statuses.workflow(last)

    assert names(found) == ["a", "b", "c"]
    assert found.edges == (Edge(0, 1, True), Edge(1, 2, True))


def test_a_root_ties_jobs_together_that_nothing_else_does():
    root = make_status("succeeded", job_name="root", provider_job_id="task-1")
    make_status("queued", job_name="by our id", root=root.id)
    other = make_status("queued", job_name="by the engine's", root="task-1")

    assert names(statuses.workflow(other)) == ["root", "by our id", "by the engine's"]


def test_members_of_a_group_know_each_other_though_the_group_is_no_job():
    for number in range(3):
        status = make_status("queued", job_name=f"member {number}", root="group-1")

    assert len(statuses.workflow(status).jobs) == 3


def test_a_job_of_its_own_is_all_of_its_workflow_and_one_that_is_not_there_has_none():
    status = make_status("queued")

    assert statuses.workflow(status).jobs == (status,)
    assert statuses.workflow("nobody").jobs == ()


def test_removed_jobs_are_left_out():
    made = diamond()
    made["left"].delete()

    found = statuses.workflow(made["last"])

    assert names(found) == ["first", "right", "last"]
    assert found.edges == (Edge(0, 1, True), Edge(1, 2, True))


def test_a_ring_is_drawn_and_does_not_hang():
    statuses.create(id="a", job_name="a", depends_on=["c"])
    statuses.create(id="b", job_name="b", depends_on=["a"])
    statuses.create(id="c", job_name="c", depends_on=["b", "c"])

    found = statuses.workflow("a")

    assert names(found) == ["a", "b", "c"]
    assert len(found.edges) == 3
    assert sorted(found.order) == [0, 1, 2]


def test_a_large_one_is_cut_and_says_so():
    root = make_status("started")
    for _ in range(20):
        root.spawn("child")

    found = statuses.workflow(root, most=10)

    assert (len(found.jobs), found.is_whole) == (10, False)
    assert statuses.workflow(root, most=21).is_whole


def test_what_was_not_looked_at_is_no_reason_to_run_anything_again():
    before = make_status("succeeded", job_name="0")
    row = [before]
    for number in range(1, 6):
        before = make_status("succeeded", job_name=str(number), depends_on=[before.id])
        row.append(before)
    row[3].failed()

    cut, whole = statuses.workflow(row[1], most=4), statuses.workflow(row[1])

    assert names(cut) == ["0", "1", "2", "3"]
    assert [cut.jobs[number].job_name for number in cut.rim] == ["3"]
    assert (cut.stopped, whole.stopped, whole.rim) == ([], [], frozenset())


def test_the_members_of_a_large_group_are_retried_however_many_there_are():
    members = [make_status("failed" if number % 2 else "succeeded", job_name="member", root="group") for number in range(10)]

    found = statuses.workflow(members[0], most=6)

    assert (len(found.jobs), found.is_whole) == (6, False)
    assert {job.id for job in found.stopped} == {job.id for job in found.jobs if job.is_failed}


def test_a_long_row_is_found_in_one_look_where_its_jobs_have_a_root(store):
    before = make_status("succeeded", job_name="0")
    root = before.id
    for number in range(1, 60):
        before = make_status("queued", job_name=str(number), depends_on=[before.id], root=root)
    listings = store.info("commandstats").get("cmdstat_hmget", {}).get("calls", 0)

    found = statuses.workflow(before)

    asked = store.info("commandstats")["cmdstat_hmget"]["calls"] - listings
    assert len(found.jobs) == 60
    assert found.depths == list(range(60))
    assert asked <= 4


def test_it_spans_families(other_server):
    statuses.configure(url=other_server.url, namespace="wide", families=4)
    for number in range(12):
        statuses.create(id=f"job {number}", depends_on=[f"job {number - 1}"] if number else None)

    assert len(statuses.workflow("job 5").jobs) == 12


def test_where_it_stopped_is_what_failed_after_nothing_but_success():
    made = diamond(left="failed", last="unqueued")
    made["last"].killed()

    assert statuses.workflow(made["first"]).stopped == [made["left"]]


@pytest.mark.parametrize(("state", "stopped"), [("succeeded", ["last"]), ("queued", []), ("started", []), ("unknown", [])])
def test_a_job_behind_one_that_is_on_its_way_is_not_sent_again(state, stopped):
    made = diamond(left=state, last="failed")

    assert [job.job_name for job in statuses.workflow(made["first"]).stopped] == stopped


def test_a_job_after_which_it_went_on_before_is_not_sent_again():
    made = diamond()
    made["first"].started().failed()

    assert statuses.workflow(made["first"]).stopped == []


def test_a_failed_child_of_a_running_parent_stopped_but_not_once_the_parent_began_anew():
    with frozen_clock() as clock:
        parent = make_status("started", job_name="parent")
        clock.tick()
        child = parent.spawn("child").started().failed()
        assert statuses.workflow(child).stopped == [child]

        clock.tick()
        parent.started()

        assert statuses.workflow(child).stopped == []


def test_a_new_attempt_still_waits_for_the_same_jobs():
    made = diamond()
    made["last"].started()

    assert made["last"].reload().depends_on == [made["left"].id, made["right"].id]
    assert made["last"].prior_attempts[0].depends_on == made["last"].depends_on
    assert statuses.where(depends_on=made["left"]).ids() == [made["last"].id]


def test_depends_on_of_an_older_store_is_still_read(store):
    status = statuses.create(call={"args": [1]})
    place = status._place()
    prefix = keys.segment(statuses.store.current().families[place.family], place.segment)
    store.set(keys.call(prefix, place.row), encoding.dumps({"call": {"args": [1]}, "depends_on": ["old"]}, "call"))

    assert statuses.find(status.id).depends_on == ["old"]
    assert statuses.find(status.id).call == {"args": [1]}


@pytest.mark.parametrize("wrong", ["one", [1], [""], ["x" * 1001]])
def test_depends_on_is_a_list_of_ids(wrong):
    with pytest.raises((TypeError, ValueError), match="depends_on"):
        statuses.create(depends_on=wrong)
    with pytest.raises(ValueError, match=r"record 0: depends_on"):
        statuses.load([{"depends_on": wrong}])


@pytest.mark.skipif(not REAL.exists(), reason="the real workflow runs are not here")
def test_real_runs_are_found_whole_and_apart_from_each_other():
    wanted = (
        "montage-chameleon-2mass-01d-001",
        "bacass-dirt02-001",
        "seismology-chameleon-100p-001",
        "epigenomics-chameleon-hep-1seq-50k-001",
    )
    runs: dict[str, list[dict]] = {name: [] for name in wanted}
    with gzip.open(REAL, "rt") as lines:
        for line in lines:
            name = line.split('"', 4)[3].partition("/")[0]
            if name in runs:
                runs[name].append(json.loads(line))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for jobs in runs.values():
        assert jobs
        statuses.load(
            {"provider_job_id": job["source_id"], "job_name": job["job_name"], "depends_on": job["parents"], "recorded_at": at}
            for job in jobs
        )
        at += timedelta(hours=1)

    for jobs in runs.values():
        tied = _tied(jobs, jobs[0]["source_id"])
        found = statuses.workflow(statuses.find_by(provider_job_id=jobs[0]["source_id"]))

        assert {job.provider_job_id for job in found.jobs} == tied
        assert len(found.edges) == sum(len(set(job["parents"])) for job in jobs if job["source_id"] in tied)
        deepest = dict(zip((job.provider_job_id for job in found.jobs), found.depths, strict=True))
        for job in jobs:
            if job["source_id"] in tied:
                assert deepest[job["source_id"]] == max((deepest[one] + 1 for one in job["parents"]), default=0)


def _tied(jobs, start):
    """Ids of the jobs that lines of parents tie to one, looked for without the store."""
    beside: dict[str, set[str]] = {}
    for job in jobs:
        for parent in job["parents"]:
            beside.setdefault(parent, set()).add(job["source_id"])
            beside.setdefault(job["source_id"], set()).add(parent)
    found, waiting = {start}, [start]
    while waiting:
        for other in beside.get(waiting.pop(), set()) - found:
            found.add(other)
            waiting.append(other)
    return found
