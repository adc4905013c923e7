"""Workers that report themselves, queues that are counted without asking them, and jobs that a dead worker left."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import chord

import statuses
from jobadmin import delivery
from jobadmin.fleet import Fleet
from statuses import State, keys, presence
from statuses import store as stores
from statuses.engines.base import Queue
from statuses.engines.celery import Celery
from statuses.reaper import Reaper
from statuses.testing import frozen_clock
from tests.servers import PATIENCE, told, until

KILLS_NO_THREAD = "its pool runs jobs in threads, which nothing can end from outside"
KILLS_NOT_ITSELF = "its pool (solo) runs the job in the worker itself, which hears nothing meanwhile"


def queue(engine: Celery, name: str) -> Queue | None:
    return next((queue for queue in engine.queues() if queue.name == name), None)


@pytest.mark.parametrize(("pool", "said"), [("prefork", "prefork"), ("threads", "thread"), ("solo", "solo")])
def test_a_worker_says_who_it_is_and_what_it_runs(world, engine, start_worker, pool, said):
    started = start_worker(f"told-{pool}", queues=f"q-{pool}", pool=pool, count=1)
    job = world.send(world.tasks.gated.s(f"told {pool}"), queue=f"q-{pool}")
    world.began(f"told {pool}")

    worker = told(engine, started.name, lambda worker: worker.running)
    world.open(f"told {pool}")
    world.ended(job)
    later = told(engine, started.name, lambda worker: not worker.running)

    assert (worker.engine, worker.pid, worker.pool, worker.concurrency) == ("celery", started.process.pid, said, 1)
    assert list(worker.queues) == [f"q-{pool}"]
    assert list(worker.running) == [job.id]
    assert worker.host == os.uname().nodename
    assert worker.is_alive and not worker.is_stopping
    assert worker.started_at is not None and worker.seen_at is not None and worker.started_at <= worker.seen_at <= later.seen_at
    assert later.details["accepted"] == 1
    assert worker.refuses.get("kill", "") == {"prefork": "", "thread": KILLS_NO_THREAD, "solo": KILLS_NOT_ITSELF}[said]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT])
def test_a_worker_that_ends_in_order_is_told_of_no_more(world, engine, start_worker, how):
    started = start_worker("leaves", queues="leaving", count=1)
    told(engine, started.name)

    started.process.send_signal(how)
    started.process.wait(PATIENCE)

    assert started.name not in [worker.name for worker in engine.workers()]


def test_a_worker_that_ends_warmly_says_so_while_its_last_job_runs(world, engine, start_worker):
    started = start_worker("warm", queues="warm", count=1)
    job = world.send(world.tasks.gated.s("warm"), queue="warm")
    world.began("warm")

    started.process.send_signal(signal.SIGTERM)
    worker = told(engine, started.name, lambda worker: worker.is_stopping)
    world.open("warm")
    started.process.wait(PATIENCE)

    assert list(worker.running) == [job.id]
    assert job.reload().is_succeeded


def test_a_job_that_is_broken_off_with_its_worker_has_failed_unless_its_broker_still_has_the_message(world, engine, start_worker):
    started = start_worker("broken off", queues="cold", count=2)
    early, late = world.tasks.gated.s("cold early"), world.tasks.gated_late.s("cold late")
    jobs = [world.send(early, queue="cold"), world.send(late, queue="cold")]
    world.began("cold early")
    world.began("cold late")
    # Celery breaks off what it knows to run, and waits for the rest: of a job that began it hears a moment later.
    told(engine, started.name, lambda worker: len(worker.running) == 2)

    started.process.send_signal(signal.SIGQUIT)
    started.process.wait(PATIENCE)

    assert world.ended(jobs[0]).state is State.failed
    assert "does not come back" in str(jobs[0].errors)
    start_worker("goes on", queues="cold", count=2)
    world.open("cold late")
    assert (world.ended(jobs[1]).state, jobs[1].attempt) == (State.succeeded, 1)
    assert (jobs[0].reload().attempt, world.noted("began:cold early")) == (0, 1)


def test_a_queue_tells_what_no_worker_has_taken_yet(world, engine, start_worker):
    jobs = [world.send(world.tasks.gated.s("deep"), queue="deep") for _ in range(6)]

    before = queue(engine, "deep")
    start_worker("deep", queues="deep", count=1)
    world.began("deep")
    # One runs, two are taken ahead: concurrency 1, prefetch 2, and the running one is acknowledged.
    after = until(lambda: (found := queue(engine, "deep")) and found.depth == 3 and found, "three are left")
    for _ in jobs:
        world.open("deep")
    for job in jobs:
        world.ended(job)

    assert before is not None and (before.name, before.engine, before.depth) == ("deep", "celery", 6)
    assert after.name == "deep" and after.held is not None and after.held >= 2
    assert (main := queue(engine, "main")) is not None and main.depth == 0


def test_a_worker_tells_how_much_it_may_take_ahead(engine, start_worker):
    started = start_worker("ahead", queues="ahead", count=3)

    assert told(engine, started.name).takes_ahead == 6


def test_messages_that_the_broker_lost_are_missed_and_those_that_a_worker_took_ahead_are_not(world, engine, start_worker):
    jobs = [world.send(world.tasks.gated.s("purged"), queue="purged") for _ in range(6)]
    started = start_worker("purged", queues="purged", count=1)
    world.began("purged")
    told(engine, started.name)
    until(lambda: (found := queue(engine, "purged")) and found.depth == 3, "three are left in the line")

    def missing() -> delivery.Delivery | None:
        fleet = Fleet(workers=tuple(engine.workers()), queues=tuple(engine.queues()), knowing=frozenset({engine.name}))
        return delivery.of("purged", fleet, waiting=5, settled=5, is_moving=False)

    before = missing()
    with world.app.connection_for_write() as connection:
        connection.default_channel.queue_purge("purged")
    after = missing()
    for _ in range(3):
        world.open("purged")
    for job in jobs[3:]:
        job.kill_now()
    for job in jobs[:3]:
        world.ended(job)

    assert before == delivery.Delivery(ahead=2, missing=0)
    assert after == delivery.Delivery(ahead=2, missing=3)


def test_a_name_that_may_be_no_queue_of_the_broker_has_no_depth(world, engine):
    job = statuses.create(job_name="elsewhere", queue="routing.key", engine=engine.name, state="queued")

    found = queue(engine, "routing.key")
    job.kill_now()

    assert found is not None and found.depth is None


def test_messages_of_every_priority_are_counted(world, engine):
    jobs = [world.send(world.tasks.nothing.s(), queue="urgent", priority=priority) for priority in (0, 3, 9)]

    found = queue(engine, "urgent")
    for job in jobs:
        job.kill_now()

    assert found is not None and found.depth == 3


def test_a_broker_that_is_away_leaves_the_depth_open_and_is_waited_for_once(world, engine, monkeypatch):
    world.send(world.tasks.nothing.s(), queue="frozen").kill_now()
    monkeypatch.setattr(engine, "_broker", type(engine._broker)(engine.app))
    engine.queues()

    world.broker.freeze()
    try:
        depths = {found.depth for found in engine.queues()}
        monkeypatch.setattr("statuses.engines.celery.broker.TIMEOUT_SECONDS", 1e9)
        again = {found.depth for found in engine.queues()}
    finally:
        world.broker.thaw()

    assert depths == again == {None}


def test_no_worker_is_asked(world, engine, monkeypatch):
    def broadcast(*_: Any, **__: Any) -> None:
        raise AssertionError("a worker was asked")

    monkeypatch.setattr(engine.app.control.mailbox, "_broadcast", broadcast)

    engine.workers()
    engine.queues()


def test_jobs_of_a_killed_worker_are_given_up_and_those_of_a_living_one_are_not(world, engine, start_worker):
    dead, alive = start_worker("dead", queues="dead", count=1), start_worker("alive", queues="alive", count=1)
    left, runs = world.send(world.tasks.gated.s("left"), queue="dead"), world.send(world.tasks.gated.s("runs"), queue="alive")
    world.began("left")
    world.began("runs")
    until(lambda: told(engine, dead.name).running and told(engine, alive.name).running, "both tell what they run")

    dead.kill()
    statuses.configure(url=world.store.url, namespace="engines", stale_after=timedelta(seconds=2))
    reaper = Reaper(confirm_seconds=0.0)
    # Jobs that other tests of this run left behind may be given up at an earlier look.
    until(lambda: presence_is_old(dead.name, 2) and reaper.look() and left.reload().is_failed, "it is given up")
    world.open("runs")

    assert (left.reload().state, left.error_group) == ("failed", "WorkerLost")
    assert dead.name in left.errors[0]["message"]
    assert world.ended(runs).is_succeeded


def test_the_body_of_a_chord_is_given_up_with_a_member_that_was_lost(world, engine, start_worker):
    dead = start_worker("dead-chords", queues="dead-chords", count=2)
    bodies = []
    for number, task in enumerate((world.tasks.gated, world.tasks.gated_late)):
        member = task.s(f"chord lost {number}").set(queue="dead-chords")
        chord([member, world.tasks.add.s(1, 1).set(queue="nobody-takes")], world.tasks.total.s()).apply_async()
        world.began(f"chord lost {number}")
        bodies.append(statuses.find_by(state="unqueued", job_name=world.tasks.total.name))
    lost = list(statuses.where(worker=dead.name, state="started"))
    dead.kill()
    statuses.configure(url=world.store.url, namespace="engines", stale_after=timedelta(seconds=0.5))
    reaper = Reaper(confirm_seconds=0.0)
    until(lambda: presence_is_old(dead.name) and reaper.look() and all(job.reload().is_failed for job in lost), "they are given up")

    vain, waits = (body.reload() for body in bodies)

    assert (vain.state, vain.errors[0]["class"]) == ("failed", "celery.exceptions.ChordError")
    assert "was lost with its worker" in vain.errors[0]["message"]
    assert waits.state == "unqueued"


def test_a_job_that_the_reaper_sends_again_is_not_run_by_the_message_its_broker_hands_out_again(world, engine, start_worker):
    dead = start_worker("dead late", queues="dead-late", count=1)
    job = world.send(world.tasks.gated_late.s("reaped"), queue="dead-late")
    world.began("reaped")
    dead.kill()
    name = job.reload().job_name
    statuses.configure(url=world.store.url, namespace="engines", stale_after=timedelta(seconds=0.5), reap_retries={name: 1})
    reaper = Reaper(confirm_seconds=0.0)
    until(lambda: presence_is_old(dead.name) and reaper.look() and job.reload().attempt == 1, "the reaper sends it again")
    # What the broker does when the visibility timeout has passed.
    with world.app.connection_for_write() as connection:
        for tag in world.broker.client().hkeys("unacked"):
            connection.default_channel.qos.restore_by_tag(tag)
    assert world.broker.client().llen("dead-late") == 2

    start_worker("next", queues="dead-late", count=2)

    for _ in range(2):
        world.open("reaped")
    world.ended(job)
    world.ended(world.send(world.tasks.nothing.s(), queue="dead-late"))
    assert world.noted("began:reaped") == 2
    assert (job.reload().state, job.attempt) == ("succeeded", 1)
    assert job.prior_attempts[0].error_group == "WorkerLost"


def test_jobs_whose_ends_were_held_back_by_a_worker_that_was_killed_end_as_their_results_say(world, engine, start_worker):
    dead = start_worker("dead-holding", extra={"TEST_HOLD": "3600"}, queues="dead-holding", count=1)
    job = world.send(world.tasks.add.s(1, 2), queue="dead-holding")
    assert world.app.AsyncResult(world.task_ids[job.id]).get(timeout=PATIENCE) == 3
    held = job.reload().state
    dead.kill()
    statuses.configure(url=world.store.url, namespace="engines", stale_after=timedelta(seconds=0.5), reap_retries={"*": 1})
    reaper = Reaper(confirm_seconds=0.0)
    until(lambda: presence_is_old(dead.name) and reaper.look() and job.reload().is_ended, "the reaper asks")

    assert (held, job.state, job.attempt, job.data, job.errors) == ("started", "succeeded", 0, {"result": 3}, [])


def presence_is_old(name: str, seconds: float = 0.5) -> bool:
    """Makes the living be those that reported within so many seconds; whether this worker is none of them."""
    presence.ALIVE_FOR = timedelta(seconds=seconds)
    return not next(report.is_alive for report in presence.reports("celery") if report.worker == name)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = presence.ALIVE_FOR
    yield
    presence.ALIVE_FOR = before


def test_jobs_whose_messages_the_broker_lost_are_forgotten(world, engine, monkeypatch):
    monkeypatch.setattr("statuses.engines.celery.engine.ANSWER_SECONDS", 0.5)  # nobody is there who could answer
    client = world.broker.client()
    lost, kept = world.send(world.tasks.nothing.s(), queue="main2"), world.send(world.tasks.nothing.s(), queue="kept")
    message = client.lpop("main2")
    presence.tell("celery", "somebody@else", {"queues": ["main2", "kept"]})
    while_it_may_live = engine.forgotten([lost.reload(), kept.reload()])
    statuses.configure(url=world.store.url, namespace="engines", stale_after=timedelta(seconds=1))

    until(lambda: engine.forgotten([lost.reload(), kept.reload()]) == [lost], "who does not answer is dead")
    client.hset("unacked", "tag", json.dumps([json.loads(message), "", "main2"]))
    client.zadd("unacked_index", {"tag": 1})
    while_it_is_held = engine.forgotten([lost.reload(), kept.reload()])
    client.hdel("unacked", "tag")
    client.zrem("unacked_index", "tag")
    presence.leave("celery", "somebody@else")
    kept.kill_now()

    assert while_it_may_live == while_it_is_held == []


def test_reports_are_bounded_and_the_oldest_go(store, monkeypatch):
    monkeypatch.setattr(presence, "MOST", 3)
    with frozen_clock() as clock:
        for number in range(5):
            presence.tell("celery", f"w{number}", {"pid": number})
            clock.tick(1)
        five = [report.worker for report in presence.reports("celery")]
        clock.tick(presence.KEPT_FOR - timedelta(seconds=1.5))
        unread = [report.worker for report in presence.reports("celery")]
        presence.tell("celery", "new", {})

        assert five == ["w2", "w3", "w4"]
        assert unread == ["w4"]
        assert [report.worker for report in presence.reports("celery")] == ["new", "w4"]
        assert store.hlen(keys.presence(stores.current().families[0])) == 2


def test_a_worker_is_alive_as_long_as_its_last_report_is_recent(store):
    with frozen_clock() as clock:
        presence.tell("celery", "w", {})
        presence.tell("other", "w", {})

        clock.tick(presence.ALIVE_FOR)
        recent = presence.reports("celery")[0].is_alive
        clock.tick(1)

        assert (recent, presence.reports("celery")[0].is_alive) == (True, False)
        assert len(presence.reports("celery")) == 1


def test_an_order_is_heard_once_and_by_that_worker_alone(store):
    presence.tell("huey", "w", {})
    presence.tell("huey", "other", {})

    given = [presence.order("huey", name, "stop") for name in ("w", "nobody")]
    heard = [presence.tell("huey", name, {}).order for name in ("other", "w", "w")]

    assert given == [True, False]
    assert heard == ["", "stop", ""]


def test_an_order_to_a_worker_that_ends_is_not_left_for_one_of_its_name(store):
    presence.tell("huey", "w", {})
    presence.order("huey", "w", "stop")

    presence.leave("huey", "w")

    assert presence.tell("huey", "w", {}).order == ""
    assert not store.exists(keys.orders(stores.current().families[0]))


def test_a_check_of_the_store_takes_reports_for_what_they_are(store):
    presence.tell("celery", "w", {})

    assert statuses.check().problems == ()
