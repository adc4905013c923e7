"""What is kept between questions: bounded, by version, and never an answer of yesterday."""

import threading

import numpy as np
import pytest

import statuses
from statuses import evaluation, segments, stats
from statuses.cache import ENTRY_BYTES, Cache, partials, weight
from statuses.segments import cache_info
from statuses.testing import make_status


def test_a_value_counts_only_for_the_version_it_was_made_from():
    cache = Cache()
    cache.put("key", b"1", "value")

    assert cache.get("key", b"1") == ("value",)
    assert cache.get("key", b"2") is None
    cache.put("key", b"2", None)
    assert cache.get("key", b"2") == (None,)
    assert cache.get("key", b"1") is None
    info = cache.info()
    assert (info.hits, info.misses, info.entries, info.hit_rate) == (2, 2, 1, 0.5)


def test_the_least_recently_used_goes_first():
    cache = Cache(max_entries=2)
    for key in "ab":
        cache.put(key, b"", key)
    cache.get("a", b"")
    cache.put("c", b"", "c")

    assert cache.get("b", b"") is None
    assert cache.get("a", b"") == ("a",)


def test_bytes_are_bounded_and_given_back():
    cache = Cache(max_bytes=100_000)
    for number in range(100):
        cache.put(number, b"", np.zeros(10_000, np.uint8))
        assert cache.info().bytes <= 100_000

    assert cache.info().entries == 9
    cache.put("too large", b"", np.zeros(90_000, np.uint8))
    assert cache.get("too large", b"") is None
    cache.clear()
    assert (cache.info().bytes, cache.info().entries, cache.info().hit_rate) == (0, 0, None)


def test_putting_again_does_not_count_twice():
    cache = Cache()
    for version in range(50):
        cache.put("key", bytes([version]), np.zeros(100, np.uint8))

    assert cache.info().bytes == ENTRY_BYTES + weight(np.zeros(100, np.uint8))


def test_weights_go_into_what_is_nested():
    assert weight((np.zeros(1000, np.int64), [np.zeros(10, np.uint8)])) >= 8010


def test_threads_share_it():
    cache = Cache(max_entries=50)

    def work(start):
        for number in range(3000):
            cache.put((start * number) % 97, b"", number)
            cache.get(number % 97, b"")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert cache.info().entries <= 50
    assert cache.info().hits + cache.info().misses == 12_000


@pytest.mark.usefixtures("store")
class TestInUse:
    def test_the_second_time_everything_is_found(self):
        make_status("failed")
        partials.clear()

        statuses.where(state="failed").counts()
        asked = cache_info().misses
        statuses.where(state="failed").counts()

        assert cache_info().misses == asked
        assert cache_info().hits > 0

    def test_a_change_is_seen_by_the_next_question(self):
        status = make_status("started")
        for _ in range(3):
            before = statuses.where(state="started").count()
            status.add_error("x")
            status.set_user("u")
            assert statuses.where(state="started").count() == before
        status.failed()
        assert statuses.where(state="started").count() == 0

    def test_what_reads_heartbeats_is_never_kept(self):
        make_status("started").heartbeat()
        partials.clear()

        statuses.where(heartbeat_at=(None, None)).counts()
        entries = cache_info().entries
        statuses.where(stale=False).counts_by("job_name")

        assert entries == 0

    def test_another_store_of_the_same_name_is_another(self, store):
        make_status("failed")
        assert statuses.all().count() == 1

        store.flushall()
        statuses.store.current().current.clear()
        assert statuses.all().count() == 0
        make_status("failed")
        make_status("failed")
        assert statuses.all().count() == 2

    def test_its_size_is_a_setting(self, server_url):
        statuses.configure(url=server_url, namespace="small", cache_entries=7)
        for name in "abcdefghijkl":
            make_status(job_name=name)
        for name in "abcdefghijkl":
            statuses.where(job_name=name).counts()

        assert cache_info().max_entries == 7
        assert cache_info().entries <= 7


def test_what_several_answers_need_of_a_segment_is_computed_once(store, monkeypatch):
    job = make_status("succeeded")
    assert job.run_time is not None
    counted = []
    count = stats._count_cells
    monkeypatch.setattr(stats, "_count_cells", lambda column, hits: (counted.append(column), count(column, hits))[1])

    statuses.all().report(durations=("run_time",), histogram={"run_time": 10})

    assert counted == ["run_time"]


ALL = [("job_name", "recorded_at", "run_time", "state")]


@pytest.mark.parametrize(
    ("lively_us", "reads"), [(-1, [("job_name", "run_time", "state"), ("job_name", "recorded_at")]), (10_000_000, ALL)]
)
def test_what_is_missing_for_the_next_look_is_read_then_and_of_a_segment_that_is_written_to_before(store, monkeypatch, lively_us, reads):
    monkeypatch.setattr(evaluation, "LIVELY_US", lively_us)
    for name in "abc":
        make_status("succeeded", job_name=name)
    asked, read = [], evaluation.read
    monkeypatch.setattr(evaluation, "read", lambda here, wants: read(here, [asked.append(want.columns) or want for want in wants]))

    found = statuses.all().report(counts_by={"job_name": 2}, durations=("run_time",))

    assert [counted.value for counted in found.counts_by["job_name"]] == ["a", "b"]
    assert found.durations["run_time"].n == 3
    assert asked == reads


def test_the_first_and_last_job_are_read_of_the_segments_that_can_hold_them(store, monkeypatch):
    monkeypatch.setattr(segments.Segment, "bounds", lambda segment, column: (segment.number, segment.number))
    listed = [segments.Segment(b"", 0, number, bytes(16), 10, None) for number in range(5)]

    answer = stats.bounds(None)
    next(answer)
    look = answer.send([(segment, np.ones(7, int)) for segment in listed])

    assert [segment.number for segment in listed if look.only(segment)] == [0, 4]
