"""What callers give, looked at: each check names the argument and says what was expected."""

import difflib
import reprlib
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

#: Characters of a wrong value that a message shows.
SHOWN = 100
#: Most buckets and bins an answer may have.
STEPS_MAX = 10_000

#: What a call holds: arguments, what the engine needs to send it again, and why that cannot be (see `engines.calls`).
_CALL: dict[str, tuple[type, ...]] = {"args": (list, tuple), "kwargs": (dict, Mapping), "options": (dict, Mapping), "not_kept": (str,)}

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = SHOWN


def shown(value: object) -> str:
    """A wrong value in a message: short whatever it is, and of one that cannot say itself its class."""
    if type(value) is str and len(value) <= 16:
        return repr(value)  # as below, for what stands in names that are made whether or not they are wanted
    try:
        text = _short.repr(value)
    except Exception as error:
        from .errors import interrupts  # which says wrong values itself

        if interrupts(error):
            raise
        return f"<{type(value).__name__}>"
    return text if len(text) <= 2 * SHOWN else text[: 2 * SHOWN - 1] + "…"


def nearest(word: object, known: Iterable[str]) -> str:
    """The end of a message about an unknown word: the known one that is nearest to it; empty without any."""
    near = difflib.get_close_matches(word[:SHOWN], list(known), n=1) if isinstance(word, str) else []
    return f", did you mean {near[0]!r}?" if near else ""


def natural(name: str, number: object) -> int:
    """A whole number from 0. ValueError naming it."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ValueError(f"{name} must be a whole number from 0, not {shown(number)}")
    return number


def most(limit: int | None) -> int | None:
    """How many of the largest; None: all of them. ValueError naming it."""
    return None if limit is None else natural("limit", limit)


def steps(name: str, number: object) -> int:
    """How many buckets or bins. ValueError naming it."""
    if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= STEPS_MAX:
        raise ValueError(f"{name} must be a whole number from 1 to {STEPS_MAX}, not {shown(number)}")
    return number


def one_of(asked: str, name: Any, known: Iterable[str]) -> Any:
    """One of the words that are known. ValueError naming what was asked, with the nearest."""
    words = [*known]
    if not isinstance(name, str) or name not in words:
        raise ValueError(f"{asked} knows {', '.join(words)}, not {shown(name)}{nearest(name, words)}")
    return name


def flag(name: str, value: object) -> bool:
    """True or False. ValueError naming it."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {shown(value)}")
    return value


def checked_call(call: object) -> dict[str, Any]:
    """An engine's call. ValueError or TypeError naming it."""
    if not isinstance(call, Mapping):
        raise TypeError(f"call must be a mapping with args and kwargs, not {shown(call)}")
    for key, value in call.items():
        if key not in _CALL:
            raise ValueError(f"call knows {', '.join(_CALL)}, not {shown(key)}{nearest(key, _CALL)}")
        if not isinstance(value, _CALL[key]):
            raise TypeError(f"call: {key} must be a {_CALL[key][0].__name__}, not {shown(value)}")
    return dict(call)


def callback(name: str, value: Any) -> Callable[..., Any] | None:
    """Something to call, or None. TypeError naming it: found out before anything is changed, not after the first batch."""
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be a function or None, not {shown(value)}")
    return value


def mapping(name: str, value: Any) -> Mapping[str, Any]:
    """A mapping; None stands for an empty one. TypeError naming it."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, not {shown(value)}")
    return value


def span(name: str, value: object) -> timedelta | None:
    """A timedelta that is not negative, or None. TypeError/ValueError naming it."""
    if value is None:
        return None
    if not isinstance(value, timedelta):
        raise TypeError(f"{name} must be a timedelta or None, not {shown(value)}")
    if value < timedelta(0):
        raise ValueError(f"{name} must not be negative, it is {value}")
    return value
