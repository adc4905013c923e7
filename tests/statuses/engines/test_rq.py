"""What RQ alone does, with real workers."""

import os
import signal
import time
from typing import Any

import pytest
import rq

import statuses
from statuses import EngineCannot, State
from tests.projects.running import Process, Project
from tests.servers import PATIENCE, until

pytestmark = pytest.mark.parametrize("running", ["rq"], indirect=True)


def send_own(project: Project, function: str, *args: Any, **more: Any) -> statuses.Status:
    return project.status(project.ask("send_own", function, *args, **more))


def settled(project: Project, job: statuses.Status) -> None:
    """Wait until RQ has written down the end of the job, too."""
    until(lambda: project.ask("state_in_rq", job.provider_job_id) != "started", "RQ says that it is over")


@pytest.mark.usefixtures("shared")
class TestWithAWorker:
    def test_a_job_that_waits_for_others_depends_on_them_and_is_the_child_of_the_first(self, project: Project) -> None:
        first = project.send("gated", "rq before")
        second = project.send("add", 1, 1)

        after = project.status(project.ask("send_after", "add", 1, 2, before=[first.provider_job_id, second.provider_job_id]))
        before = after.state
        project.open("rq before")

        project.ended(after)
        assert before is State.unqueued
        assert (after.state, after.parent, after.depends_on) == (State.succeeded, first.id, [first.id, second.id])
        assert after.queued_at >= first.reload().succeeded_at

    def test_jobs_that_wait_for_each_other_are_one_workflow_with_one_root(self, project: Project) -> None:
        first = project.send("gated", "rq workflow")
        second = project.status(project.ask("send_after", "add", 1, 2, before=[first.provider_job_id]))
        third = project.status(project.ask("send_after", "add", 3, 4, before=[second.provider_job_id]))
        project.open("rq workflow")

        project.ended(third)
        found = statuses.workflow(third)
        assert [job.id for job in found.jobs] == [first.id, second.id, third.id]
        assert [job.root for job in found.jobs] == [None, first.id, first.id]
        assert found.depths == [0, 1, 2]

    def test_a_workflow_retried_where_it_stopped_goes_on_and_runs_nothing_twice(self, project: Project) -> None:
        first = project.send("fail_first", "rq stopped", 1)
        second = project.status(project.ask("send_after", "note", "rq after stopped", before=[first.provider_job_id]))
        project.ended(first)
        settled(project, first)
        found = statuses.workflow(second)
        assert (found.stopped, second.reload().state) == ([first], State.unqueued)

        for job in found.stopped:
            project.retry(job)

        project.ended(second)
        assert [job.state for job in statuses.workflow(first).jobs] == [State.succeeded] * 2
        assert (first.reload().attempt, second.attempt, second.data) == (1, 0, {"result": 1})

    def test_what_a_job_queues_is_its_child(self, project: Project) -> None:
        job = project.ended(send_own(project, "with_child"))

        child = project.ended(project.status(job.data["result"]))
        assert (child.parent, child.root) == (job.id, job.id)

    def test_a_job_that_asks_to_run_again_keeps_its_attempts_without_an_error(self, project: Project) -> None:
        job = send_own(project, "poll", 2)
        until(lambda: job.reload().attempt == 2 and job.is_ended, "the third attempt has ended")

        assert (job.state, job.data) == (State.succeeded, {"result": "there"})
        assert [attempt.errors for attempt in job.prior_attempts] == [[], []]

    def test_a_job_that_asks_too_often_fails_and_says_so(self, project: Project) -> None:
        job = send_own(project, "poll", 99)
        until(lambda: job.reload().attempt == 5 and job.is_ended, "the last attempt has ended")

        assert job.state is State.failed
        assert "once more than it may" in job.error_summary

    def test_a_job_that_repeats_is_one_job_with_an_attempt_each_time(self, project: Project) -> None:
        job = project.status(project.ask("send_repeated", "count", "rq repeated", times=2))
        until(lambda: job.reload().attempt == 2 and job.is_ended, "the third run has ended")

        assert [attempt.state for attempt in job.prior_attempts] == [State.succeeded] * 2
        assert project.noted("rq repeated") == 3

    def test_a_job_whose_own_callback_fails_has_failed_of_that(self, project: Project) -> None:
        ending = {"on_success": _calls("refuse"), "on_failure": _calls("note_failed")}

        job = project.ended(project.send("count", "rq refused", options=ending))

        assert (job.state, job.error_summary) == (State.failed, "LookupError: nobody wants rq refused")
        until(lambda: project.noted(f"failed {job.provider_job_id}"), "the callback of a failure ran")

    def test_a_job_that_dies_of_a_kill_request_calls_what_is_for_one_that_was_stopped(self, project: Project) -> None:
        job = project.send("cooperative", "rq asked", options={"on_failure": _calls("note_failed"), "on_stopped": _calls("note_stopped")})
        project.began("rq asked")

        job.request_kill()

        assert project.ended(job).state is State.killed
        until(lambda: project.noted(f"stopped {job.provider_job_id}"), "the callback of a stop ran")
        settled(project, job)
        assert (project.ask("state_in_rq", job.provider_job_id), project.noted(f"failed {job.provider_job_id}")) == ("stopped", 0)

    @pytest.mark.skipif(not hasattr(rq, "RateLimit"), reason="came with RQ 3")
    def test_a_job_that_waits_for_its_turn_is_unqueued_until_then(self, project: Project) -> None:
        first = project.status(project.ask("send_in_turn", "gated", "rq turn", key="turn"))
        second = project.status(project.ask("send_in_turn", "count", "rq turned", key="turn"))
        project.began("rq turn")
        assert (first.queued_at is not None, second.reload().state, project.forgotten(second)) == (True, State.unqueued, False)

        project.open("rq turn")

        assert project.ended(second).state is State.succeeded
        assert second.queued_at >= first.reload().succeeded_at

    @pytest.mark.skipif(not hasattr(rq, "RateLimit"), reason="came with RQ 3")
    def test_a_job_that_waits_for_its_turn_is_killed_as_any_that_waits(self, project: Project) -> None:
        first = project.status(project.ask("send_in_turn", "gated", "rq barred", key="barred"))
        second = project.status(project.ask("send_in_turn", "count", "rq bars", key="barred"))

        project.kill_now(second)

        assert second.reload().state is State.killed
        assert project.ask("state_in_rq", second.provider_job_id) == "canceled"
        project.open("rq barred")
        assert project.ended(first).state is State.succeeded

    def test_a_job_whose_process_dies_fails_and_says_why(self, project: Project) -> None:
        job = project.ended(send_own(project, "die"))
        until(lambda: job.reload().error_summary, "why")

        assert job.state is State.failed
        assert "Work-horse terminated unexpectedly" in job.error_summary

    def test_a_job_whose_process_dies_and_that_rq_retries_is_the_next_attempt(self, project: Project) -> None:
        job = send_own(project, "die", retry=_retry(1))
        until(lambda: job.reload().attempt == 1 and job.is_ended, "the second attempt has ended")

        assert job.state is State.failed
        assert job.prior_attempts[0].state is State.failed
        assert [attempt.error_summary.partition(";")[0] for attempt in (job.prior_attempts[0], job)] == [
            "Work-horse terminated unexpectedly"
        ] * 2

    def test_a_job_that_rq_requeues_is_the_next_attempt(self, project: Project) -> None:
        job = project.ended(project.send("fail_first", "rq requeued", 1))
        settled(project, job)

        project.ask("requeue", job.provider_job_id)

        until(lambda: job.reload().attempt == 1 and job.is_ended, "the second attempt has ended")
        assert (job.state, job.prior_attempts[0].state) == (State.succeeded, State.failed)

    def test_a_job_that_rq_has_forgotten_runs_again_from_the_call_that_was_kept(self, project: Project) -> None:
        job = project.ended(project.send("count", "rq forgotten", options={"result_ttl": 0}))
        before = job.provider_job_id

        project.retry(job)

        until(lambda: job.reload().attempt == 1 and job.is_ended, "the second attempt has ended")
        assert (job.state, project.noted("rq forgotten")) == (State.succeeded, 2)
        assert job.provider_job_id != before

    def test_arguments_that_json_changes_are_not_sent_again_once_rq_has_forgotten_them(self, project: Project) -> None:
        job = project.ended(project.send("take", (1, 2), options={"result_ttl": 0}))

        with pytest.raises(EngineCannot, match="more than JSON can give back"):
            project.retry(job)
        assert (job.reload().state, job.attempt) == (State.succeeded, 0)

    def test_a_retry_lets_what_waits_for_the_job_run(self, project: Project) -> None:
        first = project.send("fail_first", "rq unblocks", 1)
        after = project.status(project.ask("send_after", "add", 1, 2, before=[first.provider_job_id]))
        project.ended(first)

        project.retry(first)

        assert project.ended(after).state is State.succeeded

    def test_what_was_killed_is_stopped_in_rq(self, project: Project) -> None:
        job = project.send("cooperative", "rq stopped")
        project.began("rq stopped")
        job.request_kill()
        project.ended(job)

        until(lambda: project.ask("state_in_rq", job.provider_job_id) == "stopped", "RQ says stopped")

    def test_an_id_that_is_taken_leaves_one_status(self, project: Project) -> None:
        project.ask("send_unique", "count", "only-once")

        with pytest.raises(RuntimeError, match="DuplicateJobError"):
            project.ask("send_unique", "count", "only-once")

        assert statuses.where(provider_job_id="only-once").count() == 1

    def test_an_id_that_is_used_again_is_another_job(self, project: Project) -> None:
        first = project.ended(project.send("add", 1, 1, options={"job_id": "nightly"}))
        settled(project, first)
        project.send("add", 2, 2, options={"job_id": "nightly"})
        until(lambda: statuses.where(provider_job_id="nightly", state="succeeded").count() == 2, "both")

        assert [job.data["result"] for job in statuses.where(provider_job_id="nightly")] == [4, 2]
        assert first.reload().attempt == 0

    def test_a_job_of_an_untracked_publisher_appears_at_the_worker(self, project: Project) -> None:
        id = project.ask("send_untracked", "read_book", "Book:7")

        job = project.ended(until(lambda: statuses.find_by(provider_job_id=id), "the job"))
        assert (job.state, job.job_args, job.queue) == (State.succeeded, {"book": "Book:7"}, "main")

    def test_a_job_whose_scheduler_told_nobody_has_not_waited_since_it_was_sent(self, project: Project) -> None:
        job = project.send("add", 1, 1, later=3600)
        time.sleep(0.2)  # one that was let go at once is queued at once
        project.ask("let_go_unheard", job.provider_job_id)

        assert project.ended(job).state is State.succeeded
        assert job.queued_at > job.recorded_at
        assert job.wait_time == (job.started_at - job.queued_at).total_seconds()

    def test_workers_and_queues_are_told(self, project: Project, shared: Process) -> None:
        job = project.send("gated", "rq seen")
        project.began("rq seen")
        project.send("add", 1, 1, to="rq-depth")

        workers, queues = project.ask("seen")
        project.open("rq seen")

        (worker,) = [found for found in workers if list(found.running) == [job.id]]
        assert (worker.name, worker.pid, list(worker.queues)) == (job.reload().worker, shared.process.pid, ["main"])
        assert worker.is_alive
        assert [(found.depth, found.is_paused) for found in queues if found.name == "rq-depth"] == [(1, False)]


