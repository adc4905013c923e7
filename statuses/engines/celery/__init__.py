"""Celery, tracked without touching a task.

from statuses.engines import celery as tracking
tracking.install(app)
"""

from .adapter import install, uninstall
from .engine import Celery
from .who import as_user

__all__ = ["Celery", "as_user", "install", "uninstall"]
