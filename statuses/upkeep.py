"""What keeps the store in order runs now and then, or all the time: chores tell of their rounds, whoever looks sees which of
them run, and which do no more.

A round that cannot be told is no round that failed: its chore goes on.
"""

import json
import logging
import os
import socket
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from . import clock, keys
from .errors import StoreUnavailable
from .store import current

logger = logging.getLogger(__name__)

#: The chores of this library: `Reaper.look()`, `clean()`, `retry_failed()`, `sampling.sample()`, `check()`.
REAP, CLEAN, RETRY, SAMPLE, CHECK = "reap", "clean", "retry", "sample", "check"
#: How long one that tells nothing more is still told of.
KEPT_FOR = timedelta(days=30)
#: Entries kept.
MOST = 100
#: It is overdue when it has missed so many of its rounds, and this long at least.
MISSED, LEAST = 3, timedelta(seconds=30)
#: Characters of a text that are kept.
LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class Chore:
    """What one process did of one chore."""

    chore: str
    """`reap`, `clean`, `retry`, `sample`, `check`, or what somebody else calls theirs."""
    about: str = ""
    """What it is narrowed to; empty where it is not."""
    host: str
    pid: int
    ran_at: datetime
    """When its last round ended, by the store's clock."""
    took_seconds: float
    """How long that took."""
    every_seconds: float | None
    """How soon it means to come again; None: it ran once, or does not say."""
    did: Mapping[str, int]
    """What its last round that found something to do did, as counts; empty where none has."""
    did_at: datetime | None
    """When that was."""
    error: str = ""
    """Class of the error that ended its last round; empty where none did."""
    ended_at: datetime | None = None
    """When its process ended in order; None while it is not known to have."""

    @property
    def patience(self) -> timedelta | None:
        """How long after its last round it is overdue; None where nobody waits for it."""
        if self.every_seconds is None or self.ended_at is not None:
            return None
        return max(LEAST, timedelta(seconds=MISSED * self.every_seconds + self.took_seconds))

    def is_overdue(self, now: datetime) -> bool:
        """Whether it announced more rounds and has missed three of them."""
        return self.patience is not None and now - self.ran_at > self.patience


@dataclass
class _Watch:
    """What the rounds of a block have in common."""

    every_seconds: float | None = None
    about: str = ""
    told: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    """What was said last of each chore."""


#: The chore whose round is under way here, and what it did.
_round: ContextVar[tuple[str, dict[str, int]] | None] = ContextVar("statuses_upkeep_round", default=None)
_watch: ContextVar[_Watch | None] = ContextVar("statuses_upkeep", default=None)


@contextmanager
def watching(every_seconds: float | None, about: str = "") -> Generator[None]:
    """Inside the block each chore means to come again so soon (None: all of the block is one round); when the block ends
    otherwise than by an error they are known to have ended in order. One round trip a chore then; never raises what that does."""
    watch = _Watch(every_seconds, about)
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)
    for facts in watch.told.values():
        if facts["every"] is not None:
            _write({**facts, "ended": True})


@contextmanager
def doing(chore: str, about: str = "", *, least_seconds: float = 0.0, dry_run: bool = False) -> Generator[dict[str, int]]:
    """One round of a chore, told of when it has ended, with the counts that are put into what this gives. `about`: what it is
    narrowed to; `least_seconds`: it comes no sooner, however often it is asked; a dry run is told to nobody. Inside a round of the same
    chore it is a part of that, and gets its counts. One round trip at the end, none where the store is away: never raises what that
    does."""
    around = _round.get()
    if around is not None and around[0] == chore:
        yield around[1]
        return
    began = time.monotonic()
    did: dict[str, int] = {}

    def tell(error: str = "") -> None:
        if not dry_run:
            _tell(chore, about, least_seconds, time.monotonic() - began, did, error)

    under_way = _round.set((chore, did))
    try:
        yield did
    except StoreUnavailable:
        raise
    except Exception as error:
        tell(type(error).__name__)
        raise
    finally:
        _round.reset(under_way)
    tell()


def _tell(chore: str, about: str, least: float, took: float, did: Mapping[str, int], error: str) -> None:
    watch = _watch.get() or _Watch()
    about = about or watch.about
    every = None if watch.every_seconds is None else max(watch.every_seconds, least)
    before = watch.told.get((chore, about), {"did": {}, "did_us": None, "took": 0.0})
    found = {name: number for name, number in did.items() if number}
    facts = {
        "chore": chore, "about": about[:LONGEST], "host": socket.gethostname()[:LONGEST], "pid": os.getpid(), "every": every,
        "took": round(took, 3), "did": found or before["did"], "did_us": None if found else before["did_us"], "error": error,
    }  # fmt: skip
    if every is None:  # parts of one round
        together = {name: before["did"].get(name, 0) + found.get(name, 0) for name in {**before["did"], **found}}
        facts |= {"did": together, "did_us": None, "took": round(before["took"] + took, 3)}
    at_us = _write(facts)
    # Without its moment it would seem to be of the round to come.
    watch.told[chore, about] = {**facts, "ran_us": at_us, "did_us": facts["did_us"] or (at_us if facts["did"] else None)}


def _write(facts: dict[str, Any]) -> int | None:
    """The moment it was written at; None where it could not be."""
    # Of those that come and go the last one counts, wherever it ran: each would else leave an entry.
    where = [] if facts["every"] is None else [facts["host"], facts["pid"]]
    name = json.dumps([facts["chore"], facts["about"], *where])
    try:
        store = current()
        arguments = [clock.argument(), name, json.dumps(facts), KEPT_FOR // clock.MICROSECOND, MOST]
        return int(store.script("upkeep", [keys.upkeep(store.families[0])], arguments))
    except Exception as error:
        logger.warning("that %s ran is not written down: %s", facts["chore"], error)
        return None


def chores() -> list[Chore]:
    """Every chore of every process that ran in the last thirty days, by chore, the last one first.
    Raises: StoreUnavailable.  Source: one hash of at most a hundred entries, in one round trip."""
    store = current()
    return parsed(store.read("HVALS", keys.upkeep(store.families[0])))


def parsed(values: Iterable[bytes]) -> list[Chore]:
    """The same from the values of the hash. Source: nothing."""
    return sorted(map(_chore, values), key=lambda chore: (chore.chore, chore.about, -clock.to_us(chore.ran_at), chore.host, chore.pid))


def _chore(value: bytes) -> Chore:
    moment, _, text = value.partition(b"\n")
    facts, at_us = json.loads(text), int(moment)
    ran_us, ended = facts.get("ran_us") or at_us, facts.get("ended")
    did_us = facts["did_us"] or (ran_us if facts["did"] else None)
    return Chore(
        chore=facts["chore"],
        about=facts["about"],
        host=facts["host"],
        pid=facts["pid"],
        ran_at=clock.from_us(ran_us),
        took_seconds=facts["took"],
        every_seconds=facts["every"],
        did=facts["did"],
        did_at=None if did_us is None else clock.from_us(did_us),
        error=facts["error"],
        ended_at=clock.from_us(at_us) if ended else None,
    )
