"""Asks what may not answer: what keeps an engine's results has the patience that somebody else gave it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from .. import forks

T = TypeVar("T")

#: Seconds that an engine has to say how a job ended.
ANSWER_SECONDS = 5.0


class Asker:
    """Asks in a thread of its own and waits for it so long. Safe with threads, which take turns, and after a fork."""

    def __init__(self) -> None:
        self._lock = forks.lock()
        self._asked: tuple[threading.Thread, Future[Any]] | None = None

    def ask(self, question: Callable[[], T]) -> T:
        """What `question` gives. Raises: what it raises; TimeoutError where that takes longer, and at once while an earlier question
        has no answer yet: one thread hangs, however often is asked."""
        with self._lock:
            if self._asked is not None and self._asked[0].is_alive() and not self._asked[1].done():
                raise TimeoutError("an earlier question has no answer yet")
            answer: Future[T] = Future()
            # A daemon: one that hangs does not hold up the end of its process.
            thread = threading.Thread(target=_answer, args=(question, answer), name="statuses-asking", daemon=True)
            self._asked = thread, answer
            thread.start()
            return answer.result(ANSWER_SECONDS)


def _answer(question: Callable[[], T], answer: "Future[T]") -> None:
    try:
        answer.set_result(question())
    except BaseException as error:
        answer.set_exception(error)
