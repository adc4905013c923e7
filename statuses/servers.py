"""The servers that keep the statuses, as they tell of themselves: what they are, how much room they have, what they write to disk."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from . import clock
from .cluster import Cluster
from .errors import StoreUnavailable
from .refusals import translated
from .store import FORBIDDEN, Command, Store

#: Asks one server: its replies to some commands, in one round trip.
Ask = Callable[[Sequence[Command]], list[Any]]
#: What a server is asked for: INFO once; the two settings that it does not tell of there, one pattern each, as Redis 6.2 wants it.
ASKED: tuple[Command, ...] = (("INFO",), ("CONFIG", "GET", "save"), ("CONFIG", "GET", "appendfsync"))
#: Value of INFO that says that a write to disk failed -> what was to be written.
_WRITES = {"rdb_last_bgsave_status": "snapshot", "aof_last_write_status": "append-only file", "aof_last_bgrewrite_status": "rewrite"}


@dataclass(frozen=True, kw_only=True)
class Server:
    """One server. None: it does not say, or may not be asked (`forbidden`)."""

    address: str
    """For people to read: no user, password or options."""
    is_reader: bool = False
    """Whether it only answers queries (`read_url`)."""
    away: str = ""
    """Why it did not answer; empty where it did. Nothing else is known then. Only of one that only answers queries."""
    forbidden: tuple[str, ...] = ()
    """Commands that this user may not give there, or that the server does not know: `INFO`, `CONFIG`."""
    latency_ms: float | None = None
    """A round trip of a command that does nothing."""
    product: str | None = None
    """`redis` or `valkey`."""
    version: str | None = None
    role: str | None = None
    """`primary` or `replica`."""
    is_node: bool = False
    """Whether it is a node of a cluster."""
    replicas: int | None = None
    """Replicas that are connected to it."""
    is_linked: bool | None = None
    """Of a replica: whether it hears its primary now."""
    heard: timedelta | None = None
    """Of a replica: since when it heard nothing."""
    memory_bytes: int | None = None
    """What all data and buffers of the server take, whoever's they are."""
    uncounted_bytes: int | None = None
    """What of that is buffers of replicas and of the append-only file: it does not count towards `maxmemory_bytes`."""
    peak_bytes: int | None = None
    """The most that ever was."""
    maxmemory_bytes: int | None = None
    """What it may take; 0: as much as there is."""
    policy: str | None = None
    """maxmemory-policy: what becomes of keys when that is full."""
    appends: bool | None = None
    """Whether an append-only file is written."""
    appends_every: str | None = None
    """appendfsync: `always`, `everysec`, or `no`."""
    snapshots: bool | None = None
    """Whether snapshots are written by themselves."""
    saved_at: datetime | None = None
    """The last snapshot since it started."""
    unsaved: int | None = None
    """Changes since the last snapshot."""
    broken_writes: tuple[str, ...] = ()
    """What could not be written to disk the last time: `snapshot`, `append-only file`, `rewrite` (of that)."""
    clients: int | None = None
    """Connections."""
    max_clients: int | None = None
    evicted: int | None = None
    """Keys that were dropped for want of memory since it started."""
    operations_per_second: int | None = None
    started_at: datetime | None = None

    @property
    def drops(self) -> str:
        """What it drops when its memory is full, see `dropped`. A replica drops nothing by itself."""
        return "" if self.role == "replica" else dropped(self.policy or "")

    @property
    def may_evict(self) -> bool:
        """Whether its policy lets it drop statuses when its memory is full."""
        return self.drops == STATUSES

    @property
    def counted_bytes(self) -> int | None:
        """What of its memory counts towards what it may take."""
        return None if self.memory_bytes is None else max(self.memory_bytes - (self.uncounted_bytes or 0), 0)

    @property
    def fill(self) -> float | None:
        """Which part of what it may take is taken; None without a limit."""
        return self.counted_bytes / self.maxmemory_bytes if self.counted_bytes is not None and self.maxmemory_bytes else None

    @property
    def is_kept(self) -> bool | None:
        """Whether anything survives a restart of the server; None where that is not known."""
        return True if self.appends or self.snapshots else None if self.appends is None or self.snapshots is None else False

    @property
    def persistence(self) -> str:
        """`append-only file`, beside which there may be snapshots; `snapshots`; `none`; empty where it is not known."""
        if self.appends or self.snapshots:
            return "append-only file" if self.appends else "snapshots"
        return "none" if self.is_kept is False else ""


#: What a server drops whose memory is full: any key, so that statuses are among them; those of others alone.
STATUSES, OTHERS = "statuses", "others"


def dropped(policy: str) -> str:
    """What a maxmemory-policy drops: `STATUSES` (any key), `OTHERS` (what expires, as no key of this library does; when nothing is left
    that does, writes are refused as with noeviction), or nothing: empty, as where the policy is not known. The one place that says so."""
    if policy in ("", "noeviction"):
        return ""
    return OTHERS if policy.startswith("volatile-") else STATUSES


def addresses(client: Any) -> list[str]:
    """Where a client leads, for people to read; of a cluster its nodes. Source: nothing is asked."""
    if isinstance(client, Cluster):
        return [_of_node(node) for node in client.client.get_nodes()]
    pool = client.connection_pool
    if service := getattr(pool, "service_name", None):
        return [f"{service} (Sentinel)"]
    given = pool.connection_kwargs
    database = f"/{given['db']}" if given.get("db") else ""
    if path := given.get("path"):
        return [f"unix://{path}{database and '?db=' + database[1:]}"]
    scheme = "rediss" if "SSL" in pool.connection_class.__name__ else "redis"
    return [f"{scheme}://{_host(given.get('host', 'localhost'))}:{given.get('port', 6379)}{database}"]


