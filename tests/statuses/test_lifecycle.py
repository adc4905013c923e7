"""What a job goes through: states, moments, restarts, attempts."""

from datetime import timedelta

import pytest

import statuses
from statuses import State
from statuses.testing import frozen_clock, make_status

pytestmark = pytest.mark.usefixtures("store")
VERBS = ["unqueued", "queued", "started", "succeeded", "failed", "killed", "unknown"]


@pytest.mark.parametrize("source", VERBS)
@pytest.mark.parametrize("target", [verb for verb in VERBS if verb != "started"])
def test_any_state_may_be_entered_from_any(source, target):
    status = make_status(source)

    getattr(status, target)()

    assert status.state == target
    assert statuses.find(status.id).state == target
    assert getattr(status, f"is_{target}")


def test_the_first_entry_records_the_moment_and_later_ones_keep_it():
    with frozen_clock() as clock:
        status = statuses.create(job_name="a").queued()
        first = clock.now
        clock.tick(5)
        status.unqueued()
        clock.tick(5)
        status.queued()

    assert status.queued_at == first


def test_entering_the_present_state_changes_nothing():
    with frozen_clock() as clock:
        status = make_status("failed")
        at = status.failed_at
        clock.tick(60)
        status.failed()

    assert status.failed_at == at
    assert not status.changed


def test_every_state_has_its_moment_with_microseconds():
    status = make_status("succeeded")

    assert status.recorded_at <= status.queued_at <= status.started_at <= status.succeeded_at
    assert status.recorded_at.tzinfo is not None
    assert status.ended_at == status.succeeded_at
    assert status.failed_at is None and status.killed_at is None


def test_wait_runs_from_queued_to_started_and_run_to_the_end():
    with frozen_clock() as clock:
        status = statuses.create(job_name="a")
        clock.tick(3)
        status.queued()
        clock.tick(10)
        status.started()
        clock.tick(2.5)
        status.failed()

    assert status.wait_time == 10
    assert status.run_time == 2.5


def test_a_job_that_was_never_queued_waits_from_its_recording():
    with frozen_clock() as clock:
        status = statuses.create(job_name="a")
        clock.tick(7)
        status.started()

    assert status.wait_time == 7
    assert status.run_time is None


def test_moments_out_of_order_give_no_wait():
    with frozen_clock() as clock:
        status = statuses.create(job_name="a", state="started")
        clock.tick(5)
        status.queued()

    assert status.wait_time is None


def test_leaving_an_ended_state_takes_the_run_time_back():
    with frozen_clock() as clock:
        status = make_status("started")
        clock.tick(4)
        status.failed()
        assert status.run_time == 4

        status.queued()

    assert status.run_time is None
    assert status.ended_at is None


def test_the_run_time_belongs_to_the_ended_state_it_is_in():
    with frozen_clock() as clock:
        status = make_status("started")
        clock.tick(1)
        status.failed()
        clock.tick(1)
        status.succeeded()
        assert status.run_time == 2

        status.failed()

    assert status.run_time == 1


def test_started_again_is_a_restart_that_archives_what_was():
    with frozen_clock() as clock:
        status = make_status("started", job_args={"book": "Book:53"}, queue="q", user="u", call={"args": [1]}, provider_job_id="p")
        status.set_progress(0.4, message="half").save({"n": 1}).add_error("boom 1")
        clock.tick(9)
        status.failed()
        clock.tick(1)

        status.started(worker="worker-2")

    assert status.attempt == 1
    assert status.state is State.started
    assert (status.job_name, status.queue, status.user, status.provider_job_id) == ("tests.job", "q", "u", "p")
    assert status.job_args == {"book": "Book:53"}
    assert status.call == {"args": [1]}
    assert (status.progress, status.progress_message, status.data, status.errors, status.error_group) == (None, None, None, [], None)
    assert status.failed_at is None and status.run_time is None
    assert status.worker == "worker-2"
    [before] = status.prior_attempts
    assert before.state is State.failed
    assert (before.run_time, before.progress, before.progress_message) == (9, 0.4, "half")
    assert (before.data, before.errors, before.worker) == ({"n": 1}, ["boom 1"], "worker-1")
    assert before.id == f"{status.id}:0" and before.attempt == 0


