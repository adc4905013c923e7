"""Celery's workers in tests look for processes that were lost twice a second: they would every five seconds."""

from typing import Any

from celery import signals


@signals.worker_init.connect
def look_often(**_: Any) -> None:
    """Once the worker begins: its modules come after the project, as everywhere."""
    from celery.concurrency.asynpool import AsynPool

    AsynPool.timers = property(lambda pool: {pool.maintain_pool: 0.5})
