"""Retention: removing what is due, and what criteria name; then tidying up what that leaves."""

import weakref
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from . import encoding, keys, removal, upkeep
from .arguments import callback, flag, shown
from .columns import DICTIONARIES
from .states import State
from .store import Store, current

if TYPE_CHECKING:
    from .census import Census
    from .snapshot import Array, Snapshot

#: Called with the number removed so far; returning False (exactly) stops the cleaning after that batch.
Progress = Callable[[int], Any]
#: Called before jobs of a segment are removed, with how many; what it raises ends the cleaning, and they stay.
Announce = Callable[[int], Any]


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """What a cleaning did."""

    removed: int = 0
    """Statuses removed for good; in a dry run, that would be."""
    swept: int = 0
    """Earlier removals that could no longer be taken back, now gone for good."""
    by_state: dict[State, int] = field(default_factory=dict)
    """The removed ones per state."""
    promised: int = 0
    """Statuses left, though old enough, because they were promised longer (`keep_for`, `keep_until_deleted`)."""
    dropped: int = 0
    """Segments in which no job was left, gone with all their keys."""
    packed: int = 0
    """Segments that held few jobs, now as small as those."""
    forgotten: int = 0
    """Texts (names, queues, users, workers, engines, error groups) that no job had any more."""
    stopped: bool = False
    """The progress callback returned False: the rest was not looked at."""


def clean(
    *,
    job_name: str | Sequence[str] | None = None,
    queue: str | Sequence[str] | None = None,
    state: str | Sequence[str] | None = None,
    older_than: timedelta | None = None,
    break_promises: bool = False,
    dry_run: bool = False,
    announce: Announce | None = None,
    progress: Progress | None = None,
) -> Cleaned:
    """Remove what retention says is due; with `older_than` what ended (else was recorded) longer ago than that,
    whatever the policy says. `job_name`, `queue` and `state` narrow both. With `older_than` jobs that run are left alone, and
    those that were promised longer themselves (`keep_for`, `keep_until_deleted`), unless `break_promises`.

    Then, unless it is a dry run: removals that can no longer be taken back become final, dead segments are dropped, sparse
    ones packed, texts that no job has any more forgotten. `announce(number)` is called before jobs of a segment are removed,
    `progress(removed so far)` after every batch.

    Source: the columns that decide, none for a segment that this process knows nothing is due in; a
    script per 100 rows; one round trip at the end, that says so (`upkeep`), unless it is a dry run. Each row is removed only if its
    state is still the one that was read. Safe while others write."""
    if older_than is not None and (not isinstance(older_than, timedelta) or older_than < timedelta(0)):
        raise ValueError(f"older_than must be a timedelta that is not negative, not {shown(older_than)}")
    if flag("break_promises", break_promises) and older_than is None:
        raise ValueError("break_promises says what older_than may remove: it goes with that alone")
    criteria = Criteria(_texts(job_name, "job_name"), _texts(queue, "queue"), _states(state), older_than, break_promises)
    callback("announce", announce)
    callback("progress", progress)
    with upkeep.doing(upkeep.CLEAN, criteria.describe(), dry_run=dry_run) as did:
        cleaned = _clean(criteria, dry_run, announce, progress)
        did["removed"] = cleaned.removed
    return cleaned


def _clean(criteria: "Criteria", dry_run: bool, announce: Announce | None, progress: Progress | None) -> Cleaned:
    here, tally = current(), _Tally(announce, progress)
    here.check_layout(anew=True)
    for family in range(len(here.families)):
        cleaner = Cleaner(here, family, criteria, tally)
        try:
            if dry_run:
                cleaner.count()
            else:
                cleaner.remove()
                cleaner.tidy()
        except _Stopped:
            tally.stopped = True
            break
    return tally.cleaned()


def _texts(given: str | Sequence[str] | None, name: str) -> list[str] | None:
    if given is None:
        return None
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, Collection) or isinstance(found, Mapping | bytes) or not all(isinstance(text, str) for text in found):
        raise TypeError(f"{name} must be a text or a list of texts, not {shown(given)}")
    return [encoding.encodable(text, name) for text in found]


def _states(given: str | Sequence[str] | None) -> list[State] | None:
    try:
        return None if given is None else [State(text) for text in _texts(given, "state") or ()]
    except ValueError:
        raise ValueError(f"state must be one of {', '.join(State)}, not {shown(given)}") from None


