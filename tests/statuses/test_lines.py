"""Lines to Redis of our own, and whoever is interrupted while he uses one."""

import subprocess
import sys
import textwrap
from typing import Any

import pytest

import statuses
from statuses import State, StoreUnavailable, lines, scripts
from statuses import store as stores
from tests.statuses.proxy import Proxy

#: Interrupted at any point, again and again.
INTERRUPTED = """
    import random, signal, time
    import redis
    import statuses
    from statuses import scripts, store
    from statuses.testing import private_store

    class Limit(BaseException):
        pass

    def limit(*_):
        raise Limit

    with private_store() as server:
        job, told = statuses.create(job_name="a", data="kept"), []
        statuses.create().succeeded()  # the server knows the script
        signal.signal(signal.SIGALRM, limit)
        rolls, interrupted, until = random.Random(1), 0, time.monotonic() + 3
        while time.monotonic() < until:
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, rolls.choice((1e-4, 5e-4, 2e-3)) * rolls.random() + 1e-5)
                    while True:
                        job.set_progress(rolls.random())
                        ended = statuses.create(job_name="b")
                        scripts.finish_unwaited(store.current(), ended._place(), statuses.State.succeeded, (0, None), None, told.append)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except Limit:
                interrupted += 1
            assert statuses.find(job.id).data == "kept"
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        store.current().settle()
        assert told.count(1) > 200, len(told)
        assert all(reply == 1 or isinstance(reply, statuses.StoreUnavailable) for reply in told), told
        clients = len(redis.Redis.from_url(server.url).client_list())
        assert interrupted > 200, interrupted
        # redis-py and we lose a line where an interrupt falls between two steps: seldom.
        assert clients < 5 + interrupted / 20, (clients, interrupted)
        print(clients, interrupted)
"""


def test_no_number_reaches_the_packer_of_hiredis(monkeypatch: pytest.MonkeyPatch) -> None:
    packed: list[Any] = []
    monkeypatch.setattr(lines, "_packed", lambda command: packed.append(command) or b"")

    lines._pack(None, [("SET", b"k", 7, 1.5, "x")])

    assert packed == [("SET", b"k", "7", "1.5", "x")]


def test_what_is_interrupted_at_any_point_crashes_nothing_and_mixes_no_replies() -> None:
    """A handler that raises, as of Ctrl-C and of limits of time, while hiredis wrote a number, crashed the process."""
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(INTERRUPTED)], capture_output=True, text=True, timeout=100)

    assert run.returncode == 0, run.stderr


def end(told: list[Any]) -> None:
    statuses.create().succeeded()  # the server knows the script
    job = statuses.create(job_name="ends")
    assert scripts.finish_unwaited(stores.current(), job._place(), State.succeeded, (0, None), None, told.append)


@pytest.mark.usefixtures("store")
def test_a_reply_that_nobody_waits_for_is_told_by_the_next_write() -> None:
    told: list[Any] = []
    end(told)
    assert told == []

    job = statuses.create(job_name="next")

    assert (told, job.job_name) == ([1], "next")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("how", ["settle", "idle", "send", "post"])
def test_a_reply_that_nobody_waits_for_is_told_before_its_line_is_used_for_more(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    end(told)
    here = stores.current()

    if how == "settle":
        here.settle()
    elif how == "idle":
        monkeypatch.setattr(lines, "IDLE_SECONDS", 0.0)
        statuses.create()
    elif how == "send":
        here._writing.receive(here._writing.send((("PING",),)))
    else:
        here._writing.post(("PING",), told.append)
        here.settle()

    assert told == [1, *([b"PONG"] if how == "post" else [])]
    assert here._writing.call("ECHO", "own") == b"own"


def test_a_line_that_breaks_before_the_reply_says_so_to_who_did_not_wait(server: Any, store: Any, tmp_path: Any) -> None:
    with Proxy(tmp_path, server.socket) as proxy:
        statuses.configure(url=proxy.url, namespace="broken")
        told: list[Any] = []
        statuses.create().succeeded()
        job = statuses.create(job_name="ends")
        proxy.cut("move")
        scripts.finish_unwaited(stores.current(), job._place(), State.succeeded, (0, None), None, told.append)

        stores.current().settle()

        assert [type(reply) for reply in told] == [StoreUnavailable]
        assert statuses.where(state=State.succeeded).count() == 2
