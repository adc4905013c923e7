"""Paused queues in a worker: it leaves them alone from its start on, and takes from them again when they are resumed.

Not told by a broadcast: what the store says is looked up at the start, before the first message is taken, and comes back
with every report. A message from the page only makes that report come soon.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from weakref import WeakKeyDictionary

from celery import signals
from celery.worker.control import Panel

from ... import pauses
from . import adapter as adapters

#: The remote control command that makes a worker report at once, and so look at what is paused.
LOOK = "statuses_look"


class Held:
    """The queues that one worker leaves alone, of those it would take from."""

    def __init__(self, controller: Any) -> None:
        self.controller = controller
        self.queues: frozenset[str] = frozenset()

    def deselect(self, paused: Collection[str]) -> None:
        """Before it takes its first message."""
        queues = self.controller.app.amqp.queues
        self.queues = frozenset(name for name in queues.consume_from if name in paused)
        if self.queues:
            queues.deselect(sorted(self.queues))

    def follow(self, paused: Collection[str], then: Callable[[], object]) -> None:
        """While it runs; done in its own loop, which alone may touch its connection. `then` is called where something changes."""
        consumer = self.controller.consumer
        taking = _taking(consumer)
        if any(name in paused for name in taking) or any(name not in paused for name in self.queues):
            consumer.call_soon(self._change, consumer, frozenset(paused), then)

    def _change(self, consumer: Any, paused: Collection[str], then: Callable[[], object]) -> None:
        if consumer.task_consumer is None:
            return  # between two connections: at the next report
        for name in _taking(consumer):
            if name in paused:
                consumer.cancel_task_queue(name)
                self.queues |= {name}
        for name in sorted(self.queues.difference(paused)):
            consumer.add_task_queue(name)
            self.queues -= {name}
        then()


def _taking(consumer: Any) -> list[str]:
    """The queues it takes from at this moment."""
    queues = getattr(getattr(consumer, "task_consumer", None), "queues", None) or ()
    return sorted(queue.name for queue in list(queues))


_held: WeakKeyDictionary[Any, Held] = WeakKeyDictionary()


def of(controller: Any) -> Held:
    """What a worker of this process holds back."""
    return _held.setdefault(controller, Held(controller))


def connect(look: Callable[[Any], object]) -> None:
    """Let every worker that is started from now on in this process respect what is paused; once. `look`: makes the worker
    of a controller report soon."""
    signals.celeryd_after_setup.connect(on_setup, weak=False, dispatch_uid="statuses.pausing.setup")

    def statuses_look(state: Any, **_: Any) -> dict[str, str]:
        """Let the worker report, and see which of its queues are paused."""
        look(state.consumer.controller)
        return {"ok": "reports"}

    if LOOK not in Panel.data:
        Panel.register(statuses_look, name=LOOK, type="control", visible=False)


def on_setup(sender: Any = None, instance: Any = None, **_: Any) -> None:
    """A worker knows its queues and has taken nothing yet. A store that is away holds nothing back until it is asked again."""
    adapter = adapters.of(instance.app)
    if adapter is None:
        return
    found = adapter.guard.run("asking which queues are paused", lambda: pauses.paused(adapter.engine_name))
    if found:
        adapter.guard.run("leaving paused queues alone", lambda: of(instance).deselect(found))
