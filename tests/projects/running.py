"""Projects of one engine as real processes: a worker, a publisher, and what a test does with them."""

import base64
import importlib.util
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import statuses
from statuses import EngineCannot, Status
from statuses.engines.base import Outcome, Worker
from tests import nursery
from tests.servers import PATIENCE, ROOT, Server, until


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is different about an engine."""

    package: str
    """What has to be installed."""
    module: str
    """Its project."""
    many: int
    """Short jobs that it does in a few seconds."""
    kills: bool = False
    """Whether a running job can be ended from outside."""
    retries: bool = True
    """Whether it retries by itself and says so."""
    pickles: bool = False
    """Whether arguments may be anything."""
    keeps: bool = False
    """Whether it keeps the call of a job that is over."""
    names_workers: bool = True
    """Whether a worker has the name it was given."""
    tells_due: bool = True
    """Whether it says that a job for later is due."""
    soon: float = 1
    """Seconds after which a job for later is due soon."""
    expires: str = "killed"
    """What becomes of a job that expired: killed by its worker, forgotten by its broker; never where it knows no such thing."""
    unknown: str = "failed"
    """What becomes of a job that no worker knows: failed at the worker that meets it, or forgotten."""
    many_worker: str = "worker"
    """Which of the project's workers does ten thousand short jobs in minutes."""


ENGINES = {
    "celery": Facts(package="celery", module="tests.projects.celery_project", many=100, kills=True),
    "celery-rabbitmq": Facts(package="celery", module="tests.projects.rabbit_project", many=0, kills=True),
    "django-tasks": Facts(
        package="django_tasks_db",
        module="tests.projects.django_tasks_project",
        many=50,
        retries=False,
        tells_due=False,
        expires="never",
        unknown="forgotten",
    ),
    "django-rq": Facts(package="django_rq", module="tests.projects.djangorq_project", many=0),
    "dramatiq": Facts(package="dramatiq", module="tests.projects.dramatiq_project", many=100, names_workers=False),
    "dramatiq-rabbitmq": Facts(package="pika", module="tests.projects.dramatiq_rabbit_project", many=0, names_workers=False),
    "huey": Facts(package="huey", module="tests.projects.huey_project", many=100, pickles=True, names_workers=False),
    "rq": Facts(
        package="rq",
        module="tests.projects.rq_project",
        many=30,
        kills=True,
        pickles=True,
        keeps=True,
        soon=2,  # it counts whole ones: a job for two of them may be due after one
        expires="forgotten",
        many_worker="simple_worker",
    ),
}


