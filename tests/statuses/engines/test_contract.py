"""What every engine must show with real workers: one contract. What an engine cannot is asserted as that."""

import importlib
import os
import re
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import statuses
from statuses import EngineCannot, State, metrics
from statuses.engines.base import Engine
from tests.projects.running import Process, Project
from tests.servers import until


def later_worker(project: Project, name: str) -> Process:
    """A worker on a queue of its own, that was started just now."""
    return project.start_worker(name, name)


def engine_of(project: Project) -> type[Engine]:
    """What the engine says of itself."""
    module = importlib.import_module(f"statuses.engines.{project.name.replace('-', '_')}.engine")
    return next(found for found in vars(module).values() if isinstance(found, type) and found.__module__ == module.__name__)


def test_a_job_is_queued_before_any_worker_takes_it(project: Project) -> None:
    job = project.send("add", 1, 2, to="nobody")

    assert job.state is State.queued
    assert (job.queue, job.engine, job.attempt) == ("nobody", project.name, 0)
    assert re.search(r"\badd$", job.job_name)
    assert job.call["args"] == [1, 2]
    assert job.queued_at == job.recorded_at


@pytest.mark.usefixtures("shared")
class TestWithAWorker:
    """What becomes of jobs at the worker that all tests share."""

    def test_a_job_that_succeeds_keeps_its_result_and_its_worker(self, project: Project) -> None:
        job = project.ended(project.send("add", 20, 22))

        assert (job.state, job.data, job.attempt) == (State.succeeded, {"result": 42}, 0)
        assert job.recorded_at <= job.started_at <= job.succeeded_at
        assert "shared" in job.worker if project.facts.names_workers else job.worker
        assert job.progress == 1.0

    def test_a_job_that_fails_keeps_class_message_and_traceback_of_its_own_code(self, project: Project) -> None:
        job = project.ended(project.send("fail", "no such shelf"))

        (error,) = job.errors
        assert job.state is State.failed
        assert (error["class"], error["message"]) == ("ValueError", "no such shelf")
        assert "raise ValueError(message)" in error["traceback"]
        assert [frame["function"] for frame in error["frames"]][-1] == "fail"
        assert "statuses/engines" not in error["traceback"]
        assert job.error_group == "ValueError projects/work.py:fail"

    def test_a_job_that_runs_says_so_and_who_runs_it(self, project: Project) -> None:
        gate = f"{project.name} runs"
        job = project.send("gated", gate)
        project.began(gate)

        assert (job.reload().state, job.progress, job.ended_at) == (State.started, None, None)
        assert job.worker
        assert job.queued_at <= job.started_at <= job.heartbeat_at
        project.open(gate)
        assert project.ended(job).data == {"result": "through"}

    def test_a_job_that_expired_never_starts(self, project: Project) -> None:
        if project.facts.expires == "never":
            with pytest.raises(RuntimeError, match="send_expired"):
                project.ask("send_expired", "it knows no such thing")
            return
        name = f"{project.name} expired"
        job = project.status(project.ask("send_expired", name))

        if project.facts.expires == "forgotten":
            until(lambda: project.forgotten(job), "its engine tells the reaper that it is gone")
            assert job.reload().state is State.queued
        else:
            assert project.ended(job).state is State.killed
            assert re.search("expired|age limit", job.error_summary)
        assert (job.started_at, project.noted(name)) == (None, 0)

    def test_a_job_that_no_worker_knows_does_not_wait_for_ever(self, project: Project) -> None:
        job = project.status(project.ask("send_unknown"))

        if project.facts.unknown == "forgotten":
            until(lambda: project.forgotten(job), "its engine tells the reaper that it will never run")
            assert job.reload().state is State.queued
        else:
            project.ended(job)
            assert (job.state, job.attempt) == (State.failed, 0)
            assert re.search("NotRegistered|ActorNotFound|not found|gone", job.error_summary)
        assert project.ended(project.send("add", 1, 1)).state is State.succeeded

    def test_the_call_is_kept_and_its_resources_are_found(self, project: Project) -> None:
        job = project.ended(project.send("read_book", "Book:53", 7, others=["Book:1", "no book"]))

        assert job.state is State.succeeded
        assert job.job_args == {"book": "Book:53", "chapter_id": "Chapter:7", "others": ["Book:1"]}
        assert job.call["args"] == ["Book:53", 7]
        assert job.call["kwargs"] == {"others": ["Book:1", "no book"]}

    def test_the_user_comes_along(self, project: Project) -> None:
        job = project.ended(project.send("add", 1, 1, user="deploy"))

        assert job.user == "deploy"

    def test_a_retry_of_the_engine_is_the_next_attempt_and_the_failed_one_is_kept(self, project: Project) -> None:
        if not project.facts.retries:
            return self._fails_once_and_stays_so(project)
        job = project.ended(project.send("fail_first", f"{project.name} third", 2, retries=3))

        assert (job.state, job.attempt, job.data) == (State.succeeded, 2, {"result": f"{project.name} third"})
        assert [(each.state, each.error_summary) for each in job.prior_attempts] == [(State.failed, "ValueError: not yet")] * 2
        assert job.started_at > job.prior_attempts[1].started_at
        assert {each.provider_job_id for each in job.prior_attempts} == {job.provider_job_id}

    def test_the_last_retry_fails(self, project: Project) -> None:
        if not project.facts.retries:
            return self._fails_once_and_stays_so(project)
        job = project.send("fail_first", f"{project.name} never", 9, retries=1)
        until(lambda: job.reload().attempt == 1 and job.state is State.failed, "the second attempt has failed")

        assert [error["message"] for error in job.errors] == ["not yet"]
        assert project.noted(f"{project.name} never") == 2

    def _fails_once_and_stays_so(self, project: Project) -> None:
        """What becomes of it where the engine retries nothing by itself."""
        name = f"{project.name} once"
        before = project.noted(name)
        job = project.ended(project.send("fail_first", name, before + 9))
        project.ended(project.send("add", 1, 1))
        assert (job.reload().state, job.attempt, project.noted(name)) == (State.failed, 0, before + 1)

    def test_a_job_for_later_is_unqueued_until_it_is_due(self, project: Project) -> None:
        project.ended(project.send("add", 1, 1))  # the first one of a process takes a second where the machine is busy
        asked = datetime.now(UTC)
        job = project.send("add", 2, 2, later=project.facts.soon)
        before = job.state

        project.ended(job)

        assert before is State.unqueued
        assert job.state is State.succeeded
        assert (job.started_at - asked).total_seconds() >= 0.9
        if project.facts.tells_due:
            assert (job.queued_at - asked).total_seconds() >= 0.9
            assert job.wait_time == (job.started_at - job.queued_at).total_seconds()

    def test_progress_and_data_that_the_job_saved_stay(self, project: Project) -> None:
        job = project.ended(project.send("with_progress", 4))

        assert (job.state, job.data, job.progress_message) == (State.succeeded, {"mine": 4}, "step 4")

    def test_a_huge_result_is_cut_and_says_so(self, project: Project) -> None:
        job = project.ended(project.send("with_big_result"))

        assert job.state is State.succeeded
        assert len(str(job.data)) < 5000
        assert "200,002 bytes" in job.data["not_kept"]

    @pytest.mark.parametrize("thing", ["x" * 300_000, {1, 2}], ids=["huge", "a set"])
    def test_arguments_that_are_not_kept_are_shown(self, project: Project, thing: Any) -> None:
        if isinstance(thing, set) and not project.facts.pickles:
            with pytest.raises(RuntimeError):
                project.send("take", thing)
            assert statuses.where(engine=project.name, state=["queued", "unqueued"], job_name=_name(project, "take")).count() == 0
            return
        job = project.ended(project.send("take", thing))

        assert (job.state, job.data) == (State.succeeded, {"result": type(thing).__name__})
        assert job.call["args"][0].keys() == {"repr"}
        assert len(str(job.call)) < 5000
        if project.facts.keeps:
            project.retry(job)
            until(lambda: job.reload().attempt == 1 and job.is_ended, "the retry has ended")
            assert job.data == {"result": type(thing).__name__}
        else:
            with pytest.raises(EngineCannot, match="arguments were not kept") as refused:
                project.retry(job)
            assert refused.value.for_good

    def test_a_call_that_cannot_be_carried_leaves_nothing_that_waits(self, project: Project) -> None:
        before = statuses.where(engine=project.name, state=["queued", "unqueued"]).count()

        with pytest.raises(RuntimeError, match="lock"):
            project.ask("send_unsendable")

        assert statuses.where(engine=project.name, state=["queued", "unqueued"]).count() == before

    def test_a_running_job_that_looks_ends_as_killed_and_no_retry_catches_it(self, project: Project) -> None:
        gate = f"{project.name} cooperative"
        job = project.send("cooperative", gate, retries=3 if project.facts.retries else 0)
        project.began(gate)

        job.request_kill(by="anna", reason="too slow")

        project.ended(job)
        project.ended(project.send("add", 1, 1))
        assert (job.reload().state, job.attempt) == (State.killed, 0)
        assert (job.kill_requested_by, job.kill_reason) == ("anna", "too slow")
        assert project.noted(f"began:{gate}") == 1

    def test_a_request_on_a_job_that_never_looks_changes_nothing(self, project: Project) -> None:
        gate = f"{project.name} never looks"
        job = project.send("gated", gate)
        project.began(gate)

        job.request_kill()
        project.open(gate)

        assert project.ended(job).state is State.succeeded
        assert job.kill_requested

    def test_kill_now_ends_a_running_job_or_says_why_it_cannot(self, project: Project) -> None:
        gate = f"{project.name} victim"
        job = project.send("gated", gate, retries=2 if project.facts.retries else 0)
        project.began(gate)

        if not project.facts.kills:
            with pytest.raises(EngineCannot, match="nothing here can end its process"):
                project.kill_now(job)
            project.open(gate)
            assert project.ended(job).state is State.succeeded
            return
        project.kill_now(job)
        project.ended(job)
        assert (job.state, job.attempt, job.errors, job.kill_requested_by) == (State.killed, 0, [], "anna")
        assert project.noted(f"through:{gate}") == 0
        assert project.ended(project.send("add", 1, 1)).state is State.succeeded

    def test_a_failed_job_runs_again_with_its_original_call(self, project: Project) -> None:
        name = f"{project.name} by hand"
        job = project.ended(project.send("fail_first", name, times=1))
        assert job.state is State.failed

        project.retry(job)

        until(lambda: job.reload().attempt == 1 and job.is_ended, "the second attempt has ended")
        assert (job.state, job.data) == (State.succeeded, {"result": name})
        assert [(each.state, each.error_summary) for each in job.prior_attempts] == [(State.failed, "ValueError: not yet")]
        assert job.call["args"] == [name]
        assert project.noted(name) == 2

    def test_a_retry_of_a_job_that_runs_is_refused(self, project: Project) -> None:
        gate = f"{project.name} still runs"
        job = project.send("gated", gate)
        project.began(gate)

        with pytest.raises(EngineCannot, match="retry is possible once it has ended"):
            project.retry(job)

        project.open(gate)
        assert project.ended(job).attempt == 0

    def test_many_short_jobs_are_each_seen_once(self, project: Project) -> None:
        _many(project, project.facts.many)

    def test_a_job_that_was_removed_goes_on(self, project: Project) -> None:
        gate = f"{project.name} removed"
        job = project.send("gated", gate)
        project.began(gate)
        job.delete(force=True)

        project.let_through(gate)
        project.ended(project.send("add", 1, 1))
        assert statuses.find(job.id) is None

    def test_a_store_that_goes_away_harms_no_job_and_hears_of_it_afterwards(self, project: Project) -> None:
        gate = f"{project.name} outage"
        job = project.send("gated", gate)
        project.began(gate)

        project.store.freeze()
        try:
            project.let_through(gate)
            time.sleep(0.7)  # longer than the project waits for the store: the end meets one that is away
        finally:
            project.store.thaw()

        assert project.ended(job).state is State.succeeded
        assert project.ended(project.send("add", 1, 1)).state is State.succeeded

    def test_a_job_that_ends_while_the_store_is_away_has_ended_then(self, project: Project) -> None:
        gate = f"{project.name} ended meanwhile"
        job = project.send("gated", gate)
        project.began(gate)
        project.becomes(job, "started")  # a store on a busy machine may have heard of the start a little later

        project.store.stop()
        try:
            project.let_through(gate)
            through = time.monotonic()
            until(lambda: time.monotonic() - through > 1, "the store is away for a while")
            back = datetime.now(UTC)
        finally:
            project.store.start()

        assert (project.ended(job).state, job.attempt) == (State.succeeded, 0)
        assert job.started_at < job.succeeded_at < back
        assert job.run_time == (job.succeeded_at - job.started_at).total_seconds()
        assert project.ended(project.send("add", 1, 1)).state is State.succeeded

    def test_a_job_for_later_that_is_due_while_the_store_is_away_has_not_waited_since_it_was_sent(self, project: Project) -> None:
        gate, asked = f"{project.name} due meanwhile", datetime.now(UTC)
        job = project.send("gated", gate, later=project.facts.soon)
        project.store.freeze()
        try:
            project.began(gate)
        finally:
            project.store.thaw()
        project.becomes(job, "started")
        project.open(gate)

        assert (project.ended(job).state, job.attempt) == (State.succeeded, 0)
        assert (job.queued_at - asked).total_seconds() >= 0.9
        assert job.wait_time == (job.started_at - job.queued_at).total_seconds()
        project.ended(project.send("add", 1, 1))


