"""RQ, plain and in Django, tracked without touching a task: its jobs are of our class.

from statuses.engines import rq as tracking
engine = tracking.install(connection)
Queue(connection=connection, job_class=tracking.Job)       # and: rq worker --job-class statuses.engines.rq.Job
"""

from ..who import as_user
from .adapter import install, uninstall
from .engine import RQ
from .job import Job

__all__ = ["RQ", "Job", "as_user", "install", "uninstall"]
