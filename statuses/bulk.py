"""One verb on everything a query selected, in small batches that never hold Redis."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from . import clock, encoding, record, segmentscripts
from .arguments import shown
from .engines import registry
from .errors import EngineCannot, NotCompleted, StatusesError, StatusNotFound, StoreUnavailable
from .states import COMPLETED, ENDED, State
from .status import Status
from .store import Store, current

if TYPE_CHECKING:
    from .collection import Statuses

#: (done, total) along the way; returning False stops after that batch, and the one that is on its way by then.
Progress = Callable[[int, int], Any]

_ALL = "1234567"
#: The words of `Changed.by_reason` that count as changed.
_CHANGED = frozenset({"killed", "requested", "removed", "restored", "retried"})
_MISSING = "gone"
_NOT_SKIPPED = _CHANGED | {_MISSING}
#: Of so many selected jobs those that are skipped are named: as many as one picks by hand.
MOST_NAMED = 200


@dataclass(frozen=True, kw_only=True)
class Changed:
    """What a bulk verb did; the numbers add up to what was selected, unless it was stopped."""

    changed: int = 0
    skipped: int = 0
    missing: int = 0
    """Selected, but gone when their turn came."""
    undo: str | None = None
    """Token for `restore`, where what was done can be taken back."""
    by_reason: dict[str, int] = field(default_factory=dict)
    """killed (before it started), requested, removed, retried, restored; already, ended, incomplete, cannot, failed; gone."""
    stopped: bool = False
    """The progress callback returned False: the rest was not touched."""
    errors: tuple[str, ...] = ()
    """Why single jobs could not be done, different texts only, at most 20."""
    skipped_ids: Mapping[str, str] = field(default_factory=dict)
    """Where at most 200 were selected: id -> reason, of each that was skipped."""


@dataclass
class _Tally:
    is_named: bool = False
    """Whether few enough were selected to name those that are skipped."""
    counts: Counter[str] = field(default_factory=Counter)
    errors: dict[str, None] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    stopped: bool = False

    def note(self, word: str, found: record.Record | None) -> None:
        """Add what came of one job."""
        self.counts[word] += 1
        if self.is_named and found is not None and word not in _NOT_SKIPPED:
            self.skipped[found.id] = word

    def count(self, results: str, words: Callable[[str], str]) -> None:
        """Add what a bulk call answered, a character a row."""
        for result, number in Counter(results).items():
            self.counts[words(result)] += number

    def changed(self, undo: str | None = None) -> Changed:
        gone = self.counts[_MISSING]
        did = sum(count for word, count in self.counts.items() if word in _CHANGED)
        return Changed(
            changed=did,
            skipped=self.counts.total() - did - gone,
            missing=gone,
            undo=undo if did else None,
            by_reason={word: count for word, count in self.counts.items() if count},
            stopped=self.stopped,
            errors=tuple(self.errors)[:20],
            skipped_ids=self.skipped,
        )


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of one segment, ascending."""

    family: int
    segment: int
    packed: bytes
    """As a bulk call takes them (`segmentscripts.BULK_ROW`)."""
    states: bytes
    """Their state codes."""

    def __len__(self) -> int:
        return len(self.states)

    def batches(self, size: int) -> "Iterator[Chunk]":
        """The same in parts of `size` rows."""
        for first in range(0, len(self), size):
            end, width = first + size, segmentscripts.BULK_ROW.size
            yield Chunk(self.family, self.segment, self.packed[first * width : end * width], self.states[first:end])

    @property
    def rows(self) -> list[int]:
        """Their numbers."""
        return [row for row, _ in segmentscripts.BULK_ROW.iter_unpack(self.packed)]


@dataclass(frozen=True)
class Selection:
    """Rows to act on, as they were found."""

    store: Store
    chunks: list[Chunk]

    @property
    def total(self) -> int:
        return sum(map(len, self.chunks))

    def batches(self, size: int) -> Iterator[Chunk]:
        """All of it in parts of at most `size` rows of one segment."""
        for chunk in self.chunks:
            yield from chunk.batches(size)


