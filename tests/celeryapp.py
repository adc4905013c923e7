"""A Celery project as one finds them: tasks that know nothing of tracking, and a few that ask for their status.

The addresses come from the environment: `TEST_BROKER`, `TEST_STORE`. A task that has to wait waits for a gate,
a list in the broker's Redis that a test pushes to.
"""

import os
import signal
import sys
import time
from typing import Any, NoReturn

import redis
from celery import Celery, Task, chord
from celery.backends.cache import CacheBackend
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

import statuses
from statuses import presence
from statuses.engines import celery as tracking
from statuses.engines.celery import killing, piggyback
from tests.projects import haste, soon  # noqa: F401
from tests.projects.recording import record

BROKER = os.environ.get("TEST_BROKER", "/nowhere")

app = Celery("tests.celeryapp")


def connect(broker_socket: str, store_url: str) -> Celery:
    """Point the app and the status service at their servers."""
    app.conf.update(
        broker_url=f"redis+socket://{broker_socket}",
        result_backend=f"redis+socket://{broker_socket}?virtual_host=1",
        accept_content=["json", "pickle"],
        broker_connection_retry_on_startup=True,
        broker_transport_options={"visibility_timeout": 3600},
        worker_prefetch_multiplier=2,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        task_default_queue="main",
        result_expires=600,
        worker_pool_restarts=os.environ.get("TEST_POOL_RESTARTS") == "1",
    )
    counts = os.environ.get("TEST_METRICS") == "1"
    limits = {"timeout_seconds": soon.SECONDS, "connect_timeout_seconds": soon.SECONDS}
    statuses.configure(url=store_url, namespace="engines", metrics=counts, **limits)
    return app


if "TEST_BROKER" in os.environ:
    connect(BROKER, os.environ["TEST_STORE"])
if os.environ.get("TEST_OLDER") == "1":  # of a version that had no order of its own to end jobs
    killing.connect = lambda: None
if os.environ.get("TEST_TRACKED", "1") == "1":
    tracking.install(app, resources={"chapter_id": "Chapter"}, heartbeat_seconds=float(os.environ.get("TEST_HEARTBEAT", "1")))
piggyback.HOLD_SECONDS = float(os.environ.get("TEST_HOLD", piggyback.HOLD_SECONDS))
presence.EVERY_SECONDS = float(os.environ.get("TEST_PRESENCE", "0.2"))


def gates() -> redis.Redis:
    """The server with the gates."""
    return redis.Redis(unix_socket_path=os.environ.get("TEST_BROKER", BROKER), db=2, socket_timeout=None)


def wait_at(gate: str) -> None:
    """Wait until somebody opens the gate."""
    gates().blpop([gate], timeout=600)


def note(name: str) -> int:
    """Count that something happened; how often by now."""
    return gates().incr(f"noted:{name}")


if os.environ.get("TEST_RECORD"):
    record(gates)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def nothing() -> None:
    return None


@app.task
def count(name: str) -> None:
    note(name)


@app.task
def read_book(book: str, chapter_id: int = 0, others: Any = ()) -> str:
    return f"read {book}"


@app.task
def fail(message: str) -> NoReturn:
    raise ValueError(message)


@app.task
def gated(gate: str) -> str:
    note(f"began:{gate}")
    wait_at(gate)
    return "through"


@app.task
def fail_at_gate(gate: str) -> NoReturn:
    note(f"began:{gate}")
    wait_at(gate)
    raise ValueError(gate)


@app.task(acks_late=True)
def gated_late(gate: str) -> str:
    note(f"began:{gate}")
    wait_at(gate)
    return "through"


@app.task(acks_late=True)
def fail_at_gate_late(gate: str) -> NoReturn:
    note(f"began:{gate}")
    wait_at(gate)
    raise ValueError(gate)


@app.task(acks_late=True, reject_on_worker_lost=True)
def die_at_gate(gate: str) -> NoReturn:
    """Its message goes back to the broker."""
    note(f"began:{gate}")
    wait_at(gate)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still here")


@app.task
def sleepy(seconds: float) -> None:
    time.sleep(seconds)


@app.task(bind=True, max_retries=3)
def fail_twice(self: Task, name: str) -> str:
    if self.request.retries < 2:
        raise self.retry(exc=ValueError(f"not yet {self.request.retries}"), countdown=0)
    return name


@app.task(bind=True)
def retry_elsewhere(self: Task, queue: str, **options: Any) -> str:
    if not self.request.retries:
        raise self.retry(queue=queue, countdown=3600, **options)
    return queue


@app.task(autoretry_for=(OSError,), max_retries=1, default_retry_delay=0)
def always_broken() -> NoReturn:
    raise OSError("broken for good")


@app.task(autoretry_for=(ValueError,), retry_kwargs={"countdown": 0.4, "max_retries": 2})
def fail_once_then_wait(name: str) -> str:
    if note(name) == 1:
        raise ValueError("first time")
    return name


@app.task(bind=True, max_retries=1)
def fail_after_gate(self: Task, gate: str) -> str:
    if self.request.retries:
        note(f"retried:{gate}")
        wait_at(f"{gate} again")
        return "through"
    note(f"began:{gate}")
    wait_at(gate)
    raise self.retry(exc=ValueError("not yet"), countdown=0)


@app.task(bind=True, max_retries=5)
def poll(self: Task, times: int) -> str:
    if self.request.retries < times:
        raise self.retry(countdown=0)
    return "there"


