"""What answers look like, as JSON Schema. Rows are made from the same names (`rows`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jobadmin.actions import ACTIONS
from jobadmin.models import Operation
from statuses import State

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXT_OR_NOTHING: Schema = {"type": ["string", "null"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
SECONDS: Schema = {"type": ["number", "null"], "minimum": 0, "description": "Seconds."}
MOMENT: Schema = {"type": ["string", "null"], "format": "date-time", "description": "ISO 8601, UTC, microseconds."}
FLAG: Schema = {"type": "boolean"}
ADDRESS: Schema = {"type": "string", "format": "uri-reference", "description": "From the root of the site."}
ADDRESS_OR_NOTHING: Schema = {**ADDRESS, "type": ["string", "null"]}
ANYTHING: Schema = {"description": "Any JSON; secrets are gone."}
STATE: Schema = {"type": "string", "enum": [state.value for state in State]}


def thing(properties: Mapping[str, Schema], *, optional: tuple[str, ...] = ()) -> Schema:
    """An object with exactly these members."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def by_name(schema: Schema) -> Schema:
    return {"type": "object", "additionalProperties": schema}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def or_nothing(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


#: Every attribute of a status that a row has: name -> schema, in the order of the answer.
ROW: Mapping[str, Schema] = {
    "id": TEXT, "state": STATE, "job_name": TEXT_OR_NOTHING, "job_args": {"type": "object"}, "queue": TEXT_OR_NOTHING,
    "user": TEXT_OR_NOTHING, "worker": TEXT_OR_NOTHING, "engine": TEXT_OR_NOTHING, "provider_job_id": TEXT_OR_NOTHING,
    "parent": TEXT_OR_NOTHING, "attempt": {**COUNT, "description": "Zero-based."},
    "progress": {"type": ["number", "null"], "minimum": 0, "maximum": 1}, "progress_message": TEXT_OR_NOTHING,
    "recorded_at": {**MOMENT, "type": "string"}, "queued_at": MOMENT, "started_at": MOMENT, "succeeded_at": MOMENT, "failed_at": MOMENT,
    "killed_at": MOMENT, "ended_at": MOMENT, "kill_requested_at": MOMENT, "kill_requested_by": TEXT_OR_NOTHING,
    "kill_reason": TEXT_OR_NOTHING, "heartbeat_at": MOMENT, "expires_at": MOMENT, "run_time": SECONDS, "wait_time": SECONDS,
    "error_group": TEXT_OR_NOTHING, "error_summary": TEXT_OR_NOTHING,
    "kill_requested": FLAG, "is_stale": FLAG, "is_ended": FLAG, "is_completed": FLAG, "is_incomplete": FLAG,
}  # fmt: skip
_PLACES: Mapping[str, Schema] = {"url": ADDRESS, "page": {**ADDRESS, "description": "In the dashboard."}}
_STATES = thing({state.value: COUNT for state in State})
_DURATIONS = thing({"n": COUNT, **dict.fromkeys(("min", "avg", "p50", "p95", "p99", "max"), SECONDS)})
_SPAN = thing({"by": TEXT, "from": MOMENT, "to": MOMENT})
_BOTH = {"run_time": ref("Duration"), "wait_time": ref("Duration")}
_LINE = thing({"number": COUNT, "title": TEXT, "note": TEXT, "changes": FLAG})
_OPERATION: Mapping[str, Schema] = {
    "id": COUNT,
    "action": {"type": "string", "enum": list(Operation.Action.values)},
    "state": {
        "type": "string", "enum": list(Operation.State.values),
        "description": "unknown: what came of it is not written down; once is_over it never will be.",
    },
    "is_over": FLAG,
    "which": TEXT,
    "announced": COUNT, "done": COUNT, "changed": COUNT, "skipped": COUNT, "missing": COUNT,
    "by_reason": {**by_name(COUNT), "description": "forbidden: those that who asked may not do this to."},
    "user": TEXT, "reason": TEXT, "error": TEXT, "stopped_by": TEXT,
    "created_at": MOMENT, "started_at": MOMENT, "ended_at": MOMENT,
    "can_undo": {**FLAG, "description": "By you, now."}, "undo_until": MOMENT, "undone_at": MOMENT,
    **_PLACES,
}  # fmt: skip

SCHEMAS: Mapping[str, Schema] = {
    "Index": thing({
        "version": TEXT,
        "links": {**by_name(ADDRESS), "description": "`metrics` is there where they are counted."},
        "export": by_name(ADDRESS),
        "engines": many(thing({"name": TEXT, "can_kill": FLAG, "can_retry": FLAG, "can_submit": FLAG})),
        "rights": {**many(TEXT), "description": "Yours."},
        "user": TEXT,
        "now": {**MOMENT, "type": "string", "description": "By the clock of the store."},
    }),
    "Document": {"type": "object"},
    "Metrics": {"type": "string"},
    "Lines": {"type": "string"},
    "Export": {"type": "array", "items": {"type": "object"}},
    "States": {**_STATES, "description": "All seven, zeros included."},
    "Span": {**_SPAN, "description": "In absolute times, both ends included; null is open. Given as from and to the set stays the same."},
    "Row": thing({**ROW, **_PLACES}),
    "Jobs": thing({
        "total": {**COUNT, "description": "How many match."},
        "span": ref("Span"),
        "jobs": many(ref("Row")),
        "next": {**ADDRESS_OR_NOTHING, "description": "The page after this one; null at the end."},
        "page": ADDRESS,
        "export": thing({"csv": ADDRESS, "json": ADDRESS}),
    }),
    "Attempt": thing({**ROW, "errors": many(ANYTHING)}),
    "Job": thing({
        **ROW, **_PLACES,
        "errors": many(ANYTHING),
        "data": ANYTHING,
        "call": {**ANYTHING, "type": ["object", "null"]},
        "depends_on": many(TEXT),
        "children": thing({"total": COUNT, "counts": ref("States"), "ids": {**many(TEXT), "description": "Of the newest."}}),
        "prior_attempts": {**many(ref("Attempt")), "description": "The newest of them, oldest first."},
        "actions": {
            **by_name(thing({"url": ADDRESS, "why_not": {**TEXT_OR_NOTHING, "description": "Null when it is possible now."}})),
            "description": f"Of {', '.join(ACTIONS)} those that you may; none for an earlier attempt.",
        },
    }),
    "Counts": thing({
        "total": COUNT,
        "counts": ref("States"),
        "flags": thing({"kill_requested": COUNT, "stale": COUNT}),
        "span": ref("Span"),
        "facet": TEXT_OR_NOTHING,
        "distinct": {"type": ["integer", "null"], "description": "How many different values of the facet there are."},
        "values": many(thing({
            "value": TEXT, "total": COUNT, "by_state": ref("States"), "first": MOMENT, "last": MOMENT,
        })),
    }),
    "Duration": {**_DURATIONS, "description": "Over the n jobs that have it; null where there is none."},
    "Durations": thing({
        **_BOTH,
        "span": ref("Span"),
        "facet": TEXT_OR_NOTHING,
        "values": many(thing({"value": TEXT, "run_time": or_nothing(ref("Duration")), "wait_time": or_nothing(ref("Duration"))})),
    }),
    "Plan": thing({
        "action": TEXT,
        "total": {**COUNT, "description": "How many match."},
        "changes": {**COUNT, "description": "How many of them change, but for those that you may not do this to: they are skipped."},
        "lines": {**many(_LINE), "description": "What becomes of how many; they add up to the total."},
        "which": {**TEXT, "description": "The jobs, in words."},
        "asks_count": {**FLAG, "description": "Whether the POST must say `count`."},
        "promise": {**TEXT, "description": "For the POST: these jobs, as they were counted. Good for twelve hours."},
    }),
    "Operation": thing({
        **_OPERATION,
        "still_running": {"type": ["integer", "null"], "description": "Of those it asked to stop, how many have not ended."},
    }),
    "Operations": thing({
        "total": {**COUNT, "description": "How many match."},
        "operations": many(ref("ListedOperation")),
        "next": {**ADDRESS_OR_NOTHING, "description": "The page after this one; null at the end."},
        "page": ADDRESS,
    }),
    "ListedOperation": thing(_OPERATION),
    "Done": thing({"message": TEXT, "operation": ref("Operation"), "job": or_nothing(ref("Row"))}),
    "Submitted": thing({"message": TEXT, "operation": ref("Operation"), "job": or_nothing(ref("Row"))}),
    "Error": {
        **thing({
            "error": thing(
                {
                    "code": {**TEXT, "description": "For programs."},
                    "message": {**TEXT, "description": "For people, as the pages say it."},
                    "parameter": {**TEXT_OR_NOTHING, "description": "Which parameter, or member of the body, is meant."},
                    "expected": {**TEXT, "description": "What it could have been."},
                    "condition": {**TEXT, "description": "Why Redis refuses, where it is there: `loading`, `oom`, `readonly`, ..."},
                },
                optional=("expected", "condition"),
            ),
            "operation": ref("Operation"),
            "plan": ref("Plan"),
        }, optional=("operation", "plan")),
    },
}  # fmt: skip
