"""Partial results by segment, kept as long as the segment's version is the one they were computed from."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from . import forks

#: Bytes of partial results a process keeps, as estimated.
MAX_BYTES = 256 << 20
#: What an entry costs beside its arrays: key, tuple, table slot.
ENTRY_BYTES = 300


@dataclass(frozen=True, kw_only=True)
class CacheInfo:
    """How the cache does."""

    hits: int
    """Partial results that were there, for the right version."""
    misses: int
    """Partial results that had to be computed."""
    entries: int
    """Partial results kept now."""
    bytes: int
    """What they take, estimated."""
    max_entries: int
    """Entries it may hold."""
    max_bytes: int
    """Bytes it may hold."""

    @property
    def hit_rate(self) -> float | None:
        """Share of hits, None before the first question."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


class Cache:
    """A bounded map, least recently used out first; an entry counts only for the version it was made from. Thread-safe."""

    def __init__(self, max_entries: int = 20_000, max_bytes: int = MAX_BYTES) -> None:
        self.max_entries = max_entries
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Any, tuple[bytes, Any, int]] = OrderedDict()
        self._bytes = 0
        self._hits = 0
        self._misses = 0
        self._lock = forks.lock()

    def get(self, key: Any, version: bytes) -> tuple[Any] | None:
        """The value in a tuple (it may itself be None), or None when there is none for this version."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or entry[0] != version:
                self._misses += 1
                return None
            self._entries.move_to_end(key)
            self._hits += 1
            return (entry[1],)

    def peek(self, key: Any, version: bytes) -> tuple[Any] | None:
        """As `get`, neither counted nor moved to the end."""
        entry = self._entries.get(key)
        return None if entry is None or entry[0] != version else (entry[1],)

    def put(self, key: Any, version: bytes, value: Any) -> None:
        """Keep `value` for `version`; what was kept for another version goes."""
        size = ENTRY_BYTES + weight(value)
        if size > self.max_bytes // 4:
            return
        with self._lock:
            self._drop(key)
            self._entries[key] = (version, value, size)
            self._bytes += size
            while self._bytes > self.max_bytes or len(self._entries) > self.max_entries:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: Any) -> None:
        old = self._entries.pop(key, None)
        if old is not None:
            self._bytes -= old[2]

    def clear(self) -> None:
        """Forget everything, the counters too."""
        with self._lock:
            self._entries.clear()
            self._bytes = self._hits = self._misses = 0

    def info(self) -> CacheInfo:
        """Numbers for the page about Redis and for tests."""
        with self._lock:
            return CacheInfo(
                hits=self._hits,
                misses=self._misses,
                entries=len(self._entries),
                bytes=self._bytes,
                max_entries=self.max_entries,
                max_bytes=self.max_bytes,
            )


def weight(value: Any) -> int:
    """About how many bytes a partial result takes: arrays by their bytes, containers by what they hold."""
    total, rest = 0, [value]
    while rest:
        item = rest.pop()
        total += 64
        if type(item) is tuple or type(item) is list:
            rest += item
        elif type(item) is not int:
            total += getattr(item, "nbytes", 0)
    return total


#: One for the process: every question of every thread shares it.
partials = Cache()
