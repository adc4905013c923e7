"""Which queue a message goes to, where its sender named an exchange and a routing key: neither says the queue's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kombu.transport.virtual.exchange import STANDARD_EXCHANGE_TYPES

from .messages import Message, undelayed

#: How the exchanges begin by which Celery lets RabbitMQ keep a job for later.
_DELAYING = "celery_delayed_"


def delivery(exchange: Any, routing_key: Any) -> dict[str, Any]:
    """What a worker hears of it with the message."""
    return {"exchange": getattr(exchange, "name", exchange), "routing_key": routing_key}


def address(request: Mapping[str, Any]) -> tuple[str, str] | None:
    """The exchange and routing key; None where the key is the queue's name, and of a message that RabbitMQ keeps until it is due."""
    said = request.get("delivery_info") or {}
    exchange, routing_key = said.get("exchange"), said.get("routing_key")
    if not exchange or not routing_key or exchange.startswith(_DELAYING):
        return None
    return str(exchange), undelayed(str(routing_key))


def name(app: Any, message: Message, declared: Any = None) -> None:
    """Let a message that is sent by exchange and key say its queue: the one among those the app names, and the one that is `declared` with
    it, to which these lead. Where that is none, or several, it says the declared one, which Celery takes for that, or keeps the key.
    Asks nobody."""
    to = address(message.request)
    if to is None:
        return
    known = [*([] if declared is None else [declared]), *app.amqp.queues.values()]
    found = {queue.name for queue in known if any(_goes(queue, *bound, *to) for bound in _bound(queue))}
    other = getattr(declared, "name", None)
    queue = found.pop() if len(found) == 1 else other
    message.is_named = queue is not None
    message.queue = queue or message.queue


def _bound(queue: Any) -> Iterator[tuple[Any, str]]:
    """The exchanges a queue is bound to, each with the key."""
    for one in queue.bindings or (queue,):
        yield one.exchange, one.routing_key or ""


def _goes(queue: Any, bound_to: Any, by: str, exchange: str, routing_key: str) -> bool:
    kind = STANDARD_EXCHANGE_TYPES.get(getattr(bound_to, "type", ""))
    if kind is None or bound_to.name != exchange:
        return False
    rules = kind(None)
    return bool(rules.lookup([rules.prepare_bind(queue.name, exchange, by, None)], exchange, routing_key, None))
