"""Celery with RabbitMQ as its broker: what is different from a Redis, with real workers."""

from datetime import datetime

import pytest
from kombu import Connection

import statuses
from statuses import State
from statuses.engines.base import Queue
from tests import rabbit
from tests.projects.running import Process, Project
from tests.servers import until

pytestmark = [
    pytest.mark.skipif(not rabbit.is_there(), reason="no RabbitMQ on this machine"),
    pytest.mark.parametrize("running", ["celery-rabbitmq"], indirect=True),
]


@pytest.fixture(scope="session")
def running(node: rabbit.Rabbit, running: Project) -> Project:
    """The project, once its broker is there, and nobody who makes again what he left in it."""
    node.forget()
    running.environment["TEST_RABBIT"] = node.url
    return running


@pytest.fixture(scope="session")
def worker(running: Project) -> Process:
    """A worker of all queues."""
    return running.start_worker("both", "main,safe,north,south")


def queue(project: Project, name: str) -> Queue:
    """What the engine tells of a queue."""
    return next(found for found in project.ask("queues") if found.name == name)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("to", ["main", "safe"])
def test_a_job_is_seen_from_its_sending_to_its_end(project: Project, to: str) -> None:
    job = project.ended(project.send("add", 20, 22, to=to))
    failed = project.ended(project.send("fail", "no such shelf", to=to))

    assert (job.state, job.data, job.queue, job.engine) == (State.succeeded, {"result": 42}, to, "celery")
    assert job.queued_at <= job.started_at <= job.succeeded_at
    assert (failed.state, failed.error_group) == (State.failed, "ValueError projects/work.py:fail")


@pytest.mark.usefixtures("worker")
def test_a_running_job_is_killed_and_retried(project: Project) -> None:
    victim = project.send("gated", "rabbit victim")
    project.began("rabbit victim")

    project.kill_now(victim)
    killed = project.ended(victim).state
    project.retry(victim)
    until(lambda: project.noted("began:rabbit victim") == 2, "the second attempt runs")
    project.open("rabbit victim")
    project.becomes(victim, "succeeded")

    assert killed is State.killed
    assert (victim.attempt, victim.queue) == (1, "main")


def test_a_killed_queued_job_never_starts_at_a_worker_that_comes_later(project: Project) -> None:
    job, other = project.send("count", "rabbit killed", to="later"), project.send("count", "rabbit other", to="later")

    project.kill_now(job)
    project.start_worker("later", "later")
    project.ended(other)

    assert (job.reload().state, job.started_at) == (State.killed, None)
    assert (project.noted("rabbit killed"), project.noted("rabbit other")) == (0, 1)


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("task", ["add", "take"])  # of the second a route of the project says another key
def test_a_job_that_is_sent_by_exchange_and_key_is_in_the_queue_that_these_lead_to_and_so_is_its_retry(project: Project, task: str) -> None:
    args = (20, 22) if task == "add" else ("a book",)
    job = project.status(project.ask("send_by_key", task, *args, key="orders.south"))
    project.ended(job)

    project.retry(job)
    until(lambda: job.reload().attempt == 1 and job.is_ended, "the second attempt has ended")

    options = job.call["options"]
    assert [attempt.queue for attempt in (*job.prior_attempts, job)] == ["south", "south"]
    assert (options["exchange"], options["routing_key"], options["queue"]) == ("regions", "orders.south", "south")
    assert "orders.south" not in [found.name for found in project.ask("queues")]


@pytest.mark.usefixtures("worker")
def test_a_worker_finds_the_queue_of_a_job_whose_sender_has_no_adapter(project: Project) -> None:
    id = project.ask("send_by_key", "add", 1, 1, key="orders.north", tracked=False)

    job = until(lambda: statuses.find_by(provider_job_id=id), "a worker has it")

    assert project.ended(job).queue == "north"


@pytest.mark.usefixtures("worker")
def test_a_job_for_later_that_the_broker_keeps_is_in_its_own_queue(project: Project) -> None:
    job = project.send("add", 2, 2, to="safe", later=2)
    before = job.state, job.queue

    project.ended(job)
    project.retry(job)
    until(lambda: job.reload().attempt == 1 and job.is_ended, "the second attempt has ended")

    assert before == (State.unqueued, "safe")
    assert [(attempt.state, attempt.queue) for attempt in (*job.prior_attempts, job)] == [(State.succeeded, "safe")] * 2
    assert (job.prior_attempts[0].queued_at - job.recorded_at).total_seconds() >= 1


