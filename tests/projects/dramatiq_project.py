"""A Dramatiq project."""

import os
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

import statuses
from statuses.engines import dramatiq as tracking
from statuses.engines import registry

from . import work

client = redis.Redis(unix_socket_path=os.environ["TEST_BROKER"], db=4)
# A worker that is gone is noticed after a minute; here at once.
_soon = {"heartbeat_timeout": 1000, "maintenance_chance": 1_000_000} if os.environ.get("TEST_HANDED_OUT_AGAIN") else {}
broker = RedisBroker(client=client, **_soon)
dramatiq.set_broker(broker)
statuses.configure(url=os.environ["TEST_STORE"], namespace="contract", timeout_seconds=1.0, connect_timeout_seconds=1.0)
tracking.install(broker, resources={"chapter_id": "Chapter"}, heartbeat_seconds=float(os.environ.get("TEST_HEARTBEAT", "0.5")))

actors = {
    function.__name__: dramatiq.actor(function, queue_name="main", max_retries=0, min_backoff=1, max_backoff=1) for function in work.ALL
}
for name in filter(None, os.environ.get("TEST_QUEUE", "").split(",")):
    broker.declare_queue(name)

READY = "Worker process is ready for action"


def worker(name: str, queue: str) -> list[str]:
    """The command line of a worker."""
    # The queues it takes from are those that its own process declares.
    command = f"import os, sys; os.environ['TEST_QUEUE'] = {queue!r}; sys.argv[0] = 'dramatiq'; from dramatiq.cli import main; main()"
    return ["-c", command, __name__, "--processes", "1", "--threads", "2", "--queues", queue]


def ready() -> None:
    """Nothing to set up."""


def send(task: str, *args: Any, to: str = "main", later: float = 0, retries: int = 0, user: str | None = None, **kwargs: Any) -> str:
    """Send a message; its id."""
    actor = actors[task]
    message = actor.message_with_options(args=args, kwargs=kwargs, max_retries=retries).copy(queue_name=to)
    with tracking.as_user(user):
        return broker.enqueue(message, delay=int(later * 1000) or None).message_id


def send_piped(first: int, second: int) -> str:
    """Send a pipeline; the id of its first message."""
    steps = dramatiq.pipeline([actors["add"].message(first, 1), actors["add"].message(second)])
    return steps.run().messages[0].message_id


def send_unknown() -> str:
    """Send a message for an actor that is not there."""
    return broker.enqueue(dramatiq.Message("main", "nobody", ("Book:1",), {}, {})).message_id


def send_expired(name: str) -> str:
    """Send a message that is too old by the time it is met."""
    message = actors["count"].message_with_options(args=(name,), max_age=1)
    return broker.enqueue(message, delay=100).message_id


def send_untracked(task: str, *args: Any) -> str:
    """Send a message as a publisher does that does not know of tracking."""
    return RedisBroker(client=client).enqueue(actors[task].message(*args)).message_id


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
