"""Spans of time: rounded once, and drawn over whole buckets."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from jobadmin import spans

NOW = datetime(2026, 11, 19, 14, 32, 7, 123456, tzinfo=UTC)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2150, 1, 1), timezones=st.just(UTC))
#: Whole and half hours, clocks that are set by an hour and by half of one, in the night, at midnight, and never.
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata", "UTC")
#: Days on which clocks are set in one of them, the 29th of February, and the turn of a year.
DAYS = st.sampled_from(
    [datetime(*day, tzinfo=UTC) for day in ((2026, 3, 29), (2026, 10, 25), (2026, 3, 8), (2026, 11, 1), (2026, 4, 4), (2026, 10, 3),
     (2026, 4, 24), (2026, 10, 29), (2028, 2, 29), (2027, 1, 1))]
)  # fmt: skip
borders = st.builds(lambda day, minutes: day + timedelta(minutes=minutes), DAYS, st.integers(-24 * 60, 48 * 60))
steps = st.sampled_from([timedelta(seconds=seconds) for seconds in (15, 60, 1200, 3600, 7200, 43200, 86400)])


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


@pytest.mark.parametrize(
    ("zone", "day", "first", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", datetime(2026, 3, 28, 23, tzinfo=UTC), 23),
        ("Europe/Berlin", "2026-10-25", datetime(2026, 10, 24, 22, tzinfo=UTC), 25),
        ("Africa/Cairo", "2026-04-24", datetime(2026, 4, 23, 22, tzinfo=UTC), 23),  # begins at one
        ("Africa/Cairo", "2026-10-29", datetime(2026, 10, 28, 21, tzinfo=UTC), 25),  # its last hour comes twice
        ("Asia/Kolkata", "2028-02-29", datetime(2028, 2, 28, 18, 30, tzinfo=UTC), 24),
        ("America/New_York", "2026-12-31", datetime(2026, 12, 31, 5, tzinfo=UTC), 24),
    ],
)
def test_a_date_is_all_of_its_day_however_long_that_is(zone, day, first, hours):
    with timezone.override(zone):
        begin, end = spans.parse(day, end_of_day=False), spans.parse(day, end_of_day=True)

    assert (begin, end + spans.MICROSECOND) == (first, first + timedelta(hours=hours))


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "0000-01-01", "10000-01-01", "1e9", "٢٠٢٦-01-01"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError):
        spans.parse(text, end_of_day=False)


@example(datetime(2026, 3, 29, 6, tzinfo=UTC), "Europe/Berlin", timedelta(days=1))
@example(datetime(2010, 3, 14, 4, 1, tzinfo=UTC), "America/Goose_Bay", timedelta(hours=1))  # 00:00 is followed by 01:01 there
@example(datetime(2026, 4, 24, 0, tzinfo=UTC), "Africa/Cairo", timedelta(hours=12))
@example(datetime(2026, 10, 25, 7, tzinfo=UTC), "Europe/Berlin", timedelta(hours=12))
@given(borders, st.sampled_from(ZONES), steps)
def test_what_is_rounded_is_round_on_the_wall_clock_of_its_own_day(moment, zone, step):
    with timezone.override(zone):
        found = spans.floor(moment, step)
        wall = timezone.localtime(found).replace(tzinfo=None)
        round_wall = wall - (wall - datetime(1970, 1, 1)) % step
        shown = timezone.localtime(timezone.make_aware(round_wall).astimezone(UTC)).replace(tzinfo=None)

    assert found <= moment
    assert wall == round_wall or wall == shown != round_wall, "round, or the end of an hour that was left out and would hold it"
    assert moment - found < step + timedelta(hours=1)


@given(borders, st.sampled_from(ZONES), st.sampled_from(list(spans.PRESETS.values())))
def test_a_preset_holds_whole_buckets_up_to_now_wherever_clocks_are_set(now, zone, preset):
    with timezone.override(zone):
        window = spans.relative(preset, now)
        grid = spans.grid(window.after, window.before, preset.step)

    assert window.after <= now - preset.length and now <= window.before
    assert (grid.start, grid.end) == (window.after, window.before + spans.MICROSECOND)
    assert grid.end - preset.step <= now, "the last bucket is the one being filled"


@pytest.mark.parametrize(
    ("moment", "midnight"),
    [
        (datetime(2026, 3, 29, 6, tzinfo=UTC), datetime(2026, 3, 28, 23, tzinfo=UTC)),  # a day of 23 hours
        (datetime(2026, 10, 25, 7, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)),  # and one of 25
        (datetime(2027, 1, 1, 22, 59, tzinfo=UTC), datetime(2026, 12, 31, 23, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_midnight_also_where_clocks_are_set_in_it(moment, midnight):
    with timezone.override("Europe/Berlin"):
        assert spans.floor(moment, timedelta(days=1)) == midnight