def test_an_outage_delays_one_job_at_most_and_what_ended_meanwhile_is_told(project: Project) -> None:
    project.start_worker("outage", "rq-outage", TEST_TIMEOUT="2")
    jobs = [project.send("count", f"rq outage {n}", to="rq-outage") for n in range(12)]
    first = project.send("gated", "rq outage", to="rq-outage-first")
    names = [f"rq outage {n}" for n in range(12, 24)]
    project.ended(jobs[-1])

    project.store.freeze()
    try:
        sent = [project.ask("send", "count", name, to="rq-outage") for name in names]
        began = time.monotonic()
        until(lambda: all(project.noted(name) for name in names), "all have run")
        seconds = time.monotonic() - began
        sent.append(project.ask("send", "with_progress", 3, to="rq-outage"))
        sent.append(project.ask("send", "count", "rq outage: the one after", to="rq-outage"))
        until(lambda: project.noted("rq outage: the one after"), "one that looks for its status has run too")
    finally:
        project.store.thaw()

    assert seconds < 16  # each of the twelve would have waited for 2 s
    assert first.reload().state is State.queued
    until(lambda: statuses.where(provider_job_id=sent, state="succeeded").count() == 14, "all are told")
    until(lambda: statuses.find_by(provider_job_id=project.ask("send", "add", 1, 1, to="nobody")), "the publisher knows that it is back")


