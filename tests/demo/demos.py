"""The demo as a process of its own, with data of its own."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import pytest

import statuses
from jobadmin.demo.environment import ROOT
from statuses.embedded import socket_url


def until(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The first truth `true` gives; fails the test when none comes in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.05)
    pytest.fail(f"waited {seconds} s in vain: {what}")


class Demo:
    """`manage.py demo` with data of its own, in a directory with a space. It ends with its block, if a test has not ended it."""

    def __init__(self, var: Path, *arguments: str, redis_url: str = "") -> None:
        self.var = var
        self.output, self.messages = var / "stdout", var / "stderr"
        removed = ("DJANGO_SETTINGS_MODULE", "JOBADMIN_DEMO")
        environ = {name: value for name, value in os.environ.items() if name not in removed}
        environ |= {"JOBADMIN_VAR": str(var), "REDIS_URL": redis_url}
        with self.output.open("w") as output, self.messages.open("w") as messages:
            command = [sys.executable, "manage.py", "demo", *arguments]
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=messages)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        until(lambda: not self.processes(), "everything has ended")

    def wait_ready(self) -> Self:
        until(lambda: "Login:" in self.output.read_text() or self.process.poll() is not None, "the demo tells its address", 120)
        assert self.process.poll() is None, self.messages.read_text()
        statuses.configure(url=socket_url(self.var / "server"), namespace="jobs")
        return self

    @property
    def address(self) -> str:
        return re.findall(r"^Address: (\S+)$", self.output.read_text(), re.MULTILINE)[0]

    def processes(self) -> dict[int, str]:
        """What runs with this demo's data: pid -> command line."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                # The server writes its title over its environment; its socket is in the title.
                if f"JOBADMIN_VAR={self.var}\0".encode() in (folder / "environ").read_bytes() or f"{self.var}/server" in line:
                    found[int(folder.name)] = line
        return found

    def end(self, signum: int = signal.SIGINT) -> int:
        """Ends it as a user does; its exit code."""
        self.process.send_signal(signum)
        return self.process.wait(60)
