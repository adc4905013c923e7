"""Calls and results: kept whole, or shown and marked."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.json import JSONEncoder, dumps, loads

from statuses import State
from statuses.encoding import Json
from statuses.engines import attempts, calls
from statuses.engines.celery.adapter import encode, encode_strictly
from statuses.testing import make_status


def test_a_call_that_fits_is_kept_whole() -> None:
    assert calls.keep((1, "a"), {"b": [2]}, {"queue": "q"}) == {"args": [1, "a"], "kwargs": {"b": [2]}, "options": {"queue": "q"}}


def test_what_celerys_own_json_holds_comes_back_as_it_was() -> None:
    when = datetime(2026, 1, 1, tzinfo=UTC)

    call = calls.keep((when,), {}, {}, dumps)

    assert "not_kept" not in call
    assert loads(json.dumps(call["args"])) == [when]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.datetimes() | st.uuids(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_an_encoder_that_is_made_once_says_what_celerys_own_says(value: Any) -> None:
    made = JSONEncoder(separators=(",", ":"), allow_nan=False)

    assert calls.encoder(made)({"it": value}) == made.encode({"it": value})


def test_a_call_that_holds_itself_has_no_text() -> None:
    whole: list[Any] = []
    whole.append(whole)

    assert "not_kept" in calls.keep_text((whole,), {}, {}, encode_strictly, encode)


class Grumpy:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __json__(self) -> str:
        raise RuntimeError("no json either")


@pytest.mark.parametrize("value", [{1}, "x" * 100_000, float("inf"), Grumpy(), object, "\ud800" * 100_000])
def test_what_does_not_fit_is_shown_short_and_marked(value: Any) -> None:
    call = calls.keep((value, "small"), {"more": value}, {"queue": "q"}, dumps)

    assert call["not_kept"]
    assert call["args"][0].keys() == {"repr"}
    assert call["args"][1] == "small"
    assert call["options"] == {"queue": "q"}
    assert len(json.dumps(call, allow_nan=False)) < 10_000


DEEP: list[Any] = []
for _ in range(150):
    DEEP = [DEEP]


@pytest.mark.parametrize("value", ["a", "ü\ud800", 7, None, {"a": [1, {"b": 2}]}, datetime(2026, 1, 1, tzinfo=UTC)])
def test_the_text_of_a_call_is_what_is_kept_of_it(value: Any) -> None:
    given = (value, "small"), {"more": value}, {"queue": "q"}

    text = calls.keep_text(*given, encode_strictly, encode)

    assert isinstance(text, Json) and ", " not in text
    assert json.loads(text) == calls.keep(*given, dumps)


@pytest.mark.parametrize("value", [{1}, "x" * 100_000, float("inf"), float("nan"), Grumpy(), object, [10**5_000], DEEP])
def test_what_does_not_fit_has_no_text(value: Any) -> None:
    given = (value, "small"), {"more": value}, {"queue": "q"}

    assert calls.keep_text(*given, encode_strictly, encode) == calls.keep(*given, encode)


def test_a_result_that_is_too_deep_to_be_kept_is_shown_and_its_job_ends(store: Any) -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    job = make_status("started")

    attempts.end(job, State.succeeded, 0, data=attempts.result_data(deep, json.dumps))
    call = calls.keep((deep,), {}, {})

    assert (job.reload().state, job.data["not_kept"]) == (
        "succeeded",
        "ValueError: it must be JSON of at most 200 lists and objects in one another",
    )
    assert make_status(call=call).call["not_kept"]


def test_a_value_that_holds_itself_is_shown() -> None:
    value: list[Any] = []
    value.append(value)

    kept, why = calls.plain(value)

    assert why
    assert kept["repr"] == "[[[[...]]]]" or "..." in kept["repr"]
