"""The reaper: what nobody runs is given up, what still runs never."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

import statuses
from statuses import Status
from statuses.engines import registry
from statuses.engines.base import Engine, Worker
from statuses.reaper import CONFIRM_SECONDS, FORGOTTEN_AFTER, Reaper
from statuses.testing import FrozenClock, frozen_clock, make_status

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

    def __init__(self) -> None:
        self.running: Callable[[], list[Worker]] = list
        self.lost: set[str] = set()

    def workers(self) -> list[Worker]:
        return self.running()

    def forgotten(self, waiting: Sequence[Status]) -> list[Status]:
        return [status for status in waiting if status.id in self.lost]

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


def test_a_lost_job_that_was_asked_to_die_is_not_sent_again(server_url, time, reaper, engine):
    statuses.configure(url=server_url, namespace="asked", reap_retries={"*": 3})
    job = started().request_kill(by="ann")
    time.pass_(SILENCE.total_seconds())

    found = reap(reaper, time)

    assert (found.failed, found.retried) == (1, 0)
    assert job.reload().is_failed


def test_a_job_its_engine_has_forgotten_becomes_unknown(time, reaper, engine):
    gone, waits = make_status("queued", engine="lines"), make_status("queued", engine="lines")
    young = make_status("queued", engine="other")
    engine.lost = {gone.id, young.id}

    assert reaper.look().unknown == 0
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    assert reaper.look().unknown == 1
    assert [job.reload().state for job in (gone, waits, young)] == ["unknown", "queued", "queued"]


def test_a_dry_run_changes_nothing_and_says_the_same(time, reaper, engine):
    job, waits = started(), make_status("queued", engine="lines")
    engine.lost = {waits.id}
    time.pass_(FORGOTTEN_AFTER.total_seconds())

    reaper.look(dry_run=True)
    time.pass_(CONFIRM_SECONDS)
    found = reaper.look(dry_run=True)

    assert (found.failed, found.unknown) == (1, 1)
    assert (job.reload().state, waits.reload().state) == ("started", "queued")


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
