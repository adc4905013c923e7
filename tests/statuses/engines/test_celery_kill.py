"""Kill that kills, and retry, with real workers."""

import json
import re
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import statuses
from statuses import EngineCannot, State, presence
from statuses.engines.celery import engine as celery_engine
from statuses.retries import retry_failed
from tests.servers import Worker, pools, told, until


def result_of(world: Any, job: statuses.Status) -> str:
    return world.app.AsyncResult(job.provider_job_id).state


@pytest.mark.parametrize("how", ["kill now", "request", "request that ends what waits"])
def test_a_job_killed_while_it_waits_never_starts_not_even_at_a_worker_that_knows_of_no_revoke(
    world: Any, start_worker: Callable[..., Worker], how: str
) -> None:
    job = world.send(world.tasks.count.s(how), queue="later")
    other = world.send(world.tasks.count.s(f"other {how}"), queue="later")
    if how == "kill now":
        job.kill_now(by="anna", reason="not needed")
    else:
        job.request_kill(by="anna", reason="not needed", end_queued=how != "request")

    start_worker("later", queues="later", count=1)

    world.ended(other)
    assert world.ended(job).state is State.killed
    assert (world.noted(how), world.noted(f"other {how}")) == (0, 1)
    assert job.started_at is None
    assert (job.kill_requested_by, job.kill_reason) == ("anna", "not needed")
    until(lambda: result_of(world, job) == "REVOKED", "Celery says so too")
    assert world.broker.client().llen("later") == 0
    # The worker acknowledges a message when it hears that its process has it: the process may tell the end first.
    until(lambda: not world.handed_out(job.provider_job_id, other.provider_job_id), "both messages are gone")


def test_a_job_killed_while_a_worker_holds_it_never_starts(world: Any, worker: Worker) -> None:
    busy = [world.send(world.tasks.gated.s(f"busy {n}")) for n in range(2)]
    for n in range(2):
        world.began(f"busy {n}")
    job = world.send(world.tasks.count.s("held"))
    until(lambda: worker.said(f"[{job.provider_job_id}] received"), "the worker holds it")

    job.kill_now()
    killed = job.reload().state
    for n in range(2):
        world.open(f"busy {n}")

    for each in busy:
        world.ended(each)
    world.ended(world.send(world.tasks.nothing.s()))
    assert killed is State.killed
    assert job.reload().state is State.killed
    assert world.noted("held") == 0


@pytest.mark.usefixtures("worker")
def test_a_running_job_that_looks_ends_as_killed_and_no_automatic_retry_catches_it(world: Any) -> None:
    job = world.send(world.tasks.cooperative.s("cooperative"))
    world.began("cooperative")

    job.request_kill(by="anna", reason="too slow")

    world.ended(job)
    assert (job.state, job.attempt, job.errors) == (State.killed, 0, [])
    assert world.noted("began:cooperative") == 1
    until(lambda: result_of(world, job) == "REVOKED", "Celery says so too")


@pytest.mark.usefixtures("worker")
def test_a_request_on_a_job_that_never_looks_changes_nothing(world: Any) -> None:
    job = world.send(world.tasks.gated.s("never looks"))
    world.began("never looks")

    job.request_kill()
    world.open("never looks")

    assert world.ended(job).state is State.succeeded
    assert job.kill_requested


def test_kill_now_ends_the_process_of_a_running_job_and_only_that(world: Any, worker: Worker) -> None:
    job, other = world.send(world.tasks.gated.s("victim")), world.send(world.tasks.gated.s("bystander"))
    world.began("victim")
    world.began("bystander")
    before = set(worker.children())

    job.kill_now(by="anna")

    world.ended(job)
    until(lambda: len(before - set(worker.children())) == 1, "one process has gone")
    world.open("bystander")
    assert (job.state, job.errors) == (State.killed, [])
    assert job.kill_requested_at <= job.killed_at
    assert world.ended(other).state is State.succeeded


def test_kill_now_ends_a_job_of_a_worker_whose_older_version_of_us_knows_no_such_order(
    world: Any, start_worker: Callable[..., Worker]
) -> None:
    start_worker("older", queues="older", count=1, extra={"TEST_OLDER": "1"})
    job = world.send(world.tasks.gated.s("older"), queue="older")
    world.began("older")

    job.kill_now(by="anna")

    assert (world.ended(job).state, job.errors) == (State.killed, [])
    assert world.ended(world.send(world.tasks.nothing.s(), queue="older")).state is State.succeeded


