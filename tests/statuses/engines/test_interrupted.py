"""What engines break a job off with, while it is our code that runs: at every line of it, one after the other."""

import functools
import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import Queue
from types import FrameType
from typing import Any, NoReturn

import celery
import celery.app.trace
import pytest
import redis
from billiard.exceptions import SoftTimeLimitExceeded
from celery import signals

import statuses
from statuses import State, Status
from statuses.engines import celery as tracking
from statuses.engines import guard as guards
from statuses.engines.celery import adapter as adapters
from statuses.engines.celery import piggyback
from statuses.engines.celery import worker as in_worker
from tests.servers import until

JobTimeoutException = pytest.importorskip("rq.timeouts").JobTimeoutException
OURS = str(Path(statuses.__file__).parent)

pytestmark = pytest.mark.usefixtures("store", "looks_soon")


@pytest.fixture
def looks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that did not answer is asked again at once."""
    monkeypatch.setattr(guards, "FIRST_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(guards, "QUIET_SECONDS", 0.0)


class Falls:
    """Raises an error at a line of ours, once, inside the block: the `number`th that runs there."""

    def __init__(self, number: int, error: BaseException) -> None:
        self.left = number
        self.error = error
        self.fell = ""
        """Where it was raised; empty where the block had fewer lines."""

    def __enter__(self) -> "Falls":
        self.before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self.before)

    def _called(self, frame: FrameType, event: str, _: object) -> Any:
        return self._line if frame.f_code.co_filename.startswith(OURS) and not self.fell else None

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and not self.fell and _is_looked(frame.f_code.co_filename, frame.f_lineno):
            self.left -= 1
            if not self.left:
                self.fell = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise self.error
        return self._line


@functools.cache  # each line is come to some hundred times
def _is_looked(file: str, line: int) -> bool:
    """Whether Python looks for signals there: not where a block begins or a lock is given back."""
    return not linecache.getline(file, line).lstrip().startswith(("try:", "with ", "finally:"))


def at_every_line(error: Callable[[], BaseException], act: Callable[[Falls], None]) -> int:
    """Let `act` run once for each line of ours that it comes to inside of its block; how many there were."""
    number = 1
    while True:
        falls = Falls(number, error())
        try:
            act(falls)
        except AssertionError as wrong:
            wrong.add_note(f"it fell at {falls.fell}")
            raise
        if not falls.fell:
            return number - 1
        number += 1


def settled(guard: Any) -> None:
    """Wait until everything that was remembered is told."""
    until(lambda: not guard.away and not guard._late and not guard._telling.locked(), "everything is told")


@pytest.fixture
def app() -> Iterator[celery.Celery]:
    made = celery.Celery("interrupted", broker="memory://", backend="cache+memory://", set_as_current=False)
    tracking.install(made, name="interrupted", heartbeat_seconds=3600)
    yield made
    tracking.uninstall(made)


class Sent:
    """The messages that have left."""

    def __init__(self) -> None:
        self.headers: list[dict[str, Any]] = []
        signals.after_task_publish.connect(self._left, weak=False, dispatch_uid="tests.sent")

    def _left(self, headers: Any = None, **_: Any) -> None:
        self.headers.append(dict(headers))


@pytest.fixture
def sent() -> Iterator[Sent]:
    yield Sent()
    signals.after_task_publish.disconnect(dispatch_uid="tests.sent")


class Works:
    """What a process of a worker does with a message."""

    def __init__(self, app: celery.Celery, sent: Sent) -> None:
        self.app, self.sent = app, sent
        adapter = adapters.of(app)
        assert adapter is not None
        self.guard = adapter.guard

    def send(self, task: Any, *args: Any) -> tuple[Status, Callable[[], Any]]:
        """A job that waits, and what lets it run; that gives Celery's own words: None for success, else state and error."""
        task.apply_async(args)
        headers = self.sent.headers[-1]
        request = {**headers, "hostname": "w@tests", "delivery_info": {"routing_key": "celery"}, "is_eager": False}
        trace = celery.app.trace.build_tracer(task.name, task, app=self.app)

        def run() -> Any:
            try:
                return trace(headers["id"], args, {}, request).info
            except SoftTimeLimitExceeded as limit:  # the main process of the worker hears of it, and tells
                found = in_worker._read(self.app, request)
                assert found is not None
                in_worker._end(*found, State.failed, limit)
                return celery.app.trace.TraceInfo("FAILURE", limit)

        return statuses.at(headers["job_status"]["id"]), run


