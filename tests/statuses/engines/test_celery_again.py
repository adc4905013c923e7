"""A job whose message its broker hands out again while a run of it goes on, with real workers."""

from collections.abc import Callable
from typing import Any

from statuses import State
from tests.servers import Worker, until

StartWorker = Callable[..., Worker]


def test_an_earlier_run_that_ends_well_stands_in_history_with_its_result(world: Any, start_worker: StartWorker) -> None:
    start_worker("earlier", queues="earlier", count=2)
    job = world.run_twice(world.tasks.gated_late, "earlier", "earlier")

    world.open("earlier")

    first = until(lambda: next((one for one in job.reload().prior_attempts if one.is_ended), None), "its end is told")
    assert (first.state, first.data, first.attempt) == (State.succeeded, {"result": "through"}, 0)
    assert first.started_at < job.started_at <= first.succeeded_at
    assert first.run_time == (first.succeeded_at - first.started_at).total_seconds()
    assert (job.state, job.attempt, job.data) == (State.started, 1, None)
    world.open("earlier")
    assert (world.ended(job).state, job.attempt) == (State.succeeded, 1)


def test_an_earlier_run_that_fails_stands_in_history_with_its_error(world: Any, start_worker: StartWorker) -> None:
    start_worker("earlier-fails", queues="earlier-fails", count=2)
    job = world.run_twice(world.tasks.fail_at_gate_late, "earlier-fails", "earlier-fails")

    world.open("earlier-fails")

    first = until(lambda: next((one for one in job.reload().prior_attempts if one.is_ended), None), "its end is told")
    assert (first.state, first.error_summary) == (State.failed, "ValueError: earlier-fails")
    assert [(error["class"], error["attempt"]) for error in first.errors] == [("ValueError", 0)]
    assert (job.state, job.attempt, job.errors) == (State.started, 1, [])
    world.open("earlier-fails")
    world.ended(job)
