"""What can be wrong between a segment and the hashes, tags, attempts and ids of its jobs, and the writes that mend it:
pure looking, nothing is written here."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from . import encoding, ids, keys, resource
from .columns import DEAD_ROW
from .faults import Fault, Fields, Write, name_of, occupied, put
from .record import ARCHIVED, TEXTS
from .snapshot import Snapshot
from .states import State

#: The fields that tags are made of, in the order of `Fields`.
_TAGGED = ("a", "p", "P", "D", "R")
_NO_TAGS: frozenset[tuple[str, int]] = frozenset()


def field_commands(prefix: str, row: int) -> list[tuple[Any, ...]]:
    """What reads the fields of a row."""
    return [("HMGET", keys.job(prefix, row), "i", "n", *_TAGGED), ("HMGET", keys.long(prefix, row), *_TAGGED)]


def fields_of(small: Sequence[bytes | None], large: Sequence[bytes | None]) -> Fields:
    """The fields in the replies to `field_commands`."""
    own, attempts, *short = [None if text is None else text.decode(errors="surrogateescape") for text in small]
    long = [None if text is None else text.decode(errors="surrogateescape") for text in large]
    args, provider, parent, depends_on, root = (a if a is not None else b for a, b in zip(short, long, strict=True))
    return Fields(own, args, provider, parent, depends_on, root, int(attempts) if attempts and attempts.isdigit() else 0)


def wrong_rows(found: Snapshot, fields: Mapping[int, Fields]) -> set[int]:
    """Rows whose tags or id do not agree with their fields, as far as columns and fields tell."""
    have, live = _tags(found), occupied(found)
    rows = set()
    for row, known in fields.items():
        if _expected(known)[0] != have.get(row, _NO_TAGS):
            rows.add(row)
    own = {row for row, known in fields.items() if known.own_id is not None}
    unnamed = set(found.numbers[live & (found.column("random") == 0)].tolist())
    counted = dict(zip(found.numbers.tolist(), found.column("attempts").tolist(), strict=True))
    rows |= own ^ unnamed
    return rows | {row for row, known in fields.items() if counted.get(row) != min(known.attempts, 255)}


def _tags(found: Snapshot) -> dict[int, frozenset[tuple[str, int]]]:
    """Row -> (last part of the key, hash) of its tags."""
    collected: dict[int, set[tuple[str, int]]] = {}
    for name, kept in found.postings.items():
        entries = np.frombuffer(kept, "<u8", count=len(kept) // 8)
        rows = (entries & np.uint64(0xFFFF)).tolist()
        for row, tag in zip(rows, (entries >> np.uint64(16)).tolist(), strict=True):
            if row != DEAD_ROW:
                collected.setdefault(row, set()).add((name, tag))
    return {row: frozenset(tags) for row, tags in collected.items()}


def _ids(kept: Any) -> list[str]:
    if not isinstance(kept, list) or not all(isinstance(text, str) for text in kept):
        raise TypeError("not a list of ids")
    return kept


def _expected(known: Fields) -> tuple[frozenset[tuple[str, int]], dict[tuple[str, int], str], list[tuple[str, str]]]:
    """The tags the fields call for, the text of each, and the broken fields: name in the hash, what is wrong."""
    texts = [("p", known.provider), ("c", known.parent), ("o", known.root)]
    broken = []
    for field, kind, kept, read, what in (
        ("a", "r", known.job_args, resource.texts, "job_args are no JSON of arguments"),
        ("D", "f", known.depends_on, _ids, "depends_on is no JSON list of ids"),
    ):
        try:
            texts += [(kind, text) for text in read(encoding.loads(kept))] if kept is not None else []
        except (ValueError, TypeError, AttributeError, RecursionError):
            broken.append((field, what))
    found = {}
    for kind, text in texts:
        if text is not None:
            bucket, entry = encoding.tag_hash(text)
            found[f"{kind}{bucket}", int.from_bytes(entry, "little")] = text
    return frozenset(found), found, broken


def of_fields(found: Snapshot, fields: Mapping[int, Fields]) -> Iterator[Fault]:
    """What is wrong between rows and their tags, of a snapshot and fields of one moment."""
    have = _tags(found)
    for row, known in fields.items():
        where = name_of(found, int(np.searchsorted(found.numbers, row)), fields)
        expected, texts, broken = _expected(known)
        for field, what in broken:
            hashes = keys.job(found.prefix, row), keys.long(found.prefix, row)
            yield Fault("field", where, what, tuple(("HDEL", key, field) for key in hashes))
        for name, tag in sorted(expected - have.get(row, _NO_TAGS)):
            entry = struct.pack("<Q", row | tag << 16)
            yield Fault("tag", where, f"not found by {texts[name, tag]!r}", (("APPEND", found.prefix + name, entry),))
        for name, tag in sorted(have.get(row, _NO_TAGS) - expected):
            yield Fault("tag", where, f"found by a tag of {found.prefix + name} it does not have", tuple(_bury(found, name, row, tag)))


def _bury(found: Snapshot, name: str, row: int, tag: int) -> Iterator[Write]:
    entries = np.frombuffer(found.postings[name], "<u8", count=len(found.postings[name]) // 8)
    for at in np.flatnonzero(entries == np.uint64(row | tag << 16)).tolist():
        yield "SETRANGE", found.prefix + name, at * 8, struct.pack("<H", DEAD_ROW)


def of_attempts(found: Snapshot, row: int, known: Fields, missing: Sequence[int]) -> Iterator[Fault]:
    """Attempts that were counted and are not there: a stand-in of unknown state takes their place."""
    cell = int(np.searchsorted(found.numbers, row))
    where = found.id_of(cell, known.own_id)
    if int(found.column("attempts")[cell]) != min(known.attempts, 255):
        what = f"{known.attempts} attempts, the column says {found.column('attempts')[cell]}"
        yield Fault("attempt", where, what, tuple(put(found, "attempts", cell, min(known.attempts, 255))))
    texts = [int(found.column(name)[cell]) if name in ("job_name", "user", "queue", "engine") else 0 for name in TEXTS]
    cells = ARCHIVED.pack(State.unknown.code, *texts, int(found.column("recorded_at")[cell]), *[0] * 9)
    for number in missing:
        write = ("HSET", keys.attempt(found.prefix, row, number), "c", cells)
        yield Fault("attempt", where, f"attempt {number} is not there", (write,))


def of_identity(found: Snapshot, row: int, known: Fields, alias: bytes | None, elsewhere: bool, lost_id: str | None) -> Iterator[Fault]:
    """What is wrong with how a job is found. alias: what the own id's says; elsewhere: whether a living job of that id
    is there; lost_id: an own id whose alias says this row, for one that has none."""
    cell = int(np.searchsorted(found.numbers, row))
    where, random = found.id_of(cell, known.own_id), int(found.column("random")[cell])
    here = f"{found.number} {row}".encode()
    if known.own_id is None and random == 0:
        if lost_id is not None:
            yield Fault("id", lost_id, "the own id is missing in its hash", (("HSET", keys.job(found.prefix, row), "i", lost_id),))
        else:
            yield Fault("id", where, "neither an own id nor a random part", tuple(put(found, "random", cell, ids.new_random())))
    elif known.own_id is not None and random != 0:
        yield Fault("id", where, "an own id and a random part", tuple(put(found, "random", cell, 0)))
    if known.own_id is not None and alias != here:
        says = "is missing" if alias is None else f"says {alias.decode(errors='replace')!r}"
        key = keys.alias(found.prefix[: found.prefix.index("}") + 1], known.own_id)
        writes = None if elsewhere else (("POINT", key, alias or b"", here),)
        yield Fault("alias", where, f"the alias {says}, the job is in {here.decode()!r}", writes)
