"""The command that gives up lost jobs."""

from collections.abc import Sequence
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

import statuses
from jobadmin.management.commands import reap_jobs
from jobadmin.paths import job_url
from statuses import State, Status, sampling
from statuses.engines import registry
from statuses.engines.base import Engine, Outcome
from statuses.reaper import Reaper
from statuses.testing import frozen_clock, make_status

from .engines import toy_engine


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look comes at once."""
    monkeypatch.setattr(reap_jobs, "Reaper", lambda: Reaper(confirm_seconds=0.0))


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("reap_jobs", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue().strip()


def test_the_command_marks_what_was_left_and_says_how_many(store, at_once):
    with frozen_clock() as clock:
        job = make_status("queued").started("w1", alive=True)
        clock.tick(timedelta(minutes=3))

        dry = run("--dry-run")
        state = job.reload().state
        said = run()

    assert dry == "1 job would be marked failed, 0 would be marked unknown"
    assert state == "started"
    assert said == "1 job marked failed, 0 marked unknown"
    assert job.reload().is_failed


def test_the_command_says_how_many_ended_as_their_engine_says(store, at_once):
    class Lines(Engine):
        name = "lines"
        can_tell_outcome = True

        def outcome(self, status: Status) -> Outcome:
            return Outcome(state=State.succeeded)

    registry.register(Lines())
    with frozen_clock() as clock:
        job = make_status("queued", engine="lines").started("w1", alive=True)
        clock.tick(timedelta(minutes=3))

        said = [run("--dry-run"), run()]

    registry.unregister("lines")
    assert said[0] == "0 jobs would be marked failed, 1 would be marked as ended, as their engine says, 0 would be marked unknown"
    assert said[1] == "0 jobs marked failed, 1 marked as ended, as their engine says, 0 marked unknown"
    assert job.reload().is_succeeded


def test_the_job_itself_tells_that_it_was_given_up_and_sent_again(at_once, browse, server_url, store):
    statuses.configure(url=server_url, namespace="again", reap_retries={"*": 1})
    with frozen_clock() as clock, toy_engine():
        job = make_status("queued", engine="toy").started("w1", alive=True)
        clock.tick(timedelta(minutes=3))
        run()

        text = browse().get(job_url(job.id)).content.decode()
        trail = text.partition('id="job-audit"')[2].partition("</section>")[0]

    assert "WorkerLost" in text and "worker w1 gave no sign of life" in text
    assert "Attempt 1 failed" in trail and "Automatic retry" in trail


def test_one_command_looks_twice_at_what_its_engine_no_longer_has(store, monkeypatch):
    monkeypatch.setattr(reap_jobs, "Reaper", lambda: Reaper(confirm_seconds=0.05))

    class Lines(Engine):
        name = "lines"
        can_tell_forgotten = True

        def forgotten(self, waiting: Sequence[Status]) -> list[Status]:
            return list(waiting)

    registry.register(Lines())
    with frozen_clock() as clock:
        jobs = [make_status(state, engine="lines") for state in ("queued", "unqueued")]
        clock.tick(timedelta(minutes=6))

        said = [run("--dry-run"), run()]

    registry.unregister("lines")
    assert said == ["0 jobs would be marked failed, 2 would be marked unknown", "0 jobs marked failed, 2 marked unknown"]
    assert [job.reload().state for job in jobs] == ["unknown"] * 2


def test_the_command_has_nothing_to_do_when_all_is_well(store, at_once):
    assert run() == "0 jobs marked failed, 0 marked unknown"


@pytest.mark.parametrize("every", ["0", "nan", "soon", "-5"])
def test_the_command_refuses_a_senseless_interval(every: Any, store):
    with pytest.raises(CommandError, match="seconds"):
        run("--every", every)


def test_the_command_samples_how_deep_the_queues_are_and_a_dry_run_does_not(store):
    def waiting() -> int | None:
        return sampling.depths(["mail"], timedelta(hours=1), timedelta(hours=1))["mail"][0].waiting

    with frozen_clock():  # an hour is the one of the clock: it must not strike in between
        make_status("queued", queue="mail")

        run("--dry-run")
        dry = waiting()
        run()

        assert (dry, waiting()) == (None, 1)
