"""Jobs whose messages a Redis has lost, and those that it seems to have lost: a worker has them, or may."""

import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import chord
from kombu import Exchange, Queue

import statuses
from statuses import State, Status
from statuses.engines.celery import Celery, holding
from statuses.reaper import Reaper
from tests.servers import Worker, told, until


@pytest.fixture(autouse=True)
def soon(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was silent for two seconds is dead; who was killed is waited for until then, and not as long as a test waits for others."""
    monkeypatch.setattr("statuses.engines.celery.engine.ANSWER_SECONDS", 2.0)
    statuses.configure(url=world.store.url, namespace="engines", stale_after=timedelta(seconds=1))


@pytest.fixture
def paused(world: Any, engine: Celery, worker: Worker) -> Iterator[Any]:
    """A queue that its worker leaves alone; gives a job in it."""
    names = []

    def send(queue: str, **options: Any) -> Status:
        if queue not in names:
            engine.pause_queue(queue)
            names.append(queue)
        return world.send(world.tasks.count.s(queue), queue=queue, **options)

    yield send
    for name in names:
        engine.resume_queue(name)


def forgets(engine: Celery, *jobs: Status) -> Any:
    """Whether it surely no longer has any of these, once no worker that was killed before is waited for."""
    return lambda: [*engine.forgotten([job.reload() for job in jobs])] == [*jobs]


def holds(world: Any, job: Status) -> Any:
    """Whether a worker holds the job's message, as the broker knows."""
    id = world.task_ids[job.id]
    return lambda: any(id in message for message in world.broker.client().hvals("unacked"))


def test_jobs_for_later_that_were_purged_are_forgotten(world: Any, engine: Celery, start_worker: Any, paused: Any) -> None:
    later, now = paused("purged", countdown=3600), paused("purged")
    started = start_worker("leaves alone", queues="purged", count=1)
    told(engine, started.name, lambda worker: worker.held)

    before = engine.forgotten([later, now])
    with world.app.connection_for_write() as connection:
        connection.default_channel.queue_purge("purged")

    until(forgets(engine, later, now), "they are forgotten")
    assert before == []


def test_a_job_that_is_in_a_workers_memory_alone_is_not_forgotten_and_runs(
    world: Any, engine: Celery, start_worker: Any, paused: Any
) -> None:
    """The broker has lost all its data; the worker has not."""
    lost = paused("flushed", countdown=3600)
    started = start_worker("remembers", queues="flushed,remembered", count=1)
    told(engine, started.name, lambda worker: worker.held)
    job = world.send(world.tasks.count.s("remembered"), queue="remembered", countdown=5)
    runs = world.send(world.tasks.gated.s("remembers"), queue="remembered")
    ahead = world.send(world.tasks.count.s("remembered ahead"), queue="remembered")
    world.began("remembers")
    until(holds(world, job), "the worker holds it")
    until(holds(world, ahead), "the worker has taken it ahead")

    world.broker.client().flushdb()
    until(forgets(engine, lost), "what was lost is told")
    in_memory = engine.forgotten([job.reload(), runs.reload(), ahead.reload(), lost])
    waited = job.reload().state
    world.open("remembers")

    assert (in_memory, waited) == ([lost], State.unqueued)
    assert [world.ended(each).state for each in (job, runs, ahead)] == [State.succeeded] * 3


@pytest.mark.parametrize("pool", ["threads", "solo", "gevent"])
def test_a_worker_of_every_pool_says_what_it_holds(world: Any, engine: Celery, start_worker: Any, pool: str) -> None:
    if pool == "gevent":
        pytest.importorskip("gevent")
    started = start_worker(f"holds-{pool}", queues=f"held-{pool}", pool=pool, count=1)
    told(engine, started.name)
    job = world.send(world.tasks.count.s(f"held {pool}"), queue=f"held-{pool}", countdown=3600)
    until(holds(world, job), "the worker holds it")

    def asked() -> set[str] | None:
        with engine._broker.ordering() as line:
            return holding.ask(world.app, line, [started.name], [world.task_ids[job.id], "another"], 2.0)

    until(asked, "it hears commands")
    world.broker.client().flushdb()

    assert asked() == {world.task_ids[job.id]}
    job.kill_now()


def test_a_job_whose_message_a_dead_worker_held_is_not_forgotten_for_its_broker_hands_it_out_again(
    world: Any, engine: Celery, start_worker: Any, paused: Any
) -> None:
    lost = paused("lost beside it")
    started = start_worker("held it", queues="held by the dead,lost beside it", count=1)
    told(engine, started.name, lambda worker: worker.held)
    job = world.send(world.tasks.count.s("held by the dead"), queue="held by the dead", countdown=3600)
    until(holds(world, job), "the worker holds it")

    started.kill()
    world.broker.client().delete("lost beside it")

    until(lambda: engine.forgotten([job.reload(), lost.reload()]), "who is dead is not waited for")
    assert engine.forgotten([job.reload(), lost.reload()]) == [lost]


def test_nothing_is_forgotten_while_a_worker_does_not_answer(world: Any, engine: Celery, start_worker: Any, paused: Any) -> None:
    statuses.configure(url=world.store.url, namespace="engines", stale_after=timedelta(seconds=30))
    lost = paused("silent")
    started = start_worker("silent", queues="silent", count=1)
    told(engine, started.name, lambda worker: worker.held)
    world.broker.client().delete("silent")

    started.process.send_signal(signal.SIGSTOP)
    try:
        while_silent = engine.forgotten([lost])
    finally:
        started.process.send_signal(signal.SIGCONT)

    assert while_silent == []


class TestAQueueThatNobodyTakesFromAndTheAppDoesNotName:
    """Its name may be a routing key, or stand in another broker."""

    @pytest.fixture(autouse=True)
    def nobody_else(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        world.broker.client().delete("unacked", "unacked_index")  # of workers that were killed in other tests
        monkeypatch.setattr("statuses.engines.celery.engine.may_live", lambda name: [])

    def test_a_job_is_forgotten_once_its_message_is_gone_and_not_while_it_waits(self, world: Any, engine: Celery) -> None:
        purged, waits = (world.send(world.tasks.count.s("nobody"), queue=queue) for queue in ("nobodys", "nobodys too"))
        before = engine.forgotten([purged, waits])

        world.broker.client().delete("nobodys")

        assert (before, engine.forgotten([purged, waits])) == ([], [purged])

    def test_it_becomes_unknown_at_the_second_look(self, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("statuses.waiting.FORGOTTEN_AFTER", timedelta(0))
        monkeypatch.setattr(holding, "EVERYBODY_SECONDS", 0.5)
        # Other tests may have left many that wait: none takes its turn.
        monkeypatch.setattr("statuses.engines.celery.sent.MOST_READ", 100_000)
        job = world.send(world.tasks.count.s("nobody"), queue="nobodys")
        world.broker.client().delete("nobodys")
        now = 0.0
        reaper = Reaper(confirm_seconds=25.0, monotonic=lambda: now)

        reaper.look()
        first = job.reload().state
        now += 25.0
        reaper.look()

        assert (first, job.reload().state) == (State.queued, State.unknown)

    def test_of_a_task_that_is_not_known_here_it_is_told_while_the_broker_has_such_a_queue(self, world: Any, engine: Celery) -> None:
        """Else it may be another broker's, and its message wait there."""
        job = world.send("no.such.task", queue="nobodys")
        client = world.broker.client()

        client.delete("nobodys")
        with_its_queue = engine.forgotten([job])
        client.delete("_kombu.binding.nobodys")

        assert (with_its_queue, engine.forgotten([job])) == ([job], [])

    @pytest.mark.parametrize("key", ["orders.far", "main"])  # the second is a queue that the app names
    def test_a_job_that_was_sent_by_exchange_and_key_is_looked_for_where_these_lead(self, world: Any, engine: Celery, key: str) -> None:
        """Its status names the queue that Celery declares with it, for the app names none that they lead to."""
        far = Queue("far", Exchange("regions"), key)
        with world.app.connection_for_write() as connection:
            far(connection.default_channel).declare()
        job = world.send(world.tasks.count.s("far"), exchange="regions", routing_key=key)
        waits = world.broker.client().llen("far"), engine.forgotten([job])

        world.broker.client().delete("far")

        assert (waits, engine.forgotten([job])) == ((1, []), [job])

    def test_a_job_whose_call_was_not_kept_waits_on(self, world: Any, engine: Celery) -> None:
        bare = statuses.create(engine="celery", queue="nobodys", provider_job_id="bare", state=State.queued)

        assert engine.forgotten([bare]) == []

    def test_a_job_that_is_retried_by_hand_is_looked_for_in_the_queue_of_its_call(self, world: Any, engine: Celery, worker: Worker) -> None:
        job = world.send(world.tasks.retry_elsewhere.s("elsewhere"))
        until(lambda: job.reload().attempt == 1 and job.queue == "elsewhere", "it is put off, and there")
        job.kill_now()

        job.retry()

        assert job.queue == "main"
        until(lambda: job.reload().attempt == 3, "it ran there, and is put off again")
        job.kill_now()


def test_what_cannot_be_read_of_messages_that_are_held_may_be_any_job(world: Any, engine: Celery, start_worker: Any, paused: Any) -> None:
    lost = paused("unread")
    told(engine, start_worker("unread", queues="unread", count=1).name, lambda worker: worker.held)
    client = world.broker.client()
    client.delete("unread")
    until(forgets(engine, lost), "it is forgotten")

    client.hset("unacked", "odd", "no message")
    client.zadd("unacked_index", {"odd": 1})
    while_odd = engine.forgotten([lost])
    client.hdel("unacked", "odd")
    client.zrem("unacked_index", "odd")

    assert while_odd == []


def test_a_retry_that_is_sent_to_another_queue_is_looked_for_there(world: Any, engine: Celery, worker: Worker) -> None:
    job = world.send(world.tasks.retry_elsewhere.s("elsewhere"))

    until(lambda: job.reload().attempt == 1 and job.queue == "elsewhere", "it is put off, and there")

    assert job.state is State.unqueued
    until(lambda: world.broker.client().llen("elsewhere"), "it is there")
    job.kill_now()


def test_the_body_of_a_chord_is_not_forgotten_before_it_is_sent(world: Any, engine: Celery, worker: Worker) -> None:
    members = [world.tasks.gated.s("member"), world.tasks.gated.s("member")]
    chord(members)(world.tasks.nothing.si())
    world.began("member")
    body = statuses.where(state="unqueued", job_name="tests.celeryapp.nothing", engine="celery").first()
    assert body is not None

    assert engine.forgotten([body]) == []
    world.open("member")
    world.open("member")
    world.ended(body)


def test_the_body_of_a_chord_of_which_a_member_was_lost_becomes_unknown(
    world: Any, engine: Celery, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("statuses.waiting.FORGOTTEN_AFTER", timedelta(0))
    monkeypatch.setattr(holding, "EVERYBODY_SECONDS", 0.5)
    monkeypatch.setattr(engine, "_known_queues", lambda: {"main", "chord-lost"})  # nobody takes from it, and it is known
    world.broker.client().delete("unacked", "unacked_index")  # of workers that were killed in other tests
    members = [world.tasks.at_gate.s(1, "chord goes on"), world.tasks.add.s(1, 1).set(queue="chord-lost")]
    chord(members)(world.tasks.total.s())
    world.began("chord goes on")
    body = statuses.where(state="unqueued", job_name="tests.celeryapp.total", engine="celery").first()
    lost = statuses.where(state="queued", queue="chord-lost", engine="celery").first()
    assert body is not None and lost is not None

    world.broker.client().delete("chord-lost")
    reaper = Reaper(confirm_seconds=0.5)
    until(lambda: reaper.look() and lost.reload().state is State.unknown, "the lost member is told")
    while_one_runs = engine.forgotten([body.reload()])
    world.open("chord goes on")
    until(lambda: reaper.look() and body.reload().state is not State.unqueued, "its body is told")

    assert (while_one_runs, body.state) == ([], State.unknown)
