"""A job that runs here, whose store does not always answer."""

from typing import Any

import pytest

import statuses
from statuses import KillRequested, State, Status, StoreUnavailable
from statuses.engines import attempts
from statuses.engines.celery.adapter import Adapter
from statuses.engines.celery.messages import header, read
from statuses.engines.celery.tracing import Run as CeleryRun
from statuses.engines.runs import Run
from statuses.engines.tracker import Tracker

pytestmark = pytest.mark.usefixtures("store")


def a_run(job: Status) -> Run:
    """Of an engine that says of every delivery that it may be another one."""
    return Run(tracker=Tracker("tests"), job_name="tests.job", handle=lambda: statuses.at(job.id), worker="w1", redelivered=True)


def a_celery_run(job: Status) -> CeleryRun:
    request = {"id": "task", "task": "tests.job", "hostname": "w1", "delivery_info": {"redelivered": True}}
    message = read({**request, "job_status": header(job.id, "task", 0)})
    assert message is not None
    return CeleryRun(adapter=Adapter(None, "tests", None, None, (), True, 15), message=message, attempt=0)


@pytest.fixture(params=[a_run, a_celery_run])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One of a job; the store does not answer its first start, which arrives all the same."""
    job = statuses.create(job_name="tests.job", state="queued", provider_job_id="task")
    lost, start = [], attempts.start

    def unanswered(*args: Any, **kwargs: Any) -> int | None:
        attempt = start(*args, **kwargs)
        if not lost:
            lost.append(attempt)
            raise StoreUnavailable("somewhere", "no answer")
        return attempt

    monkeypatch.setattr(attempts, "start", unanswered)
    found = request.param(job)
    with pytest.raises(StoreUnavailable):
        found._start() if isinstance(found, Run) else found.start()
    return found


def again(run: Any) -> Status:
    """What the next sign of life does; the job."""
    run._start() if isinstance(run, Run) else run.start()
    return statuses.at(run._known.id).reload()


def test_a_start_whose_answer_was_lost_is_no_other_attempt_when_it_is_told_again(run: Any) -> None:
    job = again(run)

    assert (job.state, job.attempt, job.prior_attempts) == (State.started, 0, [])
    assert (run.told, run.attempt) == (True, 0)


def test_a_job_that_another_worker_left_is_another_attempt_all_the_same(run: Any) -> None:
    statuses.at(run._known.id).started("w0")  # its own start, which comes after ours

    job = again(run)

    assert (job.state, job.attempt, job.worker) == (State.started, 2, "w1")


def test_what_this_worker_had_started_before_is_another_attempt(run: Any) -> None:
    run._began += 3600

    assert again(run).attempt == 1


def test_a_job_that_is_handed_out_again_after_it_was_asked_to_die_is_killed_where_its_engine_knows_of_no_run_before() -> None:
    job = statuses.create(job_name="tests.job", state="queued", provider_job_id="task")
    a_run(job).start()
    job.request_kill()

    with pytest.raises(KillRequested):
        a_run(job).start()

    assert (job.reload().state, job.attempt) == (State.killed, 0)


def test_a_job_that_began_in_an_outage_and_was_asked_to_die_is_not_killed_by_its_own_sign_of_life() -> None:
    job = statuses.create(job_name="tests.job", state="queued", provider_job_id="task").started("w0").request_kill()
    run = a_run(job)
    run.tracker.guard._away = True
    run.start()
    run.tracker.guard._away = False

    run._beat()

    assert job.reload().state is State.started


def test_a_job_that_starts_in_an_outage_and_ends_after_it_before_any_sign_of_life_has_ended() -> None:
    job = statuses.create(job_name="tests.job", state="queued", provider_job_id="task")
    run = a_run(job)
    run.tracker.guard._away = True
    run.start()
    run.enter()
    run.tracker.guard._away = False

    run.leave()
    run.end(State.succeeded, result=42)

    assert (job.reload().state, job.attempt, job.data) == (State.succeeded, 0, {"result": 42})


def test_a_job_that_was_removed_before_it_began_is_not_spoken_of_in_an_outage_either() -> None:
    job = statuses.create(job_name="tests.job", state="queued", provider_job_id="task")
    run = a_run(job)
    job.delete(force=True)
    run.start()
    run.tracker.guard._away = True

    run.end(State.succeeded)

    assert list(run.tracker.guard._late) == []