@app.task(autoretry_for=(Exception,), max_retries=5, default_retry_delay=0)
def cooperative(gate: str) -> None:
    """Looks whether it shall die at every step, and would be retried on any exception."""
    job = statuses.current()
    assert job is not None
    note(f"began:{gate}")
    for _ in range(3000):
        job.check_kill()
        time.sleep(0.01)


@app.task(acks_late=True)
def cooperative_late(gate: str) -> None:
    """Looks whether it shall die at every step, and notes that it shall."""
    job = statuses.current()
    assert job is not None
    note(f"began:{gate}")
    try:
        for _ in range(3000):
            job.check_kill()
            time.sleep(0.01)
    except statuses.KillRequested:
        note(f"asked:{gate}")
        raise


@app.task
def looks_at_the_gate(gate: str) -> None:
    """Looks whether it shall die once it is through."""
    note(f"began:{gate}")
    wait_at(gate)
    job = statuses.current()
    assert job is not None
    job.check_kill()


@app.task(acks_late=True)
def looks_at_the_gate_late(gate: str) -> None:
    """The same, and its message stays with the broker until then."""
    looks_at_the_gate.run(gate)


@app.task
def with_progress(steps: int) -> str:
    job = statuses.current()
    assert job is not None
    for step in range(steps):
        job.set_progress(step + 1, steps, message=f"step {step + 1}")
    job.save({"mine": steps})
    return "its data stays"


@app.task
def many_progress(steps: int, gate: str) -> float:
    """How long its steps take, in seconds."""
    job = statuses.current()
    note(f"began:{gate}")
    wait_at(gate)
    began = time.monotonic()
    assert job is not None
    for step in range(steps):
        job.set_progress(step, steps)
        job.check_kill()
    return time.monotonic() - began


@app.task
def with_big_result() -> str:
    return "x" * 200_000


@app.task(serializer="pickle")
def needs(thing: Any) -> NoReturn:
    note(f"needs:{type(thing).__name__}")
    raise TypeError("not this")


@app.task(serializer="pickle")
def with_odd_arguments(thing: Any) -> str:
    return "done"


@app.task(time_limit=1)
def over_the_limit(gate: str) -> str:
    """Swallows what it can and would succeed."""
    try:
        wait_at(gate)
    except BaseException:
        return "swallowed"
    return "through"


@app.task(time_limit=1, acks_late=True, acks_on_failure_or_timeout=False)
def over_the_limit_once(name: str) -> str:
    if note(name) == 1:
        wait_at(f"never:{name}")
    return "through"


@app.task
def gives_up_waiting(pool: str) -> None:
    """Waits with a limit of its own making, as green projects do."""
    with sys.modules[pool].Timeout(0.2):
        wait_at("never")


@app.task
def gives_way_to_nothing(gate: str) -> NoReturn:
    note(f"began:{gate}")
    while True:
        pass


@app.task(soft_time_limit=0.3)
def over_the_soft_limit() -> None:
    time.sleep(20)


@app.task
def sends_while_the_store_hangs(pid: int, name: str) -> None:
    """Stops the store's process, and sends another job."""
    os.kill(pid, signal.SIGSTOP)
    try:
        add.delay(1, 1)
    except SoftTimeLimitExceeded:
        note(name)
        raise


@app.task(ignore_result=True)
def ends_while_the_store_hangs(pid: int) -> None:
    """Stops the store's process."""
    os.kill(pid, signal.SIGSTOP)


@app.task
def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still here")


@app.task(bind=True, acks_late=True, retry_on_worker_lost=True, max_retries=1, default_retry_delay=0)
def die_once(self: Task) -> str:
    if self.request.retries == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return "second life"


@app.task
def ignored() -> NoReturn:
    raise Ignore("nothing to keep")


@app.task(acks_late=True)
def rejected() -> NoReturn:
    raise Reject(ValueError("no good"), requeue=False)


@app.task
def calls_in_place() -> str:
    return fail.apply(("inside",)).state


@app.task
def leaves() -> NoReturn:
    sys.exit(3)


@app.task
def put_back_too_late(name: str) -> NoReturn:
    note(name)
    raise Reject("its message is acknowledged", requeue=True)


@app.task(bind=True)
def cannot_be_an_errback(self: Task, request: Any, error: Any, trace: Any) -> None:
    """Celery counts `self` among the arguments, and sends it with too few."""


@app.task(acks_late=True)
def put_back_once(name: str) -> str:
    if note(name) == 1:
        raise Reject("another time", requeue=True)
    return name


@app.task(bind=True)
def replaced(self: Task) -> Any:
    return self.replace(add.s(20, 22))


@app.task
def with_children(count: int) -> list[str]:
    return [add.delay(number, 1).id for number in range(count)]


@app.task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task
def next_after(result: Any, text: str) -> str:
    return f"{result} {text}"


@app.task
def next_once(result: Any, name: str) -> str:
    if note(name) == 1:
        raise ValueError("not the first time")
    return f"{result} {name}"


@app.task
def next_noted(result: Any, name: str) -> int:
    return note(name)


@app.task
def at_gate(number: int, gate: str) -> int:
    note(f"began:{gate}")
    wait_at(gate)
    return number


@app.task
def runs_a_chord(name: str) -> str:
    return str(chord([add.s(1, 1), add.s(2, 2)], next_noted.s(name)).apply_async().id)


@app.task
def unjson_result() -> Any:
    return {"when": {1, 2}}


@app.task(ignore_result=True)
def unjson_ignored_result() -> Any:
    return object()


@app.task(backend=CacheBackend(app=app, backend="memory"))
def with_its_own_backend() -> str:
    return "kept where only its process finds it"
