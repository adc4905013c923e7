"""Ends that are told together with the start of the next job, with a real pool of one process that holds them for as long as it takes."""

import os
import signal
import sys
import weakref
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

import statuses
from statuses import State, Status
from statuses.engines import attempts
from statuses.engines.celery import adapter
from statuses.engines.celery.messages import read
from statuses.engines.celery.piggyback import Held
from statuses.engines.celery.tracing import Run
from statuses.store import Store
from tests.servers import PATIENCE, Server, Worker, until

QUEUE = "held"


@pytest.fixture(scope="module")
def holding(environment: dict[str, str]) -> Iterator[Worker]:
    """A worker that tells no end by itself."""
    worker = Worker({**environment, "TEST_HOLD": "3600"}, "holding", QUEUE, "prefork", 1)
    yield worker
    worker.kill()


@pytest.fixture
def held(world: Any, holding: Worker) -> Status:
    """A job that has ended, as its result tells, and of which the store has not heard."""
    return hold(world)


def hold(world: Any) -> Status:
    job = world.send(world.tasks.add.s(1, 2), queue=QUEUE)
    assert world.app.AsyncResult(world.task_ids[job.id]).get(timeout=PATIENCE) == 3
    assert job.reload().state is State.started
    return job


def run_another(world: Any) -> Status:
    """One more job, whose own end is told at once."""
    return world.ended(world.send(world.tasks.unjson_ignored_result.s(), queue=QUEUE))


def test_an_end_is_told_with_the_start_of_the_next_job_as_of_its_own_moment(world: Any, held: Status) -> None:
    until(lambda: statuses.server_time() - held.started_at > timedelta(seconds=2), "it is held for a while")

    another = world.send(world.tasks.gated.s("after a held end"), queue=QUEUE)
    world.began("after a held end")
    world.open("after a held end")

    assert (held.reload().state, held.attempt, held.data, held.progress) == (State.succeeded, 0, {"result": 3}, 1.0)
    assert 0 < held.run_time < 1.5
    assert held.succeeded_at < another.reload().started_at


def test_an_end_without_a_result_to_keep_is_told_with_the_next_start(world: Any, holding: Worker) -> None:
    job = world.send(world.tasks.count.s("held without data"), queue=QUEUE)
    world.app.AsyncResult(world.task_ids[job.id]).get(timeout=PATIENCE)
    before = job.reload().state

    run_another(world)

    assert (before, job.reload().state, job.data) == (State.started, State.succeeded, None)


def test_an_end_is_told_before_a_job_that_is_not_tracked(world: Any, held: Status) -> None:
    statuses.configure(url=world.store.url, namespace="engines", untracked=frozenset({"tests.celeryapp.gated"}))
    world.tasks.gated.apply_async(("untracked after a held end",), queue=QUEUE)
    world.began("untracked after a held end")
    world.open("untracked after a held end")
    world.tasks.connect(world.environment["TEST_BROKER"], world.environment["TEST_STORE"])

    assert held.reload().state is State.succeeded


def test_a_failure_is_told_at_once_and_what_is_held_before_it(world: Any, held: Status) -> None:
    failed = world.ended(world.send(world.tasks.fail.s("told at once"), queue=QUEUE))

    assert (failed.state, held.reload().state) == (State.failed, State.succeeded)
    assert held.succeeded_at < failed.started_at


def test_a_retry_whose_last_attempt_is_held_has_its_attempts(world: Any, holding: Worker) -> None:
    job = world.send(world.tasks.fail_twice.s("held after retries"), queue=QUEUE)
    world.app.AsyncResult(world.task_ids[job.id]).get(timeout=PATIENCE)
    run_another(world)

    assert (job.reload().state, job.attempt, job.data) == (State.succeeded, 2, {"result": "held after retries"})
    assert [attempt.state for attempt in job.prior_attempts] == [State.failed, State.failed]


def test_an_end_is_told_when_the_pool_is_stopped(world: Any, environment: dict[str, str]) -> None:
    worker = Worker({**environment, "TEST_HOLD": "3600"}, "stopped while it holds", "stopped", "prefork", 1)
    job = world.send(world.tasks.add.s(1, 2), queue="stopped")
    world.app.AsyncResult(world.task_ids[job.id]).get(timeout=PATIENCE)
    before = job.reload().state

    worker.stop()

    assert (before, job.reload().state) == (State.started, State.succeeded)


def test_an_end_is_told_when_its_process_has_done_enough(world: Any, environment: dict[str, str]) -> None:
    worker = Worker({**environment, "TEST_HOLD": "3600"}, "one job a process", "few", "prefork", 1, "--max-tasks-per-child", "1")
    try:
        world.ended(world.send(world.tasks.add.s(1, 2), queue="few"))
    finally:
        worker.kill()


