"""Redis refusing, hanging, full, read-only: bounded time, a clear error, and back to work when it is back."""

import os
import signal
import socket
import time

import pytest
import redis

import statuses
from statuses.embedded import EmbeddedServer
from statuses.testing import make_status

#: Seconds within which whatever happens must be said.
BOUND_SECONDS = 3.0


@pytest.fixture
def other(other_server):
    statuses.configure(url=other_server.url, namespace="other")
    return other_server


ACTIONS = {
    "create": lambda status: statuses.create(job_name="a"),
    "write": lambda status: status.set_progress(0.5),
    "find": lambda status: statuses.find(status.id),
    "count": lambda status: statuses.where(queue="other").count(),
    "ping": lambda status: statuses.ping(),
}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_a_server_that_hangs_is_unavailable_in_bounded_time(other, action):
    status = make_status("started")
    os.kill(other.pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises(statuses.StoreUnavailable):
            action(status)
        assert time.monotonic() - began < BOUND_SECONDS
    finally:
        os.kill(other.pid, signal.SIGCONT)

    action(status)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_a_server_that_is_gone_is_unavailable_and_found_again(tmp_path, action):
    first = EmbeddedServer(tmp_path / "s").start()
    statuses.configure(url=first.url, namespace="gone")
    status = make_status("started")
    first.stop()
    with pytest.raises(statuses.StoreUnavailable):
        action(status)

    with EmbeddedServer(tmp_path / "s"):
        action(status)
        assert statuses.find(status.id).state == "started"


def test_a_connection_lost_between_two_writes_is_made_again(other):
    status = make_status("started")
    redis.Redis.from_url(other.url).client_kill_filter(skipme=True, _type="normal")

    status.set_progress(0.7)
    made = statuses.create(job_name="b")

    assert statuses.find(status.id).progress == 0.7
    assert statuses.where(job_name="b").ids() == [made.id]


def test_a_full_server_says_so_and_every_status_stays_whole(other):
    status = make_status("started")
    client = redis.Redis.from_url(other.url)
    client.config_set("maxmemory", client.info("memory")["used_memory"] - 1000)

    with pytest.raises(statuses.StoreUnavailable, match="memory"):
        statuses.create(job_name="b")
    with pytest.raises(statuses.StoreUnavailable, match="memory"):
        status.add_error("x")
    assert statuses.all().count() == 1
    assert statuses.find(status.id).errors == []

    client.config_set("maxmemory", 0)
    status.add_error("x").failed()
    assert statuses.find(status.id).errors == ["x"]


def test_a_read_only_server_refuses_writes_and_answers_questions(other):
    status = make_status("started")
    client = redis.Redis.from_url(other.url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client.replicaof("127.0.0.1", free.getsockname()[1])

        with pytest.raises(statuses.StoreUnavailable):
            statuses.create(job_name="b")
        with pytest.raises(statuses.StoreUnavailable):
            status.failed()
        assert statuses.all().count() == 1
        assert statuses.find(status.id).state == "started"

    client.replicaof("NO", "ONE")
    assert status.failed().state == "failed"


def test_a_wrong_password_is_unavailable_and_says_why(other):
    redis.Redis.from_url(other.url).config_set("requirepass", "secret")
    statuses.configure(url=other.url, namespace="other")

    with pytest.raises(statuses.StoreUnavailable, match=r"(?i)auth"):
        statuses.create()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"url": "http://x"}, "url"),
        ({"urll": "redis://x"}, "did you mean 'url'"),
        ({"namespace": "a b"}, "namespace"),
        ({"namespace": ""}, "namespace"),
        ({"families": 0}, "families"),
        ({"retention": {"running": None}}, "retention"),
        ({"retention": {"failed": 7}}, "retention"),
        ({"timeout_seconds": 0}, "timeouts"),
    ],
)
def test_a_wrong_setting_is_named(settings, named):
    with pytest.raises(statuses.ConfigurationError, match=named):
        statuses.configure(**{"url": "unix:///nowhere", **settings})
        statuses.create()


def test_a_client_of_ones_own_is_used_with_our_limits_and_without_decoding(server_url, store):
    statuses.configure(client=redis.Redis.from_url(server_url, decode_responses=True), namespace="client")

    status = statuses.create(job_name="ü", data={"a": 1})

    assert statuses.find(status.id).data == {"a": 1}
    assert statuses.where(job_name="ü").count() == 1
    assert statuses.collection.store.current().writer.connection_pool.connection_kwargs["socket_timeout"] == 2.0
