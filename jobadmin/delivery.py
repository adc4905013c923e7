"""Where the jobs are that wait in a queue and are not in its broker's line any more: with a living worker, or nowhere.

A worker takes messages ahead, and no more than it can hold. What is missing beyond that was lost with its message, or is held
for a worker that died: it does not start by itself, or not soon.
"""

from dataclasses import dataclass
from datetime import timedelta

from jobadmin.fleet import Fleet

#: A job must have waited this long to be called missing: sending it takes a moment, and workers report every ten seconds.
SETTLED = timedelta(seconds=15)


def moves(started_lately: int, running: int, settled: int) -> bool:
    """Whether somebody takes from a queue, as far as its jobs show: some have started lately, and those that wait either have not
    waited long or wait behind one that runs. A worker that was stopped leaves jobs that started lately, and takes no more."""
    return bool(started_lately) and (bool(running) or not settled)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What is known of the jobs that wait in one queue without standing in the broker's line."""

    ahead: int
    """Taken by living workers, and not started yet."""
    missing: int
    """More than that: they are in no line, and no living worker can have them."""


def of(queue: str, told: Fleet, *, waiting: int, settled: int, is_moving: bool) -> Delivery | None:
    """What became of the `waiting` jobs of a queue, `settled` of which have waited for SETTLED; None where its engines do not
    say enough. `is_moving`: jobs of it start these minutes, so that some may be just about to."""
    lines = [line for line in told.queues if line.name == queue]
    depths = [line.depth for line in lines]
    bounds = _bounds(queue, told)
    if not lines or not bounds or None in depths:
        return None
    there = sum(depth or 0 for depth in depths)
    starting = sum(worker.concurrency or 1 for worker in told.holding(queue)) if is_moving else 0
    hold = min(bounds) + starting
    return Delivery(ahead=min(max(waiting - there, 0), hold), missing=max(settled - there - hold, 0))


def _bounds(queue: str, told: Fleet) -> list[int]:
    """How many jobs of the queue living workers can hold at most, by each measure there is."""
    lines = [line for line in told.queues if line.name == queue]
    limits = [worker.takes_ahead for worker in told.holding(queue)]
    bounds = []
    if None not in limits and told.knowing.issuperset(line.engine for line in lines):
        bounds.append(sum(limit or 0 for limit in limits))
    if all(line.held is not None for line in lines):
        bounds.append(sum(line.held or 0 for line in lines))
    return bounds
