"""What a worker has taken from its broker and not done with: a broker that lost its data knows nothing of it, and it runs all the same."""

from __future__ import annotations

import threading
from typing import Any

from dramatiq.common import q_name
from dramatiq.middleware import Middleware

#: Messages told of by their ids in one report; of those that wait in its memory until they are due there may be thousands.
MOST_TAKEN = 200


class InHand(Middleware):
    """The message that each thread has. The first of all middleware: another one may hold a message up before it starts."""

    def __init__(self) -> None:
        self._messages: dict[int, Any] = {}

    def messages(self) -> list[Any]:
        return [*self._messages.copy().values()]

    def before_process_message(self, broker: Any, message: Any) -> None:
        self._messages[threading.get_ident()] = message

    def after_process_message(self, broker: Any, message: Any, *, result: object = None, exception: BaseException | None = None) -> None:
        self._messages.pop(threading.get_ident(), None)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        self._messages.pop(threading.get_ident(), None)


def facts(broker: Any, worker: Any, in_hand: InHand) -> dict[str, Any]:
    """What a worker of a broker that is a Redis says of it: `taken` are ids of messages, `more` and `more_later` how many more it has, of
    queues and of those for later; nothing of a worker of another broker. Read in the order in which messages move on: none is missed."""
    if not hasattr(broker, "broker_id"):
        return {}
    threads = list(worker.consumers.values())
    unread = {later: sum(_unread(thread) for thread in threads if _is_later(thread) is later) for later in (False, True)}
    put_off = [item for thread in threads for item in list(thread.delay_queue.queue)]
    ahead = list(worker.work_queue.queue)
    now = [message.message_id for message in (*in_hand.messages(), *map(_message, ahead))]
    later = [_message(item).message_id for item in sorted(put_off)]
    told, told_later = now[:MOST_TAKEN], later[: max(MOST_TAKEN - len(now), 0)]
    return {
        "broker": broker.broker_id,
        "taken": [*told, *told_later],
        "more": unread[False] + len(now) - len(told),
        "more_later": unread[True] + len(later) - len(told_later),
    }


def _is_later(thread: Any) -> bool:
    return q_name(thread.queue_name) != thread.queue_name


def _unread(thread: Any) -> int:
    """Messages that its consumer has fetched and not looked at."""
    return len(getattr(thread.consumer, "message_cache", None) or ())


def _message(item: Any) -> Any:
    """Before Dramatiq 2.1 an item is a tuple."""
    return item[-1] if isinstance(item, tuple) else item.message
