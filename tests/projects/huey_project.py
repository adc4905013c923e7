"""A Huey project, with a Huey for each queue of the tests: a Huey has one."""

import os
import time
from datetime import datetime, timedelta
from typing import Any

import redis
from huey import CancelExecution, RedisHuey, group
from huey.constants import EmptyData
from huey.exceptions import RetryTask
from huey.signals import SIGNAL_ENQUEUED

import statuses
from statuses.engines import huey as tracking
from statuses.engines import registry

from . import soon, work

pool = redis.ConnectionPool(connection_class=redis.UnixDomainSocketConnection, path=os.environ["TEST_BROKER"], db=5)
soon.configure()
hueys: dict[str, Any] = {}
tasks: dict[str, dict[str, Any]] = {}
#: Those that `send` sent, by their id.
sent: dict[str, Any] = {}


def huey_of(queue: str) -> Any:
    """The Huey with this queue; the first time it is made, and tracked."""
    if queue not in hueys:
        made = RedisHuey(queue, connection_pool=pool)
        tasks[queue] = {function.__name__: made.task()(function) for function in (*work.ALL, *OWN)}
        heartbeat_seconds = float(os.environ.get("TEST_HEARTBEAT", "0.5"))
        hueys[queue] = made
        if os.environ.get("TEST_WITHOUT_ADAPTER"):
            return made
        tracking.install(made, resources={"chapter_id": "Chapter"}, heartbeat_seconds=heartbeat_seconds)
        made.pre_execute()(closed)
        made.pre_execute()(waits)
        made.signal(SIGNAL_ENQUEUED)(waits_when_due)
    # One name for all of them: the last one that was used is the one that is asked.
    engine = tracking.Huey(hueys[queue], hueys[queue]._statuses_adapter.tracker)
    registry.register(engine)
    return hueys[queue]


def closed(task: Any) -> None:
    """A hook that lets no task run whose argument says so; made after the adapter's."""
    if task.args == ("closed",):
        raise CancelExecution("not now")


def waits_when_due(signal: str, task: Any) -> None:
    """A receiver of signals that holds the scheduler up."""
    if task.args[:1] == ("let go",) and task.eta and task.eta <= datetime.utcnow():
        work.gated(task.args[1])


def waits(task: Any) -> None:
    """A hook that holds a task up before anything of it begins."""
    if task.args[:1] == ("held up",):
        work.gated(task.args[1])


def poll(name: str, times: int) -> str:
    """Asks to be run again until it has run so often."""
    if work.note(name) <= times:
        raise RetryTask()
    return name


def give_up() -> None:
    """Ends itself."""
    raise CancelExecution("nothing to do", retry=False)


def with_child() -> str:
    """Sends another task."""
    return send("add", 1, 1)


def pair(x: int, y: int) -> None:
    """Gives nothing to what follows it."""


def handle(name: str, error: Exception) -> str:
    """Handles an error."""
    work.note(name)
    return repr(error)


OWN = (poll, give_up, with_child, pair, handle)
huey = huey_of(os.environ.get("TEST_QUEUE", "main"))

READY = "Huey consumer started"
#: A queue with nothing in it is looked at ten times a second; others' less and less, to once in ten seconds.
SOON = ("--max-delay", "0.1")


def worker(name: str, queue: str) -> list[str]:
    """The command line of a consumer."""
    command = f"import os, sys; os.environ['TEST_QUEUE'] = {queue!r}; from huey.bin.huey_consumer import consumer_main; consumer_main()"
    return ["-c", command, f"{__name__}.huey", "--workers", "2", "--worker-type", "process", *SOON]


def command(name: str, queue: str) -> list[str]:
    """The command line that people write; it can be run again by the process itself."""
    return ["-m", "huey.bin.huey_consumer", f"{__name__}.huey", "--workers", "2", *SOON]


def ready() -> None:
    """Nothing to set up."""


def send(task: str, *args: Any, to: str = "main", later: float = 0, retries: int = 0, user: str | None = None, **kwargs: Any) -> str:
    """Enqueue a task; its id."""
    made = huey_of(to)
    found = tasks[to][task].task_class(args, kwargs, retries=retries)
    if later:
        found.eta = datetime.utcnow() + timedelta(seconds=later)
    with tracking.as_user(user):
        made.enqueue(found)
    sent[found.id] = found
    return found.id


def send_with(task: str, *args: Any, **options: Any) -> str:
    """Enqueue a task with options of Huey's; its id."""
    huey_of("main")
    found = tasks["main"][task].task_class(args, {}, **options)
    huey.enqueue(found)
    return found.id


