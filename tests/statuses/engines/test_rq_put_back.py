"""Jobs of RQ that were put back, or given up, by what knows nothing of our class; with real workers."""

from collections.abc import Callable

import pytest

import statuses
from statuses import State, Status
from tests.projects.running import Process, Project
from tests.servers import until

pytestmark = pytest.mark.parametrize("running", ["rq"], indirect=True)


def ended_as(project: Project, job: Status, attempt: int, in_rq: str) -> None:
    until(lambda: job.reload().attempt == attempt and job.is_ended, f"attempt {attempt} has ended")
    until(lambda: project.ask("state_in_rq", job.provider_job_id) == in_rq, f"RQ says that it is {in_rq}")


def failed(project: Project, name: str, times: int = 1) -> Status:
    """A job that fails so often, and now has once."""
    job = project.send("fail_first", name, times)
    ended_as(project, job, 0, "failed")
    return job


@pytest.mark.usefixtures("shared")
class TestAFailedJob:
    def test_that_rqs_command_requeues_is_the_next_attempt_however_often(self, project: Project) -> None:
        job = failed(project, "put back by its command", 2)

        project.ask("requeue_by_command", job.provider_job_id, "main")
        ended_as(project, job, 1, "failed")
        project.ask("requeue_by_command", job.provider_job_id, "main")
        ended_as(project, job, 2, "finished")

        assert job.state is State.succeeded
        assert [(attempt.state, bool(attempt.error_summary)) for attempt in job.prior_attempts] == [(State.failed, True)] * 2

    def test_that_was_put_back_is_retried_by_rq_and_by_hand_as_any(self, project: Project) -> None:
        job = project.send("fail_first", "put back and retried", 3, retries=1)
        ended_as(project, job, 1, "failed")

        project.ask("requeue_by_command", job.provider_job_id, "main")
        ended_as(project, job, 2, "failed")
        project.retry(job)

        ended_as(project, job, 3, "finished")
        assert (job.state, project.noted("put back and retried")) == (State.succeeded, 4)

    def test_whose_process_dies_when_it_was_put_back_has_failed_twice(self, project: Project) -> None:
        job = project.status(project.ask("send_own", "die"))
        ended_as(project, job, 0, "failed")

        project.ask("requeue_by_command", job.provider_job_id, "main")

        ended_as(project, job, 1, "failed")
        until(lambda: "Work-horse terminated" in (job.reload().error_summary or ""), "why")

    def test_is_requeued_by_the_object_that_sent_it(self, project: Project) -> None:
        job = project.status(project.ask("send_and_hold", "fail_first", "held", 1, to="main"))
        ended_as(project, job, 0, "failed")

        project.ask("requeue_held", job.provider_job_id)

        ended_as(project, job, 1, "finished")
        assert (job.state, job.prior_attempts[0].state) == (State.succeeded, State.failed)

    def test_that_was_killed_while_it_ran_is_put_back_too(self, project: Project) -> None:
        job = project.send("cooperative", "put back killed")
        project.began("put back killed")
        job.request_kill()
        ended_as(project, job, 0, "stopped")

        project.ask("requeue_by_command", job.provider_job_id, "main")
        until(lambda: job.reload().attempt == 1 and job.is_started, "it runs again")
        job.request_kill()

        ended_as(project, job, 1, "stopped")
        assert [job.state, job.prior_attempts[0].state] == [State.killed] * 2


def test_a_job_that_was_killed_while_it_waited_runs_once_somebody_puts_it_back(project: Project) -> None:
    job = project.send("count", "put back refused", to="rq-refusing")
    job.request_kill(end_queued=True)
    project.start_worker("put-back", "rq-refusing")
    ended_as(project, job, 0, "stopped")

    project.ask("requeue_by_command", job.provider_job_id, "rq-refusing")

    ended_as(project, job, 1, "finished")
    assert (job.state, job.prior_attempts[0].state, project.noted("put back refused")) == (State.succeeded, State.killed, 1)


@pytest.fixture
def worker_of(project: Project) -> Callable[[str], Process]:
    return lambda queue: project.start_worker("put-back", queue)


def running(project: Project, queue: str, retries: int = 0) -> Status:
    job = project.send("gated", queue, to=queue, retries=retries)
    project.began(queue)
    return job


def failed_and_left(project: Project, worker_of: Callable[[str], Process], queue: str) -> Status:
    """A job that has failed, of whose queue no worker takes any more."""
    worker = worker_of(queue)
    job = project.send("fail_first", queue, 1, to=queue)
    ended_as(project, job, 0, "failed")
    worker.stop()
    return job


def test_a_job_waits_at_once_that_a_process_with_the_adapter_requeues_with_the_plain_class(
    project: Project, worker_of: Callable[[str], Process]
) -> None:
    job = failed_and_left(project, worker_of, "rq-plainly")

    project.ask("requeue_with_the_plain_class", job.provider_job_id)
    waits = job.reload().state, job.attempt
    worker_of("rq-plainly")

    ended_as(project, job, 1, "finished")
    assert (waits, job.state) == ((State.queued, 1), State.succeeded)


def test_a_job_is_one_attempt_that_a_worker_begins_with_while_it_is_told_that_it_waits(
    project: Project, worker_of: Callable[[str], Process]
) -> None:
    job = failed_and_left(project, worker_of, "rq-crossing")

    project.ask("begin_while_it_is_told", job.provider_job_id, "rq-crossing")

    assert (job.reload().state, job.attempt, job.worker) == (State.succeeded, 1, "late")


@pytest.mark.parametrize("cleaned_up", ["clean_up", "clean_up_with_the_plain_class"])
def test_a_job_that_was_given_up_and_is_retried_once_its_living_worker_is_done_is_the_next_attempt(
    project: Project, worker_of: Callable[[str], Process], cleaned_up: str
) -> None:
    queue = f"rq-{cleaned_up}"
    worker_of(queue)
    job = running(project, queue, retries=1)

    project.ask(cleaned_up, queue)
    for _ in range(2):
        project.open(queue)

    ended_as(project, job, 1, "finished")
    assert (job.state, project.noted(f"began:{queue}")) == (State.succeeded, 2)


def test_a_job_that_runs_twice_for_its_worker_was_given_up_unheard_is_two_attempts(
    project: Project, worker_of: Callable[[str], Process]
) -> None:
    worker_of("rq-unheard")
    job = running(project, "rq-unheard", retries=1)

    project.ask("clean_up_with_the_plain_class", "rq-unheard")
    worker_of("rq-unheard")
    until(lambda: job.reload().attempt == 1 and job.is_started, "it runs a second time")
    for _ in range(2):
        project.open("rq-unheard")

    ended_as(project, job, 1, "finished")
    until(lambda: statuses.find(f"{job.id}:0").is_ended, "the first run has ended, too")
    assert [job.state, statuses.find(f"{job.id}:0").state] == [State.succeeded] * 2


def test_a_job_is_retried_while_a_worker_refuses_it(project: Project, worker_of: Callable[[str], Process]) -> None:
    job = project.send("count", "rq refused late", to="rq-refused")
    job.request_kill(end_queued=True)

    project.ask("refuse_while_it_is_retried", job.provider_job_id)
    worker_of("rq-refused")

    ended_as(project, job, 1, "finished")
    assert (job.state, project.noted("rq refused late")) == (State.succeeded, 1)
