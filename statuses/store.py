"""The one place that speaks to Redis: clients, and scripts by name."""

import os
import secrets
import time
import weakref
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from . import forks, keys
from .along import Along
from .cluster import Cluster, is_cluster
from .config import Config
from .errors import ConfigurationError, StoreFormat
from .lines import Lines
from .lua import source
from .refusals import ELSEWHERE, RAISED, is_fault, is_forbidden, translated

try:
    from redis.maint_notifications import MaintNotificationsConfig as _Maintenance
except ImportError:  # before version 7 nobody wants to hear of that
    _Maintenance = None

if TYPE_CHECKING:
    from .metrics import Recorder

#: The layout of the keys; a store that says a higher one is refused.
FORMAT = 1
#: Seconds after which a process that writes looks again whether the store is one that it knows: those of an older version may still run.
LOOK_SECONDS = 15.0
#: Bytes read from the socket at once: replies of readers are hundreds of kilobytes.
READ_SIZE = 1 << 20

#: Commands about the server itself: who runs one for others may refuse them in words of their own.
_ABOUT = ("INFO", "CONFIG", "MEMORY")
#: Stands for the reply to a command that may not be given.
FORBIDDEN: Any = object()

Command = Sequence[Any]
#: Keys and arguments of a script.
ScriptCall = tuple[Sequence[str], Sequence[Any]]


