"""The Dramatiq project with a RabbitMQ between, as Dramatiq itself would have it."""

import os

os.environ["TEST_DRAMATIQ_RABBIT"] = os.environ["TEST_RABBIT"].rstrip("/")  # which would be another virtual host here

from . import dramatiq_project as _plain
from .dramatiq_project import *  # noqa: F403


def worker(name: str, queue: str) -> list[str]:
    """The command line of a worker."""
    return _of_this(_plain.worker(name, queue))


def command(name: str, queue: str) -> list[str]:
    """The command line that people write."""
    return _of_this(_plain.command(name, queue))


def _of_this(line: list[str]) -> list[str]:
    return [__name__ if part == _plain.__name__ else part for part in line]
