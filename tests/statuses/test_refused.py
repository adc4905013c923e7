"""A command that Redis refuses as wrong is no outage: it is said so, and nobody waits for the store to come back."""

import logging
from typing import Any

import pytest
import redis

import statuses
from statuses import keys, refusals
from statuses import store as stores
from statuses.embedded import EmbeddedServer
from statuses.engines.guard import Guard
from statuses.engines.jobs import JobStatus
from statuses.lua import source
from statuses.testing import assert_one, make_status
from statuses.tracked import guard_of
from tests.servers import until

#: What servers really say. Redis 6.2 puts what went wrong inside a script into a sentence of its own.
OUTAGES = {
    "full": redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
    "full, in a script of 6.2": redis.ResponseError(
        "Error running script (call to f_ab): @user_script:3: @user_script: 3: -OOM command not allowed when used memory > 'maxmemory'."
    ),
    "a replica": redis.exceptions.ReadOnlyError("You can't write against a read only replica."),
    "a replica, in a script of 6.2": redis.ResponseError(
        "Error running script (call to f_ab): @user_script:3: @user_script: 3: -READONLY You can't write against a read only replica."
    ),
    "loading": redis.exceptions.BusyLoadingError("Redis is loading the dataset in memory"),
    "a replica without its primary": redis.exceptions.MasterDownError("Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    "no password": redis.exceptions.AuthenticationError("Authentication required."),
    "no right": redis.exceptions.NoPermissionError("User worker has no permissions to run the 'evalsha' command"),
    "no right, in a script": redis.ResponseError("ACL failure in script: User worker has no permissions to run the 'hset' command"),
    "no disk": redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."),
    "too few replicas": redis.ResponseError("NOREPLICAS Not enough good replicas to write."),
    "a script that hangs": redis.ResponseError("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."),
    "a script that was killed": redis.ResponseError("Error running script (call to f_ab): @user_script:3: Script killed by user with SCRIPT KILL..."),
    "a slot that nobody serves": redis.exceptions.ClusterDownError("The cluster is down"),
    "no such database": redis.ResponseError("DB index is out of range"),
    "a line that broke": redis.ConnectionError("Connection refused"),
    "silence": redis.TimeoutError("Timeout reading from socket"),
}  # fmt: skip
FAULTS = {
    "another type": redis.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value script: ab, on @user_script:1."),
    "another type, in a script of 6.2": redis.ResponseError(
        "Error running script (call to f_ab): @user_script:3: @user_script: 3: -WRONGTYPE Operation against a key holding the wrong kind of value"
    ),
    "a fault of a script": redis.ResponseError("user_script:3: attempt to index nil value (local 'x') script: ab, on @user_script:3."),
    "no such command": redis.ResponseError("unknown command 'HGETDEL', with args beginning with: 'k'"),
    "in a pipeline": redis.ResponseError("Command # 1 (SET x OOM READONLY ) of pipeline caused error: WRONGTYPE Operation against a key"),
}  # fmt: skip


def break_errors(client: redis.Redis, status: statuses.Status) -> None:
    """Something else writes a list where the errors of this job are kept."""
    place = status._place()
    key = keys.errors(keys.segment(stores.current().families[place.family], place.segment), place.row)
    client.delete(key)
    client.rpush(key, "x")


@pytest.fixture
def refused_job(store: redis.Redis) -> statuses.Status:
    """A job whose errors nothing can be added to."""
    status = make_status("started", job_name="a")
    break_errors(store, status)
    return status


@pytest.mark.parametrize("error", OUTAGES.values(), ids=OUTAGES)
def test_a_server_that_cannot_now_is_unavailable(error: Exception) -> None:
    with pytest.raises(statuses.StoreUnavailable), refusals.translated("move"):
        raise error


@pytest.mark.parametrize("what", ["a replica", "a replica, in a script of 6.2"])
def test_a_primary_that_became_a_replica_is_known_as_one(what: str) -> None:
    assert isinstance(refusals.named(OUTAGES[what]), redis.exceptions.ReadOnlyError)


def test_a_text_of_a_job_that_speaks_of_a_replica_makes_no_error_one() -> None:
    said = redis.ResponseError("WRONGTYPE Operation: -READONLY ")

    assert refusals.named(said) is said


@pytest.mark.parametrize("error", FAULTS.values(), ids=FAULTS)
def test_a_command_that_is_wrong_failed_and_the_store_is_not_away(error: Exception) -> None:
    with pytest.raises(statuses.ScriptFailed) as failed, refusals.translated("move"):
        raise error

    assert not isinstance(failed.value, statuses.StoreUnavailable)
    assert failed.value.tried in str(failed.value)


def test_a_key_of_another_type_fails_what_needs_it_and_nothing_else(refused_job: statuses.Status) -> None:
    with pytest.raises(statuses.ScriptFailed, match="add_error") as write:
        refused_job.add_error("x")
    with pytest.raises(statuses.ScriptFailed, match="WRONGTYPE"):
        _ = refused_job.errors

    assert (write.value.tried, "WRONGTYPE" in write.value.why) == ("add_error()", True)
    assert refused_job.set_progress(0.5).succeeded().state == "succeeded"


def test_what_was_tried_is_named_as_its_caller_knows_it() -> None:
    assert refusals.KNOWN_AS.keys() == source._TEXTS.keys()


@pytest.mark.parametrize("say", [lambda job: job.add_error("x"), lambda job: job.spawn("b"), lambda job: job.check_kill()])
def test_a_job_of_an_engine_goes_on_and_its_store_is_not_away(refused_job, monkeypatch, caplog, say) -> None:
    guard = Guard()
    job = JobStatus.of(refused_job, guard)
    with monkeypatch.context() as broken:
        broken.setattr(stores.Store, "_evalsha", _refuse)
        broken.setattr(stores.Store, "pipeline", _refuse)
        say(job)

    assert not guard.away
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_an_end_that_is_refused_when_it_is_told_late_holds_up_no_other(store, refused_job, caplog) -> None:
    guard, other = Guard(), make_status("started", job_name="b")
    guard.later("ending a job", lambda: refused_job.failed(error="x"))
    guard.later("ending a job", other.failed)

    guard.tell_late()

    assert (other.reload().state, guard.away, len(guard._late)) == ("failed", False, 0)
    assert "add_error" not in caplog.text and "WRONGTYPE" in caplog.text


def test_a_tracked_block_goes_on_without_what_is_refused(store, caplog) -> None:
    with statuses.track("a") as job:
        break_errors(store, job)
        job.add_error("x").set_queue("q")

    assert (job.reload().state, job.queue, job._guard.away) == ("succeeded", "q", False)
    assert [record.levelname for record in caplog.records if "WRONGTYPE" in record.message] == ["ERROR"]


def test_a_tracked_block_goes_on_where_nothing_says_whether_it_shall_die(store, caplog) -> None:
    with statuses.track("a") as job:
        place = job._place()
        key = keys.job(keys.segment(stores.current().families[place.family], place.segment), place.row)
        store.set(key, "x")
        job.check_kill()
    store.delete(key)

    assert not job._guard.away
    assert {record.levelname for record in caplog.records if "WRONGTYPE" in record.message} == {"ERROR"}


def test_a_block_whose_job_is_refused_goes_on_untracked_and_is_tried_once(store, monkeypatch, caplog) -> None:
    tried: list[str] = []

    def refuse(here: Any, name: str, *rest: Any, **more: Any) -> Any:
        tried.append(name)
        _refuse()

    make_status("started")
    monkeypatch.setattr(stores.Store, "script_once", refuse)
    with statuses.track("a") as job:
        job.set_progress(0.5).save([1])
        job.check_kill()
        child = job.spawn("b")
        child.succeeded()
        with pytest.raises(statuses.StatusNotFound):
            _ = job.state

    assert (tried, job._guard.away, job.changed) == (["create", "create"], False, False)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_what_is_refused_is_dropped_and_the_rest_is_told_late(tmp_path, caplog) -> None:
    server = EmbeddedServer(tmp_path / "s").start()
    statuses.configure(url=server.url, namespace="refused", timeout_seconds=0.5)
    with statuses.track("a") as job:
        with redis.Redis.from_url(server.url) as client:
            break_errors(client, job)
        server.stop()
        job.add_error("x").set_queue("q")
    with EmbeddedServer(tmp_path / "s"):
        until(lambda: not job._missed, "nothing was told")

        told = assert_one(job_name="a")
        assert (told.state, told.queue) == ("succeeded", "q")
        until(lambda: not guard_of(stores.current()).away, "the store stayed away")
        assert "WRONGTYPE" in caplog.text


def test_a_job_that_is_refused_when_it_is_told_late_is_given_up(tmp_path, caplog, monkeypatch) -> None:
    server = EmbeddedServer(tmp_path / "s").start()
    statuses.configure(url=server.url, namespace="refused", timeout_seconds=0.5)
    make_status("started")
    server.stop()
    with statuses.track("a") as job:
        job.save([1])
        monkeypatch.setattr(stores.Store, "script_once", _refuse)
        with EmbeddedServer(tmp_path / "s"):
            until(lambda: job._is_refused, "it was not given up")
            until(lambda: not job._guard.away, "the store stayed away")
            job.save([2])
            assert len(job._missed) == 0
    assert "attempt to index nil value" in caplog.text


def _refuse(*arguments: Any, **more: Any) -> Any:
    with refusals.translated("move"):
        raise redis.ResponseError("user_script:3: attempt to index nil value")
