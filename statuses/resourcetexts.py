"""The texts of resources, by hash. No dictionary has them: each is read from the arguments of one job that has it, once in a process."""

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from . import encoding, forks, keys, resource
from .encoding import tag_digest
from .evaluation import Evaluation, Moved
from .segments import Array
from .store import ScriptCall, Store

#: Texts a process keeps of one store, and characters of them: those that came first are forgotten first.
MOST_TEXTS, MOST_CHARACTERS = 200_000, 16 << 20
#: Jobs asked for by one call of the script, about half a millisecond of Redis, and in one round trip.
ROWS, TRIP = 200, 400
#: Bytes of arguments after which a call ends.
BYTES = 256 << 10

#: Family, segment and rows of some jobs.
Places = tuple[int, int, Array]


class _Texts:
    """The texts of one store's resources, by hash. What a hash stands for never changes, so that none is ever out of date. Thread-safe."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._characters = 0
        self._lock = forks.lock()

    def known(self, hashes: Sequence[int]) -> dict[int, str]:
        """Those of some hashes that are known."""
        texts = self._texts
        return {hash: text for hash in hashes if (text := texts.get(hash)) is not None} if texts else {}

    def keep(self, found: Mapping[int, str]) -> None:
        with self._lock:
            fresh = {hash: text for hash, text in found.items() if hash not in self._texts}
            self._texts |= fresh
            self._characters += sum(map(len, fresh.values()))
            while len(self._texts) > MOST_TEXTS or self._characters > MOST_CHARACTERS:
                self._characters -= len(self._texts.pop(next(iter(self._texts))))


_lock = forks.lock()
_of_store: "weakref.WeakKeyDictionary[Store, _Texts]" = weakref.WeakKeyDictionary()


def _texts_of(store: Store) -> _Texts:
    with _lock:
        return _of_store.setdefault(store, _Texts())


def read(evaluation: Evaluation, hashes: Sequence[int], places: Callable[[Sequence[int]], Iterable[Places]]) -> list[str]:
    """The texts of some resources. `places`: jobs, one of them with each of those named by their index. Raises: Moved where one no
    longer has it; where that happens again and again (its hash is damaged), the resource goes by its hash.

    Source: the arguments of a job for each that is not known yet, a round trip for every 400 of them."""
    kept = _texts_of(evaluation.store)
    found = kept.known(hashes)
    if len(found) < len(hashes):
        missing = [at for at, hash in enumerate(hashes) if hash not in found]
        wanted = {hashes[at] for at in missing}
        for args in _arguments(evaluation.store, places(missing)):
            fresh = _matching(wanted, args)
            kept.keep(fresh)
            found |= fresh
        if len(found) < len(hashes) and not evaluation.is_last:
            raise Moved
    return [found.get(hash) or f"(resource {hash:014x})" for hash in hashes]


def _arguments(store: Store, places: Iterable[Places]) -> Iterator[list[bytes]]:
    """Those of jobs that have any, JSON, round trip by round trip."""
    left = deque((family, segment, rows[at : at + ROWS]) for family, segment, rows in places for at in range(0, len(rows), ROWS))
    while left:
        asked = [left.popleft()]
        room = TRIP - len(asked[0][2])
        while left and len(left[0][2]) <= room:
            asked.append(left.popleft())
            room -= len(asked[-1][2])
        replies = store.scripts("arguments", [_call(store, *jobs) for jobs in asked], primary=False)
        yield [args for reply in replies for args in reply if args is not None]
        for (family, segment, rows), reply in zip(asked, replies, strict=True):
            if len(reply) < len(rows):  # they were long
                left.appendleft((family, segment, rows[len(reply) :]))


def _call(store: Store, family: int, segment: int, rows: Array) -> ScriptCall:
    """Keys and arguments of `lua/arguments.lua`. It makes the names of most keys itself; a cluster's are told all."""
    prefix = keys.segment(store.families[family], segment)
    unnamed = keys.of_rows(prefix, rows.tolist(), "jl") if store.is_cluster else []
    return [keys.version(prefix), *unnamed], [rows.astype("<u2").tobytes(), BYTES]


def _matching(wanted: set[int], found: Sequence[bytes]) -> dict[int, str]:
    """The texts among some arguments that are wanted, by hash."""
    texts = _texts_in(found)
    if not texts:
        return {}
    digests = np.frombuffer(b"".join(map(tag_digest, texts)), np.uint8).reshape(len(texts), -1)
    hashes = np.zeros((len(texts), 8), np.uint8)
    hashes[:, 6], hashes[:, :6] = digests[:, 0], digests[:, 1:7]
    named = zip(hashes.view("<u8").ravel().tolist(), texts, strict=True)
    return {hash: text.decode() for hash, text in named if hash in wanted}


def _texts_in(found: Sequence[bytes]) -> dict[bytes, None]:
    """The different texts in some arguments, and names of arguments among them. JSON without a backslash has a text between every two
    quotes; the rest is parsed, which takes twice as long and makes an object for each job."""
    plain = [args for args in found if b"\\" not in args]
    texts = dict.fromkeys(b"".join(plain).split(b'"')[1::2])
    if len(plain) < len(found):
        for args in encoding.loads(b"[%b]" % b",".join(args for args in found if b"\\" in args)):
            texts.update(dict.fromkeys(text.encode() for text in resource.texts(args)))
    return texts
