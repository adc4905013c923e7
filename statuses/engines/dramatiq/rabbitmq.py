"""Dramatiq's own broker, RabbitMQ: what stands in its queues, sending to it with a limit, and how a worker leaves a queue alone.

Imported only where a broker is of that kind.
"""

from __future__ import annotations

import contextvars
import copy
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from dramatiq.brokers.rabbitmq import RabbitmqBroker, _RabbitmqConsumer
from dramatiq.errors import ConnectionClosed
from dramatiq.worker import ConsumerThread
from pika import SelectConnection
from pika.adapters.select_connection import IOLoop
from pika.exceptions import AMQPChannelError, AMQPConnectionError, ChannelClosedByBroker

from ... import forks
from ..answering import ANSWER_SECONDS, TIMEOUT_SECONDS, Patience

_Asked = tuple[Callable[[], object], "Future[None]"]

#: Seconds between two looks of a consumer that lets its messages end whether it shall take from its queue again.
LOOK_SECONDS = 0.1
#: What Dramatiq expects of a connection that is lost.
_LOST = (AssertionError, AMQPConnectionError, AMQPChannelError)
#: What RabbitMQ says of a queue that is not there.
NOT_FOUND = 404


class Depths:
    """Looks at a broker on a line of its own, whose patience is ours and not the project's. Safe with threads, which take turns, and
    after a fork."""

    def __init__(self, broker: RabbitmqBroker) -> None:
        self.broker = broker
        self._patience = Patience()
        self._line: _Line | None = None

    def of(self, queues: Sequence[str]) -> dict[str, int]:
        """How many messages wait in each queue that no worker has; 0 where there is no such queue. One that the broker does not tell of,
        or that there was no time to ask about, is not in it. Waits at most two seconds, and ten seconds long not at all after it
        waited in vain.  One round trip a queue, some more for the first look of a process."""
        found = self._patience.ask(lambda: self._ask(queues), self._is_kept) if queues else None
        return found or {}

    def _is_kept(self) -> bool:
        if self._line is not None and self._line.pid != os.getpid():
            self._line = None  # who forked this process talks on it
        return self._line is not None

    def _ask(self, queues: Sequence[str]) -> dict[str, int]:
        line = self._line = self._line or _Line(self.broker.parameters)
        line.ask(queues)
        if not line.is_good:
            line.close()
            self._line = None
        return line.found


class _Line:
    """A connection that lives while somebody asks, and is only held in between: nobody would give its heartbeats then, so there are none.

    Not pika's blocking one, which waits for an answer as long as that takes."""

    def __init__(self, parameters: Any) -> None:
        self.pid = os.getpid()
        self.parameters = [_impatient(each) for each in (parameters if isinstance(parameters, list) else [parameters])]
        self.found: dict[str, int] = {}
        self.is_good = False
        self._loop = IOLoop()
        self._connection: Any = None
        self._channel: Any = None
        self._left: Iterator[str] = iter(())
        self._asked = ""

    def ask(self, queues: Sequence[str]) -> None:
        """Leaves in `found` what the broker says of these queues, in `is_good` whether it may be asked again on this line."""
        self.found, self._left, self.is_good = {}, iter(queues), False
        timer = self._loop.call_later(TIMEOUT_SECONDS, self._loop.stop)
        if self._connection is None:
            SelectConnection.create_connection(self.parameters, self._connected, custom_ioloop=self._loop)
        elif self._connection.is_open:
            self._next()
        else:
            return
        self._loop.start()
        self._loop.remove_timeout(timer)

    def close(self) -> None:
        """Of no use any more; a socket that still waits for an answer goes with this object."""
        self._loop.close()

    def _connected(self, result: Any) -> None:
        if isinstance(result, BaseException):
            self._loop.stop()
            return
        self._connection = result
        result.add_on_close_callback(lambda *_: self._loop.stop())
        self._next()

    def _next(self) -> None:
        if self._channel is None:
            self._connection.channel(on_open_callback=self._opened)
            return
        queue = next(self._left, None)
        if queue is None:
            self.is_good = True
            self._loop.stop()
            return
        self._asked = queue
        self._channel.queue_declare(queue, passive=True, callback=self._told)

    def _opened(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._refused)
        self._next()

    def _told(self, answer: Any) -> None:
        self.found[self._asked] = answer.method.message_count
        self._next()

    def _refused(self, _: Any, why: Exception) -> None:
        """Whatever it does not tell, it closes the channel for."""
        self._channel = None
        if isinstance(why, ChannelClosedByBroker):
            if why.reply_code == NOT_FOUND:
                self.found[self._asked] = 0
            self._next()


