"""Texts that no job has any more: taken out of their dictionaries, so that those never fill up with what was.

Nothing counts uses, so a text is looked for. While that goes on somebody may take its code for a new job: hence two
looks with a mark between them. A code that no cell holds is marked; who takes a marked code takes the mark away, in the
step that writes it into a cell; what is still marked after a look that began behind the mark can be nowhere. Its code
never stands for another text: its place in the list stays empty. Cleaners that meet: the last to begin marks and drops, the
others leave off."""

import secrets
from collections.abc import Callable, Mapping

from . import dictionaries, segmentscripts
from .columns import DICTIONARIES
from .store import Store

#: Column -> codes that some cell or archived attempt holds.
Used = Mapping[str, set[int]]
#: Entries one script marks or drops.
STEP = 500


def forget(store: Store, family: int, used: Used, look_again: Callable[[], Used]) -> int:
    """Take out the texts of a family that nothing uses; how many. used: what a look over all its segments found;
    look_again: what a later look finds. Source: the dictionaries, a script per 500 texts."""
    texts = dictionaries.texts_of(store).catch_up((family, column) for column in DICTIONARIES)
    unused = {column: _unused(texts[family, column], used[column]) for column in DICTIONARIES}
    if not any(unused.values()):
        return 0
    cleaner = _Cleaner(store, family)
    if not all(cleaner.mend(column, "mark", entries) is not None for column, entries in unused.items()):
        return 0
    now = look_again()
    return sum(
        cleaner.mend(column, "drop", [(code, text) for code, text in entries if code not in now[column]]) or 0
        for column, entries in unused.items()
    )


def _unused(texts: list[str], used: set[int]) -> list[tuple[int, str]]:
    return [(code, text) for code, text in enumerate(texts, start=1) if text and code not in used]


class _Cleaner:
    """The one that marks from now on."""

    def __init__(self, store: Store, family: int) -> None:
        self._store, self._family, self._token = store, family, secrets.token_hex(8)
        segmentscripts.mend(store, family, next(iter(DICTIONARIES)), [("claim", "", 0)], cleaner=self._token)

    def mend(self, column: str, what: str, entries: list[tuple[int, str]]) -> int | None:
        """How many were dropped; None when another cleaner has begun."""
        done = 0
        for first in range(0, len(entries), STEP):
            writes = [(what, text, code) for code, text in entries[first : first + STEP]]
            dropped = segmentscripts.mend(self._store, self._family, column, writes, cleaner=self._token)
            if dropped is None:
                return None if what == "mark" else done
            done += dropped
        return done
