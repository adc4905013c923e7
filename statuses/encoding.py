"""JSON in and out, texts, and the hashes of tags: what is kept is what is read back."""

import hashlib
import json
from typing import Any

#: Characters of a text that becomes a dictionary entry (name, queue, user, ...) or an indexed tag.
TEXT_LENGTH = 1000

_encoder = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def dumps(value: object, argument: str) -> str:
    """`value` as JSON text. TypeError/ValueError naming `argument` when JSON cannot hold it."""
    try:
        return _encoder.encode(value)
    except TypeError as error:
        raise TypeError(f"{argument} must be JSON: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{argument} must be JSON: {error}") from None


def loads(text: str | bytes) -> Any:
    """The value of JSON text that `dumps` made."""
    return json.loads(text)


def normalise(value: object, argument: str) -> Any:
    """What `value` will be when it is read back."""
    return loads(dumps(value, argument))


def text(value: object, argument: str) -> str | None:
    """A short text as it is, None as None; TypeError/ValueError naming `argument` otherwise."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a string or None, not {type(value).__name__}")
    if not 1 <= len(value) <= TEXT_LENGTH:
        raise ValueError(f"{argument} must have 1 to {TEXT_LENGTH} characters, not {len(value)}")
    return encodable(value, argument)


def encodable(value: str, argument: str) -> str:
    """`value` when UTF-8 can hold it, else ValueError naming `argument`."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{argument} holds characters that UTF-8 has no bytes for: {value[:60]!r}") from None
    return value


def tag_hash(value: str) -> tuple[int, bytes]:
    """Bucket (0 to 255) and six hash bytes of a tag's text: the first seven bytes of its SHA-1."""
    digest = hashlib.sha1(value.encode(), usedforsecurity=False).digest()
    return digest[0], digest[1:7]
