"""How many jobs every value of a field has: what is looked through while somebody types.

A tally is put together from the partial results of all segments, and kept as long as they are the same objects: for the next letter
nothing is counted, and no text is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any

import numpy as np

from . import facets, resources
from .answers import Tally
from .cache import partials
from .evaluation import Answer, Evaluation, Found
from .segments import Array

#: Resources of a tally, those that most jobs have: each has its text in some job.
MOST_RESOURCES = 100_000
#: What a value takes beside the characters of its text: entries of lists, a number, the heads of two texts.
VALUE_BYTES = 150


@dataclass(frozen=True, eq=False)
class _Kept:
    """A tally and the partial results it was made of, which take their own room in the cache."""

    parts: tuple[Any, ...]
    tally: Tally

    @property
    def nbytes(self) -> int:
        return sum(map(len, self.tally.values)) * 2 + VALUE_BYTES * len(self.tally.values)


def tally(evaluation: Evaluation, field: str) -> Answer[Tally]:
    """How many of the matching jobs each value has; of resources those that most have."""
    found = yield resources.TOTALS if field == "job_arg" else facets.pairs_of(field)
    parts = tuple(part for _, part in sorted(found, key=lambda one: one[0].key))
    # The oldest segment changes least: what is put together anew takes the place of what was.
    key = ("tally", field, *map(id, parts[:1]))
    entry = partials.get(key, b"")
    # Who holds an object keeps its number from being another's.
    if entry is not None and len(entry[0].parts) == len(parts) and all(map(is_, entry[0].parts, parts)):
        return entry[0].tally
    if field == "job_arg":
        made = _ranked(*resources.totals(evaluation, found, MOST_RESOURCES), MOST_RESOURCES)
    else:
        made = _ranked(*_totals(evaluation, field, found))
    if parts:
        partials.put(key, b"", _Kept(parts, made))
    return made


def _totals(evaluation: Evaluation, field: str, found: Found) -> tuple[list[str], Array]:
    if not found:
        return [], np.zeros(0, np.int64)
    values, table = facets.tabled(evaluation, field, found)
    totals = table.sum(axis=1)
    numbers = np.flatnonzero(totals)
    return values.texts(numbers), totals[numbers]


def _ranked(texts: Sequence[str], totals: Array, limit: int | None = None) -> Tally:
    by_text = sorted(range(len(texts)), key=texts.__getitem__)
    counted = totals[by_text]
    order = np.argsort(-counted, kind="stable")[:limit]
    values = [texts[by_text[at]] for at in order.tolist()]
    return Tally(values=values, totals=counted[order].tolist(), folded=_folded(values))


def _folded(texts: Sequence[str]) -> list[str]:
    """The texts as they are compared; the same objects where those are no others."""
    whole = "".join(texts)
    if whole.casefold() == whole:  # all at once take a tenth of the time
        return list(texts)
    return [text if (folded := text.casefold()) == text else folded for text in texts]
