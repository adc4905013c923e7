"""A Dramatiq project."""

import os
import sys
from pathlib import Path
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as ResultsBackend

from statuses.engines import dramatiq as tracking
from statuses.engines import registry

from . import soon, work

client = redis.Redis(unix_socket_path=os.environ["TEST_BROKER"], db=4)


class Broker(RedisBroker):
    """Its consumers look for messages ten times a second; others come to look once a second where there is nothing to do."""

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Any:
        return super().consume(queue_name, prefetch, min(timeout, 100))


def connected() -> dramatiq.Broker:
    """A broker that nobody tracks yet: a RabbitMQ where one is named, else the Redis of the tests."""
    if url := os.environ.get("TEST_DRAMATIQ_RABBIT"):
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        return RabbitmqBroker(url=url)
    # A worker that is gone is noticed after a minute; here at once.
    soon = {"heartbeat_timeout": 1000, "maintenance_chance": 1_000_000} if os.environ.get("TEST_HANDED_OUT_AGAIN") else {}
    return Broker(client=client, **soon)


broker = connected()
broker.add_middleware(GroupCallbacks(RedisBackend(client=client)))
results = ResultsBackend(client=client)
broker.add_middleware(Results(backend=results, store_results=True))
dramatiq.set_broker(broker)
soon.configure()
if not os.environ.get("TEST_WITHOUT_ADAPTER"):
    tracking.install(broker, resources={"chapter_id": "Chapter"}, heartbeat_seconds=float(os.environ.get("TEST_HEARTBEAT", "0.5")))

actors = {
    function.__name__: dramatiq.actor(function, queue_name="main", max_retries=0, min_backoff=1, max_backoff=1) for function in work.ALL
}
for name in filter(None, os.environ.get("TEST_QUEUE", "").split(",")):
    broker.declare_queue(name)

#: Those that `send` sent, by their id.
sent: dict[str, Any] = {}

READY = "Worker process is ready for action"


def worker(name: str, queue: str) -> list[str]:
    """The command line of a worker."""
    # The queues it takes from are those that its own process declares.
    command = f"import os, sys; os.environ['TEST_QUEUE'] = {queue!r}; sys.argv[0] = 'dramatiq'; from dramatiq.cli import main; main()"
    return ["-c", command, __name__, "--processes", "1", "--threads", "2", "--queues", *queue.split(",")]


def command(name: str, queue: str) -> list[str]:
    """The command line that people write; it can be run again by the process itself."""
    return [
        str(Path(sys.executable).with_name("dramatiq")),
        __name__,
        "--path",
        ".",
        "--processes",
        "2",
        "--threads",
        "2",
        "--queues",
        queue,
    ]


def ready() -> None:
    """Nothing to set up."""


def send(task: str, *args: Any, to: str = "main", later: float = 0, retries: int = 0, user: str | None = None, **kwargs: Any) -> str:
    """Send a message; its id."""
    actor = actors[task]
    message = actor.message_with_options(args=args, kwargs=kwargs, max_retries=retries).copy(queue_name=to)
    with tracking.as_user(user):
        message = broker.enqueue(message, delay=int(later * 1000) or None)
    sent[message.message_id] = message
    return message.message_id


def is_over(id: str) -> bool:
    """Whether a result is kept, or an error; of a message that was sent from here."""
    return bool(client.exists(results.build_message_key(sent[id])))


def send_piped(first: int, second: int) -> str:
    """Send a pipeline; the id of its first message."""
    steps = dramatiq.pipeline([actors["add"].message(first, 1), actors["add"].message(second)])
    return steps.run().messages[0].message_id


def send_steps(*numbers: int) -> str:
    """Send a pipeline that adds one number after the other; the id of its first message."""
    first, *rest = numbers
    return (
        dramatiq.pipeline([actors["add"].message(first, 0), *(actors["add"].message(number) for number in rest)])
        .run()
        .messages[0]
        .message_id
    )


def send_group(*names: str, then: str = "", to: str = "main") -> list[str]:
    """Send a message for each name: one that stands at a gate of this name, the last one behind another; and, if so, one that
    follows all of them. Their ids, that of the last one's first step and of what follows at the end."""
    *single, last = [actors["gated"].message(name).copy(queue_name=to) for name in names]
    first = actors["add"].message_with_options(args=(1, 1), pipe_ignore=True).copy(queue_name=to)
    last = last.copy(options={"pipe_ignore": True})
    members = dramatiq.group([*single, dramatiq.pipeline([first, last])])
    after = actors["count"].message(then).copy(queue_name=to)
    if then:
        members.add_completion_callback(after)
    members.run()
    return [message.message_id for message in (*single, last, first, *([after] if then else []))]


def send_group_of_unreliable(name: str, then: str, to: str = "main") -> list[str]:
    """Send two messages, one of which fails the first time, and one that follows both; their ids."""
    made = [actors["add"].message(1, 1), actors["fail_first"].message(name, 1), actors["count"].message(then)]
    *members, after = [message.copy(queue_name=to) for message in made]
    made = dramatiq.group(members)
    made.add_completion_callback(after)
    made.run()
    return [message.message_id for message in (*members, after)]


def send_unknown() -> str:
    """Send a message for an actor that is not there."""
    return broker.enqueue(dramatiq.Message("main", "nobody", ("Book:1",), {}, {})).message_id


def send_expired(name: str) -> str:
    """Send a message that is too old by the time it is met."""
    message = actors["count"].message_with_options(args=(name,), max_age=1)
    return broker.enqueue(message, delay=100).message_id


def send_untracked(task: str, *args: Any) -> str:
    """Send a message as a publisher does that does not know of tracking."""
    return connected().enqueue(actors[task].message(*args)).message_id


@dramatiq.actor(queue_name="main", max_retries=0)
def with_child() -> str:
    return send("add", 1, 1)


def send_with_child() -> str:
    """Send an actor that sends another."""
    return with_child.send().message_id


def declare(queue: str) -> None:
    """Let this process know of the queue."""
    broker.declare_queue(queue)


def depths() -> dict[str, int | None]:
    """What the engine says of its queues."""
    engine = registry.get("dramatiq")
    assert engine is not None
    return {queue.name: queue.depth for queue in engine.queues()}
