"""The processes that the demo starts: each in a group of its own, with its log, started again when it dies."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from statuses.embedded import end_with_parent

from . import watchdog
from .environment import ROOT

#: Bytes of a log beyond which it is begun anew at the next start.
LOG_BYTES = 5_000_000
#: Seconds before a child that died is started again: the first time, and at most.
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 0.5, 30.0
#: A child that lived this long had started well: the next death begins with the shortest wait again.
SOUND_SECONDS = 30.0


class Watchdog:
    """The process that ends all others if this one is killed. It learns by a pipe what there is."""

    def __init__(self, keep_open: Sequence[int] = ()) -> None:
        """`keep_open`: file descriptors (locks) that shall stay held until everything has ended."""
        command = [sys.executable, "-I", "-S", watchdog.__file__]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, pass_fds=keep_open, text=True, bufsize=1)

    def tell(self, kind: str, group: int) -> None:
        """`child`, `server` or `gone`, and the process group."""
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin
            self._process.stdin.write(f"{kind} {group}\n")

    def close(self) -> None:
        """Ends it, and by it whatever it knows that is still there."""
        with contextlib.suppress(OSError, ValueError):
            assert self._process.stdin
            self._process.stdin.close()
        self._process.wait()


@dataclass(kw_only=True)
class Child:
    """One process that shall run, and its group."""

    name: str
    """In messages: `worker`."""
    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    watchdog: Watchdog
    nice: int = 0
    """How much it stands back behind others."""
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started_at: float = field(default=0.0, init=False)
    """Monotonic time of its last start."""
    backoff_seconds: float = field(default=FIRST_BACKOFF_SECONDS, init=False)

    def start(self) -> None:
        """Starts it. Its standard output and errors go to its log."""
        with self._open_log() as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, pass_fds=self.pass_fds, preexec_fn=self._before_exec,
            )  # fmt: skip
        self.watchdog.tell("child", self.process.pid)
        self.started_at = time.monotonic()

    def exit_code(self) -> int | None:
        """How it ended; None while it runs. What is left of its group is ended, too."""
        if self.process is None:
            return 0
        code = self.process.poll()
        if code is not None and watchdog.is_there(self.process.pid):
            watchdog.end([self.process.pid], grace_seconds=1.0)
        return code

    def next_wait_seconds(self) -> float:
        """How long to wait before it is started again; longer each time it dies soon."""
        if time.monotonic() - self.started_at > SOUND_SECONDS:
            self.backoff_seconds = FIRST_BACKOFF_SECONDS
        wait, self.backoff_seconds = self.backoff_seconds, min(self.backoff_seconds * 2, LONGEST_BACKOFF_SECONDS)
        return wait

    def ask_to_end(self) -> None:
        """SIGTERM to the process itself: it ends its own children."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def end(self, deadline: float) -> None:
        """Waits until it has ended, and kills its whole group at `deadline` (monotonic time)."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.watchdog.tell("gone", self.process.pid)
        self.process = None

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def _open_log(self) -> IO[bytes]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        is_big = self.log.exists() and self.log.stat().st_size > LOG_BYTES
        return self.log.open("wb" if is_big else "ab")

    def _before_exec(self) -> None:
        end_with_parent(signal.SIGTERM)
        if self.nice:
            os.nice(self.nice)
