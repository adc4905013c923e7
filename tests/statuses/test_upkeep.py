"""Chores tell of their rounds: which ran, where, what they did, and which do no more."""

import os
import socket
from datetime import UTC, datetime, timedelta

import pytest

import statuses
from statuses import keys, sampling, upkeep
from statuses import store as stores
from statuses.reaper import CONFIRM_SECONDS, Reaper
from statuses.retries import retry_failed
from statuses.store import Store
from statuses.testing import FrozenClock, frozen_clock, make_status
from statuses.upkeep import Chore

pytestmark = pytest.mark.usefixtures("store", "no_engines")


@pytest.fixture
def clock() -> FrozenClock:
    with frozen_clock(datetime(2026, 11, 3, 10, 0, tzinfo=UTC)) as clock:
        yield clock


def told() -> dict[str, Chore]:
    """The last of each chore."""
    return {chore.chore: chore for chore in reversed(upkeep.chores())}


def key() -> str:
    return keys.upkeep(stores.current().families[0])


def test_each_chore_tells_when_it_ran_where_and_what_it_did(clock):
    silent = make_status("queued").started("w1", alive=True)
    make_status("failed", keep_for=timedelta(seconds=1))
    make_status("queued", queue="mail")
    now, reaper = [0.0], Reaper(monotonic=lambda: now[0])
    clock.tick(121)
    reaper.look()
    clock.tick(CONFIRM_SECONDS)
    now[0] = CONFIRM_SECONDS

    reaper.look(), statuses.clean(), retry_failed(statuses.all()), sampling.sample()

    found = told()
    assert {name: chore.did for name, chore in found.items()} == {
        "reap": {"failed": 1}, "clean": {"removed": 1}, "retry": {"cannot": 1}, "sample": {"queues": 1},
    }  # fmt: skip
    assert silent.reload().is_failed
    assert {(chore.host, chore.pid, chore.ran_at, chore.did_at) for chore in found.values()} == {
        (socket.gethostname(), os.getpid(), clock.now, clock.now)
    }
    assert {(chore.every_seconds, chore.error, chore.ended_at, chore.about) for chore in found.values()} == {(None, "", None, "")}


def test_a_dry_run_is_told_to_nobody(clock):
    Reaper().look(dry_run=True), statuses.clean(dry_run=True), retry_failed(statuses.all(), dry_run=True)

    assert upkeep.chores() == []


def test_a_sample_that_is_there_already_is_no_round(clock):
    sampling.sample()
    clock.tick(30)
    sampling.sample()

    assert told()["sample"].ran_at == clock.now - timedelta(seconds=30)


def test_a_chore_that_is_narrowed_is_another_one_than_the_whole(clock):
    statuses.clean()
    statuses.clean(older_than=timedelta(days=90), job_name=["a", "b"], state="failed")
    statuses.clean(older_than=timedelta(hours=12))

    assert [chore.about for chore in upkeep.chores()] == ["", "older-than=0.5d", "older-than=90d name=a name=b state=failed"]


def test_one_that_announced_itself_is_overdue_when_it_missed_three_rounds(clock):
    with pytest.raises(KeyError), upkeep.watching(60):
        Reaper().look()
        sampling.sample()
        raise KeyError  # it dies
    now = clock.now

    reaper = told()["reap"]

    assert reaper.every_seconds == 60
    late = timedelta(seconds=180 + reaper.took_seconds)
    assert [reaper.is_overdue(now + late + more) for more in (timedelta(0), timedelta(seconds=1))] == [False, True]


def test_one_that_comes_every_second_is_not_overdue_at_its_first_hiccup(clock):
    with pytest.raises(KeyError), upkeep.watching(1):
        Reaper().look()
        raise KeyError

    assert not told()["reap"].is_overdue(clock.now + upkeep.LEAST)
    assert told()["reap"].is_overdue(clock.now + upkeep.LEAST + timedelta(seconds=1))


def test_one_that_ended_in_order_is_not_waited_for(clock):
    with upkeep.watching(30):
        Reaper().look()
        clock.tick(10)

    reaper = told()["reap"]

    assert (reaper.ran_at, reaper.ended_at) == (clock.now - timedelta(seconds=10), clock.now)
    assert not reaper.is_overdue(clock.now + timedelta(days=1))


def test_one_that_runs_once_is_not_waited_for_and_the_next_takes_its_place(clock, monkeypatch):
    for pid in (11, 12):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        Reaper().look()
        clock.tick(3600)

    [reaper] = upkeep.chores()

    assert reaper.pid == 12 and not reaper.is_overdue(clock.now + timedelta(days=1))


def test_each_process_that_comes_again_has_its_own_entry(clock, monkeypatch):
    for pid in (11, 12):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        with upkeep.watching(30):
            Reaper().look()

    assert {chore.pid for chore in upkeep.chores()} == {11, 12}


