"""Which place a queued job has in its queue, told for the rows of a page with few questions to the store."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import statuses
from jobadmin import places
from statuses.testing import make_status

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


def line(number: int, queue: str = "bulk") -> list[Any]:
    """So many queued jobs, first to start first."""
    queued = [
        {"id": f"{queue}-{n:03}", "state": "queued", "queue": queue, "queued_at": MIDNIGHT + timedelta(seconds=n)} for n in range(number)
    ]
    statuses.load(queued)
    return [statuses.find(record["id"]) for record in queued]


def test_neighbours_in_a_queue_count_on_from_the_first(store, monkeypatch) -> None:
    monkeypatch.setattr(places, "MOST_COUNTS", 2)
    jobs = line(60)

    found = places.places(jobs[10:60])

    assert found == {job.id: place for place, job in enumerate(jobs, 1) if place > 10}


def test_rows_between_which_others_stand_have_their_own_place(store) -> None:
    jobs = line(40)
    rows = [jobs[3], jobs[4], jobs[5], jobs[20], jobs[39]]

    assert sorted(places.places(rows).values()) == [4, 5, 6, 21, 40]


def test_each_queue_is_a_line_of_its_own(store) -> None:
    bulk, fast = line(3), line(2, queue="fast")

    assert places.places([fast[1], bulk[2], fast[0], bulk[0]]) == {"fast-000": 1, "fast-001": 2, "bulk-000": 1, "bulk-002": 3}


def test_a_place_that_would_cost_too_much_is_not_told(store, monkeypatch) -> None:
    monkeypatch.setattr(places, "MOST_COUNTS", 3)
    jobs = line(40)

    found = places.places(jobs[::4])

    assert len(found) == 3
    assert all(jobs[place - 1].id == job for job, place in found.items())


@pytest.mark.parametrize("state", ["unqueued", "started", "failed"])
def test_what_is_not_queued_has_no_place(store, state) -> None:
    assert places.places([make_status(state, queue="bulk")]) == {}
