"""A Django project with django-rq, as one finds them: settings, and functions that are queued."""

import os
import sys
from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="tests",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django_rq", "statuses"],
    JOBADMIN={"URL": os.environ["TEST_STORE"], "NAMESPACE": "contract"},
    RQ={"JOB_CLASS": "statuses.engines.rq.Job"},
    RQ_QUEUES={"django": {"URL": f"unix://{os.environ['TEST_BROKER']}?db=3"}},
)
django.setup()

import django_rq  # noqa: E402

from statuses.engines import rq as tracking  # noqa: E402

tracking.install(name="django-rq")

READY = "*** Listening on"


def worker(name: str, queue: str) -> list[str]:
    """The command line of a worker."""
    return ["-m", "tests.projects.djangorq_project", "rqworker", "django", "--name", name]


def ready() -> None:
    """Nothing to set up."""


def send(task: str, *args: Any) -> str:
    """Queue a function of `work`; RQ's id of the job."""
    return django_rq.get_queue("django").enqueue(f"tests.projects.work.{task}", *args).id


if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
