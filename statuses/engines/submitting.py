"""Sends a job by its name, as somebody asks for it who has no more than that: by an engine's own way of sending, so that it is tracked
as any other."""

from __future__ import annotations

import difflib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import EngineCannot, NotRegistered
from . import attempts, registry
from .who import as_user

if TYPE_CHECKING:
    from ..status import Status
    from .base import Engine

#: What the refusals call it.
ACTION = "submit"


def send(engine: Engine, job_name: str, call: Callable[[], object], user: str | None) -> Status | None:
    """What `call` sends, for `user`; None where it was sent and is not tracked.
    Raises: EngineCannot where it could not be sent; TypeError for arguments that the job does not take."""
    with as_user(user), attempts.catching() as made:
        try:
            call()
        except (EngineCannot, TypeError):
            raise
        except Exception as error:
            raise EngineCannot(job_name, engine.name, ACTION, f"sending it failed: {error}") from error
    return made[0] if made else None


def check_arguments(function: Callable[..., Any] | None, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Raises: TypeError for arguments that the function cannot be called with; where that cannot be told, nothing."""
    try:
        signature = inspect.signature(function) if function is not None else None
    except (TypeError, ValueError):
        return
    if signature is not None:
        signature.bind(*args, **kwargs)


def unknown(job_name: str, known: Iterable[str], why: str) -> str:
    """Why a name is not known, with the nearest one that is."""
    near = difflib.get_close_matches(job_name, list(known), n=1)
    return f"{why}, there is {near[0]}" if near else why


def not_registered(engine: Engine, job_name: str) -> NotRegistered:
    """The error that says so. Where other engines of this process could send jobs too, each says what it knows of the name: whoever
    submits by a name alone need not know whose it would be."""
    why, others = engine.why_unknown(job_name), [other for other in registry.all() if other.can_submit and other.name != engine.name]
    if others:
        why = "; ".join([f"{engine.name}: {why}", *(f"{other.name}: {_words(other, job_name)}" for other in others)])
    return NotRegistered(job_name, engine.name, ACTION, why)


def _words(engine: Engine, job_name: str) -> str:
    try:
        return "it knows the name" if engine.knows(job_name) else engine.why_unknown(job_name)
    except EngineCannot as error:
        return error.why


def loaded(path: str) -> Any:
    """What a dotted path names in a module that this process has imported; None for anything else. Nothing is imported, and a module
    that makes its names when they are asked for is not asked: whoever names something must not make it run."""
    module, _, name = path.rpartition(".")
    return _names(sys.modules.get(module)).get(name)


def all_loaded() -> Iterator[tuple[str, Any]]:
    """Path and value of all that `loaded` gives. Look at their type: that of a lazy object's class is found by making it."""
    for module in list(sys.modules):
        for name, value in list(_names(sys.modules.get(module)).items()):
            yield f"{module}.{name}", value


def _names(module: object) -> dict[str, Any]:
    found = getattr(module, "__dict__", None)
    return found if isinstance(found, dict) else {}
