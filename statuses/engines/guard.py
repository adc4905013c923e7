"""Keeps an adapter from harming a job: nothing it does raises, waits long, or fills a log.

The store that is away is asked once; from then on events are let go without a try, while one thread asks whether it
is back. Ends of jobs are remembered meanwhile (bounded) and told afterwards, as of their own moment: every write says the
attempt it speaks of and the states it may leave, so a late one undoes nothing.
"""

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

from .. import forks, health
from ..errors import KillRequested, ScriptFailed, StatusNotFound, StoreUnavailable, interrupted, interrupts, is_limit

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: What a worker says of a job that its sender had told of.
_NOT_THERE = "the job goes on untracked: it was removed, or who sent it writes to another store or namespace than this process"

#: Seconds between two looks whether the store is back: the first, and the longest.
FIRST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.5, 5.0
#: Ends of jobs that are remembered while the store is away.
REMEMBERED = 10_000
#: Seconds for which the end of a process is held up when ends of jobs are still to be told.
LAST_WORDS_SECONDS = 3.0
#: Seconds in which the same complaint is logged once.
QUIET_SECONDS = 60.0
#: Complaints that are known at once; beyond that, those that may be said again are let go.
TOPICS = 1000


class Passing(BaseException):
    """Carries an interrupt past an engine that catches every Exception of those who listen to what it does."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Guard:
    """Runs the writes of one adapter. Safe with threads and after a fork."""

    def __init__(self) -> None:
        self._reset()
        _guards.add(self)

    def _reset(self) -> None:
        self._lock, self._telling = threading.Lock(), threading.Lock()
        self._away = False
        self._late: deque[tuple[str, Callable[[], Any]]] = deque(maxlen=REMEMBERED)
        self._said: dict[str, float] = {}

    @property
    def away(self) -> bool:
        """Whether the store did not answer and is not known to be back."""
        return self._away

    def run(self, what: str, write: Callable[..., T], *, remember: bool = False, starts: bool = False, ends: bool = False) -> T | None:
        """What `write` gives, or None when it could not. Raises KillRequested, what interrupts it, and nothing else.
        `remember`: while the store is away the write is kept, and done once it is back. `starts`: a job that its sender had
        told of begins, and should be there. `ends`: a job is over; remembered, and what is done then is `write(ago)`, with the time
        since it was remembered. One that had to wait first, to find out that the store is away, is so much off: no other takes the time."""
        if self._away:
            self._remember(what, write, remember, ends)
            if not self._away:  # it came back just now: the thread may have looked before this was there
                self.tell_late()
            return None
        try:
            return write()
        except KillRequested:
            raise
        except StoreUnavailable as error:
            self._remember(what, write, remember, ends)
            self.lost(error)
        except StatusNotFound as error:
            if starts:
                self.say("not there", f"{what}: {error}; {_NOT_THERE}")
                return None
            self.say("gone", f"{what}: {error}; the job goes on untracked", level=logging.INFO)
        except BaseException as error:
            if interrupts(error):
                if remember or starts or ends:  # nobody says it again, and nobody knows whether it arrived
                    self._remember(what, write, remember, ends)
                    self.lost(interrupted(what, error))
                raise
            self.say(what, f"{what} failed; the job goes on untracked", level=logging.ERROR, trace=True)
        return None

    def over(self, what: str, tell: Callable[[], T]) -> T:
        """What `tell` gives, which says what became of a job whose own code is over, and may do so twice. What its engine breaks it off
        with comes too late then: it would fail what has succeeded, only for we took our time. It is dropped, and `tell` called once
        more, which waits for no store now. Raises what `tell` does."""
        try:
            return tell()
        except BaseException as error:
            if not is_limit(error):
                raise
            self.lost(interrupted(what, error))
        return tell()

    def aside(self, what: str, write: Callable[[], Any]) -> None:
        """Do a write in a thread of its own, or once the store is back: whoever was interrupted waits for nothing."""
        self.later(what, write)
        with suppress(RuntimeError):  # no more threads: `last_words` says it
            threading.Thread(target=self.tell_late, name="statuses-aside", daemon=True).start()

    def who(self, ask: Callable[[], str | None]) -> str | None:
        """Who sends a job, as far as the project can say; asked although the store is away. Raises what interrupts it, and nothing else."""
        try:
            return ask()
        except Exception as error:
            if interrupts(error):
                raise
            self.say("user", "asking the project who sends a job failed", trace=True)
            return None

    def say(self, topic: str, text: str, *, level: int = logging.WARNING, trace: bool = False) -> None:
        """Log `text`, at most once a minute for a topic."""
        now = time.monotonic()
        if now - self._said.get(topic, -QUIET_SECONDS) >= QUIET_SECONDS:
            self._said[topic] = now
            if len(self._said) > TOPICS:
                self._said = {said: at for said, at in self._said.items() if now - at < QUIET_SECONDS}
            logger.log(level, "%s", text, exc_info=trace)

    def refused(self, error: ScriptFailed) -> None:
        """The store is there and will never take this write: it is dropped, and the job goes on."""
        self.say(f"refused {error.tried}", f"{error}; this is lost, the job goes on", level=logging.ERROR, trace=True)

    def later(self, what: str, write: Callable[[], Any]) -> None:
        """Keep a write until the store, which did not answer just now, is back."""
        self._late.append((what, write))

    def _remember(self, what: str, write: Callable[..., Any], remember: bool, ends: bool) -> None:
        if ends:
            since = time.monotonic()
            self.later(what, lambda: write(timedelta(seconds=time.monotonic() - since)))
        elif remember:
            self.later(what, write)

    def lost(self, error: StoreUnavailable) -> None:
        """The store did not answer: nobody asks it again until it is back."""
        try:
            with self._lock:
                if self._away:
                    return
                self._away = True
            self.say("away", f"{error}; jobs go on untracked until it is back")
            threading.Thread(target=self._wait, name="statuses-store-watch", daemon=True).start()
        except BaseException:  # interrupted: nobody would ever look whether it is back
            self._away = False
            raise

    def _wait(self) -> None:
        pause = FIRST_LOOK_SECONDS
        while True:
            time.sleep(pause)
            try:
                self.ask()
                self._tell()
                break
            except StoreUnavailable:
                pause = min(pause * 2, LONGEST_LOOK_SECONDS)
            except Exception:
                self.say("watch", "looking for the store failed", trace=True)
                break
        self._away = False
        self.tell_late()
        logger.info("the status store is back")

    def ask(self) -> None:
        """Whether the store is back, and takes writes: one that answers and takes none helps no job. Raises: StoreUnavailable while not."""
        health.try_writing()

    def _tell(self) -> None:
        """Do what was remembered, in its order; StoreUnavailable leaves the rest for later. What the store refuses is dropped: it would
        refuse it for ever, and nothing else would be told."""
        with self._telling:
            while self._late:
                what, write = self._late.popleft()
                try:
                    write()
                except StoreUnavailable:
                    self._late.appendleft((what, write))
                    raise
                except ScriptFailed as error:
                    self.refused(error)
                except Exception as error:
                    self.say(what, f"{what}, told late: {error}")

    def last_words(self) -> None:
        """Before the process ends: do what is still remembered, or give up after a moment."""
        deadline = time.monotonic() + LAST_WORDS_SECONDS
        while self._late and time.monotonic() < deadline:
            try:
                self._tell()
            except StoreUnavailable:
                time.sleep(FIRST_LOOK_SECONDS / 2)

    def tell_late(self) -> None:
        """Do what is still remembered, after the store came back."""
        try:
            self._tell()
        except StoreUnavailable as error:
            self.lost(error)


_guards: "weakref.WeakSet[Guard]" = weakref.WeakSet()


@forks.afterwards
def _after_fork() -> None:
    # The thread that looks for the store lives in the parent; so do the ends it will tell.
    for guard in list(_guards):
        guard._reset()