@pytest.mark.full
def test_ten_thousand_short_jobs_are_each_seen_once(project: Project) -> None:
    queue = f"many-{project.name}"
    worker = project.start_worker(queue, queue, how=project.facts.many_worker)

    _many(project, 10_000, queue)

    worker.stop()


def test_a_job_killed_while_it_waits_never_starts_not_even_at_a_new_worker(project: Project) -> None:
    queue = f"later-{project.name}"
    name = f"{project.name} never starts"
    by_button, by_flag = (project.send("count", name, to=queue) for _ in range(2))
    other = project.send("count", f"{project.name} starts", to=queue)
    project.kill_now(by_button)
    by_flag.request_kill(by="anna")  # the flag alone: refused by the adapter when it would start

    later_worker(project, queue)

    project.ended(other)
    assert project.ended(by_flag).state is State.killed
    assert by_button.reload().state is State.killed
    assert by_button.started_at is by_flag.started_at is None
    assert (by_button.kill_requested_by, by_button.kill_reason) == ("anna", "not needed")
    assert project.noted(name) == 0


def test_a_job_killed_while_it_waits_does_not_start_when_its_record_was_removed(project: Project) -> None:
    queue, name = f"tidy-{project.name}", f"{project.name} tidied up"
    jobs = [project.send("count", name, to=queue) for _ in range(2)]
    other = project.send("count", f"{project.name} stays", to=queue)
    for job in jobs:
        project.kill_now(job)
    removed = statuses.where(id=[job.id for job in jobs]).delete_all(only_ended=True, undo_for=timedelta(minutes=10))

    later_worker(project, queue)

    project.ended(other)
    assert removed.changed == 2
    assert project.noted(name) == 0
    assert [statuses.find(job.id) for job in jobs] == [None, None]


