"""The texts of resources, by hash. No dictionary has them: each is read from the arguments of one job that has it, once in a process."""

import weakref
from collections.abc import Callable, Mapping, Sequence

from . import encoding, forks, keys
from .encoding import tag_hash
from .evaluation import Evaluation, Moved
from .store import Store

#: Texts a process keeps of one store, and characters of them: those that came first are forgotten first.
MOST_TEXTS, MOST_CHARACTERS = 200_000, 16 << 20
#: Jobs asked for in one round trip.
JOBS = 2_000

#: (family, segment, row) of a job.
Place = tuple[int, int, int]


class _Texts:
    """The texts of one store's resources, by hash. What a hash stands for never changes, so that none is ever out of date. Thread-safe."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._characters = 0
        self._lock = forks.lock()

    def known(self, hashes: Sequence[int]) -> dict[int, str]:
        """Those of some hashes that are known."""
        texts = self._texts
        return {hash: text for hash in hashes if (text := texts.get(hash)) is not None}

    def keep(self, found: Mapping[int, str]) -> None:
        with self._lock:
            for hash, text in found.items():
                if hash not in self._texts:
                    self._texts[hash] = text
                    self._characters += len(text)
            while len(self._texts) > MOST_TEXTS or self._characters > MOST_CHARACTERS:
                self._characters -= len(self._texts.pop(next(iter(self._texts))))


_lock = forks.lock()
_of_store: "weakref.WeakKeyDictionary[Store, _Texts]" = weakref.WeakKeyDictionary()


def _texts_of(store: Store) -> _Texts:
    with _lock:
        return _of_store.setdefault(store, _Texts())


def read(evaluation: Evaluation, hashes: Sequence[int], places: Callable[[Sequence[int]], Sequence[Place]]) -> list[str]:
    """The texts of some resources. `places`: a job that has each of those named by their index. Raises: Moved where one no longer has
    it; where that happens again and again (its hash is damaged), the resource goes by its hash.

    Source: the arguments of a job for each that is not known yet, a round trip or two for 2,000 of them."""
    kept = _texts_of(evaluation.store)
    found = kept.known(hashes)
    missing = [at for at, hash in enumerate(hashes) if hash not in found] if len(found) < len(hashes) else []
    reader = _Arguments(evaluation.store)
    for first in range(0, len(missing), JOBS):
        part = missing[first : first + JOBS]
        fresh = _matching({hashes[at] for at in part}, reader.of(places(part)))
        kept.keep(fresh)
        found |= fresh
    if len(found) < len(hashes) and not evaluation.is_last:
        raise Moved
    return [found.get(hash) or f"(resource {hash:014x})" for hash in hashes]


class _Arguments:
    """Reads the arguments of jobs, as they are kept: short ones in one hash, long ones in another. Most are as those before them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._first, self._then = keys.job, keys.long

    def of(self, places: Sequence[Place]) -> list[bytes]:
        """Those of jobs that have any."""
        named = [(keys.segment(self._store.families[family], segment), row) for family, segment, row in places]
        found = self._ask(self._first, named)
        left = [name for name, args in zip(named, found, strict=True) if args is None]
        found += self._ask(self._then, left)
        if 2 * len(left) > len(named):
            self._first, self._then = self._then, self._first
        return [args for args in found if args is not None]

    def _ask(self, key: Callable[[str, int], str], named: Sequence[tuple[str, int]]) -> list[bytes | None]:
        return self._store.pipeline([("HGET", key(prefix, row), "a") for prefix, row in named])


def _matching(wanted: set[int], found: Sequence[bytes]) -> dict[int, str]:
    """The texts among some arguments that are wanted, by hash. All are parsed as one list, and a text that several have is hashed once."""
    texts: dict[str, None] = {}
    for args in encoding.loads(b"[%b]" % b",".join(found)):
        for value in args.values():
            if type(value) is str:
                texts[value] = None
            else:
                texts.update(dict.fromkeys(value))
    named = ((bucket << 48 | int.from_bytes(entry, "little"), text) for text in texts for bucket, entry in (tag_hash(text),))
    return {hash: text for hash, text in named if hash in wanted}
