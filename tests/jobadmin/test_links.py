"""No link leads nowhere, wherever the dashboard stands: in Django's admin, in a site of a project's own, below a path."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import clear_url_caches, get_resolver, reverse, set_script_prefix

from jobadmin.models import Operation
from jobadmin.paths import job_url
from statuses.testing import make_status
from tests.jobadmin.crawler import crawl
from tests.jobadmin.engines import toy_engine

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

#: Views that show nothing to a walk: files, posts, parts, what is not there.
NOT_PAGES = {
    "job_action", "operation_stop", "operation_undo", "operation_again", "times", "view_save", "view_remove",
    "export_csv", "export_json", "suggest", "control", "pulse", "nowhere",
}  # fmt: skip


@pytest.fixture
def busy() -> Iterator[str]:
    """A little of everything; the id of a job with a family, a past and an error."""
    with toy_engine():
        parent = make_status("started", job_name="planning.rollup", queue="nightly", user="marta")
        job = parent.spawn(
            "planning/plan é", job_args={"book": "Book:5/3"}, queue="default", user="j/o", engine="toy", provider_job_id="p-1"
        )
        job.queued().started(worker="default-2@app/07").add_error(ValueError("no"))
        job.failed().requeued().started().request_kill(by="marta", reason="slow").killed()
        for state in ("succeeded", "failed", "queued"):
            child = job.spawn("planning.chapter").queued()
            if state != "queued":
                getattr(child.started(), state)()
        for number in range(30):
            job.spawn("planning.many", job_args={"c": f"Chapter:{number}"}).queued()
        make_status("queued", job_name="mail.send", queue="mail", depends_on=[job.id], engine="toy")
        make_status("unknown", job_name="lost")
        for _ in range(60):
            make_status("succeeded", job_name="mail.send", queue="mail", job_args={"book": "Book:5/3"}, engine="toy")
        Operation.objects.create(action="kill", username="marta", state="done", filter="span=7d&name=mail.send", announced=2, changed=2)
        Operation.objects.create(action="remove", username="j", state="failed", ids=[job.id], announced=1, plan={"errors": ["no"]})
        for number in range(55):
            Operation.objects.create(action="retry", username="marta", state="done", ids=[job.id], announced=1, reason=str(number))
        yield job.id


def pages() -> set[str]:
    """Names of the URLs that links lead to; the API is no page."""
    return {pattern.name for pattern in get_resolver("jobadmin.urls").url_patterns if hasattr(pattern, "name")} - NOT_PAGES


def starts(job_id: str) -> list[str]:
    pages = [reverse(f"jobadmin:{name}") for name in ("overview", "list", "names", "errors", "queues", "workers", "redis", "operations")]
    return [*pages, job_url(job_id), reverse("jobadmin:list") + "?span=15m&name=nothing", reverse("jobadmin:errors") + "?error=ValueError"]


def walk(client: Client, job_id: str, **how: Any) -> Any:
    return crawl(client, starts(job_id), reverse("jobadmin:overview"), **how)


def test_no_link_in_djangos_own_admin_leads_nowhere(admin_client: Client, busy: str) -> None:
    found = walk(admin_client, busy)

    assert found.broken == []
    assert found.kinds >= pages()


@pytest.fixture
def backoffice(settings: Any, django_user_model: Any) -> Iterator[Client]:
    """An operator, who is no staff, in a project that has the jobs in a site of its own, served below a path."""
    settings.ROOT_URLCONF = "tests.projects.backoffice"
    settings.FORCE_SCRIPT_NAME = "/mill"
    clear_url_caches()
    set_script_prefix("/mill/")
    person = django_user_model.objects.create_user("olga", is_superuser=True)
    person.groups.add(Group.objects.create(name="Operators"))
    client = Client()
    client.force_login(person)
    yield client
    set_script_prefix("/")
    clear_url_caches()


def test_no_link_in_a_site_of_its_own_below_a_path_leads_nowhere(backoffice: Client, busy: str) -> None:
    found = walk(backoffice, busy, most=1)

    assert found.broken == []
    assert [address for address in found.visited if not address.startswith("/mill/x/y/backoffice/")] == []
    assert found.kinds >= pages()


def test_a_site_of_its_own_gives_the_pages_their_frame(backoffice: Client, busy: str) -> None:
    page = backoffice.get("/x/y/backoffice/jobs/").content.decode()

    assert "Paper mill" in page and 'action="/mill/x/y/backoffice/logout/"' in page
    assert '<a href="/mill/x/y/backoffice/">Home</a>' in page


def test_a_site_of_its_own_says_who_may_enter(backoffice: Client, busy: str, django_user_model: Any) -> None:
    stranger, nobody = Client(), Client()
    stranger.force_login(django_user_model.objects.create_user("staff", is_staff=True, is_superuser=True))

    refused = stranger.get("/x/y/backoffice/jobs/")
    unknown = nobody.get("/x/y/backoffice/jobs/")

    assert refused.status_code == 403
    assert 'href="/mill/x/y/backoffice/login/?next=%2Fmill%2Fx%2Fy%2Fbackoffice%2Fjobs%2F"' in refused.content.decode()
    assert unknown["Location"] == "/mill/x/y/backoffice/login/?next=/mill/x/y/backoffice/jobs/"


def test_a_site_of_its_own_lists_the_jobs_on_its_index(backoffice: Client) -> None:
    index = backoffice.get("/x/y/backoffice/").content.decode()

    assert reverse("backoffice:jobadmin_job_changelist") in index
    assert backoffice.get("/x/y/backoffice/jobadmin/job/")["Location"] == "/mill/x/y/backoffice/jobs/"
