"""Dramatiq with RabbitMQ as its broker: what is different from a Redis, with real workers."""

import pytest
from dramatiq.message import Message

from statuses import State
from statuses.engines.base import Queue
from tests import rabbit
from tests.projects.running import Process, Project
from tests.servers import until

pytestmark = [
    pytest.mark.skipif(not rabbit.is_there(), reason="no RabbitMQ on this machine"),
    pytest.mark.parametrize("running", ["dramatiq-rabbitmq"], indirect=True),
]

#: Reports come at once, so that no test waits ten seconds.
SOON = {"TEST_PRESENCE": "0.1"}


@pytest.fixture(scope="session")
def running(node: rabbit.Rabbit, running: Project) -> Project:
    """The project, once its broker is there, and nobody who makes again what he left in it."""
    node.forget()
    running.environment["TEST_RABBIT"] = node.url
    return running


@pytest.fixture(scope="session")
def worker(running: Project) -> Process:
    """A worker of the queue `main`."""
    return running.start_worker("main", **SOON)


def queue(project: Project, name: str) -> Queue:
    """What the engine tells of a queue."""
    project.ask("declare", name)
    return next(found for found in project.ask("queues") if found.name == name)


@pytest.mark.usefixtures("worker")
def test_a_job_is_seen_from_its_sending_to_its_end(project: Project) -> None:
    job = project.ended(project.send("add", 20, 22))
    failed = project.ended(project.send("fail", "no such shelf"))

    assert (job.state, job.data, job.queue, job.engine) == (State.succeeded, {"result": 42}, "main", "dramatiq")
    assert job.queued_at <= job.started_at <= job.succeeded_at
    assert (failed.state, failed.error_group) == (State.failed, "ValueError projects/work.py:fail")


@pytest.mark.usefixtures("worker")
def test_a_job_for_later_waits_in_its_own_queue_once_it_is_due(project: Project) -> None:
    job = project.send("fail_first", "hare later", 1, later=1, retries=1)
    before = job.state, job.queue

    project.becomes(job, "succeeded")
    project.retry(job)
    until(lambda: job.reload().attempt == 2 and job.is_ended, "what was sent again has ended")

    assert before == (State.unqueued, "main")
    assert [(attempt.state, attempt.queue) for attempt in (*job.prior_attempts, job)] == [
        (State.failed, "main"), (State.succeeded, "main"), (State.succeeded, "main"),
    ]  # fmt: skip
    assert (job.prior_attempts[0].queued_at - job.recorded_at).total_seconds() >= 0.9


def test_a_killed_queued_job_never_starts_at_a_worker_that_comes_later(project: Project) -> None:
    job, other = project.send("count", "hare killed", to="later"), project.send("count", "hare other", to="later")

    job.request_kill(by="ops", end_queued=True)
    project.start_worker("later", "later")
    project.ended(other)

    assert (job.reload().state, job.started_at) == (State.killed, None)
    assert (project.noted("hare killed"), project.noted("hare other")) == (0, 1)


def test_what_a_killed_worker_held_is_handed_out_again_at_once_as_the_next_attempt(project: Project) -> None:
    dying = project.start_worker("dying", "doomed")
    job = project.send("gated", "hare doomed", to="doomed")
    project.began("hare doomed")

    dying.kill()
    project.start_worker("heir", "doomed")
    until(lambda: project.noted("began:hare doomed") == 2, "another worker has it")
    project.open("hare doomed")
    project.becomes(job, "succeeded")

    assert (job.attempt, [attempt.state for attempt in job.prior_attempts]) == (1, [State.started])


