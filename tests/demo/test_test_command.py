"""`manage.py test`: the whole suite on all processors, a part one by one."""

import os
import sys

import pytest

from jobadmin.demo.environment import ROOT
from jobadmin.demo.management.commands.test import PARALLEL, Command, arguments, processes


@pytest.mark.parametrize("given", [[], ["--full"], ["--full", "-m", "full and not alone", "--durations=12"], ["--redis-server"]])
def test_the_whole_suite_runs_beside_itself(given):
    assert arguments(given) == [*PARALLEL, *given]


@pytest.mark.parametrize(
    "given", [["tests/demo"], ["tests/demo/test_demo.py::test_it_prints_two_lines"], ["-k", "kill"], ["--pdb"], ["-n", "0"], ["-n=1"]]
)
def test_what_was_named_runs_one_by_one(given):
    assert arguments(given) == given


@pytest.mark.parametrize(("processors", "expected"), [(1, 2), (2, 3), (3, 4), (4, 4), (64, 4)])
def test_few_processors_have_one_more_file_to_turn_to_while_others_wait(processors, expected):
    assert processes(processors) == expected


def test_pytest_begins_with_no_settings_of_a_user_and_may_keep_what_it_compiles(monkeypatch):
    for name in ("DJANGO_SETTINGS_MODULE", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, "1")
    began = []
    monkeypatch.setattr(os, "chdir", lambda place: began.append(place))
    monkeypatch.setattr(os, "execv", lambda *command: began.append((*command, {*os.environ})))

    Command().handle("-k", "kill")

    place, (python, command, environment) = began
    assert (place, python, command) == (ROOT, sys.executable, [sys.executable, "-m", "pytest", "-k", "kill"])
    assert not environment & {"DJANGO_SETTINGS_MODULE", "PYTHONDONTWRITEBYTECODE"}
