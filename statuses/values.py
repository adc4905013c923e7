"""The values of a field, numbered: codes are a family's own, and a text that several families have is one value.

With one family the codes are the numbers, and a text is looked up only where it is wanted: there may be thousands."""

import heapq
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np

from .evaluation import Evaluation, Moved
from .segments import Array, starts_of

#: (family, code) pairs that stand for one text.
Codes = tuple[tuple[int, int], ...]


class Values:
    """The values that some codes stand for."""

    def __init__(self, evaluation: Evaluation, field: str, present: Mapping[int, Array]) -> None:
        """`present`: family -> its codes, ascending, at least one. Raises: Moved where a text is not there yet, with several families."""
        self._field = field
        self._texts = evaluation.texts((family, field) for family in present)
        self._named: list[str] | None = None if len(present) <= 1 else []
        self.present = present
        #: Beyond the highest number.
        self.size = int(next(iter(present.values()))[-1]) + 1 if len(present) == 1 else 0
        if self._named is not None:
            self._join()

    def _join(self) -> None:
        places: dict[str, int] = {}
        self._numbers = {}
        for family, codes in self.present.items():
            known = self._texts[family, self._field]
            if int(codes[-1]) > len(known):
                raise Moved
            self._numbers[family] = np.array([places.setdefault(known[at], len(places)) for at in (codes - 1).tolist()], np.int64)
        if "" in places:
            raise Moved
        self._named, self.size = list(places), len(places)

    def __len__(self) -> int:
        """How many there are."""
        return sum(map(len, self.present.values())) if self._named is None else len(self._named)

    def _text(self, family: int, code: int) -> str:
        known = self._texts[family, self._field]
        if code > len(known) or not known[code - 1]:
            raise Moved
        return known[code - 1]

    def text(self, number: int) -> str:
        """The text of a value. Raises: Moved where it is not there yet."""
        return self._text(next(iter(self.present)), number) if self._named is None else self._named[number]

    def texts(self, numbers: Array) -> list[str]:
        """The texts of many values. Raises: Moved where one is not there yet."""
        known = self._named
        if known is None:
            known = self._texts[next(iter(self.present)), self._field]
            numbers = numbers - 1
        if len(numbers) and int(numbers.max()) >= len(known):
            raise Moved
        found = [known[at] for at in numbers.tolist()]
        if "" in found:
            raise Moved
        return found

    def numbers(self, family: int, codes: Array) -> Array:
        """The numbers of codes that are present."""
        return codes if self._named is None else self._numbers[family][np.searchsorted(self.present[family], codes)]

    def codes(self, number: int) -> Codes:
        """What stands for a value, of each family that has it."""
        if self._named is None:
            return tuple((family, number) for family in self.present)
        held = ((family, self.present[family][self._numbers[family] == number]) for family in self.present)
        return tuple((family, int(codes[0])) for family, codes in held if len(codes))

    def join(self, cells: Mapping[int, Array]) -> Array:
        """What families have by code, by number: the sums."""
        if self._named is None:
            return next(iter(cells.values()), np.zeros(0, np.int64))
        width = next(iter(cells.values())).shape[1:]
        joined = np.zeros((self.size, *width), np.int64)
        for family, codes in self.present.items():
            joined[self._numbers[family]] += cells[family][codes]  # a text has one code in a family
        return joined


def window(keys: Array, among: Array, limit: int | None, skipped: int = 0) -> tuple[Array, int]:
    """The numbers of `among` that can be one of `limit` after the first `skipped` by their key, the largest first: equals are settled by
    text; and how many of the skipped are not among them."""
    number = len(among)
    last = number if limit is None else min(skipped + limit, number)
    if skipped >= last:
        return among[:0], skipped
    held, before = keys[among], 0
    kept = np.ones(number, bool)
    if last < number:
        kept &= held >= np.partition(held, number - last)[number - last]
    if skipped:
        above = held > np.partition(held, number - 1 - skipped)[number - 1 - skipped]
        kept &= ~above
        before = int(np.count_nonzero(above))
    return among[kept], before


def ranked(
    keys: Array, among: Array, limit: int | None, text: Callable[[int], str], *, backward: bool = False, skipped: int = 0
) -> list[tuple[str, int]]:
    """(text, number) of `limit` of `among` after the first `skipped`, the largest key first, equals by text; `backward`: from its end."""
    among, before = window(keys, among, limit, skipped)
    skipped -= before
    most = None if limit is None else skipped + limit
    held = keys[among]
    order = np.argsort(-held, kind="stable")
    among, held = among[order], held[order]
    starts = [*starts_of(held).tolist(), len(among)]
    found: list[tuple[str, int]] = []
    for first, last in pairwise(starts):
        equals = [(text(number), number) for number in among[first:last].tolist()]
        left = len(equals) if most is None else most - len(found)
        if 8 * left < len(equals):  # of the last equals there may be thousands more than are wanted
            found += (heapq.nlargest if backward else heapq.nsmallest)(left, equals)
        else:
            found += sorted(equals, reverse=backward)[:left]
    return found[skipped:]