@pytest.fixture
def works(app: celery.Celery, sent: Sent) -> Works:
    return Works(app, sent)


def limit() -> SoftTimeLimitExceeded:
    return SoftTimeLimitExceeded()


class TestCelery:
    @pytest.mark.parametrize("held", [False, True], ids=["told at once", "held back"])
    def test_a_limit_around_the_task_ends_it_as_celery_says_and_is_told_so(
        self, app: celery.Celery, works: Works, monkeypatch: pytest.MonkeyPatch, held: bool
    ) -> None:
        monkeypatch.setattr(piggyback.held, "is_possible", held)
        ran, found = [], set()

        @app.task
        def task() -> int:
            ran.append(1)
            return 7

        def act(falls: Falls) -> None:
            ran.clear()
            job, run = works.send(task)
            with falls:
                info = run()
            piggyback.held.tell()
            settled(works.guard)
            if info is None:
                assert (job.reload().state, job.attempt, ran) == (State.succeeded, 0, [1])
            else:
                assert (info.state, type(info.retval), job.reload().state) == ("FAILURE", SoftTimeLimitExceeded, State.failed)
                assert [error["class"] for error in job.errors] == ["billiard.exceptions.SoftTimeLimitExceeded"]
            assert statuses.current() is None
            found.add((info is None, bool(ran)))

        assert at_every_line(limit, act) > 100
        assert found >= {(True, True), (False, False)}

    def test_a_limit_while_a_child_is_sent_reaches_the_task_and_leaves_no_child_that_waits_for_nobody(
        self, app: celery.Celery, works: Works
    ) -> None:
        @app.task
        def child() -> None:
            return None

        @app.task
        def task(falls: Any) -> None:
            with here[0]:
                child.delay()

        here: list[Falls] = []
        found = set()

        def act(falls: Falls) -> None:
            here[:] = [falls]
            job, run = works.send(task, None)
            before = len(works.sent.headers)
            info = run()
            settled(works.guard)
            assert (info is None) is (not falls.fell)
            assert job.reload().state is (State.failed if falls.fell else State.succeeded)
            left = len(works.sent.headers) > before
            waiting = [one for one in job.children if one.state in (State.queued, State.unqueued)]
            assert len(waiting) == left, waiting
            found.add((bool(falls.fell), left))

        assert at_every_line(limit, act) > 100
        assert found >= {(True, False), (False, True)}

    def test_a_limit_while_a_task_speaks_of_itself_reaches_it_and_nothing_is_said_twice(self, app: celery.Celery, works: Works) -> None:
        known: list[str] = []

        @app.task
        def task() -> int:
            job = statuses.current()
            assert job is not None

            def act(falls: Falls) -> None:
                fell = True
                with falls, suppress(SoftTimeLimitExceeded):
                    job.set_progress(1, 2, message="half").add_error(f"before line {falls.left}").save({"line": falls.left})
                    job.check_kill()
                    known.append(job.spawn(f"at line {falls.left}").id)
                    fell = False
                assert fell is bool(falls.fell)

            return at_every_line(limit, act)

        job, run = works.send(task)

        assert run() is None
        settled(works.guard)
        assert job.reload().state is State.succeeded
        assert len(known) == 1 and [part.id for part in job.children] == known, "nobody knows a part that was only being made"
        assert len(job.errors) == len(set(job.errors)) > 200

    def test_a_limit_while_a_task_asks_to_run_again_ends_it_unless_it_will_run_again(self, app: celery.Celery, works: Works) -> None:
        here: list[Falls] = []
        found = set()

        @app.task(bind=True, max_retries=3)
        def task(self: Any) -> NoReturn:
            with here[0]:
                raise self.retry(exc=ValueError("not yet"), countdown=0)

        def act(falls: Falls) -> None:
            here[:] = [falls]
            job, run = works.send(task)
            before = len(works.sent.headers)
            run()
            settled(works.guard)
            will_run = len(works.sent.headers) > before
            assert job.reload().state in ({State.queued, State.unqueued} if will_run else {State.failed}), job.attempt
            found.add((bool(falls.fell), will_run))

        assert at_every_line(limit, act) > 100
        assert found >= {(True, False), (False, True)}

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_a_process_that_is_stopped_around_a_task_tells_how_it_ended(
        self, app: celery.Celery, works: Works, kind: type[BaseException]
    ) -> None:
        ran = []

        @app.task
        def task() -> None:
            ran.append(1)

        def act(falls: Falls) -> None:
            ran.clear()
            job, run = works.send(task)
            raised = None
            with falls, suppress(kind):
                raised = True
                run()
                raised = False
            settled(works.guard)
            assert raised is bool(falls.fell)
            assert not ran or job.reload().is_ended
            assert job.reload().attempt == 0

        assert at_every_line(kind, act) > 100

    def test_a_limit_in_the_projects_own_function_of_resources_reaches_the_task(self, app: celery.Celery, works: Works) -> None:
        def over(*_: Any) -> NoReturn:
            raise limit()

        @app.task
        def child(number: int) -> None:
            return None

        @app.task
        def task() -> None:
            found = adapters.of(app)
            assert found is not None
            found.resource_types = over
            child.delay(1)

        job, run = works.send(task)
        before = len(works.sent.headers)

        assert run().state == "FAILURE"
        assert (job.reload().state, len(works.sent.headers)) == (State.failed, before)