def test_a_restart_keeps_recorded_and_queued():
    with frozen_clock() as clock:
        status = make_status("failed")
        recorded, queued = status.recorded_at, status.queued_at
        clock.tick(100)

        status.started()

    assert (status.recorded_at, status.queued_at) == (recorded, queued)


def test_an_archived_attempt_is_found_by_its_id_and_never_counted():
    status = make_status("failed").started()

    found = statuses.find(f"{status.id}:0")

    assert found.state is State.failed
    assert statuses.find(f"{status.id}:1") is None
    assert statuses.all().count() == 1
    assert statuses.where(id=f"{status.id}:0").count() == 0


@pytest.mark.parametrize("number", ["00", "01", "-0", "٠", "9" * 5000, "", " 0"])
def test_an_attempt_is_found_by_its_id_alone_however_else_the_number_is_spelled(number):
    status = make_status("failed").started()
    own = make_status("failed", id="own").started()

    assert statuses.find(f"{status.id}:0") is not None is not statuses.find(f"{own.id}:0")
    assert statuses.find(f"{status.id}:{number}") is None is statuses.find(f"{own.id}:{number}")


def test_an_archived_attempt_has_no_children_of_its_own():
    status = make_status("failed").started()

    with pytest.raises(statuses.ReadOnlyAttempt):
        status.prior_attempts[0].spawn("part")

    assert status.children.count() == 0


def test_an_archived_attempt_is_read_only():
    attempt = make_status("failed").started().prior_attempts[0]

    with pytest.raises(statuses.ReadOnlyAttempt, match=attempt.id):
        attempt.succeeded()
    with pytest.raises(statuses.ReadOnlyAttempt):
        attempt.set_progress(0.5)
    with pytest.raises(statuses.ReadOnlyAttempt):
        attempt.delete(force=True)


def test_an_archived_attempt_stays_what_it_is_when_it_is_read_anew():
    first = make_status("failed", error="e").started().prior_attempts[0]

    assert first.reload() is first
    assert (first.state, first.attempt, first.errors, first.prior_attempts, first.children.count()) == ("failed", 0, ["e"], [], 0)


def test_a_restart_from_succeeded_leaves_no_ghost():
    status = make_status("succeeded")

    status.started()

    assert statuses.where(state="succeeded").count() == 0
    assert statuses.where(succeeded_at=(None, None)).count() == 0
    assert statuses.all().counts()[State.started] == 1
    assert sum(statuses.all().counts().values()) == 1


@pytest.mark.parametrize("end", ["succeeded", "failed", "killed"])
def test_a_restart_takes_the_end_with_it(end):
    status = make_status("started").set_progress(1, 2, message="half of it, said at such length that it is kept apart from short texts")
    getattr(status, end)()

    status.started()

    assert getattr(status, f"{end}_at") is None
    assert (status.ended_at, status.progress, status.progress_message, status.run_time) == (None, None, None, None)
    assert statuses.where(**{f"{end}_at": (None, None)}).count() == 0
    assert statuses.where(ended_at=(None, None)).count() == 0
    assert getattr(status.prior_attempts[0], f"{end}_at") is not None
    assert status.prior_attempts[0].progress_message.startswith("half of it")


def test_a_restart_of_a_job_that_was_never_queued_works():
    status = statuses.create(job_name="a").started().started()

    assert status.attempt == 1
    assert status.queued_at is None


def test_requeued_archives_at_once_and_waits_anew():
    with frozen_clock() as clock:
        status = make_status("failed")
        clock.tick(30)
        status.requeued()
        assert (status.state, status.attempt, status.queued_at) == ("queued", 1, clock.now)
        assert status.prior_attempts[0].state == "failed"
        clock.tick(4)

        status.started()

    assert status.attempt == 1
    assert status.wait_time == 4


def test_requeued_on_a_job_that_neither_ran_nor_ended_archives_nothing():
    status = statuses.create(job_name="a").requeued()
    assert (status.state, status.attempt) == ("queued", 0)

    status.requeued()

    assert status.attempt == 0
    assert not status.changed


