"""What a reader looks up before it computes: which segments there are, in which versions, and what the words of a
question are called in the columns."""

import hashlib
import struct
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import clock, dictionaries, forks, ids, keys
from .columns import BY_NAME, DICTIONARIES, SEGMENT_ROWS
from .encoding import is_utf8
from .segments import Segment, head, newer
from .store import Command, Store

#: Segments whose heads one MGET asks for: more would hold Redis for over a millisecond.
HEADS = 500
#: Texts of one dictionary that an HMGET resolves; of more their codes are found in what is known of it.
CODES = 2_000


@dataclass
class Lookup:
    """What a question needs to know of the store before its columns are read."""

    texts: dict[str, set[str]] = field(default_factory=dict)
    """Column with a dictionary -> texts to find the codes of."""
    ids: set[str] = field(default_factory=set)
    """Ids to find the rows of."""
    now: bool = False
    """Whether the present time matters."""
    paused: bool = False
    """Whether it matters which queues are held back."""
    upkeep: bool = False
    """Whether it matters which chores run."""


@dataclass
class Listing:
    """What was found: the store as of one moment."""

    segments: list[Segment]
    """The segments that exist, newest first."""
    codes: dict[tuple[int, str], dict[str, int]]
    """(family, column) -> text -> code: of those asked for that are known, or of all that are."""
    sizes: dict[tuple[int, str], int]
    """(family, column) -> texts of that dictionary at the time; a higher code is newer than this listing."""
    places: dict[str, set[tuple[int, int, int]]]
    """Id -> (family, segment, row) where it may be; whether a job is there, the state column says."""
    now_us: int
    """The present time, 0 when it was not asked for."""
    stale_after_us: int
    """How long a started job may be silent."""
    paused: list[bytes]
    """Fields of the hash of queues that are held back, none where they were not asked for."""
    upkeep: list[bytes]
    """Values of the hash of chores, none where they were not asked for."""


@dataclass
class _Family:
    """What was known of a family last time; only a guess, checked in every listing."""

    store: bytes = b""
    first: int = 0
    current: int = -1
    segments: dict[int, Segment] = field(default_factory=dict)
    opened: dict[int, bytes] = field(default_factory=dict)
    """Segment -> the moment it was opened, as its zone begins. Another one after a failover: then the segment before it
    was filled again, and what was learnt of it holds no more."""


_Reply = Callable[[Any], None]
_lock = forks.lock()
_known: "weakref.WeakKeyDictionary[Store, list[_Family]]" = weakref.WeakKeyDictionary()


def look(store: Store, lookup: Lookup) -> Listing:
    """The present listing. One round trip when the range of segments is as last time, else two; one more for every
    400 generated ids in packed segments, and one for more than 2,000 texts of a dictionary, which is caught up.

    Source: per family HMGET meta, MGET of the segments' versions, HMGET of codes; GETRANGE or GET per id; TIME; HKEYS of what is
    paused; HVALS of the chores."""
    families = _families(store)
    asked = _Asked(store, lookup)
    metas: dict[int, list[bytes | None]] = {}
    heads: dict[tuple[int, int], list[bytes | None]] = {}
    calls: list[tuple[Command, _Reply]] = []
    for number, family in enumerate(families):
        # Versions before codes: a version that was listed then holds no code that is not known.
        calls += _heads(store, number, range(family.first, family.current + 2), heads)
        calls.append((_meta(store, number), _into(metas, number)))
    calls += asked.calls(store)
    _run(store, calls)
    for meta in metas.values():
        store.check(*meta[3:])
    missing = [(number, segment) for number in metas for segment in _range(metas[number]) if (number, segment) not in heads]
    if missing:
        calls = []
        for number in metas:
            calls += _heads(store, number, [s for n, s in missing if n == number], heads)
        _run(store, [*calls, *asked.calls(store)])
    asked.settle(store)
    segments = []
    for number, family in enumerate(families):
        # Replaced in one step: threads share the list, never a half-written entry of it.
        families[number] = now = _present(family, number, metas[number], heads)
        segments += now.segments.values()
    segments.sort(key=lambda segment: (-segment.number, segment.family))
    return asked.listing(segments)


