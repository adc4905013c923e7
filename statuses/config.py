"""The configuration of the status service: one frozen object, checked when it is made."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from .errors import ConfigurationError
from .states import State

#: How long a status is kept after its end, by state.
DEFAULT_RETENTION: Mapping[str, timedelta | None] = {"succeeded": timedelta(days=30), "*": timedelta(days=180)}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Where the statuses are kept and for how long."""

    url: str | None = None
    """`redis://`, `rediss://` or `unix://`; ignored where `client` is given."""
    client: Any = None
    """A redis-py client, or a callable that makes one (asked at the first use)."""
    cluster: bool = False
    """Whether `url` is a node of a Redis Cluster: families are spread over its nodes."""
    namespace: str = "jobs"
    """First part of every key: 1 to 64 letters, digits, `_`, `-` or `.`."""
    families: int = 1
    """Hash slots the keys are spread over; fixed when the store is made. 16 suit a cluster."""
    retention: Mapping[str, timedelta | None] = field(default_factory=lambda: DEFAULT_RETENTION)
    """State name, `name:<job name>` or `*` -> how long after its end a status is kept; None: for ever."""
    stale_after: timedelta = timedelta(seconds=60)
    """A started job whose last heartbeat is older is stale."""
    reap_after: Mapping[str, timedelta] = field(default_factory=dict)
    """Job name or `*` -> silence after which a started job is given up (see `statuses.reaper`); `*` is twice
    `stale_after` unless given."""
    reap_retries: Mapping[str, int] = field(default_factory=dict)
    """Job name or `*` -> how often a job whose worker was lost is sent again; none unless given."""
    timeout_seconds: float = 2.0
    """How long one call may wait for Redis."""
    connect_timeout_seconds: float = 1.0
    """How long connecting may take."""
    untracked: frozenset[str] = frozenset()
    """Job names that engines do not track."""
    sampled: Mapping[str, float] = field(default_factory=dict)
    """Job name -> share (0 to 1) of its jobs that engines track."""
    read_url: str | None = None
    """A replica that answers queries; None: the same server."""
    cache_entries: int = 20_000
    """Partial results a reading process keeps."""
    resolver: Callable[..., Any] | None = None
    """The host project's say (see `jobadmin.resolver`)."""

    def __post_init__(self) -> None:
        if not self.namespace or len(self.namespace) > 64 or not all(c.isalnum() or c in "_-." for c in self.namespace):
            raise ConfigurationError(f"namespace must be 1 to 64 letters, digits, '_', '-' or '.', not {self.namespace!r}")
        if not 1 <= self.families <= 64:
            raise ConfigurationError(f"families must be 1 to 64, not {self.families!r}")
        for key, kept in self.retention.items():
            if key != "*" and not key.startswith("name:") and key not in set(State):
                raise ConfigurationError(f"retention knows state names, 'name:<job name>' and '*', not {key!r}")
            if kept is not None and (not isinstance(kept, timedelta) or kept <= timedelta(0)):
                raise ConfigurationError(f"retention[{key!r}] must be a positive timedelta or None, not {kept!r}")
        if self.timeout_seconds <= 0 or self.connect_timeout_seconds <= 0:
            raise ConfigurationError("timeouts must be positive numbers of seconds")
        if self.stale_after <= timedelta(0):
            raise ConfigurationError(f"stale_after must be a positive timedelta, not {self.stale_after!r}")
        self._check_reaping()

    def _check_reaping(self) -> None:
        for name, silence in self.reap_after.items():
            if not isinstance(silence, timedelta) or silence < self.stale_after:
                least = f"a timedelta of at least stale_after ({self.stale_after})"
                raise ConfigurationError(f"reap_after[{name!r}] must be {least}, not {silence!r}")
        for name, times in self.reap_retries.items():
            if isinstance(times, bool) or not isinstance(times, int) or times < 0:
                raise ConfigurationError(f"reap_retries[{name!r}] must be a whole number from 0, not {times!r}")


def make(**settings: Any) -> Config:
    """A Config of `settings`; ConfigurationError names an unknown key and the nearest known one."""
    known = [f.name for f in fields(Config)]
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise ConfigurationError(f"unknown setting {key!r}" + (f", did you mean {near[0]!r}?" if near else ""))
    return Config(**settings)
