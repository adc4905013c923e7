"""Redis refusing, hanging, full, read-only: bounded time, a clear error, and back to work when it is back."""

import os
import signal
import socket
import tempfile
from datetime import timedelta
from uuid import uuid4

import pytest
import redis

import statuses
from statuses import health
from statuses.embedded import EmbeddedServer, temporary_server
from statuses.testing import make_status

UNDO = timedelta(minutes=10)
#: Less than any server needs: it is full.
FULL_BYTES = 1


@pytest.fixture(scope="module")
def others():
    """Servers that are the same for all who leave them as they were: one that keeps nothing, and one that has it again when it
    is started again."""
    with temporary_server() as one, tempfile.TemporaryDirectory(prefix="statuses-") as folder, EmbeddedServer(folder) as again:
        yield one, again


@pytest.fixture
def other(others):
    server, _ = others
    with redis.Redis.from_url(server.url) as client:
        client.replicaof("NO", "ONE")
        client.config_set("maxmemory", 0)
        client.flushall()
    statuses.configure(url=server.url, namespace="other")
    return server


WRITES = {
    "create": lambda status: statuses.create(job_name="a"),
    "create with an own id": lambda status: statuses.create(id=uuid4().hex),
    "find_or_create": lambda status: statuses.find_or_create(uuid4().hex),
    "load": lambda status: statuses.load([{"job_name": "a"}, {"job_name": "b"}]),
    "spawn": lambda status: status.spawn("part"),
    "set_progress": lambda status: status.set_progress(0.5),
    "add_error": lambda status: status.add_error(ValueError("no")),
    "save": lambda status: status.save([1]),
    "heartbeat": lambda status: status.heartbeat(),
    "set_job_args": lambda status: status.set_job_args({"a": "Book:1"}),
    "set_queue": lambda status: status.set_queue("q"),
    "keep_for": lambda status: status.keep_for(timedelta(1)),
    "started": lambda status: status.started(),
    "requeued": lambda status: status.requeued(),
    "queued": lambda status: status.queued(),
    "failed": lambda status: status.failed(error="e"),
    "request_kill": lambda status: status.request_kill(),
    "request_kill_all": lambda status: statuses.all().request_kill_all(),
    "kill_now_all": lambda status: statuses.all().kill_now_all(),
    "remove": lambda status: statuses.all().delete_all(only_ended=True, undo_for=timedelta(1)),
    "delete_all": lambda status: statuses.where(job_name="nobody").delete_all(force=True),
}
QUESTIONS = {
    "find": lambda status: statuses.find(status.id),
    "find an own id": lambda status: statuses.find("own"),
    "reload": lambda status: status.reload(),
    "check_kill": lambda status: status.check_kill(),
    "data": lambda status: statuses.at(status.id).data,
    "children": lambda status: status.children.count(),
    "count": lambda status: statuses.where(queue="other").count(),
    "exists": lambda status: statuses.all().exists(),
    "ids": lambda status: statuses.all().order_by("run_time").ids(),
    "run": lambda status: statuses.where(job_arg="Book:1").limit(5).run(),
    "iterate": lambda status: [*statuses.all()],
    "counts": lambda status: statuses.all().counts(),
    "counts_by": lambda status: statuses.all().counts_by("job_arg"),
    "durations": lambda status: statuses.all().durations("wait_time"),
    "timeline": lambda status: statuses.all().timeline(),
    "values": lambda status: statuses.all().values("job_name"),
    "retry_all": lambda status: statuses.all().retry_all(),
    "restore": lambda status: statuses.restore("1"),
    "clean": lambda status: statuses.clean(dry_run=True),
    "check": lambda status: statuses.check(),
    "release": lambda status: statuses.release("Shelf:1"),
    "server_time": lambda status: statuses.server_time(),
    "ping": lambda status: statuses.ping(),
    "examine": lambda status: health.examine(),
}
ACTIONS = {**WRITES, **QUESTIONS}


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_a_server_that_hangs_is_unavailable_once_it_was_waited_for(other, action, waits):
    statuses.configure(url=other.url, namespace="other", timeout_seconds=0.4)
    status = make_status("started")
    os.kill(other.pid, signal.SIGSTOP)
    try:
        with pytest.raises(statuses.StoreUnavailable) as away:
            action(status)
        assert waits == [0.4]
        assert away.value.tried and away.value.tried in str(away.value)
    finally:
        os.kill(other.pid, signal.SIGCONT)

    action(status)


