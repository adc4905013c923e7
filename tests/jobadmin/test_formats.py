"""Numbers, durations and times as the design writes them."""

from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.utils import timezone, translation

from jobadmin import formats, moments

NOW = datetime(2026, 11, 19, 14, 32, 7, tzinfo=UTC)


@pytest.fixture
def at_now(monkeypatch):
    """Which year is this one is asked of the machine's clock: here it is that of NOW."""
    monkeypatch.setattr(moments, "now", lambda: NOW)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "–"),
        (0, "0 ms"),
        (0.000_004, "4 µs"),
        (0.011, "11 ms"),
        (0.21, "0.21 s"),
        (1.84, "1.84 s"),
        (9.999, "10.0 s"),
        (34.2, "34.2 s"),
        (59.97, "1 min 00 s"),
        (248, "4 min 08 s"),
        (3599.9, "1 h 00 min"),
        (6720, "1 h 52 min"),
        (86399, "1 d 0 h"),
        (86400 * 3 + 3600 * 4, "3 d 4 h"),
        (86400 * 400, "400 d"),
    ],
)
def test_durations_have_three_digits_at_most(seconds, words):
    assert formats.duration(seconds) == words


def test_a_short_duration_has_one_unit():
    assert formats.brief(6840) == "1.9 h"
    assert formats.brief(2460) == "41 min"


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 0, "–"),
        (0, 10, "0 %"),
        (1, 10, "10.0 %"),
        (312, 1_204_318, "0.03 %"),
        (1, 10_000_000, "<0.01 %"),
        (999_999, 1_000_000, ">99.9 %"),
        (10, 10, "100.0 %"),
    ],
)
def test_a_share_is_never_zero_for_a_real_count_nor_all_for_a_part(part, whole, words):
    assert formats.share(part, whole) == words


def test_counts_are_separated_as_the_readers_language_does():
    assert formats.count(1_204_318) == "1,204,318"
    with translation.override("de"):
        assert formats.count(1_204_318) == "1.204.318"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.01, "10 ms"), (15, "15 s"), (1200, "20 min"), (7200, "2 h"), (86400, "1 day"), (129600, "36 h"), (345600, "4 days")],
)
def test_the_width_of_a_bucket_is_a_round_number(seconds, words):
    assert formats.every(timedelta(seconds=seconds)) == words


def test_times_are_relative_up_to_a_day():
    assert formats.ago(NOW - timedelta(seconds=4), NOW) == "4 s ago"
    assert formats.ago(NOW - timedelta(hours=23), NOW) == "23 h ago"
    assert formats.ago(NOW + timedelta(minutes=5), NOW) == "in 5 min"
    assert formats.ago(NOW - timedelta(days=2), NOW) == "17 Nov, 14:32"
    assert formats.ago(NOW - timedelta(days=400), NOW) == "15 Oct 2025, 14:32"


def test_an_absolute_time_names_its_zone():
    assert formats.moment(NOW) == "2026-11-19 14:32:07.000 UTC"


def test_a_span_of_one_day_names_the_day_once(at_now):
    day = datetime(2026, 11, 18, 8, tzinfo=UTC)

    words = formats.moment_range(day, day.replace(hour=20) - timedelta(microseconds=1))

    assert words == "Wed 18 Nov, 08:00 – 20:00"


@pytest.mark.parametrize(
    ("zone", "after", "length", "words"),
    [
        ("UTC", (2026, 11, 18, 23, 40), 20, "Wed 18 Nov, 23:40 – Thu 19 Nov, 00:00"),
        ("UTC", (2026, 12, 31, 23, 40), 20, "Thu 31 Dec 2026, 23:40 – Fri 1 Jan 2027, 00:00"),
        ("UTC", (2027, 1, 1, 0, 0), 20, "Fri 1 Jan 2027, 00:00 – 00:20"),
        ("UTC", (2028, 2, 28, 23, 0), 1500, "Mon 28 Feb 2028, 23:00 – Wed 1 Mar 2028, 00:00"),
        ("Asia/Kolkata", (2026, 12, 31, 18, 10), 20, "Thu 31 Dec 2026, 23:40 – Fri 1 Jan 2027, 00:00"),
        # Clocks are set forward, where two minutes look as an hour, and back, where a quarter of an hour looks as none.
        ("Europe/Berlin", (2026, 3, 29, 0, 59), 1, "Sun 29 Mar, 01:59:00 – 03:00:00"),
        ("Europe/Berlin", (2026, 3, 29, 0, 40), 20, "Sun 29 Mar, 01:40 – 03:00"),
        ("Europe/Berlin", (2026, 10, 25, 0, 40), 20, "Sun 25 Oct, 02:40 CEST – 02:00 CET"),
        ("America/New_York", (2026, 11, 1, 5, 30), 60, "Sun 1 Nov, 01:30 EDT – 01:30 EST"),
        ("America/New_York", (2026, 11, 1, 7, 0), 20, "Sun 1 Nov, 02:00 – 02:20"),
    ],
)
def test_a_span_over_a_border_says_what_differs(at_now, zone, after, length, words):
    begin = datetime(*after, tzinfo=UTC)

    with timezone.override(zone):
        assert formats.moment_range(begin, begin + timedelta(minutes=length) - timedelta(microseconds=1)) == words


@pytest.mark.parametrize(
    ("minute", "short", "exact"),
    [
        (-1, "01:59:00", "01:59:00.000"),
        (0, "02:00:00 CEST", "02:00:00.000 CEST"),
        (60, "02:00:00 CET", "02:00:00.000 CET"),
        (120, "03:00:00", "03:00:00.000"),
    ],
)
def test_a_time_of_the_hour_that_comes_twice_says_which_it_is(monkeypatch, minute, short, exact):
    at = datetime(2026, 10, 25, 0, 0, tzinfo=UTC) + timedelta(minutes=minute)
    monkeypatch.setattr(moments, "now", lambda: at + timedelta(minutes=5))

    with timezone.override("Europe/Berlin"):
        assert (formats.clock_short(at), formats.clock(at), formats.dated(at, "H:i:s")) == (short, exact, short)
        assert formats.dated(at, "D j M") == "Sun 25 Oct"


def test_changes_of_a_few_jobs_are_told_as_numbers():
    few = formats.delta(9, 2, "the hour before")
    many = formats.delta(276, 200, "the hour before")

    assert (few.arrow, few.text) == ("▲", "7")
    assert (many.arrow, many.text) == ("▲", "38 %")
    assert many.spoken == "up 38 % against the hour before"
    assert formats.delta(5, 5, "the hour before") is None


def test_more_failures_are_bad_and_fewer_are_good():
    assert formats.delta(276, 200, "", worse=True, better=True).tone == "bad"
    assert formats.delta(100, 200, "", worse=True, better=True).tone == "good"
    assert formats.delta(276, 200, "").tone == ""


def test_units_are_those_of_the_readers_language():
    with translation.override("de"):
        assert [formats.duration(seconds) for seconds in (0.011, 12.3, 3 * 86400 + 4 * 3600)] == ["11 ms", "12,3 s", "3 T 4 h"]


@pytest.mark.parametrize("name", ["mail.send_invoice", "a::b//c--d", "<script>x.y</script>&amp;.\"'", formats.BREAK, "plain", ""])
def test_a_name_that_may_break_is_escaped_and_the_same_without_its_breaks(name):
    markup = formats.breakable(name)

    assert unescape(markup.replace(formats.BREAK, "")) == name
    assert "<" not in markup.replace(formats.BREAK, "")
    assert (formats.BREAK in markup) == any(sign in name for sign in "._-:/")
