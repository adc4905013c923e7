"""The configuration of the status service: one frozen object, checked when it is made."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from .arguments import nearest, shown
from .errors import ConfigurationError
from .states import State

#: How an address begins.
SCHEMES = ("redis://", "rediss://", "unix://")
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
    metrics: bool = False
    """Whether starts, retries and ends of jobs are counted (see `statuses.metrics`)."""
    metrics_roles: Mapping[str, str] | Callable[[str], str | None] = field(default_factory=dict)
    """A worker's name, or its part before "@", -> its role in metrics; or a function of the name. That part unless it says one."""
    resolver: Callable[..., Any] | None = None
    """The host project's say (see `jobadmin.resolver`)."""

    def __post_init__(self) -> None:
        name = self.namespace
        if not isinstance(name, str) or not 1 <= len(name) <= 64 or not all(c.isalnum() or c in "_-." for c in name):
            raise ConfigurationError(f"namespace must be 1 to 64 letters, digits, '_', '-' or '.', not {shown(name)}")
        for setting in ("url", "read_url"):
            if not isinstance(getattr(self, setting), str | None):
                raise ConfigurationError(f"{setting} must be an address or None, not {shown(getattr(self, setting))}")
            if (getattr(self, setting) or SCHEMES[0]).partition("//")[0] + "//" not in SCHEMES:
                raise ConfigurationError(f"{setting} must begin with {', '.join(SCHEMES)}, not be {shown(getattr(self, setting))}")
        self._check_client()
        if not _is_whole(self.families) or not 1 <= self.families <= 64:
            raise ConfigurationError(f"families must be 1 to 64, not {shown(self.families)}")
        if not _is_whole(self.cache_entries) or self.cache_entries < 0:
            raise ConfigurationError(f"cache_entries must be a whole number from 0, not {shown(self.cache_entries)}")
        if not isinstance(self.stale_after, timedelta) or self.stale_after <= timedelta(0):
            raise ConfigurationError(f"stale_after must be a positive timedelta, not {shown(self.stale_after)}")
        self._check_timeouts()
        self._check_mappings()
        self._check_retention()
        self._check_tracking()
        self._check_reaping()
        self._check_metrics()

    def _check_client(self) -> None:
        if self.client is not None and not callable(self.client) and not hasattr(self.client, "execute_command"):
            raise ConfigurationError(f"client must be a client of redis-py, or a function that makes one, not {shown(self.client)}")

    def _check_timeouts(self) -> None:
        for setting in ("timeout_seconds", "connect_timeout_seconds"):
            seconds = getattr(self, setting)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 86_400:
                raise ConfigurationError(f"timeouts must be positive numbers of seconds, a day at most, {setting} is {shown(seconds)}")

    def _check_mappings(self) -> None:
        for setting in ("retention", "reap_after", "reap_retries", "sampled"):
            if not isinstance(getattr(self, setting), Mapping):
                raise ConfigurationError(f"{setting} must be a mapping, not {shown(getattr(self, setting))}")

    def _check_retention(self) -> None:
        for key, kept in self.retention.items():
            if not isinstance(key, str) or (key != "*" and not key.startswith("name:") and key not in set(State)):
                raise ConfigurationError(f"retention knows state names, 'name:<job name>' and '*', not {shown(key)}{_nearest_kept(key)}")
            if kept is not None and (not isinstance(kept, timedelta) or kept <= timedelta(0)):
                raise ConfigurationError(f"retention[{key!r}] must be a positive timedelta or None, not {shown(kept)}")

    def _check_tracking(self) -> None:
        if isinstance(self.untracked, str) or not isinstance(self.untracked, Collection):
            raise ConfigurationError(f"untracked must be a set of job names, not {shown(self.untracked)}")
        for name, share in self.sampled.items():
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ConfigurationError(f"sampled[{name!r}] must be a share from 0 to 1, not {shown(share)}")

    def _check_reaping(self) -> None:
        for name, silence in self.reap_after.items():
            if not isinstance(silence, timedelta) or silence < self.stale_after:
                least = f"a timedelta of at least stale_after ({self.stale_after})"
                raise ConfigurationError(f"reap_after[{name!r}] must be {least}, not {silence!r}")
        for name, times in self.reap_retries.items():
            if isinstance(times, bool) or not isinstance(times, int) or times < 0:
                raise ConfigurationError(f"reap_retries[{name!r}] must be a whole number from 0, not {times!r}")

    def _check_metrics(self) -> None:
        if not isinstance(self.metrics, bool):
            raise ConfigurationError(f"metrics must be True or False, not {shown(self.metrics)}")
        roles = self.metrics_roles
        texts = not isinstance(roles, Mapping) or all(isinstance(text, str) for pair in roles.items() for text in pair)
        if not (isinstance(roles, Mapping) or callable(roles)) or not texts:
            raise ConfigurationError(f"metrics_roles must be a mapping of worker name to role, or a function, not {shown(roles)}")


def _nearest_kept(key: object) -> str:
    """The key of `retention` that was meant, with the job name that was given."""
    kind, colon, name = key.partition(":") if isinstance(key, str) else ("", "", "")
    return nearest(f"{kind}:{name}" if colon else kind, [f"name:{name}"] if colon else [*map(str, State), "*"])


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def make(**settings: Any) -> Config:
    """A Config of `settings`; ConfigurationError names an unknown key and the nearest known one."""
    known = [f.name for f in fields(Config)]
    for key in settings:
        if key not in known:
            raise ConfigurationError(f"unknown setting {key!r}{nearest(key, known)}")
    return Config(**settings)