def _of_node(node: Any) -> str:
    return f"redis://{_host(node.host)}:{node.port}"


def _host(name: str) -> str:
    """As an address writes it: an IPv6 address in brackets."""
    return f"[{name}]" if ":" in name else name


def primaries(store: Store) -> list[Server]:
    """The server that is written to, or each primary node of a cluster.
    Raises: StoreUnavailable where one is away.  Source: two round trips each: INFO, CONFIG GET; PING."""
    if not isinstance(writer := store.writer, Cluster):
        return [_server(addresses(writer)[0], store.permitted)]
    with suppress(StoreUnavailable):
        found = _nodes(store, writer)
        if not any(server.role == "replica" for server in found):
            return found
    with translated("a read"):
        writer.look_again()  # another node may have taken its place
    return _nodes(store, writer)


def _nodes(store: Store, writer: Cluster) -> list[Server]:
    return [_server(_of_node(node), partial(store.permitted_by, node)) for node in writer.primaries()]


def read(store: Store) -> list[Server]:
    """The primaries; then the replica that answers queries, where there is one.
    Raises: StoreUnavailable where one that is written to is away.  Source: see `primaries`, the same of the replica."""
    found = primaries(store)
    if store.config.read_url and not store.is_cluster:
        [address] = addresses(store.reader)
        try:
            found.append(_server(address, partial(store.permitted, primary=False), is_reader=True))
        except StoreUnavailable as error:
            found.append(Server(address=address, is_reader=True, away=error.why))
    return found


def _server(address: str, ask: Ask, *, is_reader: bool = False) -> Server:
    replies = ask(ASKED)  # connects, too, so that the next one is a round trip and nothing else
    began = time.perf_counter()
    [echo] = ask([("PING",)])
    latency = None if echo is FORBIDDEN else (time.perf_counter() - began) * 1000
    return said(address, replies, is_reader=is_reader, latency_ms=latency)


def said(address: str, replies: Sequence[Any], *, is_reader: bool = False, latency_ms: float | None = None) -> Server:
    """What a server says of itself: `replies` to what it is `ASKED`."""
    info, *settings = replies
    save, sync = (None if reply is FORBIDDEN else setting(reply) for reply in settings)
    forbidden = [name for name, reply in (("INFO", info), ("CONFIG", settings[0])) if reply is FORBIDDEN]
    return Server(
        address=address,
        is_reader=is_reader,
        forbidden=tuple(forbidden),
        latency_ms=latency_ms,
        appends_every=sync or None,
        snapshots=None if save is None else bool(save.strip()),
        **_told({} if info is FORBIDDEN else facts(info)),
    )


def _told(told: Mapping[str, str]) -> dict[str, Any]:
    """What INFO tells, by the names of `Server`."""
    if not told:
        return {}

    def number(name: str) -> int | None:
        return int(float(told[name])) if name in told else None

    role, up = told.get("role"), number("uptime_in_seconds")
    now_us = number("server_time_usec")
    now = clock.from_us(now_us) if now_us else clock.from_us(int(time.time() * 1e6))
    started = None if up is None else now - timedelta(seconds=up)
    silent = number("master_last_io_seconds_ago")
    return {
        "product": product(told),
        "version": told.get("valkey_version") or told.get("redis_version"),
        "role": {"master": "primary", "slave": "replica"}.get(role or "", role),
        "is_node": told.get("cluster_enabled") == "1",
        "replicas": number("connected_slaves") if role == "master" else None,
        "is_linked": told.get("master_link_status") == "up" if role == "slave" else None,
        "heard": timedelta(seconds=silent) if role == "slave" and silent is not None and silent >= 0 else None,
        "memory_bytes": number("used_memory"),
        "uncounted_bytes": number("mem_not_counted_for_evict"),
        "peak_bytes": number("used_memory_peak"),
        "maxmemory_bytes": number("maxmemory"),
        "policy": told.get("maxmemory_policy"),
        "appends": told.get("aof_enabled") == "1" if "aof_enabled" in told else None,
        "saved_at": _saved_at(told, started),
        "unsaved": number("rdb_changes_since_last_save"),
        "broken_writes": tuple(what for name, what in _WRITES.items() if told.get(name) == "err"),
        "clients": number("connected_clients"),
        "max_clients": number("maxclients"),
        "evicted": number("evicted_keys"),
        "operations_per_second": number("instantaneous_ops_per_sec"),
        "started_at": started,
    }


def _saved_at(told: Mapping[str, str], started: datetime | None) -> datetime | None:
    """A server counts as saved when it starts: that is no snapshot."""
    at = int(told.get("rdb_last_save_time", 0))
    if not at or started is None:
        return None
    saved = clock.from_us(at * 1_000_000)
    is_known = int(told.get("rdb_saves", 0)) > 0 or int(told.get("rdb_last_bgsave_time_sec", -1)) >= 0
    return saved if is_known or saved - started > timedelta(seconds=2) else None


def product(told: Mapping[str, str]) -> str:
    """`redis` or `valkey`, as INFO has it: Valkey names itself beside the Redis that it is like."""
    return "valkey" if "valkey_version" in told else "redis"


def facts(info: bytes | str | Mapping[str, Any]) -> dict[str, str]:
    """The reply to INFO, by name; all values as texts."""
    if isinstance(info, Mapping):
        return {name: str(value) for name, value in info.items()}
    lines = (info.decode() if isinstance(info, bytes) else info).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def setting(reply: Any) -> str | None:
    """The reply to CONFIG GET of one setting; None where the server has none of that name."""
    values = [*reply.values()] if isinstance(reply, Mapping) else [*reply][1::2]
    if not values:
        return None
    return values[0].decode() if isinstance(values[0], bytes) else str(values[0])
