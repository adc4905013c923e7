"""What a test says about jobs; each says in its AssertionError what was there instead, read anew from the store."""

import json
from collections.abc import Mapping
from typing import Any

from .. import encoding, failure
from ..collection import find, where
from ..query import Query
from ..states import State
from ..status import Status

#: Stands for "not asked"; None is a value that data may have.
_ANYTHING: Any = object()
#: Jobs a message lists.
_LISTED = 10


def assert_state(job: Status | str, state: str) -> Status:
    """The job (a status, or its id) is in `state`; the status as it is now."""
    __tracebackhide__ = True
    wanted, status = State(state), _read(job)
    if status.state is not wanted:
        raise AssertionError(f"expected {wanted}, {_said(status)}")
    return status


def assert_succeeded(job: Status | str, data: Any = _ANYTHING) -> Status:
    """The job succeeded; with `data`, that is what it saved, as JSON gives it back."""
    __tracebackhide__ = True
    status = assert_state(job, State.succeeded)
    if data is not _ANYTHING and status.data != encoding.normalise(data, "data"):
        raise AssertionError(f"expected the data {data!r}, job {status.id} saved {status.data!r}")
    return status


def assert_failed(job: Status | str, error: str | type[BaseException] | None = None) -> Status:
    """The job failed; with `error`, its last error is of that class (or one below it), or holds that text."""
    __tracebackhide__ = True
    status = assert_state(job, State.failed)
    if error is not None and not _is_error(status.errors[-1] if status.errors else None, error):
        raise AssertionError(f"expected the error {error!r}, {_said(status)}")
    return status


def assert_counts(expected: Mapping[str, int], query: Query | None = None, **clauses: Any) -> None:
    """Exactly so many of the jobs that match are in each state; in a state that is not named is none."""
    __tracebackhide__ = True
    wanted = {State(state): number for state, number in expected.items()}
    asked = (query if query is not None else Query()).where(**clauses)
    found = {state: number for state, number in asked.counts().items() if number}
    if found != {state: number for state, number in wanted.items() if number}:
        raise AssertionError(f"expected {_numbers(wanted)} of {asked.describe()}, there are {_numbers(found)}{_listed(asked)}")


def assert_one(**clauses: Any) -> Status:
    """Exactly one job matches the clauses of `statuses.where`; that one."""
    __tracebackhide__ = True
    asked = where(**clauses)
    found = asked.limit(2).run()
    if len(found) != 1:
        number = asked.count()
        raise AssertionError(f"expected one of {asked.describe()}, there {'are' if number else 'is'} {number or 'none'}{_listed(asked)}")
    return found[0]


def _read(job: Status | str) -> Status:
    __tracebackhide__ = True
    id = job.id if isinstance(job, Status) else job
    status = find(id)
    if status is None:
        raise AssertionError(f"there is no job {id!r}; the latest are{_listed(Query())}")
    return status


def _is_error(kept: Any, wanted: str | type[BaseException]) -> bool:
    if isinstance(wanted, type):
        return isinstance(kept, dict) and kept.get("class") in _names(wanted)
    if isinstance(kept, dict) and "message" in kept:
        return wanted in f"{kept.get('class')}: {kept['message']}"
    return wanted in (kept if isinstance(kept, str) else json.dumps(kept, ensure_ascii=False))


def _names(kind: type[BaseException]) -> set[str]:
    """What an error of the class, or of one below it, is kept as."""
    return {failure.class_name(kind)}.union(*map(_names, type.__subclasses__(kind)))


def _said(status: Status) -> str:
    words = f"job {status.id} ({status.job_name}) is {status.state}"
    if not status.errors:
        return f"{words}, without an error"
    last = status.errors[-1]
    trace = last.get("traceback") if isinstance(last, dict) else None
    return f"{words}, its last error:\n{trace or last}"


def _numbers(counts: Mapping[State, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in counts.items()) or "none"


def _listed(asked: Query) -> str:
    found = asked.limit(_LISTED).run()
    return "".join(f"\n  {status.id} {status.state} {status.job_name}" for status in found)
