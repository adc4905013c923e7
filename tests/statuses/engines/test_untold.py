"""What Dramatiq and Huey, whose results say no moment, say of jobs that wait as far as anybody told."""

import pytest

from statuses import State
from tests.projects.running import Project
from tests.servers import until

pytestmark = pytest.mark.parametrize("running", ["dramatiq", "huey"], indirect=True)


def test_a_job_that_waits_for_its_next_attempt_has_not_ended_as_the_one_before_it_did(project: Project) -> None:
    queue, gate = f"next-{project.name}", f"{project.name} fails first"
    first = project.start_worker("first", queue, TEST_PRESENCE="0.1")
    job = project.send("fails_at", gate, to=queue, retries=1)
    project.began(gate)
    project.ask("control", "pause_queue", queue)
    project.told(queue, lambda worker: queue in worker.held)
    project.open(gate)
    until(lambda: job.reload().attempt == 1 and job.state is State.queued, "the next attempt waits")
    first.kill()

    project.ask("reap", 1.0, waiting=True)
    while_waiting = job.reload().state, job.attempt
    project.ask("control", "resume_queue", queue)
    project.start_worker("second", queue)
    project.open(gate)

    assert while_waiting == (State.queued, 1)
    until(lambda: job.reload().is_ended and job.attempt == 1, "its last attempt has ended")
    assert (job.state, project.noted(f"began:{gate}")) == (State.failed, 2)


def test_a_job_that_a_worker_without_the_adapter_ran_ends_as_its_engine_says(project: Project) -> None:
    queue, name = f"without-{project.name}", f"{project.name} without"
    retried, broke = project.send("fail_first", name, 1, to=queue, retries=1), project.send("fail", "no such shelf", to=queue)
    project.start_worker("without", queue, TEST_WITHOUT_ADAPTER="1")
    until(lambda: all(project.ask("is_over", job.provider_job_id) for job in (retried, broke)), "its engine has both ends")
    until(lambda: project.noted(name) == 2, "it ran again")
    untold = [job.reload().state for job in (retried, broke)]

    def ended() -> bool:
        project.ask("reap", 1.0, waiting=True)
        return retried.reload().is_ended and broke.reload().is_ended

    until(ended, "the reaper tells both ends")
    assert untold == [State.queued] * 2
    assert (retried.state, retried.data, retried.attempt) == (State.succeeded, {"result": name}, 0)
    assert (broke.state, broke.error_summary) == (State.failed, "ValueError: no such shelf")


def test_a_job_for_later_that_ran_while_nobody_could_tell_that_it_was_due_ends_as_its_engine_says(project: Project) -> None:
    queue, name = f"due-{project.name}", f"{project.name} due"
    job = project.send("count", name, to=queue, later=project.facts.soon)
    later = project.send("count", "never comes", to=queue, later=3600)

    project.store.stop()
    try:
        worker = project.start_worker("due", queue)
        until(lambda: project.ask("is_over", job.provider_job_id), "its engine has its end")
        worker.kill()
    finally:
        project.store.start()
    untold = job.reload().state
    project.ask("reap", 1.0, waiting=True)

    assert untold is State.unqueued
    assert (job.reload().state, job.data) == (State.succeeded, {"result": name})
    assert later.reload().state is State.unqueued
