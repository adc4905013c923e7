"""Messages that nobody of ours sent, and that a worker drops, with a real one: what becomes a job is what the message says."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

import statuses
from statuses import EngineCannot, State, Status
from statuses.engines.celery import worker as in_worker
from statuses.engines.celery.messages import HEADER, header
from tests.servers import ROOT, until

pytestmark = pytest.mark.usefixtures("worker")


def sent_by_a_stranger(world: Any, task_id: str, protocol: int, *args: Any, **options: Any) -> None:
    """Send a task from a process that has no adapter."""
    text = f"""
import json
from tests.celeryapp import app
app.conf.task_protocol = {protocol}
args, options = json.loads({json.dumps([args, options])!r})
app.send_task(*args, task_id={task_id!r}, **options)
"""
    environment = {**os.environ, **world.environment, "TEST_TRACKED": "0"}
    subprocess.run([sys.executable, "-c", text], check=True, cwd=ROOT, env=environment)


def publish(world: Any, body: Any, headers: dict[str, Any] | None = None, **options: Any) -> None:
    """Put a message into the queue that the worker takes from."""
    with world.app.connection_for_write() as connection:
        connection.Producer().publish(body, routing_key="main", headers=headers or {}, **{"serializer": "json", **options})


def one_more(world: Any) -> None:
    """Wait until the worker has done what was sent before this."""
    world.ended(world.send(world.tasks.nothing.s()))


def job_of(world: Any, task_id: str) -> Status:
    return world.ended(until(lambda: statuses.find_by(provider_job_id=task_id), "the worker makes a job of it"))


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_task_that_nobody_knows_is_a_job_with_the_call_that_its_sender_made(world: Any, protocol: int) -> None:
    task_id = uuid4().hex

    sent_by_a_stranger(
        world, task_id, protocol, "no.such.task", ["Book:1", 2], {"page": 3}, queue="main", headers={"user": "deploy", "tenant": "north"}
    )

    job = job_of(world, task_id)
    assert (job.state, job.job_name, job.queue, job.started_at) == (State.failed, "no.such.task", "main", None)
    assert job.error_summary == "celery.exceptions.NotRegistered: 'no.such.task'"
    assert (job.call["args"], job.call["kwargs"], job.job_args) == (["Book:1", 2], {"page": 3}, {"0": "Book:1"})
    assert (job.user, job.call["options"]["headers"]["tenant"]) == ("deploy", "north")


def test_a_task_that_nobody_knows_is_sent_again_with_its_call(world: Any) -> None:
    task_id = uuid4().hex
    sent_by_a_stranger(world, task_id, 2, "no.such.task", ["again", 2], {"page": 3}, queue="main", countdown=3600)
    job = job_of(world, task_id)

    job.retry()

    until(lambda: job.reload().is_failed and job.attempt == 1, "it failed again")
    assert (job.call["args"], job.call["kwargs"], job.prior_attempts[0].state) == (["again", 2], {"page": 3}, State.failed)


def test_a_task_whose_moment_nobody_can_read_is_a_job_with_its_call(world: Any) -> None:
    task_id = uuid4().hex
    message = world.app.amqp.as_task_v2(task_id, "tests.celeryapp.add", [20, 22], {})

    publish(world, message.body, {**message.headers, "expires": "whenever"}, **message.properties)

    job = job_of(world, task_id)
    assert (job.state, job.job_name, job.queue) == (State.failed, "tests.celeryapp.add", "main")
    assert "InvalidTaskError: invalid expires value 'whenever'" in job.error_summary
    assert (job.call["args"], job.call["kwargs"]) == ([20, 22], {})


def test_what_is_no_task_or_cannot_be_called_makes_no_job(world: Any) -> None:
    before = {job.id for job in statuses.all()}
    called = {"task": "tests.celeryapp.add", "id": uuid4().hex, "args": [1]}

    publish(world, {"hello": "world"})
    publish(world, {**called, "kwargs": ["no mapping"]})
    publish(world, {**called, "task": "no.such.task", "kwargs": ["no mapping"]})
    publish(world, "no task either", {"task": "no.such.task", "id": uuid4().hex})
    publish(world, [[1], {}, {}], {"task": "tests.celeryapp.add", "id": uuid4().hex}, serializer="yaml")

    one_more(world)
    (last,) = {job.id for job in statuses.all()} - before
    assert statuses.at(last).job_name == "tests.celeryapp.nothing"


def test_a_job_of_ours_whose_message_a_worker_refuses_has_failed_with_the_call_that_was_made(world: Any) -> None:
    job = statuses.create(job_name="add", engine="celery", queue="main", state="queued", call={"args": [1], "kwargs": {}})
    task_id = uuid4().hex
    job.set_provider_job_id(task_id)

    publish(world, [[1], {}, {}], {"task": "tests.celeryapp.add", "id": task_id, HEADER: header(job.id, task_id, 0)}, serializer="yaml")

    assert world.ended(job).state is State.failed
    assert "ContentDisallowed" in job.error_summary
    assert job.call["args"] == [1]
    with pytest.raises(EngineCannot):
        job.retry()


def test_a_running_job_goes_on_where_a_worker_that_does_not_know_it_gets_its_message_again(world: Any) -> None:
    job = world.send(world.tasks.add.s(1, 1), queue="nobody").started("first@tests")
    task_id = world.task_ids[job.id]

    def told_by(worker: str) -> State:
        headers = {"id": task_id, "task": "add", HEADER: header(job.id, task_id, 0)}
        again = {"routing_key": "nobody", "redelivered": True}
        message = SimpleNamespace(headers=headers, payload=[[1, 1], {}, {}], properties={}, delivery_info=again)
        in_worker.on_task_unknown(SimpleNamespace(app=world.app, hostname=worker), message, name="add", id=task_id)
        return job.reload().state

    assert told_by("second@tests") is State.started
    assert told_by("first@tests") is State.failed
