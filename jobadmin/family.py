"""The children of a job: how far they are together, and the rows of one page of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.http import QueryDict

from statuses import Query, State, Status
from statuses.states import ENDED

#: Rows on one page of all children.
PER_PAGE = 100

#: Width of the roll-up bar in its own units, the gap between two parts, and the least width of a part that is there.
BAR, SPACE, LEAST = 120.0, 1.0, 2.0

#: The order of the parts: what is done first, so the bar fills from the left.
ORDER = (State.succeeded, State.failed, State.killed, State.unknown, State.started, State.queued, State.unqueued)

#: What one looks for first, of thousands: what failed, what runs, what waits; the rest after it. Each the newest first.
FIRST = ((State.failed,), (State.started,), (State.queued, State.unqueued), (State.unknown, State.killed, State.succeeded))


@dataclass(frozen=True, kw_only=True)
class Part:
    """One state's share of the roll-up bar."""

    state: str
    n: int
    x: float
    width: float
    url: str
    """The same page with the children in this state."""


@dataclass(frozen=True, kw_only=True)
class Children:
    """What the panel shows."""

    total: int
    ended: int
    progress: float
    """0 to 1: how far all of them are together; one that runs counts by its own progress."""
    parts: Sequence[Part]
    jobs: Sequence[Status]
    state: str
    """Only children in this state; empty: all."""
    matching: int
    """Children in that state."""
    shows_all: bool
    page: int
    """One-based."""
    pages: int
    older: str
    newer: str
    """Query strings of the neighbouring pages; empty where there is none."""

    @property
    def percent(self) -> int:
        """Whole percent done, 100 only when all have ended."""
        return 100 if self.ended == self.total else min(99, int(100 * self.progress))


def children(
    query: Query, counts: Mapping[State, int], progress: float, *, wanted: str, page: int, first: int, params: QueryDict
) -> Children:
    """The panel. ``wanted`` is a state, ``all``, or empty for the ``first`` few; ``params`` are those of the page, kept.
    Source: one page of records: one read where they are of one state, else one for each of the groups in `FIRST` that it holds."""
    total = sum(counts.values())
    state = wanted if wanted in set(State) else ""
    matching = counts[State(state)] if state else total
    per_page = PER_PAGE if wanted else first
    pages = max(1, -(-matching // per_page)) if wanted else 1
    page = min(max(page, 1), pages)
    groups = [(State(state),)] if state else FIRST
    jobs = _rows(query, [(group, sum(counts[one] for one in group)) for group in groups], (page - 1) * per_page, per_page)
    return Children(
        total=total,
        ended=sum(counts[state] for state in ENDED),
        progress=progress,
        parts=_parts(counts, total, params),
        jobs=jobs,
        state=state,
        matching=matching,
        shows_all=bool(wanted),
        page=page,
        pages=pages,
        newer=_link(params, children=wanted, page=page - 1) if page > 1 else "",
        older=_link(params, children=wanted, page=page + 1) if page < pages else "",
    )


def _rows(query: Query, groups: Sequence[tuple[Collection[State], int]], skipped: int, most: int) -> list[Status]:
    """One group after the other, each the newest first, without the first `skipped` of them all; `groups` with how many there are of each.
    A child that went on to another state since they were counted is there once."""
    found: dict[str, Status] = {}
    for states, number in groups:
        if wanted := min(max(number - skipped, 0), most):
            found |= {child.id: child for child in query.where(state=list(states)).offset(skipped).limit(wanted).run()}
            most -= wanted
        skipped = max(skipped - number, 0)
    return list(found.values())


def _parts(counts: Mapping[State, int], total: int, params: QueryDict) -> list[Part]:
    present = [state for state in ORDER if counts[state]]
    room = BAR - SPACE * max(len(present) - 1, 0) - LEAST * len(present)
    found, x = [], 0.0
    for state in present:
        width = LEAST + room * counts[state] / total
        found.append(Part(state=str(state), n=counts[state], x=round(x, 2), width=round(width, 2), url=_link(params, children=str(state))))
        x += width + SPACE
    return found


def _link(params: QueryDict, **changes: object) -> str:
    """The page's own parameters with some changed; where it leads is the panel."""
    changed = params.copy()
    for name in ("page", "live"):
        changed.pop(name, None)
    for name, value in changes.items():
        changed[name] = str(value)
    return f"?{changed.urlencode()}#children"
