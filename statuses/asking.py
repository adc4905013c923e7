"""Several questions at once: what one page shows of different jobs is read together."""

from collections.abc import Mapping
from typing import Any

from .answers import Report
from .query import Query
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
