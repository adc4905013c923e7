"""The settings."""

import os

URL = os.environ.get("REDIS_URL", "redis://localhost:6379")

SECRET_KEY = "a sample"
INSTALLED_APPS = ["django_rq", "statuses", "jobs.Jobs"]
RQ_QUEUES = {"shop": {"URL": URL}}
RQ = {"JOB_CLASS": "statuses.engines.rq.Job"}
JOBADMIN = {"URL": URL}
