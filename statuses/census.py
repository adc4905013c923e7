"""What a cleaner knows of a segment: which jobs are due, what its cells use, how full it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import numpy as np

from . import faults, keys, packing
from .clock import MICROSECOND
from .columns import DICTIONARIES, KEPT_FOR_EVER
from .record import ARCHIVED, TEXTS
from .snapshot import Array, Snapshot
from .states import ENDED, State
from .store import Store

#: Microseconds that never come.
FOR_EVER = 1 << 62
#: Columns that `expiry` goes by.
DECIDING = ("state", "job_name", "recorded_at", "succeeded_at", "failed_at", "killed_at", "loaded_at", "keep_for")
#: Columns a cleaner looks at.
COLUMNS = tuple(dict.fromkeys(("random", *DICTIONARIES, *DECIDING, "gone_at", "attempts")))
#: Number of the policy of the first name: before it there is one for each state, removed ones too.
_NAMED = 16
#: Archived attempts read in one round trip.
ATTEMPTS = 1_000


class Columns(Protocol):
    """Columns of a segment, however they were read."""

    def column(self, name: str, /) -> Array:
        """The cells of one."""
        raise NotImplementedError


def ended_at(found: Columns) -> Array:
    """When each job ended; when it was recorded, where it has not."""
    moments = found.column("recorded_at").copy()
    for state in ENDED:
        at = found.column("state") == state.code
        moments[at] = found.column(str(state.moment))[at]
    return moments


def expiry(found: Columns, retention: Mapping[str, timedelta | None], names: Mapping[str, int]) -> Array:
    """From when on the policy lets each job go, microseconds. names: job name -> code, of those the policy speaks of."""
    since = ended_at(found)
    loaded = found.column("loaded_at")
    since = np.where(loaded > 0, loaded, since)
    own = found.column("keep_for")
    kept = np.where(own > 0, own - 1, kept_us(retention, names)[policies(found, names)])
    return since + np.minimum(kept, FOR_EVER - since)


def policies(found: Columns, names: Mapping[str, int]) -> Array:
    """By which policy each job goes, as `kept_us` numbers them: that of its name, where `names` has it, or of its state. Names of jobs are
    looked at only where there are any."""
    numbers = found.column("state").astype(np.intp)
    for number, code in enumerate(names.values(), _NAMED):
        numbers[found.column("job_name") == code] = number
    return numbers


def kept_us(retention: Mapping[str, timedelta | None], names: Mapping[str, int]) -> Array:
    """How long each policy lets a job be, microseconds, whose own time does not say otherwise."""
    kept = np.full(_NAMED + len(names), span_us(retention.get("*")), "<i8")
    for state in State:
        if state in retention:
            kept[state.code] = span_us(retention[state])
    kept[_NAMED:] = [span_us(retention[f"name:{name}"]) for name in names]
    return kept


def span_us(time: timedelta | None) -> int:
    """A time to be kept in microseconds; None is for ever, and so is what a job's own time cannot hold."""
    kept = FOR_EVER if time is None else time // MICROSECOND
    return kept if kept < KEPT_FOR_EVER else FOR_EVER


@dataclass(frozen=True)
class Census:
    """One segment as of one version."""

    version: bytes
    due_us: int
    """When the first of its jobs is due, or the first removal final."""
    used: Mapping[str, set[int]]
    """Column -> codes that its cells and its archived attempts hold."""
    live: int
    """Jobs, those that can be restored too."""
    dead: bool
    """Whether it can be dropped."""
    sparse: bool
    """Whether it can be packed."""
    waiting: bool
    """Whether `load` may still fill rows of it: time alone changes that."""


def take(store: Store, found: Snapshot, due: Array | None, now_us: int) -> Census:
    """The census of a snapshot with COLUMNS. due: when each cell's job is due, None where nobody asks."""
    occupied, removed = faults.occupied(found), faults.removed(found)
    moments = [found.column("gone_at")[removed]] + ([] if due is None else [due[occupied & ~removed]])
    first = min((int(part.min()) for part in moments if len(part)), default=FOR_EVER)
    used = {column: set(np.unique(found.column(column)[occupied]).tolist()) - {0} for column in DICTIONARIES}
    for column, codes in _archived(store, found, occupied).items():
        used[column] |= codes
    return Census(
        version=found.version,
        due_us=first,
        used=used,
        live=int(np.count_nonzero(occupied)),
        dead=packing.is_dead(found, now_us),
        sparse=packing.is_sparse(found, now_us),
        waiting=packing.is_waiting(found, now_us),
    )


def _archived(store: Store, found: Snapshot, occupied: Array) -> dict[str, set[int]]:
    """The codes in archived attempts: they are shown as long as the job is there."""
    cells = np.flatnonzero(occupied & (found.column("attempts") > 0))
    counts = dict(zip(found.numbers[cells].tolist(), found.column("attempts")[cells].tolist(), strict=True))
    many = [row for row, count in counts.items() if count == 255]
    texts = store.pipeline([("HGET", keys.job(found.prefix, row), "n") for row in many], primary=True) if many else []
    counts.update({row: int(text or 0) for row, text in zip(many, texts, strict=True)})
    names = [keys.attempt(found.prefix, row, number) for row, count in counts.items() for number in range(count)]
    codes: dict[str, set[int]] = {column: set() for column in DICTIONARIES}
    for first in range(0, len(names), ATTEMPTS):
        replies: list[Any] = store.pipeline([("HGET", name, "c") for name in names[first : first + ATTEMPTS]], primary=True)
        for kept in replies:
            if kept is not None and len(kept) == ARCHIVED.size:
                for column, code in zip(TEXTS, ARCHIVED.unpack(kept)[1:7], strict=True):
                    codes[column].add(code)
    return codes
