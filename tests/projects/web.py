"""The dashboard as web processes serve it, with an engine that writes every job it sends again into the file TEST_SENT, and is
killed by those that are called fatal, with the whole process."""

import os
import signal
from datetime import timedelta

from django.core.wsgi import get_wsgi_application

from statuses import EngineCannot, State, Status
from statuses.engines import registry
from statuses.engines.base import Engine


class Noting(Engine):
    """Claims a job, then sends it: as adapters do."""

    name = "noting"
    can_retry = True

    def retry(self, status: Status, by: str | None = None) -> Status:
        status.requeued(attempt=status.attempt, sources=(State.failed,))
        if not status.changed:
            raise EngineCannot(status.id, self.name, "retry", "somebody else did in the same moment")
        sent = os.open(os.environ["TEST_SENT"], os.O_APPEND | os.O_WRONLY)
        os.write(sent, f"{status.id}\n".encode())
        os.close(sent)
        if status.job_name == "fatal":
            os.kill(os.getpid(), signal.SIGKILL)
        return status


application = get_wsgi_application()
registry.register(Noting())

from jobadmin import runner  # noqa: E402  # It has models, which come with the application.

runner.LEASE, runner._LOOK_SECONDS = timedelta(seconds=2.5), 0.5
