"""What becomes of Dramatiq's messages where something else does not do as it mostly does: the broker, another middleware."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import dramatiq
import pytest
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import AgeLimit, Callbacks, Pipelines, Retries
from dramatiq.results import ResultMissing, Results
from dramatiq.results.backends import StubBackend

import statuses
from statuses import State, Status, presence
from statuses.engines import dramatiq as tracking
from statuses.engines import registry
from statuses.engines.dramatiq.presence import Present
from tests.servers import until

pytestmark = pytest.mark.usefixtures("store")


class Broker(StubBroker):
    """It does not take what is sent a second time, tries it more than once as RabbitMQ's does, is away, and fails to acknowledge what it
    is told, if so."""

    takes_retries = True
    tries = 1
    is_away = False
    fails_to_acknowledge = 0

    def enqueue(self, message: Any, *, delay: int | None = None) -> Any:
        if self.is_away:
            raise ConnectionError("the broker is away")
        for _ in range(self.tries - 1):
            self.emit_before("enqueue", message, delay)
        if message.options.get("retries") and not self.takes_retries:
            self.emit_before("enqueue", message, delay)
            raise ConnectionError("the broker is away")
        return super().enqueue(message, delay=delay)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 100) -> Any:
        consumer = super().consume(queue_name, prefetch, timeout)
        acknowledge = consumer.ack

        def ack(message: Any) -> None:
            if self.fails_to_acknowledge:
                self.fails_to_acknowledge -= 1
                raise RuntimeError("it is confused")
            acknowledge(message)

        consumer.ack = ack
        return consumer


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker(middleware=[AgeLimit(), Pipelines(), Callbacks(), Retries(max_retries=1, min_backoff=1, max_backoff=1)])
    tracking.install(made, name="in place")
    yield made
    tracking.uninstall(made)


@pytest.fixture
def works() -> Iterator[Callable[[Any], None]]:
    """Lets a worker with one thread work for a broker."""
    workers: list[Any] = []

    def start(broker: Any) -> None:
        workers.append(dramatiq.Worker(broker, worker_timeout=50, worker_threads=1))
        workers[-1].start()

    yield start
    for worker in workers:
        worker.stop()


def only(**clauses: Any) -> Status:
    found = statuses.where(**clauses).run()
    assert len(found) == 1
    return found[0]


def ended(job: Status, attempt: int = 0) -> Status:
    until(lambda: job.reload().is_ended and job.attempt >= attempt, f"{job} has ended")
    return job


def test_a_message_whose_retry_cannot_be_sent_has_failed_for_good(broker: Broker, works: Callable[[Any], None]) -> None:
    @dramatiq.actor(broker=broker)
    def fails() -> NoReturn:
        raise ValueError("no such shelf")

    broker.takes_retries = False
    fails.send()
    works(broker)

    job = ended(only(), attempt=1)
    assert (job.state, job.error_summary) == (State.failed, "ConnectionError: the broker is away")
    assert job.prior_attempts[0].error_summary == "ValueError: no such shelf"


def test_a_retry_that_the_broker_tries_to_send_more_than_once_is_one_attempt_and_its_error_one(
    broker: Broker, works: Callable[[Any], None]
) -> None:
    @dramatiq.actor(broker=broker)
    def fails() -> NoReturn:
        raise ValueError("no such shelf")

    broker.tries = 2
    fails.send()
    works(broker)

    job = ended(only(), attempt=1)
    assert (job.state, job.attempt, len(job.errors)) == (State.failed, 1, 1)
    assert [(attempt.state, len(attempt.errors)) for attempt in job.prior_attempts] == [(State.failed, 1)]


def test_a_message_whose_broker_never_heard_of_it_has_failed(broker: Broker) -> None:
    @dramatiq.actor(broker=broker)
    def nothing(number: int) -> None:
        pass

    broker.is_away = True
    with pytest.raises(ConnectionError):
        nothing.send(7)
    with pytest.raises(ConnectionError):
        nothing.send_with_options(args=(8,), delay=1000)

    assert [(job.state, job.error_summary, job.call["args"]) for job in statuses.where().run()] == [
        (State.failed, "ConnectionError: the broker is away", [number]) for number in (8, 7)
    ]


def test_a_message_that_is_handed_out_again_after_its_retry_was_sent_leaves_no_result_of_it(
    broker: Broker, works: Callable[[Any], None]
) -> None:
    """As of a worker that was killed after it had sent the retry, and before it acknowledged what failed."""
    results = StubBackend()
    broker.add_middleware(Results(backend=results, store_results=True))
    ran = []

    @dramatiq.actor(broker=broker, min_backoff=3_600_000, max_backoff=3_600_000)
    def fails() -> NoReturn:
        ran.append(1)
        raise ValueError("not yet")

    message = fails.send()
    as_sent = message.encode()
    works(broker)
    job = only()
    until(lambda: job.reload().attempt == 1, "its retry was sent")

    broker.queues["default"].put(as_sent)
    broker.queues["default"].join()
    told = registry.get("in place").outcome(job.reload())

    assert (told, job.state, job.attempt, ran) == (None, State.unqueued, 1, [1])
    with pytest.raises(ResultMissing):
        results.get_result(message)


def test_what_an_actor_sends_does_not_come_from_a_message_that_was_not_acknowledged(broker: Broker, works: Callable[[Any], None]) -> None:
    @dramatiq.actor(broker=broker)
    def nothing() -> None:
        pass

    @dramatiq.actor(broker=broker)
    def sends() -> None:
        nothing.send()

    broker.fails_to_acknowledge = 1
    works(broker)
    first, sender = nothing.send(), sends.send()

    job = ended(until(lambda: statuses.find_by(parent=only(provider_job_id=sender.message_id).id), "what it sent"))
    assert (job.depends_on, job.root) == ([], job.parent)
    assert ended(only(provider_job_id=first.message_id)).is_succeeded


def test_a_job_that_is_killed_is_not_retried_although_retries_were_added_after_tracking(works: Callable[[Any], None]) -> None:
    broker = StubBroker(middleware=[Pipelines(), Callbacks()])
    tracking.install(broker, name="too early")
    broker.add_middleware(Retries(max_retries=2, min_backoff=1, max_backoff=1))
    broker.add_middleware(AgeLimit())
    order = [type(one).__name__ for one in broker.middleware]

    @dramatiq.actor(broker=broker)
    def ends() -> None:
        job = statuses.current()
        assert job is not None
        job.request_kill()
        job.check_kill()

    states = []

    @dramatiq.actor(broker=broker)
    def fails() -> NoReturn:
        states.extend(each.state for each in only(job_name="fails").prior_attempts)
        raise ValueError("no such shelf")

    ends.send()
    fails.send()
    works(broker)
    failed = ended(only(job_name="fails"), attempt=2)
    killed = ended(only(job_name="ends"))
    reported = [worker.name for worker in registry.get("too early").workers()]
    tracking.uninstall(broker)

    assert reported and not presence.reports("too early")
    assert (killed.state, killed.attempt) == (State.killed, 0)
    assert (failed.state, states) == (State.failed, [State.failed] * 3)
    assert order == ["InHand", "Pipelines", "Callbacks", "Retries", "Tracking", "Present", "AgeLimit"]


def tell_command(told: Any) -> None:
    """In a process of a worker."""
    present = Present(None, "dramatiq", None)  # ty: ignore
    present.after_process_boot(None)
    told.send((os.getppid(), present._command.pid, present._command.is_alive()))


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_process_knows_its_command_however_that_started_it(method: str) -> None:
    """A server that forks for it, as since Python 3.14, is its parent and takes no orders."""
    start = multiprocessing.get_context(method)
    heard, told = start.Pipe(duplex=False)
    process = start.Process(target=tell_command, args=(told,))
    process.start()
    parent, command, is_alive = heard.recv()
    process.join()

    assert (command, is_alive) == (os.getpid(), True)
    assert (parent == command) is (method != "forkserver")
