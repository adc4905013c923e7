"""The backends of the project: which there are, and what the table of the database's holds."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.apps import apps
from django.conf import settings
from django.db import router
from django.db.models import Count
from django.utils.module_loading import import_string

MODULES = ("django.tasks", "django_tasks")
#: The label of the app with the results of the database backend.
DATABASE_APP = "django_tasks_database"
#: The ends of the modules of backends that nobody works for: they run a task where it is enqueued, or never.
_WITHOUT_WORKERS = (".backends.immediate", ".backends.dummy")


def backend_of(alias: str | None) -> Any:
    """The backend of this name, None where there is none."""
    for module in MODULES:
        try:
            return importlib.import_module(module).task_backends[alias or "default"]
        except Exception:  # not installed, or not set up: the other one may be
            continue
    return None


def any_gives_results() -> bool:
    """Whether a backend of the project can be asked for results. Never raises."""
    try:
        found = [backend_of(alias) for alias in getattr(settings, "TASKS", {"default": {}})]
    except Exception:  # the project's mistake, and its own checks say so
        return False
    return any(backend is not None and backend.supports_get_result for backend in found)


def only_database() -> bool:
    """Whether all that waits in this project waits in the database, whose workers tell of themselves. Never raises."""
    if not apps.apps_ready or not apps.is_installed("django_tasks_db"):
        return False
    try:
        from django_tasks_db import DatabaseBackend

        found = [import_string(backend["BACKEND"]) for backend in settings.TASKS.values()]
    except Exception:  # the project's mistake, and its own checks say so
        return False
    waiting = [backend for backend in found if not backend.__module__.endswith(_WITHOUT_WORKERS)]
    return bool(waiting) and all(issubclass(backend, DatabaseBackend) for backend in waiting)


def queue_names() -> set[str]:
    """The queues that the settings name."""
    found = (backend_of(alias) for alias in settings.TASKS)
    return {name for backend in found if backend is not None for name in backend.queues}


def depths() -> dict[str, int]:
    """Queue -> tasks in the database that are due and that no worker has taken. One query."""
    ready = apps.get_model(DATABASE_APP, "DBTaskResult").objects.ready()
    return dict(ready.order_by().values_list("queue_name").annotate(waiting=Count("pk")))


def database() -> str | None:
    """The database of the results, None for the default one."""
    try:
        return router.db_for_write(apps.get_model(DATABASE_APP, "DBTaskResult"))
    except LookupError:
        return None


def is_database(backend: Any) -> bool:
    """Whether it keeps its tasks in the database."""
    try:
        from django_tasks_db import DatabaseBackend
    except Exception:  # not installed, or its app is not: then nobody has such a backend
        return False
    return isinstance(backend, DatabaseBackend)


def open_results(ids: Iterable[str]) -> set[str]:
    """Those of these results that are in the database and not over. One query for five hundred, to the database that they are written
    to: a copy of it may lag behind."""
    wanted, found = sorted(filter(_is_uuid, ids)), set()
    results = apps.get_model(DATABASE_APP, "DBTaskResult").objects.using(database()).exclude(status__in=("FAILED", "SUCCESSFUL"))
    for start in range(0, len(wanted), 500):
        found |= {str(id) for id in results.order_by().filter(id__in=wanted[start : start + 500]).values_list("id", flat=True)}
    return found


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
