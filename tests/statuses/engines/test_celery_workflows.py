"""Chains, groups and chords of Celery with a real worker: one workflow, in its true order, retried without running anything twice."""

from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery, chain, chord, group

import statuses
from statuses import State, Status, Workflow
from statuses.engines import celery as tracking
from statuses.engines.celery import chords
from tests.servers import Worker, until

pytestmark = pytest.mark.usefixtures("worker")


def edges(found: Workflow) -> set[tuple[str, str]]:
    """Ids of the jobs of every line, those that wait."""
    return {(found.jobs[edge.before].id, found.jobs[edge.after].id) for edge in found.edges if edge.waits}


def members_of(world: Any, number: int) -> list[Status]:
    return [statuses.at(id) for id in world.sent[-number:]]


def body_of(member: Status) -> Status:
    return until(lambda: statuses.find_by(depends_on=[member.provider_job_id, member.id]), "the body of the chord")


def test_the_body_of_a_chord_waits_for_all_of_its_members_from_the_beginning(world: Any) -> None:
    chord([world.tasks.at_gate.s(n, "chord members") for n in range(3)], world.tasks.total.s()).apply_async(queue="main")
    members = members_of(world, 3)

    body = body_of(members[0])
    assert (body.state, body.job_name, body.started_at) == (State.unqueued, "tests.celeryapp.total", None)
    assert set(body.depends_on) == {member.provider_job_id for member in members}
    assert edges(statuses.workflow(body)) == {(member.id, body.id) for member in members}

    for _ in members:
        world.open("chord members")
    world.ended(body)
    assert (body.state, body.data, body.attempt, body.queue) == (State.succeeded, {"result": 3}, 0, "main")
    assert body.call["args"] == [[0, 1, 2]]
    assert body.queued_at >= max(world.ended(member).started_at for member in members)
    assert statuses.workflow(members[1]).query.counts()[State.succeeded] == 4


def test_a_member_that_fails_ends_the_body_that_waited_for_it(world: Any) -> None:
    chord([world.tasks.add.s(1, 1), world.tasks.fail.s("no member")], world.tasks.next_noted.s("never runs")).apply_async()
    members = members_of(world, 2)

    body = world.ended(body_of(members[0]))

    assert (body.state, body.started_at) == (State.failed, None)
    assert body.errors[0]["class"] == "celery.exceptions.ChordError"
    assert world.noted("never runs") == 0
    world.ended(members[1])
    assert statuses.workflow(body).stopped == [members[1]]


@pytest.mark.parametrize("shape", ["chain", "chord", "chain with a chord"])
def test_a_step_that_fails_inside_of_a_member_ends_every_body_that_waited_for_it(world: Any, shape: str) -> None:
    fail, add = world.tasks.fail.s(shape), world.tasks.add
    inner = {
        "chain": lambda: chain(fail, world.tasks.next_after.s("never")),
        "chord": lambda: chord([fail, add.s(1, 1)], world.tasks.total.s()),
        "chain with a chord": lambda: chain(fail, chord([world.tasks.next_after.s("never"), add.si(1, 1)], world.tasks.total.s())),
    }[shape]()
    chord([inner, add.s(2, 2)], world.tasks.next_noted.s(f"never runs after a {shape}")).apply_async()

    body = world.ended(
        until(lambda: statuses.find_by(job_name="tests.celeryapp.next_noted", root=members_of(world, 1)[0].root), "the body")
    )

    assert (body.state, body.started_at) == (State.failed, None)
    assert body.errors[0]["class"] == "celery.exceptions.ChordError"
    failed = until(lambda: statuses.find_by(job_name="tests.celeryapp.fail", state="failed"), "the step that fails")
    found = statuses.workflow(body)
    assert failed.id in {job.id for job in found.jobs}
    assert all(job.is_ended for job in found.jobs if job.job_name == "tests.celeryapp.total")
    assert world.noted(f"never runs after a {shape}") == 0


def test_a_member_killed_in_its_queue_ends_the_body_too(world: Any, start_worker: Callable[..., Worker]) -> None:
    chord([world.tasks.add.s(1, 1), world.tasks.add.s(2, 2).set(queue="members")], world.tasks.next_noted.s("no body")).apply_async()
    members = members_of(world, 2)
    members[1].request_kill(by="ops")
    members[1].killed()

    start_worker("members", queues="members", count=1)

    body = world.ended(body_of(members[0]))

    assert body.state is State.failed
    assert world.noted("no body") == 0


def test_a_body_that_was_killed_while_it_waited_never_runs(world: Any) -> None:
    chord([world.tasks.at_gate.s(n, "killed body") for n in range(2)], world.tasks.next_noted.s("killed body runs")).apply_async()
    members = members_of(world, 2)
    body = body_of(members[0])
    statuses.workflow(body).query.where(id=body.id).request_kill_all(by="ops", end_queued=True)

    for _ in members:
        world.open("killed body")
    for member in members:
        world.ended(member)
    after = world.ended(world.send(world.tasks.next_noted.s(None, "after the killed body")))

    assert after.state is State.succeeded
    assert body.reload().state is State.killed
    assert world.noted("killed body runs") == 0


