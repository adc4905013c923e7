"""clean_jobs: removes what is due or named, says what it did, and as a loop ends when it is told to."""

import io
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

import statuses
from jobadmin.ending import Ending
from statuses.testing import frozen_clock, make_status
from tests.servers import PATIENCE, until

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

    assert "1 earlier removals are final now" in said
    assert "1 segments dropped" in said
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
    settings.write_text(f"from jobadmin.settings import *\nJOBADMIN = {{'URL': {server_url!r}, 'NAMESPACE': {namespace!r}}}\n")
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


def test_a_loop_cleans_again_and_again(loop):
    make_status("failed", keep_for=timedelta(microseconds=1))
    process = loop("0.05")
    until(lambda: statuses.all().count() == 0, "the first round is done")

    make_status("failed", keep_for=timedelta(microseconds=1))
    until(lambda: statuses.all().count() == 0, "another round is done")

    assert process.poll() is None


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
