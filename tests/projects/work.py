"""What the tasks of every project do: plain functions. Two of them ask for their status, which a task may.

A function that has to wait waits for a gate, a list in the broker's Redis that a test pushes to.
"""

import os
import time
from datetime import timedelta
from typing import Any, NoReturn

import redis

import statuses
from statuses import presence

from .recording import record


def gates() -> redis.Redis:
    """The server with the gates."""
    return redis.Redis(unix_socket_path=os.environ["TEST_BROKER"], db=2)


def wait_at(gate: str) -> None:
    """Wait until somebody opens the gate."""
    gates().blpop([gate], timeout=600)


def note(name: str) -> int:
    """Count that something happened; how often by now."""
    return gates().incr(f"noted:{name}")


def add(x: int, y: int) -> int:
    return x + y


def count(name: str) -> str:
    note(name)
    return name


def read_book(book: str, chapter_id: int = 0, others: Any = ()) -> str:
    return f"read {book}"


def fail(message: str) -> NoReturn:
    raise ValueError(message)


def fail_first(name: str, times: int) -> str:
    """Fails so many times, then does not."""
    if note(name) <= times:
        raise ValueError("not yet")
    return name


def gated(gate: str) -> str:
    gates().set(f"pid:{gate}", os.getpid())
    note(f"began:{gate}")
    wait_at(gate)
    note(f"through:{gate}")
    return "through"


def fails_at(gate: str) -> NoReturn:
    gated(gate)
    raise ValueError(f"failed at {gate}")


def cooperative(gate: str) -> None:
    """Looks whether it shall die at every step."""
    job = statuses.current()
    assert job is not None
    note(f"began:{gate}")
    for _ in range(3000):
        job.check_kill()
        time.sleep(0.01)


def with_progress(steps: int) -> str:
    job = statuses.current()
    assert job is not None
    for step in range(steps):
        job.set_progress(step + 1, steps, message=f"step {step + 1}")
    job.save({"mine": steps})
    return "its data stays"


def with_big_result() -> str:
    return "x" * 200_000


def take(thing: Any) -> str:
    return type(thing).__name__


ALL = (add, count, read_book, fail, fail_first, gated, fails_at, cooperative, with_progress, with_big_result, take)

presence.ALIVE_FOR = timedelta(seconds=float(os.environ.get("TEST_ALIVE_FOR", presence.ALIVE_FOR.total_seconds())))
presence.EVERY_SECONDS = float(os.environ.get("TEST_PRESENCE", presence.EVERY_SECONDS))
if os.environ.get("TEST_RECORD"):
    record(gates)
