"""What Django tasks alone do: with a real worker of the database backend, and with the signals of either module."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

import pytest

import statuses
from statuses import EngineCannot, State, presence
from statuses.engines import attempts
from statuses.engines.base import Outcome, Queue
from statuses.engines.django_tasks.adapter import Adapter
from statuses.engines.django_tasks.outcomes import outcome_of
from statuses.engines.tracker import Tracker
from tests.projects.running import Project
from tests.servers import PATIENCE, ROOT, until

BOTH = """
import os, sys
from django.conf import settings
settings.configure(
    SECRET_KEY="x", USE_TZ=True, INSTALLED_APPS=[{apps} "statuses", "statuses.engines.django_tasks.TrackDjangoTasks"],
    JOBADMIN={{"URL": {url!r}, "NAMESPACE": {namespace!r}}},
    TASKS={{"default": {{"BACKEND": "{module}.backends.immediate.ImmediateBackend"}}}},
)
import django
django.setup()
from {module} import task
import types
tasks = types.ModuleType("tasks")
sys.modules["tasks"] = tasks
exec('''
def ship(order):
    return order
def refund(order):
    raise ValueError(order)
''', tasks.__dict__)
{prelude}
for name in ("ship", "refund"):
    setattr(tasks, name, task(getattr(tasks, name)))
    result = getattr(tasks, name).enqueue("Order:7")
    print(result.status)
