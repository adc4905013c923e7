"""Retention: what is due goes, what is kept stays, and nothing of the gone is left."""

from datetime import timedelta

import pytest

import statuses
from statuses.testing import frozen_clock, make_status

DAY = timedelta(days=1)


@pytest.fixture
def clock(store):
    with frozen_clock() as frozen:
        yield frozen


def test_succeeded_jobs_go_after_thirty_days_and_others_after_half_a_year(clock):
    for state in statuses.State:
        make_status(state)

    clock.tick(30 * DAY)
    assert statuses.clean().by_state == {"succeeded": 1}
    clock.tick(149 * DAY)
    assert statuses.clean().removed == 0
    clock.tick(1 * DAY)

    assert statuses.clean().removed == 6
    assert statuses.all().count() == 0


def test_a_jobs_own_time_goes_before_the_policy(clock):
    make_status("succeeded", keep_for=DAY)
    make_status("succeeded", keep_for=365 * DAY)
    make_status("failed", keep_for=2 * DAY).keep_for(None)

    clock.tick(100 * DAY)
    statuses.clean()

    assert sorted(status.state for status in statuses.all()) == ["failed", "succeeded"]


def test_time_counts_from_the_end_and_from_recorded_for_a_job_that_never_ended(clock):
    slow = make_status("started", keep_for=10 * DAY)
    make_status("queued", keep_for=10 * DAY)
    clock.tick(9 * DAY)
    slow.succeeded()
    clock.tick(9 * DAY)

    statuses.clean()

    assert statuses.all().ids() == [slow.id]


def test_a_policy_by_name_goes_before_that_of_the_state(server_url, clock):
    statuses.configure(url=server_url, namespace="policy", retention={"name:short": DAY, "failed": None, "*": 10 * DAY})
    for name in ("short", "long"):
        for state in ("failed", "succeeded"):
            make_status(state, job_name=name)

    clock.tick(11 * DAY)
    statuses.clean()

    assert [(status.job_name, status.state) for status in statuses.all()] == [("long", "failed")]


def test_criteria_remove_what_they_name_and_nothing_else(clock):
    for name in ("a", "b"):
        for queue in ("q", "r"):
            for state in ("succeeded", "failed", "started"):
                make_status(state, job_name=name, queue=queue)
    clock.tick(2 * DAY)
    young = make_status("failed", job_name="a", queue="q")

    dry = statuses.clean(job_name="a", queue=["q"], state="failed", older_than=DAY, dry_run=True)
    assert (dry.removed, statuses.all().count()) == (1, 13)
    assert statuses.clean(job_name="a", queue=["q"], state="failed", older_than=DAY).removed == 1
    assert statuses.find(young.id) is not None
    assert statuses.clean(older_than=DAY).removed == 7

    assert statuses.where(state="started").count() == 4


@pytest.mark.parametrize("bad", [{"older_than": 5}, {"older_than": -DAY}, {"state": "running"}, {"job_name": 7}])
def test_bad_criteria_are_refused(clock, bad):
    make_status("failed")

    with pytest.raises((TypeError, ValueError), match=next(iter(bad))):
        statuses.clean(**bad)

    assert statuses.all().count() == 1


def test_clear_all_takes_everything_and_leaves_no_key_of_a_job(store):
    for number in range(50):
        status = make_status("failed", id=f"own {number}" if number % 2 else None, job_args={"b": f"B:{number}"}, error="x")
        status.started()

    assert statuses.clear_all() == 50

    assert statuses.all().count() == 0
    assert statuses.find("own 1") is None
    assert statuses.create(id="own 1").state == "unqueued"
    assert statuses.all().count() == 1
    left = [key.decode().split("}", 1)[1] for key in store.keys("*")]
    assert not [key for key in left if key.startswith("0:")]
    assert [key for key in left if key.startswith("x:")] == ["x:own 1"]


def test_clear_all_of_an_empty_store_is_nothing(store):
    assert statuses.clear_all() == 0
