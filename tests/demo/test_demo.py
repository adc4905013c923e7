"""The demo as its user sees it: one command, two lines, real jobs, and what dies is there again."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import statuses
from jobadmin.demo.environment import ROOT
from statuses import upkeep
from tests.demo.demos import Demo, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")


@pytest.fixture(scope="module")
def var() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="jobadmin demo ") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def demo(var: Path) -> Iterator[Demo]:
    with Demo(var) as running:
        yield running.wait_ready()


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
    assert users == {"admin", "deploy", "nightly", "reports"}
    assert queues == {"default", "bulk", "reports"}
    assert any(text.startswith("Package:") for text in resources)
    assert any(text.startswith("Module:") for text in resources)


def test_its_reaper_tells_that_it_runs(demo):
    until(lambda: {chore.chore for chore in upkeep.chores()} >= {"reap", "sample"}, "it looked, and took a sample")

    assert not any(chore.is_overdue(statuses.server_time()) for chore in upkeep.chores())
    assert {chore.every_seconds for chore in upkeep.chores()} == {10, 60}


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
    def killed() -> bool:
        looking = statuses.where(job_name="search.rebuild", state="started").first()
        if looking is None:
            return False
        looking.request_kill(by="test")
        until(lambda: looking.reload().is_ended, "it ends")
        return looking.is_killed  # not of one that was at its end already

    until(killed, "a long job that looks", 240)

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


def test_however_it_ends_nothing_is_left_and_the_next_start_has_it_again(demo):
    """The last story here: it ends the demo of the others."""
    told = demo.output.read_text().splitlines()[1]
    until(lambda: statuses.where(state="succeeded").count() > 50, "jobs ran")
    before = statuses.all().count()

    demo.process.kill()  # cannot be caught
    demo.process.wait()
    with Demo(demo.var) as second:
        second.wait_ready()  # at once: it waits for what is ending
        assert second.output.read_text().splitlines()[1] == told
        assert statuses.all().count() >= before
        assert second.end() == 0
        until(lambda: second.processes() == {}, "everything has ended")

    with Demo(demo.var) as third:
        third.wait_ready()
        assert third.output.read_text().splitlines()[1] == told
        assert statuses.all().count() >= before
        # What is stale by now is given up, or handed out again, when it has been silent for three minutes.
        until(lambda: statuses.where(state="started", stale=True).count() == 0, "no job is left behind", 300)
        assert third.end(signal.SIGTERM) == 0
        assert third.processes() == {}
