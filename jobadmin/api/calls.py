"""The table of what can be asked: one call a line, with everything that its view and the document need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest, HttpResponseBase

from jobadmin.api import schemas
from jobadmin.api.fields import FILTER, Field, number, one_of, text
from jobadmin.operations import REASON_LENGTH
from jobadmin.tables import ROWS
from jobadmin.verbs import ALL, BULK

#: Rows of a list, unless said otherwise, and at most: as many as a page can have.
FEW, MOST = int(ROWS[0]), int(ROWS[-1])
#: Values of a facet, unless said otherwise.
VALUES = 20
#: What jobs can be counted by, in the words of the status service.
FACETS = ("job_name", "queue", "user", "worker", "engine", "job_arg", "error")
#: The same, but what one job has several of.
SINGLE_FACETS = tuple(name for name in FACETS if name != "job_arg")


@dataclass(frozen=True)
class Answer:
    """What a handler gives."""

    body: Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What a request said, read and checked."""

    request: HttpRequest
    path: Mapping[str, Any]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


Handler = Callable[[Asked], "Answer | HttpResponseBase"]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One method of one address."""

    method: str
    path: str
    """As Django's `path` has it, below `api/`."""
    name: str
    """Of the URL, and in the document."""
    summary: str
    handler: str
    """Module and function, in this package."""
    says: str = ""
    """More than the summary, for the document."""
    query: Sequence[Field] = ()
    body: Sequence[Field] | None = None
    """None where no body is read."""
    answers: Mapping[int, tuple[str, str]]
    """Status of what went well -> words, and the name of the schema."""
    media: str = "application/json"
    """What those are."""
    refuses: Sequence[int] = ()
    """Further statuses of errors, beside those that every call has."""


_LIMIT = Field(name="limit", schema=number(1, MOST, FEW), says="Jobs in one answer.")
_VALUES = Field(name="limit", schema=number(1, MOST, VALUES), says="Values of the facet in the answer.")
_OPERATIONS = (
    Field(name="action", schema=one_of(ALL), says="Operations that do this."),
    Field(name="user", schema=text(), says="Operations of this user, by the whole name."),
    Field(name="limit", schema=number(1, MOST, FEW), says="Operations in one answer."),
    Field(
        name="after",
        schema=number(0, 2**63 - 1),
        says="Where the list goes on, as `next` says it: older than the operation of this number.",
    ),
)
_REASON = Field(name="reason", schema=text(REASON_LENGTH), says="Why, for the record.")
_FOR_ONE = (
    _REASON,
    Field(
        name="attempt",
        schema=number(0, 999_999_999),
        says="The attempt that is meant, zero-based: a retry of one that has a later one changes nothing.",
    ),
)
_FOR_MANY = (
    Field(
        name="promise",
        schema=text(100_000, minLength=1),
        says="What the GET of the same address announced; in place of a filter. The same one sent again begins nothing new.",
    ),
    Field(name="count", schema=number(0, 10**12), says="How many jobs change, as announced: needed where `asks_count` says so."),
    _REASON,
)
_SUBMITTED = (
    Field(name="job_name", schema=text(200, minLength=1), says="As jobs of its kind are called.", required=True),
    Field(name="args", schema={"type": "array"}, says="Positional arguments."),
    Field(name="kwargs", schema={"type": "object"}, says="Arguments by name."),
    Field(name="queue", schema=text(200, minLength=1), says="Where it waits, unless in its own queue."),
    Field(name="user", schema=text(200, minLength=1), says="Whose job it is, unless that of who asks."),
    Field(name="engine", schema=text(200, minLength=1), says="Which engine sends it, where several know the name."),
    _REASON,
)

