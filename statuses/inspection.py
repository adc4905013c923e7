"""One family under a check: what is shared by those that look at its texts, its segments and its keys.

What looks wrong is judged by one moment of everything it consists of; a repair is applied only while the segment is still
in the version that was looked at. Where somebody wrote meanwhile it is looked at again."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from . import faults, keys, segmentscripts
from .check import Tally
from .errors import StoreUnavailable
from .faults import Fault, Write
from .snapshot import Snapshot
from .store import Store

#: Suspect rows read again in one transaction: with their hashes it stays in the milliseconds.
SUSPECTS = 300
#: Writes one script applies.
WRITES = 400
#: Times something is looked at again because somebody wrote meanwhile.
TRIES = 50


class Moved(Exception):
    """Somebody wrote to the segment: look again."""


class Family:
    """A family, what was found in it so far, and how it is mended."""

    def __init__(self, store: Store, number: int, repair: bool, tally: Tally) -> None:
        self.store, self.number, self.repair, self.tally = store, number, repair, tally
        self.tag = store.families[number]
        found = ("HMGET", keys.meta(self.tag), "format", "families", "first", "current")
        written, families, first, now = store.pipeline([found], primary=True)[0]
        store.check(written, families)
        self.span = range(0) if now is None else range(int(first or 0), int(now) + 1)
        self.unsound: set[int] = set()
        """Segments whose structure is wrong: their rows and keys are not judged."""

    def ask(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The primary's replies, in one round trip."""
        return self.store.pipeline(commands, primary=True)

    def again(self, action: Callable[[], None], number: int) -> None:
        """Do it until nobody writes to the segment meanwhile. Raises: StoreUnavailable."""
        for _ in range(TRIES):
            try:
                return action()
            except Moved:
                continue
        raise StoreUnavailable("a check", f"segment {number} changes faster than it can be looked at")

    def apply(self, found: Snapshot, wrong: Sequence[Fault], structure: bool = False) -> None:
        """Write what mends, batch by batch, each only on what the one before left. Raises: Moved."""
        least = faults.latest(found) + 1 if structure else 0
        version: bytes | None = found.version
        for part in in_parts([fault for fault in wrong if fault.writes is not None]):
            writes: list[Write] = [write for fault in part for write in fault.writes or ()]
            assert version is not None
            self.tally.mends(len(part))
            version = segmentscripts.repair(self.store, self.number, found.number, version, writes, least)
            if version is None:
                raise Moved
            for fault in part:
                self.tally.note(fault, True)

    def unlink(self, found: Snapshot, wrong: Sequence[Fault]) -> None:
        """Remove keys, or whatever else takes one step. Raises: Moved."""
        if self.repair and wrong:
            writes = [write for fault in wrong for write in fault.writes or ()]
            self.tally.mends(len(wrong))
            if segmentscripts.repair(self.store, self.number, found.number, found.version, writes) is None:
                raise Moved
        for fault in wrong:
            self.tally.note(fault, self.repair)


def random_of(found: Snapshot, row: int) -> int:
    """The random part of the id of the job in a row; 0 for own ids."""
    return int(found.column("random")[int(np.searchsorted(found.numbers, row))])


def in_parts(wrong: Iterable[Fault]) -> Iterator[list[Fault]]:
    """Faults in groups of a few hundred writes; what is wrong with one thing stays together."""
    part: list[Fault] = []
    writes = 0
    for fault in wrong:
        part.append(fault)
        writes += len(fault.writes or ())
        if writes >= WRITES:
            yield part
            part, writes = [], 0
    if part:
        yield part
