"""The database of the tests, for a process of its own."""

import sqlite3
from contextlib import closing
from pathlib import Path

from django.db import connection


def copied(path: Path) -> str:
    """A file of SQLite with the same tables and rows; its path."""
    connection.ensure_connection()
    with closing(sqlite3.connect(path)) as other:
        # `backup` would wait for the transaction that the test runs in.
        other.executescript("\n".join(connection.connection.iterdump()))
    return str(path)
