"""The end of a job on its way to Redis with whatever is said to it next: alone, beside another command, or in one script with a start."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import redis

from .errors import interrupted, interrupts
from .lines import Command
from .lua import source
from .refusals import ELSEWHERE, translated

if TYPE_CHECKING:
    from .store import Store


class Along:
    """The end of a job that goes along."""

    __slots__ = ("_arguments", "_is_again", "_is_loaded", "_keys", "_name", "_since", "_store", "_then", "joins")

    def __init__(self, store: Store, name: str, script_keys: Sequence[str], arguments: Sequence[Any], then: Callable[[Any], None]) -> None:
        self._store, self._name, self._keys, self._arguments, self._then = store, name, script_keys, arguments, then
        self._since, self._is_again, self._is_loaded = time.monotonic_ns(), False, False
        self.joins = "" if arguments[2] or arguments[3] else script_keys[0]
        """Whose starts it may share a script with: key of its segment's version, '' with an id of the caller's or a frozen clock."""

    def _ago(self) -> str:
        return str((time.monotonic_ns() - self._since) // 1000)

    def said(self) -> tuple[Any, ...]:
        """What `lua/relay.lua` takes of it."""
        return self._arguments[0], self._ago(), self._arguments[4] if self._name == "finish" else ""

    def command(self) -> Command:
        said, _, *more = self._arguments
        return source.evaluating(self._name, self._keys, (said, self._ago(), *more))

    def heard(self, reply: Any) -> None:
        if isinstance(reply, BaseException):
            self._failed(reply)
        else:
            self._then(reply)

    def _failed(self, error: BaseException) -> None:
        name = self._name
        if not self._is_loaded and isinstance(error, redis.exceptions.NoScriptError):
            self._is_loaded = True  # also after a lost line: a server that was started anew has no scripts
            self._store._writing.piggyback(Loading(name))
            self._store._writing.piggyback(self)
        elif not self._is_again and isinstance(error, ELSEWHERE):
            self._is_again, self._is_loaded = True, False  # its text may have been on that line
            self._store._leave(error)
            self._arguments, self.joins = source.again(self._arguments, 0), ""
            self._store._writing.piggyback(self)
        elif not interrupts(error):
            try:
                with translated(name):
                    raise error
            except Exception as found:
                self._then(found)
        else:
            self._then(interrupted(translated(name).tried, error))


class Loading:
    """A script's text that goes along before the script."""

    __slots__ = ("_name", "joins")

    def __init__(self, name: str) -> None:
        self._name, self.joins = name, ""

    def command(self) -> Command:
        return "SCRIPT", "LOAD", source.text(self._name)

    def heard(self, reply: Any) -> None:
        """What comes of it the script hears."""
