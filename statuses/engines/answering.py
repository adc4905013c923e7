"""Asks what may not answer: what keeps an engine's results has the patience that somebody else gave it, and a page waits for its broker."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from .. import forks

S = TypeVar("S")
T = TypeVar("T")

#: Seconds that an engine has to say how a job ended.
ANSWER_SECONDS = 5.0
#: Jobs that an engine is asked about together at first, and at most.
FIRST, MOST = 10, 500
#: Seconds of an answer after which it is asked about more, or about fewer, the next time.
QUICK_SECONDS, SLOW_SECONDS = 0.25, 1.0
#: Seconds that a look at a broker may take, with the connecting that it needs: a page waits for it.
TIMEOUT_SECONDS = 1.0
#: Seconds in which a broker that did not answer is not asked again.
AWAY_SECONDS = 10.0


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


def together(jobs: Sequence[S], ask: Callable[[Sequence[S]], Iterable[T]], monotonic: Callable[[], float] = time.monotonic) -> Iterator[T]:
    """What `ask` gives of some jobs at a time, of all of them one after another. How many are some follows from how long it took: what an
    engine keeps of a job may be large, and all of one question must come within ANSWER_SECONDS."""
    size, first = FIRST, 0
    while first < len(jobs):
        began = monotonic()
        answers = ask(jobs[first : first + size])
        first, took = first + size, monotonic() - began
        size = min(MOST, 4 * size) if took < QUICK_SECONDS else max(1, size // 4) if took > SLOW_SECONDS else size
        yield from answers


class Patience:
    """When a broker is asked again that did not answer: at once, where only the line that was kept may have been cut; for a while not at
    all, where it was waited for in vain. Safe with threads, which take turns, and after a fork."""

    def __init__(self) -> None:
        self._lock = forks.lock()
        self._away_until = 0.0

    def ask(self, question: Callable[[], T | None], is_kept: Callable[[], bool]) -> T | None:
        """What `question` gives, None or nothing at all where the broker is away; it waits for TIMEOUT_SECONDS at most, makes a line where
        there is none, and drops one that is of no use. `is_kept`: whether there is one."""
        with self._lock:
            began = time.monotonic()
            if began < self._away_until:
                return None
            was_kept = is_kept()
            found = question()
            # A line that was kept may have been closed since, by the broker or by what stands between: that shows at once.
            if not found and was_kept and time.monotonic() - began < TIMEOUT_SECONDS / 2:
                found = question()
            if not found:
                self._away_until = time.monotonic() + AWAY_SECONDS
            return found