def in_rq(*_: Any) -> int:
    RAN.append(1)
    return 7


def sends_in_rq() -> None:
    """One job for each line of ours on the way, which either raises or has queued it."""

    def act(falls: Falls) -> None:
        fell = True
        with falls, suppress(JobTimeoutException):
            QUEUE[0].enqueue(in_rq, 1)
            fell = False
        assert fell is bool(falls.fell)

    assert at_every_line(lambda: JobTimeoutException("too long"), act) > 100


RAN: list[int] = []
FALLS: list[Falls] = []
QUEUE: list[Any] = []


class TestRQ:
    @pytest.fixture
    def work(self, server_url: str) -> Iterator[Callable[..., Any]]:
        """Lets a worker run one function in this process; its job."""
        rq, rq_tracking = pytest.importorskip("rq"), pytest.importorskip("statuses.engines.rq")
        connection = redis.Redis.from_url(server_url, db=5)

        class Job(rq_tracking.Job):
            def perform(self) -> Any:
                if self.args or FALLS[0].fell:
                    return super().perform()
                with FALLS[0]:
                    return super().perform()

        rq_tracking.install(connection, heartbeat_seconds=3600)
        plain = rq.Queue("interrupted", connection=connection, job_class=rq_tracking.Job)
        QUEUE[:] = [plain]
        worker = rq.SimpleWorker([plain], connection=connection, job_class=Job)

        def run(function: Callable[..., Any]) -> Any:
            sent = plain.enqueue(function)
            taken = Job.fetch(plain.pop_job_id(), connection=connection)
            worker.execute_job(taken, plain)
            return sent

        yield run
        rq_tracking.uninstall()
        connection.close()

    def test_a_timeout_around_the_function_ends_it_as_rq_says_and_is_told_so(self, work: Any) -> None:
        def act(falls: Falls) -> None:
            RAN.clear()
            FALLS[:] = [falls]
            sent = work(in_rq)
            settled(guard())
            job = statuses.find_by(provider_job_id=sent.id)
            assert job is not None
            said = sent.get_status(refresh=True).value
            assert (said, job.state) in {("finished", State.succeeded), ("failed", State.failed)}
            assert statuses.current() is None
            found.add((said, bool(RAN)))

        def guard() -> Any:
            from statuses.engines.rq import adapter

            return adapter.tracker().guard

        found: set[Any] = set()
        assert at_every_line(lambda: JobTimeoutException("too long"), act) > 10
        assert found >= {("finished", True), ("failed", False)}

    def test_a_timeout_while_a_job_is_queued_reaches_the_job_that_queues_it(self, work: Any) -> None:
        from statuses.engines.rq import adapter

        FALLS[:] = [Falls(0, KeyError())]
        sent = work(sends_in_rq)
        settled(adapter.tracker().guard)

        job = statuses.find_by(provider_job_id=sent.id)
        assert job is not None
        assert job.state is State.succeeded, job.errors
        waiting = [child.provider_job_id for child in job.children if child.state is State.queued]
        assert sorted(waiting) == sorted(QUEUE[0].job_ids) and waiting


