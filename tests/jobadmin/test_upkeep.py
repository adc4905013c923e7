"""Whether reaper, cleaner and the others run: on the page of workers, in a shell, and where jobs are lost."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

import statuses
from jobadmin import formats
from jobadmin.demo.environment import ROOT
from jobadmin.paths import job_url
from jobadmin.redaction import redact_text
from statuses import upkeep
from statuses.reaper import Reaper
from statuses.store import Store
from statuses.testing import FrozenClock, frozen_clock, make_status
from tests.jobadmin.test_fleet import Lines, engine, worker  # noqa: F401
from tests.jobadmin.test_jobs_command import run, run_json
from tests.servers import PATIENCE, until

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]
NEVER = "No reaper has run: jobs of lost workers stay started. Run manage.py reap_jobs --every 30"


class Died(Exception):
    """What a process dies of."""


def died(chore: str, every: float = 30, about: str = "", pid: int | None = None, **did: int) -> None:
    """One round of a chore whose process does not live to see the next."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Died), upkeep.watching(every, about):
        if pid is not None:
            patch.setattr(os, "getpid", lambda: pid)
        with upkeep.doing(chore) as counts:
            counts |= did
        raise Died


@pytest.fixture
def clock() -> Iterator[FrozenClock]:
    with frozen_clock() as clock:
        yield clock


@pytest.fixture
def client(browse: Callable[..., Client]) -> Client:
    return browse("view_job")