def of_places(places: Iterable[tuple[int, int, Any, Any, Any]]) -> Selection:
    """A selection from what `Query.places()` gives: family, segment, and arrays of rows, rn and states."""
    from .segments import bulk_rows

    found = [
        Chunk(int(family), int(segment), bulk_rows(rows, randoms), states[rows.argsort(kind="stable")].astype("u1").tobytes())
        for family, segment, rows, randoms, states in places
        if len(rows)
    ]
    return Selection(current(), found)


def of_statuses(statuses: "Statuses") -> Selection:
    """A selection of loaded statuses, each once."""
    grouped: dict[tuple[int, int], dict[tuple[int, int], int]] = {}
    for status in dict.fromkeys(statuses):
        place = status._place()
        grouped.setdefault((place.family, place.segment), {})[place.row, place.random] = status.state.code
    chunks = []
    for at, found in grouped.items():
        ordered = sorted(found.items())
        chunks.append(Chunk(*at, segmentscripts.bulk_rows(pair for pair, _ in ordered), bytes(code for _, code in ordered)))
    return Selection(current(), chunks)


def _run(
    selection: Selection,
    verb: str,
    sources: str,
    arguments: Sequence[Any],
    words: Callable[[str], str],
    progress: Progress | None,
    then: Callable[[Chunk, str, _Tally], None] | None = None,
) -> _Tally:
    total = selection.total
    tally, done, stop = _Tally(total <= MOST_NAMED), 0, False
    on_their_way: deque[Chunk] = deque()

    def parts() -> Iterator[tuple[int, int, bytes]]:
        for chunk in selection.batches(segmentscripts.bulk_size(verb, arguments)):
            if stop:
                return
            on_their_way.append(chunk)
            yield chunk.family, chunk.segment, chunk.packed

    with closing(segmentscripts.bulks(selection.store, verb, parts(), sources, *arguments)) as replies:
        for reply in replies:
            chunk, results = on_their_way.popleft(), reply.decode("ascii")
            if then is None:
                tally.count(results, words)
                _name_skipped(selection.store, chunk, results, words, tally)
            else:
                then(chunk, results, tally)
            done += len(chunk)
            stop = (progress is not None and progress(done, total) is False) or stop
    tally.stopped = done < total
    return tally


def _name_skipped(store: Store, chunk: Chunk, results: str, words: Callable[[str], str], tally: _Tally) -> None:
    """One round trip where any was skipped, and so few were selected that they are named."""
    said = zip(chunk.rows, map(words, results), strict=True) if tally.is_named else ()
    skipped = {row: word for row, word in said if word not in _NOT_SKIPPED}
    for found in record.read_rows(store, chunk.family, chunk.segment, [*skipped], primary=True) if skipped else ():
        if found is not None:
            tally.skipped[found.id] = skipped[found.place.row]


def _kill_word(result: str) -> str:
    return {"+": "requested", "k": "killed", "=": "already", ".": _MISSING}.get(result, "ended")


_KILLABLE = "".join(str(state.code) for state in State if state not in ENDED)


def request_kill(
    selection: Selection, *, by: str | None = None, reason: str | None = None, end_queued: bool = False, progress: Progress | None = None
) -> Changed:
    """Ask every selected job to die. With `end_queued` those that wait are killed in the same step."""
    who, why = encoding.text(by, "by") or "", encoding.text(reason, "reason") or ""
    arguments = (who, why, "1" if end_queued else "")
    return _run(selection, "kill", _KILLABLE, arguments, _kill_word, progress).changed()


def kill_now(selection: Selection, *, by: str | None = None, reason: str | None = None, progress: Progress | None = None) -> Changed:
    """Kill what waits by our own word; ask what runs, and end its process through its engine."""
    who, why = encoding.text(by, "by") or "", encoding.text(reason, "reason") or ""

    def end_running(chunk: Chunk, results: str, tally: _Tally) -> None:
        asked = [row for row, result in zip(chunk.rows, results, strict=True) if result in "+="]
        tally.count(results.replace("+", "").replace("=", ""), _kill_word)
        _name_skipped(selection.store, chunk, results.replace("=", "+"), _kill_word, tally)  # what runs is told of below
        for found in record.read_rows(selection.store, chunk.family, chunk.segment, asked, primary=True):
            tally.note(_end(found, selection.store, tally), found)

    return _run(selection, "kill", _KILLABLE, (who, why, "1"), _kill_word, progress, end_running).changed()