def test_a_running_job_that_was_asked_to_die_goes_on_when_its_workers_connection_is_lost(project: Project, node: rabbit.Rabbit) -> None:
    worker = project.start_worker("cut off", "cut")
    job = project.send("gated", "hare cut", to="cut")
    project.began("hare cut")
    job.request_kill(by="anna")

    node.drop_connections()
    until(lambda: "was skipped" in worker.text(), "what was handed out again is refused")
    said = job.reload().state
    project.open("hare cut")
    project.ended(job)

    assert (said, job.state, job.attempt, project.noted("began:hare cut")) == (State.started, State.succeeded, 0, 1)


def test_what_runs_or_was_taken_ahead_when_its_queue_is_paused_runs_once(project: Project) -> None:
    project.start_worker("pausing", "calm", **SOON)
    jobs = [project.send("gated", f"hare calm {number}", to="calm") for number in range(3)]  # there are two threads
    for number in range(2):
        project.began(f"hare calm {number}")

    project.ask("control", "pause_queue", "calm")
    project.told("calm", lambda worker: worker.held)
    waiting = project.send("count", "hare calm", to="calm")
    for number, job in enumerate(jobs):
        project.open(f"hare calm {number}")
        project.becomes(job, "succeeded")
    depth, state = until(lambda: queue(project, "calm").depth, "the queue has a depth"), waiting.reload().state
    project.start_worker("next", "calm", **SOON)
    project.ask("control", "resume_queue", "calm")
    project.becomes(waiting, "succeeded")

    assert (depth, state) == (1, State.queued)
    assert [(job.reload().state, job.attempt) for job in jobs] == [(State.succeeded, 0)] * 3
    assert [project.noted(f"began:hare calm {number}") for number in range(3)] == [1] * 3


def test_a_queue_that_is_resumed_while_its_jobs_still_run_is_taken_from_again(project: Project) -> None:
    project.start_worker("resumed", "brisk", **SOON)
    job = project.send("gated", "hare brisk", to="brisk")
    project.began("hare brisk")

    project.ask("control", "pause_queue", "brisk")
    project.told("brisk", lambda worker: worker.held)
    project.ask("control", "resume_queue", "brisk")
    project.ended(project.send("add", 1, 1, to="brisk"))
    project.open("hare brisk")
    project.ended(job)

    assert (job.state, job.attempt, project.noted("began:hare brisk")) == (State.succeeded, 0, 1)


@pytest.mark.usefixtures("running")
def test_sending_to_a_broker_that_hangs_is_given_up_in_time(node: rabbit.Rabbit, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a retry from the page."""
    from dramatiq.brokers.rabbitmq import RabbitmqBroker

    from statuses.engines.dramatiq import rabbitmq

    monkeypatch.setattr(rabbitmq, "ANSWER_SECONDS", 0.5)
    there = RabbitmqBroker(url=node.url.rstrip("/"))
    sender, message = rabbitmq.Sender(there), Message("hangs", "add", (1, 1), {}, {})

    node.freeze()
    try:
        with pytest.raises(TimeoutError, match=r"did not answer for 0\.5 s"):
            sender.send(message)
        with pytest.raises(TimeoutError, match="has not answered to an earlier message yet"):
            sender.send(message)
    finally:
        node.thaw()

    until(lambda: there.get_queue_message_counts("hangs")[0] == 1, "the first one is sent all the same")
    sender.send(message)
    until(lambda: there.get_queue_message_counts("hangs")[0] == 2, "the next one is sent")
    there.close()


def test_a_queue_tells_how_many_messages_no_worker_has_taken(project: Project, node: rabbit.Rabbit) -> None:
    for number in range(3):
        project.send("add", number, 0, to="deep")
    project.send("add", 3, 0, to="deep", later=60)

    # What was sent is on its way on another line than the question, and a busy broker may not answer in time.
    deep = until(lambda: (found := queue(project, "deep")).depth == 3 and found, "the broker has them")
    nothing = queue(project, "nobody sent there")
    node.freeze()
    try:
        away = queue(project, "deep")
    finally:
        node.thaw()

    assert (deep.depth, nothing.depth) == (3, 0)
    assert away.depth is None