def test_a_job_that_is_no_longer_in_rq_is_told_as_forgotten(project: Project) -> None:
    kept, lost = (project.send("add", 1, 1, to="nobody") for _ in range(2))

    project.broker.client(db=3).delete(f"rq:job:{lost.provider_job_id}")

    assert project.ask("forgotten", project.name, [kept.id, lost.id]) == [lost.id]


def test_a_job_that_is_put_off_is_forgotten_where_no_scheduler_will_find_it(project: Project) -> None:
    kept, dropped, gone, other = (project.send("add", 1, 1, to="nobody", later=3600) for _ in range(4))
    waits = project.status(project.ask("send_after", "add", 1, 1, before=[kept.provider_job_id]))

    project.ask("take_out", dropped.provider_job_id, "nobody")
    project.ask("delete", gone.provider_job_id)
    project.ask("give_to_rq_scheduler", other.provider_job_id, "nobody")

    jobs = [kept, dropped, gone, other, waits]
    assert [job.state for job in jobs] == [State.unqueued] * 5
    assert project.ask("forgotten", project.name, [job.id for job in jobs]) == [dropped.id, gone.id]


def test_a_job_that_waits_for_others_is_forgotten_once_all_of_them_are_gone_and_not_before(project: Project) -> None:
    first, second, failed = (project.send(*call, to="nobody") for call in (("add", 1, 1), ("add", 1, 1), ("fail", "no")))
    both = project.status(project.ask("send_after", "add", 1, 1, before=[first.provider_job_id, second.provider_job_id]))
    last = project.status(project.ask("send_after", "add", 1, 1, before=[both.provider_job_id]))
    after_failure = project.status(project.ask("send_after", "add", 1, 1, before=[failed.provider_job_id]))
    waiting = [both.id, last.id, after_failure.id]

    said = [project.ask("forgotten", project.name, waiting)]
    for job in (first, second):
        project.ask("remove", job.provider_job_id)
        said.append(project.ask("forgotten", project.name, waiting))

    assert said == [[], [], [both.id]]
    until(lambda: project.ask("reap", 1.0, waiting=True) and both.reload().state is State.unknown, "it is marked")
    assert (last.reload().state, after_failure.reload().state) == (State.unqueued, State.unqueued)


