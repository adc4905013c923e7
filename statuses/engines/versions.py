"""The oldest version of each engine that tracking was tried with."""

import logging
from importlib import metadata

logger = logging.getLogger(__name__)

#: Package -> the oldest that passed all tests of its adapter; the extras in pyproject.toml ask for the same.
LEAST = {"celery": (5, 5), "dramatiq": (2, 0), "huey": (3, 5), "rq": (2, 9)}


def say_if_older(package: str) -> None:
    """Log a warning where an engine is older than that, for its jobs may be told wrong: who installed it without our extra was not told."""
    try:
        present = metadata.version(package)
        numbers = tuple(int(part) for part in present.split(".")[:2])
    except (metadata.PackageNotFoundError, ValueError):
        return
    if numbers < LEAST[package]:
        wanted = ".".join(map(str, LEAST[package]))
        logger.warning(
            "%s %s is older than %s, the oldest that tracking was tried with: some of its jobs may be told wrong", package, present, wanted
        )
