"""Retention: removing what is due, and what criteria name."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from . import keys, removal, scripts
from .clock import MICROSECOND
from .columns import DICTIONARIES
from .states import ENDED, State
from .store import Store, current

Progress = Callable[[int], Any]
_FOR_EVER = 1 << 62
#: Columns that decide when a status is due, with the bytes of a cell.
_COLUMNS = {"st": "u1", "rn": "<u4", "nm": "<u4", "qu": "<u4", "recorded_at": "<i8", "succeeded_at": "<i8"} | {
    "failed_at": "<i8",
    "killed_at": "<i8",
    "loaded_at": "<i8",
    "keep_for": "<i8",
}


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """What a cleaning did."""

    removed: int = 0
    """Statuses removed for good; in a dry run, that would be."""
    swept: int = 0
    """Earlier removals that could no longer be taken back, now gone for good."""
    by_state: dict[State, int] = field(default_factory=dict)
    """The removed ones per state."""


def clean(
    *,
    job_name: str | Sequence[str] | None = None,
    queue: str | Sequence[str] | None = None,
    state: str | Sequence[str] | None = None,
    older_than: timedelta | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Cleaned:
    """Remove what retention says is due; with `older_than` what ended (else was recorded) longer ago than that,
    whatever retention says. `job_name`, `queue` and `state` narrow both. Jobs that run are left alone with `older_than`.

    `progress(removed so far)` is called after every batch. Source: the columns that decide, one MGET a segment;
    a script per 100 rows. Each row is removed only if its state is still the one that was read."""
    if older_than is not None and (not isinstance(older_than, timedelta) or older_than < timedelta(0)):
        raise ValueError(f"older_than must be a timedelta that is not negative, not {older_than!r}")
    here, by_state = current(), Counter[State]()
    cleaner = _Cleaner(here, _texts(job_name, "job_name"), _texts(queue, "queue"), _states(state), older_than)
    for family in range(len(here.families)):
        for segment, found, rows in cleaner.due(family):
            done = rows if dry_run else _delete(here, family, segment, found, rows, progress, by_state.total())
            by_state.update({State.of_code(code): count for code, count in Counter(found["st"][done].tolist()).items()})
    swept = 0 if dry_run else removal.sweep()
    return Cleaned(removed=by_state.total(), swept=swept, by_state=dict(by_state))


def _texts(given: str | Sequence[str] | None, name: str) -> list[str] | None:
    if given is None:
        return None
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, Collection) or not all(isinstance(text, str) for text in found):
        raise TypeError(f"{name} must be a text or a list of texts, not {given!r}")
    return list(found)


def _states(given: str | Sequence[str] | None) -> list[State] | None:
    try:
        return None if given is None else [State(text) for text in _texts(given, "state") or ()]
    except ValueError:
        raise ValueError(f"state must be of {', '.join(State)}, not {given!r}") from None


@dataclass(frozen=True)
class _Cleaner:
    store: Store
    job_names: list[str] | None
    queues: list[str] | None
    states: list[State] | None
    older_than: timedelta | None

    def due(self, family: int) -> Iterator[tuple[int, dict[str, Any], Any]]:
        """Per segment its columns and the rows to remove."""
        import numpy as np

        tag, now = self.store.families[family], removal._now_us(self.store)
        codes = {column: self._codes(family, column) for column in ("job_name", "queue")}
        for segment in removal.segments(self.store, family):
            prefix = keys.segment(tag, segment)
            replies = self.store.pipeline([("MGET", *[keys.column(prefix, key) for key in _COLUMNS])], primary=True)[0]
            if replies[0] is None:
                continue
            size = len(replies[0])
            found = {
                key: np.zeros(size, kind) if reply is None else np.frombuffer(reply, kind)
                for (key, kind), reply in zip(_COLUMNS.items(), replies, strict=True)
            }
            chosen = (found["st"] >= 1) & (found["st"] <= 7) & (self._expiry(found, codes["job_name"]) <= now)
            for wanted, key, column in ((self.job_names, "nm", "job_name"), (self.queues, "qu", "queue")):
                if wanted is not None:
                    chosen &= np.isin(found[key], [codes[column][text] for text in wanted if text in codes[column]])
            if self.states is not None:
                chosen &= np.isin(found["st"], [state.code for state in self.states])
            rows = np.flatnonzero(chosen)
            if len(rows):
                yield segment, found, rows

    def _codes(self, family: int, column: str) -> dict[str, int]:
        texts = self.store.read("LRANGE", keys.texts(self.store.families[family], DICTIONARIES[column]), 0, -1)
        return {text.decode(): code for code, text in enumerate(texts, start=1)}

    def _expiry(self, found: dict[str, Any], names: dict[str, int]) -> Any:
        """Microseconds from which on each row is due."""
        import numpy as np

        base = found["recorded_at"].copy()
        for state in ENDED:
            assert state.moment is not None
            at = found["st"] == state.code
            base[at] = found[state.moment][at]
        if self.older_than is not None:
            running = found["st"] == State.started.code
            return np.where(running, _FOR_EVER, base + self.older_than // MICROSECOND)
        loaded = found["loaded_at"] > 0
        base[loaded] = found["loaded_at"][loaded]
        kept = np.full(len(base), _us(self.store.config.retention.get("*")), "<i8")
        for key, time in self.store.config.retention.items():
            if key in set(State):
                kept[found["st"] == State(key).code] = _us(time)
        for key, time in self.store.config.retention.items():
            if key.startswith("name:") and key[5:] in names:
                kept[found["nm"] == names[key[5:]]] = _us(time)
        own = found["keep_for"] > 0
        kept[own] = found["keep_for"][own] - 1
        return base + np.minimum(kept, _FOR_EVER - base)


def _us(time: timedelta | None) -> int:
    return _FOR_EVER if time is None else time // MICROSECOND


def _delete(store: Store, family: int, segment: int, found: dict[str, Any], rows: Any, progress: Progress | None, before: int) -> Any:
    """Delete rows state by state; those that were."""
    done: list[int] = []
    for code in sorted(set(found["st"][rows].tolist())):
        pairs = [(row, int(found["rn"][row])) for row in rows.tolist() if found["st"][row] == code]
        for first in range(0, len(pairs), scripts.BULK_ROWS["delete"]):
            part = pairs[first : first + scripts.BULK_ROWS["delete"]]
            results = scripts.bulk(store, family, segment, "delete", part, str(code))
            done += [row for (row, _), result in zip(part, results, strict=True) if result == ord("+")]
            if progress is not None:
                progress(before + len(done))
    return done
