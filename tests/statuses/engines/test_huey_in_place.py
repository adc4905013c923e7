"""Huey's tasks where they are enqueued (immediate mode): one execution may stand inside another, and nothing catches what breaks it off."""

import pickle
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
from huey import CancelExecution, MemoryHuey

import statuses
from statuses import State, Status
from statuses.engines import huey as tracking

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def huey() -> Iterator[Any]:
    made = MemoryHuey("in place", immediate=True)
    tracking.install(made, name="in place")
    yield made
    tracking.uninstall(made)


def only(**clauses: Any) -> Status:
    found = statuses.find_by(**clauses)
    assert found is not None
    return found


def test_a_task_that_exits_has_failed(huey: Any) -> None:
    @huey.task()
    def leaves() -> NoReturn:
        sys.exit(3)

    with pytest.raises(SystemExit):
        leaves()

    job = only()
    assert (job.state, job.errors[0]["class"], statuses.current()) == (State.failed, "SystemExit", None)


def test_a_task_whose_result_cannot_be_stored_has_failed(huey: Any) -> None:
    @huey.task()
    def gives() -> Any:
        return lambda: None

    with pytest.raises((AttributeError, pickle.PicklingError)):  # the former before Python 3.14
        gives()

    job = only()
    assert job.state is State.failed
    assert "local object" in job.error_summary
    assert huey._statuses_adapter._running() == []


def test_what_is_enqueued_after_a_task_does_not_come_from_it(huey: Any) -> None:
    @huey.task()
    def step(number: int) -> int:
        return number

    @huey.task()
    def sends_two() -> None:
        step(1)
        step(2)

    step(0)
    sends_two()

    zeroth, sender, first, second = statuses.all().order_by("recorded_at")
    assert [job.parent for job in (zeroth, sender, first, second)] == [None, None, sender.id, sender.id]
    assert [job.depends_on for job in (zeroth, sender, first, second)] == [[], [], [], []]


def test_a_task_that_a_hook_cancels_which_was_made_after_ours_never_started(huey: Any) -> None:
    @huey.pre_execute()
    def closed(task: Any) -> None:
        raise CancelExecution("closed")

    @huey.task()
    def never() -> None:
        raise AssertionError("it ran")

    never()

    job = only()
    assert (job.state, job.started_at, job.error_summary) == (State.killed, None, "it was cancelled before it started")
    assert (huey._statuses_adapter._running(), statuses.current()) == ([], None)
