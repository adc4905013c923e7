"""Keys that belong to no job: what a pass over every key of a family finds, to be looked at once more."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import keys
from .columns import COLUMNS, DICTIONARIES, TAG_BUCKETS, TAGS
from .snapshot import POSTINGS, Array
from .store import Store

#: Keys one SCAN looks at.
STEP = 1_000
_SEGMENT = re.compile(r"(\d{1,7}):(.+)", re.DOTALL)
_ROW = re.compile(r"[jldke](\d{1,5})")
_ATTEMPT = re.compile(r"a(\d{1,5}):(\d{1,9})[de]?")
#: Last parts of the keys that a segment has once.
_WHOLE = frozenset({"n", "v", "z", "w", "b", "rows", *(column.key for column in COLUMNS), *POSTINGS})
_DEPTH = re.compile(r"depth:(at|\d{1,6})")
_TEXTS = tuple(key("", name) for name in DICTIONARIES.values() for key in (keys.texts, keys.seals))
_OF_FAMILY = frozenset({"meta", keys.metrics(""), *(make("") for make in keys.SINGLE), *DICTIONARIES.values(), *_TEXTS})
assert len(POSTINGS) == TAG_BUCKETS * len(TAGS)


@dataclass(frozen=True)
class Found:
    """A key, and what its name says it belongs to."""

    key: str
    segment: int | None = None
    row: int | None = None
    attempt: int | None = None
    own_id: str | None = None
    """Set for an alias."""
    known: bool = True
    """False: no key of this name is ever made."""


def scan(store: Store, family: int) -> Iterator[list[Found]]:
    """Every key of a family, some perhaps twice. Source: SCAN over the whole database."""
    tag, cursor = store.families[family], 0
    while True:
        cursor, names = store.pipeline([("SCAN", cursor, "MATCH", f"{tag}*", "COUNT", STEP)], primary=True)[0]
        yield [_read(tag, name.decode(errors="surrogateescape")) for name in names]
        cursor = int(cursor)
        if not cursor:
            return


def _read(tag: str, key: str) -> Found:
    rest = key[len(tag) :]
    if rest in _OF_FAMILY or _DEPTH.fullmatch(rest):
        return Found(key)
    if rest.startswith("x:"):
        return Found(key, own_id=rest[2:])
    found = _SEGMENT.fullmatch(rest)
    if found is None:
        return Found(key, known=False)
    segment, part = int(found[1]), found[2]
    if part in _WHOLE:
        return Found(key, segment)
    row, attempt = _ROW.fullmatch(part), _ATTEMPT.fullmatch(part)
    if row is not None:
        return Found(key, segment, int(row[1]))
    if attempt is not None:
        return Found(key, segment, int(attempt[1]), int(attempt[2]))
    return Found(key, segment, known=False)


def suspects(store: Store, family: int, batch: list[Found], lives: Callable[[int], Array | None]) -> Iterator[Found]:
    """Of a batch of keys those that seem to belong to nothing. lives: the segment's rows with a job as they are now, a
    boolean each; None for a segment that is not there."""
    attempts = []
    for found in batch:
        if not found.known:
            yield found
        elif found.segment is not None:
            living = lives(found.segment)
            if living is None or (found.row is not None and not (found.row < len(living) and living[found.row])):
                yield found
            elif found.attempt is not None:
                attempts.append(found)
    counts = _attempts(store, family, attempts)
    yield from (found for found, count in zip(attempts, counts, strict=True) if found.attempt is not None and found.attempt >= count)
    yield from _aliases(store, family, [found for found in batch if found.own_id is not None])


def _attempts(store: Store, family: int, found: list[Found]) -> list[int]:
    names = [keys.job(keys.segment(store.families[family], one.segment or 0), one.row or 0) for one in found]
    return [int(count or 0) for count in store.pipeline([("HGET", name, "n") for name in names], primary=True)] if names else []


def _aliases(store: Store, family: int, found: list[Found]) -> Iterator[Found]:
    """Aliases whose row does not have their id."""
    if not found:
        return
    values = store.pipeline([("GET", alias.key) for alias in found], primary=True)
    places = [place_of(value) for value in values]
    named = [(alias, place) for alias, place in zip(found, places, strict=True) if place is not None]
    yield from (alias for alias, value, place in zip(found, values, places, strict=True) if value is not None and place is None)
    tag = store.families[family]
    commands = [("HGET", keys.job(keys.segment(tag, segment), row), "i") for _, (segment, row) in named]
    owners: list[Any] = store.pipeline(commands, primary=True) if commands else []
    for (alias, _), owner in zip(named, owners, strict=True):
        if owner is None or owner.decode(errors="surrogateescape") != alias.own_id:
            yield alias


def place_of(value: bytes | None) -> tuple[int, int] | None:
    """(segment, row) of what an alias holds, None when it is neither."""
    found = re.fullmatch(rb"(\d{1,7}) (\d{1,5})", value or b"")
    return None if found is None else (int(found[1]), int(found[2]))