def test_what_jobs_do_is_counted_alike_whichever_engine_runs_them(project: Project) -> None:
    queue = f"counted-{project.name}"
    project.start_worker(queue, queue, TEST_METRICS="1")
    jobs = [project.send("add", 1, number, to=queue) for number in range(5)] + [project.send("fail", "counted", to=queue)]
    wanted = {
        ("tasks_selected", "add"): 5, ("tasks_processed", "add", "succeeded"): 5,
        ("tasks_selected", "fail"): 1, ("tasks_processed", "fail", "failed"): 1,
    }  # fmt: skip
    if project.facts.retries:
        jobs.append(project.send("fail_first", f"{project.name} counted", 2, retries=3, to=queue))
        wanted |= {
            ("tasks_selected", "fail_first"): 3,
            ("tasks_retried", "fail_first"): 2,
            ("tasks_processed", "fail_first", "succeeded"): 1,
        }

    for job in jobs:
        project.ended(job)

    until(lambda: sum(counted(queue)[0].values()) >= sum(wanted.values()), f"everything is counted, it is {counted(queue)}")
    found, roles = counted(queue)
    assert found == wanted
    # A worker of Celery's has a name before the "@".
    assert all(role.startswith(queue) if project.name == "celery" else role == project.name for role in roles)


def counted(queue: str) -> tuple[dict[tuple[str, ...], int], set[str]]:
    """Counter, task and status -> how often, in one queue; and the roles of the workers that were met."""
    found: dict[tuple[str, ...], int] = {}
    roles = set()
    for family in text_string_to_metric_families(metrics.exposition()):
        for sample in family.samples if family.type == "counter" else ():
            if sample.labels["queue"] == queue:
                task, status = sample.labels["task"].rpartition(".")[2], sample.labels.get("status")
                found[(family.name, task, status) if status else (family.name, task)] = int(sample.value)
                roles |= {sample.labels["role"]} if "role" in sample.labels else set()
    return found, roles