def test_many_restarts_keep_every_attempt_in_order():
    status = make_status("started")
    for number in range(5):
        status.save({"n": number}).failed().started()

    assert [attempt.data["n"] for attempt in status.prior_attempts] == [0, 1, 2, 3, 4]
    assert [attempt.attempt for attempt in status.prior_attempts] == [0, 1, 2, 3, 4]


def test_succeeded_sets_progress_to_one():
    assert make_status("started").set_progress(0.3).succeeded().progress == 1.0


def test_a_result_given_with_the_end_sets_progress_to_one_and_replaces_nothing_that_was_saved():
    status = make_status("started").set_progress(1, 4)
    saved = make_status("started").save({"own": 1})

    assert status.succeeded(data=[1]).progress == 1.0
    assert status.data == [1]
    assert saved.succeeded(data={"result": 2}).data == {"own": 1}


def test_a_guarded_write_changes_only_the_attempt_it_speaks_of():
    status = make_status("failed").started()

    assert not status.succeeded(attempt=0).changed
    assert status.state == "started"
    assert status.succeeded(attempt=1).changed


def test_a_guarded_write_leaves_only_the_states_it_may_leave():
    status = make_status("started")

    assert not status.queued(sources={"unqueued"}).changed
    assert status.state == "started"
    assert not status.failed(sources=set()).changed
    assert status.failed(sources={"started", "queued"}).changed


def test_started_with_its_attempt_given_is_no_restart_when_repeated():
    status = statuses.create(job_name="a", state="queued")

    assert status.started(attempt=0).changed
    assert not status.started(attempt=0).changed
    assert status.attempt == 0
    assert status.prior_attempts == []


def test_states_of_the_whole_life_answer_the_predicates():
    for state in VERBS:
        status = make_status(state)
        assert status.is_completed == (state in ("succeeded", "failed"))
        assert status.is_incomplete == (not status.is_completed)
        assert status.is_ended == (state in ("succeeded", "failed", "killed"))


def test_expires_after_retention_counted_from_the_end():
    with frozen_clock() as clock:
        status = make_status("started")
        clock.tick(100)
        ended = clock.now
        status.succeeded()

    assert status.expires_at == ended + timedelta(days=30)
    assert status.keep_for(timedelta(hours=1)).expires_at == ended + timedelta(hours=1)
    assert status.keep_for(None).expires_at == ended + timedelta(days=30)
    assert make_status("failed").expires_at > ended + timedelta(days=179)


def test_a_job_that_was_killed_twice_in_one_attempt_is_not_asked_to_die_again(store):
    status = make_status("queued").killed().queued()
    status.request_kill("ops")
    status.killed()
    assert status.reload().kill_requested

    status.queued()

    assert not status.reload().kill_requested
    status.started(refuse_killed=True).check_kill()


@pytest.mark.parametrize("how", [{}, {"undo_for": timedelta(minutes=10)}], ids=["for good", "to be undone"])
def test_a_job_killed_while_it_waited_is_refused_although_it_was_removed(store, how):
    status = make_status("queued")
    status.request_kill(by="ops").killed()
    statuses.where(state="killed").delete_all(only_ended=True, **how)

    with pytest.raises(statuses.KillRequested):
        statuses.at(status.id).started(refuse_killed=True)
    with pytest.raises(statuses.StatusNotFound):
        statuses.at(status.id).started()
    assert statuses.all().count() == 0


def test_of_other_jobs_that_were_removed_nobody_is_told_that_they_were_killed(store):
    waited, ran, other = make_status("queued"), make_status("started").killed(), make_status("queued").killed()
    for status in (waited, ran, other):
        status.delete(force=True)
    other = statuses.at(other.id[:-1] + ("0" if other.id[-1] != "0" else "1"))

    for status in (waited, ran, other):
        with pytest.raises(statuses.StatusNotFound):
            statuses.at(status.id).started(refuse_killed=True)


def test_an_attempt_that_went_with_its_job_is_not_found_when_it_is_read_anew():
    job = make_status("failed", data="first")
    job.started()
    attempt = job.prior_attempts[0]
    assert attempt.reload().data == "first"

    job.delete(force=True)

    with pytest.raises(statuses.StatusNotFound):
        attempt.reload()
