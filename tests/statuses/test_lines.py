"""Lines to Redis of our own, and whoever is interrupted while he uses one."""

import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest
import redis

import statuses
from statuses import State, lines, scripts

#: Interrupted at any point, again and again.
INTERRUPTED = """
    import random, signal, time
    import redis
    import statuses
    from statuses.testing import private_store

    class Limit(KIND):
        pass

    def limit(*_):
        raise Limit

    def work():
        # redis-py drops an OSError that falls in while it closes a line or looks at a new one: nothing else ends this then.
        due = time.monotonic() + 1
        while time.monotonic() < due:
            job.set_progress(rolls.random())
            statuses.create(job_name="b")

    with private_store() as server:
        job = statuses.create(job_name="a", data="kept")
        signal.signal(signal.SIGALRM, limit)
        rolls, interrupted = random.Random(1), 0
        while interrupted < 400:
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, rolls.choice((1e-4, 5e-4, 2e-3)) * rolls.random() + 1e-5)
                    work()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Limit:
                interrupted += 1
            assert statuses.find(job.id).data == "kept"
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        clients = len(redis.Redis.from_url(server.url).client_list())
        # redis-py and we lose a line where an interrupt falls between two steps: seldom.
        assert clients < 5 + interrupted / 20, (clients, interrupted)
        print(clients, interrupted)
"""


def test_no_number_reaches_the_packer_of_hiredis(monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[Any] = []
    monkeypatch.setattr(lines, "_packed", lambda command: packed.append(command) or b"")

    lines._pack(None, [("SET", b"k", 7, 1.5, "x")])

    assert packed == [("SET", b"k", "7", "1.5", "x")]


@pytest.mark.parametrize("kind", ["BaseException", "Exception", "TimeoutError"])
def test_what_is_interrupted_at_any_point_crashes_nothing_and_mixes_no_replies(kind: str) -> None:
    """A handler that raises, as of Ctrl-C and of limits of time, while hiredis wrote a number, crashed the process."""
    code = textwrap.dedent(INTERRUPTED).replace("KIND", kind)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)

    assert run.returncode == 0, run.stderr


def _started() -> Any:
    return statuses.create(job_name="a").started()


def _succeed_along(job: Any, heard: list[Any]) -> None:
    scripts.succeed_along(job._store, job._place(), (0, (State.started,)), None, heard.append)


def _is_heard(heard: list[Any]) -> bool:
    """What the server that knows the script says to a change."""
    return heard == [1]


@pytest.fixture
def started(store: Any) -> Any:
    """A job that runs, on a server that knows how jobs end."""
    _started().succeeded()
    return _started()


def test_what_goes_along_is_sent_in_the_round_trip_of_what_is_asked_next(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Any] = []
    _succeed_along(started, heard)
    before, sent = list(heard), []
    monkeypatch.setattr(lines, "_pack", lambda line, commands: sent.append(len(commands)) or pack(line, commands))

    other = statuses.create(job_name="b")

    assert (before, sent, _is_heard(heard)) == ([], [2], True)
    assert (started.reload().state, other.state) == (State.succeeded, State.unqueued)


pack = lines._pack


@pytest.mark.parametrize("ask", ["find", "count", "several"])
def test_whoever_asks_finds_what_was_to_go_along(started: Any, ask: str) -> None:
    _succeed_along(started, [])

    if ask == "find":
        assert statuses.find(started.id).state is State.succeeded
    elif ask == "count":
        assert statuses.where(state="started").count() == 0
    else:
        assert statuses.where(state="succeeded").delete_all().changed == 2


def test_what_goes_along_and_is_refused_harms_nobody_else(started: Any, store: Any) -> None:
    heard: list[Any] = []
    started._store.piggyback("move", ["no such segment:v"], [b"0" * 30, "", "", ""], heard.append)

    other = statuses.create(job_name="b")

    assert other.state is State.unqueued
    assert [type(error) for error in heard] == [statuses.ScriptFailed]


def test_what_goes_along_on_a_line_that_breaks_is_sent_again_with_what_is_asked(started: Any, server: Any) -> None:
    heard: list[Any] = []
    _succeed_along(started, heard)
    redis.Redis.from_url(server.url).client_kill_filter(_type="normal", skipme=True)

    other = statuses.create(job_name="b")

    assert (other.state, _is_heard(heard), started.reload().state) == (State.unqueued, True, State.succeeded)


def test_what_goes_along_to_a_store_that_is_away_hears_that(started: Any, other_server: Any) -> None:
    statuses.configure(url=other_server.url, namespace="along")
    job, heard = _started(), []
    _succeed_along(job, heard)
    other_server.stop()

    with pytest.raises(statuses.StoreUnavailable):
        statuses.create(job_name="b")
    job._store.tell()

    assert [type(error) for error in heard] == [statuses.StoreUnavailable]


def test_a_script_that_the_server_has_lost_goes_along_once_more(started: Any, server: Any) -> None:
    heard: list[Any] = []
    _succeed_along(started, heard)
    redis.Redis.from_url(server.url).script_flush()

    started._store.tell()

    assert (_is_heard(heard), started.reload().state) == (True, State.succeeded)


def test_what_goes_along_to_a_server_that_was_started_anew_arrives(started: Any, server: Any) -> None:
    heard: list[Any] = []
    _succeed_along(started, heard)
    client = redis.Redis.from_url(server.url)
    client.script_flush()
    client.client_kill_filter(_type="normal", skipme=True)

    started._store.tell()

    assert (_is_heard(heard), started.reload().state) == (True, State.succeeded)


def test_a_script_whose_text_was_on_a_line_that_broke_goes_along_once_more(started: Any, server: Any) -> None:
    heard: list[Any] = []
    _succeed_along(started, heard)
    redis.Redis.from_url(server.url).script_flush()
    for error in (redis.exceptions.NoScriptError("lost"), redis.ConnectionError("broken")):
        sent: list[Any] = []
        started._store._writing._boarding(sent)
        for one in sent:
            one.heard(error)

    started._store.tell()

    assert (_is_heard(heard), started.reload().state) == (True, State.succeeded)


def test_a_forked_child_leaves_to_its_parent_what_was_to_go_along(started: Any) -> None:
    heard: list[Any] = []
    _succeed_along(started, heard)
    child = os.fork()
    if not child:
        statuses.create(job_name="b")
        os._exit(len(heard))

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert statuses.find(started.id).state is State.succeeded and _is_heard(heard)


def test_what_was_to_go_along_is_told_when_the_store_is_left(started: Any, server: Any) -> None:
    heard: list[Any] = []
    _succeed_along(started, heard)

    started._store.close()

    assert _is_heard(heard)
