"""Who may ask the API: a session with its token, or a program that the project knows; each call takes its right."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import get_resolver, reverse

import statuses
from jobadmin.api.calls import CALLS
from jobadmin.models import Operation
from jobadmin.resolver import Resolver
from statuses.engines import registry
from statuses.testing import make_status
from tests.jobadmin.engines import Sender

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

API = "/admin/jobs/api/"
EVERY = ("view_job", "kill_job", "retry_job", "remove_job", "submit_job", "control_workers")
_OF = {"kill": "kill_job", "kill-now": "kill_job", "retry": "retry_job", "remove": "remove_job"}
#: Method, address, the right it takes beside `view_job`.
ROWS = (
    *(
        ("GET", path, "")
        for path in (
            "",
            "openapi.json",
            "metrics",
            "jobs/",
            "export.csv",
            "export.json",
            "jobs/{job}/",
            "counts/",
            "durations/",
            "operations/",
            "operations/{operation}/",
        )
    ),
    *(("POST", f"jobs/{{job}}/{action}/", right) for action, right in _OF.items()),
    *((method, f"{action}/", right) for action, right in _OF.items() for method in ("GET", "POST")),
    *(("POST", f"operations/{{operation}}/{verb}/", "remove_job") for verb in ("stop", "undo")),
    ("POST", "submit/", "submit_job"),
)


class Programs(Resolver):
    """A project with tokens."""

    api_challenge = "Bearer"

    def api_user(self, request: HttpRequest) -> Any:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer":
            return None
        if token == "revoked":
            raise PermissionDenied("This token was revoked.")
        return User.objects.filter(username=token).first()


@pytest.fixture
def job() -> statuses.Status:
    return make_status("failed", job_name="mail.send")


@pytest.fixture
def ask(job: statuses.Status, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr("statuses.metrics.is_on", lambda: True)
    operation = Operation.objects.create(action="remove", username="marta", state="done", ids=[job.id])
    engine = registry.register(Sender())

    def asked(client: Client, method: str, path: str, **headers: str) -> HttpResponse:
        address = API + path.format(job=job.id, operation=operation.pk)
        body = json.dumps({"job_name": "mail.send", "args": ["anna"]}) if path == "submit/" else "{}"
        if method == "GET":
            return client.get(address, headers=headers)
        return client.post(address, body, content_type="application/json", headers=headers)

    yield asked
    registry.unregister(engine.name)


def signed_in(user: User, **as_client: Any) -> Client:
    client = Client(**as_client)
    client.force_login(user)
    return client


def test_every_call_has_its_row() -> None:
    asked = {(method, get_resolver().resolve((API + path).format(job="j", operation=1)).url_name) for method, path, _ in ROWS}

    assert asked == {(call.method, call.name) for call in CALLS}


def test_nobody_gets_anything_without_signing_in(client: Client, ask: Any, job: statuses.Status) -> None:
    for method, path, _ in ROWS:
        response = ask(client, method, path)

        assert (response.status_code, response.json()["error"]["code"]) == (401, "not_signed_in"), path
        assert response["WWW-Authenticate"] == "Session" and response["Cache-Control"] == "no-store, private"
    assert statuses.find(job.id).is_failed and Operation.objects.count() == 1


def test_every_right_that_is_needed_is_needed(person: Any, ask: Any, job: statuses.Status) -> None:
    for missing in ("view_job", "kill_job", "retry_job", "remove_job", "submit_job"):
        client = signed_in(person(*(right for right in EVERY if right != missing), name=f"without {missing}"))
        for method, path, right in ROWS:
            if missing not in ("view_job", right):
                continue
            response = ask(client, method, path)

            assert (response.status_code, response.json()["error"]["code"]) == (403, "forbidden"), (path, missing)
            assert "mail.send" not in response.content.decode()
    assert statuses.find(job.id).is_failed and Operation.objects.count() == 1


def test_a_refusal_names_the_right_as_the_page_does(person: Any, ask: Any) -> None:
    response = ask(signed_in(person("view_job")), "POST", "submit/")

    assert response.json()["error"]["message"] == "Your account lacks the right “Can submit jobs”."


def test_who_is_not_staff_or_not_active_is_refused_whatever_the_rights(person: Any, ask: Any) -> None:
    user = person(*EVERY, staff=False)

    for method, path, _ in ROWS:
        assert ask(signed_in(user), method, path).status_code == 403, path


def test_every_right_lets_its_calls_through(person: Any, ask: Any) -> None:
    client = signed_in(person(*EVERY))

    for method, path, _ in ROWS:
        assert ask(client, method, path).status_code not in (401, 403, 404, 405, 500), path


class OneTeam(Resolver):
    """A project where jobs of others may not be looked at."""

    def may(self, user: Any, right: str, status: Any = None) -> bool:
        return super().may(user, right, status) and (status is None or status.queue == "ours")


def test_a_job_that_may_not_be_looked_at_is_neither_shown_nor_changed(person: Any) -> None:
    theirs, ours = make_status("failed", queue="theirs", error="secret").started(), make_status("failed", queue="ours")
    theirs.add_error("secret").failed()
    client = signed_in(person(*EVERY))

    with override_settings(JOBADMIN={"CACHE": "jobs", "NAMESPACE": "jobs", "RESOLVER": OneTeam}):
        for id in (theirs.id, f"{theirs.id}:0"):
            response = client.get(f"{API}jobs/{id}/")
            assert response.status_code == 403 and "secret" not in response.content.decode()
        for action in _OF:
            response = client.post(f"{API}jobs/{theirs.id}/{action}/", "{}", content_type="application/json")
            assert response.status_code == 403 and theirs.id not in response.content.decode()
        assert client.get(f"{API}jobs/{ours.id}/").status_code == 200
    assert theirs.reload().is_failed and theirs.attempt == 1 and not Operation.objects.exists()


def test_a_form_with_a_session_is_refused_as_such(person: Any, job: statuses.Status) -> None:
    client = signed_in(person(*EVERY), enforce_csrf_checks=True)
    client.get(reverse("jobadmin:list"))
    token = client.cookies["csrftoken"].value

    response = client.post(f"{API}jobs/{job.id}/retry/", {"reason": "x", "csrfmiddlewaretoken": token})

    assert (response.status_code, response.json()["error"]["code"]) == (415, "bad_body")
    assert not Operation.objects.exists()


def test_a_session_needs_the_csrf_token_to_change_anything(person: Any, ask: Any, job: statuses.Status) -> None:
    client = signed_in(person(*EVERY), enforce_csrf_checks=True)

    for method, path, _ in ROWS:
        response = ask(client, method, path)
        if method == "GET":
            assert response.status_code == 200, path
        else:
            assert (response.status_code, response.json()["error"]["code"]) == (403, "csrf_failed"), path
    assert statuses.find(job.id).is_failed and Operation.objects.count() == 1


def test_a_session_with_its_token_changes_what_it_may(person: Any, ask: Any) -> None:
    client = signed_in(person(*EVERY), enforce_csrf_checks=True)
    client.get(reverse("jobadmin:list"))
    token = client.cookies["csrftoken"].value

    assert ask(client, "POST", "submit/", **{"X-CSRFToken": token}).status_code == 201
    assert ask(client, "POST", "submit/", **{"X-CSRFToken": token[::-1]}).status_code == 403


@pytest.fixture
def programs() -> Iterator[None]:
    with override_settings(JOBADMIN={"CACHE": "jobs", "NAMESPACE": "jobs", "RESOLVER": Programs}):
        yield


@pytest.mark.usefixtures("programs")
def test_a_program_acts_as_its_account_without_session_and_token_of_forms(person: Any, ask: Any) -> None:
    person(*EVERY, name="deploy")
    client = Client(enforce_csrf_checks=True)

    response = ask(client, "POST", "submit/", Authorization="Bearer deploy")

    assert response.status_code == 201 and response.json()["job"]["user"] == "deploy"
    assert Operation.objects.latest("pk").username == "deploy" and "sessionid" not in client.cookies


@pytest.mark.usefixtures("programs")
def test_a_program_gets_the_files_that_a_list_names(person: Any, job: statuses.Status) -> None:
    person("view_job", name="reports")
    client = Client(headers={"Authorization": "Bearer reports"})
    addresses = client.get(API + "jobs/?state=failed&span=all").json()["export"]

    answers = {kind: client.get(address) for kind, address in addresses.items()}

    assert [row["id"] for row in json.loads(b"".join(answers["json"].streaming_content))] == [job.id]
    assert b"".join(answers["csv"].streaming_content).splitlines()[1].startswith(job.id.encode())
    assert [answer["Content-Disposition"].partition(";")[0] for answer in answers.values()] == ["attachment"] * 2


@pytest.mark.usefixtures("programs")
def test_a_program_has_the_rights_of_its_account_alone(person: Any, ask: Any) -> None:
    person("view_job", name="looker")
    person(*EVERY, name="outsider", staff=False)
    admin = signed_in(person(*EVERY, name="admin"), enforce_csrf_checks=True)

    assert ask(Client(), "GET", "jobs/", Authorization="Bearer looker").status_code == 200
    assert ask(Client(), "POST", "submit/", Authorization="Bearer looker").status_code == 403
    assert ask(Client(), "GET", "jobs/", Authorization="Bearer outsider").status_code == 403
    # A session beside it gives nothing more, and takes no check away.
    assert ask(admin, "POST", "submit/", Authorization="Bearer looker").status_code == 403
    assert ask(admin, "POST", "submit/", Authorization="Bearer nobody").json()["error"]["code"] == "csrf_failed"


@pytest.mark.usefixtures("programs")
def test_a_token_that_nobody_has_is_401_and_one_that_was_revoked_403(ask: Any) -> None:
    unknown = ask(Client(), "GET", "jobs/", Authorization="Bearer nobody")
    revoked = ask(Client(), "GET", "jobs/", Authorization="Bearer revoked")

    assert (unknown.status_code, unknown["WWW-Authenticate"]) == (401, "Bearer")
    assert (revoked.status_code, revoked.json()["error"]["message"]) == (403, "This token was revoked.")


@pytest.mark.usefixtures("programs")
def test_tokens_open_the_api_alone(person: Any) -> None:
    person(*EVERY, name="deploy")

    response = Client().get(reverse("jobadmin:list"), headers={"Authorization": "Bearer deploy"})

    assert response.status_code == 302


def test_a_site_that_asks_everybody_to_sign_in_lets_programs_reach_the_api(person: Any, ask: Any, settings: Any) -> None:
    person(*EVERY, name="deploy")
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    settings.JOBADMIN = {"CACHE": "jobs", "NAMESPACE": "jobs", "RESOLVER": Programs}

    assert ask(Client(), "GET", "jobs/", Authorization="Bearer deploy").status_code == 200
    assert ask(Client(), "GET", "jobs/").status_code == 401