def test_a_killed_job_that_is_retried_runs_under_a_new_id_and_its_old_message_does_not(
    world: Any, start_worker: Callable[..., Worker]
) -> None:
    job = world.send(world.tasks.count.s("again"), queue="again", headers={"user": "deploy", "tenant": "north"})
    first_id = job.provider_job_id
    job.kill_now()

    job.retry(by="anna")
    queued = (job.reload().state, job.attempt, job.kill_requested)
    start_worker("again", queues="again", count=1)

    world.ended(job)
    assert world.broker.client().llen("again") == 0
    until(lambda: not world.handed_out(first_id, job.provider_job_id), "both messages are gone")
    assert queued == (State.queued, 1, False)
    assert (job.state, job.attempt, world.noted("again")) == (State.succeeded, 1, 1)
    assert job.provider_job_id != first_id
    assert job.prior_attempts[0].provider_job_id == first_id
    assert (job.queue, job.user, job.call["options"]["headers"]["tenant"]) == ("again", "deploy", "north")
    assert [attempt.state for attempt in job.prior_attempts] == [State.killed]


@pytest.mark.usefixtures("worker")
def test_a_failed_job_is_retried_with_its_original_call(world: Any) -> None:
    job = world.ended(world.send(world.tasks.fail.s("call me again")))

    job.retry()

    until(lambda: job.reload().is_failed and job.attempt == 1, "it failed again")
    assert [error["message"] for error in job.errors] == ["call me again"]
    assert [attempt.state for attempt in job.prior_attempts] == [State.failed]


