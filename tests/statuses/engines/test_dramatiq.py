"""What Dramatiq alone does, with real workers."""

import pytest

import statuses
from statuses import State
from tests.projects.running import Project
from tests.servers import until

pytestmark = pytest.mark.parametrize("running", ["dramatiq"], indirect=True)


@pytest.mark.usefixtures("shared")
class TestWithAWorker:
    def test_each_step_of_a_pipeline_is_the_child_of_the_one_before_and_depends_on_it(self, project: Project) -> None:
        first = project.ended(project.status(project.ask("send_piped", 1, 40)))

        second = project.ended(until(lambda: statuses.find_by(parent=first.id), "the second step"))

        assert (second.depends_on, second.data) == ([first.id], {"result": 42})

    def test_a_retry_sends_the_rest_of_the_pipeline_again(self, project: Project) -> None:
        first = project.ended(project.status(project.ask("send_piped", 2, 40)))
        project.ended(until(lambda: statuses.find_by(parent=first.id), "the second step"))

        project.retry(first)

        until(lambda: first.children.where(state="succeeded").count() == 2, "the second step once more")

    def test_what_an_actor_sends_is_its_child(self, project: Project) -> None:
        job = project.ended(project.status(project.ask("send_with_child")))

        assert project.ended(project.status(job.data["result"])).parent == job.id

    def test_a_message_of_an_untracked_publisher_appears_at_the_worker(self, project: Project) -> None:
        id = project.ask("send_untracked", "read_book", "Book:7")

        job = project.ended(until(lambda: statuses.find_by(provider_job_id=id), "the job"))
        assert (job.state, job.job_args, job.queue) == (State.succeeded, {"book": "Book:7"}, "main")

    def test_a_retry_continues_with_the_automatic_ones(self, project: Project) -> None:
        job = project.send("fail_first", "dramatiq both", 3, retries=1)
        until(lambda: job.reload().attempt == 1 and job.is_ended, "two attempts have failed")

        project.retry(job)

        until(lambda: job.reload().attempt == 3 and job.is_ended, "the fourth attempt has ended")
        assert (job.state, project.noted("dramatiq both")) == (State.succeeded, 4)
        assert [attempt.state for attempt in job.prior_attempts] == [State.failed] * 3


def test_a_message_that_is_handed_out_again_after_its_worker_died_is_the_next_attempt(project: Project) -> None:
    first = project.start_worker("first", "dramatiq-lost", TEST_HANDED_OUT_AGAIN="1")
    job = project.send("gated", "dramatiq lost", to="dramatiq-lost")
    project.began("dramatiq lost")
    first.kill()

    project.start_worker("second", "dramatiq-lost", TEST_HANDED_OUT_AGAIN="1")
    until(lambda: project.noted("began:dramatiq lost") == 2, "it runs again")
    project.open("dramatiq lost")

    project.ended(job)
    assert (job.state, job.attempt, job.prior_attempts[0].state) == (State.succeeded, 1, State.started)


def test_a_message_that_is_handed_out_again_after_its_job_was_sent_again_is_refused(project: Project) -> None:
    first = project.start_worker("first", "dramatiq-twice", TEST_HANDED_OUT_AGAIN="1")
    job = project.send("gated", "dramatiq twice", to="dramatiq-twice")
    project.began("dramatiq twice")
    first.kill()
    job.failed(error="its worker is lost")  # as the reaper does
    project.retry(job)

    second = project.start_worker("second", "dramatiq-twice", TEST_HANDED_OUT_AGAIN="1")
    until(lambda: project.noted("began:dramatiq twice") == 2, "it runs again")
    until(lambda: "was skipped" in second.text(), "the old message is refused")
    project.open("dramatiq twice")

    project.ended(job)
    assert (job.state, job.attempt, project.noted("began:dramatiq twice")) == (State.succeeded, 1, 2)


def test_the_depth_of_queues_is_told(project: Project) -> None:
    project.send("add", 1, 1, to="dramatiq-deep")
    project.ask("declare", "dramatiq-deep")

    assert project.ask("depths")["dramatiq-deep"] == 1
