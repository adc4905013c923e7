"""The database of the tests: for a process of its own, and what only some databases can."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.utils import ConnectionHandler

from jobadmin.settings import _database


def copied(path: Path) -> str:
    """A file of SQLite with the same tables and rows; its path."""
    if connection.vendor != "sqlite":
        pytest.skip("a database of its own for another process: only of SQLite")
    connection.ensure_connection()
    with closing(sqlite3.connect(path)) as other:
        # `backup` would wait for the transaction that the test runs in.
        other.executescript("\n".join(connection.connection.iterdump()))
    return str(path)


def needs_undoable_tables() -> None:
    """Skips a test that takes tables away where that cannot be rolled back (MySQL, MariaDB): the next test would miss them."""
    if not connection.features.can_rollback_ddl:
        pytest.skip("this database keeps tables out of transactions")


@contextmanager
def apart(folder: Path) -> Iterator[str]:
    """A new database for several processes: beside the tests' own, or a file in `folder`. Its address, as DATABASE_URL takes it."""
    server = os.environ.get("TEST_DATABASE_URL", "")
    name = folder.name.replace("-", "_").lower()
    _ADDRESSES[folder] = f"{server.rpartition('/')[0]}/{name}" if server else ""
    if server:
        _ask(_database(server), f"CREATE DATABASE {name}")
    yield _ADDRESSES[folder]
    if server:
        _ask(_database(server), f"DROP DATABASE {name}")


def rows(folder: Path, statement: str) -> list[dict[str, Any]]:
    """What a statement gives in the database that is `apart`, as another program is told."""
    address = _database(_ADDRESSES[folder])
    return _ask(address if _ADDRESSES[folder] else {**address, "NAME": folder / "db.sqlite3"}, statement)


#: Folder -> the address of its database.
_ADDRESSES: dict[Path, str] = {}


def _ask(database: dict[str, Any], statement: str) -> list[dict[str, Any]]:
    with closing(ConnectionHandler({"default": database})["default"]) as other, other.cursor() as cursor:
        cursor.execute(statement)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []
