"""Whose a task is that cannot be read here: its arguments are of a class that this process does not have."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

from huey.serializer import Serializer


class Missing:
    """In place of what a class or a function would have made that is not here."""

    def __new__(cls, *_: Any, **__: Any) -> Missing:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def _ignore(self, *_: Any) -> None:
        pass

    #: What unpickling does to an object after it made it.
    __setstate__ = __setitem__ = append = extend = add = _ignore

    def __repr__(self) -> str:
        return f"<a {type(self).__qualname__}, which is not here>"


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError):
            return type(name, (Missing,), {"__module__": module})


def read(serializer: Any, data: Any) -> Any:
    """Huey's message, with `Missing` where something is; None of a serializer that does more than to pickle and to compress, as one does
    that looks for a signature. Raises: whatever unpickling raises."""
    if type(serializer) is not Serializer:
        return None
    reads = copy.copy(serializer)
    reads._deserialize = lambda pickled: _Unpickler(io.BytesIO(pickled)).load()
    return reads.deserialize(data)
