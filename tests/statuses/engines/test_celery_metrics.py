"""A real prefork worker counts every job once, however its end is told."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from prometheus_client.parser import text_string_to_metric_families

import statuses
from statuses import State, Status, metrics, scripts
from statuses.engines.celery import adapter as adapters
from statuses.engines.celery.messages import read
from statuses.engines.celery.piggyback import Held
from statuses.engines.celery.tracing import Run
from tests.servers import PATIENCE, Worker, until

COUNTS = {"TEST_METRICS": "1"}
TASKS = "tests.celeryapp"


@pytest.fixture
def counting(world: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A world whose publisher counts, too."""
    monkeypatch.setenv("TEST_METRICS", "1")
    world.tasks.connect(world.environment["TEST_BROKER"], world.environment["TEST_STORE"])
    yield world
    if world.store.process is None:
        world.store.start()
    until(lambda: not adapters.of(world.app).guard.away, "the publisher knows that the store is there")


def counted(queue: str) -> Counter[tuple[str, ...]]:
    """Counter, task and role or status -> how often, in one queue."""
    found = Counter()
    for family in text_string_to_metric_families(metrics.exposition()):
        for sample in family.samples if family.type == "counter" else ():
            if sample.labels["queue"] == queue:
                labels = sample.labels.get("role", sample.labels.get("status", ""))
                found[family.name, sample.labels["task"].removeprefix(f"{TASKS}."), labels] += int(sample.value)
    return found


def is_counted(queue: str, wanted: dict[tuple[str, ...], int]) -> None:
    """What is told comes first, the count after it."""
    until(lambda: counted(queue).total() >= sum(wanted.values()), f"everything is counted, it is {counted(queue)}")

    assert counted(queue) == wanted


def test_every_job_is_counted_once(counting: Any, start_worker: Callable[..., Worker]) -> None:
    world, tasks = counting, counting.tasks
    worker = start_worker("counting", queues="counted", extra=COUNTS)
    killed = world.send(tasks.gated.s("counted and killed"), queue="counted")
    world.began("counted and killed")
    killed.kill_now()
    world.ended(killed)

    sent = [world.send(tasks.add.s(1, number), queue="counted") for number in range(30)]
    sent += [world.send(tasks.fail.s("counted"), queue="counted") for _ in range(5)]
    sent += [world.send(tasks.fail_twice.s(f"counted {number}"), queue="counted") for number in range(2)]
    sent += [world.send(tasks.unjson_ignored_result.s(), queue="counted")]
    for job in sent:
        world.ended(job)
    worker.stop()

    assert killed.reload().state is State.killed
    is_counted("counted", {
        ("tasks_selected", "gated", "counting"): 1, ("tasks_processed", "gated", "killed"): 1,
        ("tasks_selected", "add", "counting"): 30, ("tasks_processed", "add", "succeeded"): 30,
        ("tasks_selected", "fail", "counting"): 5, ("tasks_processed", "fail", "failed"): 5,
        ("tasks_selected", "fail_twice", "counting"): 6, ("tasks_processed", "fail_twice", "succeeded"): 2,
        ("tasks_retried", "fail_twice", ""): 4,
        ("tasks_selected", "unjson_ignored_result", "counting"): 1, ("tasks_processed", "unjson_ignored_result", "succeeded"): 1,
    })  # fmt: skip


def test_an_end_that_is_told_with_the_next_start_is_counted_once(counting: Any, start_worker: Callable[..., Worker]) -> None:
    world = counting
    start_worker("counts held ends", queues="counted-held", count=1, extra={**COUNTS, "TEST_HOLD": "3600"})
    held = [world.send(world.tasks.add.s(1, number), queue="counted-held") for number in range(10)]
    for job in held:
        world.app.AsyncResult(world.task_ids[job.id]).get(timeout=PATIENCE)
    before = held[-1].reload().state

    world.ended(world.send(world.tasks.fail.s("after held ones"), queue="counted-held"))

    assert before is State.started
    role = "counts held ends"
    is_counted("counted-held", {
        ("tasks_selected", "add", role): 10, ("tasks_processed", "add", "succeeded"): 10,
        ("tasks_selected", "fail", role): 1, ("tasks_processed", "fail", "failed"): 1,
    })  # fmt: skip


def _held(world: Any) -> tuple[Held, Status]:
    """A job whose end this process holds back, of a name of its own."""
    statuses.create().succeeded(data=1)  # the server has the script: the end comes with what is told next, not with the one after
    held, status = Held(), statuses.create(job_name=f"held {uuid4()}", queue="counted-here").started()
    held.is_possible = True
    message = read({"id": status.id, "task": status.job_name})
    assert message is not None
    run = Run(adapter=adapters.of(world.app), message=message, attempt=0, told=True)
    run._known = status
    assert held.hold(run, 1)
    return held, status


def ends(status: Status) -> int:
    return counted("counted-here")["tasks_processed", status.job_name, "succeeded"]


def test_whoever_tells_a_held_end_has_his_own_reply_before_it_is_counted(counting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupt(BaseException):
        """As of Ctrl-C."""

    def interrupted(*_: Any) -> None:
        raise Interrupt

    held, status = _held(counting)
    heard: list[Any] = []
    status._store.piggyback("move", ["no such segment:v"], [b"0" * 30, "", "", ""], heard.append)

    with monkeypatch.context() as patched:
        patched.setattr(scripts, "meter", interrupted)
        created = statuses.create(job_name="tells of the held end")

    assert (created.state, len(heard)) == (State.unqueued, 1)
    held.tell()
    assert ends(status) == 1


@pytest.mark.parametrize("looks", [Held.tell, lambda held: held.before_waiting(lambda _: False)], ids=["it ends", "it waits"])
@pytest.mark.parametrize("went_along", [True, False], ids=["with a reply for another", "by itself"])
def test_a_held_end_is_counted_though_no_other_job_comes(counting: Any, looks: Callable[[Held], None], went_along: bool) -> None:
    held, status = _held(counting)
    if went_along:
        statuses.create(job_name="tells of the held end")
        before = ends(status)

    looks(held)
    looks(held)

    assert ends(status) == 1
    assert not went_along or before == 0


def test_an_end_that_is_told_after_an_outage_is_counted_once(counting: Any, start_worker: Callable[..., Worker]) -> None:
    world = counting
    start_worker("counts late", queues="counted-late", count=1, extra=COUNTS)
    job = world.send(world.tasks.gated.s("counted late"), queue="counted-late")
    world.began("counted late")

    world.store.stop()
    world.open("counted late")
    world.app.AsyncResult(world.task_ids[job.id]).get(timeout=PATIENCE)
    world.store.start()

    world.ended(job)
    is_counted("counted-late", {("tasks_selected", "gated", "counts late"): 1, ("tasks_processed", "gated", "succeeded"): 1})
