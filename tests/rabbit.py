"""A private RabbitMQ, where the machine has one."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pika

from tests.servers import free_port, until

#: Below the wrapper on the path, which wants to be root and then another user.
PROGRAMS = Path("/usr/lib/rabbitmq/bin")
#: Names of queues that more than one engine's tests have.
SHARED = ("main", "later", "doomed", "deep")


def is_there() -> bool:
    """Whether this machine has one."""
    return (PROGRAMS / "rabbitmq-server").exists() and shutil.which("epmd") is not None


class Rabbit:
    """One node, on ports of its own; so is the daemon that Erlang starts with it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="jt-"))
        ports = [str(free_port()) for _ in range(3)]
        self.url = f"amqp://guest:guest@127.0.0.1:{ports[0]}//"
        self.environment = {
            **os.environ,
            "HOME": str(self.folder),  # with the node's cookie
            "RABBITMQ_NODENAME": f"jt{os.getpid()}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": ports[0],
            "RABBITMQ_DIST_PORT": ports[1],
            "ERL_EPMD_PORT": ports[2],
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "true",  # else it does not end while it takes a node for alive
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
        }
        with (self.folder / "out").open("wb") as out:
            self.process = subprocess.Popen(
                [PROGRAMS / "rabbitmq-server"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        until(lambda: self.process.poll() is not None or "completed with" in self._said(), "RabbitMQ runs", 120)
        assert self.process.poll() is None, self._said()

    def _said(self) -> str:
        return (self.folder / "out").read_text(errors="replace")

    def freeze(self) -> None:
        os.killpg(self.process.pid, signal.SIGSTOP)
        until(self._stands, "all of its threads stand still")

    def _stands(self) -> bool:
        found = set()
        for path in Path("/proc").glob("[0-9]*/task/*/stat"):
            with contextlib.suppress(OSError):  # of others some end meanwhile
                state, _, group, *_ = path.read_text().rpartition(")")[2].split()
                found |= {state} if int(group) == self.process.pid else set()
        return found <= {"T", "Z"}

    def thaw(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)

    def drop_connections(self) -> None:
        """End every connection, as a network that breaks off."""
        command = [PROGRAMS / "rabbitmqctl", "--node", self.environment["RABBITMQ_NODENAME"], "close_all_connections", "tests"]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def forget(self) -> None:
        """Delete what the projects of another engine have left and those of the next one make otherwise."""
        with pika.BlockingConnection(pika.URLParameters(self.url.removesuffix("/"))) as connection:
            channel = connection.channel()
            for queue in SHARED:
                channel.queue_delete(queue)

    def stop(self) -> None:
        self.thaw()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        subprocess.run(["epmd", "-kill"], env=self.environment, capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def for_projects() -> Iterator[Rabbit]:
    """A fixture: one for all tests of a process, whose projects find it in their environment."""
    node = Rabbit()
    os.environ["TEST_RABBIT"] = node.url
    yield node
    del os.environ["TEST_RABBIT"]
    node.stop()
