"""Verifying what is stored, and mending it: every segment against its hashes, every key against what it belongs to.

Safe while others write. What looks wrong is read once more, all of one moment, before it counts; a repair is applied by
a script, and only while the segment is still in the version that was looked at."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import keys, record, scripts
from .columns import DICTIONARIES
from .errors import StoreUnavailable
from .store import Store, current

if TYPE_CHECKING:
    from .faults import Dictionaries, Fault, Fields, Write
    from .leftovers import Found
    from .snapshot import Array, Snapshot

#: (segments done, segments there are) along the way.
Progress = Callable[[int, int], Any]

#: What can be wrong, and what is done about it.
KINDS: dict[str, str] = {
    "meta": "a segment that the family does not know of; becomes its present one",
    "dictionary": "the two halves of a dictionary disagree; the missing half is written",
    "rows": "a packed segment without the rows of its cells; cannot be mended",
    "version": "a segment without its version; a new one is written",
    "count": "a job in a row that was never handed out; the row counts as handed out, or the job as none",
    "zone": "bounds of a segment that leave a moment out; they are widened",
    "length": "a column of a wrong length, as a copy that broke off leaves it; filled with nothing, or cut",
    "state": "a state that is none, is lost, or was never entered; becomes what the moments say",
    "recorded": "a job that was never recorded; counts as recorded at its first moment",
    "span": "a run or wait time that does not follow from the moments; computed again",
    "code": "a code that stands for no text, or for one with another code; none, or that one, is written",
    "field": "arguments that cannot be read; removed",
    "tag": "a job not found by what it has, or found by what it has not; its tags are written again",
    "id": "a job with neither an own nor a generated id, or with both; gets what its alias says, else a new one",
    "alias": "an own id that does not lead to its job, or leads to none; points there, or is removed",
    "attempt": "an attempt that was counted and is not there; a stand-in of unknown state is written",
    "leftover": "keys of jobs and segments that are no more; removed",
    "unknown": "keys that nothing here writes; left alone",
}
#: Examples kept of each kind.
EXAMPLES = 5
#: Rows whose hashes are asked for in one round trip.
ROWS = 500
#: Suspect rows read again in one transaction: with their hashes it stays in the milliseconds.
SUSPECTS = 300
#: Writes one script applies.
WRITES = 400
#: Times something is looked at again because somebody wrote meanwhile.
TRIES = 50


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What was found of one kind."""

    kind: str
    """See `KINDS`."""
    count: int
    repaired: int
    examples: tuple[str, ...]
    """The first few: the id of a job, else a key, and what is wrong with it."""

    @property
    def meaning(self) -> str:
        """What is wrong; and what mends it."""
        return KINDS[self.kind]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check found, and what it repaired."""

    segments: int
    jobs: int
    """Jobs looked at, those that can be restored too."""
    problems: tuple[Problem, ...]
    """In the order of `KINDS`; kinds that were not met are left out."""

    @property
    def found(self) -> int:
        """Problems of all kinds."""
        return sum(problem.count for problem in self.problems)

    @property
    def repaired(self) -> int:
        """Problems that are no more."""
        return sum(problem.repaired for problem in self.problems)


def check(*, repair: bool = False, progress: Progress | None = None) -> Checked:
    """Verify every segment against its hashes, tags, ids and dictionaries, and every key against what it belongs to;
    with `repair` mend what can be mended (`KINDS` says how).

    Source: all of a segment as of one version, the hashes of its jobs in pipelines, SCAN over the database. About five
    seconds of Redis' time a million jobs, in calls of a few milliseconds. Raises: StoreUnavailable, StoreFormat."""
    here, tally = current(), Tally()
    checks = [_Family(here, family, repair, tally) for family in range(len(here.families))]
    total = sum(len(one.span) for one in checks)
    for one in checks:
        for _ in one.run():
            tally.segments += 1
            if progress is not None:
                progress(tally.segments, total)
    return tally.checked()


