"""Whether answers of the API are what its document says of them."""

from functools import cache
from typing import Any

import pytest
from django.http import HttpResponse
from django.urls import resolve

from jobadmin.api.calls import CALLS, Call
from jobadmin.api.openapi import document, path_of


@cache
def _document() -> dict[str, Any]:
    return document()


def call_of(method: str, path: str) -> Call:
    """The line of the table that an address stands in."""
    name = resolve(path).url_name
    return next(call for call in CALLS if (call.method, call.name) == (method, name))


def fits(response: HttpResponse, method: str) -> None:
    """The answer has a status that the document names, and is as its schema says."""
    jsonschema = pytest.importorskip("jsonschema")
    call = call_of(method, response.wsgi_request.path_info)
    described = _document()["paths"][path_of(call)][method.lower()]["responses"]
    assert str(response.status_code) in described, (path_of(call), response.status_code)
    schema = described[str(response.status_code)]["content"]["application/json"]["schema"]
    whole = {**schema, "components": _document()["components"]}
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(whole, format_checker=checker).validate(response.json())
