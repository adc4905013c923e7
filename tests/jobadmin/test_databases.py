"""What the database must bear, whichever it is: texts as jobs and people bring them, connections that are lost, many at the same time.

These run on SQLite, and on PostgreSQL or MySQL where TEST_DATABASE_URL names one. What one of those alone refuses is looked for in what is sent.
"""

import pytest
from django.core.exceptions import ImproperlyConfigured

from jobadmin import settings
from jobadmin.models import Operation

pytestmark = pytest.mark.usefixtures("store")
States = Operation.State


# Which database


def test_an_address_names_the_database() -> None:
    named = settings._database("postgresql://olu:p%40ss@db.example.org:6432/jobs?sslmode=require")

    assert (named["ENGINE"], named["NAME"], named["HOST"], named["PORT"]) == (
        "django.db.backends.postgresql", "jobs", "db.example.org", 6432,
    )  # fmt: skip
    assert (named["USER"], named["PASSWORD"], named["OPTIONS"]) == ("olu", "p@ss", {"sslmode": "require"})
    assert settings._database("mysql:///jobs")["ENGINE"] == "django.db.backends.mysql"
    assert settings._database("")["ENGINE"] == "django.db.backends.sqlite3"
    with pytest.raises(ImproperlyConfigured, match=r"DATABASE_URL must begin with .* not 'oracle'"):
        settings._database("oracle://db/jobs")
