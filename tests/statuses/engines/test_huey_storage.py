"""What becomes of a job whose Huey loses its task: its storage does not answer at the wrong moment, or its arguments cannot be read."""

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from types import ModuleType
from typing import Any, NoReturn

import pytest
from huey import MemoryHuey, RetryTask
from huey.serializer import Serializer, SignedSerializer

import statuses
from statuses import State, Status
from statuses.engines import huey as tracking

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def huey() -> Iterator[Any]:
    made = MemoryHuey("loses")
    tracking.install(made, name="loses")
    yield made
    tracking.uninstall(made)


@pytest.fixture
def work(huey: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Does what waits as a worker does, while one thing that the storage is asked for fails."""

    def run(away: str) -> None:
        def fails(*_: Any, **__: Any) -> NoReturn:
            raise ConnectionError("the storage is away")

        with monkeypatch.context() as patched:
            patched.setattr(huey.storage, away, fails)
            while (task := huey.dequeue()) is not None:
                with suppress(ConnectionError):
                    huey.execute(task)

    return run


def only(**clauses: Any) -> Status:
    found = statuses.where(**clauses).run()
    assert len(found) == 1
    return found[0]


def add(x: int, y: int) -> int:
    return x + y


def fails() -> NoReturn:
    raise ValueError("no such shelf")


def test_a_task_that_is_taken_and_does_not_come_to_its_start_has_failed(huey: Any, work: Callable[[str], None]) -> None:
    huey.task()(add)(1, 2)

    work("peek_many")  # whether it was revoked

    job = only()
    assert (job.state, job.started_at, job.error_summary) == (State.failed, None, "ConnectionError: the storage is away")


def test_a_task_for_later_that_cannot_be_kept_until_then_has_failed(huey: Any, work: Callable[[str], None]) -> None:
    huey.task()(add).schedule((1, 2), delay=100)

    work("add_to_schedule")

    assert (only().state, only().error_summary) == (State.failed, "ConnectionError: the storage is away")


def test_a_task_whose_retry_cannot_be_kept_has_failed_for_what_it_raised(huey: Any, work: Callable[[str], None]) -> None:
    huey.task(retries=1, retry_delay=100)(fails)()

    work("add_to_schedule")

    assert (only().state, only().attempt, only().error_summary) == (State.failed, 0, "ValueError: no such shelf")


def test_a_task_that_asks_to_run_again_and_cannot_has_failed_for_that(huey: Any, work: Callable[[str], None]) -> None:
    def asks() -> NoReturn:
        raise RetryTask(delay=100)

    huey.task()(asks)()

    work("add_to_schedule")

    assert (only().state, only().error_summary) == (State.failed, "ConnectionError: the storage is away")


def test_a_task_whose_retry_or_whose_follower_cannot_be_sent_has_failed_and_so_has_that(huey: Any, work: Callable[[str], None]) -> None:
    task = huey.task(retries=1)(fails).s()
    huey.enqueue(task.error(huey.task()(add), 1))

    work("enqueue")

    job, handler = only(provider_job_id=task.id), only(parent=task.id)
    assert (job.state, job.attempt, job.error_summary) == (State.failed, 0, "ValueError: no such shelf")
    assert (handler.state, handler.error_summary) == (State.failed, "ConnectionError: the storage is away")


def test_a_task_that_succeeded_has_although_what_follows_it_cannot_be_sent(huey: Any, work: Callable[[str], None]) -> None:
    added = huey.task()(add)
    task = added.s(1, 2)
    huey.enqueue(task.then(added, 3))

    work("enqueue")

    assert (only(provider_job_id=task.id).state, only(parent=task.id).state) == (State.succeeded, State.failed)


class Shelves(ModuleType):
    """A module that only who sends has."""

    Numbers = type("Numbers", (dict,), {"__module__": "shelves"})
    Books = type("Books", (list,), {"__module__": "shelves"})
    Place = Enum("Place", "hall", module="shelves")
    Lost = type("Lost", (LookupError,), {"__module__": "shelves"})


@pytest.mark.parametrize("thing", [Shelves.Numbers(one=1), Shelves.Books([1]), Shelves.Place.hall, Shelves.Lost("x"), Shelves.Lost])
@pytest.mark.parametrize(
    ("serializer", "state"),
    [
        (Serializer(), State.failed),
        (Serializer(compression=True, pickle_protocol=2), State.failed),
        (SignedSerializer(secret="s"), State.queued),  # nothing is read whose signature was not looked at
    ],
)
def test_a_task_whose_arguments_are_of_a_class_that_is_not_here_has_failed(
    huey: Any, monkeypatch: pytest.MonkeyPatch, thing: Any, serializer: Any, state: State
) -> None:
    huey.serializer = serializer
    with monkeypatch.context() as there:
        there.setitem(sys.modules, "shelves", Shelves("shelves"))
        huey.task()(add)(thing, [thing])

    with pytest.raises(ModuleNotFoundError):
        huey.dequeue()

    assert only().state is state
    assert only().error_summary == ("ModuleNotFoundError: No module named 'shelves'" if state is State.failed else None)
