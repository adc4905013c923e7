"""RQ in a Django project: two settings, and the same jobs."""

import pytest

from statuses import State
from tests.projects.running import Project
from tests.servers import until

pytestmark = pytest.mark.parametrize("running", ["django-rq"], indirect=True)


def test_a_django_project_is_tracked_killed_and_retried_by_its_settings_alone(project: Project) -> None:
    project.start_worker("django")

    job = project.ended(project.send("add", 20, 22))
    victim = project.send("gated", "django-rq victim")
    project.began("django-rq victim")
    project.kill_now(victim)
    project.ended(victim)
    again = project.ended(project.send("fail_first", "django-rq again", 1))
    project.retry(again)
    until(lambda: again.reload().attempt == 1 and again.is_ended, "the second attempt has ended")

    assert (job.state, job.data, job.queue, job.engine) == (State.succeeded, {"result": 42}, "django", "django-rq")
    assert victim.state is State.killed
    assert again.state is State.succeeded
