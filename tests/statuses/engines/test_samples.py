"""The sample projects of docs/samples: what their READMEs tell to type works, and leaves its statuses."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import statuses
from statuses import State
from tests.projects.running import ENGINES, need
from tests.servers import PATIENCE, ROOT, until

SAMPLES = ROOT / "docs" / "samples"


def commands(sample: Path) -> list[str]:
    """The lines to type, in their order; those that end in `&` run on."""
    return [line.strip() for line in (sample / "README.md").read_text().splitlines() if line.startswith("    ")]


@pytest.fixture
def typed(request: pytest.FixtureRequest, store: object, server_url: str, tmp_path: Path) -> Iterator[str]:
    """An engine whose sample was typed in; what ran on ends with the test."""
    name = request.param
    need(name)
    tools = Path(sys.executable).parent
    environment = {
        **{key: value for key, value in os.environ.items() if key not in ("DJANGO_SETTINGS_MODULE", "JOBADMIN_VAR")},
        "REDIS_URL": server_url,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{SAMPLES / name}",
        "SAMPLE_VAR": str(tmp_path),
    }
    running = []
    with (tmp_path / "log").open("ab") as log:
        for command in commands(SAMPLES / name):
            process = subprocess.Popen(
                command.removesuffix("&"), shell=True, cwd=SAMPLES / name, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            if command.endswith("&"):
                running.append(process)
            else:
                assert process.wait(PATIENCE) == 0, (tmp_path / "log").read_text()
    statuses.configure(url=server_url, namespace="jobs")
    yield name
    print((tmp_path / "log").read_text()[-6000:])
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("typed", sorted(path.name for path in SAMPLES.iterdir() if path.is_dir()), indirect=True)
def test_a_sample_shows_a_job_that_succeeded_and_one_that_failed(typed: str) -> None:
    shipped, refunded = (
        until(lambda order=order: statuses.find_by(job_arg=order, state="ended"), f"{order} has ended") for order in ("Order:7", "Order:8")
    )

    assert (shipped.state, shipped.data) == (State.succeeded, {"result": "Order:7 is on its way"})
    assert (refunded.state, refunded.error_summary) == (State.failed, "ValueError: Order:8 was never paid")


def test_every_engine_has_a_sample() -> None:
    engines = {name for name in ENGINES if not name.endswith("-rabbitmq")}  # the same with another broker

    assert {path.name for path in SAMPLES.iterdir() if path.is_dir()} >= engines
