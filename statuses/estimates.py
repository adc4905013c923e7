"""The newest estimate of what the statuses take, for everybody who asks: one is made at a time, whichever thread or process it is.

In a process the first who needs a new one makes it; the others get the one before, with its age, or wait where there is none. It stands
in the store for other processes, and that somebody makes one: where this may not be written, each process estimates for itself."""

import json
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from . import clock, footprint, forks, keys
from .errors import StatusesError
from .footprint import Footprint
from .segments import Segment
from .store import Store

#: Seconds after which an estimate that somebody began is given up: their process may have ended. It takes a tenth of that at most.
GIVEN_UP_SECONDS = 5
#: Seconds between two looks for the first estimate of all, which another process makes.
LOOK_AGAIN_SECONDS = 0.02


@dataclass(frozen=True)
class _Known:
    footprint: Footprint | None
    made_at: float
    """By the monotonic clock of this process."""
    cells: int
    """Of how many it was made."""

    def is_of(self, cells: int, believed_seconds: float) -> bool:
        """Whether it is new enough, and there are about as many cells as then."""
        return time.monotonic() - self.made_at < believed_seconds and abs(cells - self.cells) * 10 <= self.cells


@dataclass
class _Process:
    """What this process knows of one store."""

    making: threading.Lock = field(default_factory=forks.lock)
    known: _Known | None = None


_lock = forks.lock()
_processes: "weakref.WeakKeyDictionary[Store, _Process]" = weakref.WeakKeyDictionary()


def newest(store: Store, segments: Sequence[Segment], now_us: int, believed_seconds: float) -> Footprint | None:
    """The footprint of these segments, those of the store, and of what stands beside them; None where MEMORY is forbidden. One that
    anybody made within the last `believed_seconds` is given again, unless there are a tenth more rows by now, or less; while a new one
    is made, whichever there is. now_us: the server's time.
    Source: nothing where this process knows one; else the script `estimate`, and, where nobody else makes one, see
    `footprint.estimate`, and a HSET."""
    cells = _cells(segments)
    with _lock:
        process = _processes.setdefault(store, _Process())
    seen = process.known
    if seen is not None and seen.is_of(cells, believed_seconds):
        return seen.footprint
    if not process.making.acquire(blocking=seen is None):
        return seen.footprint if seen is not None else None
    try:
        known = process.known
        if known is None or known is seen or not known.is_of(cells, believed_seconds):
            known = process.known = _shared(store, segments, now_us, believed_seconds, known)
        return known.footprint
    finally:
        process.making.release()


def _cells(segments: Sequence[Segment]) -> int:
    return sum(segment.rows for segment in segments)


def _shared(store: Store, segments: Sequence[Segment], now_us: int, believed_seconds: float, known: _Known | None) -> _Known:
    """The newest of all processes, made where that is up to this one; `known`: an older one."""
    began, cells = time.monotonic(), _cells(segments)
    while True:
        told = _begin(store, cells, believed_seconds)
        if told is None or told.is_mine:
            return _made(store, segments, now_us, is_told=told is not None)
        if told.found is not None or known is not None:
            return max(filter(None, (told.found, known)), key=lambda one: one.made_at)
        if time.monotonic() - began > GIVEN_UP_SECONDS:
            return _made(store, segments, now_us, is_told=False)
        time.sleep(LOOK_AGAIN_SECONDS)


def _made(store: Store, segments: Sequence[Segment], now_us: int, *, is_told: bool) -> _Known:
    made_at, cells, found = time.monotonic(), _cells(segments), None
    try:
        found = footprint.estimate(store, segments, now_us)
        return _Known(found, made_at, cells)
    finally:
        if is_told:
            _end(store, cells, found)


@dataclass(frozen=True)
class _Told:
    """What the store says of the newest estimate."""

    is_mine: bool
    """Whether it is up to this process to make one."""
    found: _Known | None


def _begin(store: Store, cells: int, believed_seconds: float) -> _Told | None:
    """Ask for the newest estimate, and say that one is made where it is too old. None where that may not be said, or what stands there
    cannot be read."""
    arguments = [clock.argument(), cells, round(believed_seconds * 1e6), GIVEN_UP_SECONDS * 1_000_000]
    with suppress(StatusesError, ValueError, TypeError, KeyError):
        is_mine, age_us, of_cells, text = store.script("estimate", [keys.estimate(store.families[0])], arguments)
        found = _Known(_parsed(text), time.monotonic() - int(age_us) / 1e6, int(of_cells)) if text else None
        return _Told(bool(is_mine), found)
    return None


def _end(store: Store, cells: int, found: Footprint | None) -> None:
    """Say that it is made, or not."""
    key = keys.estimate(store.families[0])
    commands: list[Sequence[Any]] = [("HDEL", key, "begun")]
    if found is not None:
        text = json.dumps({**asdict(found), "estimated_at": clock.to_us(found.estimated_at)})
        commands.insert(0, ("HSET", key, "at", clock.to_us(found.estimated_at), "cells", cells, "found", text))
    with suppress(StatusesError):
        store.pipeline(commands, primary=True)


def _parsed(text: bytes) -> Footprint:
    facts: dict[str, Any] = json.loads(text)
    facts["estimated_at"] = clock.from_us(facts["estimated_at"])
    return Footprint(**facts)
