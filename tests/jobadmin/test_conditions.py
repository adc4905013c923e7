"""A store that is there and refuses: pages, the API and commands say why, what to do, and how long it lasts."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

import statuses
from jobadmin import conditions, outage
from jobadmin.conditions import WORDS
from jobadmin.paths import action_url, job_url
from statuses import health
from statuses.conditions import CONDITIONS
from statuses.health import Loading
from statuses.testing import make_status
from tests.statuses.instances import Instance, instances
from tests.statuses.test_conditions import loading, reach


@pytest.fixture
def client(browse: Any) -> Client:
    return browse(raise_request_exception=False)


@pytest.fixture(autouse=True)
def never_away() -> Iterator[None]:
    yield
    outage.over()


@pytest.fixture
def reads_its_file(store: Any) -> Iterator[Instance]:
    with instances() as make:
        yield reach(loading(make))


@pytest.fixture
def full(store: Any) -> Iterator[statuses.Status]:
    """A job in a store whose memory is full."""
    with instances() as make:
        server = reach(make())
        status = make_status("started")
        with server.client() as admin:
            admin.config_set("maxmemory", 1)
        yield status


def test_every_condition_has_words_of_the_pages() -> None:
    assert WORDS.keys() == CONDITIONS.keys()


@pytest.mark.usefixtures("reads_its_file")
def test_a_page_says_that_redis_reads_its_file_and_for_how_long(client: Client) -> None:
    response = client.get(reverse("jobadmin:list"))

    page = response.content.decode()
    assert response.status_code == 503
    assert "Redis is reading its file" in page and "of it is read; the rest takes about" in page
    assert "So says" in page and "No reply" not in page and "Redis does not answer" not in page
    assert "data-retry-seconds" in page


@pytest.mark.usefixtures("reads_its_file")
def test_a_program_is_told_why_and_when_to_come_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "loading", lambda: Loading(share=0.25, left=timedelta(seconds=90)))

    response = client.get("/admin/jobs/api/counts/")

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["condition"]) == (503, "store_unavailable", "loading")
    assert error["message"].startswith("Redis is reading its file. 25.0 % of it is read; the rest takes about 2 min.")
    assert response["Retry-After"] == "90"


@pytest.mark.usefixtures("reads_its_file")
@pytest.mark.parametrize("command", [["jobs", "list"], ["clean_jobs"], ["reap_jobs"], ["check_jobs"], ["retry_jobs", "name=a"]])
def test_a_command_says_that_redis_reads_its_file_and_for_how_long(db: None, command: list[str]) -> None:
    with pytest.raises(CommandError, match=r"still reads its file .*\d% of it is read; the rest takes about \d+ s"):
        call_command(*command)


def test_a_full_store_shows_what_it_has_and_names_what_is_full(client: Client, full: statuses.Status) -> None:
    assert client.get(job_url(full.id)).status_code == 200

    response = client.post(action_url(full.id, "kill"))

    page = response.content.decode()
    assert response.status_code == 503
    assert "The memory of Redis is full" in page and "Raise maxmemory" in page
    assert "Pages that only read the jobs are shown." in page and "on record as operation" in page


def test_a_full_store_is_named_in_a_shell(db: None, full: statuses.Status) -> None:
    with pytest.raises(CommandError, match=r"its memory is full .*Raise maxmemory"):
        call_command("check_jobs")


def test_an_outage_without_words_says_none() -> None:
    assert conditions.said(statuses.StoreUnavailable("a read", "silence")) is None