def test_a_held_end_whose_line_is_cut_is_told_all_the_same(world: Any, held: Status) -> None:
    clients = world.store.client()
    clients.client_kill_filter(_type="normal", skipme=True)

    run_another(world)

    until(lambda: held.reload().state is State.succeeded, "the held end is told")
    assert held.data == {"result": 3}


def test_a_held_end_whose_script_the_server_has_lost_is_told_all_the_same(world: Any, held: Status) -> None:
    world.store.client().script_flush()

    run_another(world)

    assert (held.reload().state, held.data) == (State.succeeded, {"result": 3})


def test_of_a_job_that_was_removed_meanwhile_nothing_is_told(world: Any, held: Status, servers: tuple[Server, Server]) -> None:
    held.delete(force=True)

    run_another(world)

    assert statuses.find(held.id) is None


def test_an_end_whose_result_the_app_does_not_keep_is_told_at_once(world: Any, holding: Worker) -> None:
    world.ended(world.send(world.tasks.with_its_own_backend.s(), queue=QUEUE))


def test_an_end_is_told_before_its_process_waits_for_a_worker_that_is_busy(world: Any, environment: dict[str, str]) -> None:
    worker = Worker({**environment, "TEST_HOLD": "3600"}, "busy", "busy", "prefork", 1, "--max-tasks-per-child", "1")
    job = world.send(world.tasks.gated.s("busy"), queue="busy")
    world.began("busy")
    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        world.open("busy")
        until(lambda: job.reload().state is State.succeeded, "the end is told")
    finally:
        worker.kill()


def test_an_end_that_another_thread_takes_along_is_heard_of_late_and_loses_no_other(world: Any) -> None:
    held = _holding()
    first, second = _ended(world), _ended(world)
    held.hold(first, 1)
    taken: list[Any] = []
    first.handle()._store._writing._boarding(taken)

    held.hold(second, 2)
    for one in taken:
        one.heard(1)
    held.tell()

    assert _as_others_see(second.handle()).state is State.succeeded


@pytest.mark.parametrize("step", ["data_of", "succeed_along"])
def test_an_end_that_is_held_in_the_moment_of_a_signal_is_told_all_the_same(world: Any, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    held, before, run = _holding(), _ended(world), _ended(world)
    held.hold(before, 1)
    held.tell()
    monkeypatch.setattr(run.adapter if step == "data_of" else attempts, step, lambda *_: sys.exit(1))

    with pytest.raises(SystemExit):
        held.hold(run, 2)
    run.adapter.guard.last_words()

    assert _as_others_see(run.handle()).state is State.succeeded
    until(lambda: not _is_away(world), "the publisher knows that the store is back")


def test_a_held_end_that_is_told_after_an_outage_is_told_as_of_its_own_moment(world: Any) -> None:
    held, run = _holding(), _ended(world)
    held.hold(run, 1)
    sent: list[Any] = []
    run.handle()._store._writing._boarding(sent)
    for one in sent:
        one.heard(redis.TimeoutError("away"))
    job = _as_others_see(run.handle())
    until(lambda: statuses.server_time() - job.started_at > timedelta(seconds=2), "the store is away for a while")

    run.adapter.guard.last_words()

    assert (job.reload().state, job.data) == (State.succeeded, {"result": 1})
    assert 0 <= job.run_time < 1.5
    until(lambda: not _is_away(world), "the publisher knows that the store is back")


def test_what_was_told_is_kept_no_longer(world: Any) -> None:
    held, run = _holding(), _ended(world)
    held.hold(run, "large")
    gone = weakref.ref(run)

    held.tell()
    del run

    assert gone() is None


def _holding() -> Held:
    held = Held()
    held.is_possible = True
    return held


def _ended(world: Any) -> Run:
    """A job that has just ended, in this process."""
    status = statuses.create(job_name="held here").started()
    message = read({"id": status.id, "task": "held here"})
    assert message is not None
    run = Run(adapter=adapter.of(world.app), message=message, attempt=0, told=True)
    run._known = status
    return run


def _as_others_see(status: Status) -> Status:
    """Read without a word from the store's own connections."""
    return Status(status.id, Store(status._store.config), status._where).reload()


# The last: its worker tracks no job for a moment.
def test_a_held_end_is_told_once_the_store_is_back_and_delays_nobody(world: Any, held: Status) -> None:
    world.store.freeze()
    try:
        sent = world.tasks.add.apply_async((3, 4), queue=QUEUE)
        assert sent.get(timeout=PATIENCE) == 7
    finally:
        world.store.thaw()

    until(lambda: held.reload().state is State.succeeded, "the held end is told")
    until(lambda: not _is_away(world), "the publisher knows that the store is back")


def _is_away(world: Any) -> bool:
    return adapter.of(world.app).guard.away
