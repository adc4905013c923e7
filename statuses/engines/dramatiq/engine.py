"""What can be asked of Dramatiq: send a call again, and how many wait."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from dramatiq.message import Message, generate_unique_id

from statuses import EngineCannot, State, Status

from .. import attempts
from ..base import Engine, Queue
from ..tracker import Tracker
from .messages import USER, write
from .middleware import told_already

#: States a retry may leave: the job is over, or nobody knows.
_RETRIED = frozenset({State.succeeded, State.failed, State.killed, State.unknown})


class Dramatiq(Engine):
    """One tracked broker."""

    can_kill = False
    can_kill_queued = True
    can_retry = True
    reasons: ClassVar = {
        "stop_worker": "Dramatiq's workers hear nothing but signals on their own machine",
        "restart_pool": "Dramatiq's workers hear nothing but signals on their own machine",
        "pause_queue": "Dramatiq's workers hear nothing but signals on their own machine",
    }

    def __init__(self, broker: Any, tracker: Tracker) -> None:
        self.broker = broker
        self.tracker = tracker
        self.name = tracker.name
        #: Redis alone is asked: what RabbitMQ has takes a channel and a passive declaration a queue.
        self.has_queues = hasattr(broker, "client") and hasattr(broker, "namespace")

    def retry(self, status: Status, by: str | None = None) -> Status:
        """Send the call again as a new message, with its options and the rest of its pipeline, as the next attempt.
        Raises: EngineCannot when the call was not kept whole, or the broker is away (the new attempt then failed)."""
        message = self._message(status)
        attempt = status.attempt
        status.requeued(attempt=attempt, sources=_RETRIED)
        if not status.changed:
            raise self._cannot(status, "retry", "somebody else did in the same moment")
        status.set_provider_job_id(message.message_id)
        attempt = status.attempt
        if status.state is State.started:  # the broker handed the old message out in that very moment
            raise self._cannot(status, "retry", "its broker did in the same moment")
        write(message, status.id, attempt)
        try:
            with told_already():
                self.broker.enqueue(message)
        except Exception as error:
            attempts.end(status, State.failed, attempt, error)
            raise self._cannot(status, "retry", f"sending it failed: {error}") from error
        return status

    def _message(self, status: Status) -> Message[Any]:
        call = status.call
        options = dict((call or {}).get("options") or {})
        if call is None or "actor" not in options:
            raise self._cannot(status, "retry", "its call was not kept")
        if call.get("not_kept"):
            raise self._cannot(status, "retry", f"its arguments were not kept: {call['not_kept']}")
        args, kwargs, options = json.loads(json.dumps([call["args"], call["kwargs"], options]))
        if status.user:
            options[USER] = status.user
        return Message(
            queue_name=options.pop("queue", None) or status.queue or "default",
            actor_name=options.pop("actor"),
            args=tuple(args),
            kwargs=kwargs,
            options=options,
            message_id=generate_unique_id(),
        )

    def queues(self) -> list[Queue]:
        """The queues this process declares. One round trip."""
        names = sorted(self.broker.get_declared_queues())

        def depths() -> list[int]:
            with self.broker.client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.llen(f"{self.broker.namespace}:{name}")
                return pipeline.execute()

        found = self.tracker.guard.run("asking for the depth of queues", depths) if self.has_queues else None
        return [Queue(name=name, engine=self.name, depth=depth) for name, depth in zip(names, found or [None] * len(names), strict=True)]

    def _cannot(self, status: Status, action: str, why: str) -> EngineCannot:
        return EngineCannot(status.id, self.name, action, why)