def text(markup: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def page(client: Client, **query: str) -> str:
    return client.get(reverse("jobadmin:workers"), query).content.decode()


def panel(client: Client) -> str:
    """The words of the panel; empty without one."""
    return text(page(client).partition('id="j-upkeep"')[2].partition("</section>")[0])


def notes(client: Client) -> list[str]:
    return [text(found) for found in re.findall(r'id="j-trouble-\d+">(.*?)</div>', page(client), re.S)]


def test_each_chore_stands_there_with_where_it_runs_when_it_ran_and_what_it_did(client, clock):
    died("reap", 30, pid=4711, failed=3, ended=2, retried=1)
    died("clean", 3600, removed=1200)
    clock.tick(20)

    said, here = panel(client), socket.gethostname()

    assert re.search(
        rf"Reaper gives up jobs of lost workers {here} pid 4711 every 30 s .* took .* 3 marked failed, 2 marked as ended, 1 sent again",
        said,
    )
    assert re.search(rf"Cleaner .* {here} pid \d+ every 1 h .* took .* 1,200 removed", said)
    assert notes(client) == [] and "Overdue" not in said


def test_what_found_nothing_lately_tells_what_it_found_last_and_when(client, clock):
    with upkeep.watching(60):
        for found in (2, 0):
            with upkeep.doing("reap") as did:
                did["failed"] = found
            clock.tick(60)
        Reaper().look()

    [reaper] = upkeep.chores()
    assert f"2 marked failed {formats.when(clock.now - timedelta(minutes=2), timezone.now())}" in panel(client)
    assert reaper.ran_at == clock.now


def test_one_that_missed_three_rounds_is_said_loudly_with_what_comes_of_it(client, clock):
    died("reap", 30)
    clock.tick(80)
    early = notes(client)
    clock.tick(20)

    [said] = notes(client)

    assert early == []
    assert said.startswith("Overdue: Reaper. It meant to come every 30 s. Its last round ended")
    assert "Meanwhile jobs of lost workers stay started." in said
    assert "Overdue" in panel(client)


def test_one_that_died_is_not_missed_while_another_does_the_same(client, clock):
    died("reap", 30, pid=11)
    clock.tick(3600)
    died("reap", 60, pid=12)
    died("retry", 60, about="name=mail.*", pid=13)

    said = panel(client)
    clock.tick(100)
    died("retry", 60, about="name=other", pid=14)
    clock.tick(100)

    assert "pid 12" in said and "pid 11" not in said
    assert [note.split(" It ")[0] for note in notes(client)] == ["Overdue: Reaper.", "Overdue: Retrier."]


def test_all_that_come_again_in_time_stand_there_and_one_run_beside_them_does_not_take_their_place(client, clock):
    for pid in (11, 12):
        died("reap", 30, pid=pid)
    Reaper().look()

    assert {*re.findall(r"Reaper gives up jobs of lost workers \S+ (pid \d+) every 30 s", panel(client))} == {"pid 11", "pid 12"}
    assert len(re.findall("Reaper", panel(client))) == 2


def test_one_run_now_and_then_stands_in_for_one_that_died_as_long_as_that_would_have_been_waited_for(client, clock):
    died("reap", 30, pid=11)
    clock.tick(3600)
    overdue = notes(client)
    Reaper().look()
    stood_in = notes(client)
    clock.tick(600)

    assert len(overdue) == 1 and stood_in == [] and len(notes(client)) == 1
    assert {"pid 11", f"pid {os.getpid()}"} <= {*re.findall(r"pid \d+", panel(client))}


def test_a_round_that_ended_with_an_error_is_said_loudly(client, clock):
    with pytest.raises(ZeroDivisionError), upkeep.watching(30), upkeep.doing("clean"):
        raise ZeroDivisionError

    assert notes(client)[0].startswith("Cleaner: the last round ended with ZeroDivisionError.")
    assert "ZeroDivisionError" in panel(client)


def test_where_no_reaper_ever_ran_a_calm_sentence_says_what_to_do(client, engine):  # noqa: F811
    engine.there = [worker()]
    statuses.clean()
    said = panel(client)
    Reaper().look()

    assert NEVER in said
    assert NEVER not in panel(client) and "No reaper" not in page(client)


def test_a_reaper_is_one_whatever_its_process_says_about_itself(client, engine, clock):  # noqa: F811
    engine.there = [worker()]
    died("reap", 30, about="the one in the basement")

    assert "the one in the basement" in panel(client) and "No reaper" not in page(client)


def test_where_the_reaper_was_ended_and_no_other_runs_that_is_said_calmly(client, engine, clock):  # noqa: F811
    engine.there = [worker()]
    with upkeep.watching(30):
        Reaper().look()
    clock.tick(600)

    said = panel(client)

    assert "The reaper was ended, and no other runs: jobs of lost workers stay started." in said
    assert f"Ended {formats.when(clock.now - timedelta(minutes=10), timezone.now())}" in said
    assert notes(client) == []


def test_without_chores_workers_and_engines_there_is_nothing_to_tell(client):
    assert "j-upkeep" not in page(client)


def test_the_workers_of_one_queue_are_told_without_it(client, engine):  # noqa: F811
    engine.there = [worker()]
    Reaper().look()

    assert "j-upkeep" not in page(client, queue="mail")


def test_a_chore_of_somebody_else_stands_there_by_its_own_name_and_a_secret_does_not(client):
    with upkeep.watching(60, "name=mail password=hush"), upkeep.doing("<b>exports</b>") as did:
        did["files"] = 3
        said = page(client)  # before it has told of itself

    shown = panel(client)

    assert "j-upkeep" not in said
    assert "<b>exports</b>" in shown and "3 files" in shown
    assert "hush" not in shown and redact_text("name=mail password=hush") in shown


def test_a_lost_worker_is_not_promised_a_reaper_that_is_not_there(client, engine):  # noqa: F811
    make_status(queue="mail", engine="lines").started("w1")
    engine.there = [worker("w1", is_alive=False)]

    without = page(client)
    Reaper().look()
    beside = page(client)

    assert "No reaper runs that would mark what it left as failed." in without and "once that has been silent" not in without
    assert "once that has been silent long enough" in beside and "No reaper" not in beside


def test_silent_jobs_on_the_overview_lead_to_upkeep_where_no_reaper_runs_at_no_further_round_trip(client, clock, monkeypatch):
    make_status("started").heartbeat()
    clock.tick(90)
    asked: list[Any] = []
    monkeypatch.setattr(Store, "pipeline", lambda self, calls, to=Store.pipeline, **how: asked.append(1) or to(self, calls, **how))

    def overview() -> tuple[str, int]:
        client.get(reverse("jobadmin:overview"))
        asked.clear()
        return client.get(reverse("jobadmin:overview")).content.decode(), len(asked)

    without, trips = overview()
    Reaper().look()
    beside, trips_beside = overview()

    assert f'No reaper runs that would give it up: <a href="{reverse("jobadmin:workers")}#j-upkeep">Upkeep</a>.' in without
    assert "shown no sign of life" in beside and "No reaper" not in beside
    assert trips == trips_beside


def test_an_overview_that_is_open_shows_that_a_reaper_came(client, clock):
    make_status("started").heartbeat()
    clock.tick(90)
    address = reverse("jobadmin:overview") + "?live=1"
    before = client.get(address, headers={"HX-Request": "true"})
    Reaper().look()

    after = client.get(address, headers={"HX-Request": "true", "If-None-Match": before["ETag"]})

    assert "No reaper" in before.content.decode()
    assert after.status_code == 200 and "No reaper" not in after.content.decode()


def test_a_silent_job_says_that_no_reaper_would_give_it_up(client, clock):
    job = make_status("started").heartbeat()
    clock.tick(90)

    without = client.get(job_url(job.id)).content.decode()
    Reaper().look()
    beside = client.get(job_url(job.id)).content.decode()

    assert "No reaper runs that would give it up" in without and "the reaper gives it up" not in without
    assert "the reaper gives it up as failed" in beside


def test_a_shell_tells_the_same_in_words_and_as_json(engine, clock):  # noqa: F811
    engine.there = [worker()]
    without = run("jobs", "workers")
    died("reap", 30, pid=11, failed=2)
    clock.tick(100)

    said, [row] = run("jobs", "workers"), run_json("jobs", "workers")["upkeep"]

    assert NEVER in without
    assert re.search(r"^condition +chore +about +host +pid +ran_at +result$", said, re.M)
    assert re.search(r"^overdue +reap .* 11 .* 2 marked failed$", said, re.M)
    assert "is overdue: it meant to come every 30 s, its last round was 1 min ago." in said
    assert (row["chore"], row["condition"], row["pid"], row["every_seconds"], row["did"]) == ("reap", "overdue", 11, 30, {"failed": 2})


def test_the_last_check_stands_there_with_what_it_found(client, store):
    make_status("failed")
    call_command("check_jobs")
    nothing = panel(client)
    store.set(f"{{{statuses.collection.store.current().config.namespace}:0}}0:j9", "nobody's")
    call_command("check_jobs", repair=True)

    assert re.search(r"Check looks whether all that is kept agrees .* – .* 1 job looked at$", nothing)
    assert panel(client).endswith("1 job looked at, 1 thing wrong, 1 mended")


def test_a_check_of_the_store_warns_of_what_is_overdue_and_does_not_fail_for_it(clock, capsys):
    died("clean", 60)
    clock.tick(3600)

    call_command("check_jobs")

    said, warned = capsys.readouterr()
    assert "Nothing is wrong." in said
    assert warned.startswith("Cleaner on ") and "is overdue" in warned


@pytest.fixture
def command(server_url: str, tmp_path: Any) -> Iterator[Callable[..., subprocess.Popen]]:
    """A command as a process of its own, on the test's store."""
    namespace = statuses.collection.store.current().config.namespace
    (tmp_path / "apart.py").write_text(
        f"from jobadmin.settings import *\nJOBADMIN = {{'URL': {server_url!r}, 'NAMESPACE': {namespace!r}}}\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "apart", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    started: list[subprocess.Popen] = []

    def start(*words: str) -> subprocess.Popen:
        started.append(subprocess.Popen([sys.executable, "-m", "django", *words], cwd=ROOT, env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_reaper_of_its_own_process_is_seen_and_told_when_it_ends_in_order_and_missed_when_it_is_killed(command, client):
    orderly = command("reap_jobs", "--every", "3600")
    until(lambda: len(upkeep.chores()) == 2, "it looked, and took a sample")
    said = panel(client)
    orderly.send_signal(signal.SIGTERM)
    assert orderly.wait(PATIENCE) == 0
    ended = {chore.chore: chore.ended_at for chore in upkeep.chores()}
    killed = command("reap_jobs", "--every", "3600")
    until(lambda: any(chore.pid == killed.pid for chore in upkeep.chores()), "the other one looked")
    killed.kill()
    killed.wait()

    assert re.search(rf"Reaper .* pid {orderly.pid} every 1 h .* Nothing to do", said)
    assert ended.keys() == {"reap", "sample"} and None not in ended.values()
    with frozen_clock(statuses.server_time() + timedelta(hours=4)):
        assert "Overdue: Reaper." in notes(client)[0]
        assert re.search(rf"Reaper gives up jobs of lost workers \S+ pid {killed.pid} every 1 h Overdue", panel(client))
