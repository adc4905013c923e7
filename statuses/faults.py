"""What can be wrong with the keys and the columns of a segment, and the writes that mend it: pure looking, nothing is written here."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import keys
from .columns import BY_NAME, COLUMNS, DICTIONARIES, SEGMENT_ROWS, TIMESTAMPS
from .snapshot import Array, Snapshot
from .states import ENDED, REMOVED, State

#: A command of `lua/repair.lua`, a key, its arguments.
Write = tuple[Any, ...]
_FORMATS = {1: "<B", 4: "<I", 8: "<q"}
_ZONE = struct.Struct(f"<{1 + 2 * len(TIMESTAMPS)}q")
#: Moments that say in which state a job was last, later states first among equals.
_LATEST = (State.killed, State.failed, State.succeeded, State.started, State.queued)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong."""

    kind: str
    """A key of `check.KINDS`."""
    where: str
    """The id of the job, else the key."""
    what: str
    """What was found, in words."""
    writes: tuple[Write, ...] | None
    """What mends it; None: nothing can."""


@dataclass(frozen=True)
class Fields:
    """What a row's hashes say that columns, tags and other keys must agree with."""

    own_id: str | None
    job_args: str | None
    provider: str | None
    parent: str | None
    depends_on: str | None
    root: str | None
    attempts: int


def put(found: Snapshot, name: str, cell: int, value: int) -> list[Write]:
    """The writes that set one cell; a column that does not exist is made in full."""
    column = BY_NAME[name]
    key, width = keys.column(found.prefix, column.key), column.width
    made = [] if len(found.raw[name] or b"") == found.cells * width else [("LENGTH", key, found.cells * width)]
    return [*made, ("SETRANGE", key, cell * width, struct.pack(_FORMATS[width], value))]


def occupied(found: Snapshot) -> Array:
    """Cells with a job, removed ones that can be restored too."""
    return (found.column("state") != 0) & (found.numbers < (found.handed_out or 0))


def removed(found: Snapshot) -> Array:
    """Cells with a job that was removed and can be restored."""
    return occupied(found) & (found.column("state") > REMOVED)


def unfilled(found: Snapshot) -> Array:
    """Cells of rows that `load` was given and has not filled, or never will."""
    return (found.column("state") == 0) & (found.column("recorded_at") == 0) & (found.numbers < (found.handed_out or 0))


# Structure


def is_sound(found: Snapshot) -> bool:
    """Whether it is known which row each cell belongs to."""
    if found.packed is None:
        return len(found.zone) <= _ZONE.size
    return len(found.packed) % 2 == 0 and bool((np.diff(found.numbers) > 0).all()) and int(found.numbers[-1:].sum()) < SEGMENT_ROWS


def of_structure(found: Snapshot, is_current: bool, latest: int) -> Iterator[Fault]:
    """What is wrong with the keys of the segment as a whole. latest: the highest moment in it, microseconds."""
    prefix = found.prefix
    if not is_sound(found):
        yield Fault("rows", keys.numbers(prefix), "nothing says which row a cell of this packed segment belongs to", None)
        return
    if len(found.version) != 16:
        yield Fault("version", keys.version(prefix), f"{len(found.version)} bytes instead of 16", ())
    if found.handed_out is None:
        filled = found.numbers[(found.column("recorded_at") != 0) | (found.column("state") != 0)]
        rows = int(filled[-1]) + 1 if is_current and len(filled) else 0 if is_current else SEGMENT_ROWS
        yield Fault("count", keys.rows(prefix), "the number of rows handed out is missing", (("SET", keys.rows(prefix), rows),))
    if len(found.zone) != _ZONE.size + (8 if found.packed is not None else 0):
        yield Fault("zone", keys.zone(prefix), f"{len(found.zone)} bytes", (("SET", keys.zone(prefix), _whole_zone(found, latest)),))
    elif found.packed is not None and struct.unpack("<q", found.zone[-8:])[0] != found.cells:
        right = struct.pack("<q", found.cells)
        yield Fault("zone", keys.zone(prefix), "another number of cells", (("SETRANGE", keys.zone(prefix), _ZONE.size, right),))
    for column in COLUMNS:
        length, wanted = len(found.raw[column.name] or b""), found.cells * column.width
        missing = found.raw[column.name] is None
        if length != wanted and (not missing or column.made_with_segment):
            key = keys.column(prefix, column.key)
            yield Fault("length", key, f"{length} bytes instead of {wanted}", (("LENGTH", key, wanted),))


