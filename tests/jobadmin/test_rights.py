"""Each right on each address: who may look, who may act, and what everyone else is told."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

import statuses
from jobadmin.controls import CONTROLS
from jobadmin.models import Operation
from jobadmin.paths import action_url, job_url, quote
from statuses.testing import make_status

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

#: Action of the address -> the right it needs.
RIGHTS = {"kill": "kill_job", "kill-now": "kill_job", "retry": "retry_job", "remove": "remove_job"}
#: Addresses without an argument.
PLAIN = ("overview", "list", "names", "errors", "queues", "workers", "schedules", "redis", "operations", "export_csv", "export_json")
EVERY = ("view_job", "kill_job", "retry_job", "remove_job", "submit_job", "control_workers")


@pytest.fixture
def job():
    return make_status("failed", job_name="mail.send", queue="mail", job_args={"book": "Book:53"}, error=ValueError("no"))


@dataclass(frozen=True, kw_only=True)
class Row:
    """One address, as it is asked, and the rights that this takes."""

    url: str
    """Name of the URL; ``{job}`` and such in `args` are filled in."""
    args: tuple[str, ...] = ()
    query: str = ""
    form: dict[str, str] | None = None
    """What is posted; None: it is got."""
    part: bool = False
    """Asked for by HTMX."""
    needs: tuple[str, ...] = ("view_job",)
    answers: tuple[int, ...] = (200, 204)
    """What who may is answered."""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.url, *self.args, self.query, "part" * self.part)))


def look(url: str, *args: str, query: str = "", part: bool = False) -> Row:
    return Row(url=url, args=args, query=query, part=part)


def act(url: str, *args: str, needs: str = "", **form: str) -> Row:
    return Row(url=url, args=args, form=form, needs=tuple(filter(None, ("view_job", needs))), answers=(200, 204, 302, 409))


#: Every address there is: a URL without a row here fails the first test below.
ROWS = (
    *(look(name) for name in PLAIN),
    *(look(name, part=True) for name in PLAIN if not name.startswith("export")),
    *(look("overview", query=f"part={name}", part=True) for name in ("tiles", "activity", "durations", "names", "errors")),
    look("list", query="live=", part=True),
    look("errors", query="error=ValueError"),
    look("queue", "mail"),
    look("queue", "mail", query="chart=table"),
    look("resource", "{resource}"),
    look("resource", "{resource}", part=True),
    *(look("suggest", field) for field in ("name", "resource", "user", "queue", "error")),
    look("pulse"),
    Row(url="nowhere", args=("no/such/page",), answers=(404,)),
    look("operation", "{operation}"),
    *(look("operation", "{operation}", query=f"part={part}", part=True) for part in ("dialog", "toast")),
    look("job", "{job}"),
    *(look("job", "{job}", query=query) for query in ("live=", "part=call", "part=data", "part=errors", "attempt=0")),
    look("workflow", "{job}"),
    *(look("workflow", "{job}", query=query) for query in ("live=", "part=graph")),
    *(Row(url="bulk", args=(action,), needs=("view_job", right)) for action, right in RIGHTS.items()),
    *(act("bulk", action, needs=right, promise="none") for action, right in RIGHTS.items()),
    *(act("job_action", "{job}", action, needs=right, confirmed="1") for action, right in RIGHTS.items()),
    *(act(f"operation_{verb}", "{operation}", needs="remove_job") for verb in ("stop", "undo", "again")),
    *(act("control", verb, needs="control_workers", engine="none", name="none") for verb in CONTROLS),
    act("times", times="utc"),
    act("view_save", name="mine", page="list", query="state=failed"),
    act("view_remove", view="1"),
)


@pytest.fixture
def ask(job) -> Callable[[Client, Row], Any]:
    """Asks for what a row says."""
    operation = Operation.objects.create(action="remove", username="marta", state="done", ids=[job.id])
    things = {"job": quote(job.id), "operation": operation.pk, "resource": quote("Book:53")}

    def asked(client: Client, row: Row) -> Any:
        url = reverse(f"jobadmin:{row.url}", args=[arg.format(**things) for arg in row.args])
        headers = {"HX-Request": "true"} if row.part else {}
        if row.form is None:
            return client.get(f"{url}?{row.query}", headers=headers)
        return client.post(url, row.form, headers=headers)

    return asked


def test_every_address_has_its_row():
    # Those of the API have theirs in test_api_rights.
    routed = {pattern.name for pattern in get_resolver("jobadmin.urls").url_patterns if hasattr(pattern, "name")}

    assert {row.url for row in ROWS} == routed


def test_nobody_gets_anything_without_signing_in(client, ask, job):
    login = reverse("admin:login")
    for row in ROWS:
        answer = ask(client, row)

        if row.part:
            assert answer["HX-Redirect"].startswith(login), row
        else:
            assert (answer.status_code, answer["Location"][: len(login) + 18]) == (302, f"{login}?next=/admin/jobs/"), row
    assert statuses.find(job.id).is_failed and Operation.objects.count() == 1


def test_every_right_that_is_needed_is_needed(person, ask, job):
    for missing in {right for row in ROWS for right in row.needs}:
        client = Client()
        client.force_login(person(*(right for right in EVERY if right != missing), name=f"without {missing}"))
        for row in ROWS:
            if missing not in row.needs:
                continue
            answer = ask(client, row)

            assert answer.status_code == 403, (row, missing)
            assert "mail.send" not in answer.content.decode() and "Book:53" not in answer.content.decode(), (row, missing)
    assert statuses.find(job.id).is_failed and Operation.objects.count() == 1


def test_who_is_not_staff_is_refused_whatever_the_rights(person, ask):
    client = Client()
    client.force_login(person(*EVERY, staff=False))

    assert [str(row) for row in ROWS if ask(client, row).status_code != 403] == []


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_the_rights_that_are_needed_are_enough(browse, ask, row):
    answer = ask(browse(*row.needs), row)

    assert answer.status_code in row.answers


@pytest.fixture
def looks(job) -> dict[str, str]:
    """Some pages: what they are called -> where they are."""
    return {**{name: reverse(f"jobadmin:{name}") for name in PLAIN}, "job": job_url(job.id)}


def test_a_part_of_a_page_sends_the_whole_page_to_the_login(client, looks):
    here = {"HX-Request": "true", "HX-Current-URL": "http://testserver/admin/jobs/?name=a"}

    answer = client.get(looks["overview"], headers=here)

    assert answer["HX-Redirect"] == "/admin/login/?next=/admin/jobs/%3Fname%3Da"


@pytest.mark.parametrize(("action", "right"), RIGHTS.items())
def test_each_action_on_a_job_needs_its_own_right(browse, job, action, right):
    others = [other for other in EVERY if other != right]

    refused = browse(*others).post(action_url(job.id, action))
    allowed = browse("view_job", right, name="allowed").post(action_url(job.id, action), {"confirmed": "1", "confirm": "1"})

    assert refused.status_code == 403
    assert allowed.status_code in (200, 302)
    assert statuses.find(job.id) is not None or action == "remove"


@pytest.mark.parametrize(("action", "right"), RIGHTS.items())
def test_each_bulk_action_needs_its_own_right_to_announce_and_to_do(browse, job, action, right):
    url = reverse("jobadmin:bulk", args=[action])
    others = browse(*(other for other in EVERY if other != right))
    allowed = browse("view_job", right, name="allowed")

    assert others.get(url).status_code == 403
    assert others.post(url).status_code == 403
    assert allowed.get(url).status_code == 200
    assert Operation.objects.count() == 0


@pytest.mark.parametrize("action", RIGHTS)
def test_actions_are_posted_and_never_got(browse, job, action):
    assert browse().get(action_url(job.id, action)).status_code == 405


@pytest.mark.parametrize("action", RIGHTS)
def test_actions_are_refused_without_the_token_of_the_form(browse, job, action):
    client = browse(enforce_csrf_checks=True)

    assert client.post(action_url(job.id, action)).status_code == 403
    assert client.post(reverse("jobadmin:bulk", args=[action])).status_code == 403
    assert statuses.find(job.id).is_failed
    assert Operation.objects.count() == 0


@pytest.mark.parametrize("name", ["operation_stop", "operation_undo", "operation_again"])
def test_what_is_done_to_an_operation_needs_the_right_of_its_action(browse, job, name):
    operation = Operation.objects.create(action="remove", username="marta", state="done", ids=[job.id])
    url = reverse(f"jobadmin:{name}", args=[operation.pk])

    assert browse("view_job", "kill_job").post(url).status_code == 403
    assert browse(name="other").get(url).status_code == 405


@pytest.mark.parametrize("name", ["overview", "list", "job", "errors"])
def test_what_one_may_not_do_is_absent(browse, looks, name):
    page = unescape(browse("view_job").get(looks[name]).content.decode())

    assert not re.search(r"/bulk/(kill|retry|remove)|/(kill|kill-now|retry|remove)/\"", page)
    assert not re.search(r">\s*(Request kill|Kill now|Retry|Remove)\s*<", page)


def test_the_rights_can_be_given_in_djangos_own_group_editor(admin_client):
    page = admin_client.get(reverse("admin:auth_group_add")).content.decode()

    for words in ("Can view job", "Can kill jobs", "Can retry jobs", "Can remove jobs", "Can submit jobs", "Can control workers"):
        assert words in page


def test_the_admins_index_leads_to_the_jobs(browse):
    client = browse("view_job")
    index = client.get(reverse("admin:index")).content.decode()
    entry = reverse("admin:jobadmin_job_changelist")

    assert f'href="{entry}"' in index
    assert client.get(entry, follow=True).redirect_chain[-1][0] == reverse("jobadmin:overview")


def test_operations_can_be_read_in_the_admin_and_not_changed(admin_client):
    operation = Operation.objects.create(action="kill", username="marta", state="done", undo_token="secret-token")
    page = admin_client.get(reverse("admin:jobadmin_operation_change", args=[operation.pk]))

    assert page.status_code == 200
    assert "secret-token" not in page.content.decode()
    assert admin_client.get(reverse("admin:jobadmin_operation_add")).status_code == 403
    assert admin_client.post(reverse("admin:jobadmin_operation_delete", args=[operation.pk])).status_code == 403
    assert admin_client.get(reverse("admin:jobadmin_operation_changelist")).status_code == 200


def test_the_admins_index_is_empty_without_the_right(person):
    client = Client()
    client.force_login(person())

    assert reverse("admin:jobadmin_job_changelist") not in client.get(reverse("admin:index")).content.decode()
