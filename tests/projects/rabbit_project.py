"""The Celery project with a RabbitMQ between: its default queue as ever, and one that RabbitMQ keeps on several nodes ("quorum"), for which
Celery leaves jobs for later to the broker."""

import os

from kombu import Exchange, Queue

from .celery_project import READY, app, is_over, ready, send, tasks
from .celery_project import worker as _worker

__all__ = ["READY", "app", "is_over", "ready", "send", "tasks", "worker"]

quorum = {"x-queue-type": "quorum"}
app.conf.update(
    broker_url=os.environ["TEST_RABBIT"],
    task_queues=[Queue("main"), Queue("safe", Exchange("safe", type="topic"), "safe", queue_arguments=quorum)],
    task_create_missing_queues=True,
    task_acks_late=True,
    # RabbitMQ knows no prefetch for all consumers of a channel together where queues are of that kind.
    worker_detect_quorum_queues=True,
)


def worker(name: str, queue: str) -> list[str]:
    """The command line of a worker."""
    return [__name__ if part == "tests.projects.celery_project" else part for part in _worker(name, queue)]