def _outside(environment: dict[str, str]) -> dict[str, str]:
    """The environment of the project under test, without that of this test run."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DJANGO_SETTINGS_MODULE", "REDIS_URL")}
    return {**kept, "PYTHONUNBUFFERED": "1", **environment}


class Process:
    """A worker, in a process group of its own."""

    def __init__(self, command: list[str], environment: dict[str, str], ready: str, log: Path, engine: str | None) -> None:
        """`engine`: whose nursery makes it, where it need not be one that can run its own command line again."""
        self.log = log
        at = log.stat().st_size if log.exists() else 0
        made = _outside(environment)
        self.process: nursery.Child | subprocess.Popen[bytes]
        with log.open("ab") as out, open(os.devnull, "rb") as nothing:
            if engine is None:
                self.process = subprocess.Popen(
                    [sys.executable, *command], cwd=ROOT, env=made, stdin=nothing, stdout=out, stderr=out, start_new_session=True
                )
            else:
                self.process = nursery.of(engine).start(command, made, (nothing.fileno(), out.fileno(), out.fileno()))
        until(lambda: ready in self.text()[at:] or self.process.poll() is not None, f"{command} is ready")
        assert self.process.poll() is None, self.text()

    def text(self) -> str:
        """All it has logged."""
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        """End it and all it has started at once, as a machine that goes dark."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it, and all it has started, a signal."""
        for pid in [self.process.pid, *_children(self.process.pid)]:
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                continue

    def stop(self) -> None:
        """Let it finish what runs, and go."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(child) for child in found.stdout.split()]


class Project:
    """One engine's project: sends and asks through its publisher, starts its workers."""

    def __init__(self, name: str, broker: Server, store: Server, logs: Path) -> None:
        self.name = name
        self.broker, self.store = broker, store
        self.logs = logs
        self.facts = ENGINES[name]
        self.environment = {"TEST_BROKER": str(broker.socket), "TEST_STORE": store.url, "TEST_LOGS": str(logs)}
        self.gates = broker.client(db=2)
        self.workers: list[Process] = []
        self._started = 0
        (hears, asked), (answered, tells) = os.pipe(), os.pipe()
        self._asked, self._answered = os.fdopen(asked, "wb"), os.fdopen(answered, "rb")
        command = ["-m", "tests.projects.publisher", self.facts.module]
        with os.fdopen(hears), os.fdopen(tells, "wb"), (logs / f"{name}-publisher.log").open("ab") as log:
            self._publisher = nursery.of(name).start(command, _outside(self.environment), (hears, tells, log.fileno()))

    def ask(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """Let the publisher call a function of the project. Raises: what it raised, as EngineCannot or RuntimeError."""
        self._asked.write(base64.b64encode(pickle.dumps((name, args, kwargs))) + b"\n")
        self._asked.flush()
        line = self._answered.readline()
        assert line, (self.logs / f"{self.name}-publisher.log").read_text()
        outcome, value = pickle.loads(base64.b64decode(line))
        if outcome in ("cannot", "cannot for good"):
            raise EngineCannot("?", self.name, "do it", value, for_good=outcome == "cannot for good")
        if outcome == "error":
            raise RuntimeError(value)
        return value

    def send(self, task: str, *args: Any, **options: Any) -> Status:
        """Send a job; its status."""
        return self.status(self.ask("send", task, *args, **options))

    def status(self, provider_job_id: str) -> Status:
        """The status of the engine's job."""
        found = statuses.find_by(provider_job_id=provider_job_id)
        assert found is not None, f"{self.name} job {provider_job_id} has no status"
        return found

    def start_worker(self, name: str, queue: str = "main", how: str = "worker", **environment: str) -> Process:
        """A worker that ends with the tests at the latest; `how`: the project's function with its command line."""
        # RQ remembers the names of workers that were killed.
        self._started += 1
        name = f"{name}-{os.getpid()}-{self._started}-{id(self) % 10_000}"
        made = {**self.environment, **environment}
        command, ready = self.ask(how, name, queue), self.ask("ready_text")
        engine = None if how == "command" else self.name
        self.workers.append(Process(command, made, ready, self.logs / f"{self.name}-{name}.log", engine))
        return self.workers[-1]

    def retry(self, status: Status) -> None:
        """What the page's button does."""
        self.ask("retry", status.id)

    def kill_now(self, status: Status) -> None:
        """What the page's button does."""
        self.ask("kill_now", status.id)

    def forgotten(self, status: Status) -> bool:
        """Whether the engine says that it will never run the job, as the reaper asks it."""
        return self.ask("forgotten", self.name, [status.id]) == [status.id]

    def open(self, gate: str) -> None:
        """Let whoever waits at the gate go on."""
        self.gates.rpush(gate, 1)

    def let_through(self, gate: str) -> None:
        """Let whoever waits at the gate go on, and wait until it has come through."""
        self.open(gate)
        until(lambda: self.noted(f"through:{gate}"), "it came through")

    def noted(self, name: str) -> int:
        """How often a task noted this."""
        return int(self.gates.get(f"noted:{name}") or 0)

    def pid(self, gate: str) -> int:
        """The process of the task that stands at the gate."""
        return int(self.gates.get(f"pid:{gate}") or 0)

    def outcomes(self, jobs: Sequence[Status]) -> list[Outcome | None]:
        """How the jobs ended as their engine says, asked about together."""
        return self.ask("outcomes", self.name, [job.id for job in jobs])

    def outcome(self, status: Status) -> Outcome | None:
        """How its engine says that it ended, as the reaper asks it."""
        return self.ask("outcome", self.name, status.id)

    def reaped(self, status: Status, seconds: float = PATIENCE, retries: int = 0) -> Status:
        """The status once it has ended, by the reaper at the latest; `retries`: how often that sends a job again."""

        def over() -> bool:
            self.ask("reap", 0.5, retries)
            return status.reload().is_ended

        until(over, f"{status.id} is given up, it is {status.reload().state}", seconds)
        return status

    def told(self, queue: str, wanted: Callable[[Worker], Any] = lambda worker: True) -> Worker:
        """The worker of this queue, once what it reports is as wanted."""

        def found() -> Worker | None:
            return next((worker for worker in self.ask("workers") if queue in worker.queues and wanted(worker)), None)

        return until(found, f"a worker of {queue} reports so")

    def began(self, gate: str) -> None:
        """Wait until a task stands at the gate."""
        until(lambda: self.noted(f"began:{gate}"), f"a task began at {gate}")

    def ended(self, status: Status, seconds: float = PATIENCE) -> Status:
        """The status once it has ended."""
        return self.becomes(status, "succeeded", "failed", "killed", seconds=seconds)

    def becomes(self, status: Status, *states: str, seconds: float = PATIENCE) -> Status:
        """The status once it is in one of these states."""
        until(lambda: status.reload().state in states, f"{status.id} becomes {' or '.join(states)}, it is {status.reload().state}", seconds)
        return status

    def end_workers(self, kept: int = 0) -> None:
        """End all workers but the first ones."""
        while len(self.workers) > kept:
            self.workers.pop().kill()

    def close(self) -> None:
        """End every process of the project."""
        self.end_workers()
        self._asked.close()
        self._publisher.wait(PATIENCE)
        self._answered.close()


#: Engines of the contract; django-rq is RQ in other clothes, and Celery and Dramatiq are the same with another broker.
CONTRACT = [name for name in ENGINES if name not in ("django-rq", "celery-rabbitmq", "dramatiq-rabbitmq")]


def need(name: str) -> None:
    """Skip where the engine is not installed."""
    package = ENGINES[name].package
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
