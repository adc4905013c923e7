"""The workflow of a job: everything that is tied to it by what waits for what, by parents and by a common root.

Nothing keeps a list of a workflow's jobs. They are found by walking: from some jobs to those that wait for them, to their
children, to all of their root, and back to what they wait for; each step is one look for all jobs found in the step before."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from . import encoding, ids, record
from .collection import find
from .query import Query
from .states import State
from .status import Status
from .store import Store, current

if TYPE_CHECKING:
    from .evaluation import Answer, Evaluation, Hits

#: Jobs of one workflow that are looked at, unless the caller wants another number.
MOST = 5_000
#: Steps of one walk. A thousand jobs in a row without a common root are found whole, at a few milliseconds a step.
STEPS = 1_000

#: States in which a job has come to a halt.
RETRIED = (State.failed, State.killed, State.unknown)

#: (family, segment, row) of a job.
_Place = tuple[int, int, int]


@dataclass(frozen=True)
class Edge:
    """One job comes after another one of the same workflow."""

    before: int
    """Index of the earlier one in `Workflow.jobs`."""
    after: int
    """Index of the later one."""
    waits: bool
    """True: the later one waits for the earlier; False: the earlier one sent it."""


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """What a walk found."""

    jobs: tuple[Status, ...]
    """The jobs, loaded, in the order they were recorded."""
    edges: tuple[Edge, ...]
    """Each pair once."""
    is_whole: bool
    """False: there are more jobs than were looked at; then those nearest to the first one are here."""
    rim: frozenset[int] = frozenset()
    """Indexes of jobs that may be tied to some that were not looked at; none where it is whole."""

    @cached_property
    def query(self) -> Query:
        """These jobs, and no others: for counts, lists and bulk verbs."""
        return Query().where(id=[job.id for job in self.jobs])

    @cached_property
    def before(self) -> list[list[Edge]]:
        """Per job the edges that lead to it."""
        found: list[list[Edge]] = [[] for _ in self.jobs]
        for edge in self.edges:
            found[edge.after].append(edge)
        return found

    @cached_property
    def order(self) -> list[int]:
        """The jobs' indexes, each after what it comes after; what waits for itself in a ring comes last."""
        missing = [len(edges) for edges in self.before]
        later: list[list[int]] = [[] for _ in self.jobs]
        for edge in self.edges:
            later[edge.before].append(edge.after)
        ready = deque(number for number, count in enumerate(missing) if not count)
        found = []
        while ready:
            found.append(number := ready.popleft())
            for after in later[number]:
                missing[after] -= 1
                if not missing[after]:
                    ready.append(after)
        return found + [number for number, count in enumerate(missing) if count]

    @cached_property
    def depths(self) -> list[int]:
        """Per job how many others stand before it, one after the other, on the longest way to it."""
        found = [0] * len(self.jobs)
        done = [False] * len(self.jobs)
        for number in self.order:
            found[number] = max((found[edge.before] + 1 for edge in self.before[number] if done[edge.before]), default=0)
            done[number] = True
        return found

    @cached_property
    def stopped(self) -> list[Status]:
        """Where it came to a halt: jobs that failed, were killed or got lost, while all that stands before them went well and
        nothing that waits for them has begun. These can be sent again, and nothing runs twice: what comes after them is
        sent by their engine, or stands behind them. A job that was sent by one which runs counts too, unless that one has
        begun anew since: it may send it again itself. One on the rim does not count: nobody has looked at all that is tied to it."""
        well = [False] * len(self.jobs)
        went_on = {edge.before for edge in self.edges if edge.waits and self.jobs[edge.after].started_at is not None}
        found = []
        for number in self.order:
            job = self.jobs[number]
            ready = all(self._lets(edge, well) for edge in self.before[number])
            well[number] = (ready or number in self.rim) and (job.state is State.succeeded or job.state is State.started)
            if ready and number not in self.rim and job.state in RETRIED and number not in went_on:
                found.append(job)
        return found

    def _lets(self, edge: Edge, well: Sequence[bool]) -> bool:
        before, after = self.jobs[edge.before], self.jobs[edge.after]
        if not well[edge.before]:
            return False
        if before.state is State.succeeded:
            return True
        return not edge.waits and before.started_at is not None and before.started_at <= after.recorded_at


def workflow(job: Status | str, most: int = MOST) -> Workflow:
    """The workflow that a job belongs to; one that is tied to no other is all of its own. Empty when there is no such job.

    Jobs may be named by our id or by the engine's, in `depends_on` and `root`. Raises: StoreUnavailable.
    Source: a step reads the versions of all segments and the posting lists (8 bytes an entry) of the names at hand where
    they are not known as of that version, then the records found. As many steps as the farthest job is away."""
    status = find(job.id if isinstance(job, Status) else job)
    walk = _Walk(current(), most)
    if status is not None:
        walk.begin(status)
    jobs = sorted(walk.jobs.values(), key=lambda found: (found.recorded_at, found.id))
    rim = frozenset(number for number, found in enumerate(jobs) if found.id in walk.rim)
    return Workflow(jobs=tuple(jobs), edges=tuple(_edges(jobs, walk.awaited)), is_whole=walk.is_whole, rim=rim)


