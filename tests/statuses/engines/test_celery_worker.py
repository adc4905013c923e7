"""What Celery alone does, with a real prefork worker; the rest is in the contract."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from billiard.exceptions import TimeLimitExceeded
from celery import VERSION, Celery, chain, group

import statuses
from statuses import State, reaper, store, waiting
from statuses.engines import celery as tracking
from statuses.engines import registry
from statuses.engines.celery import worker as in_worker
from statuses.engines.celery.messages import HEADER, header
from statuses.testing import frozen_clock
from tests.servers import Worker, until

pytestmark = pytest.mark.usefixtures("worker")


@pytest.mark.parametrize("how", ["header", "block", "parent"])
def test_the_user_comes_along(world: Any, how: str) -> None:
    if how == "header":
        job = world.send(world.tasks.nothing.s(), headers={"user": "deploy"})
    elif how == "block":
        with tracking.as_user("deploy"):
            job = world.send(world.tasks.nothing.s())
    else:
        above = world.ended(world.send(world.tasks.with_children.s(1), headers={"user": "deploy"}))
        job = statuses.find_by(parent=above.id)

    assert world.ended(job).user == "deploy"


def test_a_retry_is_the_next_attempt_and_the_failed_one_is_kept(world: Any) -> None:
    job = world.ended(world.send(world.tasks.fail_twice.s("third time")))

    first, second = job.prior_attempts
    assert (job.state, job.attempt, job.data) == (State.succeeded, 2, {"result": "third time"})
    assert [(a.state, a.error_summary) for a in (first, second)] == [
        (State.failed, "ValueError: not yet 0"),
        (State.failed, "ValueError: not yet 1"),
    ]
    assert job.queued_at > second.started_at
    assert job.provider_job_id == first.provider_job_id


def test_the_last_automatic_retry_fails(world: Any) -> None:
    job = world.ended(world.send(world.tasks.always_broken.s()))

    assert (job.state, job.attempt) == (State.failed, 1)
    assert [error["message"] for error in job.errors] == ["broken for good"]
    assert job.errors[0]["frames"][-1]["function"] == "always_broken"


def test_a_retry_for_later_does_not_count_its_delay_as_waiting(world: Any) -> None:
    job = world.send(world.tasks.fail_once_then_wait.s("waits-true"))
    until(lambda: job.reload().attempt == 1, "the second attempt")
    between = job.state

    world.ended(job)

    assert between is State.unqueued
    assert job.state is State.succeeded
    assert (job.queued_at - job.prior_attempts[0].failed_at).total_seconds() >= 0.3
    assert job.wait_time == (job.started_at - job.queued_at).total_seconds()


def test_a_job_that_polls_keeps_its_attempts_without_an_error(world: Any) -> None:
    job = world.ended(world.send(world.tasks.poll.s(2)))

    assert (job.state, job.attempt) == (State.succeeded, 2)
    assert [attempt.errors for attempt in job.prior_attempts] == [[], []]


def test_a_job_for_later_is_unqueued_until_it_is_due(world: Any) -> None:
    job = world.send(world.tasks.add.s(1, 1), countdown=0.6)
    before = job.state

    world.ended(job)

    assert before is State.unqueued
    assert job.state is State.succeeded
    assert (job.queued_at - job.recorded_at).total_seconds() >= 0.5
    assert job.wait_time == (job.started_at - job.queued_at).total_seconds()
    assert datetime.fromisoformat(job.call["options"]["eta"]) > job.recorded_at


def test_a_job_that_expired_is_killed_and_says_why(world: Any) -> None:
    job = world.ended(world.send(world.tasks.nothing.s(), expires=datetime.now(UTC) - timedelta(seconds=5)))

    assert job.state is State.killed
    assert job.started_at is None
    assert job.error_summary == "celery.exceptions.TaskRevokedError: expired before it started"


def test_a_task_no_worker_knows_fails(world: Any) -> None:
    job = world.ended(world.send("no.such.task", args=["Book:1"]))

    assert job.state is State.failed
    assert job.error_summary == "celery.exceptions.NotRegistered: 'no.such.task'"
    assert job.job_args == {"0": "Book:1"}


def test_a_message_that_nobody_can_decode_fails_its_job_and_one_without_our_mark_makes_none(
    world: Any, start_worker: Callable[..., Worker]
) -> None:
    job = world.send(world.tasks.count.s("unreadable"), queue="unreadable")
    broker = world.broker.client()
    message = json.loads(broker.lpop("unreadable"))
    message["body"] = base64.b64encode(b"{no JSON").decode()
    broker.lpush("unreadable", json.dumps(message))
    unmarked = {name: value for name, value in message["headers"].items() if name != HEADER} | {"id": uuid4().hex}
    tag = {"properties": {**message["properties"], "delivery_tag": uuid4().hex}}
    broker.lpush("unreadable", json.dumps({**message, **tag, "headers": unmarked}))

    start_worker("unreadable", queues="unreadable", count=1)

    assert (world.ended(job).state, job.started_at) == (State.failed, None)
    assert [error["class"] for error in job.errors] == ["kombu.exceptions.DecodeError"]
    world.ended(world.send(world.tasks.nothing.s(), queue="unreadable"))
    assert statuses.find_by(provider_job_id=unmarked["id"]) is None
    assert (world.noted("unreadable"), broker.llen("unreadable")) == (0, 0)


def test_a_result_that_celery_cannot_keep_fails_the_job_as_in_celery(world: Any) -> None:
    job = world.ended(world.send(world.tasks.unjson_result.s()))

    assert job.state is State.failed
    assert "not JSON serializable" in job.error_summary


def test_a_result_that_is_ignored_is_not_kept(world: Any) -> None:
    job = world.ended(world.send(world.tasks.unjson_ignored_result.s()))

    assert (job.state, job.data) == (State.succeeded, None)


@pytest.mark.parametrize("thing", ["x" * 300_000, {1, 2}, float("nan")], ids=["huge", "a set", "nan"])
def test_arguments_that_are_not_kept_are_shown_and_not_sent_again(world: Any, thing: Any) -> None:
    job = world.ended(world.send(world.tasks.with_odd_arguments.s(thing)))

    assert job.state is State.succeeded
    assert job.call["args"][0].keys() == {"repr"}
    assert len(str(job.call)) < 5000
    with pytest.raises(statuses.EngineCannot, match="arguments were not kept"):
        job.retry()


@pytest.mark.parametrize("thing", [(1, 2), {1: "one"}, {"pages": [(1, 2)]}])
def test_arguments_that_json_would_change_are_shown_and_not_sent_again(world: Any, thing: Any) -> None:
    job = world.ended(world.send(world.tasks.needs.s(thing)))

    with pytest.raises(statuses.EngineCannot, match="more than JSON can give back"):
        job.retry()
    assert (job.reload().state, job.attempt) == (State.failed, 0)


def test_a_retry_is_sent_by_the_serializer_of_the_call(world: Any) -> None:
    job = world.ended(world.send(world.tasks.needs.s([1, 2])))

    job.retry()

    assert (world.ended(job).attempt, world.noted("needs:list")) == (1, 2)
    assert job.call["options"]["serializer"] == "pickle"


def test_a_soft_time_limit_fails_the_job(world: Any) -> None:
    job = world.ended(world.send(world.tasks.over_the_soft_limit.s()))

    assert job.state is State.failed
    assert "SoftTimeLimitExceeded" in job.error_summary


def test_a_hard_time_limit_fails_the_job_once_although_its_task_swallows(world: Any) -> None:
    job = world.ended(world.send(world.tasks.over_the_limit.s("never")))
    # The process is replaced: what was still to be told is told by then.
    world.ended(world.send(world.tasks.nothing.s()))

    assert job.reload().state is State.failed
    assert len(job.errors) == 1
    assert "TimeLimitExceeded" in job.error_summary


def test_a_job_whose_process_is_lost_fails(world: Any) -> None:
    job = world.ended(world.send(world.tasks.die.s()))

    assert job.state is State.failed
    assert "WorkerLostError" in job.error_summary


@pytest.mark.skipif(VERSION < (5, 6), reason="Celery does so since 5.6")
def test_a_job_that_celery_sends_again_after_a_lost_process_is_the_next_attempt(world: Any) -> None:
    job = world.ended(world.send(world.tasks.die_once.s()))

    assert (job.state, job.attempt, job.data) == (State.succeeded, 1, {"result": "second life"})
    assert "WorkerLostError" in job.prior_attempts[0].error_summary


def test_a_task_that_asks_to_be_ignored_has_succeeded(world: Any) -> None:
    job = world.ended(world.send(world.tasks.ignored.s()))

    assert (job.state, job.data) == (State.succeeded, None)


def test_a_rejected_job_has_failed(world: Any) -> None:
    job = world.ended(world.send(world.tasks.rejected.s()))

    assert (job.state, job.error_summary) == (State.failed, "ValueError: no good")


def test_a_job_that_is_put_back_runs_as_its_next_attempt(world: Any) -> None:
    job = world.ended(world.send(world.tasks.put_back_once.s("put back")))

    assert (job.state, job.attempt, job.data) == (State.succeeded, 1, {"result": "put back"})


def test_a_job_that_cannot_be_put_back_has_failed(world: Any) -> None:
    job = world.ended(world.send(world.tasks.put_back_too_late.s("put back too late")))

    assert (job.state, job.attempt, world.noted("put back too late")) == (State.failed, 0, 1)
    assert "its message is acknowledged" in job.error_summary


def test_a_job_whose_errback_cannot_be_sent_has_failed(world: Any) -> None:
    job = world.ended(world.send(world.tasks.fail.s("no errback").set(link_error=world.tasks.cannot_be_an_errback.s())))

    assert (job.state, job.attempt) == (State.failed, 0)
    assert "ValueError: no errback" in str(job.errors)


def test_calls_in_place_are_no_jobs_whatever_becomes_of_them(world: Any) -> None:
    before = {job.id for job in statuses.all()}
    outcomes = [
        world.tasks.add.apply((1, 2)),
        world.tasks.fail.apply(("in place",)),
        world.tasks.fail_twice.apply(("in place",)),
        world.tasks.always_broken.apply(),
    ]
    inside = world.ended(world.send(world.tasks.calls_in_place.s()))

    assert [outcome.state for outcome in outcomes] == ["SUCCESS", "FAILURE", "SUCCESS", "FAILURE"]
    assert {job.id for job in statuses.all()} - before == {inside.id}


def test_a_replaced_task_goes_on_as_the_same_job(world: Any) -> None:
    job = world.ended(world.send(world.tasks.replaced.s()))

    assert (job.state, job.attempt, job.data) == (State.succeeded, 1, {"result": 42})
    assert job.job_name == "tests.celeryapp.add"


def test_a_replaced_job_that_is_retried_by_hand_is_once_more_what_it_was_sent_as(world: Any) -> None:
    job = world.ended(world.send(world.tasks.replaced.s()))

    job.retry()

    assert (job.job_name, job.attempt) == ("tests.celeryapp.replaced", 2)
    until(lambda: job.reload().attempt == 3 and job.is_ended, "it was replaced again")
    assert (job.job_name, job.data) == ("tests.celeryapp.add", {"result": 42})


def test_children_name_their_parent(world: Any) -> None:
    job = world.ended(world.send(world.tasks.with_children.s(3)))

    until(lambda: job.children.where(state="succeeded").count() == 3, "three children")
    assert {child.parent for child in job.children} == {job.id}
    assert {child.call["options"]["root_id"] for child in job.children} == {job.provider_job_id}


def test_each_step_of_a_chain_is_the_child_of_the_one_before_and_depends_on_it(world: Any) -> None:
    chain(world.tasks.add.s(1, 2), world.tasks.next_after.s("b"), world.tasks.next_after.s("c")).apply_async()

    first = world.ended(statuses.at(world.sent[-1]))
    second = world.ended(until(lambda: statuses.find_by(parent=first.id), "the second step"))
    third = world.ended(until(lambda: statuses.find_by(parent=second.id), "the third step"))
    assert (first.depends_on, second.depends_on, third.depends_on) == ([], [first.id], [second.id])
    assert third.data == {"result": "3 b c"}
    assert third.call["options"]["root_id"] == first.provider_job_id


def test_the_members_of_a_group_name_their_group(world: Any) -> None:
    group(world.tasks.add.s(n, n) for n in range(3)).apply_async()

    members = [world.ended(statuses.at(id)) for id in world.sent[-3:]]
    assert len({member.call["options"]["group_id"] for member in members}) == 1
    assert {member.state for member in members} == {State.succeeded}


def test_headers_that_a_project_copies_to_the_next_task_are_not_about_it(world: Any) -> None:
    first = world.ended(world.send(world.tasks.nothing.s()))
    copied = {"job_status": {"id": first.id, "task": first.provider_job_id, "attempt": 0}}

    second = world.ended(world.send(world.tasks.fail.s("second"), headers=copied))

    assert second.id != first.id
    assert first.reload().state is State.succeeded


def test_a_message_of_an_untracked_publisher_becomes_a_job_at_the_worker(world: Any) -> None:
    tracking.uninstall(world.app)
    try:
        sent = world.tasks.add.apply_async((2, 3), queue="main")
    finally:
        tracking.install(world.app, resources={"chapter_id": "Chapter"})

    job = world.ended(until(lambda: statuses.find(sent.id), "the job"))
    assert (job.state, job.data, job.queue) == (State.succeeded, {"result": 5}, "main")
    assert job.provider_job_id == sent.id


def test_a_publisher_that_was_never_configured_leaves_its_jobs_to_the_worker(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as publisher:
        publisher.setattr(store, "_store", None)
        publisher.delenv("REDIS_URL")
        sent = world.tasks.add.apply_async((2, 3), queue="main")

    job = world.ended(until(lambda: statuses.find(sent.id), "the job"))
    assert (job.state, job.data, job.queue) == (State.succeeded, {"result": 5}, "main")


def test_messages_in_the_old_protocol_are_tracked_too(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.app.amqp, "create_task_message", world.app.amqp.task_protocols[1])
    tasks = world.tasks

    sent = [tasks.read_book.s("Book:1"), tasks.fail_twice.s("old"), tasks.fail.s("once")]
    ids = [each.apply_async(headers={"user": "deploy"}).id for each in sent]
    unknown = statuses.find_by(provider_job_id=world.app.send_task("no.such.task").id)

    read, tried, failed = (world.ended(statuses.find_by(provider_job_id=id)) for id in ids)
    assert world.ended(unknown).is_failed
    assert {job.user for job in (read, tried, failed)} == {"deploy"}
    assert (read.state, read.data, read.job_args) == (State.succeeded, {"result": "read Book:1"}, {"book": "Book:1"})
    assert (tried.state, tried.attempt, tried.data) == (State.succeeded, 2, {"result": "old"})
    failed.retry()
    until(lambda: failed.reload().attempt == 1 and failed.is_failed, "the second attempt has failed")
    assert failed.error_summary == "ValueError: once"


def test_a_message_that_cannot_leave_has_failed(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from kombu import Producer
    from kombu.exceptions import OperationalError

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionError("no broker here")

    monkeypatch.setattr(Producer, "publish", refuse)
    with pytest.raises(OperationalError):
        world.tasks.fail.apply_async(("never sent",))

    job = statuses.where(job_name="tests.celeryapp.fail").first()
    assert job.state is State.failed
    assert job.error_summary.endswith(": no broker here")


def test_processes_that_are_forked_while_the_worker_writes_share_no_connection(world: Any, environment: dict[str, str]) -> None:
    # Jobs for later are queued by the worker's main process; each job here runs in a process forked from it just before.
    worker = Worker(environment, "forking", "forked", "prefork", 2, "--max-tasks-per-child", "1")
    try:
        jobs = [world.send(world.tasks.add.s(n, n), queue="forked", countdown=0.2 + n / 100) for n in range(30)]

        for number, job in enumerate(jobs):
            world.ended(job)
            assert (job.state, job.data, job.attempt) == (State.succeeded, {"result": 2 * number}, 0)
    finally:
        worker.stop()
    assert "Traceback" not in worker.log.read_text()


def test_installing_makes_no_connection_and_twice_is_once() -> None:
    app = Celery("tests.idle", broker="redis://nowhere.invalid:1")

    engine = tracking.install(app, name="idle")
    try:
        assert tracking.install(app, name="other") is engine
        assert registry.get("idle") is engine
        assert registry.get("other") is None
    finally:
        tracking.uninstall(app)
    assert registry.get("idle") is None


def test_a_name_that_is_not_tracked_leaves_nothing_neither_here_nor_at_the_worker(world: Any) -> None:
    statuses.configure(url=world.store.url, namespace="engines", untracked=frozenset({"tests.celeryapp.count"}))
    before = statuses.all().count()

    world.tasks.count.delay("untracked")

    until(lambda: world.noted("untracked"), "it ran")
    world.ended(world.send(world.tasks.nothing.s()))
    assert statuses.all().count() == before + 1


@pytest.mark.parametrize("tell", ["failure", "revoked"])
def test_an_end_that_a_worker_tells_is_none_of_the_job_that_another_one_runs_by_now(world: Any, tell: str) -> None:
    job = world.send(world.tasks.add.s(1, 1), queue="nobody")
    job.started("second@tests")
    task_id = world.task_ids[job.id]

    def told_by(worker_name: str) -> str:
        request = SimpleNamespace(
            id=task_id, task="add", hostname=worker_name, delivery_info={"redelivered": True}, **{HEADER: header(job.id, task_id, 0)}
        )
        sender = SimpleNamespace(app=world.app, request=request)
        if tell == "failure":
            in_worker.on_task_failure(sender, task_id, TimeLimitExceeded(5))
        else:
            in_worker.on_task_revoked(sender, request)
        return job.reload().state

    assert told_by("first@tests") is State.started
    assert told_by("second@tests") is {"failure": State.failed, "revoked": State.killed}[tell]


def test_a_job_whose_start_and_end_nobody_told_ends_by_its_result_while_workers_hold_other_messages(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "FORGOTTEN_AFTER", timedelta(0))
    monkeypatch.setattr(waiting, "ASKED_WAITING", 10_000)  # others may wait here, too
    ran = statuses.create(job_name="add", engine="celery", queue="celery", state="queued", provider_job_id=uuid4().hex)
    waits = statuses.create(job_name="add", engine="celery", queue="celery", state="queued", provider_job_id=uuid4().hex)
    world.ended(world.send(world.tasks.add.s(1, 2), task_id=ran.provider_job_id))
    done = until(lambda: world.app.AsyncResult(ran.provider_job_id).date_done, "Celery says when it ended")
    world.send(world.tasks.gated.s("held beside"))
    world.began("held beside")
    try:
        with frozen_clock(statuses.server_time()):  # how long ago it ended and the end are of one moment, however far apart they are
            reaper.Reaper().look()
    finally:
        world.open("held beside")

    assert (ran.reload().state, ran.data, ran.started_at, ran.succeeded_at) == (State.succeeded, {"result": 3}, None, done)
    assert waits.reload().state is State.queued