@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_a_server_that_is_gone_is_unavailable_and_found_again(others, action):
    _, server = others
    statuses.configure(url=server.url, namespace=f"gone-{uuid4().hex}", timeout_seconds=0.5)
    status = make_status("started")
    server.stop()
    try:
        with pytest.raises(statuses.StoreUnavailable):
            action(status)
    finally:
        server.start()

    assert statuses.find(status.id).state == "started"
    action(status)


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
    client.config_set("maxmemory", FULL_BYTES)

    with pytest.raises(statuses.StoreUnavailable, match="memory"):
        statuses.create(job_name="b")
    with pytest.raises(statuses.StoreUnavailable, match="memory"):
        status.add_error("x")
    assert statuses.all().count() == 1
    assert statuses.find(status.id).errors == []

    client.config_set("maxmemory", 0)
    status.add_error("x").failed()
    assert statuses.find(status.id).errors == ["x"]


FULL = {name: action for name, action in WRITES.items() if name not in ("delete_all", "remove")}


@pytest.mark.parametrize("action", FULL.values(), ids=FULL)
def test_a_full_server_is_unavailable_to_every_write_and_nothing_is_half_written(other, action):
    status = make_status("started", job_name="a", job_args={"a": "Book:1"})
    client = redis.Redis.from_url(other.url)
    client.config_set("maxmemory", FULL_BYTES)
    try:
        with pytest.raises(statuses.StoreUnavailable, match="memory"):
            action(status)
        for question in QUESTIONS.values():
            question(status)
        assert statuses.all().count() == 1
        assert (status.reload().state, status.errors, status.data, status.attempt, status.kill_requested) == ("started", [], None, 0, False)
    finally:
        client.config_set("maxmemory", 0)

    action(status)
    assert statuses.check().problems == ()


def test_a_full_server_lets_go_of_what_is_removed(other_server):
    statuses.configure(url=other_server.url, namespace="other")
    for _ in range(3):
        make_status("failed", job_name="a")
    client = redis.Redis.from_url(other_server.url)
    client.config_set("maxmemory", client.info("memory")["used_memory"] - 1000)

    assert statuses.all().delete_all().changed == 3
    assert statuses.clean().dropped in (0, 1)


@pytest.mark.parametrize("action", WRITES.values(), ids=WRITES)
def test_a_read_only_server_is_unavailable_to_every_write(other, action):
    status = make_status("started", job_name="a")
    make_status("failed")
    client = redis.Redis.from_url(other.url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client.replicaof("127.0.0.1", free.getsockname()[1])
        if action is not WRITES["delete_all"]:
            with pytest.raises(statuses.StoreUnavailable):
                action(status)
        for question in QUESTIONS.values():
            question(status)
        assert statuses.all().count() == 2
    client.replicaof("NO", "ONE")

    action(status)


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


def test_a_wrong_password_is_unavailable_and_says_why(other_server):
    redis.Redis.from_url(other_server.url).config_set("requirepass", "secret")
    statuses.configure(url=other_server.url, namespace="other")

    with pytest.raises(statuses.StoreUnavailable, match=r"(?i)auth"):
        statuses.create()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"url": "http://x"}, "url"),
        ({"client": "redis://x"}, "client must be a client of redis-py"),
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


def test_a_removal_that_is_broken_off_can_be_taken_back(tmp_path):
    with EmbeddedServer(tmp_path / "s") as server:
        statuses.configure(url=server.url, namespace="away", timeout_seconds=0.5)
        statuses.load({"job_name": "a", "state": "succeeded"} for _ in range(2000))
        jobs = statuses.where(job_name="a")

        with pytest.raises(statuses.StoreUnavailable) as broken:
            jobs.delete_all(only_ended=True, undo_for=UNDO, progress=lambda done, total: server.stop())
        server.start()

        assert 0 < jobs.count() < 2000
        assert broken.value.undo in broken.value.__notes__[0]
        statuses.restore(broken.value.undo)
        assert jobs.count() == 2000


def test_a_removal_that_its_progress_ends_can_be_taken_back(other):
    statuses.load({"job_name": "a", "state": "succeeded"} for _ in range(2000))
    jobs = statuses.where(job_name="a")

    with pytest.raises(ZeroDivisionError) as broken:
        jobs.delete_all(only_ended=True, undo_for=UNDO, progress=lambda done, total: 1 / 0)

    assert 0 < jobs.count() < 2000
    statuses.restore(broken.value.__notes__[0].split("'")[1])
    assert jobs.count() == 2000