def send_unreadable(book: str) -> str:
    """Enqueue a task with an argument of a class that only this process has; its id."""
    huey_of("main")
    globals()["Shelf"] = type("Shelf", (dict,), {"__module__": __name__})
    return tasks["main"]["take"]({"book": book, "shelf": globals()["Shelf"](number=7)}).id


def send_with_handler(name: str, retries: int) -> list[str]:
    """Enqueue a task that fails, with a handler of its errors that counts them; both ids, once the handler was enqueued."""
    huey_of("main")
    task = tasks["main"]["fail"].task_class(("no such shelf",), {}, retries=retries, retry_delay=1)
    handler = tasks["main"]["handle"].s(name)
    huey.enqueue(task.error(handler))
    while statuses.find(handler.id) is None:
        time.sleep(0.01)
    return [task.id, handler.id]


def send_again(id: str) -> None:
    """Enqueue the same task once more."""
    huey.enqueue(sent[id])


def is_over(id: str) -> bool:
    """Whether the Huey that was used last has kept a result, or an error."""
    engine = registry.get("huey")
    assert isinstance(engine, tracking.Huey)
    return engine.huey.get_raw(id, peek=True) is not EmptyData


def send_expired(name: str) -> str:
    """Enqueue a task that is too late by the time it is met."""
    return send_with("count", name, expires=-5)


def send_unknown() -> str:
    """Enqueue a task that the consumer does not know."""

    def gone(book: str) -> None:
        """In this process alone."""

    huey_of("main")
    if "gone" not in tasks["main"]:
        tasks["main"]["gone"] = hueys["main"].task()(gone)
    return tasks["main"]["gone"]("Book:1").id


def send_chain(first: int, second: int) -> str:
    """Enqueue a task and one that follows it; the id of the first."""
    huey_of("main")
    steps = tasks["main"]["add"].s(first, 1).then(tasks["main"]["add"], second)
    huey.enqueue(steps)
    return steps.id


def send_steps(*numbers: int) -> str:
    """Enqueue a pipeline that adds one number after the other; the id of its first task."""
    huey_of("main")
    first, *rest = numbers
    steps = tasks["main"]["add"].s(first, 0)
    for number in rest:
        steps.then(tasks["main"]["add"], number)
    huey.enqueue(steps)
    return steps.id


def send_group(*names: str) -> list[str]:
    """Enqueue tasks that each stand at a gate of this name; their ids."""
    huey_of("main")
    members = [tasks["main"]["gated"].s(name) for name in names]
    huey.enqueue(group(members))
    return [member.id for member in members]


def send_chord(*names: str, to: str = "main") -> list[str]:
    """Enqueue tasks that each stand at a gate of this name, one after another task, and one that is given what all of them gave; the
    ids of these, that of the other task, and of what follows."""
    made = huey_of(to)
    first, *rest = (tasks[to]["gated"].s(name) for name in names)
    before = tasks[to]["pair"].s(1, 1)
    before.then(first)
    after = tasks[to]["take"].s()
    made.enqueue(group([before, *rest]).then(after))
    return [first.id, *(member.id for member in rest), before.id, after.id]


def send_and_revoke(task: str, *args: Any, queue: str) -> str:
    """Enqueue a task and revoke it, as Huey does; its id."""
    id = send(task, *args, to=queue)
    huey_of(queue).revoke_by_id(id)
    return id


def send_untracked(task: str, *args: Any) -> str:
    """Enqueue a task as a publisher does that does not know of tracking."""
    other = RedisHuey("main", connection_pool=pool)
    return other.task()(getattr(work, task))(*args).id


def depth(queue: str) -> int | None:
    """What the engine says of its queue."""
    huey_of(queue)
    engine = registry.get("huey")
    assert engine is not None
    return engine.queues()[0].depth


def take_out(id: str, queue: str) -> bytes:
    """Take the task out of its queue, where those for later stand, too, until a consumer has seen them; what stood there."""
    made = huey_of(queue)
    found = next(data for data in made.storage.enqueued_items() if made.serializer.deserialize(data).id == id)
    made.storage.conn.lrem(made.storage.queue_key, 1, found)
    return found


def put_back(id: str, queue: str, found: bytes) -> None:
    """Put it where a consumer puts it that has seen it."""
    made = huey_of(queue)
    made.storage.add_to_schedule(found, made.serializer.deserialize(found).eta)


def lose_schedule(queue: str) -> None:
    """Lose all that is put off."""
    huey_of(queue).storage.flush_schedule()


def put_off(queue: str) -> list[str]:
    """The tasks that stand in the schedule."""
    made = huey_of(queue)
    return [made.serializer.deserialize(data).id for data in made.storage.scheduled_items()]
