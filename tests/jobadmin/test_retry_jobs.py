"""Sending failures again, within limits, and on record before it is done."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

import statuses
from jobadmin.ending import Ending
from jobadmin.models import Operation
from jobadmin.paths import job_url
from statuses import EngineCannot, Status, StoreUnavailable, upkeep
from statuses.engines import registry
from statuses.retries import Refused, Retried, retry_failed
from statuses.testing import frozen_clock, make_status
from tests.servers import until

from .databases import copied
from .engines import Toy
from .schemas import fits
from .test_records import NO_OUTCOME, NO_RECORD, refusing

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]


class Obedient(Toy):
    """Does what the test wants when it is asked to send something."""

    on_retry: Callable[[Status], object] = staticmethod(lambda status: None)

    def retry(self, status: Status, by: str | None = None) -> Status:
        self.on_retry(status)
        return super().retry(status, by)


@pytest.fixture
def engine(store: Any) -> Iterator[Obedient]:
    made = Obedient()
    registry.register(made)
    yield made
    registry.unregister(made.name)


def failed(error: str = "TimeoutError", **as_create: Any) -> Status:
    return make_status("failed", engine="toy", error={"class": error}, **as_create)


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("retry_jobs", *arguments, stdout=out, stderr=out)
    return out.getvalue().strip()


def looks(monkeypatch: pytest.MonkeyPatch, *between: Callable[[], object]) -> None:
    """A loop ends after so many pauses; in each of them something happens."""
    left = list(between)

    def wait(ending: Ending, seconds: float) -> bool:
        if not left or ending.asked:
            return True
        left.pop(0)()
        return ending.asked

    monkeypatch.setattr(Ending, "wait", wait)


def nothing() -> None:
    """Between two looks nothing happens."""


def page_of(client: Any, operation: Operation) -> str:
    return client.get(reverse("jobadmin:operation", args=[operation.pk])).content.decode()


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

        assert found == Retried(retried=2, left=3) and found.more
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


def test_an_engine_that_breaks_at_one_job_holds_up_no_other(engine):
    broken, _whole = failed(), failed()

    def breaks(status: Status) -> None:
        if status.id == broken.id:
            raise RuntimeError("no route")

    engine.on_retry = breaks

    found = retry_failed(statuses.all())

    assert (found.retried, found.cannot, found.errors) == (1, 1, ("RuntimeError: no route",))


def test_a_limit_counts_what_is_sent_and_not_what_an_engine_refuses(engine):
    with frozen_clock() as clock:
        refused = [failed().id for _ in range(3)]
        clock.tick(1)
        sent = [failed().id for _ in range(2)]

        def refuses(status: Status) -> None:
            engine.refuses = "no call was kept" if status.id in refused else ""

        engine.on_retry = refuses

        assert retry_failed(statuses.all(), most=2) == Retried(retried=2, cannot=3, errors=("no call was kept",))
        assert engine.retried == sent


# On record


def test_a_go_is_on_record_before_its_first_job_and_tells_what_came_of_it(engine, browse):
    seen: list[tuple[str, int]] = []
    engine.on_retry = lambda status: seen.extend(Operation.objects.values_list("state", "announced"))
    failed(), failed(), failed("KeyError")
    tired = failed()
    tired.requeued().started("w").failed(error={"class": "TimeoutError"})

    run("error=TimeoutError", "--attempts", "2", "--by", "mail team", "--reason", "the relay is back")

    found = Operation.objects.get()
    assert seen == [("unknown", 2)] * 2
    assert (found.action, found.username, found.reason, found.state) == ("retry", "mail team", "the relay is back", "done")
    assert (found.announced, found.changed, found.skipped, found.by_reason) == (2, 2, 1, {"retried": 2, "exhausted": 1})
    assert found.started_at and found.ended_at and found.user is None
    text = page_of(browse(), found)
    assert "2 jobs sent again" in text and "Left alone: they had their attempts" in text and "Took" in text
    assert "State Failed · Error TimeoutError" in text and "the relay is back" in text


def test_who_runs_the_command_is_named_with_it(engine, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "olu")
    failed()

    run("span=all")

    assert Operation.objects.get().username == "olu (retry_jobs)"


def test_what_is_on_record_leads_to_what_was_sent_and_each_job_to_the_record(engine, browse):
    client, job, _other = browse(), failed(), failed()
    failed("KeyError")

    run("error=TimeoutError", "--by", "mail team")

    found = Operation.objects.get()
    listed = client.get(reverse("jobadmin:operations")).content.decode()
    sent = client.get(reverse("jobadmin:list"), {"operation": found.pk, "span": "all"}).content.decode()
    trail = client.get(job_url(job.id)).content.decode()
    assert "mail team" in listed and f"operation={found.pk}&amp;span=all" in listed
    assert sent.count('id="job-') == 2 and job.id in sent
    assert f"/operations/{found.pk}/" in trail and "with 1 other job" in trail


def test_the_api_lists_it_with_all_it_came_to(engine, browse):
    for _ in range(3):
        failed()

    run("span=all", "--limit", "1", "--by", "mail team")

    answer = browse().get("/admin/jobs/api/operations/?user=mail team&action=retry")
    fits(answer, "GET")
    (found,) = answer.json()["operations"]
    assert (found["state"], found["is_over"], found["user"], found["announced"]) == ("done", True, "mail team", 1)
    assert found["by_reason"] == {"retried": 1, "limit": 2} and found["started_at"] <= found["ended_at"]


def test_the_limit_and_why_engines_refused_are_told_on_the_page(engine, browse):
    with frozen_clock() as clock:
        first = failed()
        for _ in range(3):
            clock.tick(1)
            failed()
        engine.on_retry = lambda status: setattr(engine, "refuses", "no call was kept" if status.id == first.id else "")

        assert run("span=all", "--limit", "2") == "2 sent again, 1 cannot be sent by their engine, the limit was reached"

    found = Operation.objects.get()
    assert (found.by_reason, found.done, found.skipped) == ({"retried": 2, "cannot": 1, "limit": 1}, 3, 2)
    text = page_of(browse(), found)
    assert "Left for the next time: the limit was reached" in text and "no call was kept" in text
    assert "Try the one again" in text


def test_a_look_that_finds_nothing_leaves_no_record_however_often_it_looks(engine, monkeypatch):
    failed("KeyError"), make_status("failed", engine="unheard of", error={"class": "TimeoutError"})
    looks(monkeypatch, nothing, nothing, nothing)

    run("error=TimeoutError", "--every", "5")

    assert not Operation.objects.exists()


def test_a_dry_run_leaves_no_record(engine):
    failed()

    run("span=all", "--dry-run")

    assert not Operation.objects.exists()


def test_what_an_engine_refuses_is_asked_for_once_by_a_loop_and_not_at_every_look(engine, monkeypatch):
    asked: list[str] = []
    engine.on_retry, engine.refuses = lambda status: asked.append(status.id), "no call was kept"
    job = failed()
    looks(monkeypatch, nothing, nothing, lambda: engine.__setattr__("refuses", "") or failed(), nothing)

    said = run("span=all", "--every", "5")

    assert asked[0] == job.id and len(asked) == 2 and Operation.objects.count() == 2
    assert said.splitlines() == ["0 sent again, 1 cannot be sent by their engine", "1 sent again, 1 cannot be sent by their engine"]


def test_what_an_engine_refused_is_asked_for_again_after_a_while_and_at_once_where_it_failed_anew(engine):
    now = [0.0]
    refused = Refused(for_seconds=60, monotonic=lambda: now[0])
    kept, anew = failed(), failed()
    engine.refuses = "RQ's Redis does not answer"
    retry_failed(statuses.all(), refused=refused)
    engine.refuses = ""
    anew.requeued().started("w").failed()

    soon = retry_failed(statuses.all(), refused=refused)
    now[0] = 60
    later = retry_failed(statuses.all(), refused=refused)

    assert (soon.retried, soon.cannot, later.retried) == (1, 1, 1)
    assert engine.retried == [anew.id, kept.id]


def test_what_an_engine_refused_for_good_is_asked_for_again_after_a_day_and_where_it_failed_anew(engine):
    now, asked = [0.0], []
    refused = Refused(monotonic=lambda: now[0])
    engine.on_retry, engine.refuses, engine.refuses_for_good = lambda status: asked.append(status.id), "its call was not kept", True
    job = failed()

    def asked_at(hours: float) -> int:
        now[0] = hours * 3_600
        assert retry_failed(statuses.all(), refused=refused).cannot == 1
        return len(asked)

    assert [asked_at(hours) for hours in (0, 0.25, 1, 23, 24, 25)] == [1, 1, 1, 1, 2, 2]
    job.requeued().started("w").failed()
    assert asked_at(25) == 3


def test_a_loop_uses_up_no_attempts_while_a_broker_is_away(engine):
    now = [0.0]
    refused = Refused(for_seconds=60, monotonic=lambda: now[0])
    job = failed()

    def fails(status: Status) -> None:
        status.requeued(anew=True).failed(error={"class": "OperationalError"})
        raise EngineCannot(status.id, "toy", "retry", "sending it failed: it is away")

    engine.on_retry = fails
    looks = [retry_failed(statuses.all(), attempts=3, refused=refused) for _ in range(10)]
    assert job.reload().attempt == 1 and [look.exhausted for look in looks] == [0] * 10

    now[0] = 60
    retry_failed(statuses.all(), attempts=3, refused=refused)
    assert job.reload().attempt == 2
    assert retry_failed(statuses.all(), attempts=3, refused=refused).exhausted == 1


def test_refusals_are_kept_in_mind_of_so_many_jobs_until_they_are_over(engine):
    now, asked = [0.0], []
    engine.on_retry, engine.refuses = lambda status: asked.append(status.id), "not now"
    refused = Refused(for_seconds=60, monotonic=lambda: now[0], most=2)
    with frozen_clock() as clock:
        jobs = [(failed().id, clock.tick(1))[0] for _ in range(3)]

        for now[0] in (0, 1, 60):
            retry_failed(statuses.all(), refused=refused)

    assert asked == [*jobs, jobs[2], *jobs]


# What cannot be written down, and what breaks off


def test_nothing_is_sent_without_a_record_unless_that_is_said(engine):
    job = failed()

    with refusing(NO_RECORD):
        with pytest.raises(CommandError, match="--unrecorded does it without"):
            run("span=all")
        assert job.reload().is_failed and engine.retried == []
        said = run("span=all", "--unrecorded")

    assert said.splitlines() == ["Not written to the audit trail: attempt to write a readonly database", "1 sent again"]
    assert job.reload().is_queued


def test_a_loop_goes_on_looking_until_the_database_takes_a_record_again(engine, monkeypatch):
    job = failed()
    looks(monkeypatch, nothing)

    with refusing(NO_RECORD, times=1):
        said = run("span=all", "--every", "5")

    assert "the database takes no record of it" in said and said.endswith("1 sent again")
    assert job.reload().is_queued and Operation.objects.get().by_reason == {"retried": 1}


def test_that_the_database_takes_no_record_is_told_where_upkeep_is(engine):
    failed()

    with refusing(NO_RECORD), pytest.raises(CommandError):
        run("span=all")

    assert [chore.error for chore in upkeep.chores()] == ["NotRecorded"]


def test_an_outcome_that_the_database_does_not_take_is_said(engine):
    failed()

    with refusing(NO_OUTCOME):
        said = run("span=all")

    assert "The audit trail does not know what came of it" in said and "1 sent again" in said
    assert Operation.objects.get().state == "unknown"


def test_a_store_that_goes_away_on_the_way_is_on_record(engine):
    failed(), failed()

    def away(status: Status) -> None:
        if engine.retried:
            raise StoreUnavailable("redis", "gone away")

    engine.on_retry = away

    with pytest.raises(CommandError, match="gone away"):
        run("span=all")

    found = Operation.objects.get()
    assert (found.state, found.by_reason, found.is_unsure) == ("failed", {"unsure": 2}, True) and "gone away" in found.error


def test_a_loop_that_is_told_to_end_stops_after_the_job_in_hand_and_says_so_on_record(engine, browse):
    for _ in range(3):
        failed()
    engine.on_retry = lambda status: os.kill(os.getpid(), signal.SIGTERM)

    said = run("span=all", "--every", "3600")

    found = Operation.objects.get()
    assert said == "1 sent again, stopped: 2 left for the next time"
    assert (found.state, found.changed, found.by_reason) == ("stopped", 1, {"retried": 1, "stopped": 2})
    assert "Stopped before its end." in page_of(browse(), found)


def test_nobody_is_offered_to_stop_from_a_page_what_a_command_does_and_who_tries_is_told_why(engine, browse):
    client = browse()
    pages: list[str] = []
    answers: list[Any] = []

    def look(status: Status) -> None:
        pk = Operation.objects.get().pk
        pages.append(page_of(client, Operation.objects.get()))
        answers.append(client.post(f"/admin/jobs/api/operations/{pk}/stop/", "{}", content_type="application/json"))
        pages.append(client.post(reverse("jobadmin:operation_stop", args=[pk]), follow=True).content.decode())

    engine.on_retry = look
    failed()

    run("span=all")

    assert "Retrying 1 job" in pages[0] and "Stop after this batch" not in pages[0]
    fits(answers[0], "POST")
    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (409, "not_possible")
    assert "It cannot be stopped from here: a command carries it out" in pages[1]
    assert Operation.objects.get().by_reason == {"retried": 1}


_KILLED_HALFWAY = """
from jobadmin.settings import *
JOBADMIN = {{"URL": {url!r}, "NAMESPACE": {namespace!r}}}
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {database!r}}}}}
"""
_KILLING = """
import os, signal, sys, django
django.setup()
from django.core.management import call_command
from statuses.engines import registry
from tests.jobadmin.engines import Toy
class Deadly(Toy):
    def retry(self, status, by=None):
        if self.retried:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().retry(status, by)
registry.register(Deadly())
call_command("retry_jobs", "span=all", "--every", "3600")
"""


def test_a_process_that_is_killed_halfway_leaves_a_record_of_which_nobody_knows_the_outcome(engine, server_url, tmp_path):
    jobs = [failed() for _ in range(3)]
    namespace, database = statuses.collection.store.current().config.namespace, copied(tmp_path / "own.sqlite3")
    (tmp_path / "halfway.py").write_text(_KILLED_HALFWAY.format(url=server_url, namespace=namespace, database=database))
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "halfway", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}

    process = subprocess.Popen([sys.executable, "-c", _KILLING], cwd=ROOT, env=environment)
    until(lambda: process.poll() is not None, "it has died")

    assert process.returncode == -signal.SIGKILL and [job.reload().is_queued for job in jobs].count(True) == 1
    columns = "action, state, announced, changed, ended_at"
    with closing(sqlite3.connect(database)) as written:
        assert written.execute(f"SELECT {columns} FROM jobadmin_operation").fetchall() == [("retry", "unknown", 3, 0, None)]
