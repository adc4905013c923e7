"""Jobs for later that their engine has lost, and those that it has not."""

import pytest

from statuses import State, Status
from tests.projects.running import Project
from tests.servers import until

pytestmark = pytest.mark.parametrize("running", ["celery", "rq", "django-tasks", "huey"], indirect=True)


@pytest.fixture
def queues(project: Project) -> tuple[str, str]:
    """Two queues, for Huey one, whose workers are there where the engine has to know of them, and leave them alone."""
    names = (f"losing-{project.name}", f"keeping-{project.name}") if project.name != "huey" else ("losing-huey",) * 2
    if project.name not in ("celery", "huey") or any(set(names) <= {*worker.queues} for worker in project.ask("workers")):
        return names
    for name in set(names):
        project.ask("queues") if project.name == "celery" else project.ask("depth", name)
        project.ask("control", "pause_queue", name)
    project.start_worker("leaves-alone", ",".join(dict.fromkeys(names)), TEST_PRESENCE="0.1")
    project.told(names[0], lambda worker: worker.held)
    return names


def look(project: Project) -> None:
    project.ask("reap", 1.0, waiting=True)


def seen_missing(project: Project, job: Status) -> bool:
    look(project)
    return project.forgotten(job)


def test_a_job_for_later_that_is_no_longer_there_becomes_unknown_and_one_that_is_waits_on(
    project: Project, queues: tuple[str, str]
) -> None:
    losing, keeping = queues
    lost, kept = project.send("add", 1, 1, to=losing, later=3600), project.send("add", 1, 1, to=keeping, later=3600)

    project.ask("take_out", lost.provider_job_id, losing)

    until(lambda: seen_missing(project, lost), "it is missing")
    early = lost.reload().state
    until(lambda: look(project) or lost.reload().state is State.unknown, "it is marked")
    assert early is State.unqueued
    assert (lost.reload().state, kept.reload().state) == (State.unknown, State.unqueued)


def test_a_job_for_later_that_is_in_no_place_in_the_moment_of_a_look_waits_on(project: Project, queues: tuple[str, str]) -> None:
    job = project.send("add", 1, 1, to=queues[0], later=3600)

    found = project.ask("take_out", job.provider_job_id, queues[0])
    until(lambda: seen_missing(project, job), "it is missing")
    project.ask("put_back", job.provider_job_id, queues[0], found)
    look(project)

    assert job.reload().state is State.unqueued
