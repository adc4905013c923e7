"""The pages of a store that is spread over many families, as a cluster has it, while jobs are created, started and ended."""

import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import statuses
from statuses import State
from statuses.testing import private_store
from tests.servers import until

FAMILIES = 16
PAGES = ("/admin/jobs/", "/admin/jobs/?span=1h", "/admin/jobs/list/", "/admin/jobs/names/", "/admin/jobs/errors/")


def write(url: str, namespace: str, stop: Any, jobs: Any) -> None:
    """What a worker of many short jobs writes, as fast as it can."""
    statuses.configure(url=url, namespace=namespace, families=FAMILIES)
    while not stop.is_set():
        statuses.create(job_name="short").started("w").succeeded()
        with jobs.get_lock():
            jobs.value += 1


@pytest.fixture
def writers(server_url: str) -> Iterator[Any]:
    """How many jobs some processes wrote so far, who go on until the test ends or says enough."""
    spawning = multiprocessing.get_context("spawn")
    with private_store(url=server_url, families=FAMILIES) as made:
        namespace = made.namespace
        stop, jobs = spawning.Event(), spawning.Value("q", 0)
        processes = [spawning.Process(target=write, args=(server_url, namespace, stop, jobs), daemon=True) for _ in range(3)]
        for process in processes:
            process.start()
        until(lambda: jobs.value > 100, "there are jobs in every family")
        yield jobs, stop, processes
        stop.set()
        for process in processes:
            process.join()


def test_every_page_answers_while_every_family_is_written_to(browse: Callable[..., Any], writers: Any) -> None:
    client, (jobs, stop, processes) = browse(), writers

    for page in PAGES * 2:
        assert client.get(page).status_code == 200, page

    stop.set()
    for process in processes:
        process.join()
    assert statuses.all().counts() == {**dict.fromkeys(State, 0), State.succeeded: jobs.value}
