"""Characters that turn a text or that nobody sees are shown as what they are; writing stays as it is."""

import re

import pytest
from django.urls import reverse
from django.utils import translation

from jobadmin.directions import shown, shown_in_page, shown_in_terminal
from jobadmin.formats import BREAK
from statuses.testing import make_status

#: Every one of the family, beside letters.
UNSEEN = [
    *map(chr, [0xAD, 0x34F, 0x61C, 0x115F, 0x180E, *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070)]),
    *map(chr, [0x3164, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0xE0001, 0xE0041, 0xE0100]),
]


@pytest.mark.parametrize("letter", UNSEEN, ids=lambda letter: f"U+{ord(letter):04X}")
def test_a_character_that_is_not_seen_is_shown_by_its_number_in_text_and_in_words_of_attributes_only(letter):
    code = f"⟨U+{ord(letter):04X}⟩"
    page = f'<a href="/?name=a{letter}b" title="a{letter}b">a{letter}b</a><textarea>a{letter}b</textarea>'

    assert shown(f"mail{letter}send") == f"mail{code}send"
    assert shown(letter) == (letter if letter == "\ufe0f" else code)
    assert shown_in_terminal(f"mail{letter}send\n") == f"mail{code}send\n"
    assert shown_in_page(page.encode()).decode() == (
        f'<a href="/?name=a{letter}b" title="a{code}b">a{code}b</a><textarea>a{letter}b</textarea>'
    )


@pytest.mark.parametrize(
    "text",
    [
        "👩‍👩‍👧 family", "👩🏽‍🚒", "❤️‍🔥", "🏳️‍🌈", "🏴󠁧󠁢󠁥󠁮󠁧󠁿 flag", "1️⃣ ©️ ♥︎", "می‌خواهم", "क्‍ष", "葛󠄀", "naïve…", "“12 345”", "﷽", "Z̷̢̛a̶",
    ],
)  # fmt: skip
def test_emoji_and_scripts_that_are_joined_stay_as_they_are_written(text):
    assert shown(text) == text
    assert shown_in_page(f"<p>{text}</p>".encode()).decode() == f"<p>{text}</p>"


@pytest.mark.parametrize("text", ["👩\u200d", "\u200d👩", "a\u200d👩", "می\u200c", "a\u200cb", "\U000e0067\U000e007f"])
def test_what_joins_nothing_is_shown(text):
    assert re.search(r"⟨U\+(200C|200D|E0067)⟩", shown(text))


def test_marks_of_direction_belong_to_the_dates_of_languages_that_are_written_from_right_to_left():
    with translation.override("ar"):
        assert shown("31\u200f/12") == "31\u200f/12"
        assert shown("a\u200bb\u202e") == "a⟨U+200B⟩b⟨U+202E⟩"
    with translation.override("de"):
        assert shown("31\u200f/12") == "31⟨U+200F⟩/12"


@pytest.mark.usefixtures("store")
def test_two_names_that_look_alike_are_told_apart_in_the_list(browse):
    for name in ("mail.send", "mail.\u200bsend"):
        make_status("failed", job_name=name, queue=f"q\ufeff{len(name)}", user="ma\u00adrta")

    page = browse("view_job").get(reverse("jobadmin:list")).content.decode().replace(BREAK, "")

    assert ">mail.⟨U+200B⟩send<" in page and ">mail.send<" in page
    assert "q⟨U+FEFF⟩10" in page and "ma⟨U+00AD⟩rta" in page
