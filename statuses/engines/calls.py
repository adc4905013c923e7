"""Keeps a job's call, whole where it fits and honest about it where it does not.

A call is `{"args": [...], "kwargs": {...}, "options": {...}}`. What JSON cannot hold, or what is too large, stays as
`{"repr": "..."}`, and the call then says why under `"not_kept"`: it is shown, and cannot be sent again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from reprlib import Repr
from typing import Any

from ..encoding import Json, dumps, may_be_too_deep
from ..errors import interrupts

#: Bytes of JSON kept of one call or one result.
LARGEST = 64 * 1024
#: Characters shown of a value that is not kept.
SHOWN = 1_000

Encode = Callable[[Any], str]

_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = SHOWN
_repr.maxlist = _repr.maxtuple = _repr.maxset = _repr.maxfrozenset = _repr.maxdict = 20
_repr.maxlevel = 3


def encoder(made: json.JSONEncoder) -> Encode:
    """`made.encode` for mappings and lists, without what it makes anew for each: as much work as a call without arguments is. What
    refers to itself raises RecursionError."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None or made.indent is not None or not made.ensure_ascii:
        return made.encode
    texts, separators = json.encoder.encode_basestring_ascii, (made.key_separator, made.item_separator)
    parts = make(None, made.default, texts, None, *separators, made.sort_keys, made.skipkeys, made.allow_nan)
    return lambda value: "".join(parts(value, 0))


def keep(args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], encode: Encode = json.dumps) -> dict[str, Any]:
    """The call as it is kept; `encode` is the engine's own JSON, whose decoder gives the arguments back."""
    call, why = plain({"args": list(args), "kwargs": dict(kwargs), "options": dict(options)}, encode)
    if why is None:
        return call
    kept, reason = plain(dict(options), encode)
    return {
        "args": [_fitting(value, encode) for value in list(args)[:100]],
        "kwargs": {str(name)[:200]: _fitting(value, encode) for name, value in list(kwargs.items())[:100]},
        "options": kept if reason is None else {},
        "not_kept": why,
    }


def keep_text(
    args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], encode_strictly: Encode, encode: Encode
) -> Mapping[str, Any] | Json:
    """The call as `keep` gives it; where it is kept whole as its text, which is encoded once, and not looked at again.
    `encode_strictly` puts no spaces in, and raises for what is no JSON: NaN and infinities."""
    try:
        text = encode_strictly({"args": list(args), "kwargs": dict(kwargs), "options": options})
        if text.isascii() and len(text) <= LARGEST and not may_be_too_deep(text):
            return Json(text)
    except Exception as error:  # `keep` says of which kind
        if interrupts(error):
            raise
    return keep(args, kwargs, options, encode)


def plain(value: Any, encode: Encode = json.dumps) -> tuple[Any, str | None]:
    """The value through JSON and back, and None; or its cut repr, and why it is not kept."""
    try:
        text = encode(value)
        size = len(text.encode())
        if size > LARGEST:
            return shown(value), f"{size:,} bytes of JSON, {LARGEST:,} are kept"
        # NaN and infinities pass `dumps` and are no JSON: what reads them back elsewhere would stumble.
        found = _decoder.decode(text)
        if may_be_too_deep(text):
            dumps([[[found]]], "it")  # as deep as it will stand in what is kept: a call's arguments in the call
        return found, None
    except Exception as error:  # what `encode` calls in the project's own types may raise anything
        if interrupts(error):
            raise
        return shown(value), f"{type(error).__name__}: {error}"[:SHOWN]


def shown(value: Any) -> dict[str, str]:
    """The value as text, cut, for somebody to look at."""
    try:
        return {"repr": _repr.repr(value)[:SHOWN].encode("utf-8", "replace").decode()}
    except Exception as error:  # a repr of the project's own may raise anything
        if interrupts(error):
            raise
        return {"repr": f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"}


def _fitting(value: Any, encode: Encode) -> Any:
    """One argument of a call that is not kept whole: itself while it is short, else its repr."""
    found, why = plain(value, encode)
    return found if why is None and len(encode(found)) <= SHOWN else shown(value)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse)
