"""Which tasks of a Huey can be enqueued by their name."""

from __future__ import annotations

from typing import Any

from huey.exceptions import HueyException


def find(huey: Any, name: str) -> Any:
    """The class of the task of this name, None where this process declared none."""
    try:
        return huey._registry.string_to_task(name)
    except HueyException:
        return None


def names(huey: Any) -> list[str]:
    """All of them, as `Status.job_name` says it."""
    return list(huey._registry._registry)
