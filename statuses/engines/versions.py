"""The versions of each engine that tracking was tried with: another one may tell some of its jobs wrong."""

import logging
import re
from importlib import metadata

logger = logging.getLogger(__name__)

#: Package -> the oldest that passed all tests of its adapter, and the first that nobody has tried; as the extras in pyproject.toml say.
TRIED = {
    "celery": ((5, 5), (6,)),
    "django-tasks": ((0, 11), (1,)),
    "dramatiq": ((2, 0), (3,)),
    "huey": ((3, 5), (4,)),
    "rq": ((2, 9), (4,)),
}
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")
_THEN = "some of its jobs may be told wrong"
_said: dict[str, str] = {}


def say_if_untried(package: str) -> None:
    """Log a warning where an engine that is tracked from now on is older than those, or newer, and keep it for the system checks
    (`warnings`): who installed it without our extra was not told. Never raises."""
    warning = outside(package)
    if not warning:
        _said.pop(package, None)
    elif _said.get(package) != warning:
        _said[package] = warning
        logger.warning(warning)


def warnings() -> list[str]:
    """What was said of the engines that this process tracks."""
    return [_said[package] for package in sorted(_said)]


def outside(package: str) -> str:
    """Why jobs of the installed version may be told wrong; empty where it was tried, or is not there, or nobody can read it."""
    least, below = TRIED[package]
    try:
        present = metadata.version(package)
        found = _NUMBERS.match(present)
        numbers = tuple(map(int, found[0].split("."))) if found else least
    except Exception:  # whatever stands in place of its metadata
        return ""
    if numbers < least:
        return f"{package} {present} is older than {_text(least)}, the oldest that tracking was tried with: {_THEN}"
    if numbers >= below:
        return f"{package} {present} is newer than tracking was tried with (below {_text(below)}): {_THEN}"
    return ""


def _text(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
