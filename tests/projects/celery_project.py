"""A Celery project: the same functions as tasks, and once more for each number of automatic retries."""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from celery import Celery

from statuses import presence
from statuses.engines import celery as tracking
from statuses.engines.celery import engine

from . import haste, soon, work  # noqa: F401

app = Celery(__name__)
app.conf.update(
    broker_url=f"redis+socket://{os.environ['TEST_BROKER']}?virtual_host=6",
    result_backend=f"redis+socket://{os.environ['TEST_BROKER']}?virtual_host=7",
    broker_connection_retry_on_startup=True,
    worker_hijack_root_logger=False,
    task_default_queue="main",
    result_expires=600,
)
engine.ANSWER_SECONDS = 60.0  # a busy worker is not one that does not answer
soon.configure()
tracking.install(app, resources={"chapter_id": "Chapter"}, heartbeat_seconds=float(os.environ.get("TEST_HEARTBEAT", "0.5")))
presence.EVERY_SECONDS = 0.5

tasks = {(function.__name__, 0): app.task(function, name=f"work.{function.__name__}") for function in work.ALL}
for times in (1, 2, 3):
    for function in work.ALL:
        again = {"autoretry_for": (Exception,), "max_retries": times, "default_retry_delay": 0}
        tasks[function.__name__, times] = app.task(function, name=f"retried_{times}.{function.__name__}", **again)

READY = " ready."


def worker(name: str, queue: str) -> list[str]:
    """The command line of a worker."""
    flags = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
    return ["-m", "celery", "-A", __name__, "worker", "-c", "2", "-Q", queue, "-n", f"{name}@tests", *flags]


def ready() -> None:
    """Nothing to set up."""


def send(
    task: str,
    *args: Any,
    to: str = "main",
    later: float = 0,
    retries: int = 0,
    user: str | None = None,
    expires: float | None = None,
    **kwargs: Any,
) -> str:
    """Send a task; Celery's id."""
    with tracking.as_user(user):
        return tasks[task, retries].apply_async(args, kwargs, queue=to, countdown=later or None, expires=expires).id


def is_over(id: str) -> bool:
    """Whether Celery itself says that the task has ended."""
    return app.AsyncResult(id).ready()


def send_expired(name: str) -> str:
    """Send a task that is too late by the time it is met."""
    return tasks["count", 0].apply_async((name,), queue="main", expires=datetime.now(UTC) - timedelta(seconds=5)).id


def send_unknown() -> str:
    """Send a task that no worker knows."""
    return app.send_task("no.such.task", ("Book:1",), queue="main").id


def take_out(id: str, queue: str) -> bytes:
    """Take the task's message out of its queue; the message."""
    with app.connection_for_read() as connection:
        client = connection.default_channel.client
        found = next(message for message in client.lrange(queue, 0, -1) if json.loads(message)["headers"]["id"] == id)
        client.lrem(queue, 1, found)
    return found


def put_back(id: str, queue: str, found: bytes) -> None:
    """Put it back."""
    with app.connection_for_read() as connection:
        connection.default_channel.client.lpush(queue, found)
