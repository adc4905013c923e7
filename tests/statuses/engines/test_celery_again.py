"""A job whose message its broker hands out again while a run of it goes on, with real workers."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import pytest
from celery.exceptions import SoftTimeLimitExceeded

import statuses
from statuses import KillRequested, State, presence
from statuses.engines.celery import Celery, again, tracing
from statuses.engines.celery.messages import HEADER, header, read
from tests.servers import Worker, pools, told, until

StartWorker = Callable[..., Worker]


def result_of(world: Any, job: statuses.Status) -> str:
    return world.app.AsyncResult(job.provider_job_id).state


def dropped(world: Any, job: statuses.Status, worker: Worker, times: int) -> None:
    """Wait until a worker has got a message so often, and acknowledged it."""
    received = f"[{job.provider_job_id}] received"
    until(lambda: worker.log.read_text(errors="replace").count(received) == times, "the worker has its message")
    until(lambda: not world.handed_out(job.provider_job_id), "its message is gone")


def asked_and_handed_out_again(world: Any, queue: str, first: Worker, dies: bool = True) -> statuses.Status:
    """A job that was asked to die while it ran, and whose message stands in its queue once more, from which its worker takes no more."""
    job = world.send(world.tasks.looks_at_the_gate_late.s(queue), queue=queue)
    world.began(queue)
    job.request_kill(by="anna")
    first.kill() if dies else world.take_no_more(first.name, queue)
    world.hand_out_again(job)
    return job


@pytest.mark.parametrize("pool", ["prefork", *pools("threads", "gevent", "eventlet")])
def test_a_job_that_was_asked_to_die_goes_on_where_its_worker_gets_its_message_again(
    world: Any, start_worker: StartWorker, pool: str
) -> None:
    queue = f"again-{pool}"
    worker = start_worker(queue, queues=queue, pool=pool, count=2)
    job = world.send(world.tasks.gated_late.s(queue), queue=queue)
    world.began(queue)
    job.request_kill(by="anna")

    world.hand_out_again(job)

    dropped(world, job, worker, times=2)
    assert (job.reload().state, job.attempt, job.kill_requested_by) == (State.started, 0, "anna")
    assert (world.noted(f"began:{queue}"), result_of(world, job)) == (1, "PENDING")
    world.open(queue)
    assert (world.ended(job).state, job.attempt, result_of(world, job)) == (State.succeeded, 0, "SUCCESS")


def test_a_job_that_was_asked_to_die_goes_on_where_another_worker_gets_its_message(world: Any, start_worker: StartWorker) -> None:
    first = start_worker("again-first", queues="again-other", count=1)
    job = asked_and_handed_out_again(world, "again-other", first, dies=False)

    second = start_worker("again-second", queues="again-other", count=1)

    dropped(world, job, second, times=1)
    assert (job.reload().state, job.attempt, job.worker) == (State.started, 0, "again-first@tests")
    assert (world.noted("began:again-other"), result_of(world, job)) == (1, "PENDING")
    world.open("again-other")
    assert world.ended(job).state is State.killed, "its first run has seen that it shall die"


def test_a_job_that_was_asked_to_die_is_killed_where_the_worker_that_ran_it_is_gone(world: Any, start_worker: StartWorker) -> None:
    first = start_worker("gone-first", queues="gone", count=1)
    job = asked_and_handed_out_again(world, "gone", first)

    start_worker("gone-second", queues="gone", count=1)

    assert (world.ended(job).state, job.attempt) == (State.killed, 0)
    until(lambda: result_of(world, job) == "REVOKED", "Celery says so too")
    assert world.noted("began:gone") == 1


def test_a_job_that_was_asked_to_die_is_killed_where_its_worker_came_back_under_the_same_name(
    world: Any, start_worker: StartWorker
) -> None:
    first = start_worker("comes-back", queues="comes-back", count=1)
    job = asked_and_handed_out_again(world, "comes-back", first)

    start_worker("comes-back", queues="comes-back", count=1)

    assert (world.ended(job).state, world.noted("began:comes-back")) == (State.killed, 1)


def test_a_job_that_was_asked_to_die_is_killed_where_its_process_was_lost_and_its_message_put_back(
    world: Any, start_worker: StartWorker
) -> None:
    start_worker("put-back", queues="put-back", count=2)
    job = world.send(world.tasks.die_at_gate.s("put-back"), queue="put-back")
    world.began("put-back")
    job.request_kill()

    world.open("put-back")

    assert (world.ended(job).state, job.attempt) == (State.killed, 0)
    assert world.noted("began:put-back") == 1


def test_a_job_that_was_asked_to_die_stays_started_while_its_worker_may_live_somewhere_else(
    world: Any, engine: Any, start_worker: StartWorker
) -> None:
    first = start_worker("silent-first", queues="silent", count=1)
    told(engine, first.name)
    job = asked_and_handed_out_again(world, "silent", first)
    facts = next(report.facts for report in presence.reports("celery") if report.worker == first.name)
    presence.tell("celery", first.name, {**facts, "machine": "another"})

    second = start_worker("silent-second", queues="silent", count=1)

    dropped(world, job, second, times=1)
    assert (job.reload().state, job.attempt, world.noted("began:silent")) == (State.started, 0, 1)
    presence.leave("celery", first.name)


def test_a_limit_of_time_that_is_over_while_workers_are_asked_fails_no_job(
    world: Any, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def over(*_: Any) -> NoReturn:
        raise SoftTimeLimitExceeded

    job = world.send(world.tasks.gated_late.s("limited"), queue="nobody").started("elsewhere@tests").request_kill()
    task_id = world.task_ids[job.id]
    request = {"id": task_id, "task": "gated_late", "delivery_info": {"redelivered": True}, HEADER: header(job.id, task_id, 0)}
    monkeypatch.setattr(again, "is_over", over)

    outcome = tracing._refuse(engine.adapter, world.tasks.gated_late, read(request), KillRequested(job.id))

    assert (outcome.info.state, result_of(world, job)) == ("IGNORED", "PENDING")
    assert job.reload().state is State.started


@pytest.mark.parametrize("why", ["expired", "revoked"])
def test_a_message_that_is_dropped_before_it_starts_is_no_end_of_the_run_that_goes_on(
    world: Any, start_worker: StartWorker, why: str
) -> None:
    worker = start_worker(why, queues=why, count=2)
    expires = datetime.now(UTC) + timedelta(seconds=3) if why == "expired" else None
    job = world.send(world.tasks.gated_late.s(why), queue=why, expires=expires)
    world.began(why)
    if expires is None:
        with world.app.connection_for_write() as line:  # one that a test before cut off would break
            world.app.control.revoke(job.provider_job_id, reply=True, destination=[f"{why}@tests"], limit=1, connection=line)
    else:
        until(lambda: datetime.now(UTC) > expires, "it has expired")

    world.hand_out_again(job)

    dropped(world, job, worker, times=2)
    world.ended(world.send(world.tasks.nothing.s(), queue=why))
    assert (job.reload().state, job.errors) == (State.started, [])
    world.open(why)
    assert (world.ended(job).state, job.attempt) == (State.succeeded, 0)


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


def runs_where_it_was_in_hand(world: Any, start_worker: StartWorker, name: str, ended: bool) -> tuple[statuses.Status, Worker, Worker]:
    """A job that a worker has taken ahead, which ran elsewhere meanwhile (and has `ended` there) and now runs where it was in hand; with the
    workers, this one first."""
    first = start_worker(name, queues=name, count=1)
    world.send(world.tasks.gated.s(f"{name} busy"), queue=name)
    world.began(f"{name} busy")
    job = world.send(world.tasks.gated.s(name), queue=name)
    until(lambda: world.handed_out(job.provider_job_id), "it is taken ahead")
    world.take_no_more(first.name, name)
    second = start_worker(f"{name}-other", queues=name, count=1)
    world.hand_out_again(job)
    world.began(name)
    if ended:
        world.open(name)
        world.ended(job)
    world.open(f"{name} busy")
    until(lambda: world.noted(f"began:{name}") == 2, "it runs twice")
    return job, first, second


@pytest.mark.parametrize("ended", [False, True], ids=["while it runs there", "once it has ended there"])
def test_a_job_that_its_worker_had_in_hand_while_it_ran_elsewhere_is_its_next_attempt_where_that_runs_it_too(
    world: Any, start_worker: StartWorker, ended: bool
) -> None:
    name = f"in-hand-{ended}"
    job, first, second = runs_where_it_was_in_hand(world, start_worker, name, ended)

    runs = job.reload().state, job.attempt, job.worker
    world.open(name)
    if not ended:
        until(lambda: job.reload().prior_attempts[0].is_ended, "the run that began first has ended")
        world.open(name)

    assert runs == (State.started, 1, first.name)
    assert (world.ended(job).attempt, job.state, job.worker) == (1, State.succeeded, first.name)
    assert [(one.state, one.worker, one.data) for one in job.prior_attempts] == [(State.succeeded, second.name, {"result": "through"})]


@pytest.mark.parametrize("ended", [False, True], ids=["while it runs there", "once it has ended there"])
def test_kill_now_ends_the_run_that_its_worker_had_in_hand_and_that_elsewhere(
    world: Any, engine: Celery, start_worker: StartWorker, ended: bool
) -> None:
    job, *workers = runs_where_it_was_in_hand(world, start_worker, f"in-hand-kill-{ended}", ended)
    names = [worker.name for worker in workers]

    job.reload().kill_now()

    assert (world.ended(job).state, job.attempt, job.worker) == (State.killed, 1, names[0])
    until(lambda: engine.running(job.provider_job_id, names) == {name: [] for name in names}, "no run goes on")