@dataclass
class Tally:
    """What was found so far."""

    segments: int = 0
    jobs: int = 0
    counts: dict[str, list[int]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def note(self, fault: "Fault", repaired: bool) -> None:
        counted = self.counts.setdefault(fault.kind, [0, 0])
        counted[0] += 1
        counted[1] += repaired
        shown = self.examples.setdefault(fault.kind, [])
        if len(shown) < EXAMPLES:
            shown.append(f"{fault.where}: {fault.what}")

    def checked(self) -> Checked:
        problems = [
            Problem(kind=kind, count=self.counts[kind][0], repaired=self.counts[kind][1], examples=tuple(self.examples[kind]))
            for kind in KINDS
            if kind in self.counts
        ]
        return Checked(segments=self.segments, jobs=self.jobs, problems=tuple(problems))


class _Moved(Exception):
    """Somebody wrote to the segment: look again."""


class _Family:
    """The check of one family."""

    def __init__(self, store: Store, family: int, repair: bool, tally: Tally) -> None:
        self.store, self.family, self.repair, self.tally = store, family, repair, tally
        self.tag = store.families[family]
        found = ("HMGET", keys.meta(self.tag), "format", "families", "first", "current")
        written, families, first, now = store.pipeline([found], primary=True)[0]
        store.check(written, families)
        self.span = range(0) if now is None else range(int(first or 0), int(now) + 1)
        self._unsound: set[int] = set()
        self._later: set[int] = set()

    def run(self) -> Iterator[int]:
        """Checks everything; gives each segment's number when it is done."""
        if not self.span:
            return
        self._dictionaries()
        for number in self.span:
            self._again(lambda number=number: self._segment(number), number)
            yield number
        self._keys()

    def _again(self, action: Callable[[], None], number: int) -> None:
        for _ in range(TRIES):
            try:
                return action()
            except _Moved:
                continue
        raise StoreUnavailable("a check", f"segment {number} changes faster than it can be looked at")

    # Dictionaries

    def _dictionaries(self) -> None:
        from . import faults

        texts, doubles = {}, {}
        for column in DICTIONARIES:
            texts[column], doubles[column] = self._dictionary(column)
        self.known: Dictionaries = faults.Dictionaries(texts, doubles)

    def _dictionary(self, column: str) -> tuple[list[str], dict[int, int]]:
        """The texts of a dictionary, mended where that is wanted, and the doubles among its codes."""
        for _ in range(TRIES):
            sizes, texts, codes = self._read_dictionary(column)
            found, doubles, mended = _compare(self.tag, column, texts, codes)
            if sizes != self._sizes(column):
                continue
            if found and self.repair:
                writes = [write for _, part in found for write in part]
                if scripts.mend(self.store, self.family, column, writes, sizes=sizes) is None:
                    continue
            for fault, _ in found:
                self.tally.note(fault, self.repair)
            return mended, doubles
        raise StoreUnavailable("a check", f"the texts of {column} change faster than they can be looked at")

    def _sizes(self, column: str) -> tuple[int, int]:
        name = DICTIONARIES[column]
        listed, hashed = self.store.transaction([("LLEN", keys.texts(self.tag, name)), ("HLEN", keys.codes(self.tag, name))])
        return listed, hashed

    def _read_dictionary(self, column: str) -> tuple[tuple[int, int], list[str], dict[str, int]]:
        name, texts, codes, cursor = DICTIONARIES[column], [], {}, 0
        sizes = self._sizes(column)
        while len(texts) < sizes[0]:
            part = self.store.pipeline([("LRANGE", keys.texts(self.tag, name), len(texts), len(texts) + 4999)], primary=True)[0]
            if not part:
                break
            texts += [text.decode(errors="surrogateescape") for text in part]
        while True:
            cursor, part = self.store.pipeline([("HSCAN", keys.codes(self.tag, name), cursor, "COUNT", 1000)], primary=True)[0]
            pairs = part.items() if isinstance(part, dict) else zip(part[::2], part[1::2], strict=True)
            codes.update({text.decode(errors="surrogateescape"): abs(int(code)) for text, code in pairs})
            cursor = int(cursor)
            if not cursor:
                return sizes, texts, codes

    def _refresh(self, found: "Snapshot") -> None:
        """Catch up with texts that came after the dictionaries were read."""
        for column in DICTIONARIES:
            cells = found.column(column)
            if len(cells) and int(cells.max()) > len(self.known.texts[column]):
                self.known.texts[column] = self._read_dictionary(column)[1]

    # Segments

    def _segment(self, number: int) -> None:
        from . import faults, snapshot

        found = snapshot.take(self.store, self.family, number, postings=snapshot.POSTINGS)
        if found.handed_out is None and found.raw["state"] is None:
            return
        wrong = list(faults.of_structure(found, number == self.span[-1], faults.latest(found)))
        wrong += [faults.revive(found, row) for row in self._lost_rows(found)] if faults.is_sound(found) else []
        if wrong:
            self._unsound.add(number)
            if self.repair and all(fault.writes is not None for fault in wrong):
                self._apply(found, wrong, structure=True)
                self._unsound.discard(number)
                raise _Moved
            for fault in wrong:
                self.tally.note(fault, False)
        if number not in self._unsound:
            self._refresh(found)
            self._rows(found)

    def _lost_rows(self, found: "Snapshot") -> list[int]:
        """Rows whose state cell is gone and that still have keys of their own."""
        from . import faults

        rows = faults.lost_states(found).tolist()
        replies: list[int] = []
        for first in range(0, len(rows), ROWS):
            commands = [("EXISTS", *_row_keys(found.prefix, row)) for row in rows[first : first + ROWS]]
            replies += self.store.pipeline(commands, primary=True)
        return [row for row, there in zip(rows, replies, strict=True) if there]

    def _rows(self, found: "Snapshot") -> None:
        """Columns first: they are of one moment already. Hashes and what they lead to are read after them, so what
        looks wrong there is read once more."""
        from . import faults

        rows = found.numbers[faults.occupied(found)].tolist()
        fields = self._fields(found.prefix, rows)
        wrong = list(faults.of_cells(found, self.known, fields))
        if wrong and self.repair:
            self._apply(found, wrong)
            raise _Moved
        for fault in wrong:
            self.tally.note(fault, False)
        suspects = faults.wrong_rows(found, fields) | self._misled(found, fields) | self._incomplete(found, fields)
        self.tally.jobs += len(rows)
        ordered = sorted(suspects)
        for first in range(0, len(ordered), SUSPECTS):
            part = ordered[first : first + SUSPECTS]
            self._again(lambda part=part: self._look_again(found.number, part, fields), found.number)

    def _fields(self, prefix: str, rows: Sequence[int]) -> "dict[int, Fields]":
        from . import faults

        found: dict[int, Fields] = {}
        for first in range(0, len(rows), ROWS):
            part = rows[first : first + ROWS]
            replies = self.store.pipeline([c for row in part for c in faults.field_commands(prefix, row)], primary=True)
            found.update(zip(part, map(faults.fields_of, replies[::2], replies[1::2]), strict=True))
        return found

    def _misled(self, found: "Snapshot", fields: "dict[int, Fields]") -> set[int]:
        """Rows with an own id whose alias says something else. A removed job does not hold its id: another may take it."""
        from . import faults

        removed = set(found.numbers[faults.removed(found)].tolist())
        own = [(row, known.own_id) for row, known in fields.items() if known.own_id is not None and row not in removed]
        rows = set()
        for first in range(0, len(own), 2 * ROWS):
            part = own[first : first + 2 * ROWS]
            values = self.store.pipeline([("GET", keys.alias(self.tag, own_id)) for _, own_id in part], primary=True)
            rows |= {row for (row, _), value in zip(part, values, strict=True) if value != f"{found.number} {row}".encode()}
        return rows

    def _incomplete(self, found: "Snapshot", fields: "dict[int, Fields]") -> set[int]:
        """Rows with attempts that are not there."""
        asked = [(row, number) for row, known in fields.items() for number in range(known.attempts)]
        rows = set()
        for first in range(0, len(asked), 2 * ROWS):
            part = asked[first : first + 2 * ROWS]
            there = self.store.pipeline([("EXISTS", keys.attempt(found.prefix, *one)) for one in part], primary=True)
            rows |= {row for (row, _), known in zip(part, there, strict=True) if not known}
        return rows

    def _look_again(self, number: int, rows: Sequence[int], before: "dict[int, Fields]") -> None:
        """Judge suspect rows by one moment of everything they consist of."""
        from . import faults, snapshot

        prefix = keys.segment(self.tag, number)
        asked = [snapshot.command(self.store, self.family, number, postings=snapshot.POSTINGS)]
        for row in rows:
            asked += faults.field_commands(prefix, row)
        attempts = [(row, n) for row in rows for n in range(before[row].attempts)]
        aliases = {row: keys.alias(self.tag, own) for row in rows if (own := before[row].own_id) is not None}
        asked += [("EXISTS", keys.attempt(prefix, *one)) for one in attempts]
        asked += [("GET", alias) for alias in aliases.values()]
        reply, *replies = self.store.transaction(asked)
        found = snapshot.of_reply(self.store, self.family, number, reply, postings=snapshot.POSTINGS)
        hashes, replies = replies[: 2 * len(rows)], replies[2 * len(rows) :]
        living = set(found.numbers[faults.occupied(found)].tolist())
        fields = {row: f for row, f in zip(rows, map(faults.fields_of, hashes[::2], hashes[1::2]), strict=True) if row in living}
        missing: dict[int, list[int]] = {}
        for (row, attempt), there in zip(attempts, replies, strict=False):
            if not there:
                missing.setdefault(row, []).append(attempt)
        values = dict(zip(aliases, replies[len(attempts) :], strict=True))
        wrong = list(faults.of_fields(found, fields))
        nameless = {(number, row) for row, known in fields.items() if known.own_id is None and not self._random(found, row)}
        lost = self._lost_ids(nameless) if nameless else {}
        removed = set(found.numbers[faults.removed(found)].tolist())
        for row, known in fields.items():
            wrong += faults.of_attempts(found, row, known, missing.get(row, ()))
            if known.own_id is None or row in values:
                alias = f"{number} {row}".encode() if row in removed else values.get(row)
                elsewhere = self._lives(alias, known.own_id, (number, row))
                wrong += faults.of_identity(found, row, known, alias, elsewhere, lost.get((number, row)))
        if self.repair:
            self._apply(found, wrong)
        for fault in wrong:
            if not self.repair or fault.writes is None:
                self.tally.note(fault, False)

    def _random(self, found: "Snapshot", row: int) -> int:
        import numpy as np

        return int(found.column("random")[int(np.searchsorted(found.numbers, row))])

    def _lives(self, alias: bytes | None, own_id: str | None, here: tuple[int, int]) -> bool:
        """Whether an alias leads to another living job of that id."""
        from . import leftovers

        place = leftovers.place_of(alias)
        if place is None or place == here:
            return False
        known = record.read_rows(self.store, self.family, place[0], [place[1]], primary=True)[0]
        return known is not None and known.fields.get("i") == own_id

    def _lost_ids(self, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], str]:
        """The own ids whose aliases lead to rows that have none. Source: a pass over every key."""
        from . import leftovers

        found = {}
        for batch in leftovers.scan(self.store, self.family):
            aliases = [alias for alias in batch if alias.own_id is not None]
            values = self.store.pipeline([("GET", alias.key) for alias in aliases], primary=True) if aliases else []
            for alias, value in zip(aliases, values, strict=True):
                place = leftovers.place_of(value)
                if place in wanted:
                    found[place] = str(alias.own_id)
        return found

    def _apply(self, found: "Snapshot", wrong: "Sequence[Fault]", structure: bool = False) -> None:
        """Write what mends, batch by batch, each only on what the one before left. Raises: _Moved."""
        from . import faults

        least = faults.latest(found) + 1 if structure else 0
        version: bytes | None = found.version
        for part in _parts([fault for fault in wrong if fault.writes is not None]):
            writes: list[Write] = [write for fault in part for write in fault.writes or ()]
            assert version is not None
            version = scripts.repair(self.store, self.family, found.number, version, writes, least)
            if version is None:
                raise _Moved
            for fault in part:
                self.tally.note(fault, True)

    # Keys

    def _keys(self) -> None:
        """Every key of the family: what belongs to nothing."""
        from . import faults, leftovers

        lives = self._living()
        seen: set[str] = set()
        for batch in leftovers.scan(self.store, self.family):
            by_segment: dict[int, list[Found]] = {}
            for found in leftovers.suspects(self.store, self.family, batch, lives):
                if found.key in seen:
                    continue
                seen.add(found.key)
                if not found.known:
                    self.tally.note(faults.Fault("unknown", found.key, "nothing here makes a key of this name", None), False)
                elif found.own_id is not None:
                    self._again(lambda found=found: self._alias(found), -1)
                elif found.segment not in self._unsound:
                    by_segment.setdefault(found.segment or 0, []).append(found)
            for number, suspects in by_segment.items():
                for first in range(0, len(suspects), SUSPECTS):
                    part = suspects[first : first + SUSPECTS]
                    self._again(lambda number=number, part=part: self._leftovers(number, part), number)

    def _living(self) -> "Callable[[int], Array | None]":
        """Per segment which rows have a job, as of the first time it is asked for."""
        import numpy as np

        from . import faults, snapshot
        from .columns import SEGMENT_ROWS

        known: dict[int, Array | None] = {}

        def lives(number: int) -> "Array | None":
            if number not in known:
                found = snapshot.take(self.store, self.family, number, columns=("state",))
                rows = np.zeros(SEGMENT_ROWS, bool)
                if found.exists and number in self.span:
                    rows[found.numbers[faults.occupied(found)]] = True
                known[number] = rows if found.exists and number in self.span else None
            return known[number]

        return lives

    def _leftovers(self, number: int, suspects: "Sequence[Found]") -> None:
        """Judge keys of one segment by one moment of it."""
        from . import faults, snapshot

        if number > self.span[-1]:
            return None if number in self._later else self._beyond(number)
        prefix = keys.segment(self.tag, number)
        asked = [snapshot.command(self.store, self.family, number, columns=("state",)), *[("EXISTS", one.key) for one in suspects]]
        asked += [("HGET", keys.job(prefix, one.row), "n") for one in suspects if one.attempt is not None and one.row is not None]
        reply, *replies = self.store.transaction(asked)
        found = snapshot.of_reply(self.store, self.family, number, reply, columns=("state",))
        exists = found.exists and number >= self.span[0]
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
        self._unlink(found, wrong)

    def _unlink(self, found: "Snapshot", wrong: "Sequence[Fault]") -> None:
        if self.repair and wrong:
            writes = [write for fault in wrong for write in fault.writes or ()]
            if scripts.repair(self.store, self.family, found.number, found.version, writes) is None:
                raise _Moved
        for fault in wrong:
            self.tally.note(fault, self.repair)

    def _beyond(self, number: int) -> None:
        """A segment above the present one: opened since, or the family forgot it."""
        from . import faults, snapshot

        meta = keys.meta(self.tag)
        found = snapshot.take(self.store, self.family, number, columns=("state",))
        now = int(self.store.pipeline([("HGET", meta, "current")], primary=True)[0] or 0)
        if number <= now or not found.exists:
            self._later.add(number)
            return
        what = f"segment {number} is there, {now} counts as the present one"
        self._unlink(found, [faults.Fault("meta", meta, what, (("HSET", meta, "current", number),))])
        self._later.add(number)

    def _alias(self, alias: "Found") -> None:
        """Judge an own id by one moment of it and the row it leads to."""
        from . import faults, leftovers, snapshot

        value = self.store.pipeline([("GET", alias.key)], primary=True)[0]
        place = leftovers.place_of(value)
        if value is None:
            return
        columns = ("state", "random")
        number, row = place or (self.span[-1], 0)
        asked = [
            snapshot.command(self.store, self.family, number, columns=columns),
            ("GET", alias.key),
            ("HGET", keys.job(keys.segment(self.tag, number), row), "i"),
        ]
        reply, present, owner = self.store.transaction(asked)
        if present != value:
            raise _Moved
        found = snapshot.of_reply(self.store, self.family, number, reply, columns=columns)
        if place is not None and found.exists:
            named = owner is not None and owner.decode(errors="surrogateescape") == alias.own_id
            living = row in found.numbers[faults.occupied(found)].tolist()
            # A job whose id was lost with its hash was met before, and may get it back from here.
            if living and (named or (owner is None and not self._random(found, row))):
                return
        says = value.decode(errors="replace")
        fault = faults.Fault("alias", str(alias.own_id), f"says {says!r}, where no job has this id", (("DROP", alias.key, value),))
        self._unlink(found, [fault])


