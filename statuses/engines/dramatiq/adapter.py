"""Connects one broker."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection
from typing import Any

import dramatiq
from dramatiq.middleware import Retries

import statuses
from statuses import State

from ...errors import interrupts
from .. import registry, versions
from ..guard import Passing
from ..heartbeats import EVERY_SECONDS
from ..tracker import Resources, Tracker
from . import groups
from .engine import Dramatiq, is_rabbitmq
from .middleware import Tracking, sending
from .presence import Present
from .taken import InHand

_FOLDER = os.path.dirname(os.path.abspath(dramatiq.__file__)) + os.sep


def install(
    broker: Any = None,
    *,
    name: str = "dramatiq",
    user: Callable[[], str | None] | None = None,
    resources: Resources | None = None,
    ignore: Collection[str] = (),
    keep_results: bool = True,
    heartbeat_seconds: float = EVERY_SECONDS,
) -> Dramatiq:
    """Track every message of `broker` (None: the global one): call it once where the broker is made, after its other
    middleware was added, in publishers and workers alike. Twice changes nothing.

    The other arguments are those of every adapter (see `Tracker`); two brokers in one process need two names."""
    broker = broker or dramatiq.get_broker()
    present = next((found for found in broker.middleware if isinstance(found, Tracking)), None)
    if present is not None:
        engine = registry.get(present.tracker.name)
        if isinstance(engine, Dramatiq):
            return engine
    tracker = Tracker(
        name,
        user=user,
        resources=resources,
        ignore=ignore,
        keep_results=keep_results,
        heartbeat_seconds=heartbeat_seconds,
        folders=(_FOLDER,),
    )
    tracking = Tracking(tracker)
    broker.add_middleware(tracking)
    groups.connect()
    in_hand = InHand()
    broker.add_middleware(in_hand, before=type(broker.middleware[0]))
    broker.add_middleware(Present(tracker.guard, name, in_hand))
    _watch(broker, tracking)
    _stay_behind_retries(broker)
    if is_rabbitmq(broker):
        from .rabbitmq import let_end

        let_end(broker)
    engine = Dramatiq(broker, tracker)
    registry.register(engine)
    versions.say_if_untried("dramatiq")
    return engine


def _watch(broker: Any, tracking: Tracking) -> None:
    """See a message that cannot leave: its status must not stay queued."""
    original = broker.enqueue

    @functools.wraps(original)
    def enqueue(message: Any, *args: Any, **kwargs: Any) -> Any:
        with sending() as made:
            try:
                return original(message, *args, **kwargs)
            except Passing as passing:
                raise passing.error from None
            except Exception as error:
                if interrupts(error):  # it may have left
                    raise
                if not made:  # a broker that is RabbitMQ looks for the queue first, and says nothing of the message where it is away
                    tracking.before_enqueue(broker, message, kwargs.get("delay"))
                for id, attempt in made:
                    tracking.tracker.end(functools.partial(statuses.at, id), id, State.failed, attempt, error)
                raise

    broker.enqueue = enqueue


def _stay_behind_retries(broker: Any) -> None:
    """Whenever the Retries middleware is added, ours has to see an exception before it: what is decided by then is told, and a message that
    was killed is not sent again. Dramatiq asks the last one first."""
    original = broker.add_middleware

    @functools.wraps(original)
    def add_middleware(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        found = list(broker.middleware)
        ours = [one for one in found if isinstance(one, Tracking | Present)]
        retries = [one for one in found if isinstance(one, Retries)]
        if ours and retries and found.index(ours[0]) < found.index(retries[-1]):
            others = [one for one in found if one not in ours]
            at = others.index(retries[-1]) + 1
            broker.middleware[:] = [*others[:at], *ours, *others[at:]]

    broker.add_middleware = add_middleware


def uninstall(broker: Any = None) -> None:
    """Stop tracking the broker in this process."""
    broker = broker or dramatiq.get_broker()
    for middleware in [found for found in broker.middleware if isinstance(found, Tracking | Present | InHand)]:
        broker.middleware.remove(middleware)
        if isinstance(middleware, Tracking):
            registry.unregister(middleware.tracker.name)
        elif isinstance(middleware, Present):
            middleware.after_worker_shutdown(broker, None)  # nobody would tell it that its worker ends
    for name in ("enqueue", "add_middleware", "consume"):
        broker.__dict__.pop(name, None)