def test_a_job_of_which_one_that_it_waited_for_was_deleted_is_let_go_by_the_other(project: Project, shared: Process) -> None:
    deleted, kept = project.send("add", 1, 1, to="nobody"), project.send("gated", "the other")
    waits = project.status(project.ask("send_after", "add", 1, 1, before=[deleted.provider_job_id, kept.provider_job_id]))
    project.began("the other")
    project.ask("remove", deleted.provider_job_id)

    assert project.ask("forgotten", project.name, [waits.id]) == []
    project.open("the other")
    assert project.ended(waits).state is State.succeeded


def test_a_job_that_goes_from_the_schedule_into_its_queue_is_never_forgotten(project: Project) -> None:
    job = project.send("add", 1, 1, to="nobody", later=3600)

    assert project.ask("forgotten_while_it_is_let_go", job.id, "nobody", 200) == 0


def test_a_job_for_later_that_a_worker_without_our_class_ran_ends_as_rq_says(project: Project) -> None:
    job = project.send("count", "rq late plain", to="rq-late", later=3600)
    project.ask("let_go_unheard", job.provider_job_id, "rq-late")
    project.start_worker("late", "rq-late", how="plain_worker")
    until(lambda: project.ask("state_in_rq", job.provider_job_id) == "finished", "RQ says that it is over")
    untold = job.reload().state

    outcome = project.outcome(job)

    assert (untold, outcome and outcome.state, project.forgotten(job)) == (State.unqueued, State.succeeded, True)


