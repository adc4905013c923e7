"""The OpenAPI document is valid, complete, and true: what it names is taken, what it does not name is refused."""

from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver

from jobadmin.api.calls import CALLS, IN_PATH
from jobadmin.api.openapi import document, operation_id, path_of
from jobadmin.parameters import FLAGS, PARAMETERS, SORTS, STATES, TIMES
from jobadmin.spans import NAMES
from statuses.testing import make_status

API = "/admin/jobs/api/"
#: What answers with something else than JSON.
TEXTS = {"api_metrics": "text/plain", "api_export_csv": "text/csv"}
#: A value that each parameter of an address may have, where its schema does not say one.
EXAMPLES = {
    "id": "j1", "name": "mail.*", "queue": "-mail", "user": "anna", "worker": "w", "engine": "e", "resource": "Book:53", "error": "ValueError",
    "workflow": "j1", "step": "0-3", "q": "mail", "from": "2026-01-01", "to": "2100-01-01T00:00:00Z", "limit": "7",
}  # fmt: skip


def parameters(method: str, path: str) -> dict[str, Any]:
    return {one["name"]: one for one in document()["paths"][path][method].get("parameters", ()) if one["in"] == "query"}


def test_the_document_is_valid() -> None:
    validator = pytest.importorskip("openapi_spec_validator")

    validator.validate(document())


def test_it_has_every_call_and_every_address_of_the_api() -> None:
    described = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}

    assert described == {(call.method, path_of(call)) for call in CALLS}
    ids = [operation_id(call) for call in CALLS]
    assert len(set(ids)) == len(ids)
    resolvers = get_resolver("jobadmin.urls").url_patterns
    routed = {pattern.name for one in resolvers if hasattr(one, "url_patterns") for pattern in one.url_patterns}
    assert routed - {"api_nothing"} == {call.name for call in CALLS}


def test_a_filter_has_every_parameter_of_the_pages_with_the_values_that_they_take() -> None:
    for path in ("/jobs/", "/export.csv", "/export.json", "/counts/", "/durations/", "/{action}/"):
        found = parameters("get", path)

        assert set(PARAMETERS) <= found.keys()
        assert found["span"]["schema"]["enum"] == list(NAMES)
        assert found["by"]["schema"]["enum"] == list(TIMES)
        for name, values in (("state", STATES), ("flag", FLAGS)):
            assert found[name]["schema"]["items"]["enum"] == [*values, *(f"-{value}" for value in values)]
        assert found["sort"]["schema"]["enum"] == [*SORTS, *(f"-{value}" for value in SORTS)]


@pytest.mark.usefixtures("store")
def test_every_documented_parameter_is_taken_with_every_value_that_is_named(browse: Any) -> None:
    client, job = browse(), make_status("failed", id="j1")
    assert job.id == "j1"
    places = {"action": "kill"}
    for call in CALLS:
        if call.method != "GET":
            continue
        address = (API + path_of(call).lstrip("/")).format(id="j1", pk=1, **places)
        for name, one in parameters("get", path_of(call)).items():
            schema = one["schema"].get("items", one["schema"])
            if name in ("operation", "after"):
                continue  # below: they take what an answer gave
            for value in schema.get("enum", [EXAMPLES.get(name)]):
                asked = {name: value, **({"workflow": "j1"} if name == "step" else {})}
                response = client.get(address, asked)
                assert response.status_code == 200, (address, asked, response.content)


@pytest.mark.usefixtures("store")
def test_an_operation_and_a_position_are_taken_as_answers_give_them(browse: Any) -> None:
    client = browse()
    for _ in range(3):
        make_status("queued")
    begun = client.post(API + "kill/?span=7d", "{}", content_type="application/json").json()

    following = client.get(API + "jobs/?limit=1").json()["next"]

    assert "after=" in following and len(client.get(following).json()["jobs"]) == 1
    assert client.get(API + "jobs/", {"operation": begun["id"], "span": "all"}).status_code == 200


@pytest.mark.usefixtures("store")
def test_what_is_not_documented_is_refused_everywhere(browse: Any) -> None:
    client = browse("view_job", "kill_job", "retry_job", "remove_job", "submit_job")
    make_status("queued", id="j1")
    for call in CALLS:
        address = (API + path_of(call).lstrip("/")).format(id="j1", pk=1, action="kill") + "?colour=red"
        response = client.get(address) if call.method == "GET" else client.post(address, "{}", content_type="application/json")

        assert (response.status_code, response.json()["error"]["parameter"]) == (400, "colour"), address


@pytest.mark.usefixtures("store")
def test_the_document_is_served_as_it_is_made(browse: Any) -> None:
    response = browse().get(API + "openapi.json")

    assert response.json() == document()
    assert response["Content-Type"] == "application/json"


def test_every_answer_is_of_the_kind_that_is_described() -> None:
    for call in CALLS:
        for status, response in document()["paths"][path_of(call)][call.method.lower()]["responses"].items():
            went_well = int(status) < 300
            assert [*response["content"]] == [TEXTS.get(call.name, "application/json") if went_well else "application/json"]


def test_what_stands_in_a_path_is_described() -> None:
    for path, methods in document()["paths"].items():
        for one in methods.values():
            named = {parameter["name"] for parameter in one.get("parameters", ()) if parameter["in"] == "path"}
            assert named == {name for name in IN_PATH if "{" + name + "}" in path}


def test_every_line_has_words() -> None:
    for methods in document()["paths"].values():
        for one in methods.values():
            assert one["summary"] and all(parameter["description"] for parameter in one.get("parameters", ()))


@pytest.mark.django_db
def test_the_document_needs_a_right(client: Client) -> None:
    assert client.get(API + "openapi.json").status_code == 401
