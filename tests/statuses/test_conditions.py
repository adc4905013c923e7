"""A server that is there and refuses says why: what is raised then has it in words, with what to do; and how long it lasts."""

import pickle
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import redis

import statuses
from statuses import health, refusals
from statuses.conditions import CONDITIONS
from statuses.testing import make_status
from tests.statuses.instances import Instance, instances
from tests.statuses.test_refused import FAULTS, OUTAGES

Make = Callable[..., Instance]


@pytest.fixture
def make() -> Iterator[Make]:
    with instances() as made:
        yield made


def reach(server: Instance) -> Instance:
    """Over TCP, as what is kept beside the socket may go."""
    statuses.configure(url=f"redis://127.0.0.1:{server.port}", namespace="conditions", timeout_seconds=2.0)
    return server


def refused(act: Callable[[], Any]) -> statuses.StoreUnavailable:
    with pytest.raises(statuses.StoreUnavailable) as raised:
        act()
    return raised.value


def loading(make: Make) -> Instance:
    """A server that needs seconds to read its file."""
    server = make()
    with server.client() as client:
        client.mset({f"k{n}": "x" * 400 for n in range(4000)})
        client.save()
    server.process.terminate()
    server.process.wait()
    server.start("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024", speaks=False)
    return server


def full(make: Make) -> Instance:
    server = make()
    with server.client() as client:
        client.config_set("maxmemory", 1)
    return server


def out_of_disk(make: Make) -> Instance:
    server = reach(make())
    make_status("queued")
    shutil.rmtree(server.folder)
    with redis.Redis(port=server.port) as client:
        client.config_set("save", "3600 1")
        client.bgsave()
        while client.info("persistence")["rdb_last_bgsave_status"] == "ok":
            pass
    return server


def crowded(make: Make) -> Instance:
    server = make()
    server.kept = redis.Redis(port=server.port)  # ty: ignore[unresolved-attribute]
    server.kept.config_set("maxclients", 1)
    return server


def with_password(make: Make) -> Instance:
    return make("--requirepass", "secret", speaks=False)


REFUSING: dict[str, Callable[[Make], Instance]] = {
    "LOADING": loading,
    "MASTERDOWN": lambda make: make("--replicaof", "127.0.0.1 1", "--replica-serve-stale-data", "no", speaks=False),
    "READONLY": lambda make: make("--replicaof", "127.0.0.1 1"),
    "OOM": full,
    "MISCONF": out_of_disk,
    "NOREPLICAS": lambda make: make("--min-replicas-to-write", "1"),
    "AUTH": with_password,
    "CLIENTS": crowded,
}


@pytest.mark.parametrize("code", REFUSING)
def test_a_server_that_refuses_says_why_and_what_to_do(make: Make, code: str) -> None:
    reach(REFUSING[code](make))
    known = CONDITIONS[code]

    error = refused(lambda: statuses.create(job_name="a"))

    assert error.condition == known
    assert str(error).startswith("the status store refused ") and f": {known.means} (" in str(error)
    assert str(error).endswith(known.remedy)
    assert "did not answer" not in str(error)
    assert pickle.loads(pickle.dumps(error)).condition == known


@pytest.mark.parametrize("code", ["READONLY", "OOM", "MISCONF", "NOREPLICAS"])
def test_who_refuses_writes_alone_answers_questions(make: Make, code: str) -> None:
    reach(REFUSING[code](make))

    assert statuses.all().count() in (0, 1)
    assert CONDITIONS[code].only_writes


def test_a_script_of_somebody_else_that_does_not_end_is_named(make: Make) -> None:
    server = reach(make("--lua-time-limit", "50"))
    make_status("queued")

    def hang() -> None:
        with suppress(redis.ResponseError), server.client() as client:
            client.eval("while true do end", 0)

    hanging = threading.Thread(target=hang)
    hanging.start()
    with server.client() as client:
        while True:
            try:
                client.ping()
            except redis.ResponseError:
                break
        error = refused(lambda: statuses.all().count())
        client.script_kill()
    hanging.join()

    assert error.condition == CONDITIONS["BUSY"] and "SCRIPT KILL" in str(error)
    assert statuses.all().count() == 1


def test_a_user_without_the_right_is_told_which_are_needed(make: Make) -> None:
    server = make()
    with server.client() as client:
        client.acl_setuser("reader", enabled=True, passwords=["+p"], keys=["*"], commands=["+@read", "+client", "+hello"])
    statuses.configure(url=f"redis://reader:p@127.0.0.1:{server.port}", namespace="conditions")

    error = refused(lambda: statuses.create(job_name="a"))

    assert error.condition == CONDITIONS["NOPERM"] and "docs/redis.md" in str(error)


def test_how_long_it_still_reads_its_file_is_known(make: Make) -> None:
    reach(loading(make))

    found = health.loading()
    error = refused(statuses.all().count)

    assert found is not None and found.share is not None and found.left is not None
    assert 0 <= found.share < 1 and timedelta(seconds=1) <= found.left < timedelta(minutes=1)
    assert "% of it is read; the rest takes about " in health.explained(error)


def test_who_has_read_its_file_or_is_away_is_not_asked_for_how_long(make: Make) -> None:
    server = reach(make())
    assert health.loading() is None
    server.stop()

    error = refused(statuses.all().count)

    assert (error.condition, health.loading()) == (None, None)
    assert health.explained(error) == str(error) and "did not answer" in str(error)


#: What says nothing of a server that anything could be done about.
SILENT = {"no such database", "a line that broke", "silence"}


@pytest.mark.parametrize("what", OUTAGES)
def test_every_outage_that_servers_have_words_for_is_a_condition(what: str) -> None:
    assert (refusals.condition(OUTAGES[what]) is None) is (what in SILENT)


@pytest.mark.parametrize("what", FAULTS)
def test_a_fault_is_no_condition(what: str) -> None:
    assert refusals.condition(FAULTS[what]) is None


def test_a_cluster_that_cannot_be_reached_says_what_its_node_said() -> None:
    error = redis.exceptions.RedisClusterException("Redis Cluster cannot be connected")
    error.__cause__ = redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory")

    assert refusals.condition(error) == CONDITIONS["LOADING"]