def test_a_job_that_a_worker_without_our_class_ran_is_told_as_forgotten(project: Project) -> None:
    ran, kept = project.send("count", "rq plain", to="rq-plain"), project.send("add", 1, 1, to="nobody")

    project.start_worker("plain", "rq-plain", how="plain_worker")
    until(lambda: project.ask("state_in_rq", ran.provider_job_id) == "finished", "RQ says that it is over")

    assert (ran.reload().state, project.noted("rq plain")) == (State.queued, 1)
    assert project.ask("forgotten", project.name, [kept.id, ran.id]) == [ran.id]
    assert [project.outcome(job) and project.outcome(job).state for job in (ran, kept)] == [State.succeeded, None]


@pytest.mark.parametrize("id", ["two words", "half:\n", "é"])
def test_of_a_job_with_an_id_that_rq_has_for_none_nothing_is_known_and_rq_is_not_away(project: Project, id: str) -> None:
    job = statuses.create(engine=project.name, queue="nobody", provider_job_id=id).started("somebody")

    assert project.outcome(job) is None


def test_a_job_that_rq_cancels_is_killed(project: Project) -> None:
    job = project.send("add", 1, 1, to="nobody")

    project.ask("cancel", job.provider_job_id)

    assert job.reload().state is State.killed


def test_kill_now_says_why_a_worker_that_runs_jobs_in_itself_cannot(project: Project) -> None:
    project.start_worker("simple", "rq-simple", how="simple_worker")
    job = project.send("gated", "rq simple", to="rq-simple")
    project.began("rq simple")

    assert "runs its jobs in itself" in told(project, lambda worker: worker.queues == ("rq-simple",)).refuses["kill"]
    with pytest.raises(EngineCannot, match="runs its jobs in itself"):
        project.kill_now(job)

    project.open("rq simple")
    assert project.ended(job).state is State.succeeded
    assert job.kill_requested


@pytest.mark.skipif(not hasattr(rq, "RateLimit"), reason="RQ 2 gives such a process neither the class of the job nor a unix socket")
def test_a_worker_that_spawns_its_jobs_tracks_and_kills_them_where_their_class_is_the_projects_own(project: Project) -> None:
    project.start_worker("spawn", "rq-spawn", how="spawn_worker")
    added, failed, stands = (project.send(*call, to="rq-spawn") for call in (("add", 1, 2), ("fail", "oh"), ("gated", "rq spawned")))
    project.began("rq spawned")
    assert told(project, lambda worker: worker.queues == ("rq-spawn",)).running == (stands.id,)

    project.kill_now(stands)

    assert [project.ended(job).state for job in (added, failed, stands)] == [State.succeeded, State.failed, State.killed]
    assert (added.data, failed.error_summary) == ({"result": 3}, "ValueError: oh")


