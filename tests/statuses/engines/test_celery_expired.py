"""Jobs whose `expires` passes while they wait: no worker starts them any more, and the reaper ends them as a worker does that drops them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import chord

import statuses
from statuses import State, Status
from statuses.engines import attempts
from statuses.engines.celery import Celery, expiry, holding, sent
from statuses.reaper import Reaper
from tests.servers import told, until
from tests.statuses.proxy import Proxy

NOWHERE = "/nowhere/at all"
SAID = "celery.exceptions.TaskRevokedError: expired before it started"


@pytest.fixture(autouse=True)
def soon(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits at all is asked about, and what came too late at all did so for long."""
    statuses.configure(url=world.store.url, namespace="engines", stale_after=timedelta(seconds=1))
    statuses.where(state=[State.unqueued, State.queued, State.started]).delete_all(force=True)
    monkeypatch.setattr("statuses.waiting.FORGOTTEN_AFTER", timedelta(0))
    monkeypatch.setattr(expiry, "PASSED_FOR", timedelta(0))
    monkeypatch.setattr(holding, "EVERYBODY_SECONDS", 0.5)


def late(world: Any, call: Any, queue: str, seconds: float = 0.5, **options: Any) -> Status:
    """A job that can soon start no more."""
    return world.send(call, queue=queue, expires=seconds, **options)


def reaped(*jobs: Status) -> None:
    reaper = Reaper(confirm_seconds=0.5)
    until(lambda: reaper.look() and all(job.reload().is_ended for job in jobs), f"they are told, {jobs}")


def test_a_job_that_came_too_late_is_killed_with_the_words_of_a_worker_which_changes_nothing_when_it_drops_it(
    world: Any, start_worker: Any
) -> None:
    job = late(world, world.tasks.count.s("too late"), "late-nobody")
    later = late(world, world.tasks.count.s("too late"), "late-nobody", countdown=3600)
    waits = [world.send(world.tasks.count.s("in time"), queue="late-nobody", expires=expires) for expires in (None, 3600)]

    reaped(job, later)
    before = [(one.state, one.killed_at, one.errors) for one in (job, later)]
    depth = world.broker.client().llen("late-nobody")
    waited = [one.reload().state for one in waits]
    started = start_worker("late-nobody", queues="late-nobody", count=1)
    until(lambda: world.app.AsyncResult(world.task_ids[job.id]).state == "REVOKED", "the worker has dropped it")
    until(lambda: world.app.AsyncResult(world.task_ids[later.id]).state == "REVOKED", "the worker has dropped the other")

    assert [world.ended(one).state for one in waits] == [State.succeeded] * 2
    assert (depth, waited) == (4, [State.queued] * 2)
    assert [(one.reload().state, one.killed_at, one.errors) for one in (job, later)] == before
    for one in (job, later):
        assert (one.state, one.error_summary, one.started_at, one.attempt) == (State.killed, SAID, None, 0)
        assert one.killed_at >= datetime.fromisoformat(one.call["options"]["expires"])
        assert [error["message"] for error in one.errors] == ["expired before it started"]
    assert world.noted("too late") == 0
    assert "WARNING" not in started.log.read_text(errors="replace").partition(" ready.")[2]


