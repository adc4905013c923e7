"""Words in the reader's language for code that runs for every cell of a page.

Django finds out the language and asks its catalogue at every word. A list of fifty jobs has three hundred words and asks for the
language twice as often, a tenth of its time: here the language is asked for once a page, and a word once a language."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

from django.utils import translation

_NOT_ASKED = "?"
_of_page: ContextVar[str | None] = ContextVar("jobadmin_language", default=_NOT_ASKED)


@contextmanager
def in_one_language() -> Generator[None]:
    """Everything inside is said in the language that is active now."""
    token = _of_page.set(translation.get_language())
    try:
        yield
    finally:
        _of_page.reset(token)


def language() -> str | None:
    """The active language; None where nothing is translated."""
    found = _of_page.get()
    return translation.get_language() if found is _NOT_ASKED else found


def gettext(text: str) -> str:
    """`text`, a literal, in the active language."""
    return _said(text, language())


@lru_cache(maxsize=4096)
def _said(text: str, language: str | None) -> str:
    return translation.gettext(text)