def test_a_job_whose_worker_is_gone_is_not_killed_and_fails_once_rq_gives_it_up(project: Project) -> None:
    worker = project.start_worker("gone", "rq-gone")
    job = project.send("gated", "rq gone", to="rq-gone")
    project.began("rq gone")
    worker.kill()

    until(lambda: _cannot_kill(project, job), "the server has seen that the worker is gone")
    assert [found.is_alive for found in project.ask("seen")[0] if found.name == job.reload().worker] == [False]
    project.ask("clean_up", "rq-gone")

    assert project.ended(job).state is State.failed
    assert "AbandonedJobError" in job.error_summary


def test_a_job_that_rqs_housekeeping_gives_up_and_that_ends_all_the_same_has_ended_so(project: Project) -> None:
    project.start_worker("frozen", "rq-frozen")
    job = project.send("gated", "rq frozen", to="rq-frozen")
    project.began("rq frozen")

    project.ask("clean_up", "rq-frozen")
    given_up = job.reload().state, job.error_group
    project.open("rq frozen")

    until(lambda: job.reload().state is State.succeeded, "it has succeeded")
    assert given_up == (State.failed, "rq.exceptions.AbandonedJobError")


def test_a_job_that_was_sent_again_is_not_sent_by_rqs_housekeeping_too(project: Project) -> None:
    worker = project.start_worker("lost", "rq-twice")
    job = project.send("gated", "rq twice", to="rq-twice", retries=1)
    project.began("rq twice")
    worker.kill()
    job.failed(error="its worker is lost")  # as the reaper does
    project.retry(job)

    project.ask("clean_up", "rq-twice")
    project.start_worker("next", "rq-twice")
    until(lambda: project.noted("began:rq twice") == 2, "it runs again")
    project.open("rq twice")

    project.ended(job)
    project.ended(project.send("add", 1, 1, to="rq-twice"))
    assert (job.reload().state, job.attempt, project.noted("began:rq twice")) == (State.succeeded, 1, 2)


def test_a_stopping_worker_finishes_its_job(project: Project) -> None:
    worker = project.start_worker("warm", "rq-warm")
    job = project.send("gated", "rq warm", to="rq-warm")
    project.began("rq warm")

    os.kill(worker.process.pid, signal.SIGTERM)
    project.open("rq warm")

    assert project.ended(job).state is State.succeeded


def _cannot_kill(project: Project, job: statuses.Status) -> bool:
    try:
        project.kill_now(job)
    except EngineCannot as error:
        return "it is gone" in str(error)
    return False


def _retry(times: int) -> Any:
    return rq.Retry(max=times)


def _calls(function: str) -> Any:
    return rq.Callback(f"tests.projects.rq_project.{function}")


def told(project: Project, wanted: Any) -> Any:
    """A worker that is as wanted, once there is one."""
    return until(lambda: next((worker for worker in project.ask("seen")[0] if wanted(worker)), None), "a worker is so")


def test_what_a_worker_of_rq_3_runs_is_seen_by_rq_2_too(project: Project) -> None:
    jobs, broker = [project.send("add", 1, 1, to="nobody") for _ in range(2)], project.broker.client(db=3)
    broker.sadd("rq:workers", "rq:worker:of three")
    broker.hset("rq:worker:of three", mapping={"hostname": "elsewhere", "pid": 1, "state": "busy"})
    broker.sadd("rq:worker:of three:executions", *(f"{job.provider_job_id}:{number}" for number, job in enumerate(jobs)))
    try:
        worker = told(project, lambda worker: worker.name == "of three")
    finally:
        broker.srem("rq:workers", "rq:worker:of three")

    assert set(worker.running) == {job.id for job in jobs}


def test_a_stopped_worker_says_so_finishes_its_job_and_is_gone(project: Project) -> None:
    worker = project.start_worker("rqstop", "rqstop")
    job = project.send("gated", "rq stop", to="rqstop")
    project.began("rq stop")
    name = told(project, lambda worker: worker.queues == ("rqstop",)).name

    project.ask("control", "stop_worker", name)
    told(project, lambda worker: worker.name == name and worker.is_stopping)
    project.open("rq stop")
    worker.process.wait(PATIENCE)

    assert project.ended(job).state is State.succeeded
    assert name not in [worker.name for worker in project.ask("seen")[0]]


