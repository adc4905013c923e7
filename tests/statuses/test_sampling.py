"""How deep queues were: samples a minute, cells of five, thirty days."""

from datetime import UTC, datetime, timedelta

import pytest

import statuses
from statuses import keys, sampling
from statuses import store as stores
from statuses.engines import registry
from statuses.engines.base import Engine, Queue
from statuses.testing import FrozenClock, frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store", "no_engines")

DAY, CELL = timedelta(days=1), sampling.CELL


@pytest.fixture
def clock() -> FrozenClock:
    with frozen_clock(datetime(2026, 11, 3, 10, 0, tzinfo=UTC)) as clock:
        yield clock


def past(queue: str, length: timedelta = timedelta(hours=1), step: timedelta = CELL) -> list[tuple[int | None, int | None]]:
    return [(depth.waiting, depth.oldest_seconds) for depth in sampling.depths([queue], length, step)[queue]]


def days(store) -> list[str]:
    return sorted(key.decode().rpartition(":")[2] for key in store.keys("*depth:2*"))


def test_a_sample_tells_how_many_wait_and_how_long_the_first_has(clock):
    make_status("queued", queue="mail")
    clock.tick(40)
    make_status("queued", queue="mail")
    make_status("started", queue="mail")
    make_status("queued", queue="reports")

    assert sampling.sample() == 2
    assert past("mail")[-1] == (2, 40)
    assert past("reports")[-1] == (1, 0)
    assert past("nothing") == [(None, None)] * 12


def test_a_job_that_was_sent_again_has_waited_since_then(clock):
    status = make_status("failed", queue="mail")
    clock.tick(600)
    status.requeued()
    clock.tick(5)

    sampling.sample()

    assert past("mail")[-1] == (1, 5)


def test_one_sample_a_minute_is_taken_whoever_asks(clock, store):
    make_status("queued", queue="mail")

    first, again = sampling.sample(), sampling.sample()
    clock.tick(59)
    soon = sampling.sample()
    clock.tick(1)

    assert (first, again, soon) == (1, None, None)
    assert sampling.sample() == 1


def test_a_cell_keeps_the_most_of_its_samples(clock):
    jobs = [make_status("queued", queue="mail") for _ in range(3)]
    sampling.sample()
    clock.tick(60)
    for job in jobs:
        job.started()
    sampling.sample()

    assert past("mail")[-1] == (3, 0)


def test_a_queue_that_became_empty_is_written_as_empty_and_a_pause_of_the_sampler_as_unknown(clock):
    make_status("queued", queue="mail").started()
    job = make_status("queued", queue="mail")
    sampling.sample()
    job.started()
    clock.tick(300)
    sampling.sample()
    clock.tick(900)
    sampling.sample()

    assert past("mail")[-5:] == [(1, 0), (0, 0), (None, None), (None, None), (0, 0)]


def test_the_first_cell_of_a_day_continues_the_last_of_the_day_before(clock):
    clock.move_to(datetime(2026, 11, 3, 23, 57, tzinfo=UTC))
    job = make_status("queued", queue="mail")
    sampling.sample()
    clock.tick(300)
    sampling.sample()
    job.started()
    clock.tick(300)
    sampling.sample()

    assert past("mail")[-3:] == [(1, 0), (1, 300), (0, 0)]


def test_wide_steps_hold_the_most_of_their_cells(clock):
    for _ in range(4):
        make_status("queued", queue="mail")
        sampling.sample()
        clock.tick(300)
    sampling.sample()

    assert [waiting for waiting, _ in past("mail", timedelta(hours=2), timedelta(hours=1))] == [None, 4]


def test_what_is_older_than_thirty_days_goes_and_with_it_what_a_long_pause_left(clock, store):
    make_status("queued", queue="mail")
    for _ in range(3):
        sampling.sample()
        clock.tick(DAY.total_seconds())
    three = len(days(store))
    clock.tick(28 * DAY.total_seconds())
    sampling.sample()
    after_a_month = len(days(store))
    clock.tick(400 * DAY.total_seconds())
    sampling.sample()

    assert (three, after_a_month, len(days(store))) == (3, 3, 1)


def test_a_queue_that_nobody_uses_any_more_is_not_told_of_for_ever(clock, store):
    job = make_status("queued", queue="gone")
    sampling.sample()
    job.delete(force=True)
    for _ in range(35):
        clock.tick(DAY.total_seconds())
        sampling.sample()

    assert past("gone", 30 * DAY, timedelta(hours=2)) == [(None, None)] * 360


def test_there_are_not_endless_many_queues(clock, monkeypatch):
    monkeypatch.setattr(sampling, "MOST", 2)
    for name in ("a", "b", "b", "c", "c"):
        make_status("queued", queue=name)

    assert sampling.sample() == 2
    assert (past("a")[-1], past("b")[-1], past("c")[-1]) == ((None, None), (2, 0), (2, 0))


class Lines(Engine):
    name = "lines"
    has_queues = True

    def queues(self) -> list[Queue]:
        return [Queue(name="quick")]


class Broken(Lines):
    name = "broken"

    def queues(self) -> list[Queue]:
        raise OSError("away")


def test_a_queue_in_which_nothing_ever_waits_is_written_as_empty_while_its_engine_tells_of_it(clock):
    registry.register(Broken())
    registry.register(Lines())

    assert sampling.sample() == 1
    assert past("quick")[-1] == (0, 0)


@pytest.mark.parametrize(("length", "step"), [(DAY, timedelta(minutes=7)), (31 * DAY, CELL), (CELL, DAY), (DAY, timedelta())])
def test_a_length_or_step_that_cannot_be_answered_is_refused(length, step):
    with pytest.raises(ValueError, match="step is a multiple"):
        sampling.depths(["mail"], length, step)


def test_a_check_takes_samples_for_what_they_are_and_names_what_is_none(clock, store):
    make_status("queued", queue="mail")
    sampling.sample()
    clean = statuses.check().problems
    store.set(f"{stores.current().families[0]}depth:nonsense", "1")

    assert clean == ()
    assert statuses.check().problems != ()


def test_a_day_of_a_queue_takes_what_the_documentation_says(clock, store):
    make_status("queued", queue="mail")
    clock.move_to(datetime(2026, 11, 3, 23, 59, tzinfo=UTC))
    sampling.sample()

    key = keys.depth(stores.current().families[0], int(clock.now.timestamp()) // 86_400)
    assert store.hstrlen(key, "mail") == 288 * 8
