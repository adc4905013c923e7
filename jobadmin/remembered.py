"""Markup that was made before: a page that is looked at again differs in a few numbers from the last one, and its frame in nothing.

What is remembered is named by all that it is made from, so that it is never out of date: the values themselves, and how this
viewer reads (language, times, zone) and where the pages stand. Each process remembers its own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

from django.core.signals import setting_changed
from django.utils import timezone

from jobadmin.paths import place
from jobadmin.viewing import present
from jobadmin.words import language

#: Characters kept at most, those that name them left aside: some hundred pages.
MOST_CHARACTERS = 8_000_000
#: A piece that is longer is made anew each time: it would push out too many others.
LONGEST = 100_000

_lock = Lock()
_pieces: dict[Hashable, str] = {}
_characters = 0


def piece(name: Hashable, values: tuple[Hashable, ...], make: Callable[[], str], looks: Hashable = None) -> str:
    """What `make` gives for these values: made once, as long as there is room. `name` says what is made of them, and nothing
    but them may go into it. A text that is safe as it stands is equal to one that is not: at one place it is always the same kind.
    `looks` is what `viewer` says, where many pieces are made one after the other."""
    key = (name, values, looks or viewer())
    found = _pieces.get(key)
    if found is None:
        found = make()
        _keep(key, found)
    return found


def viewer() -> tuple[Any, ...]:
    """How who looks reads words and times, and where the pages stand for them."""
    return language(), present(), timezone.get_current_timezone_name(), *place()


def _keep(key: Hashable, text: str) -> None:
    """Hold on to a piece; what was made first goes first."""
    global _characters
    if len(text) > LONGEST:
        return
    with _lock:
        _characters += len(text) - len(_pieces.pop(key, ""))
        _pieces[key] = text
        while _characters > MOST_CHARACTERS:
            _characters -= len(_pieces.pop(next(iter(_pieces))))


def forget(**_: Any) -> None:
    """Forget everything, where a setting has changed."""
    global _characters
    with _lock:
        _pieces.clear()
        _characters = 0


setting_changed.connect(forget)
