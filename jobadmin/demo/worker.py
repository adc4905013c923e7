"""What the worker and the traffic run with: the Celery app, and the status service configured without Django."""

import statuses

from . import packages
from .celeryapp import app, store_url

#: As in settings.JOBADMIN: the page looks there.
NAMESPACE = "jobs"

# Read once, before the pool's processes fork: else each would at its first job.
packages.installed()
statuses.configure(url=store_url(), namespace=NAMESPACE)

__all__ = ["NAMESPACE", "app"]