def test_a_job_that_was_killed_while_it_waited_runs_once_when_it_is_retried(project: Project) -> None:
    queue, name = f"again-{project.name}", f"{project.name} killed and back"
    job = project.send("count", name, to=queue)
    project.kill_now(job)
    project.retry(job)

    later_worker(project, queue)

    until(lambda: job.reload().attempt == 1 and job.is_ended, "the second attempt has ended")
    project.ended(project.send("add", 1, 1, to=queue))
    assert (job.reload().state, job.data) == (State.succeeded, {"result": name})
    assert job.prior_attempts[0].state is State.killed
    assert (job.prior_attempts[0].provider_job_id != job.provider_job_id) is engine_of(project).renews_id
    assert project.noted(name) == 1


def test_the_job_of_a_worker_that_is_killed_becomes_stale_and_is_given_up_by_the_reaper(project: Project) -> None:
    queue, gate = f"dark-{project.name}", f"{project.name} dark"
    worker = project.start_worker("dark", queue, TEST_PRESENCE="0.5")
    job = project.send("gated", gate, to=queue)
    project.began(gate)
    until(lambda: job.reload().heartbeat_at is not None, "a sign of life")

    worker.kill()

    until(lambda: job.reload().is_stale, "it is stale")
    assert job.state is State.started
    project.reaped(job)
    assert (job.state, job.attempt, job.error_group) == (State.failed, 0, "WorkerLost")
    assert f"worker {job.worker} gave no sign of life" in job.error_summary


