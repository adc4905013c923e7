"""Huey, tracked by its signals and hooks, without touching a task.

from statuses.engines import huey as tracking
tracking.install(huey)
"""

from ..who import as_user
from .adapter import install, uninstall
from .engine import Huey

__all__ = ["Huey", "as_user", "install", "uninstall"]
