"""What adapters say of an attempt, event by event."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

import statuses
from statuses import KillRequested, State, Status, record, scripts
from statuses import store as stores
from statuses.engines import attempts
from statuses.errors import StartedBefore, Superseded
from statuses.store import token
from statuses.testing import FrozenClock, frozen_clock

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def job() -> Status:
    return statuses.create(job_name="tests.job", state="queued")


def end_of(status: Status) -> tuple[str, int]:
    status.reload()
    return status.state.value, status.attempt


def test_a_start_is_a_sign_of_life(job: Status) -> None:
    assert attempts.start(job, "w1", 0) == 0

    assert (job.state, job.worker, job.heartbeat_at) == (State.started, "w1", job.started_at)


def test_a_start_told_twice_is_no_restart(job: Status) -> None:
    attempts.start(job, "w1", 0)

    assert attempts.start(job, "w2", 0) == 0

    assert (job.worker, job.attempt) == ("w1", 0)


def test_a_start_that_comes_after_the_end_changes_nothing(job: Status) -> None:
    attempts.end(job, State.succeeded, 0)

    attempts.start(job, "w1", 0)

    assert end_of(job) == ("succeeded", 0)
    assert job.started_at is None


def given_up(job: Status) -> None:
    """What the reaper does."""
    attempts.start(job, "w1", 0)
    job.failed(attempt=0, sources={State.started}, error={"class": attempts.WORKER_LOST, "message": "w1 gave no sign of life"})


def test_the_end_of_a_job_that_was_given_up_wrongly_is_the_one_its_worker_tells(job: Status) -> None:
    given_up(job)

    assert attempts.end(job, State.failed, 0, ValueError("no such shelf"))

    assert (end_of(job), job.error_group) == (("failed", 0), "ValueError")
    assert not attempts.end(job, State.succeeded, 0)


@pytest.fixture
def time() -> Iterator[FrozenClock]:
    with frozen_clock() as clock:
        yield clock


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.mark.parametrize("state", [State.succeeded, State.failed, State.killed])
def test_an_end_that_is_told_late_is_as_of_its_own_moment(time: FrozenClock, job: Status, state: State) -> None:
    began = time.tick()
    attempts.start(job, "w1", 0)
    time.tick(minutes(10))

    assert attempts.end(job, state, 0, ago=minutes(8))

    assert (job.reload().ended_at, job.run_time) == (began + minutes(2), 120)


@pytest.mark.parametrize("told", ["created", "queued", "started"])
def test_what_came_to_the_store_after_an_end_is_not_later_than_it(time: FrozenClock, told: str) -> None:
    job = statuses.create(job_name="tests.job", state="queued" if told == "created" else "unqueued")
    if told == "queued":
        time.tick()
        job.queued()
    elif told == "started":
        time.tick()
        attempts.start(job, "w1", 0, scheduled=True)
    last = time.now
    time.tick(0.5)

    assert attempts.end(job, State.succeeded, 0, ago=minutes(1))

    assert (job.reload().ended_at, job.run_time) == (last, 0 if told == "started" else None)


def test_the_late_end_of_a_job_that_was_given_up_wrongly_is_as_of_its_own_moment(time: FrozenClock, job: Status) -> None:
    given_up(job)
    began = time.now
    time.tick(minutes(10))

    assert attempts.end(job, State.succeeded, 0, ago=minutes(8))

    assert (end_of(job), job.succeeded_at) == (("succeeded", 0), began + minutes(2))


def test_the_late_end_of_an_attempt_that_the_store_never_heard_of_comes_after_those_before(time: FrozenClock, job: Status) -> None:
    attempts.start(job, "w1", 0)
    time.tick(minutes(10))

    assert attempts.end(job, State.succeeded, 1, ago=minutes(8))

    assert (end_of(job), job.queued_at, job.succeeded_at) == (("succeeded", 1), time.now, time.now)


def test_a_job_that_was_given_up_and_sent_again_does_not_hear_its_old_worker(job: Status) -> None:
    given_up(job)
    job.requeued()

    attempts.end(job, State.succeeded, 0)

    assert end_of(job) == ("queued", 1)


def test_a_job_handed_out_again_by_its_broker_is_restarted(job: Status) -> None:
    attempts.start(job, "lost", 0)

    assert attempts.start(job, "w2", 0, redelivered=True) == 1

    assert end_of(job) == ("started", 1)
    assert job.prior_attempts[0].worker == "lost"


def test_a_job_handed_out_again_that_was_asked_to_die_does_not_start_and_that_alone_is_no_end(job: Status) -> None:
    attempts.start(job, "w1", 0)
    job.request_kill()

    with pytest.raises(StartedBefore):
        attempts.start(job, "w2", 0, redelivered=True)

    assert end_of(job) == ("started", 0)


def test_a_killed_job_does_not_start(job: Status) -> None:
    job.kill_now()

    with pytest.raises(KillRequested):
        attempts.start(job, "w1", 0)

    assert end_of(job) == ("killed", 0)


def test_a_message_of_a_killed_attempt_does_not_start_the_one_after_it(job: Status) -> None:
    job.kill_now()
    job.requeued(attempt=0)

    with pytest.raises(KillRequested):
        attempts.start(job, "w1", 0)

    assert end_of(job) == ("queued", 1)


def test_an_older_attempt_that_was_not_killed_is_not_spoken_of(job: Status) -> None:
    attempts.start(job, "w1", 0)
    attempts.requeue(job, 0)

    assert attempts.start(job, "w1", 0) is None
    assert end_of(job) == ("queued", 1)


def test_a_message_that_was_put_back_starts_the_attempt_the_job_is_at(job: Status) -> None:
    attempts.start(job, "w1", 0)
    attempts.requeue(job, 0)

    assert attempts.start(job, "w2", 0, redelivered=True) == 1
    assert end_of(job) == ("started", 1)


def test_a_message_whose_job_was_sent_again_by_hand_is_refused_whatever_became_of_that(job: Status) -> None:
    job.set_provider_job_id("first")
    attempts.start(job, "lost", 0, sent_as="first")
    attempts.end(job, State.failed, 0, "given up")
    job.requeued(attempt=0)
    job.set_provider_job_id("second")

    for state in ("queued", "started", "succeeded"):
        for redelivered in (True, False):
            with pytest.raises(Superseded, match=f"attempt 0 of job {job.id} is over"):
                attempts.start(job, "w2", 0, redelivered, sent_as="first")
            assert end_of(job) == (state, 1)
        attempts.start(job, "w1", 1, sent_as="second") if state == "queued" else attempts.end(job, State.succeeded, 1)


def test_a_message_whose_job_its_engine_has_sent_again_is_refused_while_that_waits(job: Status) -> None:
    attempts.start(job, "w1", 0)
    attempts.requeue(job, 0, "not yet")

    with pytest.raises(Superseded):
        attempts.start(job, "w2", 0, redelivered=True)

    attempts.start(job, "w3", 1)
    assert attempts.start(job, "w2", 0, redelivered=True) is None
    assert end_of(job) == ("started", 1)


def test_a_job_whose_workers_die_one_after_the_other_is_a_new_attempt_each_time(job: Status) -> None:
    attempts.start(job, "lost", 0)

    assert [attempts.start(job, f"w{n}", 0, redelivered=True) for n in (1, 2, 3)] == [1, 2, 3]
    assert [attempt.worker for attempt in job.prior_attempts] == ["lost", "w1", "w2"]


def test_a_start_ahead_of_its_requeue_catches_up(job: Status) -> None:
    attempts.start(job, "w1", 0)

    assert attempts.start(job, "w2", 2) == 2
    attempts.requeue(job, 0, "late")

    assert end_of(job) == ("started", 2)
    assert job.errors == []


def test_an_end_ahead_of_everything_catches_up(job: Status) -> None:
    assert attempts.end(job, State.failed, 3, "at last")

    assert end_of(job) == ("failed", 3)
    assert job.errors == ["at last"]


def test_an_event_from_far_ahead_is_refused(job: Status) -> None:
    with pytest.raises(ValueError, match="speaks of attempt 100000"):
        attempts.end(job, State.failed, 100_000)

    assert end_of(job) == ("queued", 0)


@pytest.mark.parametrize("state", ["succeeded", "failed", "killed"])
def test_the_first_end_stays(job: Status, state: str) -> None:
    attempts.end(job, State(state), 0)

    for later in (State.succeeded, State.failed, State.killed):
        assert not attempts.end(job, later, 0, error="late" if later is not State.succeeded else None)

    assert end_of(job) == (state, 0)
    assert job.errors == []


def test_the_end_of_an_older_attempt_changes_nothing(job: Status) -> None:
    attempts.start(job, "w1", 0)
    attempts.requeue(job, 0)

    assert not attempts.end(job, State.failed, 0, "old")
    assert end_of(job) == ("queued", 1)


@pytest.mark.parametrize("state", [State.succeeded, State.failed, State.killed])
def test_the_end_of_a_run_whose_job_was_handed_out_again_stands_in_history_alone(time: FrozenClock, job: Status, state: State) -> None:
    began = time.now
    attempts.start(job, "w1", 0)
    time.tick(minutes(1))
    attempts.start(job, "w2", 0, redelivered=True)
    time.tick(minutes(1))

    for error in ("why", "once more"):
        told = {"data": {"result": 1}} if state is State.succeeded else {"error": error}
        attempts.end(job, state, 0, **told)

    (first,) = job.reload().prior_attempts
    assert (first.state, first.ended_at, first.run_time, first.worker) == (state, began + minutes(2), 120, "w1")
    assert (first.data, first.errors) == (({"result": 1}, []) if state is State.succeeded else (None, ["why"]))
    assert first.progress == (1 if state is State.succeeded else None)
    assert (job.state, job.attempt, job.data, job.errors, job.worker) == (State.started, 1, None, [], "w2")
    assert not statuses.check().problems


@pytest.mark.parametrize(("ago", "after"), [(8, 2), (20, 0)])
def test_the_late_end_of_a_run_whose_job_was_handed_out_again_is_as_of_its_own_moment(
    time: FrozenClock, job: Status, ago: float, after: float
) -> None:
    began = time.tick()
    attempts.start(job, "w1", 0)
    attempts.start(job, "w2", 0, redelivered=True)
    attempts.end(job, State.failed, 1, "no")
    time.tick(minutes(10))

    attempts.end(job, State.succeeded, 0, ago=minutes(ago))

    assert job.prior_attempts[0].ended_at == began + minutes(after)
    assert end_of(job) == ("failed", 1)


def test_a_job_that_is_handed_out_a_third_time_after_its_first_run_has_ended_is_another_attempt(job: Status) -> None:
    attempts.start(job, "w1", 0)
    attempts.start(job, "w2", 0, redelivered=True)
    attempts.end(job, State.failed, 0, "no")

    assert attempts.start(job, "w3", 0, redelivered=True) == 2


def test_data_that_the_job_saved_stays(job: Status) -> None:
    attempts.start(job, "w1", 0)
    job.save({"mine": 1})

    attempts.end(job, State.succeeded, 0, data={"result": 2})

    assert job.data == {"mine": 1}


def test_a_failed_attempt_goes_into_history_with_its_error(job: Status) -> None:
    attempts.start(job, "w1", 0)

    assert attempts.requeue(job, 0, ValueError("no"), scheduled=True) == 1

    (first,) = job.prior_attempts
    assert end_of(job) == ("unqueued", 1)
    assert (first.state, first.error_summary) == (State.failed, "ValueError: no")
    assert first.run_time is not None
    assert job.queued_at is None


def test_a_requeue_told_twice_is_one(job: Status) -> None:
    attempts.start(job, "w1", 0)

    for _ in range(2):
        attempts.requeue(job, 0, "why")

    assert end_of(job) == ("queued", 1)
    assert job.prior_attempts[0].errors == ["why"]


@pytest.mark.parametrize(("error", "data"), [(('"e"', "e", "e"), None), (None, '{"result":1}')])
def test_an_end_whose_reply_was_lost_is_sent_again_and_applied_once(
    job: Status, monkeypatch: pytest.MonkeyPatch, error: tuple[str, str, str] | None, data: str | None
) -> None:
    here = stores.current()
    names: list[str] = []
    original = here._evalsha

    def lose_the_first_reply(name: str, *rest: object) -> object:
        reply = original(name, *rest)  # ty: ignore[invalid-argument-type]
        names.append(name)
        if len(names) == 1:
            import redis

            raise redis.ConnectionError("the reply was lost")
        return reply

    monkeypatch.setattr(here, "_evalsha", lose_the_first_reply)
    state = State.failed if error else State.succeeded

    assert scripts.finish(here, job._place(), job.id, state, (0, None), error, data)

    assert names == ["finish", "finish"]
    assert end_of(job) == (state.value, 0)
    assert len(job.errors) == (1 if error else 0)
    assert len(token()) == 8


def test_of_many_attempts_that_an_engine_retried_itself_the_last_alone_is_asked_whose_id_it_had(
    job: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.set_provider_job_id("by hand")
    job.requeued(attempt=0, ran=True, scheduled=True)
    job.set_provider_job_id("retried")
    for attempt in range(1, 5):
        job.started("w1", attempt=attempt).requeued(attempt=attempt, scheduled=True)
    read: list[list[int]] = []
    reading = record.read_attempts
    monkeypatch.setattr(record, "read_attempts", lambda store, present, these: read.append([*these]) or reading(store, present, these))

    again = attempts.ended_since(job)
    job.set_provider_job_id("by hand once more")
    anew = attempts.ended_since(job)

    assert (again, anew) == (None, job.recorded_at - attempts.CLOCKS_DIFFER)
    assert read == [[4], [4], [3, 2, 1, 0]]


@pytest.mark.parametrize("thought", [attempts.WORKER_LOST, attempts.ABANDONED])
@pytest.mark.parametrize(
    ("state", "error", "told"),
    [
        (State.succeeded, None, (State.succeeded, 1)),
        (State.killed, None, (State.killed, 1)),
        (State.failed, "disk full", (State.failed, 2)),
        (State.failed, {"class": attempts.WORKER_LOST}, (State.failed, 1)),
        (State.failed, {"class": attempts.ABANDONED}, (State.failed, 1)),
    ],
)
def test_a_job_that_was_but_thought_to_have_failed_ends_as_who_ran_it_says(
    job: Status, thought: str, state: State, error: object, told: tuple[State, int]
) -> None:
    attempts.start(job, "w1", 0)
    attempts.end(job, State.failed, 0, {"class": thought})

    attempts.end(job, state, 0, error)

    assert (job.reload().state, len(job.errors)) == told


def test_untracked_and_sampled_names_are_left_out(server_url: str) -> None:
    statuses.configure(url=server_url, untracked=frozenset({"noise"}), sampled={"never": 0.0, "always": 1.0, "half": 0.5})

    assert [attempts.is_tracked(name, "x") for name in ("noise", "never", "always", "other")] == [False, False, True, True]
    tracked = [attempts.is_tracked("half", f"id {n}") for n in range(2000)]
    assert 900 < sum(tracked) < 1100
    assert tracked == [attempts.is_tracked("half", f"id {n}") for n in range(2000)]
