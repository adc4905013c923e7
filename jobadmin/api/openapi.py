"""The OpenAPI document, made from the table of calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.urls import reverse

from jobadmin.api.calls import CALLS, IN_PATH, SCHEMAS, Answer, Asked, Call
from jobadmin.api.fields import Field
from jobadmin.api.reading import _version

_PLACE = re.compile(r"<\w+:(\w+)>")
#: Status -> what it says, for errors.
_ERRORS: Mapping[int, str] = {
    400: "A parameter or a member of the body cannot be read.",
    401: "Nobody is signed in.",
    403: "Not permitted, or without the CSRF token.",
    404: "There is no such thing.",
    405: "Another method is for this address.",
    409: "Not possible as things are; nothing was changed.",
    413: "The body is too large.",
    415: "The body is no JSON.",
    500: "The job store, or the database, is not as expected.",
    503: "The job store or the database does not answer; see Retry-After.",
}
#: Errors that every call may answer with.
_EVERYWHERE = (400, 401, 403, 405, 500, 503)


def answer(asked: Asked) -> Answer:
    """The document."""
    return Answer(document())


def document() -> dict[str, Any]:
    """OpenAPI 3.1 as plain values."""
    paths: dict[str, Any] = {}
    for call in CALLS:
        paths.setdefault(path_of(call), {})[call.method.lower()] = _operation(call)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Jobs",
            "version": _version(),
            "description": "Counts, lists and acts on background jobs: the same filter, rights and record as the pages of the dashboard.",
        },
        "servers": [{"url": reverse("jobadmin:api").removesuffix("/")}],
        "security": [{"session": []}, {"program": []}],
        "paths": paths,
        "components": {
            "schemas": dict(SCHEMAS),
            "securitySchemes": {
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "sessionid",
                    "description": "The session of the admin site; a POST also needs the header X-CSRFToken.",
                },
                "program": {
                    "type": "http", "scheme": "bearer",
                    "description": "Where the project's resolver knows its programs (`api_user`): by this header, or as it says.",
                },
            },
        },
    }  # fmt: skip


def path_of(call: Call) -> str:
    """The address as the document writes it."""
    return "/" + _PLACE.sub(r"{\1}", call.path)


def operation_id(call: Call) -> str:
    """Unique in the document."""
    return f"{call.method.lower()}_{call.name}"


def _operation(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = {"operationId": operation_id(call), "summary": call.summary}
    if call.says:
        found["description"] = call.says
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": dict(IN_PATH[name][0]), "description": IN_PATH[name][1]}
        for name in _PLACE.findall(call.path)
    ]
    if parameters := [*in_path, *map(_parameter, call.query)]:
        found["parameters"] = parameters
    if call.body is not None:
        found["requestBody"] = _body(call)
    errors = sorted({*_EVERYWHERE, *call.refuses})
    found["responses"] = {
        **{str(status): _response(words, schema, call.media) for status, (words, schema) in call.answers.items()},
        **{str(status): _response(_ERRORS[status], "Error") for status in errors},
    }
    return found


def _parameter(field: Field) -> dict[str, Any]:
    schema = dict(field.schema)
    if field.repeated:
        return {
            "name": field.name, "in": "query", "description": field.says, "style": "form", "explode": True,
            "schema": {"type": "array", "items": schema},
        }  # fmt: skip
    return {"name": field.name, "in": "query", "description": field.says, "schema": schema}


def _body(call: Call) -> dict[str, Any]:
    fields = call.body or ()
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: _member(field) for field in fields},
        "additionalProperties": False,
    }
    if required := [field.name for field in fields if field.required]:
        schema["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": schema}}}


def _member(field: Field) -> dict[str, Any]:
    """Null is as good as left out."""
    schema = {**field.schema, "description": field.says}
    return schema if field.required else {**schema, "type": [field.schema["type"], "null"]}


def _response(words: str, schema: str, media: str = "application/json") -> dict[str, Any]:
    return {"description": words, "content": {media: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}
