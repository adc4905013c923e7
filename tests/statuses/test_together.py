"""What is asked together of different jobs is answered as if asked alone, from one read."""

from datetime import timedelta
from typing import Any

import pytest

import statuses
from statuses import LimitedQuery
from statuses.testing import frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def some():
    """Jobs of three names and two workers, one of which is silent."""
    with frozen_clock() as clock:
        for number in range(4):
            make_status("failed", job_name="mail.send", queue="bulk", error=ValueError("no book"))
            make_status("queued", job_name="plan.rebuild", queue=f"q{number}", user="ines")
            clock.tick(60)
        statuses.create(job_name="index.book").started(worker="w1").heartbeat()
        make_status("started", job_name="index.book").request_kill()
        clock.tick(timedelta(minutes=5))
        statuses.create(job_name="index.book").started(worker="w2").heartbeat()
        yield clock


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """The commands of each round trip from now on."""
    seen: list[list[Any]] = []
    pipeline = statuses.store.Store.pipeline

    def watched(self: Any, commands: Any, **options: Any) -> Any:
        seen.append(list(commands))
        return pipeline(self, seen[-1], **options)

    monkeypatch.setattr(statuses.store.Store, "pipeline", watched)
    return seen


QUESTIONS = [
    (statuses.all(), {"counts": True, "flags": True, "counts_by": {"job_name": 2, "error": 1}, "timeline": {"buckets": 5}}),
    (statuses.where(state="failed"), {"count": True, "durations_by": {"job_name": ("run_time", 2)}}),
    (statuses.where(stale=True), {"counts_by": {"worker": 1}, "timeline": {"buckets": 3}}),
    (statuses.where(kill_requested=True), {"counts": True, "bounds": True}),
    (statuses.where(queue=["q1", "nowhere"]), {"counts_by": {"job_arg": None, "user": 3}}),
    (statuses.where(state=[]), {"counts": True}),
    (statuses.all(), {}),
]


def test_reports_asked_together_are_those_asked_alone(some):
    assert statuses.together(*QUESTIONS) == [query.report(**what) for query, what in QUESTIONS]
    assert statuses.together(*QUESTIONS)[2].counts_by["worker"][0].value == "w1"


def test_together_the_columns_are_read_once(some, trips):
    span = {"after": some.now - timedelta(hours=1), "before": some.now, "buckets": 3}
    asked = [
        (query, {"counts": True, "timeline": span})
        for query in (statuses.all(), statuses.where(state="failed"), statuses.where(queue="bulk"))
    ]

    together = statuses.together(*asked)

    assert [trip[0][0] for trip in trips] == ["MGET", "MGET"], "the versions, and the columns"
    assert together == [query.report(**what) for query, what in asked]


def test_the_texts_of_all_that_is_counted_are_caught_up_in_one_round_trip(some, trips):
    statuses.all().report(counts_by={"job_name": 2, "error": 1, "queue": 1}, durations_by={"job_name": ("run_time", 2)})

    assert sum(trip[0][0] == "HGET" for trip in trips) == 1


def test_what_gives_no_sign_of_life_is_read_once_for_a_whole_answer(some, trips):
    query = statuses.where(stale=True)
    query.report(counts_by={"worker": 1}, counts=True)
    trips.clear()

    query.report(counts_by={"worker": 1}, counts=True)

    assert [trip[0][0] for trip in trips].count("MGET") == 2, "the versions, and the heartbeats once"


def test_nothing_asked_is_nothing_read(trips):
    assert statuses.together() == []
    assert trips == []


def test_what_cannot_be_asked_alone_cannot_be_asked_together():
    with pytest.raises(LimitedQuery):
        statuses.together((statuses.all(), {"counts": True}), (statuses.all().limit(1), {"counts": True}))
    with pytest.raises(TypeError, match="count_by"):
        statuses.together((statuses.all(), {"count_by": {"queue": 1}}))
    with pytest.raises(ValueError, match="buckets"):
        statuses.together((statuses.all(), {"timeline": {"buckets": 0}}))


def test_the_values_of_several_fields_take_one_round_trip(some, trips):
    fields = ("job_name", "queue", "user")

    found = statuses.all().values_of(fields, limit=2)

    assert len(trips) == 1
    assert found == {field: statuses.all().values(field, limit=2) for field in fields}
    assert found["queue"] == ["bulk", "q0"]


@pytest.mark.parametrize(("wrong", "error"), [("queue", TypeError), (["nonsense"], ValueError)])
def test_values_are_asked_of_fields_that_there_are(wrong, error):
    with pytest.raises(error):
        statuses.all().values_of(wrong)
