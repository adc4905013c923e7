"""What a request may carry, by name: the parameters of its address and the members of its body. One table a field, from which it is
read, refused and documented."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, QueryDict

from jobadmin import spans
from jobadmin.filters import JobFilter
from jobadmin.parameters import (
    FLAGS,
    LONGEST_VALUE,
    MOST_VALUES,
    PARAMETERS,
    REPEATED,
    SHOWN,
    SORTS,
    STATES,
    TIMES,
    BadFilter,
    UnknownParameter,
    check_once,
    whole,
)

#: Most levels of lists and objects in a body.
_DEEPEST = 100


class BadBody(Exception):
    """Raised when a body is no JSON object; `code` as `errors` has it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Field:
    """One parameter, or one member of a body."""

    name: str
    schema: Mapping[str, Any]
    """JSON Schema of one value."""
    says: str
    """What it means, for the document."""
    repeated: bool = False
    """Whether it may be given several times; any of the values then."""
    required: bool = False


def text(longest: int = LONGEST_VALUE, **more: Any) -> dict[str, Any]:
    """The schema of a text."""
    return {"type": "string", "maxLength": longest, **more}


def one_of(values: Iterable[str], *, signed: bool = False) -> dict[str, Any]:
    """The schema of one of these texts; `signed`: each also with a minus in front."""
    values = list(values)
    return {"type": "string", "enum": [*values, *(f"-{value}" for value in values)] if signed else values}


def number(lowest: int, highest: int, default: int | None = None) -> dict[str, Any]:
    """The schema of a whole number."""
    return {"type": "integer", "minimum": lowest, "maximum": highest, **({} if default is None else {"default": default})}


_TEXT = text()
_PREFIX = "A leading - leaves out jobs that have it; a final * means every one that begins so; a \\ before either takes it literally."
_MOMENT = "ISO 8601; without a zone that of the site; a date alone is the whole day."
_SCHEMAS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "id": (_TEXT, f"Jobs of these ids, at most {MOST_VALUES}."),
    "state": (one_of(STATES, signed=True), "States, or groups of them; a leading - leaves them out."),
    "flag": (one_of(FLAGS, signed=True), "Jobs that were asked to stop and have not ended, or that gave no sign of life for too long."),
    "name": (_TEXT, f"Job names. {_PREFIX}"),
    "queue": (_TEXT, f"Queues. {_PREFIX}"),
    "user": (_TEXT, f"Users. {_PREFIX}"),
    "worker": (_TEXT, f"Workers. {_PREFIX}"),
    "engine": (_TEXT, f"Engines. {_PREFIX}"),
    "resource": (_TEXT, "Resources that jobs work on, such as Book:53, whole. A leading - leaves them out."),
    "error": (_TEXT, f"Groups of errors. {_PREFIX}"),
    "workflow": (_TEXT, "The workflow of the job with this id."),
    "step": (
        text(20, pattern="^([0-9]{1,5}(-[0-9]{1,5})?|stopped)$"),
        "Beside workflow: a depth, several (3-9), or where it came to a halt.",
    ),
    "operation": (text(9, pattern="^[0-9]+$"), "What an operation over a filter killed or retried."),
    "q": (_TEXT, "What stands in the search field of the pages."),
    "span": (
        {**one_of(spans.NAMES), "default": spans.DEFAULT},
        "A span that follows the clock, rounded as on the pages; the answer says which it was. Not beside from or to.",
    ),
    "from": (text(), f"Where the span begins, included. {_MOMENT}"),
    "to": (text(), f"Where the span ends, included. {_MOMENT}"),
    "by": ({**one_of(TIMES), "default": "recorded_at"}, "The moment that the span is about."),
    "sort": (
        {**one_of(SORTS, signed=True), "default": "-recorded_at"},
        "Order of a list; elsewhere it changes nothing. A leading - is descending.",
    ),
    "after": (text(), "Where a list goes on, as `next` says it; elsewhere it changes nothing."),
}
#: The filter: every parameter of the pages' addresses that says which jobs.
FILTER: tuple[Field, ...] = tuple(
    Field(name=name, schema=_SCHEMAS[name][0], says=_SCHEMAS[name][1], repeated=name in REPEATED) for name in PARAMETERS
)


