"""What Huey alone does, with real consumers."""

import os
import signal

import pytest

import statuses
from statuses import State
from tests.projects.running import Project
from tests.servers import until

pytestmark = pytest.mark.parametrize("running", ["huey"], indirect=True)


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

        assert project.ended(project.status(job.data["result"])).parent == job.id

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

    assert project.ended(job).state is State.failed
    assert job.error_summary == "its consumer was stopped while it ran"
