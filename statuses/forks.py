"""What a forked child must not take over: locks that a thread of its parent may have held, and would never give back there."""

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

#: How often this process was forked off: what differs from it is of the parent.
generation = 0
_locks: "weakref.WeakSet[Any]" = weakref.WeakSet()
_after: list[Callable[[], None]] = []


def lock() -> threading.Lock:
    """A lock that is free in a forked child, whoever held it."""
    made = threading.Lock()
    _locks.add(made)
    return made


def rlock() -> Any:
    """The same, which its holder may take again."""
    made = threading.RLock()
    _locks.add(made)
    return made


def afterwards(act: Callable[[], None]) -> Callable[[], None]:
    """Call `act` in every forked child, before anything else runs there; locks are free by then. A decorator."""
    _after.append(act)
    return act


def _in_child() -> None:
    global generation
    generation += 1
    for held in list(_locks):
        held._at_fork_reinit()  # What `logging` and `threading` do with theirs.
    for act in _after:
        act()


os.register_at_fork(after_in_child=_in_child)
