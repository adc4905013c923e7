"""The texts of resources are found again in the arguments of the jobs that have them, whatever they hold and however long they are."""

from collections import Counter

import pytest

import statuses
from statuses import keys, resourcetexts
from statuses.store import current
from statuses.testing import make_status

pytestmark = pytest.mark.usefixtures("store")
#: Some that JSON writes with a backslash, some that look like JSON.
ODD = ['a "quoted" one', "back\\slash", "line\nbreak", "büch:5", "書:1", "😀", '","', "{}", "[]", ":", "null", " ", "1", "Book:" + "x" * 90]


@pytest.fixture
def replies(monkeypatch):
    """How many rows each call of the script was asked for."""
    asked = []
    call = resourcetexts._call
    monkeypatch.setattr(resourcetexts, "_call", lambda *jobs: asked.append(len(jobs[-1])) or call(*jobs))
    return asked


def tallied() -> dict[str, int]:
    found = statuses.tallies((statuses.all(), "job_arg"))[0]
    return dict(zip(found.values, found.totals, strict=True))


def test_odd_texts_are_told_as_they_were_given():
    statuses.load({"job_args": {text: text, "": [text, "plain"]}, "state": "queued"} for text in ODD)
    statuses.load({"job_args": {"all": ODD}, "state": "queued"} for _ in range(2))
    statuses.load({"job_args": args, "state": "queued"} for args in ({}, {"none": []}))

    assert tallied() == dict.fromkeys(ODD, 3) | {"plain": len(ODD)}


def test_the_name_of_an_argument_is_no_resource():
    make_status(job_args={"Book:1": "Book:2"})

    assert tallied() == {"Book:2": 1}


def test_no_call_asks_for_more_rows_than_it_may_nor_goes_on_behind_its_bytes(replies, monkeypatch):
    monkeypatch.setattr(resourcetexts, "ROWS", 7)
    monkeypatch.setattr(resourcetexts, "TRIP", 20)
    monkeypatch.setattr(resourcetexts, "BYTES", 300)
    jobs = [{"job_args": {"b": f"Book:{n}", "c": ["Shelf:" + "x" * 10 * (n % 15), f"Case:{n // 2}"]}} for n in range(150)]

    statuses.load({**job, "state": "queued"} for job in jobs)

    assert tallied() == Counter(text for job in jobs for text in (job["job_args"]["b"], *job["job_args"]["c"]))
    assert max(replies) == 7
    assert sum(replies) > 150  # some were asked for again


def test_texts_are_read_once_and_those_of_new_jobs_alone_after_that(replies):
    statuses.load({"job_args": {"b": f"Book:{n % 90}"}, "state": "queued"} for n in range(500))

    assert tallied() == tallied() == Counter(f"Book:{n % 90}" for n in range(500))
    assert sum(replies) == 90
    make_status(job_args={"b": ["Book:3", "Book:new"]})
    assert tallied()["Book:new"] == 1
    assert sum(replies) == 91


def test_a_resource_that_its_job_does_not_tell_of_goes_by_its_hash(store):
    make_status(job_args={"b": "Book:1"})
    make_status(job_args={"b": "Book:2"})

    store.hdel(keys.job(keys.segment(current().families[0], 0), 1), "a")

    assert sorted(tallied())[0].startswith("(resource ") and sorted(tallied())[1:] == ["Book:1"]
