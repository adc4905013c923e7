"""clean_jobs: removes what is due or named, says what it did, on record before it does, and as a loop ends when it is told to."""

import io
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

import statuses
from jobadmin import goes
from jobadmin.ending import Ending
from jobadmin.models import Operation
from statuses import retention, upkeep
from statuses.testing import frozen_clock, make_status
from tests.servers import PATIENCE, until

from .databases import copied
from .schemas import fits
from .test_records import NO_RECORD, refusing

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def clock(store):
    with frozen_clock() as frozen:
        yield frozen


def clean(*words: str) -> str:
    out = io.StringIO()
    call_command("clean_jobs", *words, stdout=out, stderr=out)
    return out.getvalue()


def due(clock, number: int = 1, **as_create) -> None:
    """So many jobs whose time to be kept is over."""
    for _ in range(number):
        make_status("succeeded", **as_create)
    clock.tick(31 * DAY)


def watched(monkeypatch) -> list[tuple[str, int, int]]:
    """The record's state and how many it announces, and the jobs that are there, as each removal begins."""
    seen: list[tuple[str, int, int]] = []
    whole = retention.removal.bulk_on

    def look(store, found, cells, verb, *more):
        if verb == "delete":
            seen.append((*Operation.objects.values_list("state", "announced").get(), statuses.all().count()))
        return whole(store, found, cells, verb, *more)

    monkeypatch.setattr(retention.removal, "bulk_on", look)
    return seen


def page_of(client, operation: Operation) -> str:
    return client.get(reverse("jobadmin:operation", args=[operation.pk])).content.decode()


def test_what_is_due_goes_and_is_told_by_state(clock):
    for state in ("succeeded", "succeeded", "failed"):
        make_status(state)
    clock.tick(31 * DAY)

    assert clean("--dry-run").startswith("2 would be removed: 2 succeeded\n")
    assert statuses.all().count() == 3
    assert clean().startswith("2 removed: 2 succeeded\n")

    assert statuses.all().counts()["failed"] == 1


def test_criteria_narrow_what_goes(clock):
    for name in ("a", "b"):
        for state in ("failed", "succeeded"):
            make_status(state, job_name=name, queue=f"q-{name}")
    clock.tick(2 * DAY)

    assert clean("--older-than", "1d", "--name", "a", "--state", "failed").startswith("1 removed: 1 failed")
    assert clean("--older-than", "36h", "--queue", "q-b").startswith("2 removed")
    assert clean("--name", "a").startswith("0 removed")

    assert [(status.job_name, status.state) for status in statuses.all()] == [("a", "succeeded")]


def test_jobs_that_were_promised_longer_stay_until_that_is_said(clock):
    make_status("failed", keep_for=30 * DAY)
    clock.tick(2 * DAY)

    assert "1 left, promised to be kept longer" in clean("--older-than", "1d")
    assert statuses.all().count() == 1
    assert clean("--older-than", "1d", "--break-promises").startswith("1 removed: 1 failed")


def test_breaking_promises_is_said_with_an_age_alone(store):
    with pytest.raises(CommandError, match="--older-than"):
        clean("--break-promises")


def test_what_a_cleaning_tidied_up_is_told(clock):
    make_status("succeeded", job_name="old")
    statuses.all().delete_all(undo_for=timedelta(minutes=10))
    clock.tick(DAY)

    said = clean()

    assert "1 earlier removal is final now" in said
    assert "1 segment dropped" in said
    assert "unused names forgotten" in said


@pytest.mark.parametrize("words", [("--older-than", "soon"), ("--every", "0"), ("--every", "-5"), ("--state", "running")])
def test_words_nobody_understands_are_refused(store, words):
    make_status("succeeded")

    with pytest.raises((CommandError, SystemExit)):
        clean(*words)

    assert statuses.all().count() == 1


