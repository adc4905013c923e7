"""Workers that are stopped and renewed, and queues that are paused, with workers that really run."""

from typing import Any

import pytest

import statuses
from statuses import EngineCannot, TooManyPauses, pauses
from statuses.engines.base import Worker
from statuses.testing import make_status
from tests.servers import PATIENCE, told, until


def test_a_stopped_worker_says_that_it_stops_finishes_its_job_and_is_gone(world, engine, start_worker):
    started, other = start_worker("stopped", queues="stopped", count=1), start_worker("stays", queues="stays", count=1)
    job = world.send(world.tasks.gated.s("stopped"), queue="stopped")
    world.began("stopped")

    engine.stop_worker(told(engine, started.name))
    stopping = told(engine, started.name, lambda worker: worker.is_stopping)
    later = world.send(world.tasks.nothing.s(), queue="stopped")
    world.open("stopped")
    started.process.wait(PATIENCE)

    assert list(stopping.running) == [job.id]
    assert world.ended(job).is_succeeded
    assert later.reload().is_queued
    assert started.name not in [worker.name for worker in engine.workers()]
    assert not told(engine, other.name).is_stopping
    later.kill_now()


def test_a_pool_is_renewed_without_breaking_off_its_jobs(world, engine, start_worker):
    started = start_worker("renewed", queues="renewed", count=2, extra={"TEST_POOL_RESTARTS": "1"})
    told(engine, started.name)
    before = set(started.children())
    job = world.send(world.tasks.gated.s("renewed"), queue="renewed")
    world.began("renewed")

    engine.restart_pool(told(engine, started.name))
    world.open("renewed")

    assert world.ended(job).is_succeeded
    until(lambda: len(after := set(started.children())) == 2 and not after & before, "every process is another one")
    again = world.send(world.tasks.add.s(1, 2), queue="renewed")
    assert world.ended(again).is_succeeded


def test_a_pool_that_cannot_be_renewed_says_why(world, engine, start_worker):
    threads = start_worker("threads", queues="t", pool="threads", count=1, extra={"TEST_POOL_RESTARTS": "1"})
    unset = start_worker("unset", queues="u", count=1)

    with pytest.raises(EngineCannot, match="pool of thread has no processes"):
        engine.restart_pool(told(engine, threads.name))
    with pytest.raises(EngineCannot, match=f"celery cannot restart the pool of worker {unset.name}: .*worker_pool_restarts"):
        engine.restart_pool(told(engine, unset.name))


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_paused_queue_is_left_alone_until_it_is_resumed(world, engine, start_worker, pool):
    held, free = f"held-{pool}", f"free-{pool}"
    started = start_worker(f"holds-{pool}", queues=f"{held},{free}", pool=pool, count=1)
    told(engine, started.name)

    first = engine.pause_queue(held, by="marta")
    again = engine.pause_queue(held, by="nobody")
    worker = told(engine, started.name, lambda worker: worker.held)
    waits = world.send(world.tasks.nothing.s(), queue=held)
    passes = world.ended(world.send(world.tasks.nothing.s(), queue=free))
    line = next(queue for queue in engine.queues() if queue.name == held)

    assert (first, again) == (True, False)
    assert (list(worker.held), set(worker.queues)) == ([held], {held, free})
    assert passes.is_succeeded
    assert waits.reload().is_queued
    assert (line.is_paused, line.paused_by, line.depth) == (True, "marta", 1)
    assert line.paused_at is not None

    engine.resume_queue(held)

    assert world.ended(waits).is_succeeded
    assert told(engine, started.name, lambda worker: not worker.held).queues == worker.queues


def test_a_pause_outlives_the_workers(world, engine, start_worker):
    engine.pause_queue("kept")
    waits = [world.send(world.tasks.nothing.s(), queue="kept") for _ in range(3)]

    worker = start_worker("later", queues="kept", count=1)
    told(engine, worker.name, lambda worker: list(worker.held) == ["kept"])
    before = [job.reload().state for job in waits]
    engine.resume_queue("kept")

    assert before == ["queued"] * 3
    assert all(world.ended(job).is_succeeded for job in waits)


def test_a_worker_that_hears_no_message_looks_by_itself(world, engine, start_worker):
    started = start_worker("deaf", queues="deaf", count=1)
    told(engine, started.name)

    pauses.pause(engine.name, "deaf")

    told(engine, started.name, lambda worker: list(worker.held) == ["deaf"])
    pauses.resume(engine.name, "deaf")
    told(engine, started.name, lambda worker: not worker.held)


def test_only_the_workers_of_a_queue_are_asked_to_look(world, engine, start_worker, monkeypatch):
    mine = start_worker("mine", queues="mine", count=1)
    start_worker("theirs", queues="theirs", count=1)
    told(engine, mine.name)
    asked: list[Any] = []
    monkeypatch.setattr(engine.app.control, "broadcast", lambda command, destination=None, **_: asked.append((command, destination)))

    engine.pause_queue("mine")
    engine.pause_queue("nobodys")
    engine.resume_queue("mine")
    engine.resume_queue("nobodys")

    assert asked == [("statuses_look", [mine.name])] * 2


def test_a_broker_that_is_away_stops_no_worker_and_says_so(world, engine):
    world.broker.stop()
    try:
        with pytest.raises(EngineCannot, match=r"cannot stop worker w@tests: the broker does not answer"):
            engine.stop_worker(Worker(name="w@tests", engine="celery"))
        paused = engine.pause_queue("unheard")
    finally:
        world.broker.start()
    resumed = engine.resume_queue("unheard")

    assert (paused, resumed) == (True, True)


def test_a_broker_that_is_away_holds_up_no_kill(world, engine):
    running, waiting = (make_status(state, engine="celery", queue="main", provider_job_id=state) for state in ("started", "queued"))
    world.broker.stop()
    try:
        with pytest.raises(EngineCannot, match="the broker does not answer"):
            engine.kill(running)
        waiting.kill_now()
    finally:
        world.broker.start()

    assert waiting.reload().is_killed


class TestPauses:
    def test_each_engine_has_its_own(self, store):
        pauses.pause("celery", "mail", by="marta")
        pauses.pause("rq", "mail")
        pauses.pause("celery", "a\tb")

        assert {name: pause.by for name, pause in pauses.paused("celery").items()} == {"mail": "marta", "a\tb": None}
        assert list(pauses.paused("rq")) == ["mail"]

    def test_the_version_of_the_store_names_them_all_and_stays_the_same(self, store):
        before = statuses.version()
        pauses.pause("celery", "mail", by="marta")
        pauses.pause("rq", "a\tb")

        now = statuses.version()

        assert now.paused == {("celery", "mail"), ("rq", "a\tb")}
        assert (now.text, before.paused) == (before.text, frozenset())

    def test_there_are_not_endless_many(self, store, monkeypatch):
        monkeypatch.setattr(pauses, "MOST", 2)
        pauses.pause("celery", "one")
        pauses.pause("celery", "two")

        assert pauses.pause("celery", "two") is False
        with pytest.raises(TooManyPauses):
            pauses.pause("celery", "three")

    def test_resuming_what_is_not_paused_changes_nothing(self, store):
        assert pauses.resume("celery", "mail") is False

    def test_a_check_of_the_store_takes_them_for_what_they_are(self, store):
        pauses.pause("celery", "mail")

        assert statuses.check().problems == ()
