"""An engine for pages: does what it is told and remembers it."""

from collections.abc import Generator
from contextlib import contextmanager

from statuses import EngineCannot, Status
from statuses.engines import registry
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
            raise EngineCannot(status.id, self.name, "retry", self.refuses)
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