@pytest.fixture
def loop(store, server_url, tmp_path):
    """The command as a process of its own, looping, on the test's store."""
    namespace = statuses.collection.store.current().config.namespace
    settings = tmp_path / "looping.py"
    settings.write_text(
        f"from jobadmin.settings import *\nJOBADMIN = {{'URL': {server_url!r}, 'NAMESPACE': {namespace!r}}}\n"
        f"DATABASES = {{'default': {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': {copied(tmp_path / 'own.sqlite3')!r}}}}}\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "looping", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    started = []

    def start(*words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "django", "clean_jobs", "--every", *words]
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_loop_cleans_again_and_again(loop, tmp_path):
    make_status("failed", keep_for=timedelta(microseconds=1))
    process = loop("0.05")
    until(lambda: statuses.all().count() == 0, "the first round is done")

    make_status("failed", keep_for=timedelta(microseconds=1))
    until(lambda: statuses.all().count() == 0, "another round is done")

    assert process.poll() is None
    written = "SELECT action, changed FROM jobadmin_operation WHERE state = 'done'"
    with closing(sqlite3.connect(tmp_path / "own.sqlite3")) as database:
        until(lambda: database.execute(written).fetchall() == [("remove", 1)] * 2, "both are written down, and no round that found nothing")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_loop_that_waits_ends_at_once_when_told(loop, number):
    make_status("failed", keep_for=timedelta(microseconds=1))
    process = loop("1h")
    until(lambda: statuses.all().count() == 0, "the first round is done")

    process.send_signal(number)
    said, wrong = process.communicate(timeout=PATIENCE)  # it would wait for an hour

    assert process.returncode == 0, wrong
    assert said.startswith("1 removed: 1 failed")


def test_a_store_that_is_away_ends_one_cleaning(store):
    statuses.configure(url="unix:///nowhere.sock")

    with pytest.raises(CommandError, match="nowhere"):
        clean()


def test_a_loop_outlives_a_store_that_is_away(store, monkeypatch):
    answers = [statuses.StoreUnavailable("a read", OSError("away")), statuses.Cleaned(removed=3)]

    def answer(**_):
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(statuses, "clean", answer)
    monkeypatch.setattr(Ending, "wait", lambda self, seconds: setattr(self, "asked", not answers))

    said = clean("--every", "60")

    assert "away" in said and "3 removed" in said


# On record


def test_what_retention_removed_is_on_record_before_it_is_gone(clock, browse, monkeypatch):
    seen = watched(monkeypatch)
    due(clock, 3)

    clean("--by", "cron", "--reason", "as agreed")

    assert seen == [("unknown", 3, 3)]
    found = Operation.objects.get()
    assert (found.action, found.username, found.reason, found.state) == ("remove", "cron", "as agreed", "done")
    assert (found.announced, found.changed, found.by_reason) == (3, 3, {"removed": 3})
    client = browse()
    text, listed = page_of(client, found), client.get(reverse("jobadmin:operations")).content.decode()
    assert "3 jobs removed" in text and "Jobs whose time to be kept was over" in text and "as agreed" in text
    assert "Jobs whose time to be kept was over" in listed and "cron" in listed
    assert "Undo" not in text and "Show the" not in text


def test_who_runs_the_cleaning_is_named_with_it(clock, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "olu")
    due(clock)

    clean()

    assert Operation.objects.get().username == "olu (clean_jobs)"


def test_a_cleaning_that_finds_nothing_or_only_says_what_it_would_leaves_no_record(clock):
    make_status("succeeded")
    clean()
    clock.tick(31 * DAY)
    clean("--dry-run")

    assert not Operation.objects.exists()


def test_what_was_named_and_what_was_left_for_its_promise_is_on_record(clock, browse):
    make_status("failed", job_name="import", keep_for=30 * DAY), make_status("failed", job_name="import"), make_status("failed")
    clock.tick(2 * DAY)

    clean("--older-than", "1d", "--name", "import")
    clean("--older-than", "1d", "--name", "import", "--break-promises")

    last, first = Operation.objects.all()
    assert (first.by_reason, first.skipped) == ({"removed": 1, "promised": 1}, 1)
    assert (last.description, last.by_reason) == ("older-than=1d break-promises name=import", {"removed": 1})
    client = browse()
    assert "older-than=1d name=import" in page_of(client, first) and "Left: promised to be kept longer" in page_of(client, first)
    answer = client.get("/admin/jobs/api/operations/?action=remove")
    fits(answer, "GET")
    assert [one["which"] for one in answer.json()["operations"]] == [last.description, "older-than=1d name=import"]


def test_what_is_narrowed_within_retention_says_both(clock, browse):
    due(clock, job_name="import")

    clean("--name", "import")

    client, found = browse(), Operation.objects.get()
    assert "Jobs whose time to be kept was over · name=import" in page_of(client, found)
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "de"
    assert "Jobs, deren Zeit um war · name=import" in page_of(client, found)


def test_nothing_is_removed_without_a_record_unless_that_is_said(clock):
    due(clock)

    with refusing(NO_RECORD):
        with pytest.raises(CommandError, match="--unrecorded does it without"):
            clean()
        assert statuses.all().count() == 1
        assert [chore.error for chore in upkeep.chores()] == ["NotRecorded"]
        said = clean("--unrecorded")

    assert "Not written to the audit trail: attempt to write" in said and "1 removed" in said


def test_a_loop_cleans_as_soon_as_the_database_takes_a_record_again(clock, monkeypatch):
    due(clock)
    monkeypatch.setattr(Ending, "wait", lambda self, seconds: setattr(self, "asked", not statuses.all().count()))

    with refusing(NO_RECORD, times=1):
        said = clean("--every", "60")

    assert "the database takes no record of it" in said and "1 removed" in said
    assert Operation.objects.get().by_reason == {"removed": 1}


def test_jobs_of_several_segments_are_one_record_that_grows_before_each(clock, server_url, monkeypatch):
    statuses.configure(url=server_url, namespace="wide", families=4)
    for number in range(12):
        make_status("succeeded", id=f"own-{number}")
    clock.tick(31 * DAY)
    seen = watched(monkeypatch)

    clean()

    assert len(seen) > 1 and all(state == "unknown" and announced + left > 12 for state, announced, left in seen)
    assert (Operation.objects.get().announced, Operation.objects.get().changed) == (12, 12)


def test_a_loop_that_is_told_to_end_on_the_way_says_so_on_record(clock, browse, monkeypatch):
    due(clock, 320)
    monkeypatch.setattr(goes.Go, "beat", lambda self: os.kill(os.getpid(), signal.SIGTERM))

    clean("--every", "60")

    found = Operation.objects.get()
    assert (found.state, found.announced, found.changed) == ("stopped", 320, 320 - statuses.all().count())
    assert found.by_reason == {"removed": found.changed, "stopped": 320 - found.changed}
    text = page_of(browse(), found)
    assert "Stopped before its end." in text and "Try the" not in text


def test_what_a_cleaning_removed_is_tried_again_by_nobody(clock, browse):
    due(clock)
    clean()
    client = browse()

    answer = client.post(reverse("jobadmin:operation_again", args=[Operation.objects.get().pk]))

    assert answer.status_code == 404