def test_a_worker_that_is_gone_is_not_told_to_stop(project: Project) -> None:
    worker = project.start_worker("rqgone", "rqgone")
    name = told(project, lambda worker: worker.queues == ("rqgone",)).name
    worker.kill()
    told(project, lambda worker: worker.name == name and not worker.is_alive)

    with pytest.raises(EngineCannot, match="it does not listen"):
        project.ask("control", "stop_worker", name)


def test_a_pause_holds_every_queue_of_rq_once_what_runs_has_ended(project: Project) -> None:
    project.start_worker("rqheld", "rqheld")
    running, waits = project.send("gated", "rq held", to="rqheld"), project.send("add", 1, 1, to="rqheld")
    project.began("rq held")

    first = project.ask("control", "pause_queue", "rqheld")
    again = project.ask("control", "pause_queue", "rqheld")
    try:
        project.open("rq held")
        held = told(project, lambda worker: worker.held == ("rqheld",))
        lines = {queue.is_paused for queue in project.ask("seen")[1]}
        states = running.reload().state, waits.reload().state
    finally:
        project.ask("control", "resume_queue", "rqheld")

    assert (first, again) == (True, False)
    assert held.queues == ("rqheld",) and held.is_alive
    assert lines == {True}
    assert states == (State.succeeded, State.queued)
    assert project.ended(waits).state is State.succeeded


def test_rq_says_why_it_renews_no_pool(project: Project) -> None:
    project.start_worker("rqpool", "rqpool")
    name = told(project, lambda worker: worker.queues == ("rqpool",)).name

    with pytest.raises(EngineCannot, match="RQ has no pool"):
        project.ask("control", "restart_pool", name)


@pytest.mark.parametrize("alive_for", ["45", "0"], ids=["heard", "silent"])
def test_a_running_job_that_was_asked_to_die_is_left_to_its_worker_though_others_are_given_it(project: Project, alive_for: str) -> None:
    queue = f"twice-{alive_for}"
    project.start_worker("first", queue)
    job = project.send("gated", queue, to=queue)
    project.began(queue)
    job.request_kill(by="anna")
    runs = project.ask("runs_in_rq", job.provider_job_id, queue)

    for _ in range(2):
        project.ask("hand_out_again", job.provider_job_id, queue)
    project.start_worker("second", queue, TEST_ALIVE_FOR=alive_for)
    project.becomes(project.send("count", f"after {queue}", to=queue), "succeeded")
    runs_after = project.ask("runs_in_rq", job.provider_job_id, queue)
    said = job.reload().state, job.kill_requested, job.worker
    project.open(queue)

    project.ended(job)
    assert runs_after == runs == ("started", job.worker, 1)
    assert said == (State.started, True, job.worker)
    assert (job.state, job.attempt, project.noted(f"began:{queue}")) == (State.succeeded, 0, 1)
    until(lambda: project.ask("state_in_rq", job.provider_job_id) == "finished", "RQ knows that it has succeeded")


def test_a_job_that_was_asked_to_die_and_is_given_to_another_worker_is_killed_where_its_first_one_is_dead(project: Project) -> None:
    first = project.start_worker("first", "twice-dead")
    job = project.send("gated", "twice-dead", to="twice-dead")
    project.began("twice-dead")
    job.request_kill(by="anna")
    first.kill()

    project.start_worker("second", "twice-dead", TEST_ALIVE_FOR="0")
    project.ask("hand_out_again", job.provider_job_id, "twice-dead")

    project.ended(job)
    assert (job.state, job.attempt, project.noted("began:twice-dead")) == (State.killed, 0, 1)
    until(lambda: project.ask("state_in_rq", job.provider_job_id) == "stopped", "RQ knows that it was stopped")
