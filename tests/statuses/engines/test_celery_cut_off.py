"""Workers that the status store no longer hears: what they say that they have is not given up, also where their Redis was emptied."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import statuses
from statuses import State, Status
from statuses.engines.celery import Celery, holding
from statuses.reaper import Reaped, Reaper
from tests.servers import Worker, until
from tests.statuses.proxy import Proxy

NOWHERE = "/nowhere/at all"


@pytest.fixture
def line(world: Any, tmp_path: Path) -> Iterator[Proxy]:
    """The line of a worker to the store, which can be cut. Who was silent for two seconds is dead, and what waits at all is asked about."""
    statuses.configure(url=world.store.url, namespace="engines", stale_after=timedelta(seconds=1))
    with Proxy(tmp_path, world.store.socket) as proxy:
        yield proxy
        proxy.turn_to(world.store.socket)


@pytest.fixture(autouse=True)
def soon(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was killed in the test before is waited for as long as anybody else is, and of no other test a job is left to be given up."""
    statuses.where(state=[State.unqueued, State.queued, State.started]).delete_all(force=True)
    monkeypatch.setattr("statuses.engines.celery.engine.ANSWER_SECONDS", 2.0)
    monkeypatch.setattr("statuses.waiting.FORGOTTEN_AFTER", timedelta(0))
    monkeypatch.setattr("statuses.presence.ALIVE_FOR", timedelta(seconds=2))
    monkeypatch.setattr(holding, "EVERYBODY_SECONDS", 20.0)  # a busy worker is not one that does not answer


def heard(engine: Celery, *jobs: Status) -> None:
    until(lambda: engine.held(jobs) == {job.id for job in jobs}, "a worker says that it has them")


def started(start_worker: Any, name: str, line: Proxy, **extra: str) -> Worker:
    return start_worker(name, queues=name, count=1, extra={"TEST_STORE": line.url, **extra})


def spared(reaper: Reaper, jobs: int = 1) -> Reaped:
    """The look in which the jobs would have been given up, and were not."""

    def look() -> Reaped | None:
        found = reaper.look()
        assert (found.failed, found.unknown) == (0, 0)
        return found if found.spared == jobs else None

    return until(look, "somebody says that he has it")


def looks_until(reaper: Reaper, job: Status, *states: State) -> State:
    until(lambda: reaper.look() and job.reload().state in states, f"it becomes {states}, it is {job.reload().state}")
    return job.state


def test_a_job_that_runs_where_the_store_hears_nothing_from_stays_started_and_ends_as_it_ends(
    world: Any, engine: Celery, start_worker: Any, line: Proxy
) -> None:
    started(start_worker, "cut-off", line)
    job = world.send(world.tasks.gated.s("cut off"), queue="cut-off")
    world.began("cut off")
    until(lambda: job.reload().is_started, "its start was told")
    heard(engine, job)
    reaper = Reaper(confirm_seconds=0.5)

    line.turn_to(NOWHERE)
    world.broker.client().flushdb()
    found = spared(reaper)
    during = job.reload().state
    line.turn_to(world.store.socket)
    world.open("cut off")

    assert (found.failed, found.unknown, during) == (0, 0, State.started)
    assert (world.ended(job).state, job.attempt, job.errors) == (State.succeeded, 0, [])


def test_a_job_whose_start_could_not_be_told_is_not_unknown_while_its_worker_has_it(
    world: Any, engine: Celery, start_worker: Any, line: Proxy
) -> None:
    started(start_worker, "untold", line)
    first = world.send(world.tasks.gated.s("untold first"), queue="untold")
    world.began("untold first")
    until(lambda: first.reload().is_started, "its start was told")
    line.turn_to(NOWHERE)
    ahead = world.send(world.tasks.gated.s("untold ahead"), queue="untold")
    until(lambda: any(world.task_ids[ahead.id] in held for held in world.broker.client().hvals("unacked")), "it was taken ahead")
    heard(engine, first, ahead)
    reaper = Reaper(confirm_seconds=0.5)

    world.broker.client().flushdb()
    spared(reaper, 2)
    world.open("untold first")
    world.began("untold ahead")
    spared(reaper)
    during = ahead.reload().state
    line.turn_to(world.store.socket)
    world.open("untold ahead")

    assert during is State.queued
    assert [world.ended(job).state for job in (first, ahead)] == [State.succeeded] * 2


def test_a_worker_without_the_adapter_says_what_it_has_too_and_what_it_had_becomes_unknown_once_it_is_gone(
    world: Any, engine: Celery, start_worker: Any, line: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.app.conf.task_default_queue = "without"  # nobody else knows that it is a queue
    worker = started(start_worker, "without", line, TEST_TRACKED="0")
    job = world.send(world.tasks.gated.s("without"), queue="without")
    world.began("without")
    heard(engine, job)
    reaper = Reaper(confirm_seconds=0.5)

    world.broker.client().flushdb()
    spared(reaper)
    during = job.reload().state
    worker.kill()
    monkeypatch.setattr(holding, "EVERYBODY_SECONDS", 0.5)

    assert during is State.queued
    assert looks_until(reaper, job, State.unknown, State.failed) is State.unknown


def test_a_job_of_a_worker_that_is_gone_is_given_up_though_others_answer(
    world: Any, engine: Celery, worker: Worker, start_worker: Any, line: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "EVERYBODY_SECONDS", 0.5)
    dead = started(start_worker, "gone", line)
    job = world.send(world.tasks.gated.s("gone"), queue="gone")
    world.began("gone")
    until(lambda: job.reload().is_started, "its start was told")

    dead.kill()

    assert looks_until(Reaper(confirm_seconds=0.5), job, State.failed) is State.failed
    assert job.error_group == "WorkerLost"


def test_what_there_was_no_time_to_ask_about_may_be_anywhere(world: Any, engine: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "MOST_ASKED", 2)
    monkeypatch.setattr(holding, "EVERYBODY_SECONDS", 0.1)
    monkeypatch.setattr(holding, "ASKING_SECONDS", 0.05)
    jobs = [statuses.create(engine="celery", provider_job_id=f"of nobody {number}") for number in range(5)]

    assert engine.held(jobs) == {job.id for job in jobs[2:]}
