"""Processes of tests that fork from one that has imported: they end with the tests."""

import subprocess
import sys

from tests.nursery import ROOT

#: A run of tests whose worker has a process of its own, in another group. All of them write to one pipe.
RUN = """
import os, sys
from tests.nursery import Nursery
worker = "import subprocess, time; subprocess.Popen(['sleep', '60'], start_new_session=True); print('runs', flush=True); time.sleep(60)"
child = Nursery([]).start(["-c", worker], dict(os.environ), (0, 1, 2))
sys.stdin.read()
"""


def test_a_run_of_tests_that_is_killed_leaves_no_process_behind() -> None:
    run = subprocess.Popen([sys.executable, "-c", RUN], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "runs\n"

    run.kill()

    out, _ = run.communicate(timeout=60)  # until nobody holds the other end of the pipe
    assert out == ""
