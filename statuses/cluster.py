"""A Redis Cluster as the store speaks to it: every family in one slot, wherever that slot is at the moment."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis
from redis.cluster import RedisCluster

from .errors import let_through

#: What a node answers while a slot moves; over once it has moved.
_MOVING = (
    redis.exceptions.AskError,
    redis.exceptions.MovedError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
    # What the client makes of them when it has asked often enough.
    redis.exceptions.ClusterError,
)
#: Seconds between two looks at a slot that moves.
_PAUSE_SECONDS = 0.02
#: What `Cluster` decides itself, and what belongs to another client's life.
_NOT_TAKEN_OVER = {"host", "port", "retry", "redis_connect_func", "encoding", "encoding_errors", "connection_pool", "cache", "cache_config"}
_NOT_TAKEN_OVER |= {"event_dispatcher", "maint_notifications_config", "himport_registry", "db", "path", "unix_socket_path"}


def is_cluster(client: object) -> bool:
    """Whether a redis-py client speaks to a cluster."""
    return isinstance(client, RedisCluster)


class Cluster:
    """The clients of a cluster's nodes. A command that a node did not answer is never repeated by itself."""

    def __init__(self, client: RedisCluster, tags: Sequence[str], timeout_seconds: float) -> None:
        self.client = client
        self._tags = tags
        self._timeout = timeout_seconds

    @classmethod
    def of_url(cls, url: str, tags: Sequence[str], timeout_seconds: float, options: dict[str, Any]) -> "Cluster":
        """The cluster that has a node at `url`."""
        return cls(RedisCluster.from_url(url, **options), tags, timeout_seconds)

    @classmethod
    def like(cls, given: RedisCluster, tags: Sequence[str], timeout_seconds: float, options: dict[str, Any]) -> "Cluster":
        """A client of our own to the cluster that `given` speaks to."""
        kept = {name: value for name, value in given.nodes_manager.connection_kwargs.items() if name not in _NOT_TAKEN_OVER}
        nodes = [redis.cluster.ClusterNode(node.host, node.port) for node in given.get_nodes()]
        return cls(RedisCluster(startup_nodes=nodes, **{**kept, **options}), tags, timeout_seconds)

    def replies(self, commands: Iterable[Sequence[Any]]) -> list[Any]:
        """The replies to commands, in one round trip to each node that is asked. Waits for a slot that moves."""
        replies = self.said(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def said(self, commands: Iterable[Sequence[Any]]) -> list[Any]:
        """The same, an error in its place."""
        asked = list(commands)
        replies: list[Any] = [None] * len(asked)
        left = list(range(len(asked)))
        deadline = time.monotonic() + self._timeout
        while left:
            pipe = self.client.pipeline()
            for at in left:
                pipe.execute_command(*asked[at], **self._target(asked[at]))
            for at, reply in zip(left, pipe.execute(raise_on_error=False), strict=True):
                replies[at] = reply
            left = [at for at in left if isinstance(replies[at], _MOVING) and time.monotonic() < deadline]
            if left:
                time.sleep(_PAUSE_SECONDS)
        return replies

    def in_order(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The same, each node's in their order, and none twice: of what a node refused the client's own pipeline asks again after all
        others. Commands name their first key first. One round trip to each node, one after the other."""
        by_node: dict[Any, list[int]] = {}
        for at, command in enumerate(commands):
            by_node.setdefault(self.client.get_node_from_key(command[1]), []).append(at)
        replies: list[Any] = [None] * len(commands)
        for node, places in by_node.items():
            try:
                found = self.said_by(node, [commands[at] for at in places])
            except redis.ConnectionError as error:
                let_through(error)
                found = [error] * len(places)
            for at, reply in zip(places, found, strict=True):
                replies[at] = reply
        return replies

    def primaries(self) -> list[Any]:
        """The nodes that are written to, by their address. Source: what is known of the cluster, nothing is asked."""
        return sorted(self.client.get_primaries(), key=lambda node: (node.host, node.port))

    def look_again(self) -> None:
        """Ask the nodes who they are now."""
        self.client.nodes_manager.initialize()

    def said_by(self, node: Any, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """The replies of one node, an error in its place; one round trip."""
        pipe = self.client.get_redis_connection(node).pipeline(transaction=False)
        for command in commands:
            pipe.execute_command(*command)
        return pipe.execute(raise_on_error=False)

    def transaction(self, commands: Iterable[Sequence[Any]]) -> list[Any]:
        """The replies to commands on keys of one family, all of one moment."""
        asked = list(commands)

        def run() -> list[Any]:
            node = self.client.get_node_from_key(asked[0][1])
            pipe = self.client.get_redis_connection(node).pipeline(transaction=True)
            for command in asked:
                pipe.execute_command(*command)
            try:
                return pipe.execute()
            except _MOVING:
                self.look_again()
                raise

        return self._patiently(run)

    def evalsha(self, sha: str, text: Callable[[], str], keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script on the node that has its keys, sent there first where it is not known."""

        def run() -> Any:
            try:
                return self.client.execute_command("EVALSHA", sha, len(keys), *keys, *arguments)
            except redis.exceptions.NoScriptError:
                self.client.execute_command("SCRIPT LOAD", text(), target_nodes=RedisCluster.PRIMARIES)
                return self.client.execute_command("EVALSHA", sha, len(keys), *keys, *arguments)

        return self._patiently(run)

    def _patiently(self, run: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return run()
            except _MOVING:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_PAUSE_SECONDS)

    def _target(self, command: Sequence[Any]) -> dict[str, Any]:
        """Where a command goes of which the client does not know: a SCAN to the node of the family it looks for, MEMORY to that of its
        key, others without keys to that of the first."""
        if command[0] == "SCAN":
            tag = str(command[list(command).index("MATCH") + 1]).rstrip("*")
        elif command[0] in ("TIME", "INFO", "CONFIG", "PING", "DBSIZE"):
            tag = self._tags[0]
        elif command[0] == "MEMORY":
            tag = str(command[2])
        else:
            return {}
        return {"target_nodes": self.client.get_node_from_key(tag)}

    def close(self) -> None:
        """Give the connections back that nobody uses."""
        for node in self.client.get_nodes():
            if node.redis_connection is not None:
                node.redis_connection.connection_pool.disconnect(inuse_connections=False)
