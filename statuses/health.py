"""Is the store there, is it fit to keep statuses, and has it changed?"""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import clock, keys, pauses, servers
from .errors import StatusesError, StoreUnavailable
from .servers import Server
from .store import FORBIDDEN, current
from .upkeep import Chore, chores, parsed

if TYPE_CHECKING:
    from .cache import CacheInfo
    from .holdings import Holdings


def ping() -> dict[str, Any]:
    """version, server, memory_bytes, policy (maxmemory-policy), persistence (`append-only file`, `snapshots`, `none`; empty where it is not
    known: without a file where CONFIG is forbidden, whoever runs it may take snapshots), cluster (whether it is a node of one), latency_ms.
    Where INFO is forbidden latency_ms alone, the rest empty or 0: it is there all the same. One round trip. Raises: StoreUnavailable."""
    began = time.perf_counter()
    replies = current().permitted(servers.ASKED)
    latency_ms = (time.perf_counter() - began) * 1000
    about = servers.said("", replies)
    return {
        "server": about.product or "",
        "version": about.version or "",
        "memory_bytes": about.memory_bytes or 0,
        "policy": about.policy or "",
        "maxmemory_bytes": about.maxmemory_bytes or 0,
        "persistence": "" if "INFO" in about.forbidden else about.persistence,
        "cluster": about.is_node,
        "role": {"primary": "master", "replica": "slave"}.get(about.role or "", about.role or ""),
        "latency_ms": latency_ms,
    }


def try_writing() -> None:
    """A write that changes nothing: a server that answers may take none, as its memory is full, too few replicas follow it, or it is a
    replica. One round trip a family. Raises: StoreUnavailable where it is away, or refuses."""
    store = current()
    for tag in store.families:
        store.script("touch", [keys.depth_at(tag)], [])


def no_writes() -> StoreUnavailable | None:
    """Why the store takes no writes, or is away; None where it takes them.  Source: see `try_writing`."""
    try:
        try_writing()
    except StoreUnavailable as error:
        return error
    return None


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How far a server is that reads its file, by its own reckoning."""

    share: float | None
    """Which part of it is read; None where it does not know how much there is, as a replica that reads what its primary sends."""
    left: timedelta | None
    """How long the rest will take."""

    def __str__(self) -> str:
        if self.share is None or self.left is None:
            return ""
        return f"{self.share:.0%} of it is read; the rest takes about {self.left.total_seconds():.0f} s."


def loading() -> Loading | None:
    """How far the server is that did not answer as it reads its file; None where none does, or nothing can be learnt. It answers no
    other question meanwhile.  Source: INFO, one round trip, a second one to the replica that answers queries. Raises: nothing."""
    for primary in (True, False):
        with suppress(StatusesError):
            [info] = current().permitted([("INFO", "persistence")], primary=primary)
            told = {} if info is FORBIDDEN else servers.facts(info)
            if told.get("loading") == "1":
                return _loading(told)
        if not current().config.read_url:
            break
    return None


def _loading(told: Mapping[str, str]) -> Loading:
    if not int(told.get("loading_total_bytes", 0)):
        return Loading(share=None, left=None)
    share = min(float(told.get("loading_loaded_perc", 0)) / 100, 1.0)
    return Loading(share=share, left=timedelta(seconds=max(int(told.get("loading_eta_seconds", 0)), 1)))


def explained(error: Exception) -> str:
    """What went wrong, for a shell; of a server that reads its file with how far it is. One round trip then, else none."""
    if not isinstance(error, StoreUnavailable) or error.condition is None or error.condition.code != "LOADING":
        return str(error)
    return f"{error} {loading() or ''}".rstrip()


def primaries() -> list[Server]:
    """The server that is written to, or each primary of a cluster, as it tells of itself.
    Raises: StoreUnavailable where one is away.  Source: two round trips each: INFO, CONFIG GET; PING."""
    return servers.primaries(current())


def addresses() -> list[str]:
    """Where the store is, for people to read: `redis://host:port/db`, `unix:///path`, without user, password or options; a service of
    Sentinel by its name, a cluster by its nodes. A second one where a replica answers queries. Empty before anything was asked.
    Source: the clients in use, nothing is asked.  Raises: ConfigurationError."""
    return list(dict.fromkeys(address for client in current().made for address in servers.addresses(client)))


@dataclass(frozen=True, kw_only=True)
class Version:
    """What the store holds at a moment, as something to compare."""

    text: str
    """Stays the same as long as every answer of every query does; equal in all processes."""
    at: datetime
    """The server's time."""
    since: datetime | None
    """No job that is there was recorded before; None where there never was one. Not the first job's own moment: when
    its segment began."""
    paused: frozenset[tuple[str, str]] = frozenset()
    """Queues that are held back, each with its engine: `(engine, queue)`. A pause leaves `text` as it is."""
    upkeep: tuple[Chore, ...] = ()
    """Who keeps the store in order, as `upkeep.chores()`. A round of theirs that changed no job leaves `text` as it is."""


