"""Is the store there, is it fit to keep statuses, and has it changed?"""

import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

from . import clock, pauses
from .cluster import Cluster
from .errors import StatusesError
from .store import current
from .upkeep import Chore, parsed


def ping() -> dict[str, Any]:
    """version, server, memory_bytes, policy (maxmemory-policy), persistence, cluster (whether it is a node of one), latency_ms. One round
    trip. Raises: StoreUnavailable."""
    began = time.perf_counter()
    info = current().read("INFO")
    latency_ms = (time.perf_counter() - began) * 1000
    facts = info if isinstance(info, dict) else _facts(info)
    appends, saves = str(facts.get("aof_enabled", 0)) == "1", facts.get("rdb_last_save_time", 0)
    return {
        "server": "valkey" if "valkey_version" in facts else "redis",
        "version": str(facts.get("valkey_version") or facts.get("redis_version")),
        "memory_bytes": int(facts.get("used_memory", 0)),
        "policy": str(facts.get("maxmemory_policy", "")),
        "maxmemory_bytes": int(facts.get("maxmemory", 0)),
        "persistence": "append-only file" if appends else "snapshots" if saves else "none",
        "cluster": str(facts.get("cluster_enabled", 0)) == "1",
        "role": str(facts.get("role", "")),
        "latency_ms": latency_ms,
    }


def addresses() -> list[str]:
    """Where the store is, for people to read: `redis://host:port/db`, `unix:///path`, without user, password or options; a service of
    Sentinel by its name, a cluster by its nodes. A second one where a replica answers queries. Empty before anything was asked.
    Source: the clients in use, nothing is asked.  Raises: ConfigurationError."""
    return list(dict.fromkeys(address for client in current().made for address in _addresses(client)))


def _addresses(client: Any) -> list[str]:
    if isinstance(client, Cluster):
        return [f"redis://{_host(node.host)}:{node.port}" for node in client.client.get_nodes()]
    pool = client.connection_pool
    if service := getattr(pool, "service_name", None):
        return [f"{service} (Sentinel)"]
    given = pool.connection_kwargs
    database = f"/{given['db']}" if given.get("db") else ""
    if path := given.get("path"):
        return [f"unix://{path}{database and '?db=' + database[1:]}"]
    scheme = "rediss" if "SSL" in pool.connection_class.__name__ else "redis"
    return [f"{scheme}://{_host(given.get('host', 'localhost'))}:{given.get('port', 6379)}{database}"]


def _host(name: str) -> str:
    """As an address writes it: an IPv6 address in brackets."""
    return f"[{name}]" if ":" in name else name


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


def preload() -> None:
    """Import what answers are made with, numpy among it, and make the reading client, all of which otherwise waits for the first
    question: for a process that is about to answer people.  Source: nothing is asked of the store, nor is it connected to."""
    for name in ("evaluation", "facets", "pages", "reports", "resources", "stats", "timeseries", "children", "bulk"):
        import_module(f".{name}", __package__)
    import_module("numpy.ma")  # sets of values look whether they are masked, and import that then
    with suppress(StatusesError):  # nobody said yet where the store is
        _ = current().reader


def _facts(text: bytes | str) -> dict[str, str]:
    lines = (text.decode() if isinstance(text, bytes) else text).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
