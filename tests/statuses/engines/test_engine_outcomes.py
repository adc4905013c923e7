"""What engines say of how a job ended, from what they keep: every state, and what must not be believed."""

import time
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import celery
import pytest
import redis
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import SkipMessage
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend
from huey import MemoryHuey
from huey.utils import Error

import statuses
from statuses import EngineCannot, KillRequested, State, Status, failure, record
from statuses.engines import answering, attempts
from statuses.engines import celery as celery_tracking
from statuses.engines import dramatiq as dramatiq_tracking
from statuses.engines import huey as huey_tracking
from statuses.engines.base import Outcome
from statuses.engines.dramatiq import outcomes
from statuses.testing import frozen_clock, make_status

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def started(provider_job_id: str = "one", **more: Any) -> Status:
    """A job that runs, as its engine's job of this id."""
    return make_status("queued", provider_job_id=provider_job_id, **more).started("w1", alive=True)


@pytest.fixture
def clocks_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Lets this process live in a time zone."""

    def move(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


class TestCelery:
    @pytest.fixture
    def app(self, store: Any) -> Iterator[celery.Celery]:
        app = celery.Celery("outcomes", set_as_current=False, backend="cache+memory://")
        celery_tracking.install(app, name="celery-outcomes")
        yield app
        celery_tracking.uninstall(app)

    def ask(self, app: celery.Celery, job: Status) -> Outcome | None:
        return celery_tracking.install(app).outcome(job)

    def test_the_end_of_a_job_that_nobody_told_to_have_begun_is_told(self, app: celery.Celery) -> None:
        job, waits = (make_status("queued", engine="celery-outcomes", provider_job_id=name) for name in ("celery silent", "celery waits"))
        app.backend.mark_as_done("celery silent", 1)

        assert self.ask(app, job) == Outcome(state=State.succeeded, data={"result": 1})
        assert self.ask(app, waits) is None

    def test_a_result_an_error_and_a_revocation_are_told(self, app: celery.Celery) -> None:
        ended, broke, killed = started("celery ended"), started("celery broke"), started("celery killed")
        app.backend.mark_as_done("celery ended", {"rows": 3})
        try:
            raise LookupError("no such book")
        except LookupError as error:
            app.backend.mark_as_failure("celery broke", error, traceback="".join(traceback.format_exception(error)))
        app.backend.mark_as_revoked("celery killed", "terminated")

        assert self.ask(app, ended) == Outcome(state=State.succeeded, data={"result": {"rows": 3}})
        assert self.ask(app, killed) == Outcome(state=State.killed)
        told = self.ask(app, broke)
        assert told is not None and told.state is State.failed
        kept = failure.describe(told.error)
        assert kept.summary == "LookupError: no such book"
        assert kept.group.startswith("LookupError engines/test_engine_outcomes.py:test_a_result")

    def test_results_in_redis_are_read_together_and_are_what_they_are_one_by_one(
        self, store: Any, server_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        where, _, more = server_url.removeprefix("unix://").partition("?")
        app = celery.Celery(
            "outcomes", set_as_current=False, backend=f"redis+socket://{where}" + (f"?virtual_host={more[3:]}" if more else "")
        )
        celery_tracking.install(app, name="celery-together")
        try:
            jobs = [started(f"together {number}") for number in range(60)]
            for job in jobs[::2]:
                app.backend.mark_as_done(job.provider_job_id, {"rows": job.provider_job_id})
            app.backend.mark_as_failure(jobs[1].provider_job_id, LookupError("no such book"))
            app.backend.mark_as_revoked(jobs[3].provider_job_id, "terminated")
            app.backend.store_result(jobs[5].provider_job_id, None, "STARTED")
            app.backend.client.set(app.backend.get_key_for_task(jobs[7].provider_job_id), b"no JSON")
            earlier = started("together again")
            app.backend.mark_as_done("together again", 1)
            earlier.started("handed out again", alive=True)
            jobs += [make_status("started"), earlier]
            engine = celery_tracking.install(app)
            asked, one_by_one = [], []
            whole = app.backend.mget
            monkeypatch.setattr(answering, "QUICK_SECONDS", 3600.0)  # a busy machine is asked about more, too
            monkeypatch.setattr(app.backend, "mget", lambda keys: asked.append(len(keys)) or whole(keys))
            monkeypatch.setattr(app.backend, "get", lambda key, get=app.backend.get: one_by_one.append(key) or get(key))

            told = list(engine.outcomes(jobs))

            assert (asked, one_by_one) == ([10, 40, 11], [])
            assert told == [engine.outcome(job) for job in jobs]
            assert [found is not None for found in told[:8]] == [True, True, True, True, True, False, True, False]
        finally:
            celery_tracking.uninstall(app)

    @pytest.mark.parametrize("state", ["PENDING", "RECEIVED", "STARTED", "RETRY", "MINE"])
    def test_a_task_that_runs_or_will_has_not_ended(self, app: celery.Celery, state: str) -> None:
        job = started("celery runs")
        app.backend.store_result("celery runs", OSError("again") if state == "RETRY" else None, state)

        assert self.ask(app, job) is None

    def test_a_task_of_which_no_result_is_kept_is_not_known(self, app: celery.Celery) -> None:
        assert self.ask(app, started("celery ignored")) is None

    @pytest.mark.parametrize(
        ("done", "believed"),
        [
            ("2026-01-01T13:00:00+00:00", True),
            ("2026-01-01T11:59:59.100+00:00", True),  # a clock that is a little behind
            ("2026-01-01T11:59:58.900+00:00", False),
            ("2026-01-01T13:30:00+02:00", False),
            ("2026-01-01T12:30:00", True),
            ("2026-01-01T13:30:00", True),
            ("2026-01-01T11:30:00", False),
            (NOON, True),
            (None, False),
            ("yesterday", False),
        ],
    )
    def test_a_result_is_believed_if_it_is_surely_newer_than_the_attempt(
        self, app: celery.Celery, monkeypatch: pytest.MonkeyPatch, done: Any, believed: bool
    ) -> None:
        app.conf.timezone = "Europe/Berlin"
        with frozen_clock(NOON):
            job = started("celery dated")
        meta = {"status": "SUCCESS", "result": 1, "date_done": done}
        monkeypatch.setattr(app.backend, "get_task_meta", lambda id, cache: meta)

        assert (self.ask(app, job) is not None) is believed

    @pytest.mark.parametrize("process", ["UTC", "Asia/Tokyo", "America/New_York"])
    @pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York"])
    @pytest.mark.parametrize("kept", ["utc", "app", "process"])
    def test_a_time_without_its_zone_is_that_of_the_first_attempt_and_not_believed_of_another(
        self, app: celery.Celery, monkeypatch: pytest.MonkeyPatch, clocks_of: Callable[[str], None], kept: str, zone: str, process: str
    ) -> None:
        clocks_of(process)
        app.conf.timezone = zone
        with frozen_clock(NOON - timedelta(hours=10)) as clock:
            job = started("celery zoneless")
            clock.move_to(NOON)
            job.heartbeat()
        ended = NOON + timedelta(seconds=5)
        said = ended.astimezone(ZoneInfo({"utc": "UTC", "app": zone, "process": process}[kept])).replace(tzinfo=None)
        monkeypatch.setattr(app.backend, "get_task_meta", lambda id, cache: {"status": "SUCCESS", "result": 1, "date_done": said})

        told = self.ask(app, job)
        with frozen_clock(ended + timedelta(seconds=1)):
            job.started("w2", alive=True)

        assert told is not None and told.ended_at == ended
        assert self.ask(app, job) is None

    def test_a_result_a_little_older_than_an_attempt_after_another_of_its_id_is_not_believed(
        self, app: celery.Celery, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with frozen_clock(NOON):
            job = started("celery again").started("w2", alive=True)
        meta = {"status": "SUCCESS", "result": 1, "date_done": "2026-01-01T11:59:59.100+00:00"}
        monkeypatch.setattr(app.backend, "get_task_meta", lambda id, cache: meta)

        before = self.ask(app, job)
        job.set_provider_job_id("celery by hand")

        assert (job.reload().attempt, before) == (1, None)
        assert self.ask(app, job) is not None

    @pytest.mark.parametrize("backend", [None, "rpc://", "no-such-package.at.all://"])
    def test_an_app_without_a_result_backend_that_others_can_read_says_why_it_cannot_tell(self, store: Any, backend: str | None) -> None:
        app = celery.Celery("without", set_as_current=False, backend=backend)
        engine = celery_tracking.install(app, name="celery-without")
        job = started()
        celery_tracking.uninstall(app)

        assert not engine.can_tell_outcome
        with pytest.raises(EngineCannot, match="its app has no result backend"):
            engine.outcome(job)

    def test_results_are_not_kept_where_the_adapter_keeps_none(self, store: Any) -> None:
        app = celery.Celery("keeps-none", set_as_current=False, backend="cache+memory://")
        engine = celery_tracking.install(app, name="celery-keeps-none", keep_results=False)
        job = started("celery secret")
        app.backend.mark_as_done("celery secret", "secret")
        celery_tracking.uninstall(app)

        assert engine.outcome(job) == Outcome(state=State.succeeded)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The attempts that were read."""
    numbers: list[int] = []
    reading = record.read_attempts
    monkeypatch.setattr(record, "read_attempts", lambda store, present, these: numbers.extend(these) or reading(store, present, these))
    return numbers


