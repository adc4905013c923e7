"""An engine for pages: does what it is told and remembers it."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import statuses
from statuses import EngineCannot, Status
from statuses.engines import registry, submitting
from statuses.engines.base import Engine, Worker


class Toy(Engine):
    """Kills and retries in this process."""

    name = "toy"
    can_kill = True
    can_retry = True

    def __init__(self) -> None:
        self.killed: list[str] = []
        self.retried: list[str] = []
        self.refuses = ""
        self.refuses_for_good = False
        self.there: list[Worker] = []

    @property
    def has_workers(self) -> bool:
        return bool(self.there)

    def workers(self) -> list[Worker]:
        return self.there

    def kill(self, status: Status) -> None:
        if self.refuses:
            raise EngineCannot(status.id, self.name, "kill", self.refuses)
        self.killed.append(status.id)

    def retry(self, status: Status, by: str | None = None) -> Status:
        if self.refuses:
            raise EngineCannot(status.id, self.name, "retry", self.refuses, for_good=self.refuses_for_good)
        self.retried.append(status.id)
        return status.requeued()


@contextmanager
def toy_engine() -> Generator[Toy]:
    """The engine, installed as ``toy``."""
    engine = Toy()
    registry.register(engine)
    try:
        yield engine
    finally:
        registry.unregister(engine.name)


class Sender(Toy):
    """Also sends jobs by their names: those it was told of."""

    can_submit = True

    def __init__(self, name: str = "toy", names: tuple[str, ...] = ("mail.send",)) -> None:
        super().__init__()
        self.name, self.names = name, names
        self.tracks = True

    def knows(self, job_name: str) -> bool:
        return job_name in self.names

    def why_unknown(self, job_name: str) -> str:
        return submitting.unknown(job_name, self.names, super().why_unknown(job_name))

    def submit(
        self,
        job_name: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        queue: str | None = None,
        user: str | None = None,
    ) -> Status | None:
        if not self.knows(job_name):
            raise submitting.not_registered(self, job_name)
        submitting.check_arguments(lambda to, subject="": None, args, kwargs or {})
        if self.refuses:
            raise EngineCannot(job_name, self.name, "submit", self.refuses)
        if not self.tracks:
            return None
        call = {"args": list(args), "kwargs": dict(kwargs or {})}
        return statuses.create(job_name=job_name, queue=queue or "mail", user=user, engine=self.name, call=call, state="queued")