def test_a_chain_as_the_body_begins_once_all_members_ended(world: Any) -> None:
    rest = chain(world.tasks.total.s(), world.tasks.next_after.s("b"))
    chord([world.tasks.add.s(n, n) for n in range(3)], rest).apply_async()
    members = members_of(world, 3)

    first = world.ended(body_of(members[0]))
    second = world.ended(until(lambda: statuses.find_by(depends_on=first.id), "the step after the body"))

    assert set(first.depends_on) == {member.provider_job_id for member in members}
    assert second.data == {"result": "6 b"}
    assert {job.id for job in statuses.workflow(second).jobs} == {first.id, second.id, *(member.id for member in members)}


def test_a_chord_inside_a_chain_is_one_workflow_with_one_root(world: Any) -> None:
    inner = group(world.tasks.next_noted.s("inner"), world.tasks.next_noted.s("inner"))
    chain(world.tasks.add.s(1, 2), inner, world.tasks.total.s(), world.tasks.next_after.s("end")).apply_async()
    first = world.ended(statuses.at(world.sent[-1]))

    def last() -> Status | None:
        return statuses.find_by(root=first.id, job_name="tests.celeryapp.next_after")

    end = world.ended(until(last, "the last step"))

    found = statuses.workflow(first)
    assert [job.job_name.rpartition(".")[2] for job in found.jobs].count("next_noted") == 2
    assert len(found.jobs) == 5
    assert sorted(found.depths) == [0, 1, 1, 2, 3]
    assert {job.root for job in found.jobs if job.id != first.id} == {first.id}
    assert end.data == {"result": "3 end"}


def test_a_chord_that_a_task_sends_belongs_to_its_workflow(world: Any) -> None:
    sender = world.ended(world.send(world.tasks.runs_a_chord.s("sent chord")))

    found = until(lambda: _whole(statuses.workflow(sender), 4), "the chord of the task")

    assert world.noted("sent chord") == 1
    assert sorted(found.depths) == [0, 1, 1, 2]
    assert {job.parent for job in found.jobs[1:]} == {sender.id}


def _whole(found: Workflow, jobs: int) -> Workflow | None:
    return found if len(found.jobs) == jobs and all(job.is_ended for job in found.jobs) else None


def test_the_members_of_a_group_are_one_workflow(world: Any) -> None:
    group(world.tasks.add.s(n, n) for n in range(4)).apply_async()
    members = members_of(world, 4)

    assert {job.id for job in statuses.workflow(members[2]).jobs} == {member.id for member in members}
    assert {member.root for member in members} == {members[0].call["options"]["group_id"]}


def test_a_retried_step_sends_the_rest_of_its_chain_once(world: Any) -> None:
    chain(world.tasks.add.s(1, 2), world.tasks.next_once.s("retried step"), world.tasks.next_noted.s("after the retried")).apply_async()
    first = world.ended(statuses.at(world.sent[-1]))
    second = world.ended(until(lambda: statuses.find_by(depends_on=first.id), "the second step"))
    assert statuses.workflow(first).stopped == [second]

    changed = statuses.where(id=[job.id for job in statuses.workflow(first).stopped]).retry_all(by="ops")

    assert changed.changed == 1
    world.ended(until(lambda: statuses.find_by(depends_on=second.id), "the third step"))
    found = statuses.workflow(first)
    assert [job.state for job in found.jobs] == [State.succeeded] * 3
    assert found.depths == [0, 1, 2]
    assert world.noted("after the retried") == 1
    assert found.jobs[2].root == first.id
    assert found.stopped == []


def test_a_chord_of_a_generator_still_has_a_body(world: Any) -> None:
    chord((world.tasks.add.s(n, n) for n in range(3)), world.tasks.next_noted.s("generated")).apply_async()
    members = members_of(world, 3)

    until(lambda: world.noted("generated") == 1, "the body ran")

    assert {job.id for job in statuses.workflow(members[0]).jobs} >= {member.id for member in members}


def test_a_planned_body_is_taken_once_however_often_its_header_is_copied(world: Any) -> None:
    chord([world.tasks.add.s(n, n) for n in range(2)], world.tasks.total.s()).apply_async()
    body = world.ended(body_of(members_of(world, 2)[0]))
    copied = {chords.PLANNED: {"id": body.id, "root": None}}

    other = world.ended(world.send(world.tasks.nothing.s(), headers=copied))

    assert other.id != body.id
    assert other.call["options"].get("headers") is None
    assert body.reload().attempt == 0


def test_the_body_of_a_chord_that_cannot_be_sent_has_failed(world: Any) -> None:
    bare = Celery("bare", broker=world.app.conf.broker_url, set_as_current=False)
    work = bare.task(world.tasks.add.run, name="bare.work")
    tracking.install(bare, name="bare")
    try:
        with pytest.raises(NotImplementedError, match="result backend"):
            chord([work.s(1, 1), work.s(2, 2)], app=bare)(work.si(3, 3))
    finally:
        tracking.uninstall(bare)

    (body,) = statuses.where(engine="bare")
    assert (body.state, body.errors[0]["class"]) == (State.failed, "NotImplementedError")
