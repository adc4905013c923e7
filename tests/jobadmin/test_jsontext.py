"""JSON is shown escaped, indented and bounded."""

import re
from html import unescape

import pytest
from django.utils.html import strip_tags

from jobadmin.jsontext import render


def text(value: object, **limits: int) -> str:
    return unescape(strip_tags(render(value, **limits).html))


def test_small_containers_stay_on_one_line_and_others_are_indented() -> None:
    value = {"moved": 318, "conflicts": [{"slot": 9114, "reason": "room taken"}], "empty": {}, "none": None}

    assert text(value).splitlines() == [
        "{", '  "moved": 318,', '  "conflicts": [', '    {"slot": 9114, "reason": "room taken"}', "  ],",
        '  "empty": {},', '  "none": null', "}",
    ]  # fmt: skip


def test_hostile_text_is_escaped_in_keys_and_values() -> None:
    html = render({'"><script>alert(1)</script>': "<img src=x onerror=alert(1)>"}).html

    assert "<script" not in html and "<img" not in html
    assert set(re.findall(r"</?(\w+)", html)) == {"span"}


def test_long_values_are_cut_and_say_so() -> None:
    shown = render({"a": "x" * 10_000}, characters=100)

    assert shown.cut and "(10,000 characters)" in shown.html and len(shown.html) < 1_000


def test_many_lines_are_cut() -> None:
    shown = render(list(range(100_000)), lines=50)

    assert shown.cut and shown.lines == 50


def test_deep_nesting_is_cut_and_does_not_break_anything() -> None:
    value: object = 1
    for _ in range(900):
        value = [value, 2]

    assert render(value).cut


@pytest.mark.parametrize("value", [0, "", [], {}, None, True, 1.5, "text", [[]], {"a": {"b": {"c": {}}}}])
def test_any_value_can_be_shown(value: object) -> None:
    assert not render(value).cut


def test_control_characters_are_written_out() -> None:
    assert text("a\x00\x1b[31m\n") == '"a\\u0000\\u001b[31m\\n"'
