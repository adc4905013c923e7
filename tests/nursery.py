"""Processes that begin with their packages imported: a start costs a fork, not a second of importing.

Each engine has a nursery, a process that has imported what the processes of its projects begin with, and nothing that looks at the
environment. Told so, it forks; the child becomes what `python -m ...` or `python -c ...` would have been."""

import atexit
import contextlib
import functools
import importlib
import os
import pickle
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
#: What the processes of an engine's projects import first.
IMPORTS = {
    # Not the worker's own modules: they come after the project, whose tracking has to see what they import.
    "celery": (
        "celery.bin.celery", "celery.backends.redis", "kombu.transport.redis", "statuses.engines.celery.chords",
        "statuses.engines.celery.engine", "statuses.engines.celery.presence", "statuses.engines.celery.worker",
    ),
    "celery-rabbitmq": ("celery.bin.celery", "kombu.transport.pyamqp", "celery.backends.redis", "statuses.engines.celery.engine"),
    "django-tasks": ("django.core.management.commands.migrate", "django.db.backends.sqlite3.base", "statuses.engines"),
    "django-rq": ("rq.cli", "django.core.management", "statuses.engines.rq"),
    "dramatiq": ("dramatiq.cli", "dramatiq.brokers.redis", "dramatiq.rate_limits.backends", "statuses.engines.dramatiq"),
    "dramatiq-rabbitmq": (
        "dramatiq.cli", "dramatiq.brokers.rabbitmq", "dramatiq.brokers.redis", "dramatiq.rate_limits.backends", "statuses.engines.dramatiq",
    ),
    "huey": ("huey.bin.huey_consumer", "statuses.engines.huey"),
    "rq": ("rq.cli", "rq.cron", "statuses.engines.rq"),
}  # fmt: skip
#: Bytes of one request: a command line and an environment.
MOST = 1 << 17


class Child:
    """A process that a nursery made, with what tests need of a `subprocess.Popen`."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self.returncode: int | None = None
        self.pid = self._told()

    def _told(self) -> int:
        said = self._line.recv(64)
        assert said, "the nursery is gone"
        return int(said)

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code once it has ended. Raises: subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            self.returncode = self._told()
            self._line.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """A process that forks others. It goes when this one does, however that ends, and takes along what runs of the others."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        outside = {name: value for name, value in os.environ.items() if name not in ("DJANGO_SETTINGS_MODULE", "REDIS_URL")}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), *modules],
                cwd=ROOT,
                env={**outside, "PYTHONUNBUFFERED": "1"},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        atexit.register(self._close)

    def start(self, command: Sequence[str], environment: dict[str, str], files: tuple[int, int, int]) -> Child:
        """A process in a group of its own that does what Python does with this command line; `files`: its input, output and errors."""
        request = pickle.dumps((list(command), environment))
        line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._control, [request], [*files, theirs.fileno()])
        return Child(line)

    def _close(self) -> None:
        self._control.close()
        self._process.wait()


@functools.cache
def of(engine: str) -> Nursery:
    """The nursery of an engine, in this run of tests."""
    return Nursery(IMPORTS[engine])


class _Forking:
    """What runs in a nursery."""

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.lines: dict[int, socket.socket] = {}
        self.woken, self.waker = os.pipe()
        os.set_blocking(self.waker, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.waker)

    def next_child(self) -> tuple[list[str], dict[str, str]] | None:
        """In each child what it was started for; in the nursery itself None, at the end."""
        while True:
            ready, _, _ = select.select([self.control, self.woken], [], [])
            if self.woken in ready:
                os.read(self.woken, 1024)
                self._bury()
            if self.control in ready:
                request, files, _, _ = socket.recv_fds(self.control, MOST, 4)
                if not request:
                    return None
                if self._fork(files):
                    return pickle.loads(request)

    def end_all(self) -> None:
        """End what still runs, with the processes that it has started: nobody is there any more who would."""
        for pid in _descendants(self.lines):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _fork(self, files: Sequence[int]) -> bool:
        pid = os.fork()
        if not pid:
            self._leave(files)
            return True
        *theirs, line = files
        for file in theirs:
            os.close(file)
        self.lines[pid] = socket.socket(fileno=line)
        self.lines[pid].send(str(pid).encode())
        return False

    def _leave(self, files: Sequence[int]) -> None:
        """In the child: nothing of the nursery is kept."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        for file in (*files, self.woken, self.waker):
            os.close(file)
        for held in (self.control, *self.lines.values()):
            held.close()

    def _bury(self) -> None:
        while self.lines:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            line = self.lines.pop(pid)
            with contextlib.suppress(OSError), line:
                line.send(str(os.waitstatus_to_exitcode(status)).encode())


def _descendants(pids: Iterable[int]) -> list[int]:
    """These processes and all below them."""
    listed = subprocess.run(["ps", "-A", "-o", "ppid=,pid="], capture_output=True, text=True).stdout
    below: dict[int, list[int]] = {}
    for parent, pid in (map(int, line.split()) for line in listed.splitlines()):
        below.setdefault(parent, []).append(pid)
    found = list(pids)
    for pid in found:
        found += below.get(pid, ())
    return found


def _become(command: Sequence[str], environment: dict[str, str]) -> None:
    """Do what Python does with this command line."""
    os.environ.clear()
    os.environ.update(environment)
    random.seed()
    kind, what, *arguments = command
    sys.argv = [kind, *arguments]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        main: Any = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(what, "<string>", "exec"), main.__dict__)


def _main() -> None:
    forking = _Forking(socket.socket(fileno=int(sys.argv[1])))
    for name in sys.argv[2:]:
        with contextlib.suppress(ImportError):  # of a package as old as we support
            importlib.import_module(name)
    child = forking.next_child()
    if child is None:
        forking.end_all()
        return
    del forking
    _become(*child)


if __name__ == "__main__":
    _main()