@pytest.mark.parametrize(("task", "end"), [("gated", State.succeeded), ("fails_at", State.failed)])
def test_a_job_whose_end_its_engine_knows_and_its_worker_did_not_live_to_tell_ends_so_and_never_as_lost(project, task, end):
    queue, gate = f"untold-{task}-{project.name}", f"{project.name} untold {task}"
    worker = project.start_worker("untold", queue, TEST_PRESENCE="0.5")
    job = project.send(task, gate, to=queue)
    project.began(gate)
    until(lambda: job.reload().heartbeat_at is not None, "a sign of life")

    project.store.stop()
    try:
        project.open(gate)
        until(lambda: project.ask("is_over", job.provider_job_id), "its engine has its end")
        worker.kill()
    finally:
        project.store.start()
    untold = job.reload().state
    project.reaped(job, retries=1)

    assert untold is State.started
    assert (job.state, job.attempt, project.noted(f"through:{gate}")) == (end, 0, 1)
    if end is State.succeeded:
        assert (job.data, job.errors) == ({"result": "through"}, [])
    else:
        assert f"ValueError: failed at {gate}" in job.error_summary


def test_a_job_that_ran_while_nobody_could_tell_that_it_began_ends_as_its_engine_says_and_what_waits_stays(project):
    queue = f"unsaid-{project.name}"
    waits = project.send("add", 1, 1, to=queue + "-nobody")
    ran, broke = project.send("add", 20, 22, to=queue), project.send("fail", "no such shelf", to=queue)

    project.store.stop()
    try:
        worker = project.start_worker("unsaid", queue)
        until(lambda: all(project.ask("is_over", job.provider_job_id) for job in (ran, broke)), "its engine has both ends")
        worker.kill()
    finally:
        project.store.start()
    untold = [job.reload().state for job in (ran, broke)]
    project.ask("reap", 1.0, waiting=True)

    assert untold == [State.queued] * 2
    assert [(job.reload().state, job.attempt, job.started_at) for job in (ran, broke)] == [("succeeded", 0, None), ("failed", 0, None)]
    assert (ran.data, ran.errors) == ({"result": 42}, [])
    assert "ValueError: no such shelf" in broke.error_summary
    assert waits.reload().state is State.queued


