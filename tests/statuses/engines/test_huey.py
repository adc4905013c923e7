"""What Huey alone does, with real consumers."""

import os
import re
import signal

import pytest

import statuses
from statuses import State, Status, Workflow, presence
from tests.projects.running import Project
from tests.servers import PATIENCE, until

pytestmark = pytest.mark.parametrize("running", ["huey"], indirect=True)


def whole(job: Status, number: int) -> Workflow | None:
    """Its workflow, once so many jobs of it have ended."""
    found = statuses.workflow(job)
    return found if len(found.jobs) == number and all(one.is_ended for one in found.jobs) else None


@pytest.mark.usefixtures("shared")
class TestWithAConsumer:
    def test_what_follows_a_task_is_its_child_and_depends_on_it(self, project: Project) -> None:
        first = project.ended(project.status(project.ask("send_chain", 1, 40)))

        second = project.ended(until(lambda: statuses.find_by(parent=first.id), "the second task"))

        assert (second.depends_on, second.data) == ([first.id], {"result": 42})

    def test_a_retry_sends_what_follows_again(self, project: Project) -> None:
        first = project.ended(project.status(project.ask("send_chain", 2, 40)))
        project.ended(until(lambda: statuses.find_by(parent=first.id), "the second task"))

        project.retry(first)

        until(lambda: first.children.where(state="succeeded").count() == 2, "the second task once more")
        assert (first.reload().attempt, first.provider_job_id) == (1, f"{first.id}~retry-1")

    def test_what_a_task_sends_is_its_child(self, project: Project) -> None:
        job = project.ended(project.send("with_child"))

        child = project.ended(project.status(job.data["result"]))
        assert (child.parent, child.root) == (job.id, job.id)

    def test_a_pipeline_is_one_workflow_with_one_root(self, project: Project) -> None:
        first = project.status(project.ask("send_steps", 1, 2, 3))

        found = until(lambda: whole(first, 3), "three steps have ended")

        assert [job.data for job in found.jobs] == [{"result": number} for number in (1, 3, 6)]
        assert found.depths == [0, 1, 2]
        assert [job.root for job in found.jobs] == [None, first.id, first.id]
        assert [job.parent for job in found.jobs] == [None, first.id, found.jobs[1].id]

    def test_the_members_of_a_group_are_one_workflow(self, project: Project) -> None:
        ids = project.ask("send_group", "huey one", "huey two")
        for gate in ("huey one", "huey two"):
            project.open(gate)

        members = [project.ended(project.status(id)) for id in ids]

        assert {job.id for job in statuses.workflow(members[1]).jobs} == set(ids)
        assert len({job.root for job in members}) == 1

    def test_the_callback_of_a_chord_waits_for_all_of_its_members_from_the_beginning(self, project: Project) -> None:
        *ids, _, after = project.ask("send_chord", "huey first", "huey second")
        body = project.status(after)
        project.began("huey first")
        before = (body.state, body.job_name.rpartition(".")[2], sorted(statuses.workflow(body).depths))
        project.open("huey first")
        project.open("huey second")

        project.ended(body)

        assert before == (State.unqueued, "take", [0, 0, 1, 2])
        assert set(body.depends_on) == set(ids)
        assert (body.state, body.data, body.attempt) == (State.succeeded, {"result": "list"}, 0)
        assert body.call["args"] == [["through", "through"]]
        assert body.started_at > max(project.ended(project.status(id)).started_at for id in ids)

    def test_the_callback_of_a_chord_is_not_run_once_it_was_killed(self, project: Project) -> None:
        *ids, _, after = project.ask("send_chord", "huey killed one", "huey killed two")
        body = project.status(after)

        body.request_kill(by="ops", end_queued=True)
        project.open("huey killed one")
        project.open("huey killed two")
        for id in ids:  # one of them is sent when the task before it has ended
            project.ended(until(lambda id=id: statuses.find_by(provider_job_id=id), "the member's job"))

        assert project.ended(project.send("count", "after the chord")).is_succeeded
        assert (body.reload().state, body.started_at) == (State.killed, None)

    def test_a_task_that_asks_to_run_again_keeps_its_attempts_without_an_error(self, project: Project) -> None:
        job = project.send("poll", "huey polls", 2)
        until(lambda: job.reload().attempt == 2 and job.is_ended, "the third attempt has ended")

        assert (job.state, job.data) == (State.succeeded, {"result": "huey polls"})
        assert [attempt.errors for attempt in job.prior_attempts] == [[], []]

    def test_a_retry_for_later_is_unqueued_until_it_is_due(self, project: Project) -> None:
        job = project.status(project.ask("send_with", "fail_first", "huey waits", 1, retries=1, retry_delay=1))
        until(lambda: job.reload().attempt == 1, "the second attempt")
        between = job.state

        project.ended(job)

        assert between is State.unqueued
        assert (job.state, job.prior_attempts[0].state) == (State.succeeded, State.failed)
        assert (job.queued_at - job.prior_attempts[0].failed_at).total_seconds() >= 0.8

    def test_a_task_that_ends_itself_is_killed_and_says_why(self, project: Project) -> None:
        job = project.ended(project.send("give_up"))

        assert (job.state, job.error_summary) == (State.killed, "huey.exceptions.CancelExecution: nothing to do")

    def test_a_task_whose_arguments_a_consumer_cannot_read_does_not_wait_for_ever(self, project: Project) -> None:
        job = project.ended(project.status(project.ask("send_unreadable", "Book:7")))

        assert (job.state, job.started_at, job.attempt) == (State.failed, None, 0)
        assert re.search("AttributeError.*Shelf", job.error_summary)
        assert project.ended(project.send("add", 1, 1)).is_succeeded

    def test_an_error_handler_is_one_job_that_runs_again_for_each_attempt_that_fails(self, project: Project) -> None:
        failing, handler = map(project.status, project.ask("send_with_handler", "huey handles", 2))

        until(lambda: failing.reload().attempt == 2 and failing.is_ended, "its last attempt has failed")
        until(lambda: handler.reload().attempt == 2 and handler.is_ended, "the handler ran for each of them")

        assert project.noted("huey handles") == 3
        assert [each.state for each in (*handler.prior_attempts, handler)] == [State.succeeded] * 3
        assert (handler.parent, handler.depends_on) == (failing.id, [failing.id])

    def test_a_task_that_is_sent_twice_runs_in_two_attempts(self, project: Project) -> None:
        job = project.ended(project.send("count", "huey twice"))

        project.ask("send_again", job.id)

        until(lambda: job.reload().attempt == 1 and job.is_ended, "it ran twice")
        assert ([job.prior_attempts[0].state, job.state], project.noted("huey twice")) == ([State.succeeded] * 2, 2)

    def test_a_task_that_a_hook_cancels_is_killed_and_leaves_nothing_to_its_worker(self, project: Project) -> None:
        cancelled = [project.ended(project.send("count", "closed")) for _ in range(4)]  # more than there are workers
        after = [project.ended(project.send("with_child")) for _ in range(4)]

        assert {(job.state, job.started_at, job.heartbeat_at) for job in cancelled} == {(State.killed, None, None)}
        assert {job.error_summary for job in cancelled} == {"it was cancelled before it started"}
        assert ({job.parent for job in after}, project.noted("closed")) == ({None}, 0)

    def test_a_task_that_takes_too_long_fails(self, project: Project) -> None:
        job = project.ended(project.status(project.ask("send_with", "gated", "huey slow", timeout=0.3)))

        assert job.state is State.failed
        assert "TaskTimeout" in job.error_summary

    def test_a_task_of_an_untracked_publisher_appears_at_the_consumer(self, project: Project) -> None:
        id = project.ask("send_untracked", "read_book", "Book:7")

        job = project.ended(until(lambda: statuses.find(id), "the job"))
        assert (job.state, job.job_args, job.queue) == (State.succeeded, {"book": "Book:7"}, "main")


