"""Our header while its status is on its way to the store: the store works while Celery packs the message.

The answer is waited for when the header is looked at, which is before the message leaves, for its id stands in it. Whoever looks sees
a plain dict; where the store did not answer one that is about no task, as of a publisher that does not track.
"""

from collections.abc import Callable, Mapping
from typing import Any


class LateHeader(dict[str, Any]):
    """A header as `messages.header` gives it, once it is looked at."""

    def __init__(self, wait: Callable[[], Mapping[str, Any] | None]) -> None:
        # Not empty: JSON's encoder does not ask an empty dict for what is in it.
        super().__init__(id=None)
        self._wait: Callable[[], Mapping[str, Any] | None] | None = wait

    def arrive(self) -> None:
        """Wait for the answer, unless somebody has."""
        wait, self._wait = self._wait, None
        if wait is not None:
            found = wait()
            super().clear()
            super().update(found or {})


def _looked_at(name: str) -> Callable[..., Any]:
    plain = getattr(dict, name)

    def look(self: LateHeader, *args: Any, **kwargs: Any) -> Any:
        self.arrive()
        return plain(self, *args, **kwargs)

    look.__name__ = name
    return look


for _name in ("__contains__", "__eq__", "__getitem__", "__iter__", "__len__", "__ne__", "__or__", "__repr__", "__ror__"):
    setattr(LateHeader, _name, _looked_at(_name))
for _name in ("copy", "get", "items", "keys", "values"):
    setattr(LateHeader, _name, _looked_at(_name))


def _reduced(self: LateHeader, _: object) -> tuple[Any, ...]:
    return dict, (dict(self.items()),)


setattr(LateHeader, "__reduce_ex__", _reduced)  # noqa: B010
