"""A process that goes from job to job says an end and the next start in one script, which does what both do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import pytest
import redis
from proxy import Proxy

import statuses
from statuses import State, Status, lines, segmentscripts
from statuses import store as stores
from statuses.engines import attempts
from statuses.lua import source

pytestmark = pytest.mark.usefixtures("store")


def queued() -> Status:
    return statuses.create(job_name="a", job_args={"book": "Book:1"}, queue="q", state="queued", provider_job_id="p")


def running() -> Status:
    return queued().started("w", alive=True)


def gone(job: Status) -> Status:
    job.delete(force=True)
    return job


def ended(job: Status, state: State) -> Status:
    return job._end(state, None, None, None, None)


def asked(job: Status) -> Status:
    job.request_kill(by="somebody", end_queued=False)
    return job


#: What ends -> a job of which that is told.
ENDS: dict[str, Callable[[], Status]] = {
    "runs": running,
    "saved data": lambda: running().save({"its": "own"}),
    "gave progress": lambda: running().set_progress(1, 2),
    "was asked to die": lambda: asked(running()),
    "waits again after a time limit": lambda: running().requeued(),
    "has ended": lambda: ended(running(), State.succeeded),
    "was lost": lambda: ended(running(), State.failed),
    "was removed": lambda: gone(running()),
    "was never started": queued,
}
#: What starts -> a job that is to.
STARTS: dict[str, Callable[[], Status]] = {
    "waits": queued,
    "was never queued": lambda: statuses.create(job_name="b"),
    "was asked to die": lambda: asked(queued()),
    "was killed": lambda: ended(queued(), State.killed),
    "was killed and removed": lambda: gone(ended(queued(), State.killed)),
    "runs": running,
    "succeeded": lambda: ended(running(), State.succeeded),
    "is at another attempt": lambda: running().requeued(),
    "was removed": lambda: gone(queued()),
}


MOMENTS = ("recorded", "queued", "started", "succeeded", "failed", "killed", "kill_requested", "heartbeat")


def told(ends: Status, starts: Status, data: Any, together: bool) -> tuple[list[Any], object]:
    """What each of them hears."""
    heard: list[Any] = []
    attempts.succeed_along(ends, 0, data, heard.append)
    if not together:
        ends._store.tell()
    try:
        starts.started("w2", attempt=0, sources=attempts.STARTABLE, refuse_killed=True, alive=True)
        return heard, starts.changed
    except (statuses.KillRequested, statuses.StatusNotFound) as error:
        return heard, type(error)


def described(job: Status) -> dict[str, Any] | None:
    """All that there is of a job but its id, and moments as where they stand among the others."""
    found = statuses.find(job.id)
    if found is None:
        return None
    moments = {f"{name}_at": getattr(found, f"{name}_at") for name in MOMENTS}
    order = sorted({moment for moment in moments.values() if moment is not None})
    return {
        "moments": {name: None if moment is None else order.index(moment) for name, moment in moments.items()},
        "attempts": len(found.prior_attempts),
        **{name: getattr(found, name) for name in ("state", "attempt", "worker", "data", "progress", "errors", "kill_requested_by")},
    }


@pytest.mark.parametrize("data", [None, {"result": 1}])
@pytest.mark.parametrize("starts", STARTS)
@pytest.mark.parametrize("ends", ENDS)
def test_said_together_they_do_what_they_do_one_after_the_other(ends: str, starts: str, data: Any) -> None:
    found = []
    for together in (False, True):
        first, second = ENDS[ends](), STARTS[starts]()
        found.append((told(first, second, data, together), described(first), described(second)))

    assert found[1] == found[0]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scripts that are run, in their order; but for the look of a test before whether its store is back."""
    names, found, pack = {source.sha(name): name for name in source.names() if name != "touch"}, [], lines._pack

    def packed(line: Any, commands: Any) -> Any:
        found.extend(names[command[1]] for command in commands if command[0] == "EVALSHA" and command[1] in names)
        return pack(line, commands)

    monkeypatch.setattr(lines, "_pack", packed)
    return found


def test_they_are_one_script(said: list[str]) -> None:
    ends, starts = running(), queued()
    said.clear()

    assert told(ends, starts, None, True) == ([1], True)

    assert said == ["relay"]
    assert (ends.reload().state, starts.reload().state) == (State.succeeded, State.started)


def test_an_end_that_changes_nothing_leaves_the_start_to_its_own_script(said: list[str]) -> None:
    ends, starts = ended(running(), State.failed), queued()
    said.clear()

    assert told(ends, starts, None, True) == ([0], True)

    assert said == ["relay", "start"]


@pytest.mark.parametrize("which", ["end", "start"])
def test_with_an_id_of_the_callers_they_go_one_beside_the_other(said: list[str], which: str) -> None:
    own = statuses.create(id="mine", state="queued")
    ends, starts = (own.started(), queued()) if which == "end" else (running(), own)
    said.clear()

    assert told(ends, starts, None, True) == ([1], True)

    assert sorted(said) == ["move", "start"]


