"""Every run of a task that a worker has is ended by one order, and told of by another.

Celery's `revoke(terminate=True)` ends one of each id: a worker keeps its requests by id, and one whose message the broker has handed out a
second time while the first run goes on (its visibility timeout was over) may have two of one.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from celery.worker import state as worker_state
from celery.worker.control import Panel

from . import holding

#: The remote control command that ends all runs of these tasks.
ENDS = "statuses_ends"
#: The one that says in which processes these tasks run.
RUNS = "statuses_runs"
SIGNAL = "SIGKILL"


def connect() -> None:
    """Let every worker that is started from now on in this process hear the order; once."""

    def statuses_ends(state: Any, ids: Sequence[str] = (), **_: Any) -> dict[str, list[str]]:
        """Revoke these tasks, and end those that the worker runs; of these the ids. Fails where its pool cannot."""
        # First, as Celery does: no message that is on its way here becomes another run.
        worker_state.revoked.update(ids)
        runs = _runs(ids)
        for run in runs:
            run.terminate(state.consumer.pool, signal=SIGNAL)
        return {"ok": sorted({run.id for run in runs})}

    def statuses_runs(state: Any, ids: Sequence[str] = (), **_: Any) -> dict[str, list[int]]:
        """The pids of the processes in which the worker runs these tasks, one for each run."""
        return {"ok": [run.worker_pid for run in running(ids)]}

    if ENDS not in Panel.data:
        Panel.register(statuses_ends, name=ENDS, type="control", visible=False)
        Panel.register(statuses_runs, name=RUNS, type="control", visible=False)


def running(ids: Collection[str]) -> list[Any]:
    """The runs of these tasks that have begun in the worker which this process is the main one of."""
    return [run for run in holding.standing(worker_state.active_requests) if run.id in ids]


def _runs(ids: Collection[str]) -> list[Any]:
    """Those that run, and what Celery's own revoke finds: one that its pool has not yet said to run ends when it begins. The one that began
    last is the last: with the end of that one the job is told to be killed."""
    found = {id(run): run for run in running(ids)}
    found |= {id(run): run for run in map(worker_state.requests.get, ids) if run is not None}
    return sorted(found.values(), key=lambda run: run.time_start or math.inf)


def order(
    app: Any, connection: Any, command: str, task_id: str, workers: Iterable[str], timeout_seconds: float, besides: Iterable[str] = ()
) -> dict[str, dict[str, Any]]:
    """What these workers say to one of the orders about a task, by their names; one that says nothing is not in it. Those `besides` hear
    it, too, and nobody waits for them. One message to all of them, waits for the last answer."""
    awaited, said = set(workers), {}

    def hear(answer: dict[str, Any]) -> bool:
        said.update(answer)
        return said.keys() >= awaited

    holding.broadcast(app, connection, command, [task_id], timeout_seconds, hear, [*awaited.union(besides)])
    return said


def plainly(app: Any, connection: Any, task_id: str, said: dict[str, dict[str, Any]], timeout_seconds: float) -> dict[str, dict[str, Any]]:
    """The same answers, but for workers that never heard of our order to end, as their version of us is older: those get Celery's own.
    One message more where there are such workers, waits for their answers."""
    older = [name for name, told in said.items() if f"KeyError({ENDS!r})" in str(told.get("error"))]
    if not older:
        return said
    answers = app.control.revoke(
        task_id, destination=older, terminate=True, signal=SIGNAL, connection=connection,
        reply=True, timeout=timeout_seconds, limit=len(older),
    )  # fmt: skip
    return {name: told for name, told in said.items() if name not in older} | {k: v for answer in answers or () for k, v in answer.items()}