@dataclass(frozen=True)
class Criteria:
    """Which jobs to remove; None where it does not matter."""

    job_names: list[str] | None = None
    queues: list[str] | None = None
    states: list[State] | None = None
    older_than: timedelta | None = None
    break_promises: bool = False

    @property
    def are_the_policy(self) -> bool:
        """Whether exactly what retention says is meant."""
        return self == Criteria()

    def describe(self) -> str:
        """In the words of the command; empty for the policy."""
        named = (("name", self.job_names), ("queue", self.queues), ("state", self.states))
        age = [] if self.older_than is None else [f"older-than={self.older_than / timedelta(days=1):g}d"]
        promises = ["break-promises"] if self.break_promises else []
        return " ".join([*age, *promises, *(f"{word}={text}" for word, texts in named for text in texts or ())])


class _Stopped(Exception):
    """The caller wants no more."""


@dataclass
class _Tally:
    announce: Announce | None
    progress: Progress | None
    by_state: Counter[State] = field(default_factory=Counter)
    promised: int = 0
    swept: int = 0
    dropped: int = 0
    packed: int = 0
    forgotten: int = 0
    stopped: bool = False

    def removed(self, code: int, count: int) -> None:
        if count:
            self.by_state[State.of_code(code)] += count

    def tell(self) -> None:
        if self.progress is not None and self.progress(self.by_state.total()) is False:
            raise _Stopped

    def cleaned(self) -> Cleaned:
        return Cleaned(
            removed=self.by_state.total(),
            swept=self.swept,
            by_state=dict(self.by_state),
            promised=self.promised,
            dropped=self.dropped,
            packed=self.packed,
            forgotten=self.forgotten,
            stopped=self.stopped,
        )


#: Store -> (family, segment) -> what was known of a segment last time: as long as its version stays, it is so.
_known: "weakref.WeakKeyDictionary[Store, dict[tuple[int, int], Census]]" = weakref.WeakKeyDictionary()


