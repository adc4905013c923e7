"""The store is away, the broker lives: no job is harmed, and what ended meanwhile is told."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import statuses
from statuses import State, collection, presence
from statuses.engines.celery import adapter as adapters
from tests.servers import PATIENCE, until


@pytest.fixture
def store_back(world: Any) -> Iterator[Any]:
    """A world whose store is there again when the test is over."""
    yield world
    if world.store.process is None:
        world.store.start()
    world.store.thaw()
    until(lambda: not adapters.of(world.app).guard.away, "the publisher knows that the store is back")
    # The worker's own process looks for itself, up to five seconds later.
    back_at = collection.server_time()
    until(
        lambda: any(report.worker == "shared@tests" and report.seen_at > back_at for report in presence.reports("celery")),
        "the worker knows that the store is back",
    )


pytestmark = pytest.mark.usefixtures("worker")


@pytest.mark.parametrize("how", ["freeze", "stop"])
def test_running_jobs_go_on_without_delay_and_their_end_is_told_afterwards(store_back: Any, how: str) -> None:
    world = store_back
    gate = f"outage {how}"
    job = world.send(world.tasks.many_progress.s(2000, gate))
    world.began(gate)

    getattr(world.store, how)()
    world.open(gate)
    seconds = world.app.AsyncResult(world.task_ids[job.id]).get(timeout=PATIENCE)
    ended = datetime.now(UTC)
    until(lambda: datetime.now(UTC) - ended > timedelta(seconds=1), "the store is away for a while")
    back = datetime.now(UTC)
    world.store.thaw() if how == "freeze" else world.store.start()

    assert seconds < 5
    world.ended(job)
    assert (job.state, job.attempt) == (State.succeeded, 0)
    assert job.started_at < job.succeeded_at < back


def test_a_job_that_fails_while_the_store_is_away_has_failed_then(store_back: Any) -> None:
    world = store_back
    job = world.send(world.tasks.fail_at_gate.s("failed meanwhile"))
    world.began("failed meanwhile")

    world.store.stop()
    world.open("failed meanwhile")
    with pytest.raises(ValueError, match="failed meanwhile"):
        world.app.AsyncResult(world.task_ids[job.id]).get(timeout=PATIENCE)
    ended = datetime.now(UTC)
    until(lambda: datetime.now(UTC) - ended > timedelta(seconds=1), "the store is away for a while")
    back = datetime.now(UTC)
    world.store.start()

    assert (world.ended(job).state, job.errors[-1]["class"]) == (State.failed, "ValueError")
    assert job.started_at < job.failed_at < back


def test_a_job_that_is_published_while_the_store_hangs_is_one_job(store_back: Any) -> None:
    world = store_back
    world.ended(world.send(world.tasks.add.s(1, 1)))  # the server knows the script before it hangs
    world.store.freeze()
    sent = world.tasks.add.delay(1, 2)
    assert sent.get(timeout=PATIENCE) == 3
    world.store.thaw()

    until(lambda: not adapters.of(world.app).guard.away, "the publisher knows that the store is back")
    until(lambda: [job.state for job in statuses.where(provider_job_id=sent.id)] == [State.succeeded], "one job, and it ended")


def test_what_is_published_meanwhile_runs_and_is_told_once_the_store_is_back(store_back: Any) -> None:
    world = store_back
    world.store.freeze()
    began = time.monotonic()
    sent = [world.tasks.add.delay(number, 1) for number in range(20)]
    publishing_seconds = time.monotonic() - began
    results = [result.get(timeout=PATIENCE) for result in sent]
    with_a_handle = world.tasks.with_progress.delay(3)
    assert with_a_handle.get(timeout=PATIENCE) == "its data stays", "current() is a status that does nothing"
    world.store.thaw()

    assert results == [number + 1 for number in range(20)]
    assert publishing_seconds < 5
    until(lambda: all(statuses.find(result.id) for result in sent), "all of them are told")
    for number, result in enumerate(sent):
        job = world.ended(statuses.find(result.id))
        assert (job.state, job.data) == (State.succeeded, {"result": number + 1})


def test_a_retry_whose_requeue_was_lost_is_still_the_next_attempt(store_back: Any) -> None:
    world = store_back
    job = world.send(world.tasks.fail_after_gate.s("lost requeue"))
    world.began("lost requeue")

    world.store.freeze()
    world.open("lost requeue")
    until(lambda: world.noted("retried:lost requeue"), "the retry runs")
    world.store.thaw()
    world.open("lost requeue again")

    world.ended(job)
    assert (job.state, job.attempt) == (State.succeeded, 1)


@pytest.mark.full
def test_a_store_that_is_away_for_a_minute_delays_no_task_and_hears_of_all_afterwards(store_back: Any) -> None:
    world = store_back
    sent, took = [], []
    world.store.freeze()
    away_until = time.monotonic() + 60
    while time.monotonic() < away_until:
        began = time.monotonic()
        sent.append(world.tasks.add.delay(len(sent), 1))
        assert sent[-1].get(timeout=PATIENCE, interval=0.01) == len(sent)
        took.append(time.monotonic() - began)
        time.sleep(0.1)
    world.store.thaw()

    # The sender, the worker and its two processes each find out once, by waiting in vain.
    assert sum(seconds > 1.0 for seconds in took) <= 8, sorted(took)[-12:]
    until(lambda: all(statuses.find(result.id) for result in sent), "all of them are told")
    jobs = [world.ended(statuses.find(result.id)) for result in sent]
    assert [job.data["result"] for job in jobs] == list(range(1, len(sent) + 1))
