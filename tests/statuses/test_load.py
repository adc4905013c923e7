"""Many statuses at once, with their own past times."""

from datetime import UTC, datetime, timedelta

import pytest

import statuses
from statuses import loading
from statuses.columns import SEGMENT_ROWS
from statuses.testing import frozen_clock

pytestmark = pytest.mark.usefixtures("store")
PAST = datetime(2012, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize("records", [5, None, "abc", b"abc", {"job_name": "a"}])
def test_what_is_no_row_of_records_is_refused_by_name(records):
    with pytest.raises(TypeError, match="records must be mappings one after another, not "):
        statuses.load(records)


@pytest.mark.parametrize("record", [5, None, "abc", ["state"], [("state", "failed")]])
def test_what_is_no_record_is_refused_with_its_index(record):
    with pytest.raises(ValueError, match="record 1: it must be a mapping with the names of attributes, not "):
        statuses.load([{}, record])


def test_loaded_jobs_are_found_by_moments_before_their_recording_and_after_their_loading():
    with frozen_clock() as clock:
        early, late = clock.now - timedelta(days=400), clock.now + timedelta(days=2)
        statuses.load({"state": "killed", "recorded_at": clock.now, "queued_at": early, "killed_at": late} for _ in range(2))

        assert statuses.where(queued_at=(early, early)).count() == 2
        assert statuses.where(killed_at=(late, None)).count() == 2
        assert len(statuses.all().order_by("queued_at").limit(1).run()) == 1
        assert statuses.where(queued_at=(clock.now, None)).count() == 0


def test_loaded_statuses_are_as_they_were_given():
    records = [
        {
            "job_name": "a",
            "state": "failed",
            "recorded_at": PAST,
            "queued_at": PAST + timedelta(seconds=1),
            "started_at": PAST + timedelta(seconds=4),
            "failed_at": PAST + timedelta(seconds=9),
            "job_args": {"book": "Book:53"},
            "queue": "q",
            "user": "u",
            "worker": "w",
            "engine": "celery",
            "provider_job_id": "p",
            "parent": "above",
            "depends_on": ["one", "two" * 40],
            "root": "zero",
            "call": {"args": [1]},
            "data": {"n": 1.0},
            "errors": ["boom 1", {"class": "Boom"}],
            "kill_requested_at": PAST + timedelta(seconds=5),
            "kill_requested_by": "ops",
            "progress": 0.5,
            "progress_message": "m" * 100,
            "keep_for": timedelta(days=1),
        }
    ]

    assert statuses.load(records) == 1

    [status] = statuses.all()
    assert statuses.find(status.id) == status
    for name in (
        "job_name",
        "state",
        "recorded_at",
        "queued_at",
        "started_at",
        "failed_at",
        "job_args",
        "queue",
        "user",
        "worker",
        "engine",
    ):
        assert getattr(status, name) == records[0][name], name
    for name in (
        "provider_job_id",
        "parent",
        "depends_on",
        "root",
        "call",
        "data",
        "errors",
        "kill_requested_at",
        "kill_requested_by",
        "progress_message",
    ):
        assert getattr(status, name) == records[0][name], name
    assert (status.wait_time, status.run_time, status.progress, status.error_group) == (3, 5, 0.5, "Boom")
    for clause in ({"parent": "above"}, {"depends_on": "two" * 40}, {"root": "zero"}, {"provider_job_id": "p"}):
        assert statuses.where(**clause).ids() == [status.id], clause


def test_times_may_be_microseconds_and_ended_at_is_the_moment_of_the_state():
    at = 1_328_227_961_000_000

    statuses.load([{"state": "killed", "recorded_at": at, "started_at": at + 1, "ended_at": at + 3}])

    [status] = statuses.all()
    assert status.killed_at == status.ended_at
    assert status.run_time == 0.000002


def test_a_moment_that_is_missing_is_the_last_that_is_known():
    statuses.load(
        [{"state": "succeeded", "recorded_at": PAST, "started_at": PAST + timedelta(seconds=5)}, {"state": "queued", "recorded_at": PAST}]
    )

    newest, oldest = sorted(statuses.all(), key=lambda status: status.state)
    assert newest.queued_at == PAST
    assert oldest.succeeded_at == PAST + timedelta(seconds=5)
    assert oldest.progress == 1.0


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"state": "running"}, "state"),
        ({"jobname": "a"}, "did you mean 'job_name'"),
        ({"recorded_at": datetime(2012, 1, 1)}, "time zone"),
        ({"recorded_at": "2012-01-01"}, "recorded_at"),
        ({"recorded_at": -5}, "recorded_at"),
        ({"job_args": {"a": 1}}, "job_args"),
        ({"errors": "text"}, "errors"),
        ({"id": "a:1"}, "id"),
        ({"data": {1, 2}}, "data"),
        ({"progress": 7}, "progress"),
    ],
)
def test_a_bad_record_is_named_by_its_index_and_its_batch_is_not_loaded(bad, why):
    with pytest.raises(ValueError, match=rf"record 3: .*{why}"):
        statuses.load([{}, {}, {}, bad, {}])

    assert statuses.all().count() == 0


def test_an_own_id_that_is_taken_is_refused():
    statuses.create(id="own")

    with pytest.raises(statuses.StatusExists, match=r"record 1: .*own") as taken:
        statuses.load([{"id": "new"}, {"id": "own"}])
    assert (taken.value.index, taken.value.id) == (1, "own")

    assert statuses.all().count() == 1
    assert statuses.find("new") is None
    assert statuses.load([{"id": "new", "job_name": "later"}]) == 1
    assert statuses.find("new").job_name == "later"


def test_the_same_own_id_twice_in_one_load_is_refused():
    with pytest.raises(statuses.StatusExists, match=r"record 601: .*twice") as taken:
        statuses.load([{}] * 600 + [{"id": "twice"}, {"id": "twice"}])
    assert taken.value.index == 601


def test_an_own_id_that_is_taken_meanwhile_is_named_with_its_index(monkeypatch):
    really = loading._refuse_taken

    def look_and_be_overtaken(here, rows):
        really(here, rows)
        statuses.create(id="own")

    monkeypatch.setattr(loading, "_refuse_taken", look_and_be_overtaken)

    with pytest.raises(statuses.StatusExists) as taken:
        statuses.load([{}, {}, {"id": "own"}])
    assert taken.value.index == 2


def test_loading_crosses_segments():
    count = SEGMENT_ROWS + 700

    assert (
        statuses.load({"job_name": f"n{number % 3}", "state": "succeeded", "recorded_at": 10**15 + number} for number in range(count))
        == count
    )

    assert statuses.all().count() == count
    assert statuses.where(job_name="n0").count() == (count + 2) // 3
    newest = statuses.all().first()
    assert statuses.find(newest.id).recorded_at == newest.recorded_at
    assert statuses.where(recorded_at=(10**15 + 5, 10**15 + 9)).count() == 5


def test_writers_go_on_while_something_is_loaded():
    made = []

    def records():
        for number in range(3000):
            if number % 100 == 0:
                made.append(statuses.create(job_name="live", state="queued"))
            yield {"job_name": "past", "state": "succeeded", "recorded_at": PAST}

    statuses.load(records())

    assert statuses.where(job_name="past").count() == 3000
    assert {status.id for status in statuses.where(job_name="live")} == {status.id for status in made}


def test_retention_counts_from_the_loading():
    with frozen_clock() as clock:
        statuses.load([{"state": "succeeded", "recorded_at": PAST, "ended_at": PAST}])

        [status] = statuses.all()
        assert status.expires_at == clock.now + timedelta(days=30)
