"""Which jobs that wait their broker no longer has.

A Redis says what stands in its queues and what workers hold. Of a RabbitMQ that is known of a queue alone which is not there: it holds no
message, and no worker takes from it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from statuses import State, Status

from .. import awaited
from .broker import Broker
from .sent import Memory, Sent


class Missing:
    """Looks for them at the broker of one app."""

    def __init__(self, app: Any, broker: Broker, sent: Memory) -> None:
        self.app = app
        self.broker = broker
        self.sent = sent

    def among(self, waiting: Sequence[Status], known: Collection[str], never_sent: Callable[[Status], bool]) -> list[Status]:
        """Those whose message is in no queue that it may have been put into, and that no worker holds as far as the broker knows. `known`:
        names that are queues of this broker for certain; any other may be a routing key, or of another broker. Bodies of chords are
        among them, while every one of these queues is empty, where `never_sent` says that nobody will send them.
        One or two questions to the broker, up to three more where messages are missing; calls are read of those alone."""
        bodies = [status for status in waiting if not status.queue and awaited.is_planned(status)]
        # Who sent a body without a word to us may have sent it anywhere.
        names = {status.queue for status in waiting if status.queue}.union(known if bodies else ())
        lengths = self.broker.lengths(sorted(names)) if names else None
        if lengths is None:
            return []
        told = [status for status in waiting if status.provider_job_id and status.queue]
        if lengths.held is None:
            return self._of_no_queue([status for status in told if status.queue in lengths.missing], known)
        gone = self._of_empty_queues([status for status in told if lengths.waiting.get(status.queue or "") == 0], known)
        if bodies and all(lengths.waiting.get(name) == 0 for name in known):
            gone += filter(never_sent, bodies)
        held = self.broker.held() if gone and lengths.held else frozenset()
        return [status for status in gone if status.provider_job_id not in held] if held is not None else []

    def _of_no_queue(self, waiting: Sequence[Status], known: Collection[str]) -> list[Status]:
        """One for later may be kept elsewhere until it is due; and where to one went by exchange and key is not known."""
        read = self.sent.read([status for status in waiting if status.state is State.queued])
        named = [(status, how) for status, how in read if not how.exchange and how.queue == status.queue]
        return [status for status, how in named if self._is_ours(status, how, known)]

    def _of_empty_queues(self, waiting: Sequence[Status], known: Collection[str]) -> list[Status]:
        read = self.sent.read(waiting)
        doubted = {how.exchange or status.queue or "" for status, how in read if how.exchange or not self._is_ours(status, how, known)}
        bound = self.broker.bound(doubted) if doubted else {}
        if bound is None:
            return []
        places = [(status, self._places(status, how, known, bound)) for status, how in read]
        names = {queue for _, queues in places for queue in queues}
        lengths = self.broker.lengths(sorted(names)) if names else None
        if lengths is None:
            return []
        return [status for status, queues in places if queues and all(lengths.waiting.get(queue) == 0 for queue in queues)]

    def _places(self, status: Status, how: Sent, known: Collection[str], bound: Mapping[str, set[str]]) -> set[str]:
        """The queues of a Redis into which its message may have been put; none where nobody can tell."""
        queue = status.queue or ""
        leads_to = bound.get(how.exchange or queue, set())
        if how.exchange:
            return {queue, *leads_to} if leads_to or self._is_ours(status, how, known) else set()
        is_named = queue in known or (how.queue == queue and (queue in leads_to or self._is_ours(status, how, known)))
        return {queue} if is_named else set()

    def _is_ours(self, status: Status, how: Sent, known: Collection[str]) -> bool:
        """Whether it was certainly sent to this broker. No module is imported for that."""
        return status.queue in known or how.task in self.app.tasks
