"""Ids say when and where; a caller's own ids are checked."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statuses import ids
from statuses.ids import Place

places = st.builds(
    Place,
    family=st.integers(0, 63),
    segment=st.integers(0, ids.SEGMENTS_MAX - 1),
    row=st.integers(0, 65_519),
    random=st.integers(1, 2**32 - 1),
    own_id=st.none(),
)


@given(st.integers(0, 2**52), places)
def test_an_id_decodes_to_the_place_it_was_made_for(recorded_us, place):
    id = ids.encode(recorded_us, place)

    assert ids.decode(id) == place
    assert ids.recorded_ms(id) == recorded_us // 1000
    assert uuid.UUID(id).version == 8
    assert uuid.UUID(id).variant == uuid.RFC_4122


@given(st.integers(0, 2**51), st.integers(1000, 10**6), places, places)
def test_ids_sort_by_time(recorded_us, later_us, one, other):
    assert ids.encode(recorded_us, one) < ids.encode(recorded_us + later_us, other)


def test_ids_of_one_millisecond_sort_by_row():
    made = [ids.encode(10**15, Place(0, 3, row, 2**32 - 1 - row)) for row in range(1000)]

    assert made == sorted(made)


@pytest.mark.parametrize(
    "text", ["", "Book:53", "01a1fc99", "7f0f6a52-3a5b-4f0c-9d0e-2b6a5d1c8e4f", "01a1fc99-d5b0-8000-8000-000000000000"]
)
def test_what_is_no_generated_id_decodes_to_nothing(text):
    assert ids.decode(text) is None


@pytest.mark.parametrize(
    ("bad", "error"), [("", ValueError), ("x" * 201, ValueError), ("a:1", ValueError), (7, TypeError), ("\ud800", ValueError)]
)
def test_an_own_id_that_cannot_be_is_refused(bad, error):
    with pytest.raises(error, match="id"):
        ids.check_own(bad)


@pytest.mark.parametrize("good", ["x", "x" * 200, "a:1:b", "nightly 2026-01-01", "ü"])
def test_an_own_id_is_taken_as_it_is(good):
    assert ids.check_own(good) == good


def test_an_attempt_is_split_from_its_job():
    assert ids.split_attempt("abc:12") == ("abc", 12)
    assert ids.split_attempt("abc") == ("abc", None)
