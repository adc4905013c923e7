"""A limit of time that is over while a real worker waits for a store that hangs."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

import statuses
from statuses import State, Status
from tests.projects.running import Project
from tests.servers import PATIENCE, Worker, until

#: Seconds for which its store is waited for: longer than the limits.
WAITS = "20"


@pytest.fixture(scope="module")
def patient(environment: dict[str, str]) -> Iterator[Worker]:
    """A worker with one process, on queue `limits`."""
    worker = Worker({**environment, "TEST_TIMEOUT": WAITS}, "patient", "limits", "prefork", 1)
    yield worker
    worker.kill()


class TestCelery:
    @pytest.fixture
    def limited(self, world: Any, patient: Worker) -> Iterator[Any]:
        """The world, once the worker's process knows that the store is there: then it tells starts."""
        until(lambda: world.ended(self.send(world, world.tasks.nothing.s())[0]).started_at, "it is known to be there")
        yield world
        world.store.thaw()

    def send(self, world: Any, signature: Any, seconds: float = 4) -> tuple[Status, Any]:
        job = world.send(signature, queue="limits", soft_time_limit=seconds)
        return job, world.app.AsyncResult(world.task_ids[job.id])

    def test_it_reaches_a_task_that_sends_another(self, limited: Any) -> None:
        job, result = self.send(limited, limited.tasks.sends_while_the_store_hangs.s(limited.store.process.pid, "over"))

        with pytest.raises(SoftTimeLimitExceeded):
            result.get(timeout=PATIENCE)
        limited.store.thaw()

        assert limited.ended(job).state is State.failed
        assert ("SoftTimeLimitExceeded" in job.error_summary, limited.noted("over")) == (True, 1)
        until(lambda: not list(job.children), "what the server made of the other one is taken back")

    def test_it_ends_a_task_whose_start_is_told(self, limited: Any, patient: Worker) -> None:
        world = limited
        statuses.configure(url=world.store.url, namespace="engines", untracked=frozenset({"tests.celeryapp.gated"}))
        world.tasks.gated.apply_async(("before a limit",), queue="limits")
        world.tasks.connect(world.environment["TEST_BROKER"], world.environment["TEST_STORE"])
        world.began("before a limit")
        job, result = self.send(world, world.tasks.count.s("over before it began"), seconds=1)
        before = patient.children()

        world.store.freeze()
        world.open("before a limit")
        with pytest.raises(SoftTimeLimitExceeded):
            result.get(timeout=PATIENCE)
        world.store.thaw()

        assert (world.ended(job).state, job.attempt, world.noted("over before it began")) == (State.failed, 0, 0)
        assert "SoftTimeLimitExceeded" in job.error_summary
        assert patient.children() == before

    def test_it_comes_too_late_for_a_task_whose_end_is_told(self, limited: Any, patient: Worker) -> None:
        job, result = self.send(limited, limited.tasks.ends_while_the_store_hangs.s(limited.store.process.pid))
        name = f"tests.celeryapp.ends_while_the_store_hangs[{result.id}]"
        until(lambda: patient.said(f"Soft time limit (4s) exceeded for {name}"), "it was over while its end was told")
        until(lambda: patient.said(f"Task {name} succeeded"), "and the task has succeeded")
        limited.store.thaw()

        assert (limited.ended(job).state, job.attempt, job.errors) == (State.succeeded, 0, [])


@pytest.mark.parametrize("running", ["rq"], indirect=True)
class TestRQ:
    def test_it_reaches_a_job_that_queues_another(self, project: Project) -> None:
        project.start_worker("patient", "limits", TEST_TIMEOUT="6")
        assert project.store.process is not None
        sent = project.ask("send_own", "sends_while_the_store_hangs", project.store.process.pid, to="limits", job_timeout=2)
        job = project.status(sent)

        try:
            until(lambda: project.ask("state_in_rq", sent) == "failed", "RQ says that it has failed")
        finally:
            project.store.thaw()

        assert project.ended(job).state is State.failed
        assert "JobTimeoutException" in job.error_summary
