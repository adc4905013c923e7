"""The Celery project with a RabbitMQ between: its default queue as ever, and one that RabbitMQ keeps on several nodes ("quorum"), for which
Celery leaves jobs for later to the broker."""

import os
from typing import Any

from kombu import Exchange, Queue

from .celery_project import READY, app, is_over, ready, send, tasks
from .celery_project import worker as _worker

__all__ = ["READY", "app", "is_over", "ready", "send", "send_by_key", "tasks", "worker"]

quorum = {"x-queue-type": "quorum"}
regions = Exchange("regions", type="direct")
app.conf.update(
    broker_url=os.environ["TEST_RABBIT"],
    task_queues=[
        Queue("main"),
        Queue("safe", Exchange("safe", type="topic"), "safe", queue_arguments=quorum),
        Queue("north", regions, "orders.north"),
        Queue("south", regions, "orders.south"),
    ],
    task_routes={"work.take": {"exchange": "regions", "routing_key": "orders.north"}},
    task_create_missing_queues=True,
    task_acks_late=True,
    # RabbitMQ knows no prefetch for all consumers of a channel together where queues are of that kind.
    worker_detect_quorum_queues=True,
)


def send_by_key(task: str, *args: Any, key: str, tracked: bool = True) -> str:
    """Send a task to an exchange, as a sender with the adapter or as one without; Celery's id."""
    send_task = app.send_task if tracked else type(app).send_task.__get__(app)
    return send_task(tasks[task, 0].name, args, exchange="regions", routing_key=key).id


def worker(name: str, queue: str) -> list[str]:
    """The command line of a worker."""
    return [__name__ if part == "tests.projects.celery_project" else part for part in _worker(name, queue)]
