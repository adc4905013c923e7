"""Workers of Dramatiq and Huey that report themselves, leave paused queues alone and hear what they shall do."""

import os
from datetime import timedelta

import pytest

from statuses import presence
from statuses.engines.base import Queue, Worker
from tests.projects.running import Process, Project
from tests.servers import PATIENCE, until

pytestmark = pytest.mark.parametrize("running", ["dramatiq", "huey"], indirect=True)

#: Reports come at once, so that no test waits ten seconds.
SOON = {"TEST_PRESENCE": "0.1"}


def workers(project: Project, queue: str) -> list[Worker]:
    return [worker for worker in project.ask("workers") if queue in worker.queues]


def queue_of(project: Project, name: str) -> Queue:
    if project.name == "huey":
        project.ask("depth", name)  # the Huey that is asked from now on
    else:
        project.ask("declare", name)
    return next(queue for queue in project.ask("queues") if queue.name == name)


def commanded(project: Project, name: str, queue: str) -> Process:
    """A worker started as people do."""
    return project.start_worker(name, queue, how="command", TEST_QUEUE=queue, **SOON)


def test_a_worker_says_who_it_is_and_what_it_runs(project: Project) -> None:
    started = commanded(project, "told", "told")
    job = project.send("gated", f"told {project.name}", to="told")
    project.began(f"told {project.name}")

    worker = project.told("told", lambda worker: worker.running)
    project.open(f"told {project.name}")
    project.ended(job)
    later = project.told("told", lambda found: found.name == worker.name and not found.running)

    assert list(worker.running) == [job.id]
    assert (worker.name, worker.engine, worker.concurrency, list(worker.queues)) == (job.worker, project.name, 2, ["told"])
    assert (worker.host, worker.name) == (os.uname().nodename, f"{os.uname().nodename}:{worker.pid}")
    assert project.name in str(worker.details["software"])
    assert worker.is_alive and not worker.is_stopping
    assert worker.started_at is not None and worker.seen_at is not None and worker.started_at <= worker.seen_at <= later.seen_at
    assert (worker.pid == started.process.pid) == (project.name == "huey")


def test_a_worker_is_stopped_warmly_and_told_of_no_more(project: Project) -> None:
    started = commanded(project, "stopped", "stopping")
    job = project.send("gated", f"stopping {project.name}", to="stopping")
    project.began(f"stopping {project.name}")
    until(lambda: len(workers(project, "stopping")) == (2 if project.name == "dramatiq" else 1), "all processes have reported")

    # Each of its processes: two signals would end the job.
    for worker in workers(project, "stopping"):
        project.ask("control", "stop_worker", worker.name)
    project.told("stopping", lambda worker: worker.is_stopping and worker.name == job.reload().worker)
    project.open(f"stopping {project.name}")
    started.process.wait(PATIENCE)

    assert project.ended(job).is_succeeded
    assert workers(project, "stopping") == []


def test_a_worker_is_restarted_when_its_job_has_ended(project: Project) -> None:
    started = commanded(project, "restarted", "again")
    job = project.send("gated", f"again {project.name}", to="again")
    project.began(f"again {project.name}")
    before = project.told("again", lambda worker: worker.running)

    project.ask("control", "restart_pool", before.name)
    project.told("again", lambda worker: worker.is_stopping)
    project.open(f"again {project.name}")
    project.ended(job)
    project.told("again", lambda worker: not worker.is_stopping and worker.started_at > job.ended_at)
    next_one = project.ended(project.send("add", 1, 1, to="again"))

    assert job.is_succeeded
    assert next_one.data == {"result": 2}
    assert started.process.poll() is None


def test_a_worker_that_starts_leaves_a_paused_queue_alone_until_it_is_resumed(project: Project) -> None:
    queue_of(project, "paused")
    assert project.ask("control", "pause_queue", "paused") is True
    assert project.ask("control", "pause_queue", "paused") is False
    job = project.send("add", 1, 1, to="paused")

    project.start_worker("paused", "paused", **SOON)
    worker = project.told("paused", lambda worker: worker.held)
    seen = queue_of(project, "paused")
    for _ in range(3):  # reports come and go
        project.told("paused", lambda found, at=worker.seen_at: found.seen_at > at)
    waiting = (job.reload().state, queue_of(project, "paused").depth)
    assert project.ask("control", "resume_queue", "paused") is True

    assert list(worker.held) == list(worker.queues) == ["paused"]
    assert "cannot run itself again" in worker.refuses["restart_pool"]  # it was started by `python -c`
    assert seen.is_paused and seen.paused_at is not None
    assert waiting == ("queued", 1)
    assert project.ended(job).is_succeeded
    assert job.worker == worker.name
    project.told("paused", lambda worker: not worker.held)


def test_a_queue_that_is_paused_while_a_worker_takes_from_it_is_left_alone(project: Project) -> None:
    project.start_worker("holds", "held", **SOON)
    project.told("held")
    queue_of(project, "held")

    project.ask("control", "pause_queue", "held")
    project.told("held", lambda worker: worker.held)
    job = project.send("add", 1, 1, to="held")
    worker = project.told("held")
    project.told("held", lambda found: found.seen_at > worker.seen_at + timedelta(seconds=0.5))
    waiting = job.reload().state
    project.ask("control", "resume_queue", "held")

    assert waiting == "queued"
    assert project.ended(job).is_succeeded


def test_a_worker_that_is_killed_is_lost(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    started = project.start_worker("dead", "dead", **SOON)
    worker = project.told("dead")
    assert worker.pid is not None
    started.kill()

    monkeypatch.setattr(presence, "ALIVE_FOR", timedelta(seconds=0.5))

    def lost() -> bool:
        return not next(report.is_alive for report in presence.reports(project.name) if report.worker == worker.name)

    until(lost, "it is told of as lost")