def _whole_zone(found: Snapshot, latest: int) -> bytes:
    recorded = found.column("recorded_at")
    filled = recorded[recorded != 0]
    bounds = [int(filled.min()) if len(filled) else latest]
    for name in TIMESTAMPS:
        cells = found.column(name)
        cells = cells[cells != 0]
        bounds += [int(cells.min()), int(cells.max())] if len(cells) else [0, 0]
    return _ZONE.pack(*bounds) + (struct.pack("<q", found.cells) if found.packed is not None else b"")


def latest(found: Snapshot) -> int:
    """The highest moment in the cells, 0 without any."""
    return max((int(found.column(name).max(initial=0)) for name in TIMESTAMPS), default=0)


def lost_states(found: Snapshot) -> Array:
    """Rows handed out whose state is missing, for the state column ends before them."""
    kept = len(found.raw["state"] or b"")
    return found.numbers[kept:][found.numbers[kept:] < (found.handed_out or 0)]


def revive(found: Snapshot, row: int) -> Fault:
    """Gives a row whose state is lost, and whose hash is there, the state its moments speak of."""
    cell = int(np.searchsorted(found.numbers, row))
    state = _derived(found, cell)
    write = ("SETRANGE", keys.column(found.prefix, BY_NAME["state"].key), cell, bytes([state.code]))
    return Fault("state", found.id_of(cell), f"the state is lost, its moments say {state}", (write,))


# Cells


class Dictionaries:
    """The texts of a family's dictionaries, and which codes no cell may hold."""

    def __init__(self, texts: dict[str, Sequence[str]], doubles: Mapping[str, Mapping[int, int]]) -> None:
        self.texts = texts
        self.doubles = doubles
        """Column -> code -> the code that the same text is found by."""

    def right(self, column: str, code: int) -> int:
        """The code a cell with `code` must hold; 0 where it stands for nothing."""
        known = self.texts[column]
        if code > len(known) or not known[code - 1]:
            return 0
        return self.doubles[column].get(code, code)

    def wrong(self, column: str, cells: Array) -> Array:
        """Which cells hold a code they must not hold."""
        known = self.texts[column]
        bad = np.zeros(len(known) + 1, bool)
        for number, text in enumerate(known, start=1):
            bad[number] = not text
        bad[list(self.doubles[column])] = True
        return (cells > len(known)) | bad[np.minimum(cells, len(known))]


def of_cells(found: Snapshot, dictionaries: Dictionaries, fields: Mapping[int, Fields]) -> Iterator[Fault]:
    """What is wrong in the columns of a segment of sound structure."""
    yield from _beyond(found)
    live = occupied(found)
    states, recorded, bad = _right_states(found, live)
    for cell, what in bad:
        removed = REMOVED < int(found.column("state")[cell]) <= REMOVED + len(State)
        value = int(states[cell]) + (REMOVED if removed else 0)
        yield Fault("state", name_of(found, cell, fields), what, tuple(put(found, "state", cell, value)))
    for cell in np.flatnonzero(live & (found.column("recorded_at") == 0)).tolist():
        writes = tuple(put(found, "recorded_at", cell, int(recorded[cell])))
        yield Fault("recorded", name_of(found, cell, fields), "it was never recorded", writes)
    yield from _spans(found, live, states, recorded, fields)
    yield from _codes(found, live, dictionaries, fields)
    yield from _zone(found, live, fields)


def name_of(found: Snapshot, cell: int, fields: Mapping[int, Fields]) -> str:
    """The id of the job in a cell, as its hash or its cell says."""
    known = fields.get(int(found.numbers[cell]))
    return found.id_of(cell, known.own_id if known else None)


def _beyond(found: Snapshot) -> Iterator[Fault]:
    rows = found.handed_out or 0
    beyond = np.flatnonzero((found.column("state") != 0) & (found.numbers >= rows))
    filled = beyond[found.column("recorded_at")[beyond] != 0]
    if len(filled):
        last = int(found.numbers[filled[-1]]) + 1
        write = ("SET", keys.rows(found.prefix), last)
        yield Fault("count", keys.rows(found.prefix), f"{rows} rows handed out, row {last - 1} holds a job", (write,))
        rows = last
    for cell in beyond[found.numbers[beyond] >= rows].tolist():
        yield Fault("count", found.id_of(cell), "a state in a row that was never handed out", tuple(put(found, "state", cell, 0)))