"""


def run_both(module: str, url: str, namespace: str, prelude: str = "") -> list[str]:
    """What a process prints that runs two tasks in place, with the tasks of this module."""
    apps = "'django_tasks'," if module == "django_tasks" else ""
    code = BOTH.format(apps=apps, url=url, namespace=namespace, module=module, prelude=prelude)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def modules() -> list[Any]:
    """Both modules; the one that is not there is skipped."""
    import importlib.util

    here = {name: importlib.util.find_spec(name) is not None for name in ("django.tasks", "django_tasks")}
    return [pytest.param(name, marks=pytest.mark.skipif(not there, reason=f"no {name} here")) for name, there in here.items()]


@pytest.mark.parametrize("module", modules())
def test_tasks_of_either_module_are_tracked(module: str, store: Any, server_url: str) -> None:
    statuses.configure(url=server_url, namespace="either")

    printed = run_both(module, server_url, "either")

    refunded, shipped = statuses.where(job_arg="Order:7").order_by("-recorded_at")
    assert printed == ["SUCCESSFUL", "FAILED"]
    assert (shipped.state, shipped.data, shipped.job_name) == (State.succeeded, {"result": "Order:7"}, "tasks.ship")
    assert (refunded.state, refunded.error_summary) == (State.failed, "ValueError: Order:7")


@pytest.mark.parametrize("module", modules())
def test_whatever_goes_wrong_in_the_adapter_harms_no_task(module: str, store: Any, server_url: str) -> None:
    broken = "from statuses.engines.django_tasks import adapter as t\nt.Adapter._status = t.Adapter._create = t.Tracker.tracks = None"

    assert run_both(module, server_url, "broken", broken) == ["SUCCESSFUL", "FAILED"]
    assert run_both(module, "unix:///nowhere/at/all", "away") == ["SUCCESSFUL", "FAILED"]


class TestLimits:
    """Of a backend that runs its tasks in RQ, whose timeout may be over wherever they are."""

    @pytest.fixture
    def over(self) -> Exception:
        return pytest.importorskip("rq.timeouts").JobTimeoutException("too long")

    @pytest.fixture
    def result(self) -> Any:
        return SimpleNamespace(
            id="limited", task=SimpleNamespace(module_path="tasks.limited"), worker_ids=["w"], status="SUCCESSFUL", return_value=7
        )

    def test_a_limit_reaches_the_task_that_begins(self, store: Any, monkeypatch: pytest.MonkeyPatch, over: Exception, result: Any) -> None:
        adapter = Adapter(Tracker("limits"))
        monkeypatch.setattr(attempts, "start", mock.Mock(side_effect=over))
        statuses.create(id="limited", provider_job_id="limited", engine="limits", state="queued")

        with pytest.raises(type(over)):
            adapter.started(task_result=result)

    def test_a_limit_comes_too_late_for_a_task_that_is_over(
        self, store: Any, monkeypatch: pytest.MonkeyPatch, over: Exception, result: Any
    ) -> None:
        adapter, end = Adapter(Tracker("limits")), attempts.end
        job = statuses.create(id="limited", provider_job_id="limited", engine="limits", state="queued")
        adapter.started(task_result=result)
        monkeypatch.setattr(attempts, "end", mock.Mock(side_effect=[over, mock.DEFAULT, mock.DEFAULT], wraps=end))

        adapter.finished(task_result=result)

        until(lambda: job.reload().state is State.succeeded, "it is told")
        assert (job.data, statuses.current(), adapter.running()) == ({"result": 7}, None, [])


@pytest.mark.parametrize("running", ["django-tasks"], indirect=True)
class TestWithADatabase:
    def test_a_task_that_takes_its_context_is_known_by_its_own_arguments(self, project: Project, shared: Any) -> None:
        job = project.ended(project.send("with_context", "Book:5"))

        assert (job.state, job.data, job.job_args) == (State.succeeded, {"result": 1}, {"book": "Book:5"})

    def test_an_async_task_finds_its_status(self, project: Project, shared: Any) -> None:
        job = project.ended(project.send("wait_a_little", "Book:6"))

        assert (job.state, job.progress_message, job.data) == (State.succeeded, "half", {"result": "Book:6"})

    def test_what_a_task_enqueues_is_its_child(self, project: Project, shared: Any) -> None:
        job = project.ended(project.send("with_child"))

        child = project.ended(project.status(job.data["result"]))
        assert (child.parent, child.root) == (job.id, job.id)

    def test_a_retry_is_another_result_and_the_next_attempt(self, project: Project, shared: Any) -> None:
        job = project.ended(project.send("fail_first", "django again", 2))
        results = [job.provider_job_id]

        for attempt in (1, 2):
            project.retry(job)
            until(lambda attempt=attempt: job.reload().attempt == attempt and job.is_ended, "the next attempt has ended")
            results.append(job.provider_job_id)

        assert (job.state, job.data) == (State.succeeded, {"result": "django again"})
        assert [attempt.state for attempt in job.prior_attempts] == [State.failed] * 2
        assert len(set(results)) == 3
        assert statuses.where(provider_job_id=results).count() == 1

    def test_a_task_whose_transaction_was_rolled_back_is_told_as_forgotten(self, project: Project) -> None:
        kept = project.send("add", 1, 1, to="nobody")
        lost = project.status(project.ask("send_and_roll_back"))

        assert project.ask("forgotten", project.name, [kept.id, lost.id]) == [lost.id]

    def test_a_task_for_later_whose_row_was_deleted_is_told_as_forgotten(self, project: Project) -> None:
        kept, lost = (project.send("add", 1, 1, to="nobody", later=3600) for _ in range(2))
        project.ask("take_out", lost.provider_job_id, "nobody")
        odd = statuses.create(job_name="odd", engine=project.name, provider_job_id="no id of its", call=kept.call, state="unqueued")

        assert project.ask("forgotten", project.name, [kept.id, lost.id, odd.id]) == [lost.id, odd.id]

    def test_a_task_for_later_that_a_worker_without_the_adapter_ran_ends_as_its_backend_says(self, project: Project) -> None:
        job = project.send("count", "django late", to="django-late", later=project.facts.soon)

        project.start_worker("late", "django-late", how="plain_worker")

        until(lambda: project.forgotten(job), "its backend says that it is over")
        outcome = project.outcome(job)
        assert (job.reload().state, outcome and outcome.state) == (State.unqueued, State.succeeded)

    def test_a_task_that_a_worker_without_the_adapter_ran_is_told_as_forgotten(self, project: Project) -> None:
        ran, kept = project.send("count", "django plain", to="django-plain"), project.send("add", 1, 1, to="nobody")

        project.start_worker("plain", "django-plain", how="plain_worker")

        until(lambda: project.ask("forgotten", project.name, [kept.id, ran.id]) == [ran.id], "its backend says that it is over")
        assert (ran.reload().state, project.noted("django plain")) == (State.queued, 1)
        assert [project.outcome(job) and project.outcome(job).state for job in (ran, kept)] == [State.succeeded, None]


def queue_of(project: Project, name: str) -> Queue | None:
    return next((queue for queue in project.ask("queues") if queue.name == name), None)


@pytest.mark.parametrize("running", ["django-tasks"], indirect=True)
class TestItsWorkers:
    """Those of the database's backend, which report themselves."""

    def test_a_worker_says_who_it_is_and_what_it_runs_and_ends_warmly(self, project: Project) -> None:
        started = project.start_worker("told", "told,told-too", TEST_PRESENCE="0.1")
        project.told("told", lambda worker: not worker.running)
        job = project.send("gated", "django told", to="told")
        project.began("django told")
        worker = project.told("told", lambda worker: worker.running)

        project.ask("control", "stop_worker", worker.name)
        project.told("told", lambda worker: worker.is_stopping)
        project.open("django told")
        started.process.wait(PATIENCE)

        assert (list(worker.queues), list(worker.running)) == (["told", "told-too"], [job.id])
        assert (worker.name, worker.pid, worker.concurrency) == (job.reload().worker, started.process.pid, 1)
        assert worker.is_alive and not worker.is_stopping and not worker.refuses
        assert project.ended(job).state is State.succeeded
        assert [found for found in project.ask("workers") if found.name == worker.name] == []

    def test_a_worker_that_waits_for_a_job_ends_at_once(self, project: Project) -> None:
        started = project.start_worker("idle", "idle", TEST_PRESENCE="0.1")

        project.ask("control", "stop_worker", project.told("idle").name)

        assert started.process.wait(PATIENCE) == 0
        assert [found for found in project.ask("workers") if "idle" in found.queues] == []

    def test_no_worker_has_a_pool_and_one_that_no_command_started_is_not_stopped(self, project: Project) -> None:
        project.start_worker("alone", "alone", how="bare_worker", TEST_PRESENCE="0.1")
        worker = project.told("alone")

        for verb, why in (("restart_pool", "have no pool"), ("stop_worker", "did not start it")):
            with pytest.raises(EngineCannot, match=why):
                project.ask("control", verb, worker.name)

    def test_a_queue_that_is_paused_is_left_alone_by_each_worker_until_it_is_resumed(self, project: Project) -> None:
        project.start_worker("before", "django-paused", TEST_PRESENCE="0.1")
        project.told("django-paused")
        assert project.ask("control", "pause_queue", "django-paused") is True
        project.start_worker("after", "django-paused", TEST_PRESENCE="0.1")
        until(lambda: sum("django-paused" in worker.held for worker in project.ask("workers")) == 2, "both leave it alone")
        job = project.send("add", 1, 1, to="django-paused")
        seen = project.told("django-paused").seen_at
        project.told("django-paused", lambda worker: worker.seen_at > seen + timedelta(seconds=0.5))
        waiting, queue = job.reload().state, queue_of(project, "django-paused")

        assert project.ask("control", "resume_queue", "django-paused") is True

        assert (waiting, queue.depth, queue.is_paused) == (State.queued, 1, True)
        assert project.ended(job).state is State.succeeded
        assert queue_of(project, "django-paused").depth == 0

    def test_a_worker_of_all_queues_serves_each_that_something_waits_in(self, project: Project) -> None:
        project.send("add", 1, 1, to="nobody-else")
        # As one of `--queue-name * --exclude-queues nobody` reports; a real one would run what other tests let wait.
        presence.tell("django-tasks", "any", {"queues": ["*"], "excluded": ["nobody"], "held": [], "backend": "default"})
        project.send("add", 1, 1, to="nobody")

        worker = project.told("nobody-else")
        presence.leave("django-tasks", "any")

        assert not {"*", "nobody"} & set(worker.queues)


