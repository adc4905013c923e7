"""Limits of time in pools that have no processes, with real workers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import VERSION

import statuses
from statuses import State
from tests.servers import Worker, pools, until

#: Seconds for which its store is waited for: longer than the limits.
WAITS = "20"
LIMIT = ["billiard.exceptions.TimeLimitExceeded"]


def classes(job: statuses.Status) -> list[str]:
    return [error["class"] for error in job.errors]


@pytest.mark.parametrize("ignored", [False, True], ids=["its result is kept", "its result is ignored"])
@pytest.mark.parametrize("whose", ["the job's", "the worker's"])
def test_a_hard_limit_of_a_green_worker_fails_the_job_and_that_alone(
    world: Any, start_worker: Callable[..., Worker], whose: str, ignored: bool
) -> None:
    queue = f"limited-{whose[4]}-{ignored}"
    more, options = (["--time-limit", "1"], {}) if whose == "the worker's" else ([], {"time_limit": 1})
    worker = Worker(world.environment, queue, queue, "gevent", 3, *more)
    try:
        job = world.send(world.tasks.gated.s(f"never {queue}"), queue=queue, ignore_result=ignored, **options)
        beside = world.send(world.tasks.nothing.s(), queue=queue)

        assert (world.ended(job).state, classes(job), job.attempt) == (State.failed, LIMIT, 0)
        assert job.ended_at >= job.started_at
        assert world.ended(beside).state is State.succeeded
    finally:
        worker.kill()


@pytest.mark.skipif(VERSION < (5, 7), reason="Celery does so since 5.7")
@pytest.mark.parametrize("pool", ["prefork", "gevent"])
def test_a_job_that_goes_back_to_the_broker_for_its_limit_is_the_next_attempt_and_the_first_has_failed(
    world: Any, start_worker: Callable[..., Worker], pool: str
) -> None:
    name = f"put-back-{pool}"
    start_worker(name, pool=pool, queues=name, count=2)

    job = world.ended(world.becomes(world.send(world.tasks.over_the_limit_once.s(name), queue=name), "succeeded"))

    assert (job.attempt, [before.state for before in job.prior_attempts]) == (1, [State.failed])
    assert [error["class"] for error in job.prior_attempts[0].errors] == LIMIT


@pytest.mark.parametrize("pool", pools("gevent", "eventlet"))
def test_a_timeout_of_the_jobs_own_that_nobody_catches_fails_it(world: Any, start_worker: Callable[..., Worker], pool: str) -> None:
    start_worker(f"{pool}-own", pool=pool, queues=f"{pool}-own", count=2)

    job = world.ended(world.send(world.tasks.gives_up_waiting.s(pool), queue=f"{pool}-own"))

    assert (job.state, classes(job)) == (State.failed, [f"{pool}.timeout.Timeout"])


class TestWhileTheStoreHangs:
    @pytest.fixture
    def limited(self, world: Any, start_worker: Callable[..., Worker], request: pytest.FixtureRequest) -> Iterator[Any]:
        """The world with a green worker that runs one job at a time, and waits long for its store."""
        name = f"green-{request.node.name[-8:]}"  # a log of its own
        world.green = start_worker(name, pool="gevent", queues="green", count=1, extra={"TEST_TIMEOUT": WAITS})
        until(lambda: world.ended(world.send(world.tasks.nothing.s(), queue="green")).started_at, "it is known to be there")
        yield world
        world.store.thaw()

    def test_a_limit_that_is_over_while_the_start_is_told_fails_the_job_before_it_began(self, limited: Any) -> None:
        world = limited
        statuses.configure(url=world.store.url, namespace="engines", untracked=frozenset({"tests.celeryapp.gated"}))
        world.tasks.gated.apply_async(("before a green limit",), queue="green")
        world.tasks.connect(world.environment["TEST_BROKER"], world.environment["TEST_STORE"])
        world.began("before a green limit")
        job = world.send(world.tasks.count.s("over too soon"), queue="green", time_limit=1)

        world.store.freeze()
        world.open("before a green limit")
        until(lambda: world.green.said("Hard time limit (1s) exceeded"), "it is over")
        world.store.thaw()

        assert (world.ended(job).state, classes(job), world.noted("over too soon")) == (State.failed, LIMIT, 0)

    def test_a_limit_that_is_over_while_the_end_is_told_comes_too_late(self, limited: Any) -> None:
        world = limited
        call = world.tasks.ends_while_the_store_hangs.s(world.store.process.pid)
        job = world.send(call, queue="green", time_limit=2)
        name = f"tests.celeryapp.ends_while_the_store_hangs[{world.task_ids[job.id]}]"
        until(lambda: world.green.said("it was interrupted by Timeout"), "it was over while the end was told")
        world.store.thaw()

        assert (world.ended(job).state, job.errors) == (State.succeeded, [])
        assert not world.green.said(f"exceeded for {name}")