def _right_states(found: Snapshot, live: Array) -> tuple[Array, Array, list[tuple[int, str]]]:
    """State codes (without the mark of removal) and recorded_at as they must be, and (cell, what) of wrong states."""
    kept = found.column("state").astype(np.int64)
    states = np.where(kept > REMOVED, kept - REMOVED, kept)
    broken = live & ((states == REMOVED) | (states > len(State)))
    for state in State:
        if state.moment not in (None, "recorded_at"):
            broken |= live & (states == state.code) & (found.column(str(state.moment)) == 0)
    bad = []
    for cell in np.flatnonzero(broken).tolist():
        right = _derived(found, cell)
        bad.append((cell, f"the state byte is {kept[cell]}, the moments say {right}"))
        states[cell] = right.code
    recorded = found.column("recorded_at").copy()
    for cell in np.flatnonzero(live & (recorded == 0)).tolist():
        recorded[cell] = _first_moment(found, cell)
    return states, recorded, bad


def _derived(found: Snapshot, cell: int) -> State:
    moments = [(int(found.column(str(state.moment))[cell]), state) for state in _LATEST]
    latest_at, state = max(moments, key=lambda pair: pair[0])
    return state if latest_at else State.unqueued


def _first_moment(found: Snapshot, cell: int) -> int:
    """The earliest moment the row has; the opening of the segment where it has none."""
    moments = [at for name in TIMESTAMPS[1:] if (at := int(found.column(name)[cell]))]
    return min(moments) if moments else struct.unpack("<q", found.zone[:8])[0]


def _spans(found: Snapshot, live: Array, states: Array, recorded: Array, fields: Mapping[int, Fields]) -> Iterator[Fault]:
    started, queued = found.column("started_at"), found.column("queued_at")
    since = np.where(queued != 0, queued, recorded)
    right = {"wait_time": np.where((started != 0) & (since != 0) & (started >= since), started - since + 1, 0)}
    ended = np.zeros(found.cells, np.int64)
    for state in ENDED:
        ended = np.where(states == state.code, found.column(str(state.moment)), ended)
    right["run_time"] = np.where((started != 0) & (ended >= started), ended - started + 1, 0)
    for name, wanted in right.items():
        cells = found.column(name)
        for cell in np.flatnonzero(live & (cells != wanted)).tolist():
            what = f"{name} is {_seconds(cells[cell])}, its moments say {_seconds(wanted[cell])}"
            yield Fault("span", name_of(found, cell, fields), what, tuple(put(found, name, cell, int(wanted[cell]))))


def _seconds(cell: int) -> str:
    return f"{(int(cell) - 1) / 1e6:g} s" if cell else "not known"


def _codes(found: Snapshot, live: Array, dictionaries: Dictionaries, fields: Mapping[int, Fields]) -> Iterator[Fault]:
    for name in DICTIONARIES:
        cells = found.column(name)
        for cell in np.flatnonzero(live & (cells != 0) & dictionaries.wrong(name, cells)).tolist():
            code = int(cells[cell])
            right = dictionaries.right(name, code)
            what = f"{name} has code {code}, " + (f"its text is found by {right}" if right else "which stands for nothing")
            yield Fault("code", name_of(found, cell, fields), what, tuple(put(found, name, cell, right)))


def _zone(found: Snapshot, live: Array, fields: Mapping[int, Fields]) -> Iterator[Fault]:
    """Moments outside the bounds that readers go by: the bounds are widened."""
    zone = _ZONE.unpack(found.zone[: _ZONE.size])
    version = struct.unpack("<q", found.version[:8])[0]
    for index, name in enumerate(TIMESTAMPS):
        if name == "heartbeat_at":
            continue
        low, high = zone[0], version
        loaded = zone[1 + 2 * index], zone[2 + 2 * index]
        if loaded[1]:
            low, high = min(low, loaded[0]), max(high, loaded[1])
        cells = found.column(name)
        outside = np.flatnonzero(live & (cells != 0) & ((cells < low) | (cells > high)))
        if len(outside):
            values = [int(at) for at in (cells[outside].min(), cells[outside].max())] + ([*loaded] if loaded[1] else [])
            write = ("SETRANGE", keys.zone(found.prefix), 8 + 16 * index, struct.pack("<qq", min(values), max(values)))
            what = f"{name} of {len(outside)} jobs lies outside the bounds of the segment"
            yield Fault("zone", name_of(found, int(outside[0]), fields), what, (write,))
