"""One order to stop is enough for a worker: a second one, while it waits for its jobs, has Celery end them (seen with RabbitMQ)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.worker.control import Panel

#: Celery's own remote control command.
SHUTDOWN = "shutdown"


def connect(is_stopping: Callable[[str], bool]) -> None:
    """Let every worker of this process hear it once, whoever says it; once. `is_stopping`: whether the worker of this name was asked to
    end before, by a signal too."""
    original = Panel.data[SHUTDOWN]
    if getattr(original, "is_ours", False):
        return

    def shutdown(state: Any, **options: Any) -> Any:
        """As Celery's own, unless the worker is stopping already."""
        return {"ok": "it is stopping already"} if is_stopping(state.hostname) else original(state, **options)

    shutdown.is_ours = True  # ty: ignore[missing-attribute]
    Panel.data[SHUTDOWN] = shutdown
