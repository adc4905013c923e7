"""`track()`: a block or a function as a job, and `current()`: the job running here."""

import functools
import inspect
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from . import collection, encoding
from .arguments import nearest, shown
from .errors import KillRequested
from .states import State
from .status import Status
from .tracked import Tracked

P = ParamSpec("P")
R = TypeVar("R")
_KNOWN = frozenset(inspect.signature(collection.create).parameters)
#: What `current()` gives. Adapters set it themselves where every job comes by: a function between costs as much as the rest.
current_job: ContextVar[Status | None] = ContextVar("statuses_current", default=None)


def current() -> Status | None:
    """The job running here, None outside of one."""
    return current_job.get()


class running:
    """Let `current()` be `status` inside the block. A class: every job of an engine comes by, and a generator costs three times as much."""

    __slots__ = ("_before", "_status")

    def __init__(self, status: Status | None) -> None:
        self._status = status

    def __enter__(self) -> Status | None:
        self._before = current_job.set(self._status)
        return self._status

    def __exit__(self, *_: object) -> None:
        current_job.reset(self._before)


class track:
    """Tracks a block (`with statuses.track("name") as job:`) or every call of a function (`@statuses.track("name")`).

    The job ends as failed with the error (raised again) when the block raises, as killed when it raises KillRequested
    (swallowed, unless another job was asked that runs around this one), else as succeeded. A store that is away is logged once; the
    block runs all the same, waits for it once (`timeout_seconds`), and what it said is told once the store is back. One object may
    track many blocks at once. With an `id` of its own the body runs once: where that is taken, StatusExists is raised instead (a
    store that is away cannot tell).
    Raises: TypeError for an argument that `create` does not know, and for what is no function that runs when it is called."""

    def __init__(self, job_name: str | None = None, **as_create: Any) -> None:
        if callable(job_name):
            raise TypeError(f"track() takes a job name: write @track() above {shown(job_name)}")
        for name in as_create:
            if name not in _KNOWN:
                raise TypeError(f"track() knows no argument {name!r}{nearest(name, _KNOWN)}")
        self._as_create = {"job_name": encoding.text(job_name, "job_name"), **as_create}
        #: By the identity of the status: blocks in other threads begin and end at any moment.
        self._open: dict[int, tuple[Status, Token[Status | None]]] = {}

    def __enter__(self) -> Status:
        status = Tracked.begin({"state": State.started, **self._as_create})
        self._open[id(status)] = status, current_job.set(status)
        return status

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        status, before = self._open.pop(id(current_job.get()), None) or self._open.popitem()[1]
        # ValueError: left in another context than it was entered in, as by a generator that is closed; nothing runs here then.
        with suppress(ValueError):
            current_job.reset(before)
        return _finish(status, error, is_within=before.old_value not in (None, Token.MISSING))

    async def __aenter__(self) -> Status:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        return self.__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isclass(function) or inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"track() follows functions to their end, which {shown(function)} does not run to: track the block that uses it"
            )
        name = getattr(function, "__qualname__", type(function).__qualname__)  # A partial has none, nor has an object.
        as_create = {**self._as_create, "job_name": self._as_create["job_name"] or name}
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def tracked(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with track(**as_create):
                    return await function(*args, **kwargs)

        else:

            @functools.wraps(function)
            def tracked(*args: P.args, **kwargs: P.kwargs) -> Any:
                with track(**as_create):
                    return function(*args, **kwargs)

        return tracked  # ty: ignore[invalid-explicit-return]


def _finish(status: Status, error: BaseException | None, is_within: bool) -> bool:
    if error is None:
        status.succeeded()
        return False
    if isinstance(error, KillRequested):
        status.killed()
        # A request that is meant for the job around this one goes on to it.
        return not is_within or error.id == status.id
    try:
        status.add_error(error)
    finally:  # interrupted while it waits for the store, it has ended all the same
        status.failed()
    return False
