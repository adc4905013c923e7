"""An adapter's writes harm no job: they raise nothing, wait for nothing, and say little."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

import statuses
from statuses import KillRequested, StatusNotFound, StoreUnavailable, failure, health
from statuses.embedded import EmbeddedServer
from statuses.engines import calls
from statuses.engines import guard as guards
from statuses.engines.guard import Guard
from statuses.engines.heartbeats import Heartbeats
from statuses.engines.jobs import JobStatus
from statuses.store import set_aside
from tests.servers import PATIENCE, until


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A store that does not answer until `back` is set."""
    back = threading.Event()

    def try_writing() -> None:
        if not back.is_set():
            raise StoreUnavailable("a write", "away")

    monkeypatch.setattr(guards, "FIRST_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(guards, "LONGEST_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(health, "try_writing", try_writing)
    yield back
    back.set()


def lost() -> None:
    raise StoreUnavailable("a write", "away")


@pytest.fixture
def full(other_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """A store that answers, and takes no writes for want of memory; a client of it."""
    monkeypatch.setattr(guards, "FIRST_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(guards, "LONGEST_LOOK_SECONDS", 0.02)
    with set_aside(), redis.Redis.from_url(other_server.url) as client:
        statuses.configure(url=other_server.url, namespace="full")
        client.config_set("maxmemory", 1)
        yield client
        client.config_set("maxmemory", 0)


def test_a_store_that_answers_and_takes_no_writes_is_not_back(
    full: redis.Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "statuses.engines.guard")
    looks: list[None] = []
    look = health.try_writing
    monkeypatch.setattr(health, "try_writing", lambda: (looks.append(None), look()))
    guard = Guard()

    assert guard.run("creating", lambda: statuses.create(job_name="a")) is None
    until(lambda: len(looks) > 3, "it looks whether the store is back")
    assert guard.away and "store is back" not in caplog.text

    full.config_set("maxmemory", 0)
    until(lambda: "store is back" in caplog.text, "it is back")
    assert guard.run("creating", lambda: statuses.create(job_name="a")) is not None
    assert caplog.text.count("store is back") == 1


def test_what_a_write_gives_is_given() -> None:
    assert Guard().run("writing", lambda: 7) == 7


def test_an_end_that_is_interrupted_is_told_later(away: Any) -> None:
    guard, told = Guard(), []

    def write() -> None:
        told.append("try")
        if len(told) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        guard.run("an end", write, remember=True)
    away.set()

    until(lambda: not guard.away and told == ["try", "try"], "it is told")


class Odd(Exception):
    """A value, or an error, that takes its time to say what it is."""

    def __init__(self, says: Callable[[], None]) -> None:
        self.says = says

    def __repr__(self) -> str:
        self.says()
        return "odd"

    __str__ = __repr__


@pytest.fixture
def alarm() -> Iterator[Callable[[], None]]:
    """Calling it comes to a handler of a signal that raises, as a project's own limit of time does."""

    def over(*_: object) -> None:
        raise ZeroDivisionError

    before = signal.signal(signal.SIGUSR2, over)
    yield lambda: signal.raise_signal(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize("at", ["the store", "what JSON cannot keep", "an error's message"])
def test_what_a_handler_of_a_signal_raises_is_for_whoever_called(alarm: Callable[[], None], at: str) -> None:
    writes: dict[str, Callable[[], object]] = {
        "the store": alarm,
        "what JSON cannot keep": lambda: calls.plain(Odd(alarm), lambda value: str(value)),
        "an error's message": lambda: failure.message_of(Odd(alarm)),
    }
    guard = Guard()

    with pytest.raises(ZeroDivisionError):
        guard.run("writing", writes[at])

    assert guard.run("writing", lambda: 1 / 0) is None, "nobody else's"
    assert not guard.away


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("broken", "step"), [(Guard, "say"), (threading.Thread, "start")])
def test_a_store_is_looked_for_again_where_whoever_found_it_away_was_interrupted(
    away: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: type, step: str
) -> None:
    caplog.set_level(logging.INFO, "statuses.engines.guard")
    guard, told = Guard(), []

    def write() -> None:
        told.append("told") if away.is_set() else lost()

    with monkeypatch.context() as patched:
        patched.setattr(broken, step, interrupt)
        with pytest.raises(KeyboardInterrupt):
            guard.run("an end", write, remember=True)
    guard.run("another", write, remember=True)
    away.set()

    until(lambda: told == ["told", "told"] and "is back" in caplog.text, "they are told")


def test_what_comes_too_late_for_a_job_that_is_over_is_dropped_and_its_end_is_told(away: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "statuses.engines.guard")
    guard, told, limit = Guard(), [], pytest.importorskip("billiard.exceptions").SoftTimeLimitExceeded
    away.set()

    def tell() -> str:
        told.append("try")
        if len(told) == 1:
            raise limit
        return "told"

    assert guard.over("an end", tell) == "told"
    with pytest.raises(KeyboardInterrupt):
        guard.over("an end", interrupt)
    until(lambda: "is back" in caplog.text, "nobody looks for the store any more")


def test_a_write_that_is_done_aside_is_done_once_the_store_is_there(away: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "statuses.engines.guard")
    guard, told = Guard(), []

    guard.aside("writing", lambda: told.append("told") if away.is_set() else lost())
    until(lambda: guard.away, "it is away")
    away.set()

    until(lambda: told == ["told"] and "is back" in caplog.text, "it is told")


@pytest.mark.parametrize("error", [ValueError("x"), StatusNotFound("x"), RuntimeError("x"), OSError("x")])
def test_what_a_write_raises_is_logged_once_a_minute(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard()

    def fail() -> None:
        raise error

    with caplog.at_level(logging.INFO, "statuses.engines.guard"):
        for _ in range(100):
            assert guard.run("writing", fail) is None

    assert len(caplog.records) == 1
    assert not guard.away


def test_a_job_that_begins_and_is_not_there_is_worth_a_warning_that_says_what_it_may_be(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard()

    def fail() -> None:
        raise StatusNotFound("x")

    for _ in range(100):
        assert guard.run("starting shop.ship", fail, starts=True) is None

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "another store or namespace" in caplog.text


def test_complaints_of_long_ago_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    guard, now = Guard(), [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    for number in range(2 * guards.TOPICS):
        now[0] += 1
        guard.say(f"gone {number}", "gone")

    assert len(guard._said) <= guards.TOPICS + 1


def test_a_kill_passes() -> None:
    def killed() -> None:
        raise KillRequested("x")

    with pytest.raises(KillRequested):
        Guard().run("starting", killed)


def test_a_store_that_is_away_is_asked_once(away: threading.Event) -> None:
    guard, tried = Guard(), []

    def write() -> None:
        tried.append(1)
        lost()

    for _ in range(1000):
        guard.run("writing", write)

    assert len(tried) == 1
    assert guard.away


def test_what_is_remembered_is_told_in_its_order_once_the_store_is_back(away: threading.Event) -> None:
    guard, told = Guard(), []
    guard.run("writing", lost)
    for number in range(5):
        guard.run("ending", lambda number=number: told.append(number), remember=True)
    guard.run("heartbeat", lambda: told.append("not this"))

    away.set()

    until(lambda: not guard.away, "the guard knows that the store is back")
    assert told == [0, 1, 2, 3, 4]


def test_an_end_is_told_how_long_ago_it_was_only_where_it_is_told_later(away: threading.Event) -> None:
    guard, told = Guard(), []

    def end(ago: timedelta | None = None) -> None:
        if guard.away and ago is None:
            lost()
        told.append(ago)

    guard.run("ending", end, ends=True)
    guard.run("writing", lost)
    began = time.monotonic()
    guard.run("ending", end, ends=True)
    until(lambda: time.monotonic() - began > 0.1, "the store is away for a while")
    most = timedelta(seconds=time.monotonic() - began + 5)
    away.set()

    until(lambda: not guard.away, "the guard knows that the store is back")
    assert told[0] is None
    assert [timedelta(seconds=0.1) < ago < most for ago in told[1:]] == [True]


def test_a_process_that_ends_tells_what_it_remembers_or_gives_up(away: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "LAST_WORDS_SECONDS", 0.1)
    guard, told, answers = Guard(), [], [False, True]
    guard.run("writing", lost)

    def write() -> None:
        if not answers.pop(0):
            lost()
        told.append(1)

    guard.run("ending", write, remember=True)
    guard.last_words()
    guard.run("ending", lost, remember=True)
    guard.last_words()

    assert told == [1]


def test_what_cannot_be_told_late_does_not_stop_the_rest(away: threading.Event) -> None:
    guard, told = Guard(), []
    guard.run("writing", lost)

    def fail() -> None:
        raise StatusNotFound("gone")

    guard.run("ending", fail, remember=True)
    guard.run("ending", lambda: told.append(1), remember=True)
    away.set()

    until(lambda: told, "the second is told")


def test_what_is_remembered_is_bounded(away: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "REMEMBERED", 3)
    guard, told = Guard(), []
    guard.run("writing", lost)
    for number in range(10):
        guard.run("ending", lambda number=number: told.append(number), remember=True)

    away.set()

    until(lambda: not guard.away, "the guard knows that the store is back")
    assert told == [7, 8, 9]


def test_the_status_a_job_finds_asks_no_store_that_is_away(store: Any, away: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    guard, caller, asked = Guard(), threading.get_ident(), []
    job = JobStatus.of(statuses.create(job_name="tests.job", state="started"), guard)
    guard.run("writing", lost)
    send = redis.connection.AbstractConnection.send_packed_command

    def noted(connection: Any, command: Any, check_health: bool = True) -> Any:
        if threading.get_ident() == caller:
            asked.append(command)
        return send(connection, command, check_health)

    monkeypatch.setattr(redis.connection.AbstractConnection, "send_packed_command", noted)

    for step in range(1000):
        job.set_progress(step, 1000)
        job.check_kill()

    assert asked == []
    with pytest.raises(ValueError, match="progress"):
        job.set_progress(2)


def test_a_job_spawns_children_that_write_nothing_while_the_store_is_away(store: Any, away: threading.Event) -> None:
    guard = Guard()
    job = JobStatus.of(statuses.create(job_name="tests.job", state="started"), guard)
    child = job.spawn("tests.child")
    guard.run("writing", lost)

    job.spawn("tests.child").started().set_progress(0.5).succeeded()

    assert child.parent == job.id
    assert statuses.where(parent=job.id).count() == 1


def test_the_status_a_job_finds_raises_nothing_when_it_was_removed(store: Any) -> None:
    status = statuses.create(job_name="tests.job", state="started")
    job = JobStatus.of(status, Guard())
    status.delete(force=True)

    job.set_progress(0.5).save({"x": 1}).add_error("y").set_job_args({"book": "Book:1"})
    job.check_kill()

    assert not job.changed


def test_the_status_a_job_finds_sees_a_kill(store: Any) -> None:
    status = statuses.create(job_name="tests.job", state="started")
    job = JobStatus.of(status, Guard())
    status.request_kill(by="anna")

    with pytest.raises(KillRequested, match="anna"):
        job.check_kill()


def test_heartbeats_come_while_a_job_runs_and_not_after() -> None:
    heartbeats, beats = Heartbeats(every_seconds=0.02, first_seconds=0.01), []
    heartbeats.add("job", lambda: beats.append(1))
    until(lambda: len(beats) >= 3, "three beats")

    heartbeats.remove("job")
    thread = heartbeats._thread
    assert thread is not None
    until(lambda: not heartbeats._wake.is_set(), "the thread sleeps")
    after = len(beats)

    heartbeats.add("other", lambda: None)
    assert heartbeats._thread is thread
    assert len(beats) == after


def test_the_end_of_a_job_comes_after_what_its_beat_tells() -> None:
    heartbeats, begun, go_on, told = Heartbeats(every_seconds=10, first_seconds=0.01), threading.Event(), threading.Event(), []
    heartbeats.add("job", lambda: begun.set() or (go_on.wait(PATIENCE) and told.append("beat")))
    assert begun.wait(PATIENCE)

    ending = threading.Thread(target=lambda: heartbeats.remove("job") or told.append("end"))
    ending.start()
    ending.join(0.05)
    go_on.set()
    ending.join(PATIENCE)

    assert told == ["beat", "end"]


def test_short_jobs_cost_no_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    slept, go_on, beats = threading.Event(), threading.Event(), []
    # As long as they take it is not time for a first beat; then it is.
    monkeypatch.setattr("statuses.engines.heartbeats.time.sleep", lambda seconds: slept.set() or go_on.wait(PATIENCE))
    heartbeats = Heartbeats(every_seconds=10, first_seconds=0.0)

    for number in range(1000):
        heartbeats.add(number, lambda: beats.append(1))
        heartbeats.remove(number)
    assert slept.wait(PATIENCE)
    go_on.set()

    until(lambda: not heartbeats._wake.is_set(), "the thread has looked, and sleeps until the next job")
    assert beats == []


def test_short_jobs_wake_the_thread_of_heartbeats_once(monkeypatch: pytest.MonkeyPatch) -> None:
    slept, go_on, wakings = threading.Event(), threading.Event(), []
    monkeypatch.setattr("statuses.engines.heartbeats.time.sleep", lambda seconds: slept.set() or go_on.wait(PATIENCE))
    heartbeats = Heartbeats(first_seconds=0.05)
    wake = heartbeats._wake.set
    monkeypatch.setattr(heartbeats._wake, "set", lambda: wakings.append(1) or wake())

    heartbeats.add("first", lambda: None)
    heartbeats.remove("first")
    assert slept.wait(PATIENCE)
    for number in range(100):
        heartbeats.add(number, lambda: None)
        heartbeats.remove(number)

    assert wakings == [1]
    go_on.set()
    monkeypatch.undo()
    until(lambda: not heartbeats._wake.is_set(), "the thread sleeps until the next job")
