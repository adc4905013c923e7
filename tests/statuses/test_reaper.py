"""The reaper: what nobody runs is given up, what still runs never."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

import statuses
from statuses import State, Status, record, upkeep
from statuses.ends import ASKED_FOR, ASKING_SECONDS, grace
from statuses.engines import registry
from statuses.engines.base import Engine, Outcome, Worker
from statuses.reaper import CONFIRM_SECONDS, Reaped, Reaper
from statuses.testing import FrozenClock, frozen_clock, make_status
from statuses.waiting import FORGOTTEN_AFTER

SILENCE = timedelta(seconds=121)


class Time:
    """The store's clock and that of the reaper's process, which stands while the machine sleeps."""

    def __init__(self, clock: FrozenClock) -> None:
        self.clock = clock
        self.here = 0.0

    def pass_(self, seconds: float) -> None:
        self.clock.tick(seconds)
        self.here += seconds


@pytest.fixture
def time(store: Any) -> Iterator[Time]:
    with frozen_clock() as clock:
        yield Time(clock)


@pytest.fixture
def reaper(time: Time) -> Reaper:
    return Reaper(monotonic=lambda: time.here)


def started(**as_create: Any) -> Status:
    """A job that began to run and gives heartbeats."""
    status = make_status("queued", engine="lines", **as_create)
    return status.started("w1", alive=True)


def reap(reaper: Reaper, time: Time) -> Any:
    """Two looks, as far apart as they have to be; what the second one did."""
    reaper.look()
    time.pass_(CONFIRM_SECONDS)
    return reaper.look()


class Lines(Engine):
    """An engine in this process."""

    name = "lines"
    can_retry = True
    has_workers = True
    can_tell_forgotten = True
    can_tell_outcome = True

    def __init__(self) -> None:
        self.running: Callable[[], list[Worker]] = list
        self.lost: set[str] = set()
        self.ends: dict[str, Outcome] = {}
        self.asked: list[str] = []
        self.vain: list[str] = []
        self.is_away = False
        self.has: Callable[[Sequence[Status]], set[str]] = lambda lost: set()
        self.late: dict[str, Outcome] = {}

    def workers(self) -> list[Worker]:
        return self.running()

    def forgotten(self, waiting: Sequence[Status]) -> list[Status]:
        return [status for status in waiting if status.id in self.lost]

    def outcome(self, status: Status) -> Outcome | None:
        self.asked.append(status.id)
        if self.is_away:
            raise TimeoutError("its backend does not answer")
        return self.ends.get(status.id)

    def end_of_forgotten(self, status: Status) -> Outcome | None:
        return self.late.get(status.id)

    def held(self, lost: Sequence[Status]) -> set[str]:
        return self.has(lost)

    def given_up(self, status: Status) -> None:
        self.vain.append(status.id)

    def retry(self, status: Status, by: str | None = None) -> Status:
        return status.requeued()


@pytest.fixture
def engine() -> Iterator[Lines]:
    engine = Lines()
    registry.register(engine)
    yield engine
    registry.unregister(engine.name)


def test_a_job_that_fell_silent_is_marked_failed_at_the_second_look(time, reaper):
    job = started()
    time.pass_(SILENCE.total_seconds())

    first = reaper.look()
    between = job.reload().state
    time.pass_(CONFIRM_SECONDS)
    second = reaper.look()

    assert (first.failed, first.silent, between) == (0, 1, "started")
    assert (second.failed, second.silent) == (1, 0)
    assert job.reload().state == "failed"
    assert job.error_group == "WorkerLost"
    assert "w1 gave no sign of life since 2026-01-01 12:00:00" in job.errors[0]["message"]


def test_a_job_within_its_grace_is_left_alone(time, reaper):
    job = started()
    time.pass_(120 - CONFIRM_SECONDS)

    assert reap(reaper, time).failed == 0
    assert job.reload().is_started


def test_a_job_that_is_heard_of_between_the_looks_is_left_alone(time, reaper):
    job = started()
    time.pass_(SILENCE.total_seconds())
    reaper.look()

    job.heartbeat()
    time.pass_(CONFIRM_SECONDS)

    assert reaper.look().failed == 0
    assert job.reload().is_started


def test_progress_is_a_sign_of_life_of_a_job_that_gives_heartbeats(time, reaper):
    job, other = started(), make_status("started")
    time.pass_(SILENCE.total_seconds())
    reaper.look()

    job.set_progress(0.5)
    time.pass_(CONFIRM_SECONDS)

    assert reaper.look().failed == 0
    assert job.reload().is_started
    assert other.set_progress(0.5).reload().heartbeat_at is None


def test_a_machine_that_slept_gives_its_jobs_time_to_be_heard(time, reaper):
    job = started()
    reaper.look()
    time.clock.tick(timedelta(hours=8))

    assert reaper.look().silent == 1
    assert reaper.look().failed == 0
    job.heartbeat()
    time.pass_(CONFIRM_SECONDS)

    assert reaper.look().failed == 0


def test_a_store_that_was_away_gives_jobs_time_to_be_heard(time, reaper, monkeypatch):
    started()
    time.pass_(SILENCE.total_seconds())
    reaper.look()
    time.pass_(CONFIRM_SECONDS)

    with monkeypatch.context() as away:

        def refuse(*_: Any) -> None:
            raise statuses.StoreUnavailable("a read", OSError("gone"))

        away.setattr("statuses.collection.server_time", refuse)
        with pytest.raises(statuses.StoreUnavailable):
            reaper.look()

    assert reaper.look().failed == 0


def test_a_heartbeat_in_the_last_moment_wins_over_the_reaper(time, store):
    job = started()
    time.pass_(SILENCE.total_seconds())

    statuses.at(job.id).heartbeat()
    late = statuses.at(job.id).failed(attempt=0, sources={"started"}, error="lost", silent_for=timedelta(seconds=120))

    assert not late.changed
    assert job.reload().is_started
    assert job.errors == []


def test_a_job_that_never_gave_a_sign_of_life_is_not_judged_by_its_silence(time, reaper):
    job = make_status("started")
    time.pass_(7 * 86400)

    assert reap(reaper, time).failed == 0
    assert job.reload().is_started


def test_a_job_that_a_living_worker_says_it_runs_is_spared(time, reaper, engine):
    kept, lost = started(), started()
    engine.running = lambda: [
        Worker(name="w1", running=[kept.id]),
        Worker(name="w2", running=[lost.id], is_alive=False),
    ]
    time.pass_(SILENCE.total_seconds())

    found = reap(reaper, time)

    assert (found.failed, found.spared) == (1, 1)
    assert kept.reload().is_started
    assert lost.reload().is_failed


def test_an_engine_that_cannot_name_its_workers_is_not_believed_to_run_nothing(time, reaper, engine):
    job = started()

    def broken() -> list[Worker]:
        raise OSError("the engine is away")

    engine.running = broken
    time.pass_(SILENCE.total_seconds())

    assert reap(reaper, time).spared == 1
    assert job.reload().is_started


def test_a_grace_can_be_set_for_a_job_name(server_url, time, reaper):
    statuses.configure(url=server_url, namespace="graces", reap_after={"slow": timedelta(hours=1), "*": timedelta(minutes=5)})
    slow, other = started(job_name="slow"), started(job_name="other")

    time.pass_(4 * 60)
    assert reap(reaper, time).failed == 0
    time.pass_(2 * 60)
    assert reap(reaper, time).failed == 1
    assert (slow.reload().state, other.reload().state) == ("started", "failed")
    time.pass_(3600)
    assert reap(reaper, time).failed == 1


def test_a_lost_job_is_sent_again_as_often_as_the_setting_says(server_url, time, reaper, engine):
    statuses.configure(url=server_url, namespace="again", reap_retries={"import": 1})
    job, other = started(job_name="import"), started(job_name="export")
    time.pass_(SILENCE.total_seconds())

    first = reap(reaper, time)
    state_after_first = job.reload().state
    job.started("w2", attempt=1, alive=True)
    time.pass_(SILENCE.total_seconds())
    second = reap(reaper, time)

    assert (first.failed, first.retried, state_after_first) == (2, 1, "queued")
    assert (second.failed, second.retried) == (1, 0)
    assert [(run.state, run.error_group) for run in [*job.reload().prior_attempts, job]] == [("failed", "WorkerLost")] * 2
    assert other.reload().attempt == 0


def test_what_a_worker_says_that_it_has_after_all_is_spared_and_asked_about_last_and_at_once(time, reaper, engine):
    runs, gone = started(), started()
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    waits, forgotten = (make_status("queued", engine="lines") for _ in range(2))
    time.pass_(FORGOTTEN_AFTER.total_seconds() + 1)
    engine.lost = {waits.id, forgotten.id}
    asked: list[set[str]] = []

    def has(lost: Sequence[Status]) -> set[str]:
        asked.append({status.id for status in lost})
        return {runs.id, waits.id}

    engine.has = has

    done = reap(reaper, time)

    assert (done.failed, done.unknown, done.spared) == (1, 1, 2)
    assert [job.reload().state for job in (runs, gone, waits, forgotten)] == ["started", "failed", "queued", "unknown"]
    assert [ids for ids in asked if ids] == [{runs.id, gone.id}, {waits.id, forgotten.id}]


def test_what_an_engine_cannot_say_that_its_workers_have_is_given_up(time, reaper, engine):
    job = started()
    time.pass_(SILENCE.total_seconds())

    def has(lost: Sequence[Status]) -> set[str]:
        raise OSError("its broker is away")

    engine.has = has

    assert reap(reaper, time).failed == 1
    assert job.reload().error_group == "WorkerLost"


def test_of_a_job_that_was_retried_very_often_the_newest_attempts_say_how_often_it_was_lost(time, reaper, engine, server_url, monkeypatch):
    monkeypatch.setattr("statuses.reaper.MOST_ATTEMPTS", 20)
    statuses.configure(url=server_url, namespace="often", reap_retries={"*": 1})
    lately, long_ago = started(job_name="lately"), started(job_name="long ago")
    for job, times in ((lately, 10), (long_ago, 25)):
        job.failed(error={"class": "WorkerLost", "message": "gone"})
        for _ in range(times):
            job.requeued().started("w1", alive=True)
    time.pass_(SILENCE.total_seconds())

    done = reap(reaper, time)

    assert (done.failed, done.retried) == (2, 1)
    assert [job.reload().state for job in (lately, long_ago)] == ["failed", "queued"]


def test_a_lost_job_that_was_asked_to_die_is_not_sent_again(server_url, time, reaper, engine):
    statuses.configure(url=server_url, namespace="asked", reap_retries={"*": 3})
    job = started().request_kill(by="ann")
    time.pass_(SILENCE.total_seconds())

    found = reap(reaper, time)

    assert (found.failed, found.retried) == (1, 0)
    assert job.reload().is_failed


SUCCEEDED = Outcome(state=State.succeeded, data={"result": 42})
FAILED = Outcome(state=State.failed, error={"class": "ValueError", "message": "no rows"})


def test_a_job_whose_engine_knows_how_it_ended_ends_so(time, reaper, engine):
    ended, broke, killed, lost = (started() for _ in range(4))
    engine.ends = {ended.id: SUCCEEDED, broke.id: FAILED, killed.id: Outcome(state=State.killed)}
    time.pass_(SILENCE.total_seconds())

    found = reap(reaper, time)

    assert (found.ended, found.failed, found.changed) == (3, 1, 4)
    assert [job.reload().state for job in (ended, broke, killed, lost)] == ["succeeded", "failed", "killed", "failed"]
    assert (ended.data, ended.progress, ended.errors) == ({"result": 42}, 1.0, [])
    assert (broke.error_summary, lost.error_group) == ("ValueError: no rows", "WorkerLost")
    assert sorted(engine.vain) == sorted([broke.id, killed.id, lost.id])


@pytest.mark.parametrize("end", [State.succeeded, State.failed, State.killed])
def test_it_ends_at_the_moment_its_engine_says_and_not_when_somebody_looked(time, reaper, engine, end):
    job, skewed = started(), started()
    at = job.started_at
    engine.ends = {
        job.id: Outcome(state=end, ended_at=at + timedelta(seconds=3)),
        skewed.id: Outcome(state=end, ended_at=at - timedelta(seconds=1)),
    }
    time.pass_(SILENCE.total_seconds())

    reap(reaper, time)

    assert (job.reload().state, job.run_time, job.ended_at) == (end, 3.0, at + timedelta(seconds=3))
    assert (skewed.reload().state, skewed.run_time, skewed.ended_at) == (end, 0.0, at)


def test_what_a_job_saved_itself_is_kept_in_place_of_the_result(time, reaper, engine):
    job = started()
    job.save({"rows": 7})
    engine.ends = {job.id: SUCCEEDED}
    time.pass_(SILENCE.total_seconds())

    reap(reaper, time)

    assert (job.reload().state, job.data) == ("succeeded", {"rows": 7})


def test_a_result_that_cannot_be_kept_holds_up_neither_its_job_nor_others(time, reaper, engine, caplog):
    odd, lost = started(), started()
    engine.ends = {odd.id: Outcome(state=State.succeeded, data={1, 2})}
    time.pass_(SILENCE.total_seconds())

    found = reap(reaper, time)

    assert (found.ended, found.failed, odd.reload().state, odd.data) == (1, 1, "succeeded", None)
    assert f"how job {odd.id} ended is kept without its result" in caplog.text
    assert lost.reload().is_failed


def test_a_job_that_ended_is_not_sent_again_however_it_ended(server_url, time, reaper, engine):
    statuses.configure(url=server_url, namespace="ended", reap_retries={"*": 3})
    jobs = [started(), started()]
    engine.ends = {jobs[0].id: SUCCEEDED, jobs[1].id: FAILED}
    time.pass_(SILENCE.total_seconds())

    found = reap(reaper, time)

    assert (found.ended, found.retried) == (2, 0)
    assert [(job.reload().state, job.attempt) for job in jobs] == [("succeeded", 0), ("failed", 0)]


def test_an_engine_that_cannot_say_how_jobs_ended_spares_them_and_is_asked_once_a_look(time, reaper, engine):
    jobs = [started(), started()]
    engine.is_away = True
    time.pass_(SILENCE.total_seconds())

    while_away = reap(reaper, time)
    asked, states = len(engine.asked), [job.reload().state for job in jobs]
    engine.is_away = False
    engine.ends = {jobs[0].id: SUCCEEDED}
    after = reaper.look()

    assert (while_away.spared, while_away.changed, asked, states) == (2, 0, 1, ["started", "started"])
    assert (after.ended, after.failed, after.spared) == (1, 1, 0)


def test_engines_are_asked_for_so_long_in_one_look_and_the_rest_comes_with_the_next(time, reaper, engine, monkeypatch):
    for _ in range(3):
        started()
    time.pass_(SILENCE.total_seconds())
    slow = engine.outcome

    def outcome(status: Status) -> Outcome | None:
        time.here += ASKING_SECONDS + 1
        return slow(status)

    monkeypatch.setattr(engine, "outcome", outcome)

    looks = [reap(reaper, time), reaper.look()]

    assert [(look.failed, look.spared) for look in looks] == [(1, 2), (1, 1)]


@pytest.fixture
def together(engine, monkeypatch) -> list[int]:
    """The engine is asked about all of its jobs at once; how many they were, each time."""
    asked: list[int] = []

    def outcomes(jobs: Sequence[Status]) -> Iterator[Outcome | None]:
        asked.append(len(jobs))
        return iter([engine.ends.get(status.id) for status in jobs])

    monkeypatch.setattr(engine, "outcomes", outcomes)
    return asked


def test_jobs_of_an_engine_that_can_say_it_of_many_are_asked_about_together(time, reaper, engine, together):
    jobs = [started() for _ in range(6)]
    others = make_status("queued", engine="unheard of").started("w1", alive=True)
    engine.ends = {jobs[0].id: SUCCEEDED, jobs[3].id: Outcome(state=State.failed, error="broke")}
    time.pass_(SILENCE.total_seconds())

    found = reap(reaper, time)

    assert together == [6] and engine.asked == []
    assert (found.ended, found.failed, found.spared) == (2, 5, 0)
    assert [str(job.reload().state) for job in jobs] == ["succeeded", *["failed"] * 5]
    assert jobs[3].errors == ["broke"] and others.reload().error_group == "WorkerLost"


def test_what_an_engine_said_before_it_broke_off_is_told_and_the_rest_is_spared(time, reaper, engine, monkeypatch):
    jobs = [started() for _ in range(4)]
    order: list[str] = []

    def outcomes(some: Sequence[Status]) -> Iterator[Outcome | None]:
        for status in some[:2]:
            order.append(status.id)
            yield SUCCEEDED
        raise ConnectionError("gone")

    monkeypatch.setattr(engine, "outcomes", outcomes)
    time.pass_(SILENCE.total_seconds())

    found = reap(reaper, time)

    assert (found.ended, found.spared, found.failed) == (2, 2, 0)
    assert {job.id for job in jobs if job.reload().state == "succeeded"} == set(order)


@pytest.mark.parametrize("outcomes", [lambda jobs: iter([]), lambda jobs: 1 / 0], ids=["says nothing", "breaks at once"])
def test_jobs_that_an_engine_says_nothing_of_are_spared(time, reaper, engine, monkeypatch, outcomes):
    started(), started()
    monkeypatch.setattr(engine, "outcomes", outcomes)
    time.pass_(SILENCE.total_seconds())

    assert reap(reaper, time).spared == 2


def test_of_a_job_that_was_removed_meanwhile_nothing_is_said_and_the_next_is_asked_about(time, reaper, engine, monkeypatch):
    gone, other = started(), started()
    time.pass_(SILENCE.total_seconds())
    asked: list[str] = []

    def outcome(status: Status) -> Outcome | None:
        asked.append(status.id)
        if status.id == gone.id:
            raise statuses.StatusNotFound(status.id)
        return SUCCEEDED

    monkeypatch.setattr(engine, "outcome", outcome)

    assert list(Engine.outcomes(engine, [gone, other])) == [None, SUCCEEDED]
    assert asked == [gone.id, other.id]


def test_a_job_whose_engine_cannot_be_asked_for_a_day_is_lost(time, reaper, engine, monkeypatch):
    job = started()

    def away(_: Status) -> Outcome | None:
        raise ConnectionError("no way from here")

    monkeypatch.setattr(engine, "outcome", away)
    time.pass_(SILENCE.total_seconds())
    early = reap(reaper, time)
    time.pass_(timedelta(days=1).total_seconds())
    late = reaper.look()

    assert (early.failed, early.spared, late.failed, late.spared) == (0, 1, 1, 0)
    assert job.reload().error_group == "WorkerLost"


def test_a_job_is_not_asked_about_before_it_would_be_given_up(time, reaper, engine):
    silent, runs = started(), started()
    engine.running = lambda: [Worker(name="w1", running=[runs.id])]
    time.pass_(SILENCE.total_seconds())

    reaper.look()
    early = list(engine.asked)
    time.pass_(CONFIRM_SECONDS)
    reaper.look()

    assert (early, engine.asked) == ([], [silent.id])


def test_a_heartbeat_in_the_last_moment_wins_over_what_the_engine_says(time, reaper, engine, monkeypatch):
    jobs = {end: started() for end in (State.succeeded, State.failed, State.killed)}
    ends = {job.id: Outcome(state=end) for end, job in jobs.items()}
    time.pass_(SILENCE.total_seconds())

    def outcome(status: Status) -> Outcome | None:
        statuses.at(status.id).heartbeat()
        return ends[status.id]

    monkeypatch.setattr(engine, "outcome", outcome)

    assert reap(reaper, time).changed == 0
    assert all(job.reload().is_started for job in jobs.values())


def test_an_end_is_not_told_of_an_attempt_that_began_meanwhile(time, reaper, engine, monkeypatch):
    job = started()
    time.pass_(SILENCE.total_seconds())

    def outcome(status: Status) -> Outcome | None:
        statuses.at(job.id).started("w2", alive=True)
        return SUCCEEDED

    monkeypatch.setattr(engine, "outcome", outcome)

    assert reap(reaper, time).changed == 0
    assert (job.reload().state, job.attempt, job.data) == ("started", 1, None)


def test_an_engine_that_cannot_tell_is_not_asked(time, reaper, engine):
    engine.can_tell_outcome = False
    job = started()
    time.pass_(SILENCE.total_seconds())

    assert reap(reaper, time).failed == 1
    assert (engine.asked, job.reload().error_group) == ([], "WorkerLost")
    with pytest.raises(statuses.EngineCannot, match=r"lines cannot tell the end of job .*: it has no means to"):
        Engine.outcome(engine, job)


def test_upkeep_and_the_sum_of_looks_tell_of_ends(time, reaper, engine):
    job = started()
    engine.ends = {job.id: SUCCEEDED}
    time.pass_(SILENCE.total_seconds())

    looks = [reaper.look()]
    time.pass_(CONFIRM_SECONDS)
    looks.append(reaper.look())

    assert Reaped.total(looks) == Reaped(ended=1)
    assert [chore.did for chore in upkeep.chores() if chore.chore == upkeep.REAP] == [{"ended": 1}]


def test_a_job_its_engine_has_forgotten_becomes_unknown(time, reaper, engine):
    gone, waits = make_status("queued", engine="lines"), make_status("queued", engine="lines")
    young = make_status("queued", engine="other")
    engine.lost = {gone.id, young.id}

    early = reaper.look()
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    first = reaper.look()
    between = gone.reload().state
    time.pass_(CONFIRM_SECONDS)
    second = reaper.look()

    assert (early, first, between, second) == (Reaped(), Reaped(silent=1), "queued", Reaped(unknown=1))
    assert [job.reload().state for job in (gone, waits, young)] == ["unknown", "queued", "queued"]


@pytest.mark.parametrize("state", ["queued", "unqueued"])
def test_a_forgotten_job_of_which_its_engine_knows_why_it_never_starts_ends_so_at_that_moment(time, reaper, engine, state):
    late, runs, ended, broken = (make_status(state, engine="lines") for _ in range(4))
    at = late.recorded_at + timedelta(seconds=100)
    engine.lost = {late.id, runs.id, ended.id, broken.id}
    engine.late = {id: Outcome(state=State.killed, error="it came too late", ended_at=at) for id in engine.lost - {broken.id}}
    engine.ends[ended.id] = Outcome(state=State.succeeded)
    engine.has = lambda lost: {runs.id}

    time.pass_(FORGOTTEN_AFTER.total_seconds())
    first = reaper.look()
    time.pass_(CONFIRM_SECONDS)
    planned = Reaper(monotonic=lambda: time.here)
    planned.look()
    time.pass_(CONFIRM_SECONDS)
    dry = planned.look(dry_run=True)
    second = reaper.look()

    assert (first, second) == (Reaped(ended=1, silent=3), Reaped(ended=1, unknown=1, spared=1))
    assert (dry.ended, dry.unknown) == (1, 1)
    assert [job.reload().state for job in (late, runs, ended, broken)] == ["killed", state, "succeeded", "unknown"]
    assert (late.killed_at, late.errors, engine.vain) == (at, ["it came too late"], [late.id])


@pytest.mark.parametrize("state", ["queued", "unqueued"])
def test_a_job_that_its_engine_has_again_at_the_second_look_waits_on(time, reaper, engine, state):
    """A message is in no place at all for moments: a worker has taken it from a queue, and has not said so."""
    job = make_status(state, engine="lines")
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    looks = []
    for lost in ({job.id}, set(), {job.id}, set()):
        engine.lost = lost
        looks.append(reaper.look())
        time.pass_(CONFIRM_SECONDS)

    assert looks == [Reaped(silent=1), Reaped()] * 2
    assert job.reload().state == state


@pytest.mark.parametrize("state", ["queued", "unqueued"])
@pytest.mark.parametrize("what", ["the engine", "the store"])
def test_a_look_that_could_not_be_had_between_two_begins_anew(time, reaper, engine, monkeypatch, what, state):
    job = make_status(state, engine="lines")
    engine.lost = {job.id}
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    reaper.look()

    def refuse(*_: Any) -> None:
        raise statuses.StoreUnavailable("a read", OSError("gone")) if what == "the store" else OSError("its broker is away")

    with monkeypatch.context() as away, contextlib.suppress(statuses.StoreUnavailable):
        if what == "the store":
            away.setattr("statuses.collection.server_time", refuse)
        else:
            away.setattr(engine, "forgotten", refuse)
        time.pass_(CONFIRM_SECONDS)
        reaper.look()
    after = reap(reaper, time)

    assert (after, job.reload().state) == (Reaped(unknown=1), "unknown")


def test_a_job_for_later_its_engine_has_forgotten_becomes_unknown_or_ends_as_that_says(time, reaper, engine):
    gone, ended, waits = (make_status("unqueued", engine="lines") for _ in range(3))
    engine.lost = {gone.id, ended.id}
    young = reap(reaper, time)
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    at = statuses.server_time() - timedelta(seconds=20)
    engine.ends = {ended.id: Outcome(state=State.succeeded, data={"result": 42}, ended_at=at)}

    first, second = reaper.look(), reap(reaper, time)

    assert (young, first, second) == (Reaped(), Reaped(ended=1, silent=1), Reaped(unknown=1))
    assert [job.reload().state for job in (gone, ended, waits)] == ["unknown", "succeeded", "unqueued"]
    assert (ended.data, ended.succeeded_at) == ({"result": 42}, at)


def test_an_attempt_that_was_put_off_just_now_is_not_forgotten_however_old_its_job_is(time, reaper, engine):
    failed, polls = (make_status("queued", engine="lines").started("w1", alive=True) for _ in range(2))
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    failed.requeued(attempt=0, scheduled=True, failed=True)
    polls.heartbeat().requeued(attempt=0, scheduled=True)
    engine.lost = {failed.id, polls.id}

    early = reap(reaper, time)
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    late = reap(reaper, time)

    assert (early, late) == (Reaped(), Reaped(unknown=2))
    assert [(job.reload().state, job.attempt) for job in (failed, polls)] == [("unknown", 1)] * 2


def test_of_an_attempt_that_was_put_off_the_one_before_is_read_and_no_other(time, reaper, engine, monkeypatch):
    job = make_status("queued", engine="lines")
    for attempt in range(5):
        job.started("w1", attempt=attempt, alive=True).requeued(attempt=attempt, scheduled=True, failed=True)
    engine.lost = {job.id}
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    read: list[int] = []
    reading = record.read_attempt
    monkeypatch.setattr(record, "read_attempt", lambda store, present, number: read.append(number) or reading(store, present, number))

    assert reaper.look() == Reaped(silent=1)
    assert read == [4]


def test_a_job_that_is_removed_while_its_engine_is_asked_holds_up_none_of_the_others(time, reaper, engine, monkeypatch):
    gone, removed = (make_status("queued", engine="lines").started("w1", alive=True) for _ in range(2))
    for job in (gone, removed):
        job.requeued(attempt=0, scheduled=True, failed=True)
    engine.lost = {gone.id, removed.id}
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    first = reaper.look()
    time.pass_(CONFIRM_SECONDS)

    def forgotten(waiting: Sequence[Status]) -> list[Status]:
        statuses.at(removed.id).delete(force=True)
        return [*waiting]

    monkeypatch.setattr(engine, "forgotten", forgotten)

    assert (first, reaper.look()) == (Reaped(silent=2), Reaped(unknown=1))
    assert gone.reload().state is State.unknown


def test_a_job_that_is_due_in_the_moment_it_would_be_marked_waits_on(time, reaper, engine, monkeypatch):
    due, again = make_status("unqueued", engine="lines"), make_status("queued", engine="lines")
    engine.lost = {due.id, again.id}
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    reaper.look()
    time.pass_(CONFIRM_SECONDS)

    def outcome(status: Status) -> None:
        if status.id == due.id:
            statuses.at(due.id).queued(attempt=0, sources={State.unqueued})
        else:
            statuses.at(again.id).started("w1", alive=True).requeued(attempt=0, scheduled=True)

    monkeypatch.setattr(engine, "outcome", outcome)

    assert reaper.look() == Reaped()
    assert [(job.reload().state, job.attempt) for job in (due, again)] == [("queued", 0), ("unqueued", 1)]


def test_of_many_jobs_for_later_some_are_asked_about_in_a_look_and_the_missing_once_more_in_the_next(time, reaper, engine, monkeypatch):
    monkeypatch.setattr("statuses.waiting.LATER", 2)
    places = iter((0, 4))
    monkeypatch.setattr("random.randrange", lambda total: next(places))
    jobs = [make_status("unqueued", engine="lines") for _ in range(6)]
    engine.lost = {jobs[1].id, jobs[5].id}
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    first = reaper.look()
    time.pass_(CONFIRM_SECONDS)
    second = reaper.look()

    assert (first, second) == (Reaped(silent=1), Reaped(silent=1, unknown=1))
    assert (jobs[1].reload().state, jobs[5].reload().state) == ("unknown", "unqueued")


def test_a_job_for_later_that_ran_ends_as_its_engine_says_although_that_may_still_have_it(time, reaper, engine):
    ran, waits = (make_status("unqueued", engine="lines") for _ in range(2))
    engine.ends = {ran.id: SUCCEEDED}
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    assert reaper.look() == Reaped(ended=1)
    assert [job.reload().state for job in (ran, waits)] == ["succeeded", "unqueued"]


def test_of_a_job_that_its_engine_no_longer_has_it_tells_how_it_ended_though_nobody_told_that_it_began(time, reaper, engine):
    job, broken, lost = (make_status("queued", engine="lines") for _ in range(3))
    engine.lost = {job.id, broken.id, lost.id}
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    ended_at = statuses.server_time() - timedelta(seconds=20)
    engine.ends = {
        job.id: Outcome(state=State.succeeded, data={"result": 1}, ended_at=ended_at),
        broken.id: Outcome(state=State.failed, error="it broke"),
    }

    found, later = reaper.look(), reap(reaper, time)

    assert (found.ended, found.unknown, found.failed, later.unknown) == (2, 0, 0, 1)
    assert [each.reload().state for each in (job, broken, lost)] == ["succeeded", "failed", "unknown"]
    assert (job.succeeded_at, job.started_at, job.data) == (ended_at, None, {"result": 1})
    assert engine.vain == [broken.id]


@pytest.mark.parametrize("can_tell_forgotten", [True, False])
def test_a_job_that_waits_for_long_is_asked_about_although_its_engine_may_still_have_it(time, reaper, engine, can_tell_forgotten):
    """While its workers hold messages an engine forgets nothing: it cannot say whose they are. Some can never say what they have."""
    engine.can_tell_forgotten = can_tell_forgotten
    ran, broke, waits = (make_status("queued", engine="lines") for _ in range(3))
    engine.ends = {ran.id: SUCCEEDED, broke.id: Outcome(state=State.failed, error="it broke")}
    young = reaper.look(), list(engine.asked)
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    tried, found = reaper.look(dry_run=True), reaper.look()

    assert young == (Reaped(), [])
    assert tried == found == Reaped(ended=2)
    assert [each.reload().state for each in (ran, broke, waits)] == ["succeeded", "failed", "queued"]
    assert engine.vain == [broke.id]


@pytest.mark.parametrize("can_tell_forgotten", [True, False])
def test_of_many_that_wait_for_long_each_is_asked_about_in_some_look(time, reaper, engine, monkeypatch, can_tell_forgotten):
    engine.can_tell_forgotten = can_tell_forgotten
    monkeypatch.setattr("statuses.waiting.ASKED_WAITING", 3)
    jobs = [make_status("queued", engine="lines") for _ in range(10)]
    engine.ends = {jobs[7].id: SUCCEEDED}
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    looks = 0
    while jobs[7].reload().state == "queued":
        reaper.look()
        looks += 1
        assert (len(engine.asked), len({*engine.asked[-3:]})) == (3 * looks, 3)
        assert looks < 200

    assert {each.reload().state for each in jobs if each is not jobs[7]} == {"queued"}


def test_of_those_that_wait_for_an_engine_that_cannot_say_what_it_has_each_is_asked_about_as_often(time, reaper, engine, monkeypatch):
    monkeypatch.setattr("statuses.waiting.ASKED_WAITING", 3)
    engine.can_tell_forgotten = False
    jobs = [make_status("queued", engine="lines") for _ in range(5)]
    time.pass_(FORGOTTEN_AFTER.total_seconds())
    places = iter(range(5))
    monkeypatch.setattr("random.randrange", lambda total: next(places))

    for _ in jobs:
        reaper.look()

    assert Counter(engine.asked) == {job.id: 3 for job in jobs}


def test_a_job_for_later_that_ran_ends_as_an_engine_says_that_cannot_say_what_it_has(time, reaper, engine):
    engine.can_tell_forgotten = False
    ran, waits = (make_status("unqueued", engine="lines") for _ in range(2))
    engine.ends = {ran.id: SUCCEEDED}
    young = reaper.look()
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    assert (young, reaper.look()) == (Reaped(), Reaped(ended=1))
    assert [(job.reload().state, job.data) for job in (ran, waits)] == [("succeeded", {"result": 42}), ("unqueued", None)]


def test_what_waits_for_an_engine_that_can_say_nothing_of_it_is_left_alone(time, reaper, engine):
    engine.can_tell_forgotten = engine.can_tell_outcome = False
    job = make_status("queued", engine="lines")
    engine.lost, engine.ends = {job.id}, {job.id: SUCCEEDED}
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    assert reaper.look() == Reaped()
    assert (engine.asked, job.reload().state) == ([], "queued")


def test_what_an_engine_that_cannot_say_what_it_has_says_no_end_of_waits_on(time, reaper, engine):
    engine.can_tell_forgotten = False
    job = make_status("queued", engine="lines")
    engine.lost = {job.id}
    time.pass_(timedelta(days=30).total_seconds())

    looks = [reaper.look()]
    engine.is_away = True
    looks.append(reaper.look())

    assert looks == [Reaped(), Reaped()]
    assert (engine.asked, job.reload().state) == ([job.id] * 2, "queued")


def test_an_end_is_not_told_of_a_waiting_job_that_began_meanwhile(time, reaper, engine, monkeypatch):
    engine.can_tell_forgotten = False
    began, again = (make_status("queued", engine="lines") for _ in range(2))
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    def outcome(status: Status) -> Outcome | None:
        statuses.at(began.id).started("w1", attempt=0, sources={State.queued}, alive=True)
        statuses.at(again.id).started("w1", attempt=0, sources={State.queued}, alive=True).requeued(attempt=0)
        return SUCCEEDED

    monkeypatch.setattr(engine, "outcome", outcome)

    assert reaper.look() == Reaped()
    assert [(job.reload().state, job.attempt) for job in (began, again)] == [("started", 0), ("queued", 1)]


@pytest.mark.parametrize("can_tell_forgotten", [True, False])
def test_what_waits_for_an_engine_that_cannot_be_asked_is_left_alone(time, reaper, engine, can_tell_forgotten):
    engine.can_tell_forgotten = can_tell_forgotten
    jobs = [make_status("queued", engine="lines") for _ in range(3)]
    engine.is_away = True
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    assert reaper.look() == Reaped()
    assert (len(engine.asked), [job.reload().state for job in jobs]) == (1, ["queued"] * 3)


def test_a_job_whose_engine_no_longer_has_it_and_cannot_say_how_it_ended_waits_for_a_day(time, reaper, engine):
    job = make_status("queued", engine="lines")
    engine.lost, engine.is_away = {job.id}, True
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    first = reaper.look()
    time.pass_(ASKED_FOR.total_seconds() + grace(None).total_seconds())
    later = reaper.look()

    assert (first.unknown, first.spared, later.unknown, later.spared) == (0, 1, 1, 0)
    assert job.reload().state == "unknown"


def test_a_dry_run_changes_nothing_and_says_the_same(time, reaper, engine):
    job, ended, waits = started(), started(), make_status("queued", engine="lines")
    engine.lost, engine.ends = {waits.id}, {ended.id: SUCCEEDED}
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    reaper.look(dry_run=True)
    time.pass_(CONFIRM_SECONDS)
    found = reaper.look(dry_run=True)

    assert (found.failed, found.ended, found.unknown) == (1, 1, 1)
    assert [each.reload().state for each in (job, ended, waits)] == ["started", "started", "queued"]


def test_two_reapers_do_no_harm(time):
    job = started()
    time.pass_(SILENCE.total_seconds())
    both = [Reaper(monotonic=lambda: time.here) for _ in range(2)]

    for reaper in both:
        reaper.look()
    time.pass_(CONFIRM_SECONDS)

    assert [reaper.look().failed for reaper in both] == [1, 0]
    assert len(job.errors) == 1


def test_each_job_that_is_given_up_has_its_line_in_the_log(time, reaper, caplog):
    job = started(job_name="import")
    time.pass_(SILENCE.total_seconds())

    reap(reaper, time)

    assert [record.message for record in caplog.records if record.name == "statuses.reaper"] == [
        f"job {job.id} (import) is marked failed: worker w1 gave no sign of life since 2026-01-01 12:00:00 UTC"
    ]


@pytest.mark.parametrize(
    "setting",
    [{"reap_after": {"x": timedelta(seconds=30)}}, {"reap_after": {"x": 300}}, {"reap_retries": {"x": -1}}, {"reap_retries": {"x": True}}],
)
def test_a_wrong_setting_is_refused(setting, server_url):
    with pytest.raises(statuses.ConfigurationError, match=next(iter(setting))):
        statuses.configure(url=server_url, namespace="wrong", **setting)
