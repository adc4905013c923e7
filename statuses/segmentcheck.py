"""The check of a family's segments: their structure and columns, and every job against its hashes, tags and ids."""

from collections.abc import Iterator, Sequence

from . import faults, hashfaults, keys, leftovers, record, snapshot
from .faults import Fields
from .inspection import SUSPECTS, Family, Moved, random_of
from .snapshot import Snapshot
from .textcheck import Texts

#: Rows whose hashes are asked for in one round trip.
ROWS = 500


class Segments:
    """Looks at the segments of a family, one after the other."""

    def __init__(self, family: Family, texts: Texts) -> None:
        self.family, self.texts = family, texts

    def check(self) -> Iterator[int]:
        """Checks them all; gives each one's number when it is done."""
        for number in self.family.span:
            self.family.again(lambda number=number: self._segment(number), number)
            yield number

    def _segment(self, number: int) -> None:
        found = snapshot.take(self.family.store, self.family.number, number, postings=snapshot.POSTINGS)
        if found.handed_out is None and found.raw["state"] is None:
            return
        wrong = list(faults.of_structure(found, number == self.family.span[-1], faults.latest(found)))
        wrong += [faults.revive(found, row) for row in self._lost_rows(found)] if faults.is_sound(found) else []
        if wrong:
            self.family.unsound.add(number)
            if self.family.repair and all(fault.writes is not None for fault in wrong):
                self.family.apply(found, wrong, structure=True)
                self.family.unsound.discard(number)
                raise Moved
            for fault in wrong:
                self.family.tally.note(fault, False)
        if number not in self.family.unsound:
            self.texts.refresh(found)
            self._rows(found)

    def _lost_rows(self, found: Snapshot) -> list[int]:
        """Rows whose state cell is gone and that still have keys of their own."""
        rows = faults.lost_states(found).tolist()
        replies: list[int] = []
        for first in range(0, len(rows), ROWS):
            commands = [("EXISTS", *_row_keys(found.prefix, row)) for row in rows[first : first + ROWS]]
            replies += self.family.ask(commands)
        return [row for row, there in zip(rows, replies, strict=True) if there]

    def _rows(self, found: Snapshot) -> None:
        """Columns first: they are of one moment already. Hashes and what they lead to are read after them, so what
        looks wrong there is read once more."""
        rows = found.numbers[faults.occupied(found)].tolist()
        fields = self._fields(found.prefix, rows)
        wrong = list(faults.of_cells(found, self.texts.known, fields))
        if wrong and self.family.repair:
            self.family.apply(found, wrong)
            raise Moved
        for fault in wrong:
            self.family.tally.note(fault, False)
        suspects = hashfaults.wrong_rows(found, fields) | self._misled(found, fields) | self._incomplete(found, fields)
        self.family.tally.jobs += len(rows)
        ordered = sorted(suspects)
        for first in range(0, len(ordered), SUSPECTS):
            part = ordered[first : first + SUSPECTS]
            self.family.again(lambda part=part: self._look_again(found.number, part, fields), found.number)

    def _fields(self, prefix: str, rows: Sequence[int]) -> dict[int, Fields]:
        found: dict[int, Fields] = {}
        for first in range(0, len(rows), ROWS):
            part = rows[first : first + ROWS]
            replies = self.family.ask([c for row in part for c in hashfaults.field_commands(prefix, row)])
            found.update(zip(part, map(hashfaults.fields_of, replies[::2], replies[1::2]), strict=True))
        return found

    def _misled(self, found: Snapshot, fields: dict[int, Fields]) -> set[int]:
        """Rows with an own id whose alias says something else. A removed job does not hold its id: another may take it."""
        removed = set(found.numbers[faults.removed(found)].tolist())
        own = [(row, known.own_id) for row, known in fields.items() if known.own_id is not None and row not in removed]
        rows = set()
        for first in range(0, len(own), 2 * ROWS):
            part = own[first : first + 2 * ROWS]
            values = self.family.ask([("GET", keys.alias(self.family.tag, own_id)) for _, own_id in part])
            rows |= {row for (row, _), value in zip(part, values, strict=True) if value != f"{found.number} {row}".encode()}
        return rows

    def _incomplete(self, found: Snapshot, fields: dict[int, Fields]) -> set[int]:
        """Rows with attempts that are not there."""
        asked = [(row, number) for row, known in fields.items() for number in range(known.attempts)]
        rows = set()
        for first in range(0, len(asked), 2 * ROWS):
            part = asked[first : first + 2 * ROWS]
            there = self.family.ask([("EXISTS", keys.attempt(found.prefix, *one)) for one in part])
            rows |= {row for (row, _), known in zip(part, there, strict=True) if not known}
        return rows

    def _look_again(self, number: int, rows: Sequence[int], before: dict[int, Fields]) -> None:
        """Judge suspect rows by one moment of everything they consist of."""
        prefix = keys.segment(self.family.tag, number)
        asked = [snapshot.command(self.family.store, self.family.number, number, postings=snapshot.POSTINGS)]
        for row in rows:
            asked += hashfaults.field_commands(prefix, row)
        attempts = [(row, n) for row in rows for n in range(before[row].attempts)]
        aliases = {row: keys.alias(self.family.tag, own) for row in rows if (own := before[row].own_id) is not None}
        asked += [("EXISTS", keys.attempt(prefix, *one)) for one in attempts]
        asked += [("GET", alias) for alias in aliases.values()]
        reply, *replies = self.family.store.transaction(asked)
        found = snapshot.of_reply(self.family.store, self.family.number, number, reply, postings=snapshot.POSTINGS)
        hashes, replies = replies[: 2 * len(rows)], replies[2 * len(rows) :]
        living = set(found.numbers[faults.occupied(found)].tolist())
        fields = {row: f for row, f in zip(rows, map(hashfaults.fields_of, hashes[::2], hashes[1::2]), strict=True) if row in living}
        missing: dict[int, list[int]] = {}
        for (row, attempt), there in zip(attempts, replies, strict=False):
            if not there:
                missing.setdefault(row, []).append(attempt)
        values = dict(zip(aliases, replies[len(attempts) :], strict=True))
        wrong = list(hashfaults.of_fields(found, fields))
        nameless = {(number, row) for row, known in fields.items() if known.own_id is None and not random_of(found, row)}
        lost = self._lost_ids(nameless) if nameless else {}
        removed = set(found.numbers[faults.removed(found)].tolist())
        for row, known in fields.items():
            wrong += hashfaults.of_attempts(found, row, known, missing.get(row, ()))
            if known.own_id is None or row in values:
                alias = f"{number} {row}".encode() if row in removed else values.get(row)
                elsewhere = self._lives(alias, known.own_id, (number, row))
                wrong += hashfaults.of_identity(found, row, known, alias, elsewhere, lost.get((number, row)))
        if self.family.repair:
            self.family.apply(found, wrong)
        for fault in wrong:
            if not self.family.repair or fault.writes is None:
                self.family.tally.note(fault, False)

    def _lives(self, alias: bytes | None, own_id: str | None, here: tuple[int, int]) -> bool:
        """Whether an alias leads to another living job of that id."""
        place = leftovers.place_of(alias)
        if place is None or place == here:
            return False
        known = record.read_rows(self.family.store, self.family.number, place[0], [place[1]], primary=True)[0]
        return known is not None and known.fields.get("i") == own_id

    def _lost_ids(self, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], str]:
        """The own ids whose aliases lead to rows that have none. Source: a pass over every key."""
        found = {}
        for batch in leftovers.scan(self.family.store, self.family.number):
            aliases = [alias for alias in batch if alias.own_id is not None]
            values = self.family.ask([("GET", alias.key) for alias in aliases]) if aliases else []
            for alias, value in zip(aliases, values, strict=True):
                place = leftovers.place_of(value)
                if place in wanted:
                    found[place] = str(alias.own_id)
        return found


def _row_keys(prefix: str, row: int) -> list[str]:
    return [make(prefix, row) for make in (keys.job, keys.long, keys.data, keys.call, keys.errors)]
