"""Whatever client django-redis makes of a project's settings, the status service speaks through one like it."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import textwrap
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.test import override_settings

import statuses
from statuses import checks, health, keys, presence
from statuses import store as stores
from statuses.apps import configuration
from statuses.store import current, set_aside
from statuses.testing import make_status
from tests.servers import until
from tests.statuses.instances import instances

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make():
    with instances() as factory:
        yield factory


@contextmanager
def use(location, **options):
    """Inside the block settings as a project writes them, and statuses configured by them; afterwards all is as before: who asked a server
    that is gone would wait."""
    backend = {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": location, "OPTIONS": options}
    caches = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}, "jobs": backend}
    with override_settings(CACHES=caches), set_aside():
        statuses.configure(**configuration({"CACHE": "jobs", "NAMESPACE": "clients"}))
        yield


def everything_works():
    """What differs between clients: bytes and texts, maps and lists, long replies, scripts, pipelines, transactions."""
    data = {"ü": [1.0, None, "x" * 100_000]}
    status = make_status("started", job_name="ünicode", job_args={"a": "Book:ü"}, user="ann", data=data, id="öwn", call={"args": [1]})
    status.set_progress(1, 2, message="half").add_error("bröken").failed()
    status.started().add_error(ValueError("again")).succeeded()
    generated = statuses.create(job_name="other", state="failed")
    found = statuses.find("öwn")

    assert (found.job_name, found.attempt, found.prior_attempts[0].errors, found.job_args) == ("ünicode", 1, ["bröken"], {"a": "Book:ü"})
    assert (found.prior_attempts[0].data, found.call, found.data) == (data, {"args": [1]}, None)
    assert statuses.where(job_arg="Book:ü").ids() == statuses.where(id="öwn").ids() == ["öwn"]
    assert [facet.value for facet in statuses.all().counts_by("job_name")] == ["other", "ünicode"]
    assert statuses.all().durations("run_time").n == 1
    assert statuses.check().problems == ()
    assert statuses.ping()["latency_ms"] < 2000 and statuses.server_time() >= status.recorded_at
    removed = statuses.where(state="failed").delete_all(only_ended=True, undo_for=__import__("datetime").timedelta(minutes=1))
    assert statuses.find(generated.id) is None
    assert statuses.restore(removed.undo).changed == 1
    assert statuses.load([{"job_name": "löaded", "id": "l"}]) == 1
    with pytest.raises(statuses.StatusExists):
        statuses.load([{"id": "l"}])
    assert statuses.clear_all() == 3


OPTIONS = {
    "plain": {},
    "decoding": {"CONNECTION_POOL_KWARGS": {"decode_responses": True}},
    "decoding as latin-1": {"CONNECTION_POOL_KWARGS": {"decode_responses": True, "encoding": "latin-1"}},
    "RESP2": {"CONNECTION_POOL_KWARGS": {"protocol": 2}},
    "RESP3": {"CONNECTION_POOL_KWARGS": {"protocol": 3}},
    "RESP3, decoding": {"CONNECTION_POOL_KWARGS": {"protocol": 3, "decode_responses": True}},
    "a parser of pure Python": {"PARSER_CLASS": "redis._parsers._RESP2Parser"},
    "retries of its own": {"CONNECTION_POOL_KWARGS": {"retry_on_timeout": True, "max_connections": 5, "health_check_interval": 1}},
    "a blocking pool": {
        "CONNECTION_POOL_CLASS": "redis.BlockingConnectionPool",
        "CONNECTION_POOL_KWARGS": {"max_connections": 2, "timeout": 1},
    },
    "a compressor and a serializer": {
        "COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor",
        "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
    },
    "a longer patience": {"SOCKET_TIMEOUT": 60, "SOCKET_CONNECT_TIMEOUT": 60},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_the_client_make_no_difference(server_url, store, name):
    with use(f"{server_url}?db={list(OPTIONS).index(name) % 8 + 1}", **OPTIONS[name]):
        everything_works()

        known = current().writer.connection_pool.connection_kwargs
        assert (known["socket_timeout"], known["socket_connect_timeout"]) == (2.0, 1.0)


def test_a_socket_is_not_asked_for_its_maintenance(server_url, store, monkeypatch):
    """redis-py 7.0 to 8.0.0 connect to none with RESP3 where that is left to them: a socket has no host."""
    pytest.importorskip("redis.maint_notifications")
    made = []
    monkeypatch.setattr(stores, "_for_socket", lambda options, keep=stores._for_socket: made.append(keep(options)) or made[-1])

    with use(f"{server_url}?db=1", CONNECTION_POOL_KWARGS={"protocol": 3}):
        _ = current().writer
    statuses.configure(url=f"{server_url}?protocol=3", namespace="socket")
    _ = current().writer

    assert [options["maint_notifications_config"].enabled for options in made] == [False, False]


def _introduced(pool):
    """What a new connection of a pool told a server of itself, be it that it tells it to none: Redis before 7.2 does not know the command."""
    sent = []
    connection = pool.connection_class(**pool.connection_kwargs)
    send = connection.send_command
    connection.send_command = lambda *command, **how: (sent.append(command), send(*command, **how))
    connection.connect()
    connection.disconnect()
    return [command[2:] for command in sent if command[:2] == ("CLIENT", "SETINFO")]


@pytest.mark.parametrize("by", ["an address", "a cache"])
def test_a_new_connection_says_what_redis_py_is_without_looking_it_up(server_url, store, monkeypatch, by):
    expected = [("LIB-NAME", "redis-py"), ("LIB-VER", redis.__version__)]
    with use(f"{server_url}?db=9") if by == "a cache" else set_aside(), monkeypatch.context() as watched:
        if by == "an address":
            statuses.configure(url=server_url)
        pools = [client.connection_pool for client in (current().writer, current().reader)]
        watched.setattr("redis.utils.get_lib_version", lambda: pytest.fail("it was read from the disk"))

        assert [_introduced(pool) for pool in pools] == [expected, expected]


def test_what_a_project_lets_its_connections_say_of_themselves_they_say(server_url, store):
    with set_aside():
        statuses.configure(url=f"{server_url}?lib_name=shop")
        assert ("LIB-NAME", "shop") in _introduced(current().writer.connection_pool)

    with use(f"{server_url}?db=10", CONNECTION_POOL_KWARGS={"lib_name": "shop", "lib_version": "1"}):
        assert _introduced(current().writer.connection_pool) == [("LIB-NAME", "shop"), ("LIB-VER", "1")]


def test_a_password_and_a_database_of_ones_own_are_used(make):
    server = make("--requirepass", "sécret", client={"password": "sécret"})

    with use(f"redis://127.0.0.1:{server.port}/3", PASSWORD="sécret"):
        everything_works()
        statuses.create()
        assert health.addresses() == [f"redis://127.0.0.1:{server.port}/3"]

    assert redis.Redis(port=server.port, password="sécret", db=0).dbsize() == 0
    assert redis.Redis(port=server.port, password="sécret", db=3).dbsize() > 0


def test_the_next_file_finds_the_settings_and_the_store_of_before(server_url, store):
    before = settings.CACHES, current()

    with use(f"{server_url}?db=1"):
        assert settings.CACHES["jobs"]["LOCATION"].endswith("?db=1") and current() is not before[1]

    assert (settings.CACHES, current()) == before


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://ann:secret@cache-1", "redis://cache-1:6379"),
        ("rediss://:secret@cache-1:6380/2", "rediss://cache-1:6380/2"),
        ("redis://[::1]:6381?socket_timeout=3", "redis://[::1]:6381"),
        ("unix://:secret@/run/redis.sock?db=4", "unix:///run/redis.sock?db=4"),
    ],
)
def test_an_address_is_told_without_its_password(url, shown):
    with set_aside():
        statuses.configure(url=url)
        assert health.addresses() == []

        assert current().writer and health.addresses() == [shown]


def test_a_user_with_the_rights_to_these_keys_alone_is_enough(make):
    server = make()
    rights = ("~{clients:*", "+@all", "-@admin", "-@dangerous", "+info")
    server.client().execute_command("ACL", "SETUSER", "jobs", "on", ">pw", *rights)

    with use(f"redis://127.0.0.1:{server.port}/0", USERNAME="jobs", PASSWORD="pw"):
        everything_works()


def test_the_rights_that_the_documentation_names_are_enough_for_everything(make):
    text = (ROOT / "docs/redis.md").read_text()
    *_, rights = re.search(r"ACL SETUSER shop on >password (.*)", text)[0].partition(" >password ")
    server = make()
    server.client().execute_command("ACL", "SETUSER", "jobs", "on", ">pw", *rights.replace("{jobs:", "{clients:").split())

    with use(f"redis://127.0.0.1:{server.port}/0", USERNAME="jobs", PASSWORD="pw"):
        everything_works()
        health.try_writing()
        assert health.examine().forbidden == []
        assert statuses.clean().removed == 0
        assert presence.tell("celery", "worker", {}).order == ""


def test_a_wrong_password_is_unavailable_and_says_why(make):
    server = make("--requirepass", "secret", client={"password": "secret"})

    with use(f"redis://127.0.0.1:{server.port}/0", PASSWORD="wrong"), pytest.raises(statuses.StoreUnavailable, match=r"(?i)auth|pass"):
        statuses.create()


@pytest.mark.skipif(not shutil.which("openssl") or not shutil.which("redis-server"), reason="needs openssl and a server built with TLS")
def test_an_encrypted_line_is_used_and_a_wrong_certificate_refused(make, tmp_path):
    authority, key, certificate = (str(tmp_path / name) for name in ("ca.crt", "server.key", "server.crt"))
    # Python 3.13 is strict with certificates: what an authority may do, and who signed, must be written in them.
    extensions = tmp_path / "server.ext"
    extensions.write_text("subjectAltName=IP:127.0.0.1\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n")
    for command in (
        f"req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=authority -addext keyUsage=critical,keyCertSign,cRLSign"
        f" -keyout {tmp_path}/ca.key -out {authority}",
        f"req -newkey rsa:2048 -nodes -subj /CN=server -keyout {key} -out {tmp_path}/server.csr",
        f"x509 -req -days 1 -in {tmp_path}/server.csr -CA {authority} -CAkey {tmp_path}/ca.key -extfile {extensions} -out {certificate}",
    ):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    files = ("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", authority, "--tls-auth-clients", "no")
    server = make(*files, tls=True)

    with use(f"rediss://127.0.0.1:{server.port}/1", CONNECTION_POOL_KWARGS={"ssl_ca_certs": authority}):
        everything_works()
    with use(f"rediss://127.0.0.1:{server.port}/1?other"), pytest.raises(statuses.StoreUnavailable, match=r"(?i)certificate"):
        statuses.create()
    with use(f"rediss://127.0.0.1:{server.port}/1?third"):
        (message,) = checks.check_policy()
        assert message.id == "statuses.W005" and "CERTIFICATE_VERIFY_FAILED" in message.msg


@pytest.fixture
def watched(make, tmp_path):
    """A primary, its replica, their sentinel, and the options of a cache that asks it."""
    # Nobody can make a replica of it: the sentinel would, some seconds after the other one took over.
    primary = make(*(word for command in ("SLAVEOF", "REPLICAOF") for word in ("--rename-command", command, f"NOT-{command}")))
    replica = make("--replicaof", "127.0.0.1", str(primary.port), "--repl-diskless-sync-delay", "0")
    until(lambda: replica.client().info("replication")["master_link_status"] == "up", "the replica follows")
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"sentinel monitor jobs 127.0.0.1 {primary.port} 1\nsentinel down-after-milliseconds jobs 2000\nsentinel failover-timeout jobs 5000\n"
    )
    sentinel = make(str(config), "--sentinel", sentinel=True)
    until(lambda: sentinel.client().execute_command("SENTINEL", "REPLICAS", "jobs"), "the sentinel knows the replica")
    options = {
        "CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory",
        "CLIENT_CLASS": "django_redis.client.SentinelClient",
        "SENTINELS": [("127.0.0.1", sentinel.port)],
        "CONNECTION_POOL_KWARGS": {"decode_responses": True},
    }
    return primary, replica, sentinel, options


def test_sentinels_are_asked_where_the_primary_is(watched):
    primary, replica, _, options = watched

    with use("redis://jobs/2", **options):
        everything_works()
        assert health.addresses() == ["jobs (Sentinel)"]
        assert [(told.address, told.role, told.replicas) for told in health.examine().servers] == [("jobs (Sentinel)", "primary", 1)]
        status = make_status("started")
        told = primary.client().info("replication")["master_repl_offset"]
        until(lambda: replica.client().info("replication")["slave_repl_offset"] >= told, "the replica has everything")
        primary.stop()

        until(lambda: _succeeded(status), "writers find the new primary")
        assert statuses.where(state="succeeded").count() == 1


def test_a_primary_that_lives_on_after_a_failover_is_left_for_the_new_one(watched):
    primary, replica, sentinel, options = watched

    with use("redis://jobs/3", **options):  # django-redis keeps a pool, and its sentinels, for each address
        make_status("started")
        until(lambda: len(sentinel.client().execute_command("SENTINEL", "REPLICAS", "jobs")) == 1, "the sentinel knows the replica")
        until(lambda: _fails_over(sentinel), "the sentinel begins a failover")
        until(lambda: replica.client().info("replication")["role"] == "master", "the replica is the primary")

        until(lambda: _writes_to(replica), "new jobs are written to the new primary")

        # Nobody told the old one: without asking, its line would have been used on and on.
        assert primary.client().info("replication")["role"] == "master"


def _fails_over(sentinel):
    with contextlib.suppress(redis.ResponseError):  # it does not take the replica for a good one yet
        return sentinel.client().execute_command("SENTINEL", "FAILOVER", "jobs")


def _writes_to(server):
    """Whether that is where a new job is made."""
    status = statuses.create(id=uuid.uuid4().hex)
    with redis.Redis(unix_socket_path=str(server.socket), db=3) as client:
        return client.exists(keys.alias(keys.family("clients", 0), status.id))


def _succeeded(status):
    try:
        return status.succeeded().is_succeeded
    except statuses.StoreUnavailable:
        return False


SCRIPT = """
    import sys
    sys.modules["hiredis"] = None
    import redis, statuses
    from statuses.store import current
    assert not redis.utils.HIREDIS_AVAILABLE
    statuses.configure(url=sys.argv[1], namespace="pure")
    statuses.load({"job_name": f"n{n % 9}", "job_args": {"a": f"Book:{n % 50}"}, "recorded_at": 10**15 + n} for n in range(70_000))
    status = statuses.create(job_name="ü", data="x" * 1_000_000)
    status.started().failed()
    assert len(statuses.find(status.id).data) == 1_000_000
    assert statuses.all().count() == 70_001
    assert statuses.where(job_arg="Book:7").count() == 1400
    assert [facet.total for facet in statuses.all().counts_by("job_name", 2)] == [7778, 7778]
    print("fine", type(current().reader.connection_pool.make_connection()._parser).__name__)
"""


def test_without_hiredis_everything_is_the_same(server_url, store):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), server_url], capture_output=True, text=True, env=environment, timeout=120
    )

    assert (done.returncode, done.stdout.split()[:1]) == (0, ["fine"]), done.stderr
    assert "Hiredis" not in done.stdout
