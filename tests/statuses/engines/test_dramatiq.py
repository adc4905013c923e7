"""What Dramatiq alone does, with real workers."""

import signal

import pytest

import statuses
from statuses import State, Status, Workflow
from statuses.engines.base import Outcome
from tests.projects.running import Process, Project
from tests.servers import until

pytestmark = pytest.mark.parametrize("running", ["dramatiq"], indirect=True)


def whole(job: Status, number: int) -> Workflow | None:
    """Its workflow, once so many jobs of it have ended."""
    found = statuses.workflow(job)
    return found if len(found.jobs) == number and all(one.is_ended for one in found.jobs) else None


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
        ids = project.ask("send_group", "one", "two")
        for gate in ("one", "two"):
            project.open(gate)

        single, last, before = (project.ended(until(lambda id=id: statuses.find_by(provider_job_id=id), "it is sent")) for id in ids)

        found = statuses.workflow(last)
        assert {job.id for job in found.jobs} == {single.id, last.id, before.id}
        assert {(found.jobs[edge.before].id, found.jobs[edge.after].id) for edge in found.edges} == {(before.id, last.id)}
        assert len({job.root for job in found.jobs}) == 1

    def test_what_follows_a_group_waits_for_all_of_its_members_from_the_beginning(self, project: Project) -> None:
        *ids, _, after = project.ask("send_group", "first", "second", then="both are through")
        body = project.status(after)
        project.began("second")
        before = (body.state, body.job_name, sorted(statuses.workflow(body).depths))
        project.open("first")
        project.open("second")

        project.ended(body)

        assert before == (State.unqueued, "count", [0, 0, 1, 2])
        assert set(body.depends_on) == set(ids)
        assert (body.state, body.data, body.attempt) == (State.succeeded, {"result": "both are through"}, 0)
        assert body.started_at > max(project.ended(project.status(id)).started_at for id in ids)

    def test_a_member_that_is_retried_lets_go_what_waits_for_the_group(self, project: Project) -> None:
        *ids, after = project.ask("send_group_of_unreliable", "unreliable member", "then it goes on")
        failed, body = project.ended(project.status(ids[1])), project.status(after)
        project.ended(project.status(ids[0]))
        stopped, waits = statuses.workflow(body).stopped, body.state

        project.retry(failed)

        assert (stopped, waits) == ([failed], State.unqueued)
        assert (project.ended(body).state, project.noted("then it goes on")) == (State.succeeded, 1)

    def test_what_follows_a_group_is_not_sent_once_it_was_killed(self, project: Project) -> None:
        *_, after = project.ask("send_group", "killed one", "killed two", then="never follows")
        body = project.status(after)

        body.request_kill(by="ops", end_queued=True)
        project.open("killed one")
        project.open("killed two")
        for job in statuses.workflow(body).jobs:
            project.ended(job)

        assert project.ended(project.send("count", "after it")).is_succeeded
        assert (body.reload().state, project.noted("never follows")) == (State.killed, 0)

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


def test_a_message_that_is_handed_out_again_after_the_reaper_gave_its_job_up_is_the_next_attempt(project: Project) -> None:
    first = project.start_worker("first", "dramatiq-reaped", TEST_HANDED_OUT_AGAIN="1", TEST_PRESENCE="0.5")
    job = project.send("gated", "dramatiq reaped", to="dramatiq-reaped")
    project.began("dramatiq reaped")
    first.kill()
    project.reaped(job)

    project.start_worker("second", "dramatiq-reaped", TEST_HANDED_OUT_AGAIN="1")
    until(lambda: project.noted("began:dramatiq reaped") == 2, "it runs again")
    project.open("dramatiq reaped")

    project.becomes(job, "succeeded")
    assert (job.attempt, job.prior_attempts[0].state, job.prior_attempts[0].error_group) == (1, State.failed, "WorkerLost")


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


class TestOneThatWasAskedToDieAndIsHandedOutAgain:
    def begun(self, project: Project, queue: str) -> tuple[Process, Status]:
        """The worker, and the job that runs there."""
        first = project.start_worker("first", queue, TEST_HANDED_OUT_AGAIN="1")
        job = project.send("gated", queue, to=queue)
        project.began(queue)
        job.request_kill(by="anna")
        return first, job

    def refused(self, project: Project, queue: str) -> None:
        second = project.start_worker("second", queue, TEST_HANDED_OUT_AGAIN="1")
        until(lambda: "was skipped" in second.text(), "the second run is refused")

    def test_goes_on_at_its_first_worker_and_ends_as_it_does(self, project: Project) -> None:
        first, job = self.begun(project, "dramatiq-again")
        first.signal(signal.SIGSTOP)  # its broker takes it for dead
        self.refused(project, "dramatiq-again")
        said = job.reload().state, job.kill_requested, project.ask("is_over", job.provider_job_id)
        first.signal(signal.SIGCONT)
        project.open("dramatiq-again")

        project.ended(job)
        assert said == (State.started, True, False)
        assert (job.state, job.attempt, project.noted("began:dramatiq-again")) == (State.succeeded, 0, 1)
        assert project.outcome(job) == Outcome(state=State.succeeded, data={"result": "through"})

    def test_is_killed_where_its_first_worker_is_dead(self, project: Project) -> None:
        first, job = self.begun(project, "dramatiq-dead")
        first.kill()
        self.refused(project, "dramatiq-dead")

        project.ended(job)
        assert (job.state, job.attempt, project.noted("began:dramatiq-dead")) == (State.killed, 0, 1)
