"""Ids: version 8 UUIDs that say when a job was recorded and where its row is.

From high to low: 48 bits recording time (ms) · version · 12+14 bits of segment, row (16), family (6), random (32).
Ids sort by time; within a millisecond by segment and row.
"""

import os
import re
import struct
from typing import NamedTuple

from .arguments import shown

FAMILIES_MAX = 64
SEGMENTS_MAX = 1 << 20
_ATTEMPT = re.compile(r":\d+\Z")
#: The one way to spell an attempt's number; a job has far fewer.
_NUMBERED = re.compile(r":(0|[1-9][0-9]{0,8})\Z")
_GENERATED = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
OWN_ID_LENGTH = 200
#: The last ten bytes of an id.
_HALVES = struct.Struct(">6xHQ")


class Place(NamedTuple):
    """Where a job's row is. A tuple: a frozen dataclass takes three times as long to make, and one is made for every job that is seen."""

    family: int
    segment: int
    row: int
    random: int
    """What the row's `rn` cell must hold; 0 for an own id, whose text is compared instead."""
    own_id: str | None = None


def new_random() -> int:
    """The random part of a generated id, 1 to 2**32 - 1."""
    return int.from_bytes(os.urandom(4), "little") or new_random()


def encode(recorded_us: int, place: Place) -> str:
    """The generated id of a job recorded at `recorded_us` microseconds."""
    ms, where = recorded_us // 1000, (place.segment << 16 | place.row) << 6 | place.family
    # By parts that are numbers of one machine word each, as `decode` reads it.
    variant = 0x8000 | where >> 16 & 0x3FFF
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-8{where >> 30:03x}-{variant:04x}-{where & 0xFFFF:04x}{place.random:08x}"


def decode(id: str) -> Place | None:
    """The place a generated id speaks of; None when it is no generated id."""
    if not _GENERATED.match(id):
        return None
    # In two parts that are numbers of one machine word each: with one of 128 bits it took a third longer.
    high, low = _HALVES.unpack(bytes.fromhex(id.replace("-", "")))
    random = low & 0xFFFFFFFF
    return Place(low >> 32 & 0x3F, (high & 0xFFF) << 8 | low >> 54 & 0xFF, low >> 38 & 0xFFFF, random) if random else None


def recorded_ms(id: str) -> int | None:
    """The recording time in a generated id, milliseconds; None when it is no generated id."""
    return int(id[:8] + id[9:13], 16) if _GENERATED.match(id) else None


def split_attempt(id: str) -> tuple[str, int | None]:
    """`"<id>:<n>"` as id and attempt; any other id with None."""
    found = _NUMBERED.search(id)
    return (id, None) if found is None else (id[: found.start()], int(found[1]))


def check_own(id: object) -> str:
    """A caller's own id as it is, or TypeError/ValueError that says what is wrong with it."""
    if not isinstance(id, str):
        raise TypeError(f"id must be a string, not {type(id).__name__}")
    if not 1 <= len(id) <= OWN_ID_LENGTH:
        raise ValueError(f"id must have 1 to {OWN_ID_LENGTH} characters, not {len(id)}")
    if _ATTEMPT.search(id):
        raise ValueError(f"id {shown(id)} must not end in a colon and digits: that names an attempt")
    try:
        id.encode()
    except UnicodeEncodeError:
        raise ValueError(f"id {shown(id)} holds characters that UTF-8 has no bytes for") from None
    return id
