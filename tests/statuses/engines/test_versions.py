"""Engines that are older, or newer, than any that was tried."""

import logging
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from statuses import checks
from statuses.engines import versions

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "_said", {})


def test_the_extras_ask_for_the_versions_that_were_tried() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    for package, (least, below) in versions.TRIED.items():
        first, last = extras[package][0].partition(";")[0].removeprefix(package).split(",")
        assert (*map(int, first.removeprefix(">=").split(".")), 0)[:2] == least, package
        assert tuple(map(int, last.removeprefix("<").split("."))) == below, package


def test_what_runs_here_was_tried() -> None:
    assert not [text for text in map(versions.outside, versions.TRIED) if text]


@pytest.mark.parametrize(
    ("present", "says"),
    [
        ("2.8.4", "is older than 2.9,"),
        ("1.16", "is older than 2.9,"),
        ("2", "is older than 2.9,"),
        ("2.9.0", ""),
        ("2.12.0", ""),
        ("3.0.0rc1", ""),
        ("3.99", ""),
        ("4.0.0", "is newer than tracking was tried with (below 4)"),
        ("17", "is newer than tracking was tried with (below 4)"),
        ("odd", ""),
        (None, ""),
    ],
)
def test_an_engine_that_nobody_tried_is_named_in_the_log_and_by_the_system_checks(
    present: str | None, says: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metadata, "version", lambda package: present)

    with caplog.at_level(logging.WARNING):
        versions.say_if_untried("rq")
        versions.say_if_untried("rq")

    found = [found.msg for found in checks.check_engines()]
    assert len(caplog.messages) == len(found) == bool(says), "once each"
    assert all(f"rq {present} {says}" in text for text in [*caplog.messages, *found])


def test_an_engine_that_is_not_installed_is_nobody_s_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(versions.TRIED, "no-such-engine", ((1,), (2,)))

    versions.say_if_untried("no-such-engine")

    assert versions.warnings() == []


#: How a project installs each adapter, and the package it is of.
INSTALLS = {
    "celery": "import celery; from statuses.engines import celery as tracking; tracking.install(celery.Celery('shop'))",
    "rq": "from statuses.engines import rq as tracking; tracking.install()",
    "dramatiq": "from dramatiq.brokers.stub import StubBroker; from statuses.engines import dramatiq as tracking; tracking.install(StubBroker())",
    "huey": "from huey import MemoryHuey; from statuses.engines import huey as tracking; tracking.install(MemoryHuey('shop'))",
    "django-tasks": "import django_tasks; from statuses.engines import django_tasks as tracking; tracking.install()",
}


@pytest.mark.parametrize("package", INSTALLS)
def test_an_adapter_that_is_installed_for_an_engine_that_nobody_tried_says_so_and_tracks(package: str) -> None:
    if package == "django-tasks":
        pytest.importorskip("django_tasks")
    begin = (
        "from importlib import metadata; metadata.version = lambda package: '99.1'; from django.conf import settings; settings.configure()"
    )
    end = "from statuses.engines import all; assert len(all()) == 1"

    told = subprocess.run(
        [sys.executable, "-c", "; ".join((begin, INSTALLS[package], end))], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert (told.returncode, f"{package} 99.1 is newer than tracking was tried with" in told.stderr) == (0, True), told.stderr