def test_a_task_that_huey_revoked_is_killed_when_a_consumer_meets_it(project: Project) -> None:
    job = project.status(project.ask("send_and_revoke", "count", "huey revoked", queue="huey-revoked"))

    project.start_worker("revoked", "huey-revoked")

    assert project.ended(job).state is State.killed
    assert project.noted("huey revoked") == 0


def test_the_depth_of_the_queue_is_told(project: Project) -> None:
    project.send("add", 1, 1, to="huey-deep")

    assert project.ask("depth", "huey-deep") == 1


def test_a_task_whose_consumer_is_stopped_at_once_fails_and_says_so(project: Project) -> None:
    worker = project.start_worker("stopped", "huey-stopped")
    job = project.send("gated", "huey stopped", to="huey-stopped")
    project.began("huey stopped")

    os.kill(worker.process.pid, signal.SIGTERM)
    worker.process.wait(PATIENCE)

    assert job.worker not in [report.worker for report in presence.reports("huey")]
    assert project.ended(job).state is State.failed
    assert job.error_summary == "its consumer was stopped while it ran"


def test_a_consumer_tells_what_its_forked_workers_run_until_they_die(project: Project) -> None:
    # No heartbeats, as of a job that holds its process's only lock: the consumer's word alone keeps it from being given up.
    project.start_worker("forked", "forked", TEST_PRESENCE="0.1", TEST_HEARTBEAT="3600")
    jobs = [project.send("gated", f"huey forked {number}", to="forked") for number in range(2)]
    for number in range(2):
        project.began(f"huey forked {number}")
    consumer = project.told("forked", lambda worker: len(worker.running) == 2)
    until(lambda: project.ask("reap", 1.0).spared >= 2, "the reaper spares both")
    spared = {job.reload().state for job in jobs}

    os.kill(project.pid("huey forked 0"), signal.SIGKILL)
    project.reaped(jobs[0])
    left = project.told("forked", lambda worker: len(worker.running) == 1)
    project.open("huey forked 1")
    project.ended(jobs[1])
    project.told("forked", lambda worker: not worker.running)

    assert sorted(consumer.running) == sorted(job.id for job in jobs)
    assert (consumer.pool, consumer.concurrency) == ("process", 2)
    assert spared == {State.started}
    assert (jobs[0].error_group, list(left.running)) == ("WorkerLost", [jobs[1].id])
    assert jobs[1].state is State.succeeded