@pytest.mark.usefixtures("shared")
def test_an_end_that_is_older_than_the_attempt_is_not_believed(project):
    # Where its store is too slow for a start to be told there is nothing to run again.
    job = until(lambda: job if (job := project.ended(project.send("add", 1, 1))).started_at else None, "one that is told of whole")
    until(lambda: project.ask("is_over", job.provider_job_id), "its engine has its end")
    over = statuses.server_time()
    until(lambda: statuses.server_time() - over > timedelta(milliseconds=1), "that is past: an engine may say it in whole milliseconds")

    job.started("its message was handed out again", alive=True)

    assert (job.reload().attempt, job.state) == (1, State.started)
    assert project.outcome(job) is None


@pytest.mark.usefixtures("shared")
def test_of_jobs_that_are_asked_about_together_the_same_is_said_as_of_each(project):
    ended = [project.ended(project.send("add", number, 1)) for number in range(3)]
    broke = project.ended(project.send("fail", "no such shelf"))
    waits, never = project.send("add", 1, 1, to="nobody"), statuses.create(engine=project.name, queue="nobody").started("w")
    gone, again = statuses.create(engine=project.name).started("w"), project.ended(project.send("add", 20, 22))
    gone.delete(force=True)
    until(lambda: all(project.ask("is_over", job.provider_job_id) for job in (*ended, broke, again)), "its engine has all ends")
    again.started("its message was handed out again", alive=True)
    jobs = [waits, *ended, never, broke, again, ended[0]]

    told = project.outcomes([gone, *jobs])

    assert told == [None, *[project.outcome(job) for job in jobs]]
    assert [found and str(found.state) for found in told[1:6]] == [None, *["succeeded"] * 3, None]