def version_text(segments: Iterable[Segment]) -> str:
    """Names the versions of all segments: another text once any of them changes."""
    seen = hashlib.sha1(usedforsecurity=False)
    for segment in sorted(segments, key=lambda segment: (-segment.number, segment.family)):
        seen.update(repr((segment.key, segment.version)).encode())
    return seen.hexdigest()


def _families(store: Store) -> list[_Family]:
    with _lock:
        found = _known.get(store)
        if found is None:
            found = _known[store] = [_Family() for _ in store.families]
        return found


def _run(store: Store, calls: list[tuple[Command, _Reply]]) -> None:
    for (_, receive), reply in zip(calls, store.pipeline([command for command, _ in calls]), strict=True):
        receive(reply)


def _into(target: dict[Any, Any], key: Any) -> _Reply:
    def receive(reply: Any) -> None:
        target[key] = reply

    return receive


def _meta(store: Store, family: int) -> Command:
    return ("HMGET", keys.meta(store.families[family]), "store", "first", "current", "format", "families")


def _range(meta: list[bytes | None]) -> range:
    identity, first, current = meta[:3]
    if identity is None or current is None:
        return range(0)
    return range(int(first or 0), int(current) + 1)


def _heads(store: Store, family: int, numbers: Iterable[int], heads: dict[tuple[int, int], Any]) -> Iterator[tuple[Command, _Reply]]:
    wanted = list(numbers)
    for start in range(0, len(wanted), HEADS):
        part = wanted[start : start + HEADS]
        names = [name for number in part for name in head(keys.segment(store.families[family], number))]

        def receive(reply: list[bytes | None], part: list[int] = part) -> None:
            for index, number in enumerate(part):
                heads[family, number] = reply[3 * index : 3 * index + 3]

        yield ("MGET", *names), receive


def _present(family: _Family, number: int, meta: list[bytes | None], heads: dict[tuple[int, int], Any]) -> _Family:
    """A family as it is now; what is known of segments that did not change is kept."""
    identity = meta[0] or b""
    known = family.segments if family.store == identity else {}
    found: dict[int, Segment] = {}
    opened = {segment: bytes((heads[number, segment][2] or b"")[:8]) for segment in _range(meta)}
    for segment in _range(meta):
        version, rows, zone = heads[number, segment]
        if version is None or rows is None:
            continue
        last = known.get(segment)
        if last is None:
            found[segment] = Segment(identity, number, segment, version, int(rows), zone)
        else:
            same = opened.get(segment + 1) == family.opened.get(segment + 1, b"")
            found[segment] = last if last.version == version else newer(last, version, rows, zone, same)
    span = _range(meta)
    return _Family(identity, span[0], span[-1], found, opened) if span else _Family(identity)


