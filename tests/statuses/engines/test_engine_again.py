"""Whether an earlier run of a job goes on that is handed out once more: what workers that report themselves say of it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.results import ResultMissing, Results
from dramatiq.results.backends import StubBackend
from huey import MemoryHuey

import statuses
from statuses import KillRequested, State, Status, presence
from statuses.engines import again, machine
from statuses.engines import dramatiq as dramatiq_tracking
from statuses.engines import huey as huey_tracking
from statuses.engines.dramatiq.presence import Present
from statuses.engines.runs import Run
from statuses.engines.tracker import Tracker
from statuses.testing import FrozenClock, frozen_clock
from tests.servers import PATIENCE, until

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def time() -> Iterator[FrozenClock]:
    with frozen_clock() as clock:
        yield clock


@pytest.fixture
def job(time: FrozenClock) -> Status:
    """One that a worker began with."""
    return statuses.create(job_name="tests.job", state="queued", provider_job_id="task").started("first", alive=True)


def reports(worker: str = "first", **facts: Any) -> None:
    presence.tell("tests", worker, {"pid": os.getpid(), "machine": "another", "running": [], **facts})


def silent(time: FrozenClock) -> None:
    """For so long that nobody who says nothing may live."""
    time.tick(presence.ALIVE_FOR + timedelta(seconds=1))


def may_run(job: Status) -> bool:
    return again.may_run("tests", job.reload(), "here")


def ended() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_job_that_a_worker_says_it_runs_goes_on_also_where_it_gives_no_sign_of_life(time: FrozenClock, job: Status) -> None:
    silent(time)
    reports(running=[job.id])

    assert may_run(job)


def test_a_job_that_gives_signs_of_life_may_go_on_until_it_has_given_none_for_long(time: FrozenClock, job: Status) -> None:
    reports()

    assert may_run(job)
    silent(time)
    assert not may_run(job)
    reports()
    assert not may_run(job)


def test_what_a_worker_said_that_is_silent_since_is_no_longer_true(time: FrozenClock, job: Status) -> None:
    reports(running=[job.id])
    silent(time)

    assert not may_run(job)


@pytest.mark.skipif(machine.here() is None, reason="this system does not say which it is")
@pytest.mark.parametrize(("pool", "goes_on"), [("threads", False), ("process", True)])
def test_with_its_process_a_worker_is_gone_but_not_those_that_it_has_forked(job: Status, pool: str, goes_on: bool) -> None:
    reports(pid=ended(), machine=machine.here(), running=[job.id], pool=pool)

    assert may_run(job) is goes_on


def test_a_worker_that_ended_in_order_or_asks_itself_runs_it_no_more(job: Status) -> None:
    reports(running=[job.id])
    presence.leave("tests", "first")

    assert not may_run(job)
    reports(running=[job.id])
    assert not again.may_run("tests", job.reload(), "first")


def test_a_worker_of_an_attempt_before_may_run_it_too(time: FrozenClock, job: Status) -> None:
    job.started("here", alive=True)
    silent(time)
    reports(running=[job.id])

    assert may_run(job)


def test_a_job_whose_worker_nobody_knows_goes_on_as_long_as_it_gives_signs_of_life(time: FrozenClock) -> None:
    job = statuses.create(job_name="tests.job", state="queued", provider_job_id="task").started(alive=True)

    assert may_run(job)
    silent(time)
    assert not may_run(job)


class TestARunThatIsRefused:
    def runs(self, job: Status, number: int = 2, **more: Any) -> list[Run]:
        """Of one process."""
        tracker = Tracker("tests")
        return [
            Run(tracker=tracker, job_name="tests.job", handle=lambda: statuses.at(job.id), worker="w1", redelivered=True, **more)
            for _ in range(number)
        ]

    def refused(self, run: Run) -> bool:
        with pytest.raises(KillRequested):
            run.start()
        return run.left_alone

    def test_leaves_the_job_to_one_that_goes_on_in_its_process(self) -> None:
        job = statuses.create(job_name="tests.job", state="queued", provider_job_id="task")
        first, *others, last = self.runs(job, 4)
        first.start()
        first.enter()
        job.request_kill()

        left = [self.refused(run) for run in others]
        state = job.reload().state
        first.leave()

        assert (left, state) == ([True, True], State.started)
        assert (self.refused(last), job.reload().state) == (False, State.killed)

    def test_says_nothing_of_a_job_that_ends_meanwhile(self) -> None:
        job = statuses.create(job_name="tests.job", state="queued", provider_job_id="task").started("w0").request_kill()

        def ends(status: Status) -> bool:
            job.succeeded()
            return False

        (run,) = self.runs(job, 1, runs_elsewhere=ends)

        assert (self.refused(run), job.reload().state) == (True, State.succeeded)


def test_a_message_that_dramatiq_hands_to_a_worker_twice_leaves_its_run_its_result_and_what_that_worker_reports() -> None:
    results, gate = StubBackend(), threading.Event()
    broker: Any = StubBroker(middleware=[Results(backend=results, store_results=True)])
    dramatiq_tracking.install(broker, name="tests")

    @dramatiq.actor(broker=broker)
    def gated() -> str:
        gate.wait(PATIENCE)
        return "through"

    message, queue = gated.send(), broker.queues["default"]
    as_sent = message.encode()
    worker = dramatiq.Worker(broker, worker_timeout=50, worker_threads=2)
    worker.start()
    try:
        job = until(lambda: statuses.find_by(state="started"), "it runs")
        job.request_kill()
        for _ in range(2):
            queue.put(as_sent)
            until(lambda: queue.unfinished_tasks == 1, "the second run is refused")
        present = next(found for found in broker.middleware if isinstance(found, Present))
        said = job.reload().state, present._facts()["running"]
        with pytest.raises(ResultMissing):
            results.get_result(message)
        gate.set()
        until(lambda: job.reload().is_ended, "it ends")
    finally:
        gate.set()
        worker.stop()
        dramatiq_tracking.uninstall(broker)

    assert said == (State.started, [job.id])
    assert (job.state, job.attempt, results.get_result(message)) == (State.succeeded, 0, "through")


def test_a_task_of_huey_that_is_sent_a_second_time_while_it_runs_is_left_to_its_run() -> None:
    huey: Any = MemoryHuey("again", immediate=False)
    huey_tracking.install(huey, name="tests")
    said: list[State | None] = []

    @huey.task(context=True)
    def sends_itself(task: Any) -> str:
        job = statuses.current()
        assert job is not None
        job.request_kill()
        huey.enqueue(task)
        huey.execute(huey.dequeue())
        said.append(statuses.at(job.id).state)
        return "through"

    try:
        sends_itself()
        huey.execute(huey.dequeue())
    finally:
        huey_tracking.uninstall(huey)

    (job,) = statuses.where().run()
    assert said == [State.started]
    assert (job.state, job.attempt, job.data) == (State.succeeded, 0, {"result": "through"})