CALLS: tuple[Call, ...] = (
    Call(
        method="GET", path="", name="api", summary="What there is", handler="reading.index",
        answers={200: ("Addresses, engines and your rights.", "Index")},
        says="Who asks for HTML, as a browser does, gets a page of these calls.",
    ),
    Call(
        method="GET", path="openapi.json", name="api_openapi", summary="All of this for machines, in OpenAPI 3.1", handler="openapi.answer",
        answers={200: ("OpenAPI 3.1.", "Document")},
    ),
    Call(
        method="GET", path="metrics", name="api_metrics", summary="What was counted of all jobs, for Prometheus", handler="metrics.answer",
        answers={200: ("Prometheus' text format, 0.0.4.", "Metrics")}, media="text/plain", refuses=(404,),
        says="The sums of every process that counts, with times, and how many jobs there are. 404 where nobody counts.",
    ),
    Call(
        method="GET", path="jobs/", name="api_jobs", summary="The jobs of a filter, a page at a time", handler="reading.jobs",
        query=(*FILTER, _LIMIT), answers={200: ("A page of jobs; `next` leads to the one after it.", "Jobs")},
        says="`export` has all of them in one file, streamed.",
    ),
    Call(
        method="GET", path="export.csv", name="api_export_csv", summary="All jobs of a filter in one file, for a spreadsheet",
        handler="exporting.csv", query=FILTER, answers={200: ("A line a job, streamed.", "Lines")}, media="text/csv",
    ),
    Call(
        method="GET", path="export.json", name="api_export_json", summary="All jobs of a filter in one file", handler="exporting.json",
        query=FILTER, answers={200: ("An object a job, streamed.", "Export")},
    ),
    Call(
        method="GET", path="jobs/<str:id>/", name="api_job", summary="One job, or one earlier attempt of it (`<id>:<n>`)",
        handler="reading.job", answers={200: ("Everything that is known of it.", "Job")}, refuses=(404,),
    ),
    Call(
        method="POST", path="jobs/<str:id>/<slug:action>/", name="api_job_action", summary="Kill, retry or remove one job",
        handler="doing.one", body=_FOR_ONE, answers={200: ("It was done.", "Done")}, refuses=(404, 409, 413, 415),
        says="It is done at once, without a question. 409: nothing was changed, and why.",
    ),
    Call(
        method="GET", path="counts/", name="api_counts", summary="How many jobs match, by state and by what they have in common",
        handler="reading.counts",
        query=(*FILTER, Field(name="facet", schema=one_of(FACETS), says="Also by the values of this, largest first."), _VALUES),
        answers={200: ("Exact counts, of one moment.", "Counts")},
    ),
    Call(
        method="GET", path="durations/", name="api_durations", summary="How long the jobs of a filter ran and waited",
        handler="reading.durations",
        query=(*FILTER, Field(name="facet", schema=one_of(SINGLE_FACETS), says="Also for each value of this."), _VALUES),
        answers={200: ("Seconds; percentiles by nearest rank.", "Durations")},
    ),
    Call(
        method="GET", path="operations/", name="api_operations", summary="What was done, newest first, a page at a time",
        handler="reading.operations", query=_OPERATIONS,
        answers={200: ("A page of operations; `next` leads to the one after it.", "Operations")},
        says="Every action, one job's or many's, an order to a worker or a queue: who, when, on what, why, and what came of it.",
    ),
    Call(
        method="GET", path="operations/<int:pk>/", name="api_operation", summary="One operation: its progress, then its result",
        handler="doing.operation", answers={200: ("As it is now.", "Operation")}, refuses=(404,),
    ),
    Call(
        method="POST", path="operations/<int:pk>/stop/", name="api_operation_stop", summary="Let an operation end after its present batch",
        handler="doing.stop", body=(), answers={200: ("It was told to.", "Operation")}, refuses=(404, 409, 413, 415),
    ),
    Call(
        method="POST", path="operations/<int:pk>/undo/", name="api_operation_undo", summary="Take a removal back",
        handler="doing.undo", body=(), answers={202: ("The operation that brings the jobs back.", "Operation")},
        refuses=(404, 409, 413, 415),
    ),
    Call(
        method="POST", path="submit/", name="api_submit", summary="Send a job by its name", handler="submitting.submit", body=_SUBMITTED,
        says="Through the engine that knows the name, as the project's own code would send it.",
        answers={
            201: ("It was sent.", "Submitted"),
            202: ("It was sent, and its jobs are not tracked, or not seen yet.", "Submitted"),
        },
        refuses=(409, 413, 415),
    ),
    Call(
        method="GET", path="<slug:action>/", name="api_bulk", summary="What an action would do to what matches; changes nothing",
        handler="doing.announce", query=FILTER, answers={200: ("Counts by what becomes of the jobs, and a promise to confirm.", "Plan")},
        refuses=(404,),
    ),
    Call(
        method="POST", path="<slug:action>/", name="api_bulk", summary="Kill, retry or remove everything that matches",
        handler="doing.many", query=FILTER, body=_FOR_MANY,
        answers={202: ("An operation has begun; its address tells how far it is.", "Operation")}, refuses=(404, 409, 413, 415),
        says="What is done is counted again on the server: jobs that ended meanwhile are skipped, none that came later is touched. "
        "409: nothing was changed; `plan` has the counts as they are now.",
    ),
)  # fmt: skip

#: What stands in a path.
IN_PATH: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "id": (
        {"type": "string", "minLength": 1},
        "The id, quoted as in `url` of the job where it has other characters than letters, digits and -.",
    ),
    "pk": ({"type": "integer", "minimum": 0}, "The number of the operation."),
    "action": ({"type": "string", "enum": list(BULK)}, "What is done."),
}
#: The schemas that answers name.
SCHEMAS = schemas.SCHEMAS
