"""Spans of time: rounded once, and drawn over whole buckets."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobadmin import spans

NOW = datetime(2026, 11, 19, 14, 32, 7, 123456, tzinfo=UTC)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))


@pytest.mark.parametrize("preset", spans.PRESETS.values(), ids=lambda preset: preset.name)
def test_a_preset_holds_all_of_its_length_and_whole_buckets(preset):
    window = spans.relative(preset, NOW)
    grid = spans.grid(window.after, window.before, preset.step)

    assert window.after <= NOW - preset.length
    assert window.before >= NOW
    assert (grid.start, grid.end) == (window.after, window.before + spans.MICROSECOND)
    assert 60 <= grid.buckets <= 90


def test_within_one_step_every_page_reads_the_same_span():
    preset = spans.PRESETS["24h"]

    assert spans.relative(preset, NOW) == spans.relative(preset, NOW + timedelta(minutes=7))


@given(moments, moments)
def test_any_two_moments_make_a_grid_that_holds_both(one, other):
    first, last = sorted((one, other))

    grid = spans.grid(first, last)

    assert grid.start <= first
    assert last < grid.end
    assert 1 <= grid.buckets <= spans.MOST_BUCKETS + 2


@pytest.mark.parametrize(
    ("text", "end_of_day", "moment"),
    [
        ("2026-11-18T08:00:00Z", False, datetime(2026, 11, 18, 8, tzinfo=UTC)),
        ("2026-11-18T08:00:00.000001+01:00", False, datetime(2026, 11, 18, 7, 0, 0, 1, tzinfo=UTC)),
        ("2026-11-18T08:00:00 01:00", False, datetime(2026, 11, 18, 7, tzinfo=UTC)),
        ("2026-11-18 08:00", False, datetime(2026, 11, 18, 8, tzinfo=UTC)),
        ("2026-11-18", False, datetime(2026, 11, 18, tzinfo=UTC)),
        ("2026-11-18", True, datetime(2026, 11, 18, 23, 59, 59, 999999, tzinfo=UTC)),
        ("0001-01-01", False, spans.EARLIEST),
        ("0001-01-01T00:00:00+14:00", False, spans.EARLIEST),
        ("1969-12-31T23:59:59Z", False, spans.EARLIEST),
        ("9999-12-31", True, spans.LATEST),
        ("9999-12-31T23:59:59-14:00", False, spans.LATEST),
    ],
)
def test_times_are_read_in_iso_8601(text, end_of_day, moment):
    assert spans.parse(text, end_of_day=end_of_day) == moment
    assert spans.parse(spans.written(moment), end_of_day=False) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0000-01-01", "10000-01-01", "1e9", "٢٠٢٦-01-01"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError):
        spans.parse(text, end_of_day=False)