class Store:
    """One namespace in one Redis. Safe with threads, and after a fork (each process has its own connections).

    Two clients: `writer` never repeats a command by itself (a create whose reply was lost would make
    two jobs), `reader` may, and may speak to a replica."""

    def __init__(self, config: Config) -> None:
        self.config = config
        _stores.add(self)
        self._look_at = 0.0
        self.recorder: Recorder | None = None
        """What counts what jobs do; None where nobody wants that."""
        self.current: dict[int, int] = {}
        """Family -> the segment that took the last new row: a hint, every script checks it."""

    @cached_property
    def families(self) -> tuple[str, ...]:
        """The hash tag of each family, by number."""
        return tuple(keys.family(self.config.namespace, number) for number in range(self.config.families))

    @property
    def made(self) -> "list[redis.Redis | Cluster]":
        """The clients that were made so far, the one that writes first: to make one may mean to ask a server."""
        return [client for name in ("writer", "reader") if (client := self.__dict__.get(name)) is not None]

    def some_family(self) -> int:
        """The number of a family for new jobs that have no ids of their own: any, each as often."""
        return secrets.randbelow(len(self.families)) if len(self.families) > 1 else 0

    @cached_property
    def writer(self) -> redis.Redis | Cluster:
        return self._client(self.config.url, retries=0, read_size=65536)

    @cached_property
    def is_cluster(self) -> bool:
        """Whether slots may move while one writes: then a script's caller declares every key that it touches."""
        return isinstance(self.writer, Cluster)

    @cached_property
    def reader(self) -> redis.Redis | Cluster:
        return self._client(self.config.read_url or self.config.url, retries=1, read_size=READ_SIZE)

    @cached_property
    def _writing(self) -> Lines:
        return Lines(self.writer)

    @cached_property
    def _reading(self) -> Lines:
        return Lines(self.reader)

    def _lines(self, primary: bool) -> Lines:
        if primary:
            return self._writing
        # Whoever reads finds what he wrote before.
        self._writing.tell()
        return self._reading

    def _client(self, url: str | None, *, retries: int, read_size: int) -> redis.Redis | Cluster:
        options: dict[str, Any] = {
            "socket_timeout": self.config.timeout_seconds,
            "socket_connect_timeout": self.config.connect_timeout_seconds,
            "retry": Retry(NoBackoff(), retries, supported_errors=(redis.ConnectionError,)),
            "decode_responses": False,
            "socket_read_size": read_size,
            "health_check_interval": 0,
        }
        given = self.config.client
        if given is not None and not (retries and self.config.read_url):
            found = given() if callable(given) and not (hasattr(given, "connection_pool") or is_cluster(given)) else given
            if is_cluster(found):
                options |= _introduction(found.nodes_manager.connection_kwargs)
                return Cluster.like(found, self.families, self.config.timeout_seconds, _of_nodes(options))
            return _like(found, options | _introduction(found.connection_pool.connection_kwargs))
        if not url:
            raise ConfigurationError("statuses needs a Redis: call statuses.configure(url=...) or client=...")
        if url.startswith("unix://"):
            options = _for_socket(options)
        try:
            options |= _introduction(redis.connection.parse_url(url))
            if self.config.cluster:
                return Cluster.of_url(url, self.families, self.config.timeout_seconds, _of_nodes(options))
            return redis.Redis.from_url(url, **options)
        except ValueError as error:
            raise ConfigurationError(f"url {url!r} is not redis://, rediss:// or unix://: {error}") from None

    def read(self, *command: Any) -> Any:
        """The reply to one reading command, from the primary: for what is no answer of a query."""
        return self.pipeline([command], primary=True)[0]

    def pipeline(self, commands: Iterable[Command], *, primary: bool = False) -> list[Any]:
        """The replies to reading commands, in one round trip; not atomic between commands."""
        with translated("a read"):
            client = self.writer if primary else self.reader
            if isinstance(client, Cluster):
                return client.replies(commands)
            return _raised(self._lines(primary).calls([*commands], again=True))

    def in_order(self, commands: Sequence[Command]) -> list[Any]:
        """As `pipeline`, for commands whose order matters: each server executes its own one after the other, and none of them is asked a
        second time by itself. An error in its place, where a node of a cluster refuses a command or is away."""
        if not isinstance(self.reader, Cluster):
            return self.pipeline(commands)
        with translated("a read"):
            return self.reader.in_order(commands)

    def permitted(self, commands: Sequence[Command], *, primary: bool = True) -> list[Any]:
        """The replies to reading commands, in one round trip; `FORBIDDEN` for one that this user may not give, or that the server does
        not know, as some who run one for others have taken INFO, CONFIG and MEMORY away."""
        with translated("a read"):
            client = self.writer if primary else self.reader
            replies = client.said(commands) if isinstance(client, Cluster) else self._lines(primary).calls([*commands], again=True)
            return _permitted(commands, replies)

    def permitted_by(self, node: Any, commands: Sequence[Command]) -> list[Any]:
        """The same from one node of a cluster."""
        assert isinstance(self.writer, Cluster)
        with translated("a read"):
            return _permitted(commands, self.writer.said_by(node, commands))

    def transaction(self, commands: Iterable[Command]) -> list[Any]:
        """The replies to commands on keys of one family, from the primary, all of one moment; one round trip, and none is sent twice."""
        with translated("a read"):
            if isinstance(self.writer, Cluster):
                return self.writer.transaction(commands)
            self._writing.tell()
            pipe = self.writer.pipeline(transaction=True)
            for command in commands:
                pipe.execute_command(*command)
            return pipe.execute()

    def script(self, name: str, script_keys: Sequence[str], arguments: Sequence[Any], *, primary: bool = True) -> Any:
        """Run `lua/<name>.lua`, atomic, one round trip. For scripts that may be applied twice without harm:
        sent a second time when the connection was lost or the server became a replica, not when the time ran out."""
        with translated(name):
            try:
                return self._evalsha(name, script_keys, arguments, primary)
            except ELSEWHERE as error:
                self._leave(error, primary)
                return self._evalsha(name, script_keys, arguments, primary)

    def script_once(self, name: str, script_keys: Sequence[str], arguments: Sequence[Any], retry_flag: int) -> Any:
        """Like `script`, and the second sending has `arguments[retry_flag]` = "1", which tells the script
        to look first whether the first one arrived."""
        try:
            return self._evalsha(name, script_keys, arguments)
        except RAISED as error:
            return self._once_more(error, name, script_keys, arguments, retry_flag)

    def start_once(self, script_keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """As `script_once` with `start`; where an end in the same segment waits to be said with something else, both are one script."""
        lines = self.__dict__.get("_writing")
        taken: list[Along] = []
        try:
            if lines is not None and len(arguments) == 1:
                lines.next_along(script_keys[0], taken)
            if taken:
                return self._relay(taken, script_keys, arguments)
        except BaseException as error:  # whoever is interrupted leaves no end in nobody's hand
            for along in taken:
                along.heard(error)
            raise
        return self.script_once("start", script_keys, arguments, 0)

    def _relay(self, taken: "list[Along]", script_keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """`taken`: the end; empty once it has heard what came of it."""
        try:
            reply = self._evalsha("relay", script_keys, (*taken[0].said(), *arguments))
        except RAISED as error:
            taken[0].heard(error)
            taken.clear()
            if isinstance(error, redis.RedisError) and is_fault(error):  # of which of the two, each hears when it is said by itself
                return self.script_once("start", script_keys, source.again(arguments, 0), 0)
            return self._once_more(error, "start", script_keys, arguments, 0)
        is_start = not isinstance(reply, list) or len(reply) > 1
        taken[0].heard(1 if is_start else reply[0])
        taken.clear()
        return reply if is_start else self.script_once("start", script_keys, arguments, 0)

    def piggyback(self, name: str, script_keys: Sequence[str], arguments: Sequence[Any], then: Callable[[Any], None]) -> None:
        """Like `script_once` with `move` or `finish`, together with what is said to the primary next, before it and in the same round
        trip, or with `tell`; so is the second sending. The script learns for how long it was kept. `then` gets the reply, or
        StoreUnavailable or ScriptFailed. Not on a cluster. No round trip."""
        self._writing.piggyback(Along(self, name, script_keys, arguments, then))

    def tell(self) -> None:
        """Say now what waits to be said with something else, and count what became of it where that is wanted. Never raises. One round
        trip where anything waits, one for each that counts."""
        while self._writing.tell():
            pass
        if self.recorder is not None:
            self.recorder.count_noted()

    def _once_more(self, error: Exception, name: str, script_keys: Sequence[str], arguments: Sequence[Any], retry_flag: int) -> Any:
        with translated(name):
            if not isinstance(error, ELSEWHERE):
                raise error
            self._leave(error)
            return self._evalsha(name, script_keys, source.again(arguments, retry_flag))

    def scripts_once(self, name: str, calls: Iterable[ScriptCall], retry_flag: int) -> Generator[Any, None, None]:
        """The replies of `script_once` for each of (keys, arguments), in their order. The next call is on its way before the reply to
        one is waited for, so that the server never waits for us; two are at once, each on a line of its own."""
        if self.is_cluster:
            yield from (self.script_once(name, *call, retry_flag) for call in calls)
            return
        waiting: deque[tuple[ScriptCall, Any]] = deque()

        def next_reply() -> Any:
            call, line = waiting.popleft()
            try:
                return self._reply(name, call, line)
            except RAISED as error:
                return self._once_more(error, name, *call, retry_flag)

        try:
            for call in calls:
                waiting.append((call, self._sent(name, call)))
                if len(waiting) == 2:
                    yield next_reply()
            while waiting:
                yield next_reply()
        finally:
            for _, line in waiting:
                if not isinstance(line, Exception):
                    self._writing.abandon(line)

    def _sent(self, name: str, call: ScriptCall) -> Any:
        """The line on which a call is on its way; the error where it is not, for when its turn comes."""
        script_keys, arguments = call
        try:
            self._look(self.writer)
            return self._writing.send((source.evaluating(name, script_keys, arguments),))
        except redis.RedisError as error:
            return error

    def _reply(self, name: str, call: ScriptCall, line: Any) -> Any:
        try:
            reply = line if isinstance(line, Exception) else self._writing.receive(line)[0]
            if isinstance(reply, redis.exceptions.NoScriptError):
                return self._evalsha(name, *call)
            if isinstance(reply, Exception):
                raise reply
        except redis.ConnectionError:
            self._writing.drop()
            raise
        return reply

    def _evalsha(self, name: str, script_keys: Sequence[str], arguments: Sequence[Any], primary: bool = True) -> Any:
        client = self.writer if primary else self.reader
        if time.monotonic() >= self._look_at:  # as `_look` asks, too: every write of a job comes through here, and a function costs it more
            self._look(client)
        if isinstance(client, Cluster):
            return client.evalsha(source.sha(name), lambda: source.text(name), script_keys, arguments)
        lines = self._writing if primary else self._lines(primary)
        command = source.evaluating(name, script_keys, arguments)
        try:
            return lines.call(command)
        except redis.exceptions.NoScriptError:
            lines.call(("SCRIPT", "LOAD", source.text(name)))
            return lines.call(command)

    def _leave(self, error: Exception, primary: bool = True) -> None:
        """Lines to a primary that became a replica do not break by themselves; the address may lead to the new one."""
        client = self.writer if primary else self.reader
        if isinstance(error, redis.exceptions.ReadOnlyError) and isinstance(client, redis.Redis):
            (self._writing if primary else self._reading).drop()
            client.connection_pool.disconnect(inuse_connections=False)

    def scripts(self, name: str, calls: Sequence[ScriptCall], *, primary: bool = True) -> list[Any]:
        """The replies of one script run for each of (keys, arguments), in one round trip (two the first time); each
        atomic by itself. For scripts that may be applied twice without harm."""
        if len(calls) == 1:
            return [self.script(name, *calls[0], primary=primary)]
        with translated(name):
            if isinstance(self.writer if primary else self.reader, Cluster):
                return [self._evalsha(name, script_keys, arguments, primary) for script_keys, arguments in calls]
            self._look(self.writer if primary else self.reader)
            lines, commands = self._lines(primary), [source.evaluating(name, *call) for call in calls]
            try:
                return _raised(lines.calls(commands))
            except redis.exceptions.NoScriptError:
                lines.call(("SCRIPT", "LOAD", source.text(name)))
            except ELSEWHERE as error:
                self._leave(error, primary)
            return _raised(lines.calls(commands))

    def check(self, format: int | bytes | None, families: int | bytes | None) -> None:
        """StoreFormat when the store was written in a newer format than this library writes; ConfigurationError when it
        has another number of families than the configuration says. None: the store is not there yet."""
        if format is not None and int(format) > FORMAT:
            self._look_at = 0.0  # whoever saw it writes no more
            raise StoreFormat(int(format), FORMAT)
        if families is not None and int(families) != self.config.families:
            raise ConfigurationError(f"the store has {int(families)} families, the configuration says {self.config.families}")

    def check_layout(self, *, anew: bool = False) -> None:
        """`check` of what the store says itself, as every script does before it runs, unless that was looked at a moment ago (`anew`:
        also then). One round trip at most."""
        if anew:
            self._look_at = 0.0
        with translated("a read"):
            self._look(self.writer)

    def _look(self, client: redis.Redis | Cluster) -> None:
        if time.monotonic() < self._look_at:
            return
        asked = ("HMGET", keys.meta(self.families[0]), "format", "families")
        if isinstance(client, Cluster):
            found = client.replies([asked])[0]
        else:
            lines = self._writing if client is self.writer else self._reading
            found = _raised(lines.calls([asked], again=True))[0]
        self.check(*found)
        self._look_at = time.monotonic() + LOOK_SECONDS

    def leave(self) -> None:
        """Leave the connections to the parent of this process, untouched: to close a pool takes locks of its own, which a thread of
        the parent may have held at the fork."""
        _left.extend(self.__dict__.pop(name) for name in _CONNECTED if name in self.__dict__)
        self._look_at = 0.0
        if self.recorder is not None:
            self.recorder.leave()

    def close(self) -> None:
        """Give the connections back that nobody uses. A call of another thread that is on its way ends on its own, which goes when nobody
        holds it any more; who still has a status of this store connects anew."""
        if "_writing" in self.__dict__:
            self.tell()
        connected = [self.__dict__.pop(name, None) for name in _CONNECTED]
        for one in connected:
            if isinstance(one, Lines):
                one.drop()
            elif isinstance(one, Cluster):
                one.close()
            elif one is not None:
                one.connection_pool.disconnect(inuse_connections=False)


#: What of a store is connections, lines before the clients whose they are.
_CONNECTED = ("_writing", "_reading", "writer", "reader")


#: Eight bytes that name one write.
token: Callable[[], bytes] = partial(os.urandom, 8)


def _permitted(commands: Sequence[Command], replies: list[Any]) -> list[Any]:
    return _raised([FORBIDDEN if _is_forbidden(*said) else said[1] for said in zip(commands, replies, strict=True)])


def _is_forbidden(command: Command, reply: Any) -> bool:
    return is_forbidden(reply) or (command[0] in _ABOUT and isinstance(reply, Exception) and is_fault(reply))


def _raised(replies: list[Any]) -> list[Any]:
    """The replies; the first error among them is raised."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def _introduction(given: Collection[str]) -> dict[str, Any]:
    """What a connection says of itself unless that is given, which it would say anyhow: redis-py 7.2 and later read their version from
    the disk for each connection that is not told, which takes three times as long as all else."""
    if "DriverInfo" not in redis.__all__ or not {"driver_info", "lib_name", "lib_version"}.isdisjoint(given):
        return {}
    return {"driver_info": redis.DriverInfo()}


def _for_socket(options: dict[str, Any]) -> dict[str, Any]:
    """The same for a unix socket. With RESP3 redis-py 7.0 to 8.0.0 wants to hear of a server's maintenance there, and does not connect as
    a socket has no host."""
    more = {} if _Maintenance is None else {"maint_notifications_config": _Maintenance(enabled=False)}
    return {name: value for name, value in options.items() if name != "socket_read_size"} | more


def _of_nodes(options: dict[str, Any]) -> dict[str, Any]:
    """The same for the clients of a cluster's nodes; how often it asks them is its own affair: once."""
    kept = {name: value for name, value in options.items() if name != "health_check_interval"}
    kept["retry"] = Retry(NoBackoff(), 0)
    return kept if int(redis.__version__.split(".")[0]) > 5 else {**kept, "cluster_error_retry_attempts": 0}


def _like(client: redis.Redis, options: dict[str, Any]) -> redis.Redis:
    """A client to where `client` goes, with our time limits and without its retries and decoding."""
    pool: Any = client.connection_pool
    given = {k: v for k, v in pool.connection_kwargs.items() if k not in ("encoding", "encoding_errors")}
    if type(pool).__name__ == "SentinelConnectionPool":
        given = {**given, **options}
        given.pop("connection_pool", None)
        return redis.Redis(connection_pool=type(pool)(pool.service_name, pool.sentinel_manager, is_master=pool.is_master, **given))
    for name in ("retry_on_error", "retry_on_timeout", "event_dispatcher", "maint_notifications_config"):
        given.pop(name, None)
    if given.get("path"):
        options = _for_socket(options)
    made = redis.ConnectionPool(connection_class=pool.connection_class, **{**given, **options})
    return redis.Redis(connection_pool=made)


_lock = forks.lock()
_store: Store | None = None
_refused = ""
"""Why what was configured last cannot be; empty where it can."""
_stores: "weakref.WeakSet[Store]" = weakref.WeakSet()
#: Clients of the parent, in a forked child: kept, for what is collected closes itself.
_left: list[Any] = []


@forks.afterwards
def _leave_to_parent() -> None:
    for store in list(_stores):
        store.leave()


def use(config: Config) -> Store:
    """Make the store of `config` the one that `current()` gives from now on."""
    global _store, _refused
    with _lock:
        old, _store, _refused = _store, Store(config), ""
    if old is not None:
        old.close()
    return _store


def refuse(why: str) -> None:
    """Have no store, and say why whenever one is asked for, until something is configured."""
    global _store, _refused
    with _lock:
        _store, _refused = None, why


@contextmanager
def set_aside() -> Generator[None]:
    """Inside the block nothing is configured until somebody does; afterwards the store from before is current again."""
    global _store
    with _lock:
        before, _store = _store, None
    try:
        yield
    finally:
        with _lock:
            inside, _store = _store, before
        if inside is not None:
            inside.close()


def current() -> Store:
    """The configured store; without configuration the one at the environment's `REDIS_URL`."""
    if _store is None:
        if _refused:
            raise ConfigurationError(_refused)
        url = os.environ.get("REDIS_URL")
        if not url:
            raise ConfigurationError("statuses is not configured: call statuses.configure(url=...), or set REDIS_URL")
        return use(Config(url=url))
    return _store
