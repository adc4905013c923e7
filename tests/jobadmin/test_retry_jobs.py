"""Sending failures again, within limits."""

from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import statuses
from statuses import Status
from statuses.retries import Retried, retry_failed
from statuses.testing import frozen_clock, make_status

from .engines import Toy, toy_engine


@pytest.fixture
def engine(store: Any) -> Iterator[Toy]:
    with toy_engine() as engine:
        yield engine


def failed(error: str = "TimeoutError", **as_create: Any) -> Status:
    return make_status("failed", engine="toy", error={"class": error}, **as_create)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("retry_jobs", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_failures_of_a_chosen_error_are_sent_again_and_others_are_not(engine):
    chosen, other, done = failed(), failed("KeyError"), make_status("succeeded", engine="toy")

    said = run("error=TimeoutError")

    assert said == "1 sent again"
    assert engine.retried == [chosen.id]
    assert [job.reload().state for job in (chosen, other, done)] == ["queued", "failed", "succeeded"]


def test_a_job_that_had_its_attempts_is_left_alone(engine):
    job = failed()
    for _ in range(4):
        run("error=TimeoutError", "--attempts", "3")
        if job.reload().is_queued:
            job.started("w").failed(error={"class": "TimeoutError"})

    assert job.reload().attempt == 2
    assert run("error=TimeoutError") == "0 sent again, 1 had their attempts"


def test_no_more_than_the_limit_are_sent_those_that_failed_first_first(engine):
    with frozen_clock() as clock:
        jobs = []
        for _ in range(5):
            jobs.append(failed())
            clock.tick(1)

        found = retry_failed(statuses.all(), most=2)

        assert found == Retried(retried=2, more=True)
        assert engine.retried == [jobs[0].id, jobs[1].id]


def test_a_failure_rests_for_the_pause(engine):
    with frozen_clock() as clock:
        failed()

        first = retry_failed(statuses.all(), pause=timedelta(minutes=5)).retried
        clock.tick(timedelta(minutes=5))

        assert (first, retry_failed(statuses.all(), pause=timedelta(minutes=5)).retried) == (0, 1)


def test_what_was_asked_to_die_stays_as_it_is(engine):
    job = make_status("started", engine="toy").request_kill(by="ann")
    job.failed(error={"class": "TimeoutError"})

    assert run("error=TimeoutError") == "0 sent again"


def test_a_dry_run_sends_nothing(engine):
    failed()

    assert run("error=TimeoutError", "--dry-run") == "1 would be sent again"
    assert engine.retried == []


def test_an_engine_that_cannot_is_counted(engine):
    failed()
    engine.refuses = "no call was kept"

    assert run("error=TimeoutError") == "0 sent again, 1 cannot be sent by their engine"


@pytest.mark.parametrize("arguments", [(), ("nonsense",), ("colour=red",), ("error=x", "--limit", "0"), ("error=x", "--attempts", "many")])
def test_senseless_words_are_refused(engine, arguments):
    with pytest.raises(CommandError):
        run(*arguments)
