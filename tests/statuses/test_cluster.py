"""Outgrown one Redis: the families spread over a cluster of three nodes, and nothing is different."""

import threading
from datetime import timedelta
from random import Random

import numpy as np
import pytest
import redis
from redis.cluster import RedisCluster

import statuses
from statuses import clock, health, keys, metrics, resourcetexts
from statuses.store import current
from statuses.testing import frozen_clock, make_status
from tests.servers import until
from tests.statuses import naive
from tests.statuses.instances import instances
from tests.statuses.test_query_against_naive import check

SLOTS = 16384
_namespaces = (f"c{n}" for n in range(10**6))


@pytest.fixture(scope="module")
def nodes():
    """Three primaries that know each other and share the slots."""
    with instances() as make:
        made = [make("--cluster-enabled", "yes", "--cluster-node-timeout", "2000") for _ in range(3)]
        for number, node in enumerate(made):
            node.client().execute_command("CLUSTER", "ADDSLOTS", *range(number * SLOTS // 3, (number + 1) * SLOTS // 3))
            node.client().execute_command("CLUSTER", "MEET", "127.0.0.1", made[0].port)
        until(
            lambda: all("cluster_state:ok" in info(node, "INFO") and "cluster_known_nodes:3" in info(node, "INFO") for node in made),
            "a cluster",
        )
        yield made


def info(node, what):
    found = node.client().execute_command("CLUSTER", what)
    return found if isinstance(found, str) else "\n".join(f"{name}:{value}" for name, value in found.items())


@pytest.fixture
def cluster(nodes):
    statuses.configure(url=f"redis://127.0.0.1:{nodes[0].port}", cluster=True, namespace=next(_namespaces), families=16)
    yield nodes
    clock.freeze(None)


def node_of(nodes, key):
    """The node that has a key's slot, and the slot."""
    client = RedisCluster(host="127.0.0.1", port=nodes[0].port)
    slot = client.keyslot(key)
    port = client.get_node_from_key(key).port
    client.close()
    return next(node for node in nodes if node.port == port), slot


def test_families_lie_on_every_node(cluster):
    for number in range(200):
        statuses.create(job_name=f"n{number % 7}", job_args={"a": f"Book:{number % 5}"}, id=f"own{number}" if number % 3 == 0 else None)

    holders = [node for node in cluster if list(node.client().scan_iter(match=f"{{{current().config.namespace}:*", count=1000))]
    assert holders == cluster
    assert sorted(health.addresses()) == sorted(f"redis://127.0.0.1:{node.port}" for node in cluster)
    assert statuses.all().count() == len(statuses.all().ids()) == 200
    assert statuses.where(job_arg="Book:3").count() == 40
    assert [facet.total for facet in statuses.all().counts_by("job_name", limit=3)] == [29, 29, 29]
    assert statuses.tallies((statuses.all(), "job_arg"))[0].values == [f"Book:{number}" for number in range(5)]
    assert statuses.find("own3").job_name == "n3"
    with pytest.raises(statuses.StatusExists):
        statuses.create(id="own3")


def test_who_reads_arguments_declares_every_key(cluster):
    names, (rows, _) = resourcetexts._call(current(), 3, 7, np.array([5, 300], np.uint16))

    prefix = keys.segment(current().families[3], 7)
    assert names == [keys.version(prefix), *(key(prefix, row) for row in (5, 300) for key in (keys.job, keys.long))]
    assert rows == bytes([5, 0, 44, 1])


def test_a_job_lives_through_everything(cluster):
    status = statuses.create(job_name="a", job_args={"book": "Book:1"}, data=[1], call={"args": [], "kwargs": {}})
    status.queued().started(worker="w").set_progress(1, 2).add_error("e").failed()
    status.started().heartbeat().request_kill(by="ops").set_job_args({"book": "Book:2"}).set_provider_job_id("p").keep_for(timedelta(1))

    found = statuses.find(status.id)

    assert (found.state, found.attempt, found.kill_requested_by, found.prior_attempts[0].errors) == ("started", 1, "ops", ["e"])
    assert statuses.where(job_arg="Book:2", provider_job_id="p").first() == status
    assert statuses.scripts.heartbeats(current(), [status._place()]) == [True]
    status.delete(force=True)
    assert statuses.find(status.id) is None


def test_everything_at_once_works_on_all_nodes(cluster):
    for _ in range(100):
        make_status("queued")
    assert statuses.load({"job_name": "old", "id": f"l{n}", "state": "failed"} for n in range(1200)) == 1200

    assert statuses.where(state="queued").request_kill_all(end_queued=True).changed == 100
    removed = statuses.where(job_name="old").delete_all(only_ended=True, undo_for=timedelta(minutes=10))
    assert (removed.changed, statuses.all().count()) == (1200, 100)
    assert statuses.restore(removed.undo).changed == 1200
    assert statuses.clean(state="killed", older_than=timedelta(0)).removed == 100
    assert statuses.check().found == 0
    assert statuses.where(id=["l3", "l4", "nobody"]).count() == 2
    assert statuses.clear_all() == 1200
    assert statuses.all().count() == 0


def test_every_answer_is_that_of_the_naive_model(cluster):
    with frozen_clock() as frozen:
        random = Random(7)
        world = naive.World(random, frozen)
        for _ in range(4):
            world.live(40)
            jobs = world.jobs()
            terms = naive.random_terms(random, jobs)
            check(random, naive.matching(jobs, terms), naive.query(terms), terms)


def test_a_client_of_ones_own_is_used_with_our_limits_and_without_decoding(cluster):
    mine = RedisCluster(host="127.0.0.1", port=cluster[0].port, decode_responses=True)
    statuses.configure(client=mine, namespace=next(_namespaces), families=16)

    status = statuses.create(job_name="ü", data={"a": 1})

    assert statuses.find(status.id).data == {"a": 1}
    assert statuses.where(job_name="ü").count() == 1
    assert statuses.ping()["policy"] == "noeviction" == health.ping()["policy"]
    assert abs((statuses.server_time() - status.recorded_at).total_seconds()) < 60
    mine.close()


def test_the_number_of_families_is_that_of_the_store(cluster):
    for _ in range(40):
        statuses.create()
    statuses.configure(url=f"redis://127.0.0.1:{cluster[0].port}", cluster=True, namespace=current().config.namespace, families=8)

    with pytest.raises(statuses.ConfigurationError, match="16 families"):
        for _ in range(40):
            statuses.create(job_name="b")
            statuses.collection.store.current().current.clear()


def move_slot(nodes, source, target, slot, keys_a_step=3):
    """Move a slot as `redis-cli --cluster reshard` does, a few keys at a time."""
    (source_id, target_id) = (node.client().execute_command("CLUSTER", "MYID") for node in (source, target))
    target.client().execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
    source.client().execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
    with redis.Redis(unix_socket_path=str(source.socket)) as raw:
        while names := raw.execute_command("CLUSTER", "GETKEYSINSLOT", slot, keys_a_step):
            raw.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *names)
    for node in (target, source, *nodes):
        node.client().execute_command("CLUSTER", "SETSLOT", slot, "NODE", target_id)


def test_a_slot_that_moves_meanwhile_loses_and_doubles_nothing(cluster):
    tag = current().families[0]
    kept = [statuses.create(id=id, job_name="kept") for id in (f"k{n}" for n in range(60))]
    source, slot = node_of(cluster, tag)
    target = cluster[(cluster.index(source) + 1) % 3]
    done, made, counts, fits, problems = threading.Event(), [], [], [], []

    def work(number):
        try:
            while not done.is_set():
                made.append(make_status("succeeded", job_name="made", job_args={"a": f"Book:{number}"}).id)
                kept[number].started().add_error("e").failed()
        except Exception as error:
            problems.append(error)

    def ask():
        try:
            while not done.is_set():
                counts.append(statuses.where(job_name="kept").count())
                report = statuses.where(job_name="kept").report(counts=True, durations=("run_time",))
                fits.append(report.counts["failed"] == report.durations["run_time"].n)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)] + [threading.Thread(target=ask)]
    for thread in threads:
        thread.start()
    until(lambda: len(made) > 20, "writers are at work")
    for there, back in ((target, source), (source, target)):
        move_slot(cluster, back, there, slot)
        seen = len(made)
        until(lambda seen=seen: len(made) > seen + 20 or problems, "writers go on")
    done.set()
    for thread in threads:
        thread.join()

    assert problems == []
    assert set(counts) == {60}
    assert all(fits)
    assert statuses.where(job_name="made").count() == len(set(made)) == len(made)
    assert sorted(statuses.where(job_name="made").ids()) == sorted(made)
    assert all(len(status.reload().prior_attempts) == status.attempt for status in kept)
    assert statuses.check().found == 0


def test_a_node_that_is_gone_is_unavailable_in_bounded_time(cluster):
    statuses.configure(url="redis://127.0.0.1:1", cluster=True, namespace="c", families=16)

    with pytest.raises(statuses.StoreUnavailable):
        statuses.create()
    with pytest.raises(statuses.StoreUnavailable):
        statuses.all().count()


def test_jobs_are_counted_over_all_nodes(cluster):
    config = current().config
    statuses.configure(url=config.url, cluster=True, namespace=config.namespace, families=16, metrics=True)
    for _ in range(20):
        make_status("succeeded", job_name="a", queue="q", engine="rq").requeued()

    counted = [line for line in metrics.exposition().splitlines() if line.startswith("tasks_")]
    assert counted == [
        'tasks_selected_total{task="a",queue="q",role="rq"} 20',
        'tasks_processed_total{task="a",queue="q",status="succeeded"} 20',
        'tasks_retried_total{task="a",queue="q"} 20',
    ]
