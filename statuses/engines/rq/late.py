"""What the process of a job cannot tell before it ends, handed to the worker that outlives it.

RQ forks a process for each job, which ends at once when the job has: while the store is away it could neither wait for it
nor remember. The worker can: a pipe carries the ends of jobs to it, and what the worker knows of the store at the moment
it forks comes along with the fork.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any

#: Tells one end; called in the worker's main process.
Tell = Callable[[dict[str, Any]], None]


class LastWords:
    """The pipe of one worker. Its processes run one after the other, so their words never mix."""

    def __init__(self) -> None:
        self._listener: int | None = None
        self._out = -1
        self.store_away = False
        """In a forked process: whether the worker knew that the store is away."""

    @property
    def is_forked(self) -> bool:
        """Whether this process was forked for a job by a worker that listens."""
        return self._listener is not None and self._listener != os.getpid()

    def listen(self, tell: Tell, store_away: bool) -> None:
        """In a worker, before it forks: be there for what its processes say."""
        self.store_away = store_away
        if self._listener == os.getpid():
            return
        reading, self._out = os.pipe()
        self._listener = os.getpid()
        threading.Thread(target=_pass_on, args=(reading, tell), name="statuses-rq-late", daemon=True).start()

    def say(self, words: dict[str, Any]) -> None:
        """In a forked process, before it ends."""
        data = json.dumps(words).encode() + b"\n"
        while data:
            data = data[os.write(self._out, data) :]


def _pass_on(reading: int, tell: Tell) -> None:
    with os.fdopen(reading, "rb") as lines:
        for line in lines:
            tell(json.loads(line))


#: This process's.
last_words = LastWords()
