"""The places in line of the queued jobs on one page of the list."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

import statuses
from statuses import State, Status

#: Questions to the store that one page may cost; rows beyond them are left without a place.
MOST_COUNTS = 8


def places(jobs: Iterable[Status]) -> dict[str, int]:
    """Id of each queued job whose place in its queue is known -> the place, 1 for the next to start.

    Source: two counts a queue where the rows are neighbours in it, as on an unfiltered page; more where others stand between.
    """
    queues: dict[str, list[Status]] = {}
    for job in jobs:
        if job.state == State.queued and job.queue and job.queued_at:
            queues.setdefault(job.queue, []).append(job)
    found: dict[str, int] = {}
    left = MOST_COUNTS
    for queue, waiting in queues.items():
        line = _Line(queue, sorted(waiting, key=lambda job: job.queued_at or datetime.max), left)
        found.update(line.places())
        left = line.left
    return found


class _Line:
    """The rows of one queue, first to start first."""

    def __init__(self, queue: str, waiting: list[Status], left: int) -> None:
        self.queue, self.waiting, self.left = queue, waiting, left
        self.known: dict[int, int] = {}
        """Row -> its place."""

    def places(self) -> dict[str, int]:
        self._settle(0, len(self.waiting) - 1)
        return {self.waiting[row].id: place for row, place in self.known.items()}

    def _settle(self, first: int, last: int) -> None:
        """Places of the rows between two: neighbours count on, a gap is halved."""
        if not (self._ask(first) and self._ask(last)) or last - first < 2:
            return
        if self.known[last] - self.known[first] == last - first:
            self.known.update((row, self.known[first] + row - first) for row in range(first + 1, last))
            return
        middle = (first + last) // 2
        self._settle(first, middle)
        self._settle(middle, last)

    def _ask(self, row: int) -> bool:
        """Whether the place of a row is known; asks the store for it while it may."""
        if row not in self.known and self.left:
            self.left -= 1
            at = self.waiting[row].queued_at
            before = statuses.where(queue=self.queue, state=State.queued, queued_at=(None, at - timedelta(microseconds=1)))
            self.known[row] = before.count() + 1
        return row in self.known