def _row_keys(prefix: str, row: int) -> list[str]:
    return [make(prefix, row) for make in (keys.job, keys.long, keys.data, keys.call, keys.errors)]


def _parts(wrong: "Iterable[Fault]") -> "Iterator[list[Fault]]":
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


_Mend = tuple[str, str, int]


def _compare(
    tag: str, column: str, texts: Sequence[str], codes: dict[str, int]
) -> "tuple[list[tuple[Fault, list[_Mend]]], dict[int, int], list[str]]":
    """What is wrong between the list and the hash of a dictionary, with what mends it; code -> the code its text is
    found by, where that is another; and the list as it will be."""
    from .faults import Fault

    found: list[tuple[Fault, list[_Mend]]] = []
    doubles: dict[int, int] = {}
    mended = list(texts)
    where, known = keys.codes(tag, DICTIONARIES[column]), dict(codes)
    for code, text in enumerate(texts, start=1):
        says = known.get(text, 0)
        if not text or says == code:
            continue
        if 1 <= says <= len(texts) and texts[says - 1] == text:
            doubles[code] = says
            continue
        known[text] = code
        found.append((Fault("dictionary", where, f"{text!r} is in the list with code {code}, not in the hash", ()), [("code", text, code)]))
    for text, code in codes.items():
        listed = texts[code - 1] if 1 <= code <= len(texts) else ""
        if listed == text or known[text] != code:
            continue
        mend: _Mend = ("forget", text, code) if listed else ("text", text, code)
        if not listed:
            mended += [""] * (code - len(mended))
            mended[code - 1] = text
        found.append((Fault("dictionary", where, f"{text!r} is in the hash with code {code}, not in the list", ()), [mend]))
    return found, doubles, mended
