"""One estimate of what the statuses take at a time: others get the one before, whichever thread or process they are."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

import statuses
from statuses import StoreUnavailable, footprint, health, holdings, keys, removal
from statuses import store as stores
from statuses.estimates import GIVEN_UP_SECONDS
from statuses.footprint import Footprint
from statuses.store import Store
from statuses.testing import frozen_clock, make_status
from tests.statuses.instances import instances
from tests.statuses.test_clients import use

pytestmark = pytest.mark.usefixtures("store")
MINUTE, ANEW = timedelta(minutes=1), timedelta(0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Footprint]:
    """The estimates that were made."""
    found: list[Footprint] = []
    estimate = footprint.estimate

    def noted(*given: Any) -> Footprint:
        found.append(estimate(*given))
        return found[-1]

    monkeypatch.setattr(footprint, "estimate", noted)
    return found


@pytest.fixture
def slowly(made: list[Footprint], monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Estimates that take until somebody lets them: (one began, they may end)."""
    began, may_end = threading.Event(), threading.Event()
    estimate = footprint.estimate

    def wait(*given: Any) -> Footprint:
        began.set()
        assert may_end.wait(20)
        return estimate(*given)

    monkeypatch.setattr(footprint, "estimate", wait)
    return began, may_end


def look(store: Store | None = None, believed: timedelta = MINUTE) -> Footprint:
    found = holdings.read(store or stores.current(), believed).footprint
    assert found is not None
    return found


def another_process() -> Store:
    """A store as another process has it: what this one learnt, it does not know."""
    return Store(stores.current().config)


def field(store: Any, name: str, value: object) -> None:
    store.hset(keys.estimate(stores.current().families[0]), name, value)


def test_who_looks_while_one_is_made_gets_the_one_before(made, slowly):
    began, may_end = slowly
    make_status("succeeded")
    may_end.set()
    before = look()
    began.clear(), may_end.clear()

    with ThreadPoolExecutor(1) as others:
        new = others.submit(look, None, ANEW)
        assert began.wait(20)
        meanwhile = [look(believed=ANEW) for _ in range(3)]
        may_end.set()

    assert all(found is before for found in meanwhile)
    assert made == [before, new.result()] and new.result().estimated_at > before.estimated_at


def test_where_there_is_none_yet_everybody_waits_for_the_same(made, slowly):
    began, may_end = slowly
    make_status("succeeded")

    with ThreadPoolExecutor(4) as viewers:
        looks = [viewers.submit(look) for _ in range(4)]
        assert began.wait(20)
        may_end.set()

    assert len(made) == 1 and all(found.result() is made[0] for found in looks)


def test_another_process_gets_the_same_with_its_age(made):
    with frozen_clock() as clock:
        make_status("succeeded")
        first = look()
        clock.tick(59)
        second = look(another_process())
        clock.tick(2)
        third = look(another_process())

    assert first == second and second.estimated_at == clock.now - timedelta(seconds=61)
    assert made == [first, third] and third.estimated_at == clock.now


def test_one_that_is_not_of_about_as_many_rows_is_not_believed(made):
    make_status("succeeded")
    look()
    make_status("succeeded")

    assert look(another_process()).rows == 2 and len(made) == 2


def test_while_another_process_makes_one_the_newest_that_there_is_is_given(made, store):
    with frozen_clock() as clock:
        make_status("succeeded")
        before = look()
        clock.tick(100)
        field(store, "begun", int(clock.now.timestamp() * 1e6))

        assert look(another_process()) == before == look(believed=ANEW)
        clock.tick(GIVEN_UP_SECONDS)
        assert look(another_process()).estimated_at == clock.now

    assert len(made) == 2


def test_the_first_of_all_is_waited_for_where_another_process_makes_it(made, slowly):
    began, may_end = slowly
    make_status("succeeded")

    with ThreadPoolExecutor(2) as processes:
        first = processes.submit(look, another_process())
        assert began.wait(20)
        second = processes.submit(look, another_process())
        may_end.set()

    assert first.result() == second.result() and len(made) == 1


def test_one_that_fails_does_not_keep_others_from_making_it(made, monkeypatch):
    def fails(*_: Any) -> Footprint:
        raise StoreUnavailable("a read", OSError("gone"))

    make_status("succeeded")
    with monkeypatch.context() as patch:
        patch.setattr(footprint, "estimate", fails)
        with pytest.raises(StoreUnavailable):
            look()

    assert look(another_process()) == look() and len(made) == 1


@pytest.mark.parametrize("text", ["", "nothing", "{}", json.dumps({"of_a_later_version": 1})])
def test_what_cannot_be_read_is_made_by_oneself(made, store, text):
    make_status("succeeded")
    look()
    field(store, "found", text)

    assert look(another_process()).rows == 1 and len(made) == 2


def test_a_clock_that_went_back_is_no_reason_to_believe_it_for_ever(made):
    make_status("succeeded")
    look()

    with frozen_clock() as long_ago:
        assert look(another_process()).estimated_at == long_ago.now


@pytest.mark.parametrize("refuse", [lambda client: client.config_set("maxmemory", 1), lambda client: client.replicaof("127.0.0.1", 1)])
def test_a_server_that_takes_no_writes_is_estimated_by_each_for_itself(made, refuse):
    with instances() as make:
        server = make()
        statuses.configure(url=server.url, namespace="full")
        make_status("succeeded")
        refuse(server.client())

        assert look() is look() and look(another_process()).rows == 1

    assert len(made) == 2


def test_a_user_who_may_only_read_is_told_it_too(made):
    with instances() as make:
        server = make()
        server.client().execute_command("ACL", "SETUSER", "reads", "on", ">pw", "~*", "+@all", "-@write", "-@scripting")
        statuses.configure(url=server.url, namespace="clients")
        make_status("succeeded")
        with use(f"redis://127.0.0.1:{server.port}/0", USERNAME="reads", PASSWORD="pw"):
            assert look().rows == 1


def test_it_belongs_to_the_store_and_goes_with_it(made, store):
    make_status("succeeded")
    look()
    key = keys.estimate(stores.current().families[0])

    assert statuses.check().problems == ()
    assert sorted(store.hkeys(key)) == [b"at", b"cells", b"found"] and store.ttl(key) == -1
    assert health.examine().holdings.footprint is made[0]
    statuses.clear_all()
    removal.erase(stores.current())
    assert not store.exists(key)
