"""A process of the project that sends jobs, and that the dashboard runs in: it does what lines on its input say.

Each line is a pickle in base64: (function of the project's module or of this one, args, kwargs); so is each answer.
"""

import base64
import contextlib
import dataclasses
import importlib
import pickle
import sys
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from unittest import mock

import statuses
from statuses import presence, store
from statuses.engines import answering, registry
from statuses.engines.base import Outcome
from statuses.reaper import Reaped, Reaper


def retry(id: str) -> None:
    """What the page's button does."""
    statuses.at(id).retry(by="anna")


def kill_now(id: str) -> None:
    """What the page's button does."""
    statuses.at(id).kill_now(by="anna", reason="not needed")


def submit(name: str, *args: Any, queue: str | None = None, user: str | None = None, **kwargs: Any) -> str | None:
    """What the API does for who asks for a job by its name; the id of its status."""
    made = registry.all()[0].submit(name, args, kwargs, queue=queue, user=user)
    return made.id if made is not None else None


def knows(name: str) -> bool:
    """Whether it could."""
    return registry.all()[0].knows(name)


def ready_text() -> str:
    """What a worker's log says once it works."""
    return sys.modules[sys.argv[1]].READY


def send_many(count: int, to: str = "main") -> list[str]:
    """Send so many short jobs; the engine's ids."""
    project = sys.modules[sys.argv[1]]
    return [project.send("add", number, 0, to=to) for number in range(count)]


def send_unsendable() -> None:
    """Send what neither JSON nor pickle can carry."""
    sys.modules[sys.argv[1]].send("take", threading.Lock())


def forgotten(engine: str, ids: list[str]) -> list[str]:
    """Which of these jobs the engine does not know any more, as the reaper asks it."""
    found = registry.get(engine)
    assert found is not None and found.can_tell_forgotten
    return [status.id for status in found.forgotten([statuses.at(id) for id in ids])]


def control(verb: str, name: str) -> Any:
    """What the page's buttons do to a worker or a queue of the project's engine."""
    engine = registry.all()[0]
    if verb in ("stop_worker", "restart_pool"):
        return getattr(engine, verb)(next(worker for worker in engine.workers() if worker.name == name))
    return getattr(engine, verb)(name)


def outcome(engine: str, id: str) -> Outcome | None:
    """How the job ended as its engine says, which the reaper asks it."""
    found = registry.get(engine)
    assert found is not None and found.can_tell_outcome
    return found.outcome(statuses.at(id))


def outcomes(engine: str, ids: Sequence[str]) -> list[Outcome | None]:
    """The same of several jobs, asked about together."""
    found = registry.get(engine)
    assert found is not None and found.can_tell_outcome
    return list(found.outcomes([statuses.at(id) for id in ids]))


def wait_for_answers(seconds: float) -> float:
    """Let the engine have so long to say how a job ended; how long it had before."""
    before, answering.ANSWER_SECONDS = answering.ANSWER_SECONDS, seconds
    return before


def reap(stale_seconds: float, retries: int = 0, waiting: bool = False) -> Reaped:
    """A look of the reaper, which runs where the dashboard does; the grace is twice as long. `retries`: how often a job is sent again.
    `waiting`: also at every job that waits, for however short."""
    stale_after, present = timedelta(seconds=stale_seconds), store.current().config
    wanted = dataclasses.replace(present, stale_after=stale_after, reap_retries={"*": retries} if retries else {})
    if (present.stale_after, dict(present.reap_retries)) != (wanted.stale_after, dict(wanted.reap_retries)):
        store.use(wanted)
    with mock.patch.object(presence, "ALIVE_FOR", 2 * stale_after), contextlib.ExitStack() as patched:
        if "statuses.engines.rq.engine" in sys.modules:
            patched.enter_context(mock.patch("statuses.engines.rq.engine.SILENT_SECONDS", 2 * stale_seconds))
        if "statuses.engines.celery.expiry" in sys.modules:
            patched.enter_context(mock.patch("statuses.engines.celery.expiry.PASSED_FOR", timedelta(0)))
        if waiting:
            patched.enter_context(mock.patch("statuses.waiting.FORGOTTEN_AFTER", timedelta(0)))
            patched.enter_context(mock.patch("statuses.waiting.ASKED_WAITING", 10_000))
            # Two reports of a worker come between two looks, as outside tests.
            patched.enter_context(mock.patch.object(presence, "EVERY_SECONDS", _reaper.confirm_seconds / 2))
        return _reaper.look()


_reaper = Reaper(confirm_seconds=1.0)


def workers() -> list[Any]:
    """What the project's engine tells of its workers."""
    return registry.all()[0].workers()


def queues() -> list[Any]:
    """What the project's engine tells of its queues."""
    return registry.all()[0].queues()


def answer(project: Any, line: bytes) -> tuple[str, Any]:
    name, args, kwargs = pickle.loads(base64.b64decode(line))
    try:
        return "ok", (getattr(project, name, None) or globals()[name])(*args, **kwargs)
    except statuses.EngineCannot as error:
        return "cannot for good" if error.for_good else "cannot", str(error)
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"


def main() -> None:
    out = sys.stdout.buffer
    with contextlib.redirect_stdout(sys.stderr):
        project = importlib.import_module(sys.argv[1])
        project.ready()
        for line in sys.stdin.buffer:
            out.write(base64.b64encode(pickle.dumps(answer(project, line))) + b"\n")
            out.flush()


if __name__ == "__main__":
    main()
