"""The check of a family's keys: what belongs to no job and no segment, and own ids that lead nowhere."""

from collections.abc import Callable, Sequence

import numpy as np

from . import faults, keys, leftovers, snapshot
from .columns import SEGMENT_ROWS
from .inspection import SUSPECTS, Family, Moved, random_of
from .leftovers import Found
from .snapshot import Array


class Keys:
    """Looks at every key of a family."""

    def __init__(self, family: Family) -> None:
        self.family = family
        self._later: set[int] = set()

    def check(self) -> None:
        """Every key of the family: what belongs to nothing."""
        lives = self._living()
        seen: set[str] = set()
        for batch in leftovers.scan(self.family.store, self.family.number):
            by_segment: dict[int, list[Found]] = {}
            for found in leftovers.suspects(self.family.store, self.family.number, batch, lives):
                if found.key in seen:
                    continue
                seen.add(found.key)
                if not found.known:
                    self.family.tally.note(faults.Fault("unknown", found.key, "nothing here makes a key of this name", None), False)
                elif found.own_id is not None:
                    self.family.again(lambda found=found: self._alias(found), -1)
                elif found.segment not in self.family.unsound:
                    by_segment.setdefault(found.segment or 0, []).append(found)
            for number, suspects in by_segment.items():
                for first in range(0, len(suspects), SUSPECTS):
                    part = suspects[first : first + SUSPECTS]
                    self.family.again(lambda number=number, part=part: self._leftovers(number, part), number)

    def _living(self) -> Callable[[int], Array | None]:
        """Per segment which rows have a job, as of the first time it is asked for."""
        known: dict[int, Array | None] = {}

        def lives(number: int) -> Array | None:
            if number not in known:
                found = snapshot.take(self.family.store, self.family.number, number, columns=("state",))
                rows = np.zeros(SEGMENT_ROWS, bool)
                if found.exists and number in self.family.span:
                    rows[found.numbers[faults.occupied(found)]] = True
                known[number] = rows if found.exists and number in self.family.span else None
            return known[number]

        return lives

    def _leftovers(self, number: int, suspects: Sequence[Found]) -> None:
        """Judge keys of one segment by one moment of it."""
        if number > self.family.span[-1]:
            return None if number in self._later else self._beyond(number)
        prefix = keys.segment(self.family.tag, number)
        asked = [
            snapshot.command(self.family.store, self.family.number, number, columns=("state",)),
            *[("EXISTS", one.key) for one in suspects],
        ]
        asked += [("HGET", keys.job(prefix, one.row), "n") for one in suspects if one.attempt is not None and one.row is not None]
        reply, *replies = self.family.store.transaction(asked)
        found = snapshot.of_reply(self.family.store, self.family.number, number, reply, columns=("state",))
        exists = found.exists and number >= self.family.span[0]
        living = set(found.numbers[faults.occupied(found)].tolist()) if exists else set()
        counts = iter(replies[len(suspects) :])
        wrong = []
        for one, there in zip(suspects, replies, strict=False):
            count = int(next(counts) or 0) if one.attempt is not None else 0
            if not there or (one.row is None and exists):
                continue
            if one.row in living and not (one.attempt is not None and one.attempt >= count):
                continue
            wrong.append(faults.Fault("leftover", one.key, "belongs to no job", (("UNLINK", one.key),)))
        self.family.unlink(found, wrong)

    def _beyond(self, number: int) -> None:
        """A segment above the present one: opened since, or the family forgot it."""
        meta = keys.meta(self.family.tag)
        found = snapshot.take(self.family.store, self.family.number, number, columns=("state",))
        now = int(self.family.ask([("HGET", meta, "current")])[0] or 0)
        if number <= now or not found.exists:
            self._later.add(number)
            return
        what = f"segment {number} is there, {now} counts as the present one"
        self.family.unlink(found, [faults.Fault("meta", meta, what, (("HSET", meta, "current", number),))])
        self._later.add(number)

    def _alias(self, alias: Found) -> None:
        """Judge an own id by one moment of it and the row it leads to."""
        value = self.family.ask([("GET", alias.key)])[0]
        place = leftovers.place_of(value)
        if value is None:
            return
        columns = ("state", "random")
        number, row = place or (self.family.span[-1], 0)
        asked = [
            snapshot.command(self.family.store, self.family.number, number, columns=columns),
            ("GET", alias.key),
            ("HGET", keys.job(keys.segment(self.family.tag, number), row), "i"),
        ]
        reply, present, owner = self.family.store.transaction(asked)
        if present != value:
            raise Moved
        found = snapshot.of_reply(self.family.store, self.family.number, number, reply, columns=columns)
        if place is not None and found.exists:
            named = owner is not None and owner.decode(errors="surrogateescape") == alias.own_id
            living = row in found.numbers[faults.occupied(found)].tolist()
            # A job whose id was lost with its hash was met before, and may get it back from here.
            if living and (named or (owner is None and not random_of(found, row))):
                return
        says = value.decode(errors="replace")
        fault = faults.Fault("alias", str(alias.own_id), f"says {says!r}, where no job has this id", (("DROP", alias.key, value),))
        self.family.unlink(found, [fault])
