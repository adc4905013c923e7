"""Starts everything the demo consists of, watches it, and ends all of it: server, web server, worker, traffic.

One thread. A signal that asks to end is heard at once while something is waited for, and at the next safe point otherwise;
nothing is started without being known to the watchdog, which ends it if this process is killed."""

import contextlib
import fcntl
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator
from typing import IO, Self

import statuses
from statuses.embedded import EmbeddedServer, ServerError, external_url

from . import celeryapp
from .children import Child, Watchdog
from .environment import ROOT
from .places import LOGS, VAR

HOST = "127.0.0.1"
#: The first port tried when none was asked for, and how many after it, before the system chooses.
PORT, PORTS = 8000, 20
#: Seconds the web server has for its first answer.
READY_SECONDS = 60.0
#: Seconds that children have to end by themselves.
GRACE_SECONDS = 8.0
#: Seconds between two looks at the children, and at the server.
LOOK_SECONDS, SERVER_LOOK_SECONDS = 0.25, 2.0
#: Seconds to wait for the processes of a demo that was killed a moment ago.
LEFTOVER_SECONDS = 25.0
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(Exception):
    """Raised when the demo cannot start or go on; says what to do."""


class Stopped(BaseException):
    """Raised in the midst of anything when somebody asks the demo to end."""