@pytest.mark.usefixtures("worker")
def test_an_automatic_retry_that_the_broker_keeps_stays_in_its_queue(project: Project) -> None:
    job = project.send("fail_first", "rabbit again", 1, to="safe", retries=1)

    project.ended(job)
    project.becomes(job, "succeeded")

    assert (job.attempt, job.queue) == (1, "safe")


def test_what_a_killed_worker_held_is_handed_out_again_at_once_as_the_next_attempt(project: Project) -> None:
    dying = project.start_worker("dying", "doomed")
    job = project.send("gated", "rabbit doomed", to="doomed")
    project.began("rabbit doomed")

    dying.kill()
    project.start_worker("heir", "doomed")
    until(lambda: project.noted("began:rabbit doomed") == 2, "another worker has it")
    project.open("rabbit doomed")
    project.becomes(job, "succeeded")

    assert (job.attempt, len(job.prior_attempts)) == (1, 1)


def test_a_job_that_expired_in_the_broker_is_killed_by_the_reaper_and_can_be_retried(project: Project, node: rabbit.Rabbit) -> None:
    job = project.send("count", "rabbit late", to="unheard", expires=1)
    others = [project.send("count", "rabbit in time", to="unheard", expires=expires) for expires in (None, 600)]
    later = project.send("count", "rabbit later", to="unheard", later=600, expires=1)
    states = job.state, later.state

    until(lambda: queue(project, "unheard").depth == 3, "the broker has dropped it")  # what stands behind others it drops later
    until(lambda: project.ask("reap", 1.0, waiting=True) and later.reload().is_ended and job.reload().is_ended, "both are told")
    expires = [datetime.fromisoformat(one.call["options"]["expires"]) for one in (job, later)]
    project.retry(job)
    for _ in range(2):
        project.ask("reap", 1.0, waiting=True)
    again = job.reload().state
    project.start_worker("late", "unheard")
    project.becomes(job, "succeeded")

    assert (states, again) == ((State.queued, State.unqueued), State.queued)
    for one, at in zip((job.prior_attempts[0], later.reload()), expires, strict=True):
        assert (one.state, one.started_at) == (State.killed, None)
        assert one.error_summary == "celery.exceptions.TaskRevokedError: expired before it started"
        assert one.killed_at >= at
    assert [project.ended(other).state for other in others] == [State.succeeded] * 2
    assert (project.noted("rabbit late"), project.noted("rabbit later")) == (1, 0)


def test_a_queue_tells_how_many_messages_no_worker_has_taken(project: Project, node: rabbit.Rabbit) -> None:
    waiting = [project.send("add", number, 0, to="deep") for number in range(3)]

    # What was sent is on its way on another line than the question, and a busy broker may not answer in time.
    deep = until(lambda: (found := queue(project, "deep")).depth == 3 and found, "the broker has them")
    main = queue(project, "main")
    node.freeze()
    try:
        away = queue(project, "deep")
    finally:
        node.thaw()

    assert (deep.depth, deep.held) == (3, None)
    assert main.depth == 0
    assert away.depth is None
    # Whether workers hold any it does not say: then nobody can tell that one was lost.
    assert project.ask("forgotten", "celery", [job.id for job in waiting]) == []


def test_a_job_whose_queue_is_no_longer_there_is_forgotten_and_one_for_later_is_not(project: Project, node: rabbit.Rabbit) -> None:
    job, later = project.send("add", 1, 1, to="deleted"), project.send("add", 1, 1, to="deleted", later=600)
    ids = [job.id, later.id]
    before = project.ask("forgotten", "celery", ids)

    with Connection(node.url) as connection:
        connection.default_channel.queue_delete("deleted")

    until(lambda: project.ask("forgotten", "celery", ids), "no worker that was killed before is waited for")
    assert (before, project.ask("forgotten", "celery", ids)) == ([], [job.id])
