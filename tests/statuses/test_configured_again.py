"""`configure()` once more, in a process that works: a process has one store, what was begun in the one before ends there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

import statuses
from statuses.testing import make_status
from tests.servers import until


@pytest.fixture(autouse=True)
def two(server_url: str, store: redis.Redis) -> Iterator[None]:
    store.flushdb()
    use(server_url, "first")
    yield
    for namespace in ("first", "second"):
        use(server_url, namespace)
        statuses.clear_all()


def use(server_url: str, namespace: str) -> None:
    statuses.configure(url=server_url, namespace=namespace)


@contextmanager
def working(number: int) -> Iterator[tuple[list[Any], list[Exception]]]:
    """Threads that do jobs all the time; those done, and what was raised."""
    over, done, raised = threading.Event(), list[Any](), list[Exception]()

    def work() -> None:
        try:
            while not over.is_set():
                job = statuses.create(job_name="a").queued().started()
                statuses.all().count()
                done.append(job.succeeded().reload().state)
        except Exception as error:
            raised.append(error)

    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield done, raised
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_calls_of_other_threads_end_in_the_store_that_they_began_in(server_url: str) -> None:
    names = ["first", "second"] * 150
    with working(4) as (done, raised):
        for number, name in enumerate(names):
            use(server_url, name)
            until(lambda at=number // 10: len(done) > at or bool(raised), "jobs are done")

    assert raised == []
    found = 0
    for name in ("first", "second"):
        use(server_url, name)
        counts = statuses.all().counts()
        assert counts["succeeded"] == sum(counts.values())
        found += counts["succeeded"]
    assert found == len(done)


def test_no_connection_is_left_of_stores_that_nobody_uses(server_url: str, store: redis.Redis) -> None:
    make_status("queued")
    before = len(store.client_list())

    for _ in range(20):
        use(server_url, "first")
        assert statuses.all().count() == 1

    assert len(store.client_list()) <= before + 1


def test_a_status_stays_with_its_store_and_a_query_asks_the_one_of_now(server_url: str) -> None:
    job, query = make_status("started", job_name="a"), statuses.where(state="succeeded")
    use(server_url, "second")

    job.succeeded()

    assert job.reload().state == "succeeded"
    assert (query.count(), statuses.find(job.id)) == (0, None)
    use(server_url, "first")
    assert query.ids() == [job.id]


def test_a_tracked_block_ends_in_the_store_that_it_began_in(server_url: str) -> None:
    with statuses.track("a") as job:
        use(server_url, "second")
        job.set_progress(0.5)

    assert statuses.all().count() == 0
    use(server_url, "first")
    assert statuses.where(state="succeeded").ids() == [job.id]
