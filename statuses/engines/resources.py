"""Finds what a job works on in the arguments it is called with.

Two things are taken for a resource: a string `"Type:id"` (`"Book:53"`, `"library.Book:53"`) and an instance of
a Django model, known by its `_meta.label` and `pk` (Django itself is not imported). Both also one level deep:
in a list, tuple, set or mapping. A plain number is none, unless the project says what the argument's name means
(`types={"book_id": "Book"}`).
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

#: Resources kept of one job: a call with ten thousand ids is no filter anybody picks, and would fill the index.
MOST = 100
#: Characters of a resource; a longer text is no name of anything.
LENGTH = 200

#: The type begins with a capital and has two letters at least: that leaves out times (12:30), hosts (db:6379),
#: schemes (http://...) and drives (C:\...); white space and a leading slash leave out prose and paths.
_RESOURCE = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w+:[^\s/\\][^\s]*")


def find(arguments: Mapping[str, Any], types: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Argument name -> resource text, or a list of them; arguments without one are left out.
    `types` says which plain numbers and strings are ids: `{"book_id": "Book"}`."""
    types = types or {}
    found: dict[str, Any] = {}
    room = MOST
    for name, value in arguments.items():
        for path, texts in _of_argument(str(name), value, types):
            texts = list(dict.fromkeys(texts))[:room]
            if not texts:
                continue
            room -= len(texts)
            found[path] = texts[0] if len(texts) == 1 and not _is_many(value) else texts
    return found


def resource(value: Any) -> str | None:
    """The text of a resource, None when `value` is none."""
    if isinstance(value, str):
        return value if len(value) <= LENGTH and _RESOURCE.fullmatch(value) else None
    meta = getattr(type(value), "_meta", None)
    label = getattr(meta, "label", None)
    if not isinstance(label, str) or isinstance(value, type):
        return None
    pk = getattr(value, "pk", None)
    return f"{label}:{pk}"[:LENGTH] if pk is not None else None


def named(function: Callable[..., Any] | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name: from the function's signature where it is known and fits, else by position
    (`"0"`, `"1"`, ...). What a `*args` takes is one list under its name."""
    if not args and not kwargs:
        return {}
    if function is not None:
        try:
            bound = _signature(function).bind_partial(*args, **kwargs)
        except (TypeError, ValueError):
            pass
        else:
            return dict(_flattened(bound))
    return {**{str(at): value for at, value in enumerate(args)}, **kwargs}


#: Reading a signature takes longer than all else that is done with it here.
_cached = functools.lru_cache(maxsize=1024)(inspect.signature)


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return _cached(function)
    except TypeError:  # what cannot be hashed can still have a signature
        return inspect.signature(function)


def _flattened(bound: inspect.BoundArguments) -> Iterator[tuple[str, Any]]:
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            yield from value.items()
        else:
            yield name, value


def _of_argument(name: str, value: Any, types: Mapping[str, str]) -> Iterator[tuple[str, Iterable[str]]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(inner, Mapping):
                yield f"{name}.{key}"[:LENGTH], _texts(str(key), inner, types)
        return
    yield name, _texts(name, value, types)


def _texts(name: str, value: Any, types: Mapping[str, str]) -> Iterator[str]:
    kind = types.get(name)
    for one in value if _is_many(value) else (value,):
        text = resource(one)
        if text is None and kind and _is_id(one):
            text = f"{kind}:{one}"
        if text is not None:
            yield text


def _is_id(value: Any) -> bool:
    """Numbers, UUIDs and short texts name a row; containers, floats, truth values and None do not."""
    if isinstance(value, bool | float | list | tuple | set | dict | bytes) or value is None:
        return False
    text = str(value)
    return 0 < len(text) <= LENGTH // 2 and not any(c.isspace() for c in text)


def _is_many(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset)