class TestDramatiq:
    def test_a_limit_around_an_actor_neither_ends_the_worker_nor_runs_twice_what_has_succeeded(self) -> None:
        dramatiq = pytest.importorskip("dramatiq")
        from dramatiq.brokers.stub import StubBroker
        from dramatiq.middleware import Middleware, Retries, TimeLimitExceeded
        from dramatiq.worker import _ConsumerThread, _WorkerThread

        from statuses.engines import dramatiq as dramatiq_tracking

        here: list[Falls] = []
        ran: list[int] = []

        class Limit(Middleware):
            """Where the one of Dramatiq stands: the limit holds from before the others come until after they have been."""

            def before_process_message(self, broker: Any, message: Any) -> None:
                here[0].__enter__()

            def after_process_message(self, broker: Any, message: Any, **_: Any) -> None:
                here[0].__exit__()

        broker = StubBroker(middleware=[Limit(), Retries(max_retries=3, min_backoff=1, max_backoff=1)])
        tracking = dramatiq_tracking.install(broker, name="limited")
        guard = tracking.tracker.guard
        try:

            @dramatiq.actor(broker=broker, queue_name="limited")
            def acts() -> None:
                ran.append(1)

            queues = {}
            for name in ("limited", "limited.DQ"):
                queues[name] = _ConsumerThread(broker=broker, queue_name=name, prefetch=1, work_queue=Queue(), worker_timeout=1)
                queues[name].consumer = broker.consume(name, timeout=1)
            worker = _WorkerThread(broker=broker, consumers=queues, work_queue=Queue(), worker_timeout=1)

            def act(falls: Falls) -> None:
                here[:] = [falls]
                ran.clear()
                sent = acts.send()
                for _ in range(4):
                    for consumer in queues.values():
                        message = next(consumer.consumer)
                        if message is None:
                            continue
                        if message.queue_name == "limited":
                            worker.work_queue.put((0, message))
                            worker.process_message(message)
                        else:  # it is due
                            options = {name: value for name, value in message.options.items() if name != "eta"}
                            broker.enqueue(message.copy(queue_name="limited", options=options))
                            consumer.post_process_message(message)
                settled(guard)
                job = statuses.find_by(provider_job_id=sent.message_id)
                assert job is not None
                assert (job.state, ran, statuses.current()) == (State.succeeded, [1], None)

            assert at_every_line(TimeLimitExceeded, act) > 100
        finally:
            dramatiq_tracking.uninstall(broker)


class TestHuey:
    def test_a_timeout_while_a_task_is_enqueued_reaches_the_task_that_enqueues_it(self) -> None:
        huey = pytest.importorskip("huey")
        from huey.exceptions import TaskTimeout

        from statuses.engines import huey as huey_tracking

        made = huey.MemoryHuey("limited")
        guard = huey_tracking.install(made, name="limited").tracker.guard
        try:

            @made.task()
            def child() -> None:
                return None

            def act(falls: Falls) -> None:
                fell = True
                with falls, suppress(TaskTimeout):
                    child()
                    fell = False
                assert fell is bool(falls.fell)

            @made.task()
            def task() -> None:
                assert at_every_line(lambda: TaskTimeout("too long"), act) > 100

            sent = task()
            made.execute(made.dequeue())
            settled(guard)

            job = statuses.find_by(provider_job_id=sent.id)
            assert job is not None
            assert job.state is State.succeeded, job.errors
            waiting = [one.provider_job_id for one in job.children if one.state is State.queued]
            assert sorted(waiting) == sorted(one.id for one in made.pending()) and waiting
        finally:
            huey_tracking.uninstall(made)
