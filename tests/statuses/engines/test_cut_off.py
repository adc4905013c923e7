"""Workers that the status store no longer hears, and their engine still does: what they run is not given up where the engine can tell."""

import dataclasses
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis.client
from dramatiq.brokers.redis import RedisBroker
from dramatiq.message import Message

import statuses
from statuses import State, Status
from statuses.ends import Asked
from statuses.engines import dramatiq as dramatiq_tracking
from statuses.engines.dramatiq import kept
from statuses.store import current, use
from tests.projects.running import Process, Project
from tests.servers import until
from tests.statuses.proxy import Proxy

NOWHERE = "/nowhere/at all"

only_those_that_tell = pytest.mark.parametrize("running", ["dramatiq", "rq"], indirect=True)


@pytest.fixture
def line(project: Project, tmp_path: Path) -> Iterator[Proxy]:
    """The line of a worker to the store, which can be cut."""
    with Proxy(tmp_path, project.store.socket) as proxy:
        yield proxy
        proxy.turn_to(project.store.socket)


def starts(project: Project, line: Proxy, name: str, task: str = "gated", how: str = "", **sent: Any) -> tuple[Process, Status]:
    """A worker, and a job that it runs until the gate opens."""
    how = how or ("often_heard_worker" if project.name == "rq" else "worker")
    worker = project.start_worker(name, f"{name}-{project.name}", how=how, TEST_STORE=line.url, TEST_PRESENCE="0.2")
    job = project.send(task, gate_of(project, name), to=f"{name}-{project.name}", **sent)
    project.began(gate_of(project, name))
    until(lambda: job.reload().heartbeat_at is not None, "a sign of life")
    return worker, job


def gate_of(project: Project, name: str) -> str:
    return f"{project.name} {name}"


def spared(project: Project, job: Status) -> State:
    """Its state after the look in which another one was given up, which nobody runs and which was heard of later."""
    about = {"engine": project.name, "queue": job.queue, "provider_job_id": f"beside-{job.provider_job_id}"}
    other = statuses.create(job_name="of nobody", state="queued", **about)
    other.started("nobody", alive=True)
    given_up(project, other)
    return job.reload().state


def given_up(project: Project, job: Status) -> Status:
    """The job once the reaper has given it up, in looks that spare a worker which is slow for some seconds."""
    until(lambda: project.ask("reap", 2.0) and job.reload().is_ended, "it is given up")
    return job


def ends(project: Project, line: Proxy, name: str, job: Status) -> Status:
    """The job, as it ends once its worker reaches the store again."""
    line.turn_to(project.store.socket)
    project.open(gate_of(project, name))
    return project.ended(job)


@only_those_that_tell
def test_a_job_that_runs_there_stays_started_and_ends_as_it_ends(project: Project, line: Proxy) -> None:
    _, job = starts(project, line, "cut")

    line.turn_to(NOWHERE)
    during = spared(project, job)

    assert during is State.started
    assert (ends(project, line, "cut", job).state, job.attempt, job.errors) == (State.succeeded, 0, [])
    assert project.noted(f"through:{gate_of(project, 'cut')}") == 1


@only_those_that_tell
def test_a_job_of_one_that_was_killed_is_given_up(project: Project, line: Proxy) -> None:
    worker, job = starts(project, line, "dead")
    _, runs = starts(project, line, "beside")

    line.turn_to(NOWHERE)
    during = spared(project, job)
    worker.kill()
    given_up(project, job)

    assert during is State.started
    assert (job.state, job.error_group, job.attempt) == (State.failed, "WorkerLost", 0)
    project.ask("reap", 2.0)  # it too has been silent for longer than what was given up first
    assert runs.reload().state is State.started
    assert ends(project, line, "beside", runs).errors == []


@pytest.mark.parametrize("running", ["rq"], indirect=True)
def test_one_that_runs_its_jobs_in_itself_gives_rq_no_sign_meanwhile_and_is_heard_all_the_same(project: Project, line: Proxy) -> None:
    _, job = starts(project, line, "in-itself", how="simple_worker")
    killed, lost = starts(project, line, "was-itself", how="simple_worker")

    line.turn_to(NOWHERE)
    during = spared(project, job)
    killed.kill()
    given_up(project, lost)

    assert during is State.started
    assert (lost.state, lost.error_group) == (State.failed, "WorkerLost")
    assert (ends(project, line, "in-itself", job).state, job.errors) == (State.succeeded, [])


@pytest.mark.parametrize("running", ["dramatiq"], indirect=True)
def test_what_one_will_run_again_is_not_given_up_as_long_as_it_has_it(project: Project, line: Proxy) -> None:
    _, job = starts(project, line, "again", task="fails_at", retries=1)

    line.turn_to(NOWHERE)
    project.let_through(gate_of(project, "again"))
    until(lambda: project.noted(f"began:{gate_of(project, 'again')}") == 2, "it runs again")
    during = spared(project, job)

    assert during is State.started
    assert (ends(project, line, "again", job).state, job.attempt) == (State.failed, 1)
    assert all(error["class"] != "WorkerLost" for error in job.errors)


