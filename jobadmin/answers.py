"""What engines answer to a page. Those that keep it elsewhere than in our store (`Engine.asks_elsewhere`) are asked with the page's
patience, not their own.

Such an engine is asked in a thread of its own, one question at a time, whoever looks: while a question hangs no other is asked, and
nobody waits for it any more. One that hangs for a minute may hang for ever, on a line whose other end died without a word, and is given
up: a few threads of an engine may hang so. What was answered is shared by all requests of the process, and kept for a few seconds.
"""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from statuses import StoreUnavailable
from statuses.engines.base import Engine

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds for which an answer is believed by a page that is not about workers or queues, and instead of one that does not come.
KEPT_SECONDS = 5.0
#: Seconds that an engine is waited for which did not answer in time before: it may be back.
SLOW_SECONDS = 0.1
#: Seconds after which a question without an answer is asked anew: a client without a read timeout never sees that its server's host died.
GIVEN_UP_SECONDS = 60.0
#: Questions to one engine that may be without an answer at once, those that were given up and the present one.
MOST_ASKING = 3


class Manner(NamedTuple):
    """How a page asks."""

    patience_seconds: float
    """How long it waits."""
    believed_seconds: float
    """How old an answer may be."""


#: A page about workers or queues shows this moment.
NOW = Manner(patience_seconds=2.0, believed_seconds=0.0)
#: Any other page shows what they mean for its jobs.
LATELY = Manner(patience_seconds=0.5, believed_seconds=KEPT_SECONDS)


class NoAnswer(Exception):
    """Raised where an engine does not answer in time: nobody knows."""


def of(engine: Engine, what: str, manner: Manner = NOW) -> list[Any]:
    """What `engine` answers to `what`: its `workers`, `queues` or `schedules`.
    Raises: NoAnswer; what the engine raises; StoreUnavailable."""
    ask = getattr(engine, what)
    return _line(engine).ask(what, ask, manner) if what in engine.asks_elsewhere else ask()


def told(engine: Engine, what: str, read: Callable[[list[Any]], T], manner: Manner) -> T | None:
    """What `read` makes of what `engine` answers; None, and a line in the log, where it could not tell.  Raises: StoreUnavailable."""
    try:
        return read(of(engine, what, manner))
    except StoreUnavailable:
        raise
    except NoAnswer as error:
        logger.warning("engine %s: %s", engine.name, error)
    except Exception:
        logger.exception("engine %s could not tell of its %s", engine.name, what)
    return None


def forget(engine: Engine) -> None:
    """Believe nothing that was asked before: the engine was given an order."""
    _line(engine).forget()


@dataclass(eq=False, kw_only=True)
class _Question:
    """One question, and what came of it."""

    what: str
    began: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)
    answer: list[Any] = field(default_factory=list)
    error: BaseException | None = None

    def put(self, ask: Callable[[], list[Any]]) -> None:
        try:
            self.answer = ask()
        except BaseException as error:
            self.error = error

    def result(self) -> list[Any]:
        if self.error is not None:
            raise self.error
        return self.answer


class _Line:
    """The way to one engine. Safe with threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: _Question | None = None
        self._asking: set[_Question] = set()
        """Those whose threads live: the open one, and those that were given up."""
        self._last: dict[str, _Question] = {}
        """The last questions that came to an end."""
        self._took = 0.0
        """How long the last one took, seconds."""
        self._ordered_at = 0.0

    def ask(self, what: str, ask: Callable[[], list[Any]], manner: Manner) -> list[Any]:
        asked_at = time.monotonic()
        while True:
            with self._lock:
                if self._is_believed(what, asked_at - manner.believed_seconds):
                    return self._last[what].result()
                self._give_up()
                question = self._open or self._begin(what, ask)
                patience = manner.patience_seconds if self._took <= manner.patience_seconds else SLOW_SECONDS
            # One that hangs for as long already is not waited for.
            left = min(asked_at, question.began) + patience - time.monotonic()
            if not question.done.wait(max(left, 0)):
                return self._in_place_of(what)

    def forget(self) -> None:
        with self._lock:
            self._ordered_at = time.monotonic()

    def _is_believed(self, what: str, since: float) -> bool:
        known = self._last.get(what)
        return known is not None and known.began >= max(since, self._ordered_at)

    def _in_place_of(self, what: str) -> list[Any]:
        """What was answered last, if that is not long ago.  Raises: NoAnswer."""
        with self._lock:
            if self._is_believed(what, time.monotonic() - KEPT_SECONDS) and self._last[what].error is None:
                return self._last[what].answer
        raise NoAnswer(f"it did not tell of its {what} in time")

    def _give_up(self) -> None:
        """Let another question take the place of one that hangs, while not too many do."""
        if self._open is None or len(self._asking) >= MOST_ASKING:
            return
        hung = time.monotonic() - self._open.began
        if hung > GIVEN_UP_SECONDS:
            self._open, self._took = None, hung

    def _begin(self, what: str, ask: Callable[[], list[Any]]) -> _Question:
        question = _Question(what=what)
        # A daemon: one that hangs does not hold up the end of its process.
        threading.Thread(target=self._put, args=(question, ask), name=f"jobadmin-asks-{what}", daemon=True).start()
        self._open = question
        self._asking.add(question)
        return question

    def _put(self, question: _Question, ask: Callable[[], list[Any]]) -> None:
        question.put(ask)
        with self._lock:
            self._asking.discard(question)
            if self._open is question:  # else it was given up: what came since is newer
                self._open, self._last[question.what] = None, question
                self._took = time.monotonic() - question.began
        question.done.set()


_lines: "weakref.WeakKeyDictionary[Engine, _Line]" = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def _line(engine: Engine) -> _Line:
    with _lock:
        return _lines.setdefault(engine, _Line())


def _in_child() -> None:
    """The threads that ask, and those that hold a lock, live in the parent."""
    global _lines, _lock
    _lines, _lock = weakref.WeakKeyDictionary(), threading.Lock()


os.register_at_fork(after_in_child=_in_child)