class _Walk:
    """What is known while walking."""

    def __init__(self, store: Store, most: int) -> None:
        self.store = store
        self.most = most
        self.jobs: dict[_Place, Status] = {}
        self.awaited: dict[str, list[str]] = {}
        """Id -> what the job waits for."""
        self.is_whole = True
        self.rim: set[str] = set()
        """Ids of jobs of which not all neighbours were loaded."""
        self._named: set[str] = set()
        self._asked: dict[str, set[str]] = {"depends_on": set(), "parent": set(), "root": set(), "id": set(), "provider_job_id": set()}

    def begin(self, status: Status) -> None:
        """Find everything from one job on."""
        place = status._record.place
        self.jobs[place.family, place.segment, place.row] = status
        fresh = [status]
        for _ in range(STEPS):
            places = self._step(fresh)
            room = self.most - len(self.jobs)
            if len(places) > room:
                self._cut(fresh)
            if not places or not room:
                return
            fresh = self._load(places[:room])
        self._cut(fresh)

    def _cut(self, fresh: Sequence[Status]) -> None:
        self.is_whole = False
        self.rim.update(job.id for job in fresh)

    def _step(self, fresh: Sequence[Status]) -> list[_Place]:
        """Where the jobs next to these are, without those that are known."""
        from .evaluation import run

        questions = list(self._questions(fresh))
        found = run(self.store, [(query._selection(), _places) for query in questions]) if questions else []
        return [place for place in dict.fromkeys(place for part in found for place in part) if place not in self.jobs]

    def _questions(self, fresh: Sequence[Status]) -> Iterator[Query]:
        names = {job.id for job in fresh} | {job.provider_job_id for job in fresh if job.provider_job_id}
        self._named |= names
        roots = {job.root for job in fresh if job.root}
        self.awaited.update((job.id, _awaited(job)) for job in fresh)
        before = {text for job in fresh for text in (*self.awaited[job.id], job.parent) if text}
        yield from self._ask("depends_on", names)
        yield from self._ask("parent", names)
        yield from self._ask("root", roots | names)
        above = (before | roots) - self._named
        yield from self._ask("id", above)
        yield from self._ask("provider_job_id", {text for text in above if ids.decode(text) is None})

    def _ask(self, clause: str, texts: Iterable[str]) -> Iterator[Query]:
        """A question about the texts that were not asked about before."""
        new = sorted(set(texts) - self._asked[clause])
        self._asked[clause].update(new)
        if new:
            yield Query().where(**{clause: new})

    def _load(self, places: Sequence[_Place]) -> list[Status]:
        rows: dict[tuple[int, int], list[int]] = {}
        for family, segment, row in places:
            rows.setdefault((family, segment), []).append(row)
        fresh = []
        for (family, segment), wanted in rows.items():
            for row, known in zip(wanted, record.read_rows(self.store, family, segment, wanted), strict=True):
                if known is not None and not known.removed:
                    self.jobs[family, segment, row] = status = Status.of_record(known, self.store)
                    fresh.append(status)
        return fresh


def _places(evaluation: "Evaluation") -> "Answer[list[_Place]]":
    """Where the matching jobs are."""
    from .evaluation import Look

    found = yield Look(("row numbers",), _rows, frozenset({"state"}))
    return [(segment.family, segment.number, row) for segment, rows in found for row in rows.tolist()]


def _rows(hits: "Hits") -> Any:
    rows = hits.rows
    return hits.view.numbers(rows) if len(rows) else None


def _awaited(job: Status) -> list[str]:
    """`depends_on` as far as the record tells: no look at the call, where older stores have it."""
    kept = job._record.fields.get("D")
    return [] if kept is None else encoding.loads(kept)


def _edges(jobs: Sequence[Status], awaited: Mapping[str, Sequence[str]]) -> Iterator[Edge]:
    named: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        for name in {job.id, job.provider_job_id or job.id}:
            named.setdefault(name, []).append(number)
    for after, job in enumerate(jobs):
        waits = {before for name in awaited.get(job.id, ()) for before in named.get(name, ()) if before != after}
        sent = {before for before in named.get(job.parent or "", ()) if before != after} - waits
        yield from (Edge(before, after, True) for before in sorted(waits))
        yield from (Edge(before, after, False) for before in sorted(sent))