def test_what_was_found_last_is_told_until_something_else_is(clock):
    with upkeep.watching(60):
        for found in (3, 0, 0):
            with upkeep.doing("sweep") as did:
                did["rooms"] = found
            clock.tick(60)
        kept = told()["sweep"]
        with upkeep.doing("sweep") as did:
            did["rooms"] = 1

    assert (kept.did, kept.did_at) == ({"rooms": 3}, kept.ran_at - timedelta(seconds=120))
    assert (told()["sweep"].did, told()["sweep"].did_at) == ({"rooms": 1}, told()["sweep"].ran_at)


def test_the_looks_of_one_run_are_added_up(clock):
    with upkeep.watching(None):
        for found in ({"failed": 1}, {"failed": 2, "unknown": 1}, {}):
            with upkeep.doing("reap") as did:
                did |= found

    assert told()["reap"].did == {"failed": 3, "unknown": 1}
    assert told()["reap"].did_at == clock.now


def test_a_round_that_an_error_ended_says_which(clock):
    with upkeep.watching(60):
        with pytest.raises(ZeroDivisionError), upkeep.doing("sweep"):
            raise ZeroDivisionError
        broken = told()["sweep"].error
        with upkeep.doing("sweep"):
            pass

    assert (broken, told()["sweep"].error) == ("ZeroDivisionError", "")


def test_a_round_that_cannot_be_told_goes_on(store, caplog):
    make_status("failed", keep_for=timedelta(microseconds=1))
    store.set(key(), "something else")

    with upkeep.watching(30):
        cleaned = statuses.clean()

    assert cleaned.removed == 1
    assert "that clean ran is not written down" in caplog.text


def test_a_round_in_which_the_store_was_away_does_not_wait_for_it_again(store, monkeypatch):
    asked = []
    monkeypatch.setattr(Store, "script", lambda *call: asked.append(call))

    with pytest.raises(statuses.StoreUnavailable), upkeep.doing("sweep"):
        raise statuses.StoreUnavailable("a read", OSError("away"))

    assert asked == []


def test_a_round_costs_one_command(store, monkeypatch):
    with upkeep.doing("sweep"):
        pass  # the server knows the script from here on
    before = store.info("commandstats")["cmdstat_evalsha"]["calls"]

    with monkeypatch.context() as patch, upkeep.doing("sweep"):
        patch.setattr(Store, "pipeline", lambda *_, **__: pytest.fail("something is read"))

    assert store.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 1


def test_what_is_old_goes_with_the_next_round_and_so_does_what_is_too_much(clock, monkeypatch):
    def run(pid: int) -> None:
        monkeypatch.setattr(os, "getpid", lambda: pid)
        with upkeep.watching(30), upkeep.doing("sweep"):
            clock.tick(1)

    run(1)
    clock.tick(upkeep.KEPT_FOR.total_seconds())
    run(2)
    after_a_month = {chore.pid for chore in upkeep.chores()}
    for pid in range(3, upkeep.MOST + 5):
        run(pid)

    assert after_a_month == {2}
    assert {chore.pid for chore in upkeep.chores()} == set(range(5, upkeep.MOST + 5))


def test_words_of_any_kind_are_kept(clock):
    with upkeep.watching(30, "name=\udcff\n\t\0é" + "x" * 1000), upkeep.doing("sweep"):
        pass

    assert told()["sweep"].about == ("name=\udcff\n\t\0é" + "x" * 1000)[: upkeep.LONGEST]


def test_the_version_of_the_store_tells_of_it_in_the_same_round_trip_and_stays_the_same(clock, monkeypatch):
    make_status("started")
    before = statuses.version()
    Reaper().look()
    asked = []
    monkeypatch.setattr(Store, "pipeline", lambda self, calls, to=Store.pipeline, **how: asked.append(1) or to(self, calls, **how))

    version = statuses.version()

    assert [chore.chore for chore in version.upkeep] == ["reap"] and before.upkeep == ()
    assert version.text == before.text
    assert len(asked) == 1


def test_a_check_takes_it_for_what_it_is_and_names_what_is_none(store):
    make_status("failed")
    Reaper().look()
    clean = statuses.check().problems
    store.set(f"{key()}:nonsense", "1")

    assert clean == ()
    assert statuses.check().problems != ()


def test_a_check_tells_how_much_it_looked_at_what_was_wrong_and_what_is_mended(store):
    make_status("failed"), make_status("succeeded")
    store.set(f"{stores.current().families[0]}0:j9", "nobody's")

    statuses.check()
    looked = told()["check"]
    statuses.check(repair=True)
    mended = told()["check"]
    statuses.check()
    after = told()["check"]

    assert (looked.did, looked.every_seconds) == ({"checked": 2, "wrong": 1}, None)
    assert mended.did == {"checked": 2, "wrong": 1, "repaired": 1}
    assert after.did == {"checked": 2}


def test_a_round_within_a_round_of_its_chore_is_a_part_of_it(clock):
    make_status("failed", keep_for=timedelta(seconds=1))
    clock.tick(2)

    with upkeep.doing(upkeep.CLEAN) as did:
        statuses.clean()
        reaped = Reaper().look()
        did["more"] = 2

    assert {name: dict(chore.did) for name, chore in told().items()} == {"clean": {"removed": 1, "more": 2}, "reap": {}}
    assert reaped.changed == 0 and len(upkeep.chores()) == 2