def test_a_job_that_ended_there_ends_as_its_engine_says_while_the_store_hears_nothing(project: Project, line: Proxy) -> None:
    _, job = starts(project, line, "ends")

    line.turn_to(NOWHERE)
    project.open(gate_of(project, "ends"))
    until(lambda: project.ask("is_over", job.provider_job_id), "its engine has its end")
    project.reaped(job, retries=1)

    assert (job.state, job.attempt, job.data, job.errors) == (State.succeeded, 0, {"result": "through"}, [])


class TestWhatDramatiqsRedisSays:
    @pytest.fixture
    def worker(self, servers: Any, store: Any) -> Iterator[RedisBroker]:
        """The broker as a worker has it, that takes messages here and tells the store of none."""
        client = servers[0].client(db=5)
        client.flushdb()
        self.broker, worker = (RedisBroker(client=type(client)(unix_socket_path=str(servers[0].socket), db=5)) for _ in range(2))
        worker.declare_queue("cut-off")
        self.engine = dramatiq_tracking.install(self.broker, name="cut-off")
        yield worker
        dramatiq_tracking.uninstall(self.broker)
        client.flushdb()

    def started(self, *ids: str) -> list[Status]:
        """Jobs that began with these messages."""
        about = {"job_name": "add", "engine": "cut-off", "queue": "cut-off", "state": "queued"}
        return [statuses.create(provider_job_id=id, **about).started("w1", alive=True) for id in ids]

    def sent(self, *ids: str, delay: int | None = None) -> None:
        for id in ids:
            self.broker.enqueue(Message("cut-off", "add", (), {}, {}, message_id=id), delay=delay)

    def test_what_a_worker_has_taken_it_has_until_it_is_done_with_it(self, worker: RedisBroker) -> None:
        jobs = waits, has, again = self.started("waits", "has", "again")
        consumer = worker.consume("cut-off", prefetch=1)
        self.sent("has", "waits")
        taken = next(consumer)
        self.sent("again", delay=3_600_000)
        next(worker.consume("cut-off.DQ"))
        during = self.engine.held(jobs)
        consumer.ack(taken)

        assert during == {has.id, again.id}
        assert self.engine.held(jobs) == {again.id}
        assert self.engine.held([waits, statuses.create(engine="cut-off", queue="cut-off", provider_job_id="again")]) == set()

    def test_what_one_had_that_the_broker_no_longer_hears_nobody_has(self, worker: RedisBroker) -> None:
        (job,) = self.started("had")
        self.sent("had")
        next(worker.consume("cut-off"))
        now, _ = worker.client.time()
        held = []
        for age, stale_seconds in ((30, 60), (70, 60), (30, 10)):
            use(dataclasses.replace(current().config, stale_after=timedelta(seconds=stale_seconds)))
            worker.client.zadd("dramatiq:__heartbeats__", {worker.broker_id: (now - age) * 1000})
            held.append(self.engine.held([job]))

        assert held == [{job.id}, set(), set()]

    def test_thousands_are_asked_about_in_a_few_round_trips(self, worker: RedisBroker, monkeypatch: pytest.MonkeyPatch) -> None:
        trips: list[int] = []
        execute = redis.client.Pipeline.execute
        monkeypatch.setattr(redis.client.Pipeline, "execute", lambda self, *args: trips.append(1) or execute(self, *args))
        ids = [f"message {number}" for number in range(2_000)]
        jobs = self.started(*ids)
        self.sent(*ids)
        worker.do_fetch("cut-off", 1_600)
        worker.client.hset("dramatiq:cut-off.msgs", "odd", b"no message")
        worker.client.sadd(f"dramatiq:__acks__.{worker.broker_id}.cut-off", "odd", "gone")

        trips.clear()
        held = self.engine.held(jobs)

        assert held == {job.id for job in jobs[:1_600]}
        assert len(trips) <= 2 + 1_602 // kept.PAGE + 1

    def test_of_more_than_it_looks_at_those_that_wait_for_a_retry_are_left_out(
        self, worker: RedisBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kept, "MOST", 1)
        jobs = has, again = self.started("has", "again")
        self.sent("again", delay=3_600_000)
        next(worker.consume("cut-off.DQ"))
        alone = self.engine.held([again])
        self.sent("has")
        next(worker.consume("cut-off"))

        assert (alone, self.engine.held(jobs)) == ({again.id}, {has.id})

    def test_one_that_cannot_be_asked_keeps_nothing_from_being_given_up(self, worker: RedisBroker) -> None:
        (job,) = self.started("whose broker is away")
        self.broker.client.connection_pool.disconnect()
        self.broker.client.connection_pool.connection_kwargs["path"] = NOWHERE

        assert Asked(time.monotonic).unheld([job]) == [job]