@pytest.mark.parametrize("module", modules())
def test_backends_that_nobody_works_for_tell_no_workers_and_say_why(module: str, store: Any, server_url: str) -> None:
    said = (
        "from statuses.engines import registry as r\ne = r.get('django-tasks')\nprint(e.has_workers, e.why_not('stop_worker').split()[-1])"
    )

    assert run_both(module, server_url, "either", said)[:2] == ["False", "themselves"]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_result_of_a_project_without_time_zones_is_dated_in_its_own(settings: Any, zone: str) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, zone
    began, ended = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC)
    naive = ended.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    backend = SimpleNamespace(
        get_result=lambda id: SimpleNamespace(is_finished=True, finished_at=naive, status="SUCCESSFUL", return_value=7)
    )

    told = outcome_of(backend, "one", began, Tracker("tests"))

    assert told == Outcome(state=State.succeeded, data={"result": 7})
    assert told.ended_at == ended
    assert outcome_of(backend, "one", ended + timedelta(seconds=1), Tracker("tests")) is None


@pytest.mark.parametrize("running", ["django-tasks"], indirect=True)
@pytest.mark.parametrize("lives", [True, False])
def test_a_running_task_that_was_asked_to_die_and_waits_again_is_killed_where_its_worker_is_dead_alone(
    project: Project, lives: bool
) -> None:
    queue = f"again-{lives}"
    first = project.start_worker("first", queue)
    job = project.send("gated", queue, to=queue)
    project.began(queue)
    job.request_kill(by="anna")
    if not lives:
        first.kill()

    project.ask("hand_out_again", job.provider_job_id)
    project.start_worker("second", queue)
    until(lambda: project.ask("is_over", job.provider_job_id), "the second worker is refused")
    said = job.reload().state
    project.open(queue)

    project.ended(job)
    assert (said, job.state) == ((State.started, State.succeeded) if lives else (State.killed, State.killed))
    assert (job.attempt, project.noted(f"began:{queue}")) == (0, 1)
