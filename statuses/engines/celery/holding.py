"""Which messages workers hold that their broker may have lost: a job for later stands in a worker's memory until it is due, and so does one
that it has taken ahead. A broker that lost its data knows of neither, and they run all the same.

Not told by reports: there may be thousands, and only the reaper wants to know, of a few jobs now and then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from celery.worker import state
from celery.worker.control import Panel
from celery.worker.request import Request

#: The remote control command that says which of these tasks a worker holds.
HOLDS = "statuses_holds"
#: Celery's own, which every worker answers: of these tasks those that it has, with what it does with them.
QUERY = "query_task"
#: Tasks asked about at once.
MOST_ASKED = 1_000
#: Answers waited for, of whichever question: not one that comes ends a wait.
MOST_ANSWERS = 100_000
#: Seconds that all workers together have for their answers, where nobody knows how many they are.
EVERYBODY_SECONDS = 2.0
#: Times a set is read that changes meanwhile.
_READS = 10
#: Seconds of one look in which all workers are asked, a thousand tasks after the other.
ASKING_SECONDS = 10.0


def connect() -> None:
    """Let every worker that is started from now on in this process say what it holds; once."""

    def statuses_holds(state: Any, ids: Sequence[str] = (), **_: Any) -> dict[str, list[str]]:
        """Which of these tasks the worker holds: running, taken ahead, or waiting until they are due."""
        return {"ok": sorted(held(state.consumer).intersection(ids))}

    if HOLDS not in Panel.data:
        Panel.register(statuses_holds, name=HOLDS, type="control", visible=False)


def held(consumer: Any) -> set[str]:
    """Celery's ids of all that a worker holds. In the loop of the worker, which alone changes them."""
    return {*state.requests.keys(), *(request.id for request in _put_off(consumer.timer.schedule._queue))}


def standing(requests: Iterable[Request]) -> list[Request]:
    """What is in one of Celery's sets of requests. Raises: RuntimeError when the set never stood still."""
    for attempt in range(_READS):
        try:
            return list(requests)
        except RuntimeError:  # it changed while it was read: the worker's own threads go on
            if attempt == _READS - 1:
                raise
    raise AssertionError


def _put_off(entries: Iterable[Any]) -> Iterable[Request]:
    """Those that wait in the worker's timer, where before Celery 5.7 they stand alone. Not in order (`queue`): a green worker's entries
    have none."""
    for entry in list(entries):
        waits = getattr(getattr(entry, "entry", None), "args", None) or (None,)
        if isinstance(waits[0], Request):
            yield waits[0]


def ask(app: Any, connection: Any, workers: Sequence[str], ids: Sequence[str], timeout_seconds: float) -> set[str] | None:
    """Which of these tasks the workers hold; None where one of them does not say. One message to all of them, waits for the last answer."""
    said: dict[str, Any] = {}

    def hear(answer: dict[str, Any]) -> bool:
        said.update({name: (told or {}).get("ok") for name, told in answer.items()})
        return said.keys() >= set(workers)

    broadcast(app, connection, HOLDS, ids, timeout_seconds, hear, list(workers))
    if any(not isinstance(said.get(name), list) for name in workers):
        return None
    return {id for name in workers for id in said[name]}


def anywhere(app: Any, connection: Any, ids: Sequence[str]) -> set[str]:
    """Those of these tasks that any worker says it has, whoever it is: also one that the status store does not know, or has not heard of
    for long. One that says nothing, as it is gone, may have any; nobody waits for it. Those that there was no time to ask about are
    among them, too. A message to all workers for each thousand, which waits two seconds."""
    found: set[str] = set()
    until = time.monotonic() + ASKING_SECONDS
    for start in range(0, len(ids), MOST_ASKED):
        if time.monotonic() > until:
            return found.union(ids[start:])
        found |= _found_by_anyone(app, connection, ids[start : start + MOST_ASKED])
    return found


def _found_by_anyone(app: Any, connection: Any, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()

    def hear(answer: dict[str, Any]) -> bool:
        for told in answer.values():
            found.update(told if isinstance(told, dict) else ())
        return found.issuperset(ids)

    broadcast(app, connection, QUERY, ids, EVERYBODY_SECONDS, hear)
    return found.intersection(ids)


class _Enough(Exception):
    """Raised when no other answer is waited for."""


def broadcast(
    app: Any,
    connection: Any,
    command: str,
    ids: Sequence[str],
    timeout_seconds: float,
    hear: Callable[[dict[str, Any]], bool],
    workers: list[str] | None = None,
) -> None:
    """Ask workers, None: all of them, and `hear` each answer until it says that this was the last one, or the time is over.

    Kombu gives each question a ticket, and `hear` gets answers with it alone: one that comes late to an earlier question of this thread is
    none to this. But it is one of those that kombu waits for (`limit`), and each begins the patience anew: both are kept here."""
    until = time.monotonic() + timeout_seconds

    def answered(answer: dict[str, Any]) -> None:
        if hear(answer) or time.monotonic() > until:
            raise _Enough

    with suppress(_Enough):
        app.control.broadcast(
            command, arguments={"ids": list(ids)}, destination=workers, connection=connection,
            reply=True, timeout=timeout_seconds, limit=MOST_ANSWERS, callback=answered,
        )  # fmt: skip
