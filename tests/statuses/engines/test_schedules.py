"""Periodic jobs, as each engine tells of them without asking anybody."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from statuses import store as stores
from statuses.engines import registry
from statuses.engines.base import Engine, Schedule
from statuses.testing import make_status
from tests.servers import ROOT

pytestmark = pytest.mark.usefixtures("store", "no_engines")


def tick() -> None:
    """A job that comes again."""


def by_name(engine: Engine) -> dict[str, Schedule]:
    return {schedule.name: schedule for schedule in engine.schedules()}


class TestCelery:
    @pytest.fixture
    def app(self) -> Iterator[Any]:
        celery = pytest.importorskip("celery")
        from statuses.engines import celery as tracking

        app = celery.Celery("scheduled", broker="memory://", set_as_current=False)
        app.conf.task_routes = {"reports.*": {"queue": "slow"}}
        app.conf.beat_schedule = {
            "digest": {
                "task": "mail.digest",
                "schedule": celery.schedules.crontab(minute="*/15", hour="8-18"),
                "options": {"queue": "mail"},
            },
            "sync": {"task": "sync.all", "schedule": 30.0},
            "totals": {"task": "reports.totals", "schedule": timedelta(hours=6)},
            "broken": {"task": "x", "schedule": object()},
        }
        tracking.install(app)
        yield app
        tracking.uninstall(app)

    def test_beats_entries_are_told_with_their_rules_and_queues(self, app):
        found = by_name(registry.get("celery"))

        assert set(found) >= {"digest", "sync", "totals"}
        assert (found["digest"].cron, found["digest"].job_name, found["digest"].queue) == ("*/15 8-18 * * *", "mail.digest", "mail")
        assert (found["sync"].every_seconds, found["totals"].every_seconds, found["totals"].queue) == (30.0, 21_600.0, "slow")

    def test_the_next_run_follows_the_last_job_of_its_name(self, app):
        status = make_status("succeeded", job_name="reports.totals")

        found = by_name(registry.get("celery"))

        assert abs(found["totals"].next_at - status.recorded_at - timedelta(hours=6)) < timedelta(seconds=2)
        assert found["sync"].next_at is None

    def test_a_crontab_that_never_ran_comes_at_its_next_moment(self, app):
        moment = by_name(registry.get("celery"))["digest"].next_at

        assert moment > datetime.now(UTC) - timedelta(seconds=2)
        assert (moment + timedelta(seconds=1)).minute % 15 == 0

    def test_one_that_did_not_come_is_overdue(self, app):
        from statuses.testing import frozen_clock

        with frozen_clock(datetime.now(UTC) - timedelta(days=2)):
            make_status("succeeded", job_name="mail.digest")

        assert by_name(registry.get("celery"))["digest"].next_at < datetime.now(UTC)


class TestDjangoCeleryBeat:
    """Its tables stand in the database of a Django project: one of their own here."""

    def test_its_periodic_tasks_are_told_those_switched_off_as_such(self, store):
        pytest.importorskip("django_celery_beat")
        make_status("succeeded", job_name="sync.all")
        done = subprocess.run(
            [sys.executable, "-m", "tests.projects.beat_project"],
            cwd=ROOT,
            env={**os.environ, "TEST_STORE": os.environ["REDIS_URL"], "TEST_NAMESPACE": stores.current().config.namespace},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr

        found = {schedule["name"]: schedule for schedule in json.loads(done.stdout)}

        assert set(found) == {"nightly", "often", "configured", "off", "launch"}
        assert (found["nightly"]["cron"], found["nightly"]["time_zone"], found["nightly"]["queue"]) == (
            "0 3 * * *",
            "Europe/Berlin",
            "mail",
        )
        assert (found["often"]["every_seconds"], found["often"]["due_in"]) == (30.0, pytest.approx(30, abs=15))
        assert (found["configured"]["every_seconds"], found["off"]["is_enabled"]) == (60.0, False)
        assert (found["launch"]["is_once"], found["launch"]["due_in"]) == (True, pytest.approx(7200, abs=30))


class TestRQ:
    @pytest.fixture
    def engine(self, store) -> Iterator[Engine]:
        pytest.importorskip("rq.cron")
        from statuses.engines import rq as tracking

        yield tracking.install(store)
        tracking.uninstall()

    def scheduler(self, store: Any) -> Any:
        from rq.cron import CronScheduler

        scheduler = CronScheduler(store, name="one")
        scheduler.register(tick, "mail", cron="0 3 * * *")
        scheduler.register(tick, "mail", interval=300, name="often")
        scheduler.get_jobs()[1].set_enqueue_time(datetime.now(UTC))
        scheduler.register_birth()
        return scheduler

    def test_the_jobs_of_its_cron_schedulers_are_told_with_their_next_times(self, store, engine):
        self.scheduler(store)

        found = by_name(engine)
        nightly, often = found[f"{__name__}.tick"], found["often"]

        assert (nightly.cron, nightly.queue, nightly.next_at.hour, nightly.next_at.minute) == ("0 3 * * *", "mail", 3, 0)
        assert (often.every_seconds, often.job_name) == (300, f"{__name__}.tick")
        assert timedelta(minutes=4) < often.next_at - datetime.now(UTC) <= timedelta(minutes=5)

    def test_a_job_that_was_put_off_comes_once_at_its_moment(self, store, engine):
        from rq import Queue

        from statuses.engines.rq import Job

        mail, slow = (Queue(name, connection=store, job_class=Job) for name in ("mail", "slow"))
        moment = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=3)
        later, sooner = slow.enqueue_at(moment, tick), mail.enqueue_in(timedelta(minutes=5), tick)
        mail.enqueue(tick)

        found = engine.schedules()

        assert [schedule.name for schedule in found] == [sooner.id, later.id]
        assert (found[1].job_name, found[1].queue, found[1].next_at, found[1].is_once) == (f"{__name__}.tick", "slow", moment, True)

    def test_of_many_that_were_put_off_the_soonest_are_told(self, store, engine, monkeypatch):
        from rq import Queue

        from statuses.engines.rq import Job, schedules

        monkeypatch.setattr(schedules, "MOST_ONCE", 2)
        queue = Queue("mail", connection=store, job_class=Job)
        jobs = [queue.enqueue_in(timedelta(minutes=minutes), tick) for minutes in (9, 3, 6)]

        assert [schedule.name for schedule in engine.schedules()] == [jobs[1].id, jobs[2].id]

    def test_those_of_a_scheduler_that_is_gone_are_not(self, store, engine):
        scheduler = self.scheduler(store)
        store.zadd("rq:cron_schedulers", {"one": time.time() - 600})
        silent = engine.schedules()
        store.zadd("rq:cron_schedulers", {"one": time.time()})
        scheduler.register_death()

        assert silent == engine.schedules() == []


class TestHuey:
    @pytest.fixture
    def huey(self) -> Iterator[Any]:
        huey_package = pytest.importorskip("huey")
        from statuses.engines import huey as tracking

        huey = huey_package.MemoryHuey("mail")
        tracking.install(huey)
        yield huey
        tracking.uninstall(huey)

    def told(self, huey: Any, rule: Any) -> Schedule:
        huey.periodic_task(rule, name="tick")(tick)
        [found] = registry.get("huey").schedules()
        return found

    @pytest.mark.parametrize(
        ("rule", "text"),
        [
            ({"minute": "*/15"}, "*/15 * * * *"),
            ({"minute": "0", "hour": "3"}, "0 3 * * *"),
            ({"minute": "5,35", "hour": "8-10", "day_of_week": "1"}, "5,35 8,9,10 * * 1"),
        ],
    )
    def test_a_crontab_is_told_as_one_writes_it_with_the_next_moment_that_fits(self, huey, rule, text):
        from huey import crontab

        fits = crontab(**rule)

        def following(moment: datetime) -> datetime:
            moment = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
            while not fits(moment):
                moment += timedelta(minutes=1)
            return moment

        before = datetime.now(UTC)
        found = self.told(huey, crontab(**rule))
        after = datetime.now(UTC)

        assert (found.cron, found.queue, found.is_enabled) == (text, "mail", True)
        assert found.next_at in (following(before), following(after))  # a minute may begin in between

    def test_a_day_that_comes_once_in_years_is_found(self, huey):
        from huey import crontab

        assert self.told(huey, crontab(minute="0", hour="0", day="29", month="2")).next_at.month == 2

    def test_a_rule_of_ones_own_is_tried(self, huey):
        found = self.told(huey, lambda moment: moment.minute == 7)

        assert (found.cron, found.rule, found.next_at.minute) == (None, "by a function of its own", 7)

    def test_one_that_was_revoked_is_told_as_such(self, huey):
        from huey import crontab

        huey.periodic_task(crontab(), name="tick")(tick).revoke()

        assert not registry.get("huey").schedules()[0].is_enabled