class TestHuey:
    @pytest.fixture
    def huey(self, store: Any) -> Iterator[MemoryHuey]:
        huey = MemoryHuey("outcomes")
        huey_tracking.install(huey, name="huey-outcomes")
        yield huey
        huey_tracking.uninstall(huey)

    def ask(self, huey: MemoryHuey, job: Status) -> Outcome | None:
        return huey_tracking.install(huey).outcome(job)

    def error(self, retries: int, text: str = "ValueError('x')") -> Error:
        return Error({"error": text, "retries": retries, "traceback": "", "task_id": "one"})

    def test_a_result_stays_for_who_waits_for_it(self, huey: MemoryHuey) -> None:
        huey.put_result("one", 42)

        assert [self.ask(huey, started()) for _ in range(2)] == [Outcome(state=State.succeeded, data={"result": 42})] * 2
        assert huey.result("one") == 42
        assert self.ask(huey, started()) is None

    def test_the_error_of_an_attempt_that_was_retried_is_no_end(self, huey: MemoryHuey) -> None:
        huey.put_result("one", self.error(retries=1))
        assert self.ask(huey, started()) is None

        huey.put_result("one", self.error(retries=0))
        assert self.ask(huey, started()) == Outcome(state=State.failed, error="ValueError('x')")

    def test_the_last_error_of_a_task_is_no_end_of_it_when_it_was_sent_again(self, huey: MemoryHuey) -> None:
        @huey.task(retries=1)
        def handle() -> None:
            raise ValueError("x")

        task = handle.s()
        huey.enqueue(task)
        while (taken := huey.dequeue()) is not None:
            huey.execute(taken)
        job = statuses.at(task.id)
        last = huey.get(task.id, peek=True).metadata["retries"], job.state, job.attempt
        huey.enqueue(task)

        assert last == (0, State.failed, 1)
        assert (job.reload().state, job.attempt, self.ask(huey, job)) == (State.queued, 2, None)
        assert self.ask(huey, job.started("w2", alive=True)) is None

    def test_the_last_error_of_a_task_is_its_end(self, huey: MemoryHuey) -> None:
        job = started(call={"args": [], "kwargs": {}, "options": {"retries": 1}})
        attempts.requeue(job, 0, error=ValueError("not yet"))
        huey.put_result("one", self.error(retries=0))

        assert self.ask(huey, job.reload()) == Outcome(state=State.failed, error="ValueError('x')")

    def test_of_a_task_that_was_retried_very_often_nobody_looks_at_all_attempts(self, huey: MemoryHuey, read: list[int]) -> None:
        job = started(call={"args": [], "kwargs": {}, "options": {"retries": 100}})
        for number in range(30):
            attempts.requeue(job, number, error=ValueError("not yet"))
        huey.put_result("one", 42)

        few = self.ask(huey, job.reload())
        job.set_provider_job_id("two")
        attempts.requeue(job, 30, error=ValueError("not yet"))
        read.clear()
        huey.put_result("two", 42)
        of_another_id = self.ask(huey, job.reload()), [*read]

        assert few == Outcome(state=State.succeeded, data={"result": 42})
        assert of_another_id == (few, [30, *range(29, 19, -1)])

    def test_of_a_task_that_was_retried_more_often_than_is_read_nobody_knows(
        self, huey: MemoryHuey, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("statuses.engines.huey.outcomes.MOST_ATTEMPTS", 3)
        job = started(call={"args": [], "kwargs": {}, "options": {"retries": 100}})
        huey.put_result("one", 42)
        told = []
        for number in range(5):
            told.append(self.ask(huey, job.reload()) is not None)
            attempts.requeue(job, number, error=ValueError("not yet"))

        assert told == [True] * 4 + [False]

    @pytest.mark.parametrize("text", ["KillRequested('job 1 was asked to die')", "CancelExecution('enough')"])
    def test_a_task_that_was_ended_on_purpose_is_killed(self, huey: MemoryHuey, text: str) -> None:
        huey.put_result("one", self.error(0, text))

        assert self.ask(huey, started()) == Outcome(state=State.killed)

    def test_a_result_of_a_class_that_is_not_here_tells_that_it_succeeded(self, huey: MemoryHuey) -> None:
        huey.storage.put_data("one", b"cno_such_module\nThing\n.", is_result=True)

        told = self.ask(huey, started())

        assert told is not None and told.state is State.succeeded
        assert "cannot be read here: ModuleNotFoundError" in told.data["not_kept"]

    def test_what_is_no_result_of_this_huey_tells_nothing(self, huey: MemoryHuey) -> None:
        huey.storage.put_data("one", b"?", is_result=True)

        assert self.ask(huey, started()) is None

    def test_one_that_keeps_no_results_says_so(self, store: Any) -> None:
        huey = MemoryHuey("none", results=False)
        engine = huey_tracking.install(huey, name="huey-none")
        job = started()
        huey_tracking.uninstall(huey)

        assert not engine.can_tell_outcome
        with pytest.raises(EngineCannot, match="keeps no results"):
            engine.outcome(job)


class TestDramatiq:
    @pytest.fixture
    def broker(self, store: Any) -> Iterator[StubBroker]:
        broker = StubBroker()
        broker.add_middleware(Results(backend=StubBackend()))
        dramatiq_tracking.install(broker, name="dramatiq-outcomes")
        yield broker
        dramatiq_tracking.uninstall(broker)

    def ask(self, broker: StubBroker, keep: str = "", what: Any = None) -> Outcome | None:
        job = started("one", job_name="work", queue="main")
        engine = dramatiq_tracking.install(broker)
        if keep:
            getattr(outcomes.results_of(broker), keep)(outcomes.message_of(job), what, 1000)
        return engine.outcome(job)

    def test_results_and_errors_are_told(self, broker: StubBroker) -> None:
        assert self.ask(broker) is None
        assert self.ask(broker, "store_result", 42) == Outcome(state=State.succeeded, data={"result": 42})
        error = {"class": "ValueError", "message": "no"}
        assert self.ask(broker, "store_exception", ValueError("no")) == Outcome(state=State.failed, error=error)
        assert self.ask(broker, "store_exception", KillRequested("one")) == Outcome(state=State.killed)

    def test_a_message_that_a_middleware_refused_was_killed_and_says_why(self, broker: StubBroker) -> None:
        why = "Message age limit exceeded"

        assert self.ask(broker, "store_exception", SkipMessage(why)) == Outcome(state=State.killed, error=why)

    def test_an_actor_that_returns_nothing_has_succeeded(self, broker: StubBroker) -> None:
        assert self.ask(broker, "store_result", None) == Outcome(state=State.succeeded)

    def test_one_without_the_middleware_says_so(self, store: Any) -> None:
        broker = StubBroker()
        engine = dramatiq_tracking.install(broker, name="dramatiq-none")
        dramatiq_tracking.uninstall(broker)

        assert not engine.can_tell_outcome
        with pytest.raises(EngineCannot, match="no Results middleware"):
            engine.outcome(started())

    def test_a_retry_is_believed_and_a_message_that_was_handed_out_again_is_not(self, broker: StubBroker) -> None:
        engine = dramatiq_tracking.install(broker)
        retried, again = (started(id, job_name="work", queue="main") for id in ("retried", "again"))
        attempts.requeue(retried, 0, error=ValueError("not yet"))
        for job in (retried, again):
            job.started("w2", alive=True)
            outcomes.results_of(broker).store_result(outcomes.message_of(job.reload()), 42, 1000)

        assert [job.attempt for job in (retried, again)] == [1, 1]
        assert engine.outcome(retried) == Outcome(state=State.succeeded, data={"result": 42})
        assert engine.outcome(again) is None

    def test_of_a_message_that_was_sent_again_by_hand_attempts_before_are_not_read(self, broker: StubBroker, read: list[int]) -> None:
        engine = dramatiq_tracking.install(broker)
        job = started("by hand", job_name="work", queue="main")
        for number in range(30):
            attempts.requeue(job, number, error=ValueError("not yet"))
        job.set_provider_job_id("by hand again")
        job.started("w2", alive=True)
        outcomes.results_of(broker).store_result(outcomes.message_of(job.reload()), 42, 1000)

        assert engine.outcome(job) == Outcome(state=State.succeeded, data={"result": 42})
        assert read == [29]

    def test_of_a_message_that_was_retried_more_often_than_is_read_nobody_knows(
        self, broker: StubBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outcomes, "MOST_ATTEMPTS", 3)
        engine = dramatiq_tracking.install(broker)
        job = started("often", job_name="work", queue="main")
        outcomes.results_of(broker).store_result(outcomes.message_of(job), 42, 1000)
        told = []
        for number in range(5):
            told.append(engine.outcome(job.reload()) is not None)
            attempts.requeue(job, number, error=ValueError("not yet"), scheduled=True)

        assert told == [True] * 4 + [False]

    def test_a_result_is_believed_after_attempts_that_others_ran_and_told_nothing_of(self, broker: StubBroker) -> None:
        engine = dramatiq_tracking.install(broker)
        job = make_status("queued", provider_job_id="beside", job_name="work", queue="main")
        attempts.start(job, "w1", 1)
        attempts.requeue(job, 1, error=ValueError("not yet"))
        outcomes.results_of(broker).store_result(outcomes.message_of(job.reload()), 42, 1000)

        assert (job.attempt, [one.state for one in job.prior_attempts]) == (2, [State.queued, State.failed])
        assert engine.outcome(job) == Outcome(state=State.succeeded, data={"result": 42})

    def test_the_error_of_a_message_among_the_dead_letters_is_no_end_of_it_when_it_was_taken_back(self, broker: StubBroker) -> None:
        engine = dramatiq_tracking.install(broker)
        job = started("dead", job_name="work", queue="main").failed(error=ValueError("no"))
        outcomes.results_of(broker).store_exception(outcomes.message_of(job), ValueError("no"), 1000)

        job.started("w2", alive=True)
        taken_back = engine.outcome(job.reload())
        attempts.requeue(job, 1, error=ValueError("not yet"))

        assert (job.reload().attempt, taken_back, engine.outcome(job)) == (2, None, None)


class TestRQ:
    def ask(self, fields: dict[bytes, bytes], status: str = "finished") -> Outcome | None:
        from rq.job import JobStatus
        from rq.serializers import DefaultSerializer

        from statuses.engines.rq import outcomes as rq_outcomes
        from statuses.engines.tracker import Tracker

        now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        found = [(f"{int(now.timestamp() * 1000)}-0".encode(), fields)] if fields else []
        job = SimpleNamespace(id="one", connection=None, serializer=DefaultSerializer, _status=JobStatus(status), ended_at=None)
        return rq_outcomes.outcome(job, found, now, Tracker("rq"))

    def test_many_are_asked_about_together_also_where_what_is_kept_of_one_cannot_be_read(
        self, store: Any, server_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from statuses.engines.rq.engine import RQ
        from statuses.engines.rq.marks import FIELD, Mark
        from statuses.engines.tracker import Tracker

        connection = redis.Redis.from_url(server_url)
        engine = RQ(Tracker("rq"), connection)
        asked: list[int] = []
        whole = engine._kept
        monkeypatch.setattr(answering, "QUICK_SECONDS", 3600.0)  # a busy machine is asked about more, too
        monkeypatch.setattr(engine, "_kept", lambda wanted: asked.append(len(wanted)) or whole(wanted))
        jobs = [started(f"together-{number}") for number in range(60)]
        for number, job in enumerate(jobs[:50]):
            kept = {
                "data": b"",
                "created_at": "2026-01-01T12:00:00.000000Z",
                "status": ("finished", "failed", "stopped", "started")[number % 4],
            }
            mark = Mark(status_id=job.id if number % 5 else "another").text(kept["created_at"])
            connection.hset(
                f"rq:job:{job.provider_job_id}", mapping={**kept, FIELD: mark, "ended_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"}
            )
        connection.hdel("rq:job:together-1", "data")

        told = list(engine.outcomes(jobs))

        assert asked == [10, 40, 10]
        assert told == [engine.outcome(job) for job in jobs]
        assert [found and str(found.state) for found in told[:7]] == [None, None, "killed", None, "succeeded", None, "killed"]

        connection.hset("rq:job:together-4", "status", "nonsense")
        again = engine.outcomes(jobs)
        assert [next(again) for _ in range(4)] == told[:4]
        with pytest.raises(ValueError, match="nonsense"):
            next(again)

    def test_a_result_that_cannot_be_read_here_tells_that_it_succeeded(self) -> None:
        told = self.ask({b"type": b"1", b"return_value": b"Y25vX3N1Y2hfbW9kdWxlClRoaW5nCi4="})

        assert told is not None and told.state is State.succeeded
        assert "cannot be read here: ModuleNotFoundError" in told.data["not_kept"]

    def test_a_job_without_a_word_of_when_it_ended_is_not_believed(self) -> None:
        assert self.ask({}) is None

    @pytest.mark.parametrize("status", ["queued", "started", "deferred", "scheduled", "canceled"])
    def test_a_job_that_runs_or_will_has_not_ended(self, status: str) -> None:
        assert self.ask({b"type": b"1"}, status) is None

    def test_a_stopped_job_was_killed(self) -> None:
        assert self.ask({b"type": b"2"}, "stopped") == Outcome(state=State.killed)
