"""The demo begins where it can, says why where it cannot, and leaves nothing behind however it ends. Apart from the stories of one that
runs: it would send its jobs meanwhile."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import statuses
from jobadmin.demo.environment import ROOT
from statuses import upkeep
from tests.demo.demos import Demo, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


@pytest.fixture
def new_var() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="jobadmin demo ") as directory:
        yield Path(directory)


def test_a_port_that_is_taken_is_named(new_var):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = Demo(new_var, "--port", str(port))

        assert other.process.wait(60) == 1
        assert f"Port {port} cannot be used" in other.messages.read_text()
        assert other.processes() == {}


def test_a_server_of_ones_own_that_is_away_is_named(new_var):
    environ = os.environ | {"JOBADMIN_VAR": str(new_var), "JOBADMIN_DEMO": "1", "REDIS_URL": "redis://127.0.0.1:1/0"}
    command = [sys.executable, "manage.py", "demo"]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "The server that REDIS_URL names cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_server_of_ones_own_is_used(new_var, other_server):
    with Demo(new_var, redis_url=other_server.url) as running:
        running.wait_ready()
        statuses.configure(url=other_server.url, namespace="jobs")

        until(lambda: statuses.where(state="succeeded").count() > 20, "jobs ran")
        assert running.end() == 0

    assert not (new_var / "server").exists()
    assert not other_server.ended()
    assert {chore.chore: chore.ended_at is not None for chore in upkeep.chores()} == {"reap": True, "sample": True}


@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.3, 2.0])
def test_a_signal_in_the_midst_of_starting_leaves_nothing(new_var, seconds):
    with Demo(new_var) as starting:
        time.sleep(seconds)  # wherever it is then

        starting.end(signal.SIGTERM)

        assert starting.processes() == {}