def test_many_who_retry_at_once_send_it_once(world: Any) -> None:
    job = world.send(world.tasks.nothing.s(), queue="nobody")
    job.killed()
    before, refused = len(world.sent), []

    def press() -> None:
        try:
            statuses.at(job.id).retry()
        except EngineCannot as error:
            refused.append(error)

    threads = [threading.Thread(target=press) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(world.sent) - before == 1
    assert len(refused) == 7
    assert job.reload().attempt == 1


def test_a_thousand_failures_that_several_send_again_at_once_are_each_sent_once(world: Any) -> None:
    queue = "in bulk"
    call = {"args": [1, 2], "kwargs": {}, "options": {"task": "tests.celeryapp.add", "queue": queue}}
    statuses.load({"job_name": "bulk", "engine": "celery", "queue": queue, "state": "failed", "call": call} for _ in range(1000))
    failures = statuses.where(queue=queue, state="failed")
    changed: list[int] = []
    together = threading.Barrier(3)
    operators = [
        lambda: failures.retry_all(by="anna").changed,
        lambda: failures.retry_all(by="ben").changed,
        lambda: retry_failed(failures, by="schedule").retried,
    ]

    def press(operator: Callable[[], int]) -> None:
        together.wait()
        changed.append(operator())

    threads = [threading.Thread(target=press, args=(operator,)) for operator in operators]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    sent = [json.loads(text)["headers"]["job_status"] for text in world.broker.client().lrange(queue, 0, -1)]
    assert sum(changed) == len(sent) == len({said["id"] for said in sent}) == 1000
    assert {said["attempt"] for said in sent} == {1}
    assert statuses.where(queue=queue).counts()[State.queued] == 1000
    assert min(changed) > 0, "all three have sent some"


@pytest.mark.usefixtures("worker")
def test_a_retry_that_cannot_be_sent_leaves_a_failed_attempt(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from kombu import Producer

    job = world.ended(world.send(world.tasks.fail.s("first")))

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no broker here")

    monkeypatch.setattr(Producer, "publish", refuse)
    with pytest.raises(EngineCannot, match="no broker here"):
        job.retry()

    assert (job.reload().state, job.attempt) == (State.failed, 1)
    assert job.error_summary.endswith(": no broker here")


def test_a_worker_that_is_killed_leaves_jobs_that_become_stale(
    world: Any, start_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses.configure(url=world.store.url, namespace="engines", stale_after=timedelta(seconds=1.5))
    victim = start_worker("victim", queues="victims", count=1)
    job = world.send(world.tasks.gated.s("stale"), queue="victims")
    world.began("stale")
    first = job.reload().heartbeat_at
    until(lambda: job.reload().heartbeat_at > first, "a heartbeat")
    alive = job.is_stale

    victim.kill()

    until(lambda: job.reload().is_stale, "it is stale")
    assert not alive
    assert job.state is State.started
    monkeypatch.setattr(celery_engine, "ANSWER_SECONDS", 0.5)
    with pytest.raises(EngineCannot, match="did not answer"):
        job.kill_now()
    monkeypatch.setattr(world.app.control, "broadcast", lambda *_, **__: pytest.fail("a worker that did not answer is asked once"))
    with pytest.raises(EngineCannot, match="did not answer"):
        job.kill_now()


def test_a_job_handed_out_again_after_its_worker_died_runs_as_the_next_attempt(world: Any, start_worker: Callable[..., Worker]) -> None:
    first = start_worker("dies", queues="late", count=1)
    job = world.send(world.tasks.gated_late.s("late"), queue="late")
    world.began("late")
    first.kill()

    world.hand_out_again(job)
    start_worker("takes over", queues="late", count=1)
    until(lambda: world.noted("began:late") == 2, "it runs again")
    again = job.reload().attempt
    world.open("late")

    assert world.ended(job).state is State.succeeded
    assert (again, job.attempt) == (1, 1)
    assert [(a.state, a.worker) for a in job.prior_attempts] == [(State.started, "dies@tests")]


@pytest.mark.parametrize("places", [1, 2], ids=["one worker", "two workers"])
def test_kill_now_ends_both_runs_of_a_job_that_its_broker_handed_out_twice(
    world: Any, start_worker: Callable[..., Worker], places: int
) -> None:
    queue = f"twice-{places}"
    workers = [start_worker(f"{queue}-first", queues=queue, count=3 - places)]

    def second() -> None:
        workers.append(start_worker(f"{queue}-second", queues=queue, count=1))

    job = world.run_twice(world.tasks.gated_late, queue, queue, second if places == 2 else None)
    before = {pid for worker in workers for pid in worker.children()}

    job.kill_now(by="anna")

    assert world.ended(job).state is State.killed
    until(lambda: not before & {pid for worker in workers for pid in worker.children()}, "the processes of both are gone")
    assert (job.reload().state, job.attempt, job.errors) == (State.killed, 1, [])
    assert result_of(world, job) == "REVOKED"


def test_kill_now_ends_the_run_of_a_job_whose_message_its_worker_holds_a_second_time(
    world: Any, start_worker: Callable[..., Worker]
) -> None:
    worker = start_worker("twice-held", queues="twice-held", count=1)
    job = world.send(world.tasks.gated_late.s("twice held"), queue="twice-held")
    world.began("twice held")
    world.hand_out_again(job)
    until(lambda: worker.log.read_text(errors="replace").count(f"[{job.provider_job_id}] received") == 2, "the worker holds it twice")
    before = set(worker.children())

    job.kill_now()

    until(lambda: not before & set(worker.children()), "its process is gone")
    assert world.ended(job).state is State.killed
    world.ended(world.send(world.tasks.nothing.s(), queue="twice-held"))
    assert (job.reload().state, world.noted("began:twice held")) == (State.killed, 1)


@pytest.mark.parametrize("pool", pools("gevent", "eventlet"))
def test_kill_now_ends_both_greenlets_of_a_job_that_its_broker_handed_out_twice(
    world: Any, start_worker: Callable[..., Worker], pool: str
) -> None:
    queue = f"{pool}-twice"
    worker = start_worker(queue, pool=pool, queues=queue, count=5)
    until(lambda: world.app.control.ping([worker.name], timeout=0.5), "it hears commands")
    job = world.run_twice(world.tasks.gated_late, queue, queue)

    job.kill_now()

    assert world.ended(job).state is State.killed
    for _ in range(2):
        world.open(queue)
    assert world.gates.llen(queue) == 2, "nobody waits at the gate"
    world.ended(world.send(world.tasks.nothing.s(), queue=queue))
    assert (job.reload().state, result_of(world, job)) == (State.killed, "REVOKED")


def test_kill_now_says_which_worker_still_runs_an_earlier_attempt_that_it_cannot_end(
    world: Any, start_worker: Callable[..., Worker]
) -> None:
    start_worker("twice-threads", queues="twice-threads", pool="threads", count=1)
    processes: list[Worker] = []
    job = world.run_twice(
        world.tasks.gated_late, "twice threads", "twice-threads",
        lambda: processes.append(start_worker("twice-prefork", queues="twice-threads", count=1)),
    )  # fmt: skip
    before = processes[0].children()

    with pytest.raises(
        EngineCannot, match=r"an earlier attempt of it may still run.*the pool of worker twice-threads@tests runs jobs in threads"
    ):
        job.kill_now()
    after = (job.reload().state, job.kill_requested is not None, processes[0].children())
    for _ in range(2):
        world.open("twice threads")

    assert after == (State.started, True, before)
    assert world.ended(job).state is State.succeeded


def run_twice_and_die(world: Any, start_worker: Callable[..., Worker], queue: str) -> tuple[statuses.Status, str]:
    """A job that runs a second time, for the worker of its first run is dead; that one's name."""
    dead = start_worker(f"{queue}-dead", queues=queue, count=1)
    until(lambda: dead.name in {report.worker for report in presence.reports("celery")}, "it has reported once")
    again = lambda: (dead.kill(), start_worker(f"{queue}-alive", queues=queue, count=1))  # noqa: E731
    return world.run_twice(world.tasks.gated_late, queue, queue, again), dead.name


def test_an_earlier_worker_that_has_died_on_this_machine_is_in_the_way_of_no_kill(world: Any, start_worker: Callable[..., Worker]) -> None:
    job, dead = run_twice_and_die(world, start_worker, "twice-here")

    job.kill_now()

    assert world.ended(job).state is State.killed
    assert dead in {report.worker for report in presence.reports("celery") if report.is_alive}


def test_an_earlier_worker_that_is_dead_elsewhere_is_in_the_way_of_a_kill_only_as_long_as_it_may_live(
    world: Any, start_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, dead = run_twice_and_die(world, start_worker, "twice-there")
    facts = next(report.facts for report in presence.reports("celery") if report.worker == dead)
    presence.tell("celery", dead, {**facts, "machine": "another"})

    with monkeypatch.context() as patch:
        patch.setattr(celery_engine, "ANSWER_SECONDS", 0.5)
        with pytest.raises(EngineCannot) as refused:
            job.kill_now()
    state = job.reload().state
    monkeypatch.setattr(presence, "ALIVE_FOR", timedelta(seconds=2))
    until(lambda: dead not in {report.worker for report in presence.reports("celery") if report.is_alive}, "it is taken for lost")
    job.kill_now()

    assert re.search(
        rf"an earlier attempt of it may still run.*worker {dead} did not answer.* it reported \d+ s ago, "
        r"and unless it does so again it counts as gone in [34]\d s, after 45 s of silence$",
        refused.value.why,
    )
    assert state is State.started
    assert world.ended(job).state is State.killed


def test_both_runs_of_a_job_see_that_they_shall_die(world: Any, start_worker: Callable[..., Worker]) -> None:
    start_worker("twice-asked", queues="twice-asked", count=2)
    job = world.run_twice(world.tasks.cooperative_late, "twice asked", "twice-asked")

    job.request_kill(by="anna")

    until(lambda: world.noted("asked:twice asked") == 2, "both were told")
    assert (world.ended(job).state, job.attempt) == (State.killed, 1)


def test_a_job_revoked_by_somebody_else_is_killed_when_a_worker_meets_it(world: Any, start_worker: Callable[..., Worker]) -> None:
    start_worker("told", queues="told", count=1)
    busy, job = world.send(world.tasks.gated.s("told"), queue="told"), world.send(world.tasks.count.s("told"), queue="told")
    world.began("told")

    world.app.control.revoke(job.provider_job_id, reply=True, destination=["told@tests"], limit=1)
    world.open("told")

    world.ended(busy)
    assert world.ended(job).state is State.killed
    assert world.noted("told") == 0


@pytest.mark.parametrize(
    ("signal", "end"),
    [("SIGUSR1", (State.failed, "billiard.exceptions.SoftTimeLimitExceeded")), ("SIGINT", (State.succeeded, None))],
)
@pytest.mark.usefixtures("worker")
def test_a_job_that_somebody_terminates_by_a_signal_which_ends_no_process_ends_as_it_ends(
    world: Any, signal: str, end: tuple[State, str | None]
) -> None:
    job = world.send(world.tasks.gated.s(signal))
    world.began(signal)

    world.app.control.revoke(world.task_ids[job.id], terminate=True, signal=signal, reply=True)
    world.open(signal)

    assert (world.ended(job).state, job.error_summary and job.errors[0]["class"]) == end


@pytest.mark.parametrize(("pool", "why"), [("threads", "in threads, which nothing can end"), ("solo", "did not answer within 2 s")])
def test_a_pool_without_processes_says_why_it_cannot_kill_and_still_asks(
    world: Any, start_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch, pool: str, why: str
) -> None:
    if pool == "solo":
        monkeypatch.setattr(celery_engine, "ANSWER_SECONDS", 2.0)
    start_worker(pool, pool=pool, queues=pool, count=1)
    gate = f"asked in {pool}"
    job = world.send(world.tasks.looks_at_the_gate.s(gate), queue=pool)
    world.began(gate)

    with pytest.raises(EngineCannot, match=why):
        job.kill_now()
    running = job.reload().state
    world.open(gate)

    assert running is State.started
    assert world.ended(job).state is State.killed


@pytest.mark.parametrize("pool", pools("gevent", "eventlet"))
def test_a_worker_that_a_job_holds_up_is_said_to_be_of_the_pool_that_it_is(
    world: Any, engine: Any, start_worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    monkeypatch.setattr(celery_engine, "ANSWER_SECONDS", 0.5)
    queue = f"{pool}-busy"
    worker = start_worker(queue, pool=pool, queues=queue, count=2)
    told(engine, worker.name)
    job = world.send(world.tasks.gives_way_to_nothing.s(queue), queue=queue)
    world.began(queue)

    with pytest.raises(EngineCannot, match=rf"it is gone, or a job of its pool \({pool}\) gives way to nothing else"):
        job.kill_now()


@pytest.mark.parametrize("pool", pools("gevent", "eventlet"))
def test_kill_now_ends_the_greenlet_of_a_running_job_and_only_that(world: Any, start_worker: Callable[..., Worker], pool: str) -> None:
    worker = start_worker(f"{pool}-kill", pool=pool, queues=f"{pool}-kill", count=5)
    # It says "connected" before it listens; what it is told in between is lost.
    until(lambda: world.app.control.ping([worker.name], timeout=0.5), "it hears commands")
    victim, bystander = f"{pool} victim", f"{pool} bystander"
    job, other = (world.send(world.tasks.gated.s(gate), queue=f"{pool}-kill") for gate in (victim, bystander))
    world.began(victim)
    world.began(bystander)

    job.kill_now(by="anna")

    world.ended(job)
    world.open(bystander)
    world.open(victim)
    assert (job.state, job.errors, job.kill_requested_by) == (State.killed, [], "anna")
    assert world.ended(other).state is State.succeeded
    world.ended(world.send(world.tasks.nothing.s(), queue=f"{pool}-kill"))
    assert job.reload().state is State.killed


@pytest.mark.parametrize("pool", pools("gevent", "eventlet"))
def test_jobs_that_run_in_one_process_find_each_its_own_status(world: Any, start_worker: Callable[..., Worker], pool: str) -> None:
    start_worker(f"{pool}-many", pool=pool, queues=f"{pool}-many", count=20)
    gates = [f"{pool} {number}" for number in range(10)]
    jobs = [world.send(world.tasks.looks_at_the_gate.s(gate), queue=f"{pool}-many") for gate in gates]
    for gate in gates:
        world.began(gate)
    for job in jobs[::2]:
        job.request_kill()

    for gate in gates:
        world.open(gate)

    assert [world.ended(job).state.value for job in jobs] == ["killed", "succeeded"] * 5


@pytest.mark.parametrize("pool", pools("threads", "solo", "gevent", "eventlet"))
def test_every_outcome_is_told_by_pools_without_processes(world: Any, start_worker: Callable[..., Worker], pool: str) -> None:
    start_worker(pool, pool=pool, queues=pool, count=2)
    tasks = world.tasks
    calls = [tasks.add.s(1, 2), tasks.fail.s("x"), tasks.fail_twice.s("y"), tasks.with_progress.s(2), tasks.nothing.s(), tasks.leaves.s()]

    jobs = [world.ended(world.send(call, queue=pool)) for call in calls]

    assert [job.state.value for job in jobs] == ["succeeded", "failed", "succeeded", "succeeded", "succeeded", "failed"]
    assert [job.data for job in jobs] == [{"result": 3}, None, {"result": "y"}, {"mine": 2}, None, None]
    assert [len(job.errors) for job in jobs] == [0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize("pool", pools("threads", "gevent", "eventlet"))
def test_a_killed_queued_job_is_refused_by_pools_without_processes_too(world: Any, start_worker: Callable[..., Worker], pool: str) -> None:
    queue = f"{pool}-refuses"
    job = world.send(world.tasks.count.s(queue), queue=queue)
    job.kill_now()

    start_worker(queue, pool=pool, queues=queue, count=1)

    world.ended(world.send(world.tasks.nothing.s(), queue=queue))
    assert (world.noted(queue), job.reload().state) == (0, State.killed)
