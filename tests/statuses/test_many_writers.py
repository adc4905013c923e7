"""Many hands on the same jobs: one winner, nothing lost, columns equal to records."""

import multiprocessing
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import statuses
from statuses.testing import make_status

pytestmark = pytest.mark.usefixtures("store")


def test_errors_of_many_writers_are_all_kept():
    status = make_status("started")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: statuses.at(status.id).add_error(f"error {number}"), range(200)))

    assert sorted(status.errors) == sorted(f"error {number}" for number in range(200))


def test_one_of_many_wins_an_own_id():
    won, lost = [], []

    def take(_):
        try:
            won.append(statuses.create(id="own"))
        except statuses.StatusExists:
            lost.append(1)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(take, range(50)))

    assert (len(won), len(lost)) == (1, 49)
    assert statuses.all().count() == 1


def test_one_of_many_guarded_moves_wins():
    status = make_status("queued")
    outcomes = []

    def race(verb):
        outcomes.append(getattr(statuses.at(status.id), verb)(sources={"queued"}).changed)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(race, ["started", "killed"] * 20))

    assert outcomes.count(True) == 1


def test_restarts_of_many_writers_are_archived_one_by_one():
    status = make_status("started")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: statuses.at(status.id).started(), range(40)))

    assert status.reload().attempt == 40
    assert len(status.prior_attempts) == 40


def work(url: str, namespace: str, ids: list[str], seed: int) -> None:
    """What each of the processes does: random verbs on the same jobs."""
    statuses.configure(url=url, namespace=namespace)
    chance = random.Random(seed)
    verbs = ["queued", "started", "succeeded", "failed", "killed", "unknown", "requeued", "request_kill", "heartbeat", "delete"]
    for _ in range(250):
        status = statuses.at(chance.choice(ids))
        verb = chance.choice(verbs)
        try:
            status.delete(force=chance.random() < 0.05) if verb == "delete" else getattr(status, verb)()
        except (statuses.StatusNotFound, statuses.NotCompleted):
            continue


def test_processes_at_random_leave_columns_equal_to_records(server_url):
    ids = [statuses.create(job_name=f"n{number % 3}").id for number in range(40)]
    namespace = statuses.collection.store.current().config.namespace
    stop, counts = threading.Event(), []

    def count():
        while not stop.is_set():
            counts.append(sum(statuses.all().counts().values()))

    reader = threading.Thread(target=count)
    reader.start()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=work, args=(server_url, namespace, ids, seed)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    stop.set()
    reader.join()

    assert [process.exitcode for process in processes] == [0] * 4
    assert counts == sorted(counts, reverse=True), "a job came back"
    living = [status for status in map(statuses.find, ids) if status is not None]
    expected = {state: sum(1 for status in living if status.state is state) for state in statuses.State}
    assert statuses.all().counts() == expected
    for status in living:
        ends = status.ended_at if status.ended_at and status.started_at and status.ended_at >= status.started_at else None
        expected_run = None if ends is None else (ends - status.started_at).total_seconds()
        assert status.run_time == expected_run
        assert len(status.prior_attempts) == status.attempt
    assert statuses.check().problems == ()


def test_connections_are_not_shared_with_a_forked_child(server_url):
    make_status("started")
    namespace = statuses.collection.store.current().config.namespace
    assert namespace
    context = multiprocessing.get_context("fork")

    def child():
        for _ in range(50):
            statuses.create(job_name="child")

    processes = [context.Process(target=child) for _ in range(4)]
    for process in processes:
        process.start()
    for _ in range(50):
        statuses.create(job_name="parent")
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * 4
    assert statuses.where(job_name="child").count() == 200
    assert statuses.where(job_name="parent").count() == 50
