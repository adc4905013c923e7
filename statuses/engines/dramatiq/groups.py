"""Groups: their members are one workflow, and what is sent once all of them have succeeded is a job from the beginning.

A member that fails leaves what waits for it waiting: Dramatiq counts successes, so a retry of that member lets it go.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from dramatiq.composition import group, pipeline
from dramatiq.message import Message

import statuses
from statuses import State

from ...errors import interrupts
from .. import attempts
from .middleware import Tracking, grouped

_MARK = "_statuses_tracked"


def connect() -> None:
    """See every group that is run in this process; once."""
    if not getattr(group.run, _MARK, False):
        group.run = _watched(group.run)


def _watched(original: Any) -> Any:
    @functools.wraps(original)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        tracking = next((found for found in self.broker.middleware if isinstance(found, Tracking)), None)
        if tracking is None:
            return original(self, *args, **kwargs)
        callbacks = self.completion_callbacks
        planned: dict[str, str] = {}
        with grouped() as id:
            self.completion_callbacks = [_planned(tracking, self, callback, id, planned) for callback in callbacks]
            try:
                return original(self, *args, **kwargs)
            except BaseException as error:
                for status_id, name in planned.items():
                    if interrupts(error):
                        attempts.not_sent(tracking.tracker.guard, status_id, error)
                        continue
                    tracking.tracker.end(functools.partial(statuses.at, status_id), name, State.failed, 0, error)
                raise
            finally:
                self.completion_callbacks = callbacks

    setattr(run, _MARK, True)
    return run


def _planned(tracking: Tracking, members: Any, callback: Mapping[str, Any], group_id: str, planned: dict[str, str]) -> Mapping[str, Any]:
    """The callback with the mark of its status, as it is where it gets none."""

    def plan() -> Mapping[str, Any]:
        fields: dict[str, Any] = {**callback, "options": dict(callback["options"])}
        message = Message(**fields)
        status = tracking.plan(members.broker, message, [_last_id(child) for child in members.children], group_id)
        if status is not None:
            planned[status.id] = message.actor_name
        return message.asdict()

    return tracking.tracker.guard.run("planning what follows a group", plan) or callback


def _last_id(child: Any) -> str:
    """Dramatiq's id of the message that ends a member. Groups of groups have no callbacks."""
    while isinstance(child, pipeline):
        child = child.messages[-1]
    return getattr(child, "message_id", "")
