"""RQ keeps its workers and queues in a Redis of its own: pages ask there, and do not wait for it."""

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.urls import reverse

import statuses
from jobadmin import answers
from jobadmin.paths import job_url
from statuses.engines.base import Engine
from statuses.testing import frozen_clock
from tests.servers import Server, until

rq = pytest.importorskip("rq")

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

ALONE, PAUSED = "No worker is alive, and 1 job waits.", "Paused: 1 job waits until its queue is resumed."


@pytest.fixture
def rq_server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="ja-") as folder:
        server = Server(Path(folder), "rq")
        yield server
        server.thaw()
        until(lambda: not asking(), "no thread asks any more")
        server.stop()


@pytest.fixture
def connection(rq_server: Server) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(rq_server.socket))


@pytest.fixture
def engine(connection: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Engine:
    from statuses.engines import rq as adapter
    from statuses.engines.rq import adapter as inside

    monkeypatch.setattr(inside, "_tracker", None)
    return adapter.install(connection)


def asking() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("jobadmin-asks")]


def queued(connection: redis.Redis) -> statuses.Status:
    """A job that waits in RQ."""
    from statuses.engines.rq import Job

    job = rq.Queue("mail", connection=connection, job_class=Job).enqueue("builtins.print")
    found = statuses.find_by(provider_job_id=job.id)
    assert found is not None
    return found


def overview(client: Any, engine: Engine) -> str:
    answers.forget(engine)
    return client.get(reverse("jobadmin:overview"), {"span": "all"}).content.decode()


def test_the_overview_says_that_no_worker_of_rq_is_alive_and_that_it_holds_its_queues_back(browse, engine, connection):
    client = browse()
    with frozen_clock() as clock:
        queued(connection)
        clock.tick(16)

        alone = overview(client, engine)
        worker = rq.SimpleWorker(["mail"], connection=connection, name="w1")
        worker.register_birth()
        with connection.pubsub() as line:
            line.subscribe("rq:pubsub:w1")
            until(lambda: dict(connection.pubsub_numsub("rq:pubsub:w1"))[b"rq:pubsub:w1"], "the worker hears")
            alive = overview(client, engine)
            engine.pause_queue("mail")
            paused = overview(client, engine)
        until(lambda: not dict(connection.pubsub_numsub("rq:pubsub:w1"))[b"rq:pubsub:w1"], "the worker is gone")
        gone = overview(client, engine)

    assert (ALONE in alone, ALONE in alive, ALONE in paused, ALONE in gone) == (True, False, False, True)
    assert (PAUSED in alone, PAUSED in alive, PAUSED in paused) == (False, False, True)
    assert "The last one was seen" in gone and "The last one was seen" not in alone


@pytest.mark.parametrize("page", ["overview", "list", "list of its queue", "job", "queues", "workers", "schedules"])
def test_no_page_waits_for_a_redis_of_rq_that_hangs_nor_makes_anything_up(browse, engine, connection, rq_server, page):
    client = browse()
    with frozen_clock() as clock:
        job = queued(connection)
        clock.tick(16)
        address = job_url(job.id) if page == "job" else reverse(f"jobadmin:{page.split()[0]}")
        rq_server.freeze()

        answer = client.get(address, {"queue": "mail"} if page == "list of its queue" else {})

    text = answer.content.decode()
    assert answer.status_code == 200
    assert len(asking()) == 1, "it was not waited for"
    assert "No worker is alive" not in text and "no living worker takes" not in text and "no worker takes" not in text
    if page in ("job", "queues", "workers"):
        assert "The engine rq could not tell of its workers and queues" in text


def test_no_order_is_given_to_an_rq_that_hangs(browse, engine, connection, rq_server):
    queued(connection)
    client = browse("view_job", "control_workers")
    rq_server.freeze()

    page = client.post(reverse("jobadmin:control", args=["pause-queue"]), {"engine": "rq", "name": "mail", "confirmed": "1"}, follow=True)

    assert "The engine rq does not answer. Nothing was changed." in page.content.decode()
