"""The demo as its user sees it: one command, two lines, real jobs, and one Ctrl-C that ends everything."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import statuses
from jobadmin.demo.environment import ROOT
from statuses.embedded import socket_url

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


def until(true: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The first truth `true` gives; fails the test when none comes in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.05)
    pytest.fail(f"waited {seconds} s in vain: {what}")


class Demo:
    """`manage.py demo` with data of its own, in a directory with a space."""

    def __init__(self, var: Path, *arguments: str, redis_url: str = "") -> None:
        self.var = var
        self.output, self.messages = var / "stdout", var / "stderr"
        removed = ("DJANGO_SETTINGS_MODULE", "JOBADMIN_DEMO")
        environ = {name: value for name, value in os.environ.items() if name not in removed}
        environ |= {"JOBADMIN_VAR": str(var), "REDIS_URL": redis_url}
        with self.output.open("w") as output, self.messages.open("w") as messages:
            command = [sys.executable, "manage.py", "demo", *arguments]
            self.process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output, stderr=messages)

    def wait_ready(self) -> "Demo":
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
        return self.process.wait(40)


@pytest.fixture(scope="module")
def var() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="jobadmin demo ") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def demo(var: Path) -> Iterator[Demo]:
    running = Demo(var).wait_ready()
    yield running
    running.process.kill()
    running.process.wait()
    until(lambda: not running.processes(), "everything has ended")


@pytest.fixture
def new_var() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="jobadmin demo ") as directory:
        yield Path(directory)


def test_it_prints_two_lines(demo):
    assert re.fullmatch(r"Address: http://127\.0\.0\.1:\d+/admin/jobs/\nLogin: admin / \S+\n", demo.output.read_text())


def test_its_page_answers_with_its_assets(demo):
    with urllib.request.urlopen(demo.address, timeout=10) as response:
        assert response.status == 200
        assert "/admin/login/" in response.url
    with urllib.request.urlopen(demo.address.replace("admin/jobs/", "static/jobadmin/app.js"), timeout=10) as response:
        assert response.status == 200


def test_its_jobs_are_of_many_kinds_soon(demo):
    until(lambda: statuses.all().count() > 250, "jobs are there")

    names = {facet.value for facet in statuses.all().counts_by("job_name", limit=50)}
    users = {facet.value for facet in statuses.all().counts_by("user")}
    queues = {facet.value for facet in statuses.all().counts_by("queue")}
    resources = [facet.value for facet in statuses.all().counts_by("job_arg", limit=200)]

    assert {"packages.hash_file", "packages.audit", "search.rebuild", "packages.verify_all", "reports.sizes"} <= names
    assert users == {"deploy", "nightly", "reports"}
    assert queues == {"default", "bulk", "reports"}
    assert any(text.startswith("Package:") for text in resources)
    assert any(text.startswith("Module:") for text in resources)


def test_its_jobs_fail_for_real_and_are_retried(demo):
    def kinds() -> set[str]:
        return {facet.value.split()[0] for facet in statuses.where(state="failed").counts_by("error")}

    assert until(lambda: len(kinds()) >= 3, "three kinds of failures", 120)
    assert until(lambda: any(s.attempt for s in statuses.where(job_name="search.index_package")), "a retry", 120)


def test_an_audit_has_children(demo):
    def audit() -> Any:
        found = statuses.where(job_name="packages.audit", state="succeeded").first()
        return found if found and found.children.count() >= 4 else None

    assert until(audit, "the children of an audit").user == "reports"


def test_a_long_job_looks_whether_it_shall_end_and_another_is_ended_by_force(demo):
    looking = until(lambda: statuses.where(job_name="search.rebuild", state="started").first(), "a long job that looks", 120)
    looking.request_kill(by="test")
    until(lambda: looking.reload().is_killed, "it ends")

    other = until(lambda: statuses.where(job_name="packages.verify_all", state="started").first(), "a long job that does not look", 120)
    assert other.worker


def test_a_worker_that_dies_is_started_again(demo):
    [worker] = [pid for pid, line in demo.processes().items() if " worker " in line and os.getpgid(pid) == pid]

    os.kill(worker, signal.SIGKILL)

    until(lambda: "The worker ended" in demo.messages.read_text(), "it is said")
    before = statuses.where(state="succeeded").count()
    until(lambda: statuses.where(state="succeeded").count() > before + 20, "jobs run again")


def test_a_server_that_dies_is_started_again_with_what_it_kept(demo):
    [server] = [pid for pid, line in demo.processes().items() if "server.sock" in line]
    before = statuses.all().count()
    time.sleep(1.1)  # the file is written once a second

    os.kill(server, signal.SIGKILL)

    until(lambda: "The server ended" in demo.messages.read_text(), "it is said")
    with contextlib.suppress(statuses.StoreUnavailable):
        assert until(lambda: statuses.all().count() >= before, "the jobs are there again")


def test_a_second_one_says_where_the_first_is(demo):
    second = subprocess.run(
        [sys.executable, "manage.py", "demo"], cwd=ROOT, env=os.environ | {"JOBADMIN_VAR": str(demo.var), "JOBADMIN_DEMO": "1"},
        capture_output=True, text=True, timeout=90,
    )  # fmt: skip

    assert second.returncode == 1
    assert second.stdout == ""
    assert f"already runs here, at {demo.address}" in second.stderr


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
    running = Demo(new_var, redis_url=other_server.url).wait_ready()
    statuses.configure(url=other_server.url, namespace="jobs")

    until(lambda: statuses.where(state="succeeded").count() > 20, "jobs ran")
    assert running.end() == 0

    assert not (new_var / "server").exists()
    assert not other_server.ended()


def test_however_it_ends_nothing_is_left_and_the_next_start_has_it_again(new_var):
    first = Demo(new_var).wait_ready()
    told = first.output.read_text().splitlines()[1]
    until(lambda: statuses.where(state="succeeded").count() > 50, "jobs ran")
    before = statuses.all().count()

    first.process.kill()  # cannot be caught
    first.process.wait()
    second = Demo(new_var).wait_ready()  # at once: it waits for what is ending

    assert second.output.read_text().splitlines()[1] == told
    assert statuses.all().count() >= before
    assert second.end() == 0
    until(lambda: second.processes() == {}, "everything has ended")

    third = Demo(new_var).wait_ready()
    assert third.output.read_text().splitlines()[1] == told
    assert statuses.all().count() > 50
    until(lambda: statuses.where(state="started", stale=True).count() == 0, "no job is left behind")
    assert third.end(signal.SIGTERM) == 0
    assert third.processes() == {}


@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.3, 2.0])
def test_a_signal_in_the_midst_of_starting_leaves_nothing(new_var, seconds):
    starting = Demo(new_var)
    time.sleep(seconds)  # wherever it is then

    starting.end(signal.SIGTERM)

    assert starting.processes() == {}
