"""What a machine knows of a process that said where it is."""

import os
import subprocess
import sys

import pytest

from statuses.engines import machine

pytestmark = pytest.mark.skipif(machine.here() is None, reason="this system does not say which it is")


def facts(pid: object, where: str | None) -> dict[str, object]:
    return {"pid": pid, "machine": where}


def test_a_process_of_this_machine_that_has_ended_is_gone_and_one_that_runs_is_not() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert machine.is_gone(facts(ended.pid, machine.here()))
    assert not machine.is_gone(facts(os.getpid(), machine.here()))
    assert not machine.is_gone(facts(1, machine.here()))


def test_a_process_that_has_ended_and_that_nobody_has_waited_for_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)

        assert machine.is_gone(facts(ended.pid, machine.here()))


@pytest.mark.parametrize("where", ["another", None])
def test_of_a_process_elsewhere_nobody_knows_here(where: str | None) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    assert not machine.is_gone(facts(ended.pid, where))


@pytest.mark.parametrize("pid", [None, 0, -1, "12"])
def test_what_is_no_process_is_not_gone(pid: object) -> None:
    assert not machine.is_gone(facts(pid, machine.here()))


def test_every_process_of_this_machine_says_the_same_of_it() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from statuses.engines import machine; print(machine.here())"], capture_output=True, text=True
    )

    assert said.stdout.strip() == machine.here()
