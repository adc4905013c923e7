"""What was counted, as Prometheus asks for it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import Client, override_settings
from prometheus_client.parser import text_string_to_metric_families

import statuses
from jobadmin.resolver import Resolver
from statuses import metrics
from statuses import store as stores
from statuses.testing import make_status
from tests.jobadmin.schemas import fits

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

METRICS = "/admin/jobs/api/metrics"


class Scraper(Resolver):
    """A project that knows Prometheus by its token."""

    def api_user(self, request: HttpRequest) -> Any:
        return User.objects.get(username="prometheus") if request.headers.get("Authorization") == "Bearer 7f3a" else None


@pytest.fixture
def counting(store: Any, server_url: str) -> None:
    statuses.configure(url=server_url, namespace=stores.current().config.namespace, metrics=True)


def samples(response: Any) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(response.content.decode())
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


@pytest.mark.usefixtures("counting")
def test_a_scraper_reads_what_all_processes_counted(person: Callable, client: Client) -> None:
    person("view_job", name="prometheus")
    make_status("succeeded", job_name="mail.send", queue="mail", engine="rq")
    make_status("queued", queue="mail")

    with override_settings(JOBADMIN={"CACHE": "jobs", "NAMESPACE": "jobs", "RESOLVER": Scraper}):
        response = client.get(METRICS, headers={"Authorization": "Bearer 7f3a", "Accept": "text/plain;version=0.0.4"})
        refused = client.get(METRICS, headers={"Authorization": "Bearer another"})

    assert (response.status_code, refused.status_code) == (200, 401)
    assert response["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response["Cache-Control"] == "no-store, private"
    found = samples(response)
    assert found["tasks_selected_total", "mail.send", "mail", "rq"] == 1
    assert found["tasks_processed_total", "mail.send", "mail", "succeeded"] == 1
    assert found["execution_time_seconds_bucket", "mail.send", "mail", "succeeded", "+Inf"] == 1
    assert found["jobs", "queued"] == found["jobs_waiting", "mail"] == 1


@pytest.mark.usefixtures("counting")
def test_a_secret_in_a_name_stays_out_of_sight_and_what_looks_the_same_is_one_series(browse: Callable) -> None:
    for secret in ("hunter2hunter2", "swordfish0swordfish"):
        make_status("succeeded", job_name=f"sync password={secret}", queue=f"q password={secret}")
        make_status("queued", queue=f"q password={secret}")

    response = browse("view_job").get(METRICS)

    assert "hunter2" not in response.content.decode() and "swordfish" not in response.content.decode()
    found = samples(response)
    assert [value for key, value in found.items() if key[0] == "tasks_processed_total"] == [2]
    assert [value for key, value in found.items() if key[0] == "jobs_waiting"] == [2]


@pytest.mark.usefixtures("counting")
def test_a_secret_in_the_name_of_a_worker_stays_out_of_sight(browse: Callable) -> None:
    for secret in ("hunter2hunter2", "swordfish0swordfish"):
        make_status("queued", job_name="a").started(f"password={secret}@host")

    response = browse("view_job").get(METRICS)

    assert "hunter2" not in response.content.decode() and "swordfish" not in response.content.decode()
    assert [value for key, value in samples(response).items() if key[0] == "tasks_selected_total"] == [2]


@pytest.mark.parametrize("counts", [True, False])
def test_the_index_leads_there_where_it_is_counted(browse: Callable, request: pytest.FixtureRequest, counts: bool) -> None:
    if counts:
        request.getfixturevalue("counting")
    client = browse("view_job")

    response = client.get("/admin/jobs/api/")

    fits(response, "GET")
    links = response.json()["links"]
    assert links.get("metrics") == (METRICS if counts else None)
    assert client.get(METRICS).status_code == (200 if counts else 404)


def test_where_nobody_counts_it_says_so(browse: Callable) -> None:
    assert not metrics.is_on()

    response = browse("view_job").get(METRICS)

    assert response.status_code == 404
    assert "METRICS" in response.json()["error"]["message"]


def test_a_store_that_is_away_is_told_as_everywhere(browse: Callable) -> None:
    client = browse("view_job")
    statuses.configure(url="unix:///nowhere/at.all", metrics=True)

    assert client.get(METRICS).status_code == 503


def test_the_settings_of_a_project_switch_it_on() -> None:
    from statuses import apps

    made = apps.configuration({"URL": "redis://localhost", "METRICS": True, "METRICS_ROLES": {"celery": "default"}})

    assert (made["metrics"], made["metrics_roles"]) == (True, {"celery": "default"})