def read_query(query: QueryDict, fields: Sequence[Field]) -> dict[str, Any]:
    """The values of an address by name, those of the filter as `JobFilter` under `filter` where `fields` has them.
    Raises: BadFilter for a parameter that is not among them, for what one cannot be, and for one of the filter without a value: whatever
    a program forgot to fill in, everything would match."""
    known = {field.name: field for field in fields}
    for name in query:
        if name not in known:
            raise UnknownParameter(name, query[name], known)
    own = [field for field in fields if field not in FILTER]
    check_once(query, [field.name for field in own])
    found: dict[str, Any] = {field.name: _read(field, query[field.name]) for field in own if query.get(field.name)}
    if any(field in FILTER for field in fields):
        asked = QueryDict(mutable=True)
        for name in query.keys() & set(PARAMETERS):
            asked.setlist(name, query.getlist(name))
        found["filter"] = JobFilter.from_querydict(asked, strict=True)
    return {field.name: field.schema.get("default") for field in own} | found


def read_body(request: HttpRequest, fields: Sequence[Field]) -> dict[str, Any]:
    """The members of a body, None for those that are not there. An empty body is an empty object.
    Raises: BadBody; BadFilter for a member that is not among `fields`, and for what one cannot be."""
    if not request.body.strip():
        found: Any = {}
    elif request.content_type != "application/json":
        raise BadBody("A body is JSON: send it with Content-Type: application/json.", 415)
    else:
        found = _parsed(request.body)
    if not isinstance(found, dict):
        raise BadBody("The body is JSON, and no object.")
    known = {field.name: field for field in fields}
    for name, value in found.items():
        if name not in known:
            raise UnknownParameter(name, written(value), known)
        if value is not None and (expected := _misfit(known[name].schema, value)):
            raise BadFilter(name, written(value), expected)
    for field in fields:
        if field.required and found.get(field.name) is None:
            raise BadFilter(field.name, "", _expected(field.schema))
    return {field.name: found.get(field.name) for field in fields}


def _read(field: Field, value: str) -> Any:
    """A value as its schema has it."""
    read: Any = value
    if field.schema["type"] == "integer":
        read = value if (read := whole(value)) is None else read
    if expected := _misfit(field.schema, read):
        raise BadFilter(field.name, value[:SHOWN], expected)
    return read


_KINDS: Mapping[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "array": (list,), "object": (dict,)}


def _misfit(schema: Mapping[str, Any], value: Any) -> str:
    """What was expected in the place of `value`; empty where it is that. Knows the words of schemas that stand in this room."""
    fits = isinstance(value, _KINDS[schema["type"]]) and not isinstance(value, bool)
    fits = fits and value in schema.get("enum", (value,))
    if fits and isinstance(value, str):
        fits = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)) and "\x00" not in value
    if fits and isinstance(value, int):
        fits = schema.get("minimum", value) <= value <= schema.get("maximum", value)
    return "" if fits else _expected(schema)


def _expected(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    if schema["type"] == "integer":
        return f"a whole number from {schema['minimum']} to {schema['maximum']}"
    if schema["type"] == "string":
        return f"text of at most {schema['maxLength']} characters"
    return {"array": "a list", "object": "an object"}[schema["type"]]


def _parsed(body: bytes) -> Any:
    try:
        found = json.loads(body, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)
    except RecursionError:
        raise BadBody("The body is nested too deeply.") from None
    except ValueError as error:  # also bytes that are no UTF-8
        raise BadBody(f"The body is no JSON: {error}"[:300]) from error
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:  # nothing could write it down
        raise BadBody("The body holds half a character, a surrogate by itself.") from error
    if _depth(found) > _DEEPEST:
        raise BadBody(f"The body is nested too deeply: at most {_DEEPEST} levels.")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two members of one name all but the last would not count."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member stands in it twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    if math.isinf(value := float(digits)):
        raise ValueError(f"{digits[:20]} is more than a number can be")
    return value


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [
        one for found in level if isinstance(found, dict | list) for one in (found.values() if isinstance(found, dict) else found)
    ]:
        depth += 1
    return depth


def written(value: Any) -> str:
    """A member of a body, as much of it as is told."""
    return (value if isinstance(value, str) else json.dumps(value))[:SHOWN]
