"""Dramatiq, tracked by a middleware, without touching an actor.

from statuses.engines import dramatiq as tracking
tracking.install(broker)
"""

from ..who import as_user
from .adapter import install, uninstall
from .engine import Dramatiq
from .middleware import Tracking

__all__ = ["Dramatiq", "Tracking", "as_user", "install", "uninstall"]
