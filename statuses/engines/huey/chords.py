"""Groups and chords: their members are one workflow, and a chord's callback is a job from the beginning.

Huey sends the callback once every member is over, however it ended, from the consumer that ran the last of them. Its id
is known before, and with it its status.
"""

from __future__ import annotations

import functools
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from huey.api import chord

from statuses import State

from ...errors import interrupts
from .. import attempts
from ..tracker import own_id
from .messages import name_of

if TYPE_CHECKING:
    from .adapter import Adapter

#: The group or chord in which the task enqueued here is sent.
_group: ContextVar[str | None] = ContextVar("statuses_huey_group", default=None)


@contextmanager
def grouped() -> Generator[str]:
    """Gives the id of the group that the tasks enqueued inside the block are members of; of groups within each other the outermost."""
    token = _group.set(group := _group.get() or str(uuid4()))
    try:
        yield group
    finally:
        _group.reset(token)


def root(adapter: Adapter) -> str | None:
    """The root of what is sent in a group: that of the job which sends it, else the group; None outside of any."""
    group = _group.get()
    return group and (adapter.tracker.root_here() or group)


def watch(adapter: Adapter) -> None:
    """See every chord that is enqueued. Where Huey has no such place any more nothing is planned."""
    original = getattr(adapter.huey, "_enqueue_chord", None)
    if original is None:
        return

    @functools.wraps(original)
    def enqueue(made: chord, *args: Any, **kwargs: Any) -> Any:
        with grouped():
            planned = adapter.tracker.guard.run("planning the callback of a chord", lambda: _plan(adapter, made))
            try:
                return original(made, *args, **kwargs)
            except Exception as error:
                if planned and interrupts(error):
                    attempts.not_sent(adapter.tracker.guard, own_id(adapter.tracker.name, made.callback.id), error)
                elif planned:
                    adapter.could_not_leave(made.callback, error)
                raise

    adapter.huey._enqueue_chord = enqueue


def _plan(adapter: Adapter, made: chord) -> bool:
    task = made.callback
    if not made.tasks or not adapter.tracker.tracks(name_of(task), task.id):
        return False
    awaited = [own_id(adapter.tracker.name, _last(member).id) for member in made.tasks]
    adapter.create(task, state=State.unqueued, awaited=awaited)
    return True


def _last(member: Any) -> Any:
    """The task that ends a member: the last of a pipeline, what ends a chord."""
    task = member.callback if isinstance(member, chord) else member
    while task.on_complete is not None:
        task = task.on_complete
    return task
