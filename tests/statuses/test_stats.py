"""Durations and histograms: percentiles against sorting, and the edges where arithmetic goes wrong."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import statuses
from statuses.answers import Bin, Durations

PAST = 1_500_000_000_000_000
pytestmark = pytest.mark.usefixtures("store")
quick = settings(max_examples=40)
_numbers = iter(range(10**9))


def load_runs(runs_us, **fields):
    statuses.load({"state": "succeeded", "recorded_at": PAST, "started_at": PAST, "succeeded_at": PAST + run, **fields} for run in runs_us)


def fresh(server_url):
    statuses.configure(url=server_url, namespace=f"stats{next(_numbers)}")


spans = st.one_of(st.integers(0, 3), st.integers(0, 5_000), st.integers(0, 10**14), st.sampled_from([2**46 - 1, 2**46, 2**46 + 1, 10**12]))


@quick
@given(runs=st.lists(spans, min_size=1, max_size=60))
def test_percentiles_are_nearest_ranks_of_the_sorted_values(server_url, runs):
    fresh(server_url)
    load_runs(runs)
    ordered = sorted(runs)
    p50, p95, p99 = (ordered[math.ceil(len(runs) * p / 100) - 1] / 1e6 for p in (50, 95, 99))

    found = statuses.all().durations("run_time")

    low, avg, high = ordered[0] / 1e6, sum(runs) / len(runs) / 1e6, ordered[-1] / 1e6
    assert found == Durations(n=len(runs), min=low, avg=avg, p50=p50, p95=p95, p99=p99, max=high)


@quick
@given(runs=st.lists(spans, min_size=1, max_size=40), bins=st.integers(1, 50))
def test_every_value_is_in_the_bin_whose_edges_hold_it(server_url, runs, bins):
    fresh(server_url)
    load_runs(runs)

    found = statuses.all().histogram("run_time", bins)

    values = [run / 1e6 for run in runs]
    assert (found[0].low, found[-1].high) == (min(values), max(values))
    assert len(found) == (bins if min(values) < max(values) else 1)
    for at, b in enumerate(found):
        assert b.n == sum(b.low <= v < b.high or (at == len(found) - 1 and v == b.high) for v in values)
        assert at == 0 or b.low == found[at - 1].high


def test_no_durations_are_n_0_and_none():
    statuses.create(state="started")

    assert statuses.all().durations("run_time") == Durations(n=0)
    assert statuses.all().durations_by("job_name", "run_time") == {}
    assert statuses.all().histogram("run_time") == []
    assert Durations(n=0).p95 is None


def test_widths_are_equal_on_a_logarithmic_scale():
    load_runs([1_000, 1_000_000_000])

    found = statuses.all().histogram("run_time", 6)

    assert [round(b.high / b.low, 6) for b in found] == [10.0] * 6
    assert (found[0].low, found[-1].high) == (0.001, 1000.0)


def test_runs_of_no_time_have_a_bin_of_their_own_before_the_logarithmic_ones():
    load_runs([0, 0, 1_000, 100_000])

    found = statuses.all().histogram("run_time", 3)

    assert found[0].low == 0
    assert [b.n for b in found] == [2, 1, 1]


def test_one_value_is_one_bin():
    load_runs([5_000_000] * 3)

    assert statuses.all().histogram("run_time") == [Bin(low=5.0, high=5.0, n=3)]


def test_moments_out_of_order_are_no_duration():
    statuses.load([{"state": "failed", "recorded_at": PAST, "started_at": PAST + 10, "failed_at": PAST + 3}])

    assert statuses.all().durations("run_time").n == 0
    assert statuses.all().durations("wait_time").n == 1


@pytest.mark.parametrize("groups", [3, 50])
@settings(quick, max_examples=15)
@given(runs=st.lists(spans, min_size=60, max_size=120))
def test_each_of_many_values_has_the_durations_it_has_alone(server_url, groups, runs):
    fresh(server_url)
    for name in range(groups):
        load_runs(runs[name::groups], job_name=f"name-{name}")

    found = statuses.all().durations_by("job_name", "run_time", None)

    assert set(found) == {f"name-{name}" for name in range(groups)}
    for name, durations in found.items():
        assert durations == statuses.where(job_name=name).durations("run_time"), name


def test_durations_by_lists_the_values_with_most_durations_first():
    load_runs([1, 2, 3], job_name="often")
    load_runs([5, 6], job_name="seldom")
    load_runs([7, 8], job_name="equal")
    for _ in range(9):
        statuses.create(job_name="never ended")

    found = statuses.all().durations_by("job_name", "run_time", 2)

    assert list(found) == ["often", "equal"]
    assert found["often"] == statuses.where(job_name="often").durations("run_time")


def test_many_values_each_with_durations_of_its_own():
    for number in range(300):
        load_runs([number, number + 5], job_name=f"n{number:03d}")

    found = statuses.all().durations_by("job_name", "run_time", None)

    assert len(found) == 300
    assert found["n250"] == Durations(n=2, min=250 / 1e6, avg=252.5 / 1e6, p50=250 / 1e6, p95=255 / 1e6, p99=255 / 1e6, max=255 / 1e6)


def test_the_newest_job_of_each_value_is_the_first_of_its_own_page():
    for number in range(12):
        statuses.load([{"state": "failed", "job_name": f"n{number % 3}", "queue": "ab"[number % 2], "recorded_at": PAST + number // 4}])
    query = statuses.where(queue="a")

    found = query.newest_by("job_name", query.counts_by("job_name"))

    assert {name: job.id for name, job in found.items()} == {name: query.where(job_name=name).first().id for name in ("n0", "n1", "n2")}


def test_a_value_whose_newest_job_has_changed_since_is_left_out():
    kept, _, changed = (statuses.create(job_name=name) for name in ("kept", "changed", "changed"))
    found = statuses.all().counts_by("job_name")
    changed.set_job_name("other")

    assert {name: job.id for name, job in statuses.all().newest_by("job_name", found).items()} == {"kept": kept.id}
    assert statuses.all().newest_by("job_name", []) == {}
    with pytest.raises(ValueError, match="newest_by knows"):
        statuses.all().newest_by("job_arg", found)


def test_facets_say_when_the_first_and_last_of_a_value_was_recorded():
    days = [datetime(2026, 1, day, tzinfo=UTC) for day in (5, 2, 9)]
    statuses.load({"job_name": "x", "recorded_at": day, "state": "queued"} for day in days)

    [facet] = statuses.all().counts_by("job_name")

    assert (facet.first, facet.last) == (days[1], days[2])
    assert sum(facet.by_state.values()) == facet.total == 3


def test_equal_totals_are_listed_by_value_and_cut_there():
    for name in ("d", "b", "a", "c", "a"):
        statuses.create(job_name=name, job_args={"r": f"Book:{name}"})

    assert [facet.value for facet in statuses.all().counts_by("job_name", 3)] == ["a", "b", "c"]
    assert [facet.value for facet in statuses.all().counts_by("job_arg", 3)] == ["Book:a", "Book:b", "Book:c"]


def test_values_are_listed_by_whatever_decides_and_equals_by_text():
    for name, states in {"a": "sss", "b": "ssff", "c": "ff", "d": "kf", "e": "q"}.items():
        words = {"s": "succeeded", "f": "failed", "k": "killed", "q": "queued"}
        statuses.load({"job_name": name, "recorded_at": PAST, "state": words[letter]} for letter in states)

    def listed(order, limit=20):
        return "".join(facet.value for facet in statuses.all().counts_by("job_name", limit, order))

    assert (listed("-total"), listed("total")) == ("bacde", "ecdab")
    assert (listed("value"), listed("-value"), listed("-value", 2)) == ("abcde", "edcba", "ed")
    assert (listed("-failed"), listed("failed", 3), listed("-killed", 2)) == ("bcdae", "aed", "da")
    assert (listed("-failure_rate"), listed("failure_rate", 3)) == ("cbdae", "aeb")


def test_values_are_listed_by_the_95th_percentile_of_a_span():
    for number in range(40):  # all of them in one cell of the grid, but two
        load_runs([2**40 + 7 * number % 40, 5], job_name=f"n{number:02d}")
    load_runs([0], job_name="at once")
    statuses.create(job_name="never ran")

    found = statuses.all().counts_by("job_name", None, "-run_time")

    times = statuses.all().durations_by("job_name", "run_time", None)
    expected = sorted(times, key=lambda name: (-times[name].p95, name))
    assert [facet.value for facet in found] == [*expected, "never ran"]
    for limit in (1, 5, 41, 42):
        assert statuses.all().counts_by("job_name", limit, "-run_time") == found[:limit]
    assert [facet.value for facet in statuses.all().counts_by("job_name", 3, "run_time")] == ["at once", "never ran", expected[-2]]
    assert len(statuses.all().counts_by("job_name", 3, "wait_time")) == 3


def test_resources_are_counted_by_the_largest_alone():
    with pytest.raises(ValueError, match="job_arg is counted by the largest alone, from the first on, not by failed"):
        statuses.all().counts_by("job_arg", order="-failed")
    with pytest.raises(ValueError, match=r"order knows value, total, .* did you mean 'failed'"):
        statuses.all().report(counts_by={"job_name": ("-faild", 3)})


def test_a_job_counts_once_for_a_resource_it_names_twice():
    statuses.create(job_args={"a": "Book:1", "b": ["Book:1", "Book:2"]}).set_job_args({"c": "Book:1"})

    assert [(facet.value, facet.total) for facet in statuses.all().counts_by("job_arg")] == [("Book:1", 1)]


def test_error_groups_are_a_field_like_any_other():
    for seconds in (5, 70):
        statuses.create(state="started").add_error(f"timeout after {seconds} s").failed()

    assert [(facet.value, facet.total) for facet in statuses.all().counts_by("error")] == [("timeout after # s", 2)]
    assert statuses.where(error="timeout after # s").count() == 2
