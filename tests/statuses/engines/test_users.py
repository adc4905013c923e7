"""Whose job it is: whatever else sends a part of it, and also where the store hears of it late."""

from collections.abc import Callable, Iterator
from typing import Any

import dramatiq
import pytest
from celery import Celery
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Callbacks, Pipelines, Retries
from huey import MemoryHuey
from rq import Queue

import statuses
from statuses import StoreUnavailable
from statuses.engines import celery as celery_tracking
from statuses.engines import dramatiq as dramatiq_tracking
from statuses.engines import huey as huey_tracking
from statuses.engines import rq as rq_tracking
from statuses.engines.celery import adapter, messages
from statuses.engines.guard import Guard
from statuses.engines.rq import adapter as rq_adapter
from statuses.engines.who import as_user
from tests.servers import until

pytestmark = pytest.mark.usefixtures("store")


def users() -> dict[str, str | None]:
    return {(job.job_name or "").removeprefix("test_users."): job.user for job in statuses.all()}


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Callable[[Guard], None]:
    """Lets a guard know that its store is away, which nobody looks for."""

    def leave(guard: Guard) -> None:
        monkeypatch.setattr(guard, "_wait", lambda: None)
        guard.lost(StoreUnavailable("a write", ConnectionError("Connection refused")))

    return leave


@pytest.fixture
def broker() -> Iterator[StubBroker]:
    made = StubBroker(middleware=[Pipelines(), Callbacks(), Retries(max_retries=0)])
    dramatiq_tracking.install(made, name="of users")
    yield made
    dramatiq_tracking.uninstall(made)


@pytest.fixture
def works(broker: StubBroker) -> Iterator[Callable[[], None]]:
    """Lets a worker work for the broker until nothing waits."""
    workers: list[Any] = []

    def start() -> None:
        workers.append(dramatiq.Worker(broker, worker_timeout=50, worker_threads=1))
        workers[-1].start()

    yield start
    for worker in workers:
        worker.stop()


@pytest.fixture
def huey() -> Iterator[Any]:
    made = MemoryHuey("of users")
    huey_tracking.install(made, name="of users")
    yield made
    huey_tracking.uninstall(made)


def execute_all(huey: Any) -> None:
    while (task := huey.dequeue()) is not None:
        huey.execute(task)


@pytest.fixture
def app() -> Iterator[Celery]:
    made = Celery("of users", broker="memory://", set_as_current=False)
    made.conf.task_ignore_result = True
    celery_tracking.install(made, name="of users")
    yield made
    celery_tracking.uninstall(made)


def test_every_step_of_a_pipeline_of_dramatiq_is_its_senders(broker: StubBroker, works: Callable[[], None]) -> None:
    @dramatiq.actor(broker=broker)
    def first() -> int:
        return 1

    @dramatiq.actor(broker=broker)
    def second(number: int) -> int:
        return number

    @dramatiq.actor(broker=broker)
    def third(number: int) -> None: ...

    with as_user("ann"):
        dramatiq.pipeline([first.message(), second.message(), third.message()], broker=broker).run()
    works()

    until(lambda: statuses.where(state="succeeded").count() == 3, "all have run")
    assert users() == {"first": "ann", "second": "ann", "third": "ann"}


@pytest.mark.parametrize("fails", [False, True])
def test_what_follows_a_message_of_dramatiq_is_its_senders(broker: StubBroker, works: Callable[[], None], fails: bool) -> None:
    @dramatiq.actor(broker=broker)
    def follows(*about: Any) -> None: ...

    @dramatiq.actor(broker=broker)
    def works_or_not() -> None:
        if fails:
            raise ValueError("no")

    with as_user("ann"):
        works_or_not.send_with_options(on_success=follows, on_failure=follows)
    works()

    until(lambda: statuses.where(job_name="follows", state="succeeded").exists(), "what follows has run")
    assert users() == {"works_or_not": "ann", "follows": "ann"}


def test_every_step_of_a_pipeline_of_huey_and_its_error_handler_are_its_senders(huey: Any) -> None:
    @huey.task()
    def first() -> int:
        return 1

    @huey.task()
    def second(number: int) -> None:
        raise ValueError("no")

    @huey.task()
    def handles(error: Any) -> None: ...

    task = first.s().then(second)
    task.on_complete.error(handles)
    with as_user("ann"):
        huey.enqueue(task)
    execute_all(huey)

    assert users() == {"first": "ann", "second": "ann", "handles": "ann"}


def test_what_follows_a_job_of_nobody_is_nobodys(huey: Any) -> None:
    @huey.task()
    def first() -> int:
        return 1

    @huey.task()
    def second(number: int) -> None: ...

    huey.enqueue(first.s().then(second))
    execute_all(huey)

    assert users() == {"first": None, "second": None}


def test_a_message_of_dramatiq_that_is_sent_while_the_store_is_away_says_whose_it_is(
    broker: StubBroker, away: Callable[[Guard], None]
) -> None:
    @dramatiq.actor(broker=broker)
    def does() -> None: ...

    away(_tracker(broker).guard)
    with as_user("ann"):
        message = does.send()

    assert message.options["user"] == "ann"
    assert not statuses.all().exists()


def _tracker(broker: StubBroker) -> Any:
    return next(one.tracker for one in broker.middleware if hasattr(one, "tracker"))


def test_a_message_of_celery_that_is_sent_while_the_store_is_away_says_whose_it_is(app: Celery, away: Callable[[Guard], None]) -> None:
    found = adapter.of(app)
    assert found is not None
    away(found.guard)
    with as_user("ann"):
        app.send_task("does", queue="of users")  # a queue of its own: a broker in memory is one for the whole process

    with app.connection() as connection:
        message = connection.SimpleQueue("of users").get(block=False)
        message.ack()
    assert messages.user_of(message.headers) == "ann"
    assert not statuses.all().exists()


def test_a_job_of_rq_that_is_sent_while_the_store_is_away_says_whose_it_is(store: Any, away: Callable[[Guard], None]) -> None:
    rq_tracking.install(store)
    try:
        away(rq_adapter.tracker().guard)
        with as_user("ann"):
            job = Queue("of users", connection=store, job_class=rq_tracking.Job).enqueue("os.getpid")

        assert rq_tracking.Job.fetch(job.id, connection=store).meta == {"user": "ann"}
    finally:
        rq_tracking.uninstall()


@pytest.mark.parametrize("name", ["\ud800", "a\ud800n", "ann" + "é" * 300])
def test_a_name_that_cannot_be_written_is_written_as_far_as_it_can(app: Celery, huey: Any, name: str) -> None:
    @huey.task()
    def does() -> None: ...

    with as_user(name):
        app.send_task("sent")
        does()

    written = name[:200].encode(errors="replace").decode()
    assert users() == {"sent": written, "does": written}