class _Asked:
    """The commands that resolve a question's words, and what they gave."""

    def __init__(self, store: Store, lookup: Lookup) -> None:
        self.lookup = lookup
        self.codes: dict[tuple[int, str], dict[str, int]] = {}
        self.sizes: dict[tuple[int, str], int] = {}
        self.places: dict[str, set[tuple[int, int, int]]] = {}
        self._packed: dict[tuple[int, int], dict[int, str]] = {}
        self.stale_after_us = store.config.stale_after // clock.MICROSECOND
        self.now_us = clock.frozen_us() or 0
        self.paused: list[bytes] = []
        self.upkeep: list[bytes] = []

    def calls(self, store: Store) -> list[tuple[Command, _Reply]]:
        calls: list[tuple[Command, _Reply]] = []
        for family in range(len(store.families)):
            for column, texts in self.lookup.texts.items():
                calls += self._codes(store, family, column, texts)
        for id in self.lookup.ids:
            calls += self._id(store, id)
        if self.lookup.now and clock.frozen_us() is None:
            calls.append((("TIME",), self._time))
        if self.lookup.paused:
            calls.append((("HKEYS", keys.paused(store.families[0])), self._paused))
        if self.lookup.upkeep:
            calls.append((("HVALS", keys.upkeep(store.families[0])), self._upkeep))
        return calls

    def _codes(self, store: Store, family: int, column: str, texts: set[str]) -> Iterator[tuple[Command, _Reply]]:
        tag, dictionary, known = store.families[family], DICTIONARIES[column], self.codes.setdefault((family, column), {})
        yield ("LLEN", keys.texts(tag, dictionary)), _into(self.sizes, (family, column))
        if not texts or len(texts) > CODES:
            return
        asked = sorted(filter(is_utf8, texts))

        def receive(reply: list[bytes | None]) -> None:
            known.update({text: abs(int(code)) for text, code in zip(asked, reply, strict=True) if code is not None})

        if asked:
            yield ("HMGET", keys.codes(tag, dictionary), *asked), receive

    def _id(self, store: Store, id: str) -> Iterator[tuple[Command, _Reply]]:
        if not is_utf8(id) or ids.split_attempt(id)[1] is not None:
            return
        place = ids.decode(id)
        if place is not None and place.family < len(store.families) and place.row < SEGMENT_ROWS:
            yield from self._generated(store, id, place)
        if len(id) <= ids.OWN_ID_LENGTH:
            for family, tag in enumerate(store.families):
                yield ("GET", keys.alias(tag, id)), self._alias(id, family)

    def _generated(self, store: Store, id: str, place: ids.Place) -> Iterator[tuple[Command, _Reply]]:
        prefix = keys.segment(store.families[place.family], place.segment)
        cells: list[bytes] = []

        def receive(reply: bytes) -> None:
            cells.append(reply)
            if len(cells) == 2 and _is_there(id, place, *cells):
                self.places.setdefault(id, set()).add((place.family, place.segment, place.row))

        for column in ("random", "recorded_at"):
            width = BY_NAME[column].width
            start = place.row * width
            yield ("GETRANGE", keys.column(prefix, BY_NAME[column].key), start, start + width - 1), receive

        def receive_length(length: int) -> None:
            if length:
                self._packed.setdefault((place.family, place.segment), {})[place.row] = id

        # Asked last: a segment that is not packed now was not when its cells were read.
        yield ("STRLEN", keys.numbers(prefix)), receive_length

    def settle(self, store: Store) -> None:
        """Find what takes another round trip: the codes of many texts, and the generated ids whose rows are in packed segments: where
        their cells are, a script knows."""
        from . import record

        many = [(family, column) for family, column in self.codes if len(self.lookup.texts[column]) > CODES]
        if many:
            self.codes |= dictionaries.texts_of(store).codes(many)
        for (family, segment), ids_by_row in self._packed.items():
            rows = list(ids_by_row)
            for row, known in zip(rows, record.read_rows(store, family, segment, rows), strict=True):
                if known is not None and known.id == ids_by_row[row]:
                    self.places.setdefault(known.id, set()).add((family, segment, row))

    def _alias(self, id: str, family: int) -> _Reply:
        def receive(reply: bytes | None) -> None:
            if reply is not None:
                segment, row = map(int, reply.split())
                self.places.setdefault(id, set()).add((family, segment, row))

        return receive

    def _time(self, reply: list[bytes]) -> None:
        self.now_us = int(reply[0]) * 1_000_000 + int(reply[1])

    def _paused(self, reply: list[bytes]) -> None:
        self.paused = list(reply)

    def _upkeep(self, reply: list[bytes]) -> None:
        self.upkeep = list(reply)

    def listing(self, segments: list[Segment]) -> Listing:
        return Listing(segments, self.codes, self.sizes, self.places, self.now_us, self.stale_after_us, self.paused, self.upkeep)


def _is_there(id: str, place: ids.Place, random: bytes, recorded: bytes) -> bool:
    """Whether the cells of a row are those its generated id speaks of."""
    if random != struct.pack("<I", place.random) or len(recorded) != 8:
        return False
    return int.from_bytes(recorded, "little") // 1000 == ids.recorded_ms(id)
