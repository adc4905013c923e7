"""JSON in and out, texts, and the hashes of tags: what is kept is what is read back."""

import hashlib
import json
from typing import Any

#: Characters of a text that becomes a dictionary entry (name, queue, user, ...) or an indexed tag.
TEXT_LENGTH = 1000

#: Levels of lists and dicts in one another. Python's reader takes a frame for each, and may be deep in a stack of its own.
DEPTH = 200

_encoder = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


class Json(str):
    """JSON text that `dumps` could have made: given in place of its value, which need not be encoded again then."""

    __slots__ = ()


def dumps(value: object, argument: str) -> str:
    """`value` as JSON text. TypeError/ValueError naming `argument` when JSON cannot hold it."""
    try:
        text = _encoder.encode(value)
    except TypeError as error:
        raise TypeError(f"{argument} must be JSON: {error}") from None
    except RecursionError:
        raise _too_deep(argument) from None
    except ValueError as error:
        raise ValueError(f"{argument} must be JSON: {error}") from None
    if may_be_too_deep(text) and _depth(value) > DEPTH:
        raise _too_deep(argument)
    return text


def may_be_too_deep(text: str) -> bool:
    """Whether JSON text has so many lists and objects that they have to be looked at."""
    return text.count("[") + text.count("{") > DEPTH


def _too_deep(argument: str) -> ValueError:
    return ValueError(f"{argument} must be JSON of at most {DEPTH} lists and objects in one another")


def _depth(value: Any) -> int:
    """How many lists and dicts are in one another."""
    depth, level = 0, [value] if isinstance(value, dict | list | tuple) else []
    while level:
        depth += 1
        level = [
            child for one in level for child in (one.values() if isinstance(one, dict) else one) if isinstance(child, dict | list | tuple)
        ]
    return depth


def loads(text: str | bytes) -> Any:
    """The value of JSON text that `dumps` made."""
    return json.loads(text)


def normalise(value: object, argument: str) -> Any:
    """What `value` will be when it is read back."""
    return loads(dumps(value, argument))


def text(value: object, argument: str) -> str | None:
    """A short text as it is, None as None; TypeError/ValueError naming `argument` otherwise."""
    if value is None or (type(value) is str and 1 <= len(value) <= TEXT_LENGTH and value.isascii()):
        return value  # nearly every one: the rest is about the others
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string or None, not {type(value).__name__}")
    if not 1 <= len(value) <= TEXT_LENGTH:
        raise ValueError(f"{argument} must have 1 to {TEXT_LENGTH} characters, not {len(value)}")
    return encodable(value, argument)


def required(value: object, argument: str) -> str:
    """A short text as it is; TypeError/ValueError naming `argument` otherwise."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must hold strings, not {type(value).__name__}")
    found = text(value, argument)
    assert found is not None
    return found


def encodable(value: str, argument: str) -> str:
    """`value` when UTF-8 can hold it, else ValueError naming `argument`."""
    if not is_utf8(value):
        raise ValueError(f"{argument} holds characters that UTF-8 has no bytes for: {value[:60]!r}")
    return value


def is_utf8(text: str) -> bool:
    """Whether UTF-8 has bytes for it: not for half of a character."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def tag_hash(value: str) -> tuple[int, bytes]:
    """Bucket (0 to 255) and six hash bytes of a tag's text."""
    digest = tag_digest(value.encode())
    return digest[0], digest[1:7]


def tag_digest(text: bytes) -> bytes:
    """The hash of a tag's text: its bucket is the first byte, the six after it are those of an entry."""
    return hashlib.sha1(text, usedforsecurity=False).digest()