def _impatient(parameters: Any) -> Any:
    made = copy.copy(parameters)
    made.connection_attempts = 1
    made.socket_timeout = made.stack_timeout = TIMEOUT_SECONDS
    made.heartbeat, made.blocked_connection_timeout = 0, None
    return made


class Sender:
    """Sends for whoever cannot wait as long as pika does: for minutes, where a broker hangs. It does so in a thread of its own, whose
    connection stays: one for all threads that serve pages. Safe with threads, which take turns, and after a fork."""

    def __init__(self, broker: RabbitmqBroker) -> None:
        self.broker = broker
        self._lock = forks.lock()
        self._thread: threading.Thread | None = None
        self._asked: SimpleQueue[_Asked] = SimpleQueue()
        self._answer: Future[None] | None = None

    def send(self, message: Any) -> None:
        """Enqueue the message. Raises: what that raises; TimeoutError where it takes longer than ANSWER_SECONDS, after which it may be sent
        all the same, and at once while an earlier message has no answer yet."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                asked: SimpleQueue[_Asked] = SimpleQueue()
                self._asked, self._answer = asked, None
                self._thread = threading.Thread(target=_send, args=(asked,), name="statuses-sending", daemon=True)
                self._thread.start()
            if self._answer is not None and not self._answer.done():
                raise TimeoutError("its broker has not answered to an earlier message yet")
            answer = self._answer = Future()
            around = contextvars.copy_context()  # other middleware may look at what its caller has set
            self._asked.put((lambda: around.run(self.broker.enqueue, message), answer))
            try:
                answer.result(ANSWER_SECONDS)
            except TimeoutError:
                raise TimeoutError(f"its broker did not answer for {ANSWER_SECONDS:g} s") from None


def _send(asked: SimpleQueue[_Asked]) -> None:
    while True:
        enqueue, answer = asked.get()
        try:
            enqueue()
            answer.set_result(None)
        except BaseException as error:
            answer.set_exception(error)


def let_end(broker: Any) -> None:
    """Let each consumer of a worker that pauses end what it has taken before it goes."""
    original = broker.consume

    @functools.wraps(original)
    def consume(*args: Any, **kwargs: Any) -> Any:
        consumer, thread = original(*args, **kwargs), threading.current_thread()
        if isinstance(consumer, _RabbitmqConsumer) and isinstance(thread, ConsumerThread):
            timeout = kwargs.get("timeout", args[2] if len(args) > 2 else 5000)
            return Ending(consumer, thread, timeout / 1000)
        return consumer

    broker.consume = consume


class Ending:
    """A consumer that takes no more as soon as its thread is paused, and ends once all it has handed out has.

    Dramatiq's own ends when no message has come for a second, which in a busy queue is never, and takes its connection along: RabbitMQ
    then hands out again whatever runs or was taken ahead, and it runs twice."""

    def __init__(self, consumer: _RabbitmqConsumer, thread: ConsumerThread, timeout_seconds: float) -> None:
        self._consumer, self._thread, self._timeout_seconds = consumer, thread, timeout_seconds
        self.takes = True
        """Whether it gets messages."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def __iter__(self) -> Ending:
        return self

    def __next__(self) -> Any:
        if not self._thread.paused:
            message = next(self._consumer)
            if message is not None or not self._thread.paused:
                return message
        try:
            self._end()
        except _LOST as error:
            raise ConnectionClosed(error) from None
        return None

    def close(self) -> None:
        """Called by its thread where it goes; also where it was paused in the moment after `__next__`."""
        if self.takes and self._thread.paused:
            with suppress(*_LOST):
                self._end()
        self._consumer.close()

    def _end(self) -> None:
        consumer = self._consumer
        consumer.channel.cancel()  # what came and was not handed out yet goes back
        self.takes = False
        while consumer.known_tags and self._thread.paused and self._thread.running:
            consumer.connection.process_data_events(time_limit=LOOK_SECONDS)
        if self._thread.paused:
            # The last one is told of as acknowledged a moment before it is.
            consumer.connection.process_data_events(time_limit=LOOK_SECONDS)
        else:
            consumer.iterator = consumer.channel.consume(consumer.queue_name, inactivity_timeout=self._timeout_seconds)
            self.takes = True
