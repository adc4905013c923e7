"""Who runs jobs and what waits, for all engines of this project together: what each tells, read once for a page."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypeVar

import statuses
from jobadmin import answers
from jobadmin.answers import LATELY, NOW, Manner
from jobadmin.filters import JobFilter
from jobadmin.paths import queue_url
from jobadmin.redaction import redact_text
from jobadmin.tokens import Token
from statuses import State
from statuses.engines import registry
from statuses.engines.base import Engine, Queue, Schedule, Worker

Row = TypeVar("Row", bound="_Named")


class _Named(Protocol):
    """A row of a page about queues or workers, a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: str


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What the engines told."""

    workers: tuple[Worker, ...] = ()
    queues: tuple[Queue, ...] = ()
    knowing: frozenset[str] = frozenset()
    """Engines that told all of their workers."""
    silent: tuple[str, ...] = ()
    """Engines that tell of workers or queues, and could not now."""

    def taking(self, queue: str) -> list[Worker]:
        """Of those that serve it the ones that have not left it alone for being paused."""
        return [worker for worker in self.serving(queue) if queue not in worker.held]

    def serving(self, queue: str) -> list[Worker]:
        """Living workers that take jobs from this queue, or will once it is resumed."""
        return [worker for worker in self.workers if worker.is_alive and not worker.is_stopping and queue in worker.queues]

    def holding(self, queue: str) -> list[Worker]:
        """Living workers that may have taken jobs from this queue, those that end included."""
        return [worker for worker in self.workers if worker.is_alive and queue in worker.queues]

    def is_unserved(self, queue: str, engines: Iterable[str | None], moves: Callable[[], bool]) -> bool:
        """Whether it is certain that nobody takes the jobs of these engines that wait in the queue. It is not where an
        engine does not tell of its workers; nor where none of them reports, and yet the queue moves (`delivery.moves`)."""
        return not self.serving(queue) and self.is_certain(engines, moves)

    def is_certain(self, engines: Iterable[str | None], moves: Callable[[], bool]) -> bool:
        """Whether these engines have surely no worker but those told of here. `moves` is asked where they know none at all."""
        named = set(engines)
        if not named or not named <= self.knowing:
            return False
        return any(worker.engine in named for worker in self.workers) or not moves()

    @property
    def last_seen(self) -> datetime | None:
        """When the last sign of life of any worker came."""
        return max((worker.seen_at for worker in self.workers if worker.seen_at), default=None)


def read(*, queues: bool = True, workers: bool = True, manner: Manner = NOW) -> Fleet:
    """Ask each engine for what it keeps; one that fails, or does not answer in time, is named, the others stand.
    Source: one or two round trips an engine, never a worker; see `answers`.  Raises: StoreUnavailable."""
    engines = registry.all()
    hands = {engine.name: _told(engine, "workers", manner) for engine in engines if engine.has_workers and workers}
    lines = {engine.name: _told(engine, "queues", manner) for engine in engines if engine.has_queues and queues}
    return Fleet(
        workers=tuple(worker for told in hands.values() for worker in told or ()),
        queues=tuple(queue for told in lines.values() for queue in told or ()),
        knowing=frozenset(name for name, told in hands.items() if told is not None),
        silent=tuple(sorted({name for told in (hands, lines) for name, found in told.items() if found is None})),
    )


def of(jobs: JobFilter, *, workers: bool = True, manner: Manner = LATELY) -> Fleet:
    """What the engines tell where a filter asks for queues by name, for a page about these. Source: nothing where it asks for none,
    else as `read`.  Raises: StoreUnavailable."""
    return read(workers=workers, manner=manner) if any(not token.negative for token in jobs.tokens("queue")) else Fleet()


@dataclass(frozen=True, kw_only=True)
class Paused:
    """A queue that one engine holds back, on a page about some queues."""

    name: str
    paused_at: datetime | None
    paused_by: str | None
    only_in: str
    """The engine, where another one has a queue of this name that is open; else empty."""


def paused(jobs: JobFilter, told: Fleet) -> list[Paused]:
    """The queues that a filter asks for by name and that are paused. Source: nothing."""
    is_open = {queue.name for queue in told.queues if not queue.is_paused}
    return [
        Paused(
            name=queue.name,
            paused_at=queue.paused_at,
            paused_by=queue.paused_by,
            only_in=queue.engine if queue.name in is_open else "",
        )
        for queue in told.queues
        if queue.is_paused and is_meant(jobs, queue.name)
    ]


def is_meant(jobs: JobFilter, queue: str) -> bool:
    """Whether a filter asks for this queue by its name, or by how that begins."""
    return any(_means(token, queue) for token in jobs.tokens("queue") if not token.negative)


@dataclass(frozen=True, kw_only=True)
class Suspended:
    """An engine that holds queues back together, and does so now."""

    engine: str
    queues: list[str]
    """Those it holds, without secrets."""


def suspended(manner: Manner = NOW) -> list[Suspended]:
    """Engines that know no pause of a single queue, as RQ, and hold theirs back, whoever asked for it and wherever.
    Source: what those engines tell of their queues; nothing of others.  Raises: StoreUnavailable."""
    held: dict[str, list[str]] = {}
    for engine, queue in sorted(_suspended(manner)):
        held.setdefault(engine, []).append(queue)
    return [Suspended(engine=name, queues=[redact_text(queue) for queue in queues]) for name, queues in held.items()]


def _suspended(manner: Manner) -> set[tuple[str, str]]:
    together = [engine for engine in registry.all() if engine.pauses_all_queues and engine.has_queues]
    return {(engine.name, queue.name) for engine in together for queue in _told(engine, "queues", manner) or () if queue.is_paused}


def pauses(kept: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Engine and queue of all that is paused: of `statuses.version().paused` those whose engines this project has, and what an engine
    keeps elsewhere, as RQ does.  Source: as `suspended`.  Raises: StoreUnavailable."""
    return {(engine, queue) for engine, queue in kept if registry.get(engine)} | _suspended(LATELY)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A paused queue in a page about everything."""

    name: str
    url: str
    """Its page; empty where the name holds a secret, which stands in no address either."""
    only_in: tuple[str, ...]
    """The engines that paused theirs, where another one has a queue of this name that is open; else empty."""
    waiting: int
    """Jobs that wait in it, of those engines alone where it is not paused by all."""
    waiting_url: str
    """Those jobs; empty as `url`."""


def held(kept: Iterable[tuple[str, str]]) -> list[Held]:
    """The paused queues, those in which most jobs wait first; `kept`: `statuses.version().paused`.
    Source: as `pauses`; where a queue is paused one count by queue; where several engines have queues what they told of them lately, and
    a count for each that holds one which is open in another.  Raises: StoreUnavailable."""
    by: dict[str, list[str]] = {}
    for engine, queue in sorted(pauses(kept)):
        by.setdefault(queue, []).append(engine)
    if not by:
        return []
    several = sum(engine.has_queues for engine in registry.all()) > 1
    told = read(workers=False, manner=LATELY).queues if several else ()
    shared = {queue.name for queue in told if queue.name in by and queue.engine not in by[queue.name]}
    waiting = _waiting(by, shared)
    found = [_held(name, tuple(engines) if name in shared else (), waiting.get(name, 0)) for name, engines in by.items()]
    return sorted(found, key=lambda queue: (-queue.waiting, queue.name))


def _waiting(by: Mapping[str, list[str]], shared: Collection[str]) -> dict[str, int]:
    """How many jobs wait in each of these queues; in one that is shared, how many of the engines that are named."""
    queued = statuses.where(state=State.queued)
    waiting = {found.value: found.total for found in queued.where(queue=list(by)).counts_by("queue", None)}
    split = {name: by[name] for name in shared if waiting.pop(name, 0)}
    for engine in sorted({engine for engines in split.values() for engine in engines}):
        names = [name for name, engines in split.items() if engine in engines]
        for found in queued.where(queue=names, engine=engine).counts_by("queue", None):
            waiting[found.value] = waiting.get(found.value, 0) + found.total
    return waiting


def _held(name: str, only_in: tuple[str, ...], waiting: int) -> Held:
    shown, listed = redact_text(name), JobFilter().with_(queue=name, engine=only_in or None, state="queued", span="all")
    is_open = shown == name
    return Held(
        name=shown,
        url=queue_url(name) if is_open else "",
        only_in=only_in,
        waiting=waiting,
        waiting_url=listed.url("list") if is_open else "",
    )


def _means(token: Token, name: str) -> bool:
    return name.startswith(token.value) if token.prefix else name == token.value


def schedules() -> tuple[list[Schedule], list[str]]:
    """The periodic jobs of every engine, and the engines that could not tell. Source: one or two round trips an engine.
    Raises: StoreUnavailable."""
    told = {engine.name: _told(engine, "schedules", NOW) for engine in registry.all() if engine.has_schedules}
    return [schedule for found in told.values() for schedule in found or ()], [name for name, found in told.items() if found is None]


def without_secrets(row: Row) -> Row:
    """The row; where its name holds a secret with that hidden, and without the links and buttons that would carry it."""
    shown = redact_text(row.name)
    if shown == row.name:
        return row
    closed: dict[str, Any] = {field.name: "" for field in fields(row) if field.name.endswith("url")}
    return replace(row, name=shown, buttons=[], **closed)


def _told(engine: Engine, what: str, manner: Manner) -> list[Any] | None:
    """What an engine tells, with its name on it; None where it could not."""
    return answers.told(engine, what, lambda found: [replace(one, engine=engine.name) for one in found], manner)
