"""Several questions at once: what one page shows of different jobs is read together."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from .answers import Report, Tally
from .arguments import one_of
from .columns import FIELDS
from .query import Field, Query
from .store import current


def together(*asked: tuple[Query, Mapping[str, Any]]) -> list[Report]:
    """Reports about the jobs of several queries, in their order, from one read of the store, all of one moment per segment.
    Each is asked for as a query and what `Query.report` takes: `together((jobs, {"counts": True}), (others, {"timeline": {...}}))`.
    Raises: TypeError, ValueError, LimitedQuery, StoreUnavailable.
    Source: the columns that any of them needs, once; no record. Without a question nothing is asked."""
    from . import reports

    for query, _ in asked:
        query._refuse_limited("report")
    return reports.answer(current(), [(query._selection(), reports.asked(**questions)) for query, questions in asked])


def tallies(*asked: tuple[Query, Field]) -> list[Tally]:
    """For each query the values of a field and the jobs that have each, in their order: what to look through while somebody types. Of
    resources those 100,000 that most jobs have.
    Raises: ValueError, LimitedQuery, StoreUnavailable.
    Source: one read for all of them, and the texts that are not known yet; nothing but versions where those have not changed."""
    from . import evaluation, tally

    for query, field in asked:
        one_of("tallies", field, FIELDS)
        query._refuse_limited("tallies")
    return evaluation.run(current(), [(query._selection(), partial(tally.tally, field=field)) for query, field in asked])
