"""Events of real jobs, told again in any order, doubled, and by several at once: the end is the same."""

import contextlib
import json
import random
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

import statuses
from statuses import State, Status
from statuses.engines import attempts
from statuses.errors import Superseded
from tests.servers import Worker

Event = tuple[str, list[Any], dict[str, Any]]


@pytest.fixture(scope="module")
def recording_worker(environment: dict[str, str]) -> Iterator[Worker]:
    worker = Worker({**environment, "TEST_RECORD": "1"}, "recording", queues="recorded")
    yield worker
    worker.stop()


@pytest.fixture
def recorded(world: Any, recording_worker: Worker) -> dict[str, list[Event]]:
    """What was told of each of some jobs, as it was told."""
    world.gates.delete("events")
    tasks = world.tasks
    calls = [
        tasks.add.s(1, 2), tasks.fail.s("x"), tasks.fail_twice.s("y"), tasks.always_broken.s(), tasks.poll.s(3),
        tasks.die_once.s(), tasks.rejected.s(), tasks.over_the_soft_limit.s(), tasks.fail_once_then_wait.s("disorder"),
    ]  # fmt: skip
    jobs = [world.send(call, queue="recorded") for call in calls]
    for job in jobs:
        world.ended(job)
    world.ended(world.send(tasks.nothing.s(), queue="recorded"))
    told: dict[str, list[Event]] = defaultdict(list)
    for text in world.gates.lrange("events", 0, -1):
        name, id, args, kwargs = json.loads(text)
        told[id].append((name, args, kwargs))
    return {job.id: told[job.id] for job in jobs}


def tell(status: Status, event: Event) -> None:
    name, args, kwargs = event
    if name == "end":
        args = [State(args[0]), *args[1:]]
    with contextlib.suppress(Superseded):  # a start of an attempt that is over; it is refused, and changes nothing
        getattr(attempts, name)(status, *args, **kwargs)


def end_of(status: Status) -> tuple[State, int]:
    status.reload()
    return status.state, status.attempt


def test_recorded_streams_end_the_same_in_any_order_doubled_and_from_many(recorded: dict[str, list[Event]]) -> None:
    chance = random.Random(7)
    tried = 0
    for id, events in recorded.items():
        truth = end_of(statuses.at(id))
        assert events
        for _ in range(25):
            shuffled = events + chance.choices(events, k=len(events))
            chance.shuffle(shuffled)
            replayed = statuses.create(job_name="replayed", state="queued")

            for event in shuffled:
                tell(statuses.at(replayed.id), event)

            assert end_of(replayed) == truth, shuffled
            tried += 1
    assert tried == 9 * 25


def test_recorded_streams_end_the_same_when_several_tell_them_at_once(recorded: dict[str, list[Event]]) -> None:
    for id, events in recorded.items():
        replayed = statuses.create(job_name="replayed", state="queued")

        def tell_all(seed: int, events: list[Event] = events, id: str = replayed.id) -> None:
            for event in random.Random(seed).sample(events, k=len(events)):
                tell(statuses.at(id), event)

        threads = [threading.Thread(target=tell_all, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert end_of(replayed) == end_of(statuses.at(id))