def test_in_different_segments_they_go_one_beside_the_other(said: list[str]) -> None:
    ends = running()
    here = stores.current()
    segmentscripts.next_segment(here, 0, 0)
    starts = queued()
    said.clear()

    assert told(ends, starts, None, True) == ([1], True)

    assert sorted(said) == ["move", "start"] and starts._place().segment != ends._place().segment


def test_the_end_keeps_its_moment_and_the_start_has_its_own() -> None:
    ends, starts = running(), queued()
    heard: list[Any] = []
    attempts.succeed_along(ends, 0, None, heard.append)
    stores.current()._writing._along[0]._since -= 5_000_000  # as if that were five milliseconds ago

    starts.started("w", attempt=0, sources=attempts.STARTABLE, refuse_killed=True)

    assert heard == [1]
    assert ends.succeeded_at is not None and starts.started_at is not None
    assert 5 <= (starts.started_at - ends.succeeded_at).total_seconds() * 1000 < 1000


@pytest.fixture
def proxied(server: Any, store: Any, tmp_path: Any) -> Iterator[Proxy]:
    with Proxy(tmp_path, server.socket) as between:
        statuses.configure(url=between.url, namespace="relay")
        yield between


@pytest.mark.parametrize("reply", [True, False], ids=["reply lost", "request lost"])
def test_where_the_line_breaks_each_is_applied_once(proxied: Proxy, said: list[str], reply: bool) -> None:
    ends, starts = running(), queued()
    told(running(), queued(), None, True)
    proxied.cut("relay", reply=reply)
    said.clear()

    heard, changed = told(ends, starts, None, True)
    ends._store.tell()

    assert (heard, changed) == ([1], True)
    assert said[0] == "relay" and sorted(said[1:]) == ["move", "start"]
    assert (ends.reload().state, ends.attempt, starts.reload().state, starts.attempt) == (State.succeeded, 0, State.started, 0)


def test_where_one_of_them_meets_a_wrong_key_the_other_is_told(store: Any) -> None:
    ends, starts = running(), queued()
    place = ends._place()
    key = f"{stores.current().families[0]}{place.segment}:j{place.row}"
    store.delete(key)
    store.set(key, "no hash")

    heard, changed = told(ends, starts, None, True)

    assert [type(error) for error in heard] == [statuses.ScriptFailed]
    assert changed is True and starts.reload().state is State.started
    store.delete(key)


def test_a_server_that_has_lost_the_script_gets_it_again(store: Any) -> None:
    ends, starts = running(), queued()
    store.script_flush()

    assert told(ends, starts, None, True) == ([1], True)


def test_a_store_that_is_away_is_told_to_both(other_server: Any) -> None:
    statuses.configure(url=other_server.url, namespace="relay")
    ends, starts = running(), queued()
    heard: list[Any] = []
    attempts.succeed_along(ends, 0, None, heard.append)
    other_server.stop()

    with pytest.raises(statuses.StoreUnavailable):
        starts.started("w", attempt=0, sources=attempts.STARTABLE, refuse_killed=True)
    ends._store.tell()

    assert [type(error) for error in heard] == [statuses.StoreUnavailable]


def test_a_full_store_is_told_to_both(store: Any, server: Any) -> None:
    ends, starts = running(), queued()
    heard: list[Any] = []
    attempts.succeed_along(ends, 0, None, heard.append)
    admin = redis.Redis.from_url(server.url)
    admin.config_set("maxmemory", 1)
    try:
        with pytest.raises(statuses.StoreUnavailable):
            starts.started("w", attempt=0, sources=attempts.STARTABLE, refuse_killed=True)
    finally:
        admin.config_set("maxmemory", 0)

    assert [type(error) for error in heard] == [statuses.StoreUnavailable]
    assert (ends.reload().state, starts.reload().state) == (State.started, State.queued)


class Interrupt(BaseException):
    """As of Ctrl-C, or of a limit of time."""


def interrupted_at(number: int, act: Callable[[], object]) -> bool:
    """Whether `act` came to so many lines of how stores are spoken to; there it was interrupted."""
    left, before = number, sys.gettrace()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith(("statuses/store.py", "statuses/lines.py")):
            return None
        if event == "line":
            left -= 1
            if not left:
                raise Interrupt
        return trace

    sys.settrace(trace)
    try:
        act()
    except Interrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("joined", [True, False], ids=["in one script", "beside another"])
def test_whoever_is_interrupted_loses_no_end(joined: bool) -> None:
    """A worker's process is stopped while it starts its next job: the end of the last is told, or known not to have been."""
    number, found = 1, set[bool]()
    while True:
        ends, starts = running(), queued()
        heard: list[Any] = []
        attempts.succeed_along(ends, 0, None, heard.append)
        act = partial(starts.started, "w", attempt=0) if joined else partial(statuses.create, job_name="b")
        was_interrupted = interrupted_at(number, act)
        ends._store.tell()
        found.add(bool(heard) or ends.reload().state is State.succeeded)
        if not was_interrupted:
            break
        number += 1

    assert found == {True} and number > 20
