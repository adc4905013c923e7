"""`manage.py test`: the whole suite on all processors, a part one by one."""

import pytest

from jobadmin.demo.management.commands.test import PARALLEL, arguments


@pytest.mark.parametrize("given", [[], ["--full"], ["--full", "-m", "full and not alone", "--durations=12"], ["--redis-server"]])
def test_the_whole_suite_runs_beside_itself(given):
    assert arguments(given) == [*PARALLEL, *given]


@pytest.mark.parametrize(
    "given", [["tests/demo"], ["tests/demo/test_demo.py::test_it_prints_two_lines"], ["-k", "kill"], ["--pdb"], ["-n", "0"], ["-n=1"]]
)
def test_what_was_named_runs_one_by_one(given):
    assert arguments(given) == given