class Cleaner:
    """The cleaning of one family."""

    def __init__(self, store: Store, family: int, criteria: Criteria, tally: _Tally) -> None:
        from . import snapshot

        self.store, self.family, self.criteria, self.tally = store, family, criteria, tally
        self.now_us = snapshot.now_us(store)
        policy = [key[5:] for key in store.config.retention if key.startswith("name:")]
        self._policy_names = self._codes("job_name", policy)
        self._names = self._codes("job_name", criteria.job_names)
        self._queues = self._codes("queue", criteria.queues)
        self._censuses = _known.setdefault(store, {})
        self._there: set[int] = set()

    def _codes(self, column: str, texts: Sequence[str] | None) -> dict[str, int]:
        if not texts:
            return {}
        key = keys.codes(self.store.families[self.family], DICTIONARIES[column])
        found = self.store.pipeline([("HMGET", key, *texts)], primary=True)[0]
        return {text: abs(int(code)) for text, code in zip(texts, found, strict=True) if code is not None}

    def count(self) -> None:
        """Count what would be removed."""
        from . import census, snapshot

        for number in removal.segments(self.store, self.family):
            found = snapshot.take(self.store, self.family, number, census.COLUMNS)
            if found.exists:
                for code, count in Counter(found.column("state")[self._due(found)].tolist()).items():
                    self.tally.removed(code, count)

    def remove(self) -> None:
        """Remove what is due, and what was removed before and can no longer be taken back."""
        from . import snapshot

        numbers = removal.segments(self.store, self.family)
        versions = self._versions(numbers)
        for number in numbers:
            known = self._censuses.get((self.family, number))
            if known is not None and known.version == versions[number] and known.due_us > self.now_us and self.criteria.are_the_policy:
                continue
            found = self._take(number)
            if found is not None:
                self._delete(found, self._due(found))
                self.tally.swept += removal.sweep_segment(self.store, found, self.now_us)
        self.now_us = snapshot.now_us(self.store)

    def _versions(self, numbers: Sequence[int]) -> dict[int, bytes | None]:
        names = [keys.version(keys.segment(self.store.families[self.family], number)) for number in numbers]
        values: list[bytes | None] = []
        for first in range(0, len(names), 1000):
            values += self.store.pipeline([("MGET", *names[first : first + 1000])], primary=True)[0]
        return dict(zip(numbers, values, strict=True))

    def _take(self, number: int) -> "Snapshot | None":
        """A segment that is there and whole; one that is broken is left to `check`."""
        from . import census, faults, snapshot

        found = snapshot.take(self.store, self.family, number, census.COLUMNS)
        if found.handed_out is not None or found.raw["state"] is not None:
            self._there.add(number)
        return found if found.exists and faults.is_sound(found) and len(found.version) == 16 else None

    def _expiry(self, found: "Snapshot") -> "Array":
        from . import census

        return census.expiry(found, self.store.config.retention, self._policy_names)

    def _due(self, found: "Snapshot") -> "Array":
        """The cells of jobs to remove; those that only a promise spares are counted."""
        import numpy as np

        from . import census, faults
        from .clock import MICROSECOND

        states = found.column("state")
        chosen = faults.occupied(found) & ~faults.removed(found)
        older_than = self.criteria.older_than
        if older_than is None:
            chosen &= self._expiry(found) <= self.now_us
        else:
            chosen &= (census.ended_at(found) <= self.now_us - older_than // MICROSECOND) & (states != State.started.code)
        for wanted, codes, column in (
            (self.criteria.job_names, self._names, "job_name"),
            (self.criteria.queues, self._queues, "queue"),
        ):
            if wanted is not None:
                chosen &= np.isin(found.column(column), list(codes.values()))
        if self.criteria.states is not None:
            chosen &= np.isin(states, [state.code for state in self.criteria.states])
        if older_than is not None and not self.criteria.break_promises:
            promised = chosen & (found.column("keep_for") > 0) & (self._expiry(found) > self.now_us)
            self.tally.promised += int(np.count_nonzero(promised))
            chosen &= ~promised
        return np.flatnonzero(chosen)

    def _delete(self, found: "Snapshot", cells: "Array") -> None:
        """Delete the jobs of some cells, state by state: each only while it is still in it."""
        states = found.column("state")[cells]
        if len(cells) and self.tally.announce is not None:
            self.tally.announce(len(cells))
        for code in sorted(set(states.tolist())):
            for results in removal.bulk_on(self.store, found, cells[states == code], "delete", str(code)):
                self.tally.removed(code, results.count(b"+"))
                self.tally.tell()

    def tidy(self) -> None:
        """Drop dead segments, pack sparse ones, forget texts that nothing uses."""
        from . import packing, unused

        self.tally.tell()
        numbers = removal.segments(self.store, self.family)
        censuses = self._look(numbers)
        living = any(one.live for one in censuses.values())
        for number in numbers:
            known = censuses.get(number)
            if known is None or (number == numbers[-1] and living):
                continue
            if known.sparse and number != numbers[-1]:
                self.tally.packed += packing.pack(self.store, self.family, number, self.now_us)
            elif known.dead:
                first = min(self._there - {number}, default=numbers[-1] + 1)
                if packing.drop(self.store, self.family, number, known.version, first if first > number else None):
                    del censuses[number]
                    self._there.discard(number)
                    self._censuses.pop((self.family, number), None)
                    self.tally.dropped += 1
        self.tally.tell()
        if not self._there <= censuses.keys():
            return  # A segment that is broken may use any text.
        used = _used(censuses.values())
        self.tally.forgotten += unused.forget(self.store, self.family, used, lambda: self._look_again(used))

    def _look(self, numbers: Sequence[int]) -> "dict[int, Census]":
        """What is known of each segment that there is, those that changed since looked at anew."""
        from . import census

        versions, result = self._versions(numbers), {}
        for number in numbers:
            known = self._censuses.get((self.family, number))
            if known is not None and known.version == versions[number]:
                self._there.add(number)
            if known is None or known.version != versions[number] or known.waiting:
                found = self._take(number)
                if found is None:
                    self._censuses.pop((self.family, number), None)
                    continue
                known = census.take(self.store, found, self._expiry(found), self.now_us)
                self._censuses[self.family, number] = known
            result[number] = known
        return result

    def _look_again(self, before: "Mapping[str, set[int]]") -> "Mapping[str, set[int]]":
        """The codes that are used now, as far as it matters: those of before may have gone, none of them is dropped."""
        numbers = removal.segments(self.store, self.family)
        now = _used(self._look(numbers).values())
        return {column: before[column] | now[column] for column in DICTIONARIES}


def _used(censuses: "Collection[Census]") -> dict[str, set[int]]:
    found: dict[str, set[int]] = {column: set() for column in DICTIONARIES}
    for one in censuses:
        for column, codes in one.used.items():
            found[column] |= codes
    return found
