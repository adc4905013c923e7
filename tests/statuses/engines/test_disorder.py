"""Events of real jobs, told again in any order, doubled, by several at once, and with some lost: the end is the same."""

import random
import secrets
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import statuses
from tests.projects import recording
from tests.projects.recording import Event, end_of, tell, tell_anew
from tests.projects.running import Project
from tests.servers import Worker, until


@pytest.fixture(scope="module")
def recording_worker(environment: dict[str, str]) -> Iterator[Worker]:
    worker = Worker({**environment, "TEST_RECORD": "1"}, "recording", queues="recorded")
    yield worker
    worker.kill()


@pytest.fixture
def recorded(world: Any, recording_worker: Worker) -> dict[str, list[Event]]:
    """What was told of each of some jobs of Celery, as it was told."""
    world.gates.delete(recording.EVENTS)
    tasks = world.tasks
    calls = [
        tasks.add.s(1, 2), tasks.fail.s("x"), tasks.fail_twice.s("y"), tasks.always_broken.s(), tasks.poll.s(3),
        tasks.die_once.s(), tasks.rejected.s(), tasks.over_the_soft_limit.s(), tasks.fail_once_then_wait.s("disorder"),
    ]  # fmt: skip
    jobs = [world.send(call, queue="recorded") for call in calls]
    for job in jobs:
        world.ended(job)
    world.ended(world.send(tasks.nothing.s(), queue="recorded"))
    told = recording.told(world.gates)
    return {job.id: told[job.id] for job in jobs}


def test_recorded_streams_end_the_same_in_any_order_doubled_and_from_many(recorded: dict[str, list[Event]]) -> None:
    chance = random.Random(7)
    tried = 0
    for id, events in recorded.items():
        truth = end_of(statuses.at(id))
        assert events
        again = [*map(recording.of_one_delivery, events)]
        for _ in range(10):
            shuffled = again + chance.choices(again, k=len(again))
            chance.shuffle(shuffled)
            assert tell_anew(shuffled) == truth, shuffled
            tried += 1
    assert tried == 9 * 10


def test_recorded_streams_end_the_same_when_each_run_tells_in_its_order_and_twice(recorded: dict[str, list[Event]]) -> None:
    chance = random.Random(7)
    for id, events in recorded.items():
        truth = end_of(statuses.at(id))
        assert any(map(recording.is_handed_out_again, events))
        twice = [told for event in events for told in (event, recording.of_one_delivery(event))]
        for _ in range(10):
            assert tell_anew(order := recording.interleaved(twice, chance)) == truth, order


def test_recorded_streams_end_the_same_when_several_tell_them_at_once(recorded: dict[str, list[Event]]) -> None:
    for id, events in recorded.items():
        assert told_at_once([*map(recording.of_one_delivery, events)]) == end_of(statuses.at(id))


def told_at_once(events: list[Event]) -> tuple[Any, int]:
    """How a job ends of which four threads tell all of the events, each in an order of its own."""
    replayed = statuses.create(job_name="replayed", state="queued")

    def tell_all(seed: int) -> None:
        for event in random.Random(seed).sample(events, k=len(events)):
            tell(statuses.at(replayed.id), event)

    threads = [threading.Thread(target=tell_all, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return end_of(replayed)


@pytest.fixture
def streams(project: Project) -> list[tuple[Any, list[Event]]]:
    """How some jobs of each engine ended, and what two workers told of them."""
    queue = f"recorded-{project.name}"
    for number in range(2):
        project.start_worker(f"recording-{number}", queue, TEST_RECORD="1")
    project.gates.delete(recording.EVENTS)
    name = f"{project.name} in disorder {secrets.token_hex(4)}"
    again = {"retries": 3} if project.facts.retries else {}
    jobs = [
        project.send("add", 1, 2, to=queue),
        project.send("fail", "x", to=queue),
        project.send("fail_first", f"{name} twice", 2, to=queue, **again),
        project.send("fail_first", f"{name} for good", 9, to=queue, **again),
        project.send("add", 3, 4, to=queue, later=1),
        project.send("cooperative", f"{name} killed", to=queue),
    ]
    project.began(f"{name} killed")
    jobs[-1].request_kill()
    attempts = 3 if project.facts.retries else 0
    project.ended(jobs[0])
    project.ended(jobs[1])
    project.becomes(jobs[2], "succeeded" if project.facts.retries else "failed")
    until(lambda: (jobs[3].reload().attempt, jobs[3].is_ended) == (attempts, True), "the last attempt has failed")
    project.ended(jobs[4])
    project.ended(jobs[5])
    project.ended(project.send("add", 0, 0, to=queue))
    told = recording.told(project.gates)
    return [(end_of(job), told[job.id]) for job in jobs]


def test_what_the_workers_of_an_engine_tell_ends_the_same_in_other_orders_and_with_all_but_the_end_lost(
    streams: list[tuple[Any, list[Event]]],
) -> None:
    chance = random.Random(7)
    assert {state for (state, _), _ in streams} == {"succeeded", "failed", "killed"}
    for truth, events in streams:
        assert recording.attempt_of(events[-1]) == truth[1]
        assert tell_anew(events) == truth
        if any(map(recording.is_handed_out_again, events)):
            # Each start is another delivery: only what different deliveries tell can come in another order.
            orders = [recording.interleaved(events, chance) for _ in range(10)]
        else:
            orders = [chance.sample(events * 2, k=2 * len(events)) for _ in range(10)]
            assert told_at_once(events) == truth
        lost = [[*(event for event in events[:-1] if chance.random() < 0.5), events[-1]] for _ in range(10)]
        for order in orders + lost:
            assert tell_anew(order) == truth, order