@pytest.mark.usefixtures("shared")
def test_an_engine_that_does_not_answer_does_not_say_that_a_job_has_not_ended(project):
    if project.name == "django-tasks":
        pytest.skip("its results are in a file")
    job = project.ended(project.send("add", 1, 1))

    # As long as it has elsewhere a busy machine needs, too: what answers is not to be taken for what hangs.
    before = project.ask("wait_for_answers", 1.0)
    project.broker.freeze()
    began = time.monotonic()
    try:
        with pytest.raises(RuntimeError, match=r"TimeoutError|ConnectionError|OperationalError|EngineCannot"):
            project.outcome(job)
    finally:
        project.broker.thaw()
        project.ask("wait_for_answers", before)

    assert time.monotonic() - began < 8
    until(lambda: _says(project, job), "it says so again")


def _says(project: Project, job: statuses.Status) -> bool:
    try:
        found = project.outcome(job)
    except (EngineCannot, RuntimeError):  # what was asked before is not answered yet
        return False
    return found is not None and (found.state, found.data) == (State.succeeded, {"result": 2})


@pytest.mark.full
def test_the_job_of_a_worker_that_only_slept_tells_its_end_after_it_was_given_up(project: Project) -> None:
    queue, gate = f"asleep-{project.name}", f"{project.name} asleep"
    worker = project.start_worker("asleep", queue, TEST_PRESENCE="0.5")
    job = project.send("gated", gate, to=queue)
    project.began(gate)

    worker.signal(signal.SIGSTOP)
    try:
        given_up = project.reaped(job).state
        project.open(gate)
    finally:
        worker.signal(signal.SIGCONT)

    assert given_up is State.failed
    project.becomes(job, "succeeded")
    assert (job.attempt, job.data, job.errors[0]["class"]) == (0, {"result": "through"}, "WorkerLost")


def test_the_job_of_a_process_that_is_killed_is_failed_although_its_worker_lives(project: Project) -> None:
    queue, gate = f"process-{project.name}", f"{project.name} process"
    project.start_worker("process", queue, TEST_PRESENCE="0.5")
    job = project.send("gated", gate, to=queue)
    project.began(gate)

    os.kill(project.pid(gate), signal.SIGKILL)

    project.reaped(job)
    until(lambda: job.reload().error_summary, "it is told why")  # RQ tells it after the end
    assert job.state is State.failed
    assert re.search("WorkerLost|Work-horse", job.error_summary)


@pytest.mark.full
def test_a_job_is_given_up_with_its_worker_unless_its_process_outlives_it(project: Project) -> None:
    queue, gate = f"orphan-{project.name}", f"{project.name} orphan"
    worker = project.start_worker("orphan", queue, TEST_PRESENCE="0.5")
    job = project.send("gated", gate, to=queue)
    project.began(gate)
    if project.pid(gate) == worker.process.pid:
        return  # one process, which the tests above end

    worker.process.kill()
    worker.process.wait()
    if project.name == "celery":  # whose processes end with their worker
        assert project.reaped(job).error_group == "WorkerLost"
        return
    since = job.reload().heartbeat_at

    def looked() -> bool:
        project.ask("reap", 1.0)
        return job.reload().heartbeat_at - since > timedelta(seconds=3)  # the grace, and the time between two looks

    until(looked, "it gives signs of life")
    project.open(gate)
    assert project.ended(job).state is State.succeeded


def _name(project: Project, task: str) -> str:
    return project.send("add", 0, 0, to="nobody").job_name.replace("add", task)


def _many(project: Project, count: int, queue: str = "main") -> None:
    sent = project.ask("send_many", count, queue)

    assert len(set(sent)) == count
    within = max(60, count / 20)
    for start in range(0, count, 1000):
        ids = sent[start : start + 1000]
        query = statuses.where(provider_job_id=ids)
        until(lambda query=query, ids=ids: query.counts()[State.succeeded] == len(ids), "all have succeeded", within)
        jobs = list(query.limit(len(ids)).run())
        assert sorted(job.data["result"] for job in jobs) == list(range(start, start + len(ids)))
        assert {job.attempt for job in jobs} == {0}
