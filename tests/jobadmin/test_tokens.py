"""How a value of a filter is written in a URL."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobadmin.tokens import Token


@given(st.text(min_size=1, max_size=40))
@example("*")
@example("\\")
@example("\\*")
@example("-*")
@example("--")
@example("\\-")
def test_every_text_can_be_asked_for_and_left_out(text):
    assert Token.parse(str(Token(text))) == Token(text)
    assert Token.parse(str(Token(text, negative=True))) == Token(text, negative=True)


@pytest.mark.parametrize(
    ("written", "token"),
    [
        ("mail.send", Token("mail.send")),
        ("-mail.send", Token("mail.send", negative=True)),
        ("mail.*", Token("mail.", prefix=True)),
        ("-mail.*", Token("mail.", negative=True, prefix=True)),
        (r"\-mail", Token("-mail")),
        (r"mail\*", Token("mail*")),
        (r"\\mail", Token("\\mail")),
        ("*", Token("", prefix=True)),
        (r"\mail", Token("\\mail")),
    ],
)
def test_minus_star_and_backslash_mean_what_the_product_says(written, token):
    assert Token.parse(written) == token


def test_values_that_match_exactly_know_no_prefix():
    assert Token.parse("Book:*", prefixes=False) == Token("Book:*")
