"""A tracked block while its store is away: it goes on, waits once, and what it did is told when the store is back."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

import statuses
from statuses import clock, metrics, scripts, store, tracked, unanswered
from statuses.embedded import EmbeddedServer
from statuses.engines import guard
from statuses.testing import assert_failed, assert_one, assert_succeeded, make_status
from tests.servers import until
from tests.statuses.proxy import Proxy

ROOT = Path(__file__).resolve().parents[2]


def wait_for(happened: Callable[[], bool]) -> None:
    until(happened, "what was waited for did not come")


def ended() -> bool:
    try:
        return statuses.where(state="ended").count() > 0
    except statuses.StoreUnavailable:
        return False


def ended_of(job: statuses.Status) -> Callable[[], bool]:
    """Whether it has, as the store says."""
    return lambda: ended() and job.reload().is_ended


@pytest.fixture(autouse=True)
def looks_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the store is back is looked at again and again at once; elsewhere every five seconds after a while."""
    monkeypatch.setattr(guard, "FIRST_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(guard, "LONGEST_LOOK_SECONDS", 0.2)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """A server that a test stops and starts, and that `statuses` is configured for."""
    made = EmbeddedServer(tmp_path / "s").start()
    statuses.configure(url=made.url, namespace="away", timeout_seconds=0.5)
    yield made
    if made.pid is not None:
        os.kill(made.pid, signal.SIGCONT)
        made.stop()


class Frozen:
    """Inside the block the server hangs."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.pid = server.pid

    def __enter__(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *error: object) -> None:
        os.kill(self.pid, signal.SIGCONT)


def test_a_job_that_began_and_ended_while_its_store_was_away_is_told_with_its_own_moments(server):
    server.stop()

    before = time.time()
    with statuses.track("a", queue="q", user="u", job_args={"book": "Book:1"}, call={"args": [1]}) as job:
        job.set_progress(1, 4, message="a quarter").save({"n": 1}).add_error("careful").set_worker("w").set_job_args({"book": "Book:2"})
        job.set_provider_job_id("p").set_call({"args": [2]}).keep_for(timedelta(days=3))
        job.save({"n": 2})
        time.sleep(0.2)
    after = time.time()
    server.start()
    wait_for(lambda: ended() and not job._missed)

    told = assert_succeeded(assert_one(job_name="a"), data={"n": 2})
    assert (told.id, told.queue, told.user, told.worker, told.errors, told.progress) == (job.id, "q", "u", "w", ["careful"], 1.0)
    assert (told.job_args, told.call) == ({"book": "Book:2"}, {"args": [2]})
    assert (told.provider_job_id, told.expires_at - told.ended_at > timedelta(days=3)) == ("p", True)
    assert statuses.where(job_arg="Book:2").ids() == [job.id] and statuses.where(job_arg="Book:1").ids() == []
    assert before <= told.started_at.timestamp() <= told.ended_at.timestamp() <= after
    assert told.run_time >= 0.2
    assert statuses.check().problems == ()


@pytest.mark.parametrize("error", [None, KeyError("own")])
def test_a_job_that_ends_while_its_store_is_away_has_ended_then(server, error):
    with suppress(KeyError), statuses.track("a") as job:
        server.stop()
        if error is not None:
            raise error
    ended = time.time()
    wait_for(lambda: time.time() - ended > 1)
    back = time.time()
    server.start()
    wait_for(ended_of(job))

    assert job.state == ("succeeded" if error is None else "failed")
    assert job.started_at.timestamp() < job.ended_at.timestamp() < back
    assert job.run_time == (job.ended_at - job.started_at).total_seconds()


def test_an_end_does_not_come_before_the_start_that_was_missed_with_it(server):
    with statuses.track("a", state="queued") as job:
        server.stop()
        job.started()
    ended = time.time()
    wait_for(lambda: time.time() - ended > 1)
    server.start()
    wait_for(ended_of(job))

    assert (job.state, job.run_time) == ("succeeded", pytest.approx(0, abs=1))  # not the second until it is told


def test_an_error_while_the_store_is_away_is_told_later(server):
    server.stop()
    with pytest.raises(KeyError), statuses.track("a"):
        raise KeyError("own")
    server.start()
    wait_for(ended)

    assert_failed(assert_one(job_name="a"), KeyError)


def test_a_store_that_goes_in_the_middle_is_told_the_rest(server):
    with statuses.track("a") as job:
        job.save([1])
        server.stop()
        job.save([2]).set_progress(1, 2).add_error("e")
    server.start()
    wait_for(ended)

    assert (assert_succeeded(job, data=[2]).errors, job.attempt) == (["e"], 0)


def test_a_store_that_comes_back_in_the_middle_is_told_in_order(server):
    server.stop()
    with statuses.track("a") as job:
        job.save([1]).add_error("one")
        server.start()
        wait_for(lambda: not job._guard.away)
        job.add_error("two")

        assert (job.state, job.data, job.errors) == ("started", [1], ["one", "two"])
    assert_succeeded(job)


def test_a_restart_whose_answer_was_lost_is_told_no_second_time(server):
    make_status("started")  # the server knows the script from now on
    with statuses.track("a") as job:
        with Frozen(server):
            job.started(worker="w")
        wait_for(lambda: not job._guard.away and not job._missed)

        assert (job.reload().attempt, job.worker, len(job.prior_attempts)) == (1, "w", 1)
    assert_succeeded(job)


@pytest.fixture
def interrupted_soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Calling it lets Ctrl-C, or an alarm that raises an error, come a moment after the store was asked the next time, while its answer
    is waited for."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)

    def come(error: BaseException | None = None) -> None:
        def over(*_: object) -> None:
            raise error or KeyboardInterrupt

        signal.signal(signal.SIGALRM, over)
        due.append(True)

    caller, due, read = threading.get_ident(), [], redis.connection.AbstractConnection.read_response

    def read_response(*arguments: Any, **more: Any) -> Any:
        if due and threading.get_ident() == caller:
            due.clear()
            signal.setitimer(signal.ITIMER_REAL, 0.1)
        return read(*arguments, **more)

    monkeypatch.setattr(redis.connection.AbstractConnection, "read_response", read_response)
    yield come
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def states() -> list[str]:
    with suppress(statuses.StoreUnavailable):
        return [job.state for job in statuses.where(job_name="a")]
    return []


#: What waits for the store, each in another way.
WAITS: dict[str, Callable[[statuses.Status], object]] = {
    "a write": lambda job: job.set_progress(0.5),
    "a read": lambda job: job.reload(),
    "a question": lambda job: statuses.where(state="failed").counts(),
    "reads of one moment": lambda job: job._store.transaction([("EXISTS", "a"), ("EXISTS", "b")]),
    "writes by turns": lambda job: statuses.all().request_kill_all(),
    "what waited to go along": lambda job: (scripts.succeed_along(job._store, job._place(), (0, ()), None, print), job._store.tell()),
    "a first connection": lambda job: (statuses.configure(url=job._store.config.url, namespace="away"), statuses.server_time()),
}


@pytest.mark.parametrize("kind", [TimeoutError, ConnectionResetError, OSError])
@pytest.mark.parametrize("waits", WAITS)
def test_an_alarm_reaches_whoever_waits_for_the_store_though_it_looks_like_an_outage(server, interrupted_soon, waits, kind):
    job = make_status("started")
    statuses.where(state="failed").counts()

    with Frozen(server), pytest.raises(kind) as caught:
        interrupted_soon(kind("too long"))
        WAITS[waits](job)

    assert (type(caught.value), str(caught.value)) == (kind, "too long")


def test_a_block_that_an_alarm_breaks_off_while_it_waits_for_the_store_has_failed_of_it(server, interrupted_soon):
    with pytest.raises(TimeoutError, match="too long"), statuses.track("a") as job, Frozen(server):
        interrupted_soon(TimeoutError("too long"))
        job.set_progress(0.5)

    wait_for(lambda: states() == ["failed"])
    assert_failed(job, "TimeoutError: too long")


def test_an_alarm_that_was_caught_before_an_outage_is_none_of_it(server, interrupted_soon):
    job = make_status("started")
    interrupted_soon(TimeoutError("too long"))

    try:
        signal.raise_signal(signal.SIGALRM)
    except TimeoutError:
        server.stop()
        with pytest.raises(statuses.StoreUnavailable):
            job.set_progress(0.5)
        with pytest.raises(statuses.StoreUnavailable):
            statuses.where(state="failed").counts()


def test_an_end_that_is_interrupted_while_it_waits_is_told_all_the_same(server, interrupted_soon):
    with ExitStack() as later, pytest.raises(KeyboardInterrupt), statuses.track("a"):
        later.enter_context(Frozen(server))
        interrupted_soon()

    wait_for(lambda: states() == ["succeeded"])


def test_a_failure_that_is_interrupted_while_it_waits_is_told_with_its_error(server, interrupted_soon):
    with ExitStack() as later, pytest.raises(KeyboardInterrupt), statuses.track("a"):
        later.enter_context(Frozen(server))
        interrupted_soon()
        raise ValueError("no rows")

    wait_for(lambda: states() == ["failed"])
    assert_failed(statuses.where(job_name="a").first(), "no rows")


def test_a_block_that_is_interrupted_before_it_begins_leaves_no_job(server, interrupted_soon):
    statuses.create(job_name="another")  # from now on a creation is one round trip
    with Frozen(server), pytest.raises(KeyboardInterrupt):
        interrupted_soon()
        with statuses.track("a"):
            pytest.fail("the block ran")

    guard = tracked.guard_of(store.current())
    wait_for(lambda: not guard.away)
    assert statuses.all().values("job_name") == ["a", "another"], "it had arrived"
    assert statuses.where(job_name="a").count() == 0


@pytest.mark.parametrize(("known", "arrived"), [(True, True), (True, False), (False, True)], ids=["arrived", "lost", "script unknown"])
def test_a_start_that_was_not_answered_is_made_up_for_once(server, tmp_path, known, arrived):
    if known:
        statuses.create(job_name="before").started()
    with Proxy(tmp_path, server.socket) as between:
        statuses.configure(url=between.url, namespace="away", timeout_seconds=0.5)
        with statuses.track("a", state="queued") as job:
            between.cut("start", reply=arrived, times=2)
            job.started(worker="w")
            assert between.cuts == 2
        wait_for(lambda: ended() and statuses.where(job_name="a", state="succeeded").count() == 1)

    assert (job.reload().state, job.attempt, job.worker) == ("succeeded", 0, "w")
    assert job.started_at is not None


def test_a_hanging_store_is_waited_for_once(server, monkeypatch):
    caller, asked, send = threading.get_ident(), [], redis.connection.AbstractConnection.send_packed_command

    def noted(connection, command, check_health=True):
        if threading.get_ident() == caller:  # another thread asks whether it is back
            asked.append(command)
        return send(connection, command, check_health)

    with statuses.track("a") as job:
        with Frozen(server), monkeypatch.context() as watched:
            watched.setattr(redis.connection.AbstractConnection, "send_packed_command", noted)
            for step in range(500):
                job.set_progress(step, 500)
                job.heartbeat()
                job.check_kill()
        job.add_error("e")
    wait_for(ended)

    assert len(asked) == 1
    assert assert_succeeded(job).errors == ["e"]


def test_what_arrived_after_all_is_not_told_twice(server):
    with statuses.track("a") as job:
        job.add_error("before")  # the server knows the script from now on
        with Frozen(server):
            job.add_error("once")
        wait_for(lambda: not job._guard.away)
        job.add_error("then")
    wait_for(ended)

    assert assert_succeeded(job).errors == ["before", "once", "then"]
    assert job.attempt == 0


@pytest.mark.parametrize("own", [{}, {"id": "own"}])
def test_a_job_whose_beginning_arrived_after_all_is_one_job(server, own):
    statuses.create(job_name="warm")
    with Frozen(server), statuses.track("a", **own) as job:
        job.save([1])
    wait_for(ended)

    assert_succeeded(assert_one(job_name="a"), data=[1])


def test_somebody_elses_job_of_that_id_is_left_alone(server):
    statuses.create(id="own", job_name="theirs")
    server.stop()
    with statuses.track("mine", id="own") as job:
        job.save([1])
    server.start()
    wait_for(lambda: not job._guard.away)

    assert [(one.job_name, one.state, one.data) for one in statuses.all()] == [("theirs", "unqueued", None)]


def test_children_of_a_job_that_could_not_be_told_belong_to_it(server):
    server.stop()
    with statuses.track("top", user="ann", queue="q") as job, statuses.track("inner", parent=job):
        job.spawn("part").started().succeeded()
    server.start()
    wait_for(lambda: ended() and statuses.where(state="succeeded").count() == 3)

    assert {child.job_name for child in job.children} == {"part", "inner"}
    assert (assert_one(job_name="part").user, assert_one(job_name="part").queue) == ("ann", "q")


def test_reading_says_that_the_store_is_away(server):
    server.stop()
    with statuses.track("a") as job:
        for read in (lambda: job.state, lambda: job.data, job.reload):
            with pytest.raises(statuses.StoreUnavailable):
                read()


def test_nothing_is_told_to_a_store_that_is_configured_later(server, tmp_path):
    server.stop()
    with statuses.track("a") as job:
        job.save([1])
    with EmbeddedServer(tmp_path / "other") as other:
        statuses.configure(url=other.url, namespace="other")
        wait_for(lambda: not job._guard.away)

        assert statuses.all().count() == 0


def test_wrong_values_are_refused_while_the_store_is_away(server):
    server.stop()
    for wrong in ({"queue": 7}, {"id": "x:1"}, {"nonsense": 1}):
        with pytest.raises((TypeError, ValueError)), statuses.track("a", **wrong):
            raise AssertionError("it began")
    with statuses.track("a") as job, pytest.raises(ValueError, match="progress"):
        job.set_progress(7)


def test_a_coroutine_and_threads_go_on(server):
    import asyncio

    server.stop()

    @statuses.track("later")
    async def later(number: int) -> int:
        statuses.current().save(number)
        return number

    got = []
    threads = [threading.Thread(target=lambda n=n: got.append(asyncio.run(later(n)))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.start()
    wait_for(lambda: ended() and statuses.where(state="succeeded").count() == 8)

    assert sorted(got) == sorted(job.data for job in statuses.where(job_name="later")) == list(range(8))


def test_what_is_left_is_told_before_the_process_ends(server):
    server.stop()
    code = """
import sys, statuses
from statuses.embedded import EmbeddedServer
from statuses.engines import guard
statuses.configure(url=sys.argv[1], namespace="away")
with statuses.track("a") as job:
    job.save([1])
EmbeddedServer(sys.argv[2], end_with_owner=False).start()
"""
    subprocess.run([sys.executable, "-c", code, server.url, str(server.directory)], check=True, cwd=ROOT)
    server.start()

    assert_succeeded(assert_one(job_name="a"), data=[1])


def test_a_removed_job_comes_back_by_nothing_that_was_missed(server):
    with statuses.track("a") as job:
        server.stop()
        job.save([1])
        server.start()
        wait_for(lambda: _removed(job.id))
    wait_for(lambda: not job._guard.away)

    assert statuses.all().count() == 0


def _removed(id: str) -> bool:
    try:
        statuses.at(id).delete(force=True)
    except statuses.StoreUnavailable:
        return False
    return True


def test_what_is_kept_for_later_is_bounded(server):
    server.stop()
    with statuses.track("a") as job:
        for step in range(3000):
            job.set_progress(step, 3000)
            job.save({"step": step})
        assert len(job._missed) <= 2
        for step in range(3000):
            job.add_error(f"error {step}")
        assert len(job._missed) == 1000
    server.start()
    wait_for(ended)

    assert assert_succeeded(job).errors[-1] == "error 2999"


def test_what_a_block_did_while_its_store_was_away_is_counted_once(server):
    statuses.configure(url=server.url, namespace="away", timeout_seconds=0.5, metrics=True)
    with statuses.track("ended meanwhile") as other:
        server.stop()
    with pytest.raises(KeyError), statuses.track("made later"):
        raise KeyError("own")
    server.start()
    wait_for(lambda: ended() and not other._missed and statuses.where(state="ended").count() == 2)

    def counted(text: str) -> list[str]:
        return [line for line in metrics.exposition().splitlines() if line.startswith("tasks_") and text in line]

    wait_for(lambda: all(len(counted(text)) == 2 for text in ("ended meanwhile", "made later")))
    assert counted("ended meanwhile") == [
        'tasks_selected_total{task="ended meanwhile",queue="",role=""} 1',
        'tasks_processed_total{task="ended meanwhile",queue="",status="succeeded"} 1',
    ]
    assert counted("made later") == [
        'tasks_selected_total{task="made later",queue="",role=""} 1',
        'tasks_processed_total{task="made later",queue="",status="failed"} 1',
    ]


def forked(act: Callable[[], None]) -> int:
    """A child that does something and ends, without what its parent had in mind for the end."""
    child = os.fork()
    if not child:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return child


def test_a_child_forked_off_in_an_outage_tells_what_it_did_itself_and_nothing_of_its_parent(server: EmbeddedServer) -> None:
    make_status("queued", job_name="other")
    with statuses.track("a") as job:
        server.stop()
        job.add_error("of the parent")

        def work() -> None:
            job.add_error("of the child")
            with statuses.track("b") as own:
                own.add_error("its own")
            wait_for(lambda: not job._missed and not own._missed and not job._guard.away)

        child = forked(work)
        job.add_error("of the parent, too")
        server.start()
        wait_for(lambda: not job._missed and not job._guard.away)
    assert os.waitpid(child, 0)[1] == 0

    told, of_child = assert_one(job_name="a"), assert_one(job_name="b")
    assert sorted(told.errors) == ["of the child", "of the parent", "of the parent, too"]
    assert (told.state, of_child.state, of_child.errors) == ("succeeded", "succeeded", ["its own"])


def test_a_child_forked_off_while_a_thread_tells_what_was_missed_is_not_held_up(server: EmbeddedServer) -> None:
    with statuses.track("a") as job:
        job.set_progress(0.1)
        held, done = threading.Event(), threading.Event()

        def hold() -> None:
            with job._telling:
                held.set()
                done.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(60)

        def work() -> None:
            signal.alarm(20)  # a lock that nobody gives back ends it
            with job._telling:
                job.add_error("of the child")

        child = forked(work)
        code = os.waitpid(child, 0)[1]
        done.set()
        thread.join()

    assert (code, assert_one(job_name="a").errors) == (0, ["of the child"])


HOUR_US = 3_600_000_000


@pytest.mark.parametrize("ahead_us", [HOUR_US, -HOUR_US])
def test_a_job_that_began_in_an_outage_is_told_by_the_clock_of_the_store(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, ahead_us: int
) -> None:
    """Whatever time this machine believes it is."""
    monkeypatch.setattr(clock, "here_us", lambda: time.time_ns() // 1000 + ahead_us)
    began = make_status("queued", job_name="other").recorded_at
    server.stop()
    with statuses.track("within"):
        pass
    with statuses.track("beyond") as job:
        server.start()
        wait_for(lambda: not job._missed and not job._guard.away and statuses.all().count() == 3)

    now = statuses.server_time()
    for told in statuses.where(job_name=["within", "beyond"]):
        assert began <= told.recorded_at <= now and began <= told.ended_at <= now
        assert told.run_time is not None and 0 <= told.run_time < 60
    assert statuses.all().order_by("recorded_at").run()[0].job_name == "other"


def test_a_creation_that_arrived_unanswered_is_taken_back_whatever_time_this_machine_believes(server: EmbeddedServer, monkeypatch) -> None:
    monkeypatch.setattr(clock, "here_us", lambda: time.time_ns() // 1000 + HOUR_US)
    made = make_status("started", job_name="a")
    place = made._place()

    unanswered.take_back(place.random, "started", "a", clock.here_us())

    assert statuses.find(made.id) is None
