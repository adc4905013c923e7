"""Workers and queues in a shell: what their pages show."""

import json
from datetime import timedelta

import pytest

from statuses.engines.base import Queue, Worker
from statuses.testing import frozen_clock, make_status
from tests.jobadmin.test_fleet import Lines, engine  # noqa: F401
from tests.jobadmin.test_jobs_command import run, run_json

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]


def test_workers_are_told_with_what_they_run(engine: Lines) -> None:  # noqa: F811
    engine.there = [Worker(name="w1@host", host="host", pid=7, queues=["mail", "bulk"]), Worker(name="w2@host", queues=["mail"])]
    job = make_status(queue="mail", engine="lines").started("w1@host")
    make_status(queue="mail", engine="lines").started("w2@host").failed(error="it broke")

    said, found = run("jobs", "workers"), run_json("jobs", "workers")

    assert said.splitlines()[0].split() == ["condition", "worker", "queues", "running", "started", "failed"]
    assert said.splitlines()[1].split() == ["busy", "w1@host", "mail,", "bulk", "1", "1", "0"]
    assert "Started and failed: in the last hour." in said.splitlines()
    first, second = found["rows"]
    assert (first["pid"], first["jobs"], first["condition"]) == (7, [job.id], "busy")
    assert (second["condition"], second["failed"]) == ("idle", 1)


def test_queues_are_told_with_what_waits_and_the_unserved_loudly(engine: Lines) -> None:  # noqa: F811
    with frozen_clock() as clock:
        engine.lines = [Queue(name="mail", depth=2)]
        engine.there = [Worker(name="w1@host", queues=["bulk"])]
        for _ in range(2):
            make_status("queued", queue="mail", engine="lines")
        make_status("queued", queue="bulk", engine="lines")
        clock.tick(timedelta(minutes=5))

        said, found = run("jobs", "queues"), run_json("jobs", "queues")

    assert "Queue mail: 2 jobs wait, and no worker takes them." in said
    rows = {row["queue"]: row for row in found["rows"]}
    assert (rows["mail"]["condition"], rows["mail"]["waiting"], rows["mail"]["workers"]) == ("unserved", 2, 0)
    assert (rows["bulk"]["condition"], rows["bulk"]["workers"], rows["bulk"]["oldest_at"] is not None) == ("open", 1, True)


def test_an_engine_that_could_not_tell_is_named(engine: Lines) -> None:  # noqa: F811
    engine.broken = True

    assert "The engine lines could not tell" in run("jobs", "workers")
    assert json.loads(run("jobs", "workers", "--json"))["silent_engines"] == ["lines"]