def test_a_job_is_not_too_late_before_every_clock_says_so(world: Any, engine: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    job = late(world, world.tasks.count.s("skew"), "late-skew", seconds=0.1)
    until(lambda: engine.forgotten([job]) == [job], "it is too late")

    monkeypatch.setattr(expiry, "PASSED_FOR", timedelta(minutes=1))

    assert (engine.forgotten([job]), engine.end_of_forgotten(job)) == ([], None)


def test_a_retry_by_hand_whose_time_is_over_and_a_job_whose_call_was_not_kept_are_left_alone(world: Any, engine: Celery) -> None:
    """Such a retry is sent without it."""
    job = late(world, world.tasks.count.s("again"), "late-again")
    bare = statuses.create(engine="celery", queue="late-again", provider_job_id="bare", state=State.queued)
    reaped(job)

    job.retry()

    assert (job.reload().state, job.attempt, job.call["options"].get("expires")) == (State.queued, 1, None)
    assert engine.forgotten([job, bare]) == []
    job.kill_now()


def test_a_retry_by_hand_that_is_sent_in_time_still_comes_too_late(world: Any) -> None:
    job = late(world, world.tasks.count.s("again in time"), "late-in-time", seconds=4)
    job.kill_now()

    job.retry()
    reaped(job)

    assert (job.state, job.attempt, job.error_summary, job.started_at) == (State.killed, 1, SAID, None)


@pytest.mark.parametrize("own", [True, False], ids=["of its own", "of its first attempt"])
@pytest.mark.usefixtures("worker")
def test_a_retry_of_the_tasks_own_that_came_too_late_is_killed(world: Any, own: bool) -> None:
    call = world.tasks.retry_elsewhere.s("late-elsewhere", **({"expires": 1} if own else {}))
    job = world.send(call, **({} if own else {"expires": 4}))
    until(lambda: job.reload().attempt == 1, "it waits for its second attempt")

    reaped(job)

    assert (job.state, job.attempt, job.error_summary) == (State.killed, 1, SAID)
    assert job.killed_at >= datetime.fromisoformat(job.call["options"]["expires"])
    assert world.broker.client().llen("late-elsewhere") >= 1


@pytest.mark.usefixtures("worker")
def test_a_retry_of_the_tasks_own_that_may_come_later_than_its_first_attempt_waits_on(world: Any, engine: Celery) -> None:
    first = datetime.now(UTC) + timedelta(seconds=5)
    job = world.send(world.tasks.retry_elsewhere.s("late-longer", expires=3600), expires=first)
    until(lambda: job.reload().attempt == 1, "it waits for its second attempt")

    until(lambda: datetime.now(UTC) > first, "the first would be too late")

    assert engine.forgotten([job.reload()]) == []
    job.kill_now()


def test_of_many_that_wait_so_many_calls_are_read_in_a_look_and_none_twice(
    world: Any, engine: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sent, "MOST_READ", 2)
    read: list[str] = []

    def calls(jobs: Any) -> Iterator[Any]:
        read.extend(job.id for job in jobs)
        return ({"options": {"expires": "2020-01-01T00:00:00"}} for _ in jobs)

    monkeypatch.setattr(sent, "calls", calls)
    jobs = [statuses.create(engine="celery", queue="main", state=State.queued) for _ in range(3)]

    found = [[job.id for job in expiry.passed(engine._sent, jobs)] for _ in range(3)]

    ids = [job.id for job in jobs]
    assert (found, read) == ([ids[:2], ids, ids], ids)


def test_a_worker_that_has_it_keeps_it_until_it_drops_it(
    world: Any, engine: Celery, start_worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "EVERYBODY_SECONDS", 20.0)
    told(engine, start_worker("late-ahead", queues="late-ahead", count=1).name)
    world.send(world.tasks.gated.s("late ahead"), queue="late-ahead")
    world.began("late ahead")
    job = late(world, world.tasks.count.s("taken ahead"), "late-ahead", seconds=3)
    until(lambda: engine.held([job]) == {job.id}, "the worker has taken it ahead")
    until(lambda: engine.forgotten([job]) == [job], "it is too late")

    reaper = Reaper(confirm_seconds=0.0)
    found = reaper.look()
    waited = job.reload().state
    world.open("late ahead")

    assert (found.ended, found.spared, waited) == (0, 1, State.queued)
    assert (world.ended(job).state, job.error_summary) == (State.killed, SAID)


@pytest.fixture
def line(world: Any, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(tmp_path, world.store.socket) as proxy:
        yield proxy
        proxy.turn_to(world.store.socket)


@pytest.mark.parametrize("back", ["while it runs", "once it has ended"])
def test_a_worker_that_began_it_in_time_and_could_not_tell_has_the_last_word(
    world: Any, engine: Celery, start_worker: Any, line: Proxy, monkeypatch: pytest.MonkeyPatch, back: str
) -> None:
    """A solo worker hears no question while it runs a job, and its line to the store is cut. However long it takes to begin it is in time:
    the reaper alone takes the moment for another one."""
    moment = sent.moment
    monkeypatch.setattr(sent, "moment", lambda text: (at := moment(text)) and at - timedelta(minutes=10))
    name = f"late-{back[:4]}"
    started = start_worker(name, queues=name, count=1, pool="solo", extra={"TEST_STORE": line.url})
    told(engine, started.name)
    line.turn_to(NOWHERE)
    job = late(world, world.tasks.gated.s(name), name, seconds=601)
    world.began(name)

    reaped(job)
    thought = job.state, job.error_summary
    if back == "while it runs":
        line.turn_to(world.store.socket)
        world.becomes(job, "started")
        world.open(name)
    else:
        world.open(name)
        until(lambda: world.app.AsyncResult(world.task_ids[job.id]).state == "SUCCESS", "it has ended")
        line.turn_to(world.store.socket)

    assert thought == (State.killed, SAID)
    assert (world.becomes(job, "succeeded").attempt, job.data) == (0, {"result": "through"})


@pytest.mark.parametrize("task", ["add", "gated_late"])  # the second is acknowledged late: who dropped it drops it for good
def test_the_body_of_a_chord_of_which_a_member_came_too_late_fails(world: Any, task: str) -> None:
    member = getattr(world.tasks, task).s(*((1, 2) if task == "add" else ("late member",))).set(queue="late-chord", expires=0.5)
    chord([member, world.tasks.add.s(1, 1).set(queue="late-chord")])(world.tasks.total.s())
    body = statuses.where(state="unqueued", job_name="tests.celeryapp.total", engine="celery").first()
    job = statuses.where(state="queued", queue="late-chord", engine="celery").order_by("recorded_at").first()
    assert body is not None and job is not None

    reaped(job)

    until(lambda: body.reload().is_ended, "its body is told")
    assert (job.state, body.state) == (State.killed, State.failed)
    assert body.error_summary.endswith("a member of the chord, did not succeed")


@pytest.fixture
def thought() -> Status:
    """A job that was taken for one that came too late."""
    job = statuses.create(engine="celery", provider_job_id="thought", state=State.queued)
    assert attempts.end(job, State.killed, 0, expiry.error())
    return job.reload()


@pytest.mark.parametrize(
    ("state", "error", "told"),
    [
        (State.succeeded, None, (State.succeeded, SAID, 1)),
        (State.failed, "it broke", (State.failed, "it broke", 2)),
        (State.killed, None, (State.killed, SAID, 1)),
        (State.killed, expiry.error(), (State.killed, SAID, 1)),
    ],
)
def test_who_ran_it_after_all_knows_better_and_who_drops_it_says_nothing_new(
    thought: Status, state: State, error: object, told: Any
) -> None:
    attempts.end(thought, state, 0, error)

    assert (thought.reload().state, thought.error_summary, len(thought.errors)) == told


def test_a_start_is_not_refused_as_of_a_job_that_somebody_killed(thought: Status) -> None:
    killed = statuses.create(engine="celery", state=State.queued).request_kill(end_queued=True)

    assert attempts.start(thought, "w1", 0) == 0
    assert (thought.reload().state, thought.started_at is not None, thought.run_time) == (State.started, True, None)
    with pytest.raises(statuses.KillRequested):
        attempts.start(killed, "w1", 0)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-01T10:00:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
        ("2026-03-01T10:00:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("whenever", None),
        (60, None),
        (None, None),
    ],
)
def test_a_moment_without_its_zone_is_what_celery_takes_it_for(text: object, at: datetime | None) -> None:
    assert sent.moment(text) == at
