"""Whether the database has what the pages keep in it: a project that was never migrated has no tables for it, an old one lacks columns."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Warning
from django.db import DatabaseError, InterfaceError, connections, router
from django.db.models import QuerySet
from django.db.models.manager import Manager

#: What helps.
REMEDY = "manage.py migrate"

#: Databases that have everything: once seen, it stays.
_whole: set[str] = set()


class KeptManager(Manager):
    """Finds nothing, and fails at nothing, where the table is missing: pages that read only Redis need none.

    Reads where it is written, whatever a router of the project says of reading: a replica is behind, and who has just begun an
    operation is shown it; what carries one out goes on from what it wrote last."""

    def get_queryset(self) -> QuerySet:
        found = super().get_queryset()
        if self._db is None:
            found = found.using(router.db_for_write(self.model))
        return found.none() if is_lacking(found.db) else found


def is_lacking(alias: str = "") -> bool:
    """Whether tables, or columns of them, are missing; False where nobody knows, and the question itself will tell.
    Source: nothing once they were seen; until then up to three questions about the schema."""
    alias = alias or router.db_for_write(apps.get_model("jobadmin", "Operation"))
    if alias in _whole:
        return False
    try:
        if next(_missing(alias), None) is not None:
            return True
    except (DatabaseError, InterfaceError):
        return False
    _whole.add(alias)
    return False


def check_tables(databases: Sequence[str] | None = None, **more: object) -> list[CheckMessage]:
    """The system check, for `check --database` and what else may look at databases. No error: `migrate` would refuse to mend it."""
    if sys.argv[1:2] == ["migrate"]:
        return []
    return [
        Warning(
            f"The database {alias!r} lacks what Jobadmin keeps in it: {', '.join(missing)}.",
            hint=f"Run {REMEDY}. Until then nothing can be killed, retried or removed on the pages, and no view of them saved.",
            id="jobadmin.W001",
        )
        for alias in databases or ()
        if (missing := list(_missing(alias)))
    ]


def check_router(app_configs: object, **more: object) -> list[CheckMessage]:
    """The system check of where a project's routers put things: a row here refers to its user, and no key leads into another database."""
    user = get_user_model()
    theirs = router.db_for_write(user)
    apart = {
        model._meta.label: alias
        for model in apps.get_app_config("jobadmin").get_models()
        if model._meta.managed and (alias := router.db_for_write(model)) != theirs
    }
    if not apart:
        return []
    return [
        Warning(
            f"DATABASE_ROUTERS put {', '.join(f'{label} into {alias!r}' for label, alias in apart.items())}, "
            f"and the users, {user._meta.label}, into {theirs!r}.",
            hint="Let both go to one database: who did what refers to the user, and Django has no keys across databases. "
            "Until then nothing can be killed, retried or removed on the pages, and no view of them saved.",
            id="jobadmin.W002",
        )
    ]


def _missing(alias: str) -> Iterator[str]:
    """The tables and columns that are not there."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        for model in apps.get_app_config("jobadmin").get_models():
            table = model._meta.db_table
            if not model._meta.managed or not router.allow_migrate_model(alias, model):
                continue
            if table not in there:
                yield table
                continue
            columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
            yield from (f"{table}.{field.column}" for field in model._meta.local_concrete_fields if field.column not in columns)
