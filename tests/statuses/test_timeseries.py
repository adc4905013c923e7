"""Timelines: equal steps, half open, the last one closed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import statuses
from statuses import clock
from statuses.timeseries import edges_of

START = datetime(2026, 1, 1, tzinfo=UTC)
US = timedelta(microseconds=1)
pytestmark = pytest.mark.usefixtures("store")
_numbers = iter(range(10**9))


def load_at(*offsets, state="queued", **fields):
    statuses.load({"state": state, "recorded_at": START + timedelta(microseconds=offset), **fields} for offset in offsets)


def totals(buckets):
    return [sum(bucket.counts.values()) for bucket in buckets]


@settings(max_examples=60)
@given(
    offsets=st.lists(st.integers(0, 10**13), min_size=1, max_size=30),
    low=st.integers(0, 10**13),
    width=st.integers(0, 10**13),
    buckets=st.integers(1, 100),
)
def test_every_job_is_in_the_bucket_whose_edges_hold_it(server_url, offsets, low, width, buckets):
    statuses.configure(url=server_url, namespace=f"time{next(_numbers)}")
    load_at(*offsets)
    after, before = START + low * US, START + (low + width) * US

    found = statuses.all().timeline(after=after, before=before, buckets=buckets)

    assert (found[0].start, found[-1].end, len(found)) == (after, before, buckets)
    moments = [START + offset * US for offset in offsets]
    for at, bucket in enumerate(found):
        inside = [m for m in moments if bucket.start <= m < bucket.end or (at == buckets - 1 and m == bucket.end)]
        assert sum(bucket.counts.values()) == len(inside)
    widths = {bucket.end - bucket.start for bucket in found}
    assert max(widths) - min(widths) <= US


def test_edges_of_a_span_of_centuries_stay_exact():
    edges = edges_of(0, 10**17, 10_000)

    assert (edges[0], edges[-1], len(edges)) == (0, 10**17, 10_001)
    load_at(5)
    whole = statuses.all().timeline(after=0, before=clock.to_us(START) * 2, buckets=10_000)
    assert sum(totals(whole)) == 1


def test_jobs_that_never_had_the_moment_are_in_no_bucket_however_early_it_begins():
    load_at(0, 0)
    load_at(0, state="started", started_at=START)

    found = statuses.all().timeline(on="started_at", after=0, before=START, buckets=2)

    assert totals(found) == [0, 1]


def test_without_bounds_it_goes_from_the_earliest_to_the_latest_match():
    load_at(0, 30, 100)
    load_at(5_000, state="failed")

    found = statuses.where(state="queued").timeline(buckets=10)

    assert (found[0].start, found[-1].end) == (START, START + 100 * US)
    assert totals(found) == [1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert found[0].counts["queued"] == 1


def test_one_bound_given():
    load_at(0, 30, 100)

    assert totals(statuses.all().timeline(after=START + 50 * US, buckets=2)) == [0, 1]
    assert totals(statuses.all().timeline(before=START + 50 * US, buckets=2)) == [1, 1]
    assert statuses.all().timeline(after=START + 101 * US) == []
    assert statuses.all().timeline(before=START - US) == []


def test_a_single_moment_is_in_the_last_bucket_which_is_closed():
    load_at(7, 7)

    found = statuses.all().timeline(buckets=3)

    assert totals(found) == [0, 0, 2]
    assert found[0].start == found[-1].end == START + 7 * US


def test_an_inverted_span_has_no_buckets():
    load_at(0)

    assert statuses.all().timeline(after=START + US, before=START) == []


def test_on_another_moment_only_jobs_that_have_it():
    load_at(0, 1)
    load_at(2, state="failed", started_at=START + timedelta(seconds=1), failed_at=START + timedelta(seconds=3))

    assert sum(totals(statuses.all().timeline("started_at"))) == 1
    [*_, last] = statuses.all().timeline("ended_at", after=START, before=START + timedelta(seconds=3), buckets=3)
    assert last.counts["failed"] == 1
    assert statuses.all().timeline("killed_at") == []


def test_a_timeline_of_heartbeats_is_never_out_of_date():
    status = statuses.create(state="started")
    assert statuses.all().timeline("heartbeat_at") == []

    status.heartbeat()

    assert sum(totals(statuses.all().timeline("heartbeat_at"))) == 1
