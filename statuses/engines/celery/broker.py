"""What stands in the broker's queues: read in one round trip where the broker is a Redis, in one a queue where it is a RabbitMQ or anything
else that Celery speaks to. Never asks a worker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import kombu.exceptions

from ..answering import TIMEOUT_SECONDS, Patience

T = TypeVar("T")

#: Messages that workers hold, of which it is read whose they are; where there are more nobody looks.
MOST_HELD = 10_000
#: As the Redis transport calls them, and as the AMQP one does.
_LIMITS = {
    "socket_timeout": TIMEOUT_SECONDS,
    "socket_connect_timeout": TIMEOUT_SECONDS,
    "max_retries": 0,
    "read_timeout": TIMEOUT_SECONDS,
    "write_timeout": TIMEOUT_SECONDS,
}


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Messages that no worker holds yet, and those that workers hold and have not acknowledged."""

    waiting: dict[str, int]
    """By queue; 0 where there is no such queue. One that there was no time to ask about is not in it."""
    held: int | None
    """In all queues together; None where the broker does not say."""
    missing: frozenset[str] = frozenset()
    """Queues that are not there, of a RabbitMQ that says so; a Redis makes none between a queue that is not there and an empty one."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    ids: frozenset[str] | None


def _id_of(value: bytes | str) -> str | None:
    """Celery's id of a message as kombu keeps it for who holds it, empty for one that is none of Celery's; None: it cannot be read."""
    try:
        message = json.loads(value)[0]
        return str(message["headers"].get("id") or message["properties"].get("correlation_id") or "")
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


def _says_there_is_none(error: Exception) -> bool:
    """Whether RabbitMQ has no such queue. One whose node is down is not found either, and has its messages."""
    return str(getattr(error, "reply_code", "")) == "404" and "no queue" in str(getattr(error, "reply_text", ""))


class Broker:
    """The broker of one app, for looking at it. Safe with threads."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._patience = Patience()
        self._connection: Any = None

    def lengths(self, queues: Sequence[str]) -> Lengths | None:
        """How many messages wait in each queue; None where the broker is away. Waits at most two seconds, and ten seconds long not at all
        after it waited in vain."""
        return self._look(lambda: self._read(queues))

    def held(self) -> frozenset[str] | None:
        """Celery's ids of the messages that workers hold and have not acknowledged, of a broker that is a Redis and counted some. None
        where it is away, where there are too many to be read within a second, or where one cannot be read. Waits as long as `lengths`."""
        found = self._look(self._read_held)
        return found.ids if found is not None else None

    def bound(self, exchanges: Collection[str]) -> dict[str, set[str]] | None:
        """The queues that each of these exchanges of a Redis leads to, whatever the key; None where it is away. Waits as long as `lengths`.
        One round trip for each."""
        return self._look(lambda: self._read_bound(exchanges))

    def _look(self, read: Callable[[], T]) -> T | None:
        return self._patience.ask(lambda: self._ask(read), lambda: self._connection is not None)

    def _ask(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except (kombu.exceptions.KombuError, OSError):
            self._close()
        except Exception as error:
            # redis-py's errors have no common root with kombu's; what is no connection error is a fault of ours.
            if not isinstance(error, self._errors()):
                raise
            self._close()
        return None

    @contextmanager
    def ordering(self) -> Generator[Any]:
        """A connection for one message to workers. The app's own would try to connect for ever, and a person waits.
        Raises: kombu's OperationalError."""
        with self.app.connection_for_write(transport_options=dict(_LIMITS), connect_timeout=TIMEOUT_SECONDS) as connection:
            connection.ensure_connection(max_retries=0, timeout=TIMEOUT_SECONDS)
            try:
                yield connection
            except (*connection.connection_errors, *connection.channel_errors) as error:
                raise kombu.exceptions.OperationalError(str(error)) from error

    def _read(self, queues: Sequence[str]) -> Lengths:
        connection = self._connected()
        if connection.transport.driver_type != "redis":
            return self._declared(connection, queues)
        channel = connection.default_channel
        steps = channel.priority_steps
        with channel.client.pipeline(transaction=False) as pipe:
            for queue in queues:
                for step in steps:
                    pipe.llen(channel._q_for_pri(queue, step))
            pipe.hlen(channel.unacked_key)
            *sizes, held = pipe.execute()
        each = [sizes[at : at + len(steps)] for at in range(0, len(sizes), len(steps))]
        return Lengths(waiting={queue: sum(part) for queue, part in zip(queues, each, strict=True)}, held=held)

    def _read_held(self) -> _Held:
        """By the commands that kombu itself reads them with: it writes its prefix of keys before no others."""
        channel, deadline = self._connected().default_channel, time.monotonic() + TIMEOUT_SECONDS
        client, ids = channel.client, set()
        tags = client.zrange(channel.unacked_index_key, 0, MOST_HELD)
        if not 0 < len(tags) <= MOST_HELD:
            return _Held(ids=None)
        for start in range(0, len(tags), 100):
            with client.pipeline(transaction=False) as pipe:
                for tag in tags[start : start + 100]:
                    pipe.hget(channel.unacked_key, tag)
                found = [_id_of(value) for value in pipe.execute() if value is not None]
            if None in found or time.monotonic() > deadline:
                return _Held(ids=None)
            ids.update(found)
        return _Held(ids=frozenset(ids))

    def _read_bound(self, exchanges: Collection[str]) -> dict[str, set[str]]:
        channel = self._connected().default_channel
        return {exchange: {queue for _, _, queue in channel.get_table(exchange)} for exchange in exchanges}

    def _declared(self, connection: Any, queues: Sequence[str]) -> Lengths:
        """As the broker answers to the declaration of a queue that makes none."""
        found: dict[str, int] = {}
        missing = set()
        deadline = time.monotonic() + TIMEOUT_SECONDS
        channel = connection.channel()
        for queue in queues:
            if time.monotonic() > deadline:
                break
            try:
                found[queue] = channel.queue_declare(queue=queue, passive=True).message_count
            except connection.channel_errors as error:  # there is none, or it is somebody's alone; that closes the channel
                found[queue] = 0
                if _says_there_is_none(error):
                    missing.add(queue)
                channel = connection.channel()
        channel.close()
        # Of several addresses the others may be other brokers.
        is_sure = connection.transport.driver_type == "amqp" and len(connection.alt) < 2
        return Lengths(waiting=found, held=None, missing=frozenset(missing if is_sure else ()))

    def _connected(self) -> Any:
        if self._connection is None:
            # No heartbeat: nobody would give one between two looks, and RabbitMQ would close the line.
            self._connection = self.app.connection_for_read(transport_options=dict(_LIMITS), connect_timeout=TIMEOUT_SECONDS, heartbeat=0)
            self._connection.ensure_connection(max_retries=0, timeout=TIMEOUT_SECONDS, reraise_as_library_errors=False)
        return self._connection

    def _errors(self) -> tuple[type[BaseException], ...]:
        found = self._connection
        return (*found.connection_errors, *found.channel_errors) if found is not None else ()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.collapse() if hasattr(connection, "collapse") else connection.release()