def say(text: str) -> None:
    """One line of progress. A terminal that is gone is no reason to stop tidying up."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


def listen(port: int | None) -> socket.socket:
    """A socket that listens on `port`, or on 8000 or a free one where None was asked for. It is handed to the web server,
    so nobody can take the port in between, and it stays when the web server is started again. Raises: DemoError."""
    for candidate in [port] if port is not None else [*range(PORT, PORT + PORTS), 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
            listener.listen(128)
        except (OSError, OverflowError) as error:
            listener.close()
            if port is not None:
                raise DemoError(f"Port {port} cannot be used: {error}. Choose another with --port, or none for a free one.") from error
            continue
        return listener
    raise DemoError("No port is free.")


class Supervisor:
    """The demo as one thing that starts and ends. Use it as a context manager: leaving it ends everything."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port
        self.address = ""
        self.children: list[Child] = []
        self.server: EmbeddedServer | None = None
        self.watchdog: Watchdog | None = None
        self._listener: socket.socket | None = None
        self._lock: IO[str] | None = None
        self._leftovers: IO[str] | None = None
        self._restarts: dict[str, float] = {}
        self._server_looked_at = 0.0
        self._is_safe = True
        self._is_asked = False

    def __enter__(self) -> Self:
        for signum in STOPPING:
            signal.signal(signum, self._on_signal)
        return self

    def __exit__(self, *exc: object) -> None:
        self._is_safe = False  # from here on signals change nothing: it is ending
        self._end_all()

    def prepare(self) -> None:
        """Takes the directory and the port, and starts the server that keeps the statuses.
        Raises: DemoError when a demo runs here already or the port is taken; ServerError."""
        VAR.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._take_locks()
        self._listener = listen(self.port)
        self.address = f"http://{HOST}:{self._listener.getsockname()[1]}/admin/jobs/"
        assert self._leftovers
        with self._uninterrupted():
            self.watchdog = Watchdog(keep_open=[self._leftovers.fileno()])
        url = external_url()
        if url:
            self._greet_external()
            return
        # It outlives this process if that is killed, until the watchdog ends it after the others; or the next start adopts it.
        self.server = EmbeddedServer(VAR / "server", end_with_owner=False)
        self._start_server()
        say(f"Server: {'adopted, it still ran' if self.server.adopted else self.server.version()}.")

    def start(self) -> None:
        """Starts worker, web server and traffic, and waits until the page answers. Raises: DemoError with the end of a log."""
        for child in (self._worker(), self._web(), self._traffic()):
            with self._uninterrupted():
                self.children.append(child)
                child.start()
        self._wait_for_page()
        self._tell_address()

    def watch(self) -> None:
        """Starts again what dies, for ever. Ends by `Stopped` only."""
        while True:
            self._look_at_server()
            for child in self.children:
                self._look_at(child)
            time.sleep(LOOK_SECONDS)

    def _worker(self) -> Child:
        command = [sys.executable, "-m", "celery", "-A", "jobadmin.demo.worker", "worker", "-P", "prefork", "-c", "4", "-n", "demo@%h"]
        command += ["-Q", ",".join(celeryapp.QUEUES), "-l", "WARNING", "--without-gossip", "--without-mingle"]
        # Ended with SIGTERM it gives its running jobs back at once, rather than finish them.
        return self._child("worker", command, {"REMAP_SIGTERM": "SIGQUIT"}, nice=10)

    def _web(self) -> Child:
        assert self._listener
        listener = self._listener.fileno()
        command = [sys.executable, "-m", "gunicorn", "jobadmin.wsgi", "--bind", f"fd://{listener}", "--worker-class", "gthread"]
        command += ["--workers", "1", "--threads", "8", "--graceful-timeout", "3", "--no-control-socket", "--log-level", "warning"]
        command += ["--limit-request-line", "8190"]  # as many servers have it; two hundred selected ids fit
        return self._child("web", command, {}, pass_fds=(listener,))

    def _traffic(self) -> Child:
        return self._child("traffic", [sys.executable, "-m", "jobadmin.demo.traffic"], {}, nice=10)

    def _child(self, name: str, command: list[str], environ: dict[str, str], nice: int = 0, pass_fds: tuple[int, ...] = ()) -> Child:
        assert self.watchdog
        shared = {"JOBADMIN_VAR": str(VAR), "DJANGO_SETTINGS_MODULE": "jobadmin.settings", "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
        log = LOGS / f"{name}.log"
        return Child(
            name=name, command=command, environ={**os.environ, **shared, **environ}, log=log, watchdog=self.watchdog, nice=nice,
            pass_fds=pass_fds,
        )  # fmt: skip

    def _greet_external(self) -> None:
        try:
            found = statuses.ping()
        except statuses.StatusesError as error:
            raise DemoError(f"The server that REDIS_URL names cannot be used: {error}") from error
        say(f"Server: the one that REDIS_URL names, {found['server']} {found['version']}.")

    def _start_server(self) -> None:
        assert self.server and self.watchdog
        with self._uninterrupted():
            self.server.launch()
            assert self.server.pid
            self.watchdog.tell("server", self.server.pid)
        self.server.wait_ready()

    def _wait_for_page(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._page_answers():
            for child in self.children:
                if child.exit_code() is not None:
                    raise DemoError(f"The {child.name} did not start. The end of {child.log}:\n{child.last_words()}")
            if time.monotonic() > deadline:
                raise DemoError(f"The page did not answer in {READY_SECONDS:.0f} s. See the logs in {LOGS}.")
            time.sleep(0.1)

    def _page_answers(self) -> bool:
        assert self._listener
        connection = http.client.HTTPConnection(*self._listener.getsockname(), timeout=2.0)
        try:
            connection.request("GET", "/admin/login/")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _look_at_server(self) -> None:
        if not self.server or time.monotonic() - self._server_looked_at < SERVER_LOOK_SECONDS:
            return
        self._server_looked_at = time.monotonic()
        if not self.server.ended():
            return
        say("The server ended; starting it again.")
        try:
            self._start_server()
        except ServerError as error:
            say(f"It does not start: {error}")

    def _look_at(self, child: Child) -> None:
        if child.name in self._restarts:
            if time.monotonic() >= self._restarts[child.name]:
                del self._restarts[child.name]
                with self._uninterrupted():
                    child.start()
            return
        code = child.exit_code()
        if code is None:
            return
        child.end(deadline=time.monotonic())
        wait = child.next_wait_seconds()
        self._restarts[child.name] = time.monotonic() + wait
        say(f"The {child.name} ended (exit code {code}, log {child.log}); starting it again in {wait:g} s.")

    def _end_all(self) -> None:
        """Everything ends, whatever happens on the way: what this process cannot do any more the watchdog does."""
        try:
            if self.children:
                say("Ending the demo ...")
            for child in self.children:
                child.ask_to_end()
            deadline = time.monotonic() + GRACE_SECONDS
            for child in self.children:
                child.end(deadline)
            if self.server and self.server.pid:
                group = self.server.pid
                self.server.stop()
                if self.watchdog:
                    self.watchdog.tell("gone", group)
        finally:
            if self.watchdog:
                self.watchdog.close()
            if self.children:
                say("All of it has ended; what was tracked is kept.")

    def _take_locks(self) -> None:
        """Two locks of this directory. The first is held by this process alone, and says where the demo is; the second also by
        the watchdog, until the last process of the demo has ended. Raises: DemoError when another demo runs here."""
        self._lock = lock = open(VAR / "demo.lock", "a+")  # noqa: SIM115  (held for life)
        self._leftovers = open(VAR / "leftovers.lock", "a+")  # noqa: SIM115
        why = "Another demo is just starting or ending here"
        if not _locked_within(lock, READY_SECONDS, lambda: bool(_address(lock)), why):
            raise DemoError(
                f"The demo already runs here, at {_address(lock) or 'an address it has not told'}.\n"
                "End it with Ctrl-C where it was started; or start one beside it with data of its own:\n"
                "  JOBADMIN_VAR=/some/directory python3 manage.py demo"
            )
        lock.truncate(0)
        if not _locked_within(self._leftovers, LEFTOVER_SECONDS, lambda: False, "What a killed demo left is just ending"):
            raise DemoError(f"Processes of a demo that was killed still use {VAR}; end them first.")

    def _tell_address(self) -> None:
        assert self._lock
        self._lock.write(self.address)
        self._lock.flush()

    @contextlib.contextmanager
    def _uninterrupted(self) -> Generator[None]:
        """A signal that comes inside the block is heard at its end: no process is left that nobody knows."""
        self._is_safe = False
        try:
            yield
        finally:
            self._is_safe = True
        if self._is_asked:
            raise Stopped

    def _on_signal(self, signum: int, frame: object) -> None:
        self._is_asked = True
        if self._is_safe:
            self._is_safe = False
            raise Stopped


def _locked_within(lock: IO[str], seconds: float, give_up: Callable[[], bool], why: str) -> bool:
    """Takes a lock, waiting for it at most `seconds`, or until there is a reason to give up; whether it was taken."""
    deadline, is_told = time.monotonic() + seconds, False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if give_up() or time.monotonic() > deadline:
                return False
        if not is_told:
            say(f"{why}; waiting for it.")
            is_told = True
        time.sleep(0.1)


def _address(lock: IO[str]) -> str:
    """Where the demo that holds the lock is; empty while it starts."""
    lock.seek(0)
    return lock.read()
