"""Real servers and a real worker for the adapters: one broker, one store, so that either can go away alone."""

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import signals

ROOT = Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))

import statuses  # noqa: E402
from statuses import Status, clock, presence  # noqa: E402
from statuses.engines import registry  # noqa: E402
from statuses.engines.celery import Celery  # noqa: E402
from statuses.engines.celery import engine as celery_engine  # noqa: E402
from statuses.engines.celery.messages import HEADER  # noqa: E402
from tests import rabbit  # noqa: E402
from tests.projects.running import CONTRACT, Process, Project, need  # noqa: E402
from tests.servers import PATIENCE, Server, Worker, until  # noqa: E402


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[Server, Server]]:
    """The broker's server and the store's."""
    with tempfile.TemporaryDirectory(prefix="ja-", dir="/tmp") as folder:
        both = Server(Path(folder), "b"), Server(Path(folder), "s")
        yield both
        gc.collect()  # results of Celery's that nobody holds unsubscribe when they go: not from a server that is gone
        for server in both:
            server.thaw() if server.process else None
            server.stop()


@pytest.fixture(scope="session")
def environment(servers: tuple[Server, Server], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a worker process has to know."""
    broker, store = servers
    logs = tmp_path_factory.mktemp("workers")
    return {"C_FORCE_ROOT": "1", "TEST_BROKER": str(broker.socket), "TEST_STORE": store.url, "TEST_LOGS": str(logs)}


@pytest.fixture(scope="session")
def worker(environment: dict[str, str]) -> Iterator[Worker]:
    """The worker most tests share: prefork, two processes, queue `main`."""
    worker = Worker(environment, "shared")
    yield worker
    worker.kill()


Start = Callable[..., Worker]


@pytest.fixture
def start_worker(environment: dict[str, str]) -> Iterator[Start]:
    """Starts Celery workers that end with the test."""
    workers: list[Worker] = []

    def start(name: str, *, extra: dict[str, str] | None = None, **how: Any) -> Worker:
        workers.append(Worker({**environment, **(extra or {})}, name, **how))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()
        # Shown with a test that failed.
        print(worker.log.read_text(errors="replace")[-8000:])


class World:
    """The project in this process, as a publisher and as somebody who looks."""

    def __init__(self, broker: Server, store: Server, environment: dict[str, str]) -> None:
        from tests import celeryapp

        self.broker = broker
        self.store = store
        self.environment = environment
        self.tasks = celeryapp
        self.app = celeryapp.app
        self.gates = broker.client(db=2)
        self.sent: list[str] = []
        self.task_ids: dict[str, str] = {}

    def send(self, signature: Any, **options: Any) -> Status:
        """Publish a call; its status."""
        before = len(self.sent)
        if isinstance(signature, str):
            self.app.send_task(signature, **options)
        else:
            signature.apply_async(**options)
        assert len(self.sent) == before + 1
        return statuses.at(self.sent[-1])

    def open(self, gate: str) -> None:
        """Let whoever waits at the gate go on."""
        self.gates.rpush(gate, 1)

    def began(self, gate: str) -> None:
        """Wait until a task stands at the gate."""
        until(lambda: self.noted(f"began:{gate}"), f"a task began at {gate}")

    def noted(self, name: str) -> int:
        """How often a task noted this."""
        return int(self.gates.get(f"noted:{name}") or 0)

    def handed_out(self, *task_ids: str) -> bool:
        """Whether the broker waits for somebody to acknowledge a message of these; workers that other tests killed acknowledge theirs never."""
        return any(id in message for message in self.broker.client().hvals("unacked") for id in task_ids)

    def hand_out_again(self, job: Status) -> None:
        """What the broker does when the visibility timeout has passed."""
        held = self.broker.client().hgetall("unacked")
        with self.app.connection_for_write() as connection:
            for tag in (tag for tag, message in held.items() if self.task_ids[job.id] in message):
                connection.default_channel.qos.restore_by_tag(tag)

    def run_twice(self, task: Any, gate: str, queue: str, second: Callable[[], Any] | None = None) -> Status:
        """A job whose message is handed out again while its first run goes on: to the same worker, or to the one that `second` starts."""
        job = self.send(task.s(gate), queue=queue)
        self.began(gate)
        if second is not None:
            self.take_no_more(job.reload().worker, queue)
            second()
        self.hand_out_again(job)
        until(lambda: self.noted(f"began:{gate}") == 2, "it runs twice")
        assert (job.reload().state, job.attempt) == ("started", 1)
        return job

    def take_no_more(self, worker: str, queue: str) -> None:
        """Let a worker take nothing from a queue any more."""
        with self.app.connection_for_write() as connection:  # one that a test before cut off would break
            self.app.control.cancel_consumer(queue, destination=[worker], reply=True, timeout=PATIENCE, limit=1, connection=connection)

    def ended(self, status: Status, seconds: float = PATIENCE) -> Status:
        """The status once it has ended."""
        return self.becomes(status, "succeeded", "failed", "killed", seconds=seconds)

    def becomes(self, status: Status, *states: str, seconds: float = PATIENCE) -> Status:
        """The status once it is in one of these states."""
        until(lambda: status.reload().state in states, f"{status.id} becomes {' or '.join(states)}, it is {status.reload().state}", seconds)
        return status


@pytest.fixture
def world(servers: tuple[Server, Server], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Publishing from this process, with the store of the workers."""
    monkeypatch.setattr(celery_engine, "ANSWER_SECONDS", PATIENCE)  # a busy worker is not one that does not answer
    os.environ.update({name: environment[name] for name in ("TEST_BROKER", "TEST_STORE")})
    world = World(*servers, environment)
    clock.freeze(None)
    world.tasks.connect(environment["TEST_BROKER"], environment["TEST_STORE"])
    _leave_killed()

    def remember(headers: Any = None, **_: Any) -> None:
        said = headers.get(HEADER) or {}
        world.sent.append(said.get("id") or headers["id"])
        world.task_ids[world.sent[-1]] = headers["id"]

    signals.after_task_publish.connect(remember, weak=False, dispatch_uid="tests.remember")
    yield world
    signals.after_task_publish.disconnect(dispatch_uid="tests.remember")


@pytest.fixture
def engine(world: World) -> Celery:
    """The engine of the Celery project."""
    engine = registry.get("celery")
    assert isinstance(engine, Celery)
    return engine


@pytest.fixture(scope="session", params=CONTRACT)
def running(request: pytest.FixtureRequest, servers: tuple[Server, Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project of each engine, its tables and queues ready."""
    need(request.param)
    project = Project(request.param, *servers, tmp_path_factory.mktemp(request.param))
    yield project
    project.close()


@pytest.fixture(scope="session")
def shared(running: Project) -> Process:
    """The worker most tests share, on queue `main`."""
    return running.start_worker("shared")


@pytest.fixture
def project(running: Project) -> Iterator[Project]:
    """The project, and its store to look into."""
    clock.freeze(None)
    _look_into(running.store)
    _leave_killed()
    shared = len(running.workers)
    yield running
    # Shown with a test that failed.
    for worker in running.workers:
        print(worker.text()[-6000:])
    # What nobody needs any more takes no time of the others, and no turn at their database.
    running.end_workers(kept=shared)


#: RabbitMQ, for projects that have it as their broker.
node = pytest.fixture(scope="session")(rabbit.for_projects)


def _leave_killed() -> None:
    """Tell of no Celery worker that another test has killed: until it is certainly dead its answer would be waited for, as long as for any."""
    for report in presence.reports("celery"):
        if not _lives(report.facts.get("pid")):
            presence.leave("celery", report.worker)


def _lives(pid: int | None) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid or 0, 0)
        return pid is not None
    return False


def _look_into(store: Server) -> None:
    statuses.configure(
        url=store.url,
        namespace="contract",
        timeout_seconds=2.0,
        connect_timeout_seconds=1.0,
        stale_after=timedelta(seconds=1.2),
    )
