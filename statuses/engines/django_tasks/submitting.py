"""Which tasks can be enqueued by their name."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from .. import submitting
from .backends import MODULES


def find(name: str) -> Any:
    """The task of this path; None where there is none, or its module was not imported here."""
    found = submitting.loaded(name)
    return found if issubclass(type(found), _kinds()) and found.module_path == name else None


def names() -> list[str]:
    """The paths of all of them."""
    kinds = _kinds()
    return [value.module_path for _path, value in submitting.all_loaded() if issubclass(type(value), kinds)]


def _kinds() -> tuple[type, ...]:
    """The classes of tasks that this process has imported."""
    return tuple(importlib.import_module(f"{name}.base").Task for name in MODULES if name in sys.modules)
