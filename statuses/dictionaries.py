"""The texts behind the codes of the columns, as a reader keeps them: all of them, caught up from the end."""

import weakref
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter

from . import forks, keys
from .columns import DICTIONARIES
from .store import Command, Store

#: Texts asked for by one LRANGE: more would hold Redis for over a millisecond.
CHUNK = 5_000


@dataclass(frozen=True)
class Known:
    """The texts of one dictionary, up to some moment."""

    texts: list[str]
    """Code k is at index k - 1."""
    seal: bytes
    """That of the last text, see `keys.seals`; empty without a text."""

    @cached_property
    def codes(self) -> dict[str, int]:
        """Text -> code."""
        found = dict(zip(self.texts, range(1, len(self.texts) + 1), strict=True))
        found.pop("", None)
        return found

    @cached_property
    def ordered(self) -> list[str]:
        """Those that are not taken out, in order."""
        return sorted(filter(None, self.texts))

    def beginning(self, prefix: str) -> list[str]:
        """Those that begin with a text, in order."""
        first = bisect_left(self.ordered, prefix)
        return self.ordered[first : bisect_right(self.ordered, prefix, first, key=itemgetter(slice(len(prefix))))]


NOTHING = Known([], b"")


class Texts:
    """The texts of one store's dictionaries by (family, column). Thread-safe: a list is replaced, never changed."""

    def __init__(self, store: Store) -> None:
        self._store = weakref.ref(store)
        self._known: dict[tuple[int, str], Known] = {}
        self._dropped: dict[int, bytes | None] = {}

    def known(self, family: int, column: str) -> Known:
        """What is known without asking."""
        return self._known.get((family, column), NOTHING)

    def catch_up(self, wanted: Iterable[tuple[int, str]], *, primary: bool = False) -> dict[tuple[int, str], list[str]]:
        """The present texts of each (family, column): code k is at index k - 1; "" where a cleaner took the text out.

        The last text known is read again with the new ones, and its seal: where one differs (a failover took entries
        back), or where texts were taken out since, all are read anew. Source: LRANGE and GETRANGE, one round trip when
        little is new."""
        return {key: known.texts for key, known in self._caught_up(wanted, primary).items()}

    def codes(self, wanted: Iterable[tuple[int, str]]) -> dict[tuple[int, str], dict[str, int]]:
        """The present codes by text, of each (family, column). Source: as `catch_up`."""
        return {key: known.codes for key, known in self._caught_up(wanted, False).items()}

    def beginning(self, wanted: Iterable[tuple[int, str]], prefix: str) -> dict[tuple[int, str], list[str]]:
        """The present texts that begin with a prefix, in order, of each (family, column). Source: as `catch_up`."""
        return {key: known.beginning(prefix) for key, known in self._caught_up(wanted, False).items()}

    def _caught_up(self, wanted: Iterable[tuple[int, str]], primary: bool) -> dict[tuple[int, str], Known]:
        found: dict[tuple[int, str], Known] = {}
        pending = {key: self.known(*key) for key in dict.fromkeys(wanted)}
        while pending:
            replies, dropped = self._read(pending, primary)
            changed = {family for family, last in dropped.items() if self._dropped.get(family) != last}
            self._dropped |= dropped
            self._known = {key: known for key, known in self._known.items() if key[0] not in changed}
            for key, known in list(pending.items()):
                if known.texts and key[0] in changed:
                    pending[key] = NOTHING
                    continue
                fresh, seals = [text.decode() for text in replies[key][0]], replies[key][1]
                if known.texts and (not fresh or (fresh[0], seals[:4]) != (known.texts[-1], known.seal)):
                    pending[key] = NOTHING
                    continue
                if len(fresh) > 1 or not known.texts:  # else it stays as it was, with what was made of it
                    known = Known(known.texts[:-1] + fresh, seals[4 * len(fresh) - 4 : 4 * len(fresh)] if fresh else b"")
                pending[key] = known
                if len(fresh) < CHUNK:
                    self._known[key] = found[key] = known
                    del pending[key]
        return found

    def _read(
        self, pending: dict[tuple[int, str], Known], primary: bool
    ) -> tuple[dict[tuple[int, str], tuple[list[bytes], bytes]], dict[int, bytes | None]]:
        """Per dictionary texts and seals from the last known one on; per family when texts were last taken out."""
        store = self._store()
        assert store is not None
        families = sorted({family for family, _ in pending})
        commands: list[Command] = [("HGET", keys.meta(store.families[family]), "dropped") for family in families]
        for (family, column), known in pending.items():
            first = max(len(known.texts) - 1, 0)
            tag, name = store.families[family], DICTIONARIES[column]
            commands.append(("LRANGE", keys.texts(tag, name), first, first + CHUNK - 1))
            commands.append(("GETRANGE", keys.seals(tag, name), 4 * first, 4 * (first + CHUNK) - 1))
        replies = store.pipeline(commands, primary=primary)
        dropped, texts, seals = replies[: len(families)], replies[len(families) :: 2], replies[len(families) + 1 :: 2]
        return dict(zip(pending, zip(texts, seals, strict=True), strict=True)), dict(zip(families, dropped, strict=True))


_lock = forks.lock()
_of_store: "weakref.WeakKeyDictionary[Store, Texts]" = weakref.WeakKeyDictionary()


def texts_of(store: Store) -> Texts:
    """The texts of a store, one object a store and process."""
    with _lock:
        found = _of_store.get(store)
        if found is None:
            found = _of_store[store] = Texts(store)
        return found
