"""Geometry of the charts."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from jobadmin import charts, spans

VENDOR = Path(__file__).parents[2] / "static" / "jobadmin" / "vendor"


def test_what_others_wrote_is_what_was_reviewed():
    lines = (VENDOR / "SHA256SUMS").read_text().split("\n")
    recorded = {name: digest for digest, name in (line.split() for line in lines if line)}

    assert {path.name for path in VENDOR.glob("*.js")} == set(recorded)
    for name, digest in recorded.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest


@example(100_000_000_001)
@given(st.integers(0, 10**12))
def test_four_round_steps_reach_the_highest_bar(highest):
    step = charts.nice_step(highest)

    assert step == int(step)
    assert step * 4 >= highest
    assert step * 4 <= max(4, highest * 2)


def test_bars_stand_on_those_before_them():
    low, high = charts.stack([("failed", [5, 0]), ("succeeded", [5, 10])], 10)

    assert low.path == "M1 208h10v-104.00h-10z"
    assert high.path == "M1 104h10v-104.00h-10zM13 208h10v-208.00h-10z"
    assert high.top == "M1 0h10M13 0h10"


@pytest.mark.parametrize("seconds", [0.005, 900, 7 * 86400, 365 * 86400, 30000 * 86400])
def test_an_axis_has_a_few_labels_in_order_within_it(seconds):
    length = timedelta(seconds=seconds)
    start = datetime(2026, 3, 27, 22, 17, tzinfo=UTC)

    ticks = charts.time_ticks(spans.grid(start, start + length))

    assert 1 <= len(ticks) <= charts.MOST_LABELS + 2
    assert [tick.at for tick in ticks] == sorted(tick.at for tick in ticks)
    assert all(0 <= tick.at < 100 for tick in ticks)


def labels(zone, start, length, step):
    with timezone.override(zone):
        return [tick.label for tick in charts.time_ticks(spans.grid(start, start + length - spans.MICROSECOND, step))]


@pytest.mark.parametrize(
    ("zone", "start", "days"),
    [
        ("Europe/Berlin", datetime(2026, 10, 21, 22, tzinfo=UTC), "Thu 22 Fri 23 Sat 24 Sun 25 Mon 26 Tue 27 Wed 28"),
        ("Europe/Berlin", datetime(2026, 3, 26, 23, tzinfo=UTC), "Fri 27 Sat 28 Sun 29 Mon 30 Tue 31 Wed 1 Thu 2 Fri 3"),
        ("America/New_York", datetime(2026, 10, 29, 4, tzinfo=UTC), "Thu 29 Fri 30 Sat 31 Sun 1 Mon 2 Tue 3 Wed 4"),
        ("Asia/Kolkata", datetime(2028, 2, 26, 18, 30, tzinfo=UTC), "Sun 27 Mon 28 Tue 29 Wed 1 Thu 2 Fri 3 Sat 4"),
        ("UTC", datetime(2026, 12, 29, tzinfo=UTC), "Tue 29 Wed 30 Thu 31 Fri 1 Sat 2 Sun 3 Mon 4"),
    ],
)
def test_an_axis_of_days_names_each_day_once_wherever_clocks_are_set(zone, start, days):
    found = labels(zone, start, timedelta(days=7), timedelta(hours=2))

    assert " ".join(label.rsplit(" ", 1)[0] for label in found) == days


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Antarctica/Troll", datetime(2026, 10, 24, 20, tzinfo=UTC)),  # set by two hours
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 10, tzinfo=UTC)),  # by half of one
        ("Africa/Monrovia", datetime(1972, 1, 6, 22, tzinfo=UTC)),  # once by 44 minutes and a half
        ("Pacific/Apia", datetime(2011, 12, 29, 20, tzinfo=UTC)),  # by a day
    ],
)
@pytest.mark.parametrize("hours", [0.5, 1, 2, 4, 8, 16, 24, 48, 96, 168])
def test_an_axis_goes_on_wherever_clocks_are_set_by_something_else_than_an_hour(zone, start, hours):
    with timezone.override(zone):
        for later in range(12):
            grid = spans.grid(start + timedelta(hours=later), start + timedelta(hours=later + hours))
            places = [tick.at for tick in charts.time_ticks(grid)]

            assert places == sorted(set(places)) and 0 < len(places) <= charts.MOST_LABELS + 6


def test_an_axis_of_days_has_its_labels_at_midnight_after_clocks_were_set():
    with timezone.override("Europe/Berlin"):
        grid = spans.grid(datetime(2026, 10, 21, 22, tzinfo=UTC), datetime(2026, 10, 28, 22, tzinfo=UTC), timedelta(hours=2))
        hours = [grid.start + (grid.end - grid.start) * tick.at / 100 for tick in charts.time_ticks(grid)]

    assert [(at + timedelta(seconds=1)).hour for at in hours] == [22, 22, 22, 22, 23, 23, 23, 23]


def test_an_axis_of_hours_says_of_the_hour_that_comes_twice_which_it_is():
    found = labels("Europe/Berlin", datetime(2026, 10, 24, 23, 30, tzinfo=UTC), timedelta(hours=2), timedelta(minutes=2))

    first = ["02:00 CEST", "02:15 CEST", "02:30 CEST", "02:45 CEST"]
    assert found == ["01:30", "01:45", *first, "02:00 CET", "02:15 CET"]


def test_an_axis_of_hours_leaves_out_the_hour_that_there_is_not():
    found = labels("Europe/Berlin", datetime(2026, 3, 28, 23, tzinfo=UTC), timedelta(hours=8), timedelta(minutes=15))

    assert found == ["Sun 29 Mar", "01:00", "03:00", "04:00", "05:00", "06:00", "07:00", "08:00"]


def test_a_histogram_marks_the_median_and_the_tail():
    bins = [(0.01 * 10**i, 0.01 * 10 ** (i + 1), n) for i, n in enumerate([10, 100, 5])]

    drawn = charts.histogram(bins, p50=0.3, p95=2.0)

    assert [bar.is_tail for bar in drawn.bars] == [False, False, False]
    assert float(drawn.p50) < float(drawn.p95)
    assert [tick.label for tick in drawn.ticks] == ["10 ms", "100 ms", "1 s"]


def test_durations_that_are_all_the_same_still_have_a_histogram():
    drawn = charts.histogram([(0.0, 0.0, 3)], p50=0.0, p95=0.0)

    assert len(drawn.bars) == 1
    assert float(drawn.bars[0].width) < 20
    assert not drawn.bars[0].is_tail, "nothing lies beyond p95"
    assert 0 <= float(drawn.bars[0].x) - float(drawn.p50) < 1, "both marks stand at the bar"
    assert [(tick.label, abs(3.6 * tick.at - float(drawn.p50)) < 1) for tick in drawn.ticks] == [("0 ms", True)]


def test_what_took_no_time_has_a_place_of_its_own_on_the_axis():
    bins = [(0.0, 1.0, 50), *((10.0**i, 10.0 ** (i + 1), 5) for i in range(4))]

    drawn = charts.histogram(bins, p50=0.0, p95=500.0)

    assert [tick.label for tick in drawn.ticks] == ["0 ms", "1 s", "10 s", "1 min", "10 min"]
    assert float(drawn.p50) == 0.0


def test_one_duration_stands_in_the_middle():
    drawn = charts.histogram([(0.5, 0.5, 3)], p50=0.5, p95=0.5)

    assert 150 < float(drawn.bars[0].x) < 210
    assert abs(float(drawn.p50) - float(drawn.bars[0].x)) < 15


def test_nothing_has_no_histogram_and_no_sparkline():
    assert charts.histogram([(0.1, 1.0, 0)], 0, 0) is None
    assert charts.sparkline([0, 0, 0]) == ("", "")