def _end(found: record.Record | None, store: Store, tally: _Tally) -> str:
    if found is None or found.removed:
        return _MISSING
    if found.state in ENDED:
        return "ended"
    engine = registry.get(found.texts["engine"])
    if found.state is not State.started or engine is None or not engine.can_kill:
        return "cannot"
    try:
        engine.kill(Status.of_record(found, store))
    except EngineCannot as error:
        tally.errors[error.why] = None
        return "cannot"
    return "requested"


def delete(
    selection: Selection,
    *,
    force: bool = False,
    only_ended: bool = False,
    undo_for: timedelta | None = None,
    progress: Progress | None = None,
) -> Changed:
    """Remove the selected statuses.

    Without `force` and `only_ended`: nothing when any of them is not completed, as of the one read that selected
    them; what restarted since is skipped. `only_ended` skips what has not ended, checked again at the moment of
    removal. With `undo_for` the removal can be taken back that long (`Changed.undo`, `restore`), also where it was broken off
    (`StoreUnavailable.undo`). Raises: NotCompleted."""
    if force and only_ended:
        raise ValueError("force and only_ended exclude each other")
    allowed = frozenset(State) if force else ENDED if only_ended else COMPLETED
    sources = "".join(str(state.code) for state in State if state in allowed)
    if not force and not only_ended:
        _refuse_incomplete(selection)
    store = selection.store

    def word(result: str) -> str:
        return {"+": "removed", ".": _MISSING}.get(result, "incomplete")

    if undo_for is None:
        return _run(selection, "delete", sources, (), word, progress).changed()
    if not isinstance(undo_for, timedelta) or undo_for <= timedelta(0):
        raise ValueError(f"undo_for must be a positive timedelta, not {shown(undo_for)}")
    families = sorted({chunk.family for chunk in selection.chunks})
    moment = max((segmentscripts.stamp(store, family, undo_for // clock.MICROSECOND) for family in families), default=0)
    try:
        return _run(selection, "remove", sources, (moment,), word, progress).changed(undo=str(moment))
    except Exception as error:
        if isinstance(error, StoreUnavailable):
            error.undo = str(moment)
        error.add_note(f"What was removed until then can be taken back: restore({str(moment)!r}).")
        raise


def _refuse_incomplete(selection: Selection) -> None:
    completed = {state.code for state in COMPLETED}
    incomplete: Counter[int] = Counter()
    for chunk in selection.chunks:
        incomplete += Counter({code: number for code, number in Counter(chunk.states).items() if code not in completed})
    if incomplete:
        raise NotCompleted(None, State.of_code(incomplete.most_common(1)[0][0]).value, incomplete.total())


#: Retries sent in one second at most: an engine's broker has other clients.
RETRIES_PER_SECOND = 2000
_RETRY_ROWS = 100


def retry(selection: Selection, *, by: str | None = None, progress: Progress | None = None) -> Changed:
    """Run the selected jobs again through their engines. Skipped: what has not ended, and whose engine cannot."""
    done, total = 0, selection.total
    tally = _Tally(total <= MOST_NAMED)
    for chunk in selection.batches(_RETRY_ROWS):
        began = time.monotonic()
        for found in record.read_rows(selection.store, chunk.family, chunk.segment, chunk.rows, primary=True):
            tally.note(_send_again(found, selection.store, by, tally), found)
        done += len(chunk)
        if progress is not None and progress(done, total) is False:
            tally.stopped = done < total
            break
        time.sleep(max(0.0, len(chunk) / RETRIES_PER_SECOND - (time.monotonic() - began)))
    return tally.changed()


def _send_again(found: record.Record | None, store: Store, by: str | None, tally: _Tally) -> str:
    if found is None or found.removed:
        return _MISSING
    if found.state in (State.unqueued, State.queued, State.started):
        return "incomplete"
    engine = registry.get(found.texts["engine"])
    if engine is None or not engine.can_retry:
        return "cannot"
    try:
        engine.retry(Status.of_record(found, store), by=by)
    except EngineCannot as error:
        tally.errors[error.why] = None
        return "cannot"
    except StatusNotFound:
        return _MISSING
    except StatusesError:
        raise
    except Exception as error:
        tally.errors[f"{type(error).__name__}: {error}"] = None
        return "failed"
    return "retried"
