"""A Django project with tasks in its database: `django.tasks` where Django has it, else the backport."""

import importlib.util
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import django
from django.conf import settings

from . import soon

_BACKPORT = [] if importlib.util.find_spec("django.tasks") else ["django_tasks"]

settings.configure(
    SECRET_KEY="tests",
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(Path(os.environ["TEST_LOGS"]) / "tasks.sqlite3"),
            # Nobody needs it after a power failure: a busy disk holds up no task.
            "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF"},
        }
    },
    INSTALLED_APPS=[*_BACKPORT, "django_tasks_db", "statuses", "statuses.engines.django_tasks.TrackDjangoTasks"],
    JOBADMIN={
        "URL": os.environ["TEST_STORE"],
        "NAMESPACE": "contract",
        "METRICS": soon.COUNTS,
        "TIMEOUT": soon.SECONDS,
        "CONNECT_TIMEOUT": soon.SECONDS,
    },
    TASKS={"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": []}},
)
django.setup()

if _BACKPORT:
    from django_tasks import task
else:
    from django.tasks import task  # ty: ignore[unresolved-import]

from django.apps import apps  # noqa: E402
from django.core.management import call_command, execute_from_command_line  # noqa: E402
from django.db import transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from statuses.engines import django_tasks as tracking  # noqa: E402

from . import work  # noqa: E402

tracking.install(resources={"chapter_id": "Chapter"}, heartbeat_seconds=float(os.environ.get("TEST_HEARTBEAT", "0.5")))

READY = "Starting worker"


def worker(name: str, queue: str) -> list[str]:
    """The command line of a worker."""
    options = ["--queue-name", queue, "--worker-id", name, "--interval", "0.05", "--no-startup-delay", "--no-reload"]
    # By its name, not as __main__: tasks are known by the module they stand in.
    return ["-c", f"from {__name__} import main; main()", "db_worker", *options]


def bare_worker(name: str, queue: str) -> list[str]:
    """The command line of a worker that hears no signals: the project runs it in a process of its own."""
    made = f"Worker(queue_names=[{queue!r}], interval=0.05, batch=False, backend_name='default', startup_delay=False, max_tasks=None"
    made += f", worker_id={name!r}, excluded_queue_names=[])"
    begin = "import logging; logging.basicConfig(level=logging.INFO); from django_tasks_db.management.commands.db_worker import Worker"
    return ["-c", f"import {__name__}; {begin}; {made}.run()"]


def plain_worker(name: str, queue: str) -> list[str]:
    """The command line of a worker that knows nothing of tracking."""
    option, command = bare_worker(name, queue)
    return [option, f"import {__name__}; {__name__}.tracking.uninstall(); {command}"]


def ready() -> None:
    """Make the tables."""
    call_command("migrate", verbosity=0)


@task
def add(x: int, y: int) -> int:
    return work.add(x, y)


@task
def count(name: str) -> str:
    return work.count(name)


@task
def read_book(book: str, chapter_id: int = 0, others: Any = ()) -> str:
    return work.read_book(book, chapter_id, others)


@task
def fail(message: str) -> None:
    work.fail(message)


@task
def fail_first(name: str, times: int) -> str:
    return work.fail_first(name, times)


@task
def gated(gate: str) -> str:
    return work.gated(gate)


@task
def fails_at(gate: str) -> None:
    work.fails_at(gate)


@task
def cooperative(gate: str) -> None:
    work.cooperative(gate)


@task
def with_progress(steps: int) -> str:
    return work.with_progress(steps)


@task
def with_big_result() -> str:
    return work.with_big_result()


@task
def take(thing: Any) -> str:
    return work.take(thing)


@task(takes_context=True)
def with_context(context: Any, book: str) -> int:
    return context.attempt


@task
async def wait_a_little(book: str) -> str:
    import statuses

    job = statuses.current()
    assert job is not None
    job.set_progress(0.5, message="half")
    return book


@task
def with_child() -> str:
    return str(add.using(queue_name="main").enqueue(1, 1).id)


def send(name: str, *args: Any, to: str = "main", later: float = 0, retries: int = 0, user: str | None = None, **kwargs: Any) -> str:
    """Enqueue a task; the id of its result."""
    found = globals()[name].using(queue_name=to)
    if later:
        found = found.using(run_after=timezone.now() + timedelta(seconds=later))
    with tracking.as_user(user):
        return str(found.enqueue(*args, **kwargs).id)


def send_and_roll_back() -> str:
    """Enqueue a task in a transaction that comes to nothing."""
    with transaction.atomic():
        id = send("add", 1, 1, to="nobody")
        transaction.set_rollback(True)
    return id


def send_unknown() -> str:
    """Enqueue a task that is gone by the time a worker meets it."""
    with transaction.atomic():
        id = send("add", 1, 1)
        apps.get_model("django_tasks_database", "DBTaskResult").objects.filter(id=id).update(task_path=f"{__name__}.gone")
    return id


def hand_out_again(id: str) -> None:
    """Let a task wait again that has begun, as somebody may who takes its worker for dead."""
    apps.get_model("django_tasks_database", "DBTaskResult").objects.filter(id=id).update(status="READY")


def is_over(id: str) -> bool:
    """Whether its backend says that the task has ended."""
    return add.get_backend().get_result(id).is_finished


def take_out(id: str, queue: str) -> dict[str, Any]:
    """Delete the task's row; what it held."""
    found = apps.get_model("django_tasks_database", "DBTaskResult").objects.filter(id=id)
    row = found.values().get()
    found.delete()
    return row


def put_back(id: str, queue: str, row: dict[str, Any]) -> None:
    """Insert it again."""
    apps.get_model("django_tasks_database", "DBTaskResult").objects.create(**row)


def main() -> None:
    """Its manage.py."""
    execute_from_command_line(sys.argv)
