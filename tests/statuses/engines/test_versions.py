"""Engines that are older than any that was tried."""

import logging
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from statuses.engines import versions

ROOT = Path(__file__).parents[3]


def test_the_extras_ask_for_the_oldest_versions_that_were_tried() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    for package, least in versions.LEAST.items():
        wanted = extras[package][0].removeprefix(f"{package}>=").split(",")[0]
        assert (*map(int, wanted.split(".")), 0)[:2] == least, package


@pytest.mark.parametrize(
    ("present", "says"), [("2.8.4", True), ("1.16", True), ("2.9.0", False), ("2.12.0", False), ("3.0.0rc1", False), ("odd", False)]
)
def test_an_engine_that_is_older_is_named_once_it_is_tracked(
    present: str, says: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metadata, "version", lambda package: present)

    with caplog.at_level(logging.WARNING):
        versions.say_if_older("rq")

    assert (f"rq {present} is older than 2.9" in caplog.text) is says