def version() -> Version:
    """Which version of itself the store is in: another one once any job came, went, moved, or got another name, argument,
    error or the like. Progress, data and heartbeats (so `stale`) leave it as it is.
    Source: the versions of all segments, the time, what is paused and which chores run, one round trip. Raises: StoreUnavailable."""
    from .directory import Lookup, look, version_text

    found = look(current(), Lookup(now=True, paused=True, upkeep=True))
    earliest = [bounds[0] for segment in found.segments if (bounds := segment.bounds("recorded_at"))]
    since = clock.from_us(min(earliest)) if earliest else None
    return Version(
        text=version_text(found.segments),
        at=clock.from_us(found.now_us),
        since=since,
        paused=pauses.pairs(found.paused),
        upkeep=tuple(parsed(found.upkeep)),
    )


#: How old an estimate of what the statuses take may be.
BELIEVED = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Examined:
    """The store, as somebody who runs it wants to know it."""

    servers: tuple[Server, ...]
    """Those that keep it: one, or the primaries of a cluster; behind it the replica that answers queries, where there is one."""
    holdings: "Holdings | None"
    """What they hold; None while the replica that answers queries is away."""
    chores: tuple[Chore, ...]
    """Who keeps it in order, as `upkeep.chores()`."""
    cache: "CacheInfo"
    """What this process keeps of its answers, and how often that was enough."""

    @property
    def forbidden(self) -> list[str]:
        """Commands that may not be given, so that some of it is not known."""
        without = {"MEMORY"} if self.holdings is not None and self.holdings.footprint is None else set()
        return sorted(without.union(*(server.forbidden for server in self.servers)))


def examine(*, believed: timedelta = BELIEVED) -> Examined:
    """How the store is: its servers, what it holds and what that takes, who keeps it in order. What may not be asked is left out and
    named. `believed`: how old an estimate of what the statuses take may be.

    Raises: StoreUnavailable where the server that is written to is away.
    Source: INFO, CONFIG GET and PING in two round trips a server; the chores in one; what it holds: see `holdings.read`. All of it in
    commands of microseconds: a quarter of a millisecond of Redis where nothing changed since, up to five
    more for the estimate, with 312,826 jobs."""
    from . import holdings, segments

    store = current()
    told = servers.read(store)
    is_answered = not any(server.away for server in told)
    return Examined(
        servers=tuple(told),
        holdings=holdings.read(store, believed) if is_answered else None,
        chores=tuple(chores()),
        cache=segments.cache_info(),
    )


def preload() -> None:
    """Import what answers are made with, numpy among it, and make the reading client, all of which otherwise waits for the first
    question: for a process that is about to answer people.  Source: nothing is asked of the store, nor is it connected to."""
    for name in ("evaluation", "facets", "pages", "reports", "resources", "stats", "timeseries", "children", "bulk", "holdings"):
        import_module(f".{name}", __package__)
    import_module("numpy.ma")  # sets of values look whether they are masked, and import that then
    with suppress(StatusesError):  # nobody said yet where the store is
        _ = current().reader
