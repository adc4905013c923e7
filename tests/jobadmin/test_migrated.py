"""A project whose database was not migrated is told so, and shown what needs no table."""

from __future__ import annotations

import json
import sys
from html import unescape

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.urls import reverse

from jobadmin import migrated
from jobadmin.models import Operation, SavedView
from jobadmin.paths import job_url
from statuses.testing import make_status

from .databases import needs_undoable_tables

pytestmark = pytest.mark.usefixtures("store")

SAID = "The tables of Jobadmin are missing"


@pytest.fixture
def bare(db, monkeypatch):
    """The database as a project has it that did not migrate Jobadmin."""
    needs_undoable_tables()
    monkeypatch.setattr(migrated, "_whole", set())
    for model in (Operation, SavedView):
        _sql(f"DROP TABLE {model._meta.db_table}")


def _sql(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text)


@pytest.mark.parametrize("name", ["overview", "list", "names", "errors", "queues", "workers", "schedules", "redis", "operations"])
def test_a_page_is_shown_and_says_what_is_missing(bare, browse, name: str) -> None:
    make_status("started")

    page = browse().get(reverse(f"jobadmin:{name}"))

    assert page.status_code == 200
    assert SAID in page.content.decode() and "manage.py migrate" in page.content.decode()


def test_the_page_of_a_job_is_shown_too(bare, browse) -> None:
    job = make_status("failed", job_name="mail.send")

    page = browse().get(job_url(job.id))

    assert page.status_code == 200 and SAID in page.content.decode() and "mail.send" in page.content.decode()


@pytest.mark.parametrize("address", ["job", "bulk", "view_save"])
def test_nothing_is_done_that_could_not_be_written_down(bare, browse, address: str) -> None:
    job = make_status("queued")
    url = f"{job_url(job.id)}kill/" if address == "job" else reverse(f"jobadmin:{address}", args=["kill"] if address == "bulk" else [])

    page = browse().post(url, {"id": job.id, "name": "mine", "page": "list", "query": ""})

    assert page.status_code == 503 and unescape(page.content.decode()).count(SAID) > 0
    assert job.reload().is_queued and not job.kill_requested


def test_programs_are_told_with_a_code(bare, browse) -> None:
    job, client = make_status("queued"), browse()

    looked = client.get(reverse("jobadmin:api_jobs"))
    refused = client.post(reverse("jobadmin:api_job_action", args=[job.id, "kill"]), {}, content_type="application/json")

    assert looked.status_code == 200 and json.loads(looked.content)["total"] == 1
    assert refused.status_code == 503 and json.loads(refused.content)["error"]["code"] == "not_migrated"
    assert job.reload().is_queued


def test_a_check_of_the_database_names_the_tables(bare) -> None:
    (found,) = [message for message in run_checks(databases=["default"]) if message.id == "jobadmin.W001"]

    assert "jobadmin_operation, jobadmin_savedview" in found.msg and "manage.py migrate" in found.hint
    assert not [message for message in run_checks() if message.id == "jobadmin.W001"], "which is for those who ask for databases"


def test_a_column_of_a_later_version_is_missed_too(db, monkeypatch, browse) -> None:
    needs_undoable_tables()
    monkeypatch.setattr(migrated, "_whole", set())
    _sql(f"ALTER TABLE {Operation._meta.db_table} DROP COLUMN reason")

    (found,) = migrated.check_tables(databases=["default"])

    assert "jobadmin_operation.reason" in found.msg
    assert SAID in browse().get(reverse("jobadmin:operations")).content.decode()


def test_who_is_about_to_migrate_is_not_told_to(bare, monkeypatch) -> None:
    monkeypatch.setattr(sys, "argv", ["manage.py", "migrate"])

    assert migrated.check_tables(databases=["default"]) == []


def test_what_was_seen_once_is_not_looked_for_again(db, monkeypatch, django_assert_num_queries) -> None:
    monkeypatch.setattr(migrated, "_whole", set())
    assert not migrated.check_tables(databases=["default"])
    assert not migrated.is_lacking()

    with django_assert_num_queries(0):
        assert not migrated.is_lacking()


class Beside:
    """A router that puts some apps into another database."""

    def __init__(self, *apps: str) -> None:
        self.apps = apps

    def db_for_write(self, model, **hints) -> str | None:
        return "ops" if model._meta.app_label in self.apps else None


def warned() -> list:
    return [message for message in run_checks() if message.id == "jobadmin.W002"]


def test_a_check_says_where_the_tables_stand_in_another_database_than_the_users(settings) -> None:
    settings.DATABASE_ROUTERS = [Beside("jobadmin")]

    (found,) = warned()

    assert "jobadmin.Operation into 'ops', jobadmin.SavedView into 'ops'" in found.msg and "auth.User, into 'default'" in found.msg
    assert "one database" in found.hint


@pytest.mark.parametrize("apps", [(), ("jobadmin", "auth"), ("sessions",)])
def test_routers_that_keep_the_two_together_are_no_trouble(settings, apps: tuple[str, ...]) -> None:
    settings.DATABASE_ROUTERS = [Beside(*apps)]

    assert warned() == []
