"""Celery, tracked without touching a task.

from statuses.engines import celery as tracking
tracking.install(app)
"""

from ..who import as_user
from .adapter import install, uninstall
from .engine import Celery

__all__ = ["Celery", "as_user", "install", "uninstall"]
