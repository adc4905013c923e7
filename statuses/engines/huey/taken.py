"""What a consumer has taken from the storage and not begun with: until then it stands nowhere else."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

#: Whether a consumer takes a task here: others only look.
taking: ContextVar[bool] = ContextVar("statuses_huey_taking", default=False)


class InHand:
    """Of each worker's thread of this process one task. A forked worker says it as it says what it runs (`runs`). A scheduler takes all
    that is due at once, and puts one after the other into the queue: of those it is said how many they were (`lets_go`)."""

    def __init__(self, id_of: Callable[[Any], str | None], runs: Callable[[str], None], lets_go: Callable[[int], None]) -> None:
        """`id_of`: of a task's status, None where it is not tracked."""
        self._id_of, self._runs, self._lets_go = id_of, runs, lets_go
        self._held: dict[int, str] = {}

    def ids(self) -> set[str]:
        """The statuses of all of them."""
        return {*self._held.copy().values()}

    def dequeuing(self, take: Callable[..., Any]) -> Callable[..., Any]:
        """`take`, which gives a task that nobody else has from then on, or None."""

        @functools.wraps(take)
        def dequeue(*args: Any, **kwargs: Any) -> Any:
            self.let_go()
            found = _took(take, *args, **kwargs)
            id = self._id_of(found) if found is not None else None
            if id is not None:
                self._held[threading.get_ident()] = id
                self._runs(id)
            return found

        return dequeue

    def scheduling(self, take: Callable[..., Any]) -> Callable[..., Any]:
        """`take`, which gives all that is due: it has put what it gave before into the queue."""

        @functools.wraps(take)
        def read_schedule(*args: Any, **kwargs: Any) -> Any:
            self._lets_go(0)
            found = _took(take, *args, **kwargs)
            self._lets_go(len(found))
            return found

        return read_schedule

    def begin(self) -> None:
        """What this thread had taken runs from now on."""
        self._held.pop(threading.get_ident(), None)

    def let_go(self) -> None:
        """What this thread had taken was put somewhere, or runs no more."""
        if self._held.pop(threading.get_ident(), None):
            self._runs("")


def _took(take: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    token = taking.set(True)
    try:
        return take(*args, **kwargs)
    finally:
        taking.reset(token)
