"""The texts behind the codes of the columns, as a reader keeps them: all of them, caught up from the end."""

import threading
import weakref
from collections.abc import Iterable

from . import keys
from .columns import DICTIONARIES
from .store import Store

#: Texts asked for by one LRANGE: more would hold Redis for over a millisecond.
CHUNK = 5_000


class Texts:
    """The texts of one store's dictionaries by (family, column). Thread-safe: a list is replaced, never changed."""

    def __init__(self, store: Store) -> None:
        self._store = weakref.ref(store)
        self._known: dict[tuple[int, str], list[str]] = {}
        self._dropped: dict[int, bytes | None] = {}

    def catch_up(self, wanted: Iterable[tuple[int, str]]) -> dict[tuple[int, str], list[str]]:
        """The present texts of each (family, column): code k is at index k - 1; "" where a cleaner took the text out.

        The last text known is read again with the new ones: where it differs (a failover took entries back), or where
        texts were taken out since, all are read anew. Source: LRANGE, one round trip when little is new."""
        found: dict[tuple[int, str], list[str]] = {}
        pending = {key: self._known.get(key, []) for key in dict.fromkeys(wanted)}
        while pending:
            replies, dropped = self._read(pending)
            changed = {family for family, count in dropped.items() if self._dropped.get(family) != count}
            self._dropped |= dropped
            self._known = {key: texts for key, texts in self._known.items() if key[0] not in changed}
            for key, known in list(pending.items()):
                if known and key[0] in changed:
                    pending[key] = []
                    continue
                fresh = [text.decode() for text in replies[key]]
                if known and (not fresh or fresh[0] != known[-1]):
                    pending[key] = []
                    continue
                texts = known[:-1] + fresh if known else fresh
                pending[key] = texts
                if len(fresh) < CHUNK:
                    self._known[key] = found[key] = texts
                    del pending[key]
        return found

    def _read(self, pending: dict[tuple[int, str], list[str]]) -> tuple[dict[tuple[int, str], list[bytes]], dict[int, bytes | None]]:
        store = self._store()
        assert store is not None
        families = sorted({family for family, _ in pending})
        commands: list[tuple[object, ...]] = [("HGET", keys.meta(store.families[family]), "dropped") for family in families]
        for (family, column), known in pending.items():
            first = max(len(known) - 1, 0)
            key = keys.texts(store.families[family], DICTIONARIES[column])
            commands.append(("LRANGE", key, first, first + CHUNK - 1))
        replies = store.pipeline(commands)
        return dict(zip(pending, replies[len(families) :], strict=True)), dict(zip(families, replies, strict=False))


_lock = threading.Lock()
_of_store: "weakref.WeakKeyDictionary[Store, Texts]" = weakref.WeakKeyDictionary()


def texts_of(store: Store) -> Texts:
    """The texts of a store, one object a store and process."""
    with _lock:
        found = _of_store.get(store)
        if found is None:
            found = _of_store[store] = Texts(store)
        return found
