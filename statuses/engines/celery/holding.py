"""Which messages workers hold that their broker may have lost: a job for later stands in a worker's memory until it is due, and so does one
that it has taken ahead. A broker that lost its data knows of neither, and they run all the same.

Not told by reports: there may be thousands, and only the reaper wants to know, of a few jobs now and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from celery.worker import state
from celery.worker.control import Panel
from celery.worker.request import Request

#: The remote control command that says which of these tasks a worker holds.
HOLDS = "statuses_holds"
#: Tasks asked about at once.
MOST_ASKED = 1_000


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


def _put_off(entries: Iterable[Any]) -> Iterable[Request]:
    """Those that wait in the worker's timer, where before Celery 5.7 they stand alone. Not in order (`queue`): a green worker's entries
    have none."""
    for entry in list(entries):
        waits = getattr(getattr(entry, "entry", None), "args", None) or (None,)
        if isinstance(waits[0], Request):
            yield waits[0]


def ask(app: Any, connection: Any, workers: Sequence[str], ids: Sequence[str], timeout_seconds: float) -> set[str] | None:
    """Which of these tasks the workers hold; None where one of them does not say. One message to all of them, waits for the last answer."""
    said = app.control.broadcast(
        HOLDS, arguments={"ids": list(ids)}, destination=list(workers), connection=connection,
        reply=True, timeout=timeout_seconds, limit=len(workers),
    )  # fmt: skip
    answers = {name: answer.get("ok") for each in said or () for name, answer in each.items()}
    if any(not isinstance(answers.get(name), list) for name in workers):
        return None
    return {id for name in workers for id in answers[name]}
