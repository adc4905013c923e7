"""The page of periodic jobs."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

import statuses
from jobadmin import schedules
from jobadmin.filters import JobFilter
from jobadmin.paths import job_url
from statuses.engines import registry
from statuses.engines.base import Engine, Schedule
from statuses.testing import make_status

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

HOSTILE = "<script>alert(1)</script>\"'&"


class Clockwork(Engine):
    """An engine whose schedules a test says."""

    name = "clockwork"
    has_schedules = True

    def __init__(self) -> None:
        self.there: list[Schedule] = []
        self.broken = False

    def schedules(self) -> list[Schedule]:
        if self.broken:
            raise OSError("away")
        return self.there


@pytest.fixture
def engine() -> Iterator[Clockwork]:
    engine = Clockwork()
    registry.register(engine)
    yield engine
    registry.unregister(engine.name)


def schedule(name: str = "digest", job_name: str = "mail.digest", **about: object) -> Schedule:
    return Schedule(**{"name": name, "job_name": job_name, "every_seconds": 300.0, **about})


def rows() -> list[schedules.ScheduleRow]:
    return schedules.read(JobFilter()).rows


@pytest.mark.parametrize(
    ("about", "rule", "exact"),
    [
        ({"every_seconds": 30.0}, "every 30 s", ""),
        ({"every_seconds": 86_400.0}, "every 1 day", ""),
        ({"cron": "* * * * *"}, "every minute", "* * * * *"),
        ({"cron": "*/15 * * * *"}, "every 15 min", "*/15 * * * *"),
        ({"cron": "7 * * * *"}, "every hour at minute 7", "7 * * * *"),
        ({"cron": "5 3 * * *", "time_zone": "UTC"}, "every day at 03:05 UTC", "5 3 * * * UTC"),
        ({"cron": "0 6 * * 1,5"}, "Monday, Friday at 06:00", "0 6 * * 1,5"),
        ({"cron": "0 6 * * 0"}, "Sunday at 06:00", "0 6 * * 0"),
        ({"cron": "0 6 1 * *"}, "every month on day 1 at 06:00", "0 6 1 * *"),
        ({"cron": "0,30 8-18 * * mon-fri"}, "0,30 8-18 * * mon-fri", ""),
        ({"cron": "*/7 * * * *"}, "*/7 * * * *", ""),
        ({"is_once": True, "every_seconds": None}, "once", ""),
        ({"rule": "<solar: sunset at 52, 13>"}, "<solar: sunset at 52, 13>", ""),
    ],
)
def test_a_rule_is_said_in_words_where_there_are_some(about, rule, exact):
    assert schedules.words(Schedule(name="a", job_name="a", **about)) == (rule, exact)


def test_a_minute_has_its_zone_for_whom_it_is_another_one():
    hourly, often = (Schedule(name="a", job_name="a", cron=cron, time_zone="UTC") for cron in ("7 * * * *", "*/15 * * * *"))

    with timezone.override("Asia/Kolkata"):
        assert schedules.words(hourly)[0] == "every hour at minute 7 UTC"
        assert schedules.words(often)[0] == "every 15 min"
    with timezone.override("Asia/Tokyo"):
        assert schedules.words(hourly)[0] == "every hour at minute 7"


def test_a_schedule_tells_its_last_job_and_what_became_of_those_of_a_day(engine):
    make_status("succeeded", job_name="mail.digest")
    last = make_status("failed", job_name="mail.digest")
    engine.there = [schedule(next_at=statuses.server_time() + timedelta(minutes=5), queue="mail")]

    [row] = rows()

    assert (row.last, row.day, row.failed, row.is_overdue) == (last, 2, 1, False)
    assert "name=mail.digest" in row.url and "state=failed" in row.failed_url


def test_those_that_come_next_stand_first_and_those_switched_off_last(engine):
    now = statuses.server_time()
    engine.there = [
        schedule("off", next_at=now, is_enabled=False),
        schedule("never"),
        schedule("later", next_at=now + timedelta(hours=2)),
        schedule("late", next_at=now - timedelta(hours=1)),
    ]

    assert [row.about.name for row in rows()] == ["late", "later", "never", "off"]
    assert [row.is_overdue for row in rows()] == [True, False, False, False]


def test_an_overdue_schedule_is_said_loudly(admin_client, engine):
    engine.there = [schedule(next_at=statuses.server_time() - timedelta(hours=1))]

    page = admin_client.get(reverse("jobadmin:schedules")).content.decode()

    assert "Overdue: digest." in page and "Overdue" in page


def test_of_many_that_are_overdue_some_are_named_and_the_rest_is_counted(admin_client, engine):
    engine.there = [schedule(f"late{number}", next_at=statuses.server_time() - timedelta(hours=1)) for number in range(8)]

    page = admin_client.get(reverse("jobadmin:schedules")).content.decode()

    assert page.count("Overdue: ") == 5
    assert "3 more are overdue." in page


def test_an_engine_that_knows_no_schedules_is_named_as_such(admin_client, engine, monkeypatch):
    engine.there = [schedule()]
    monkeypatch.setattr(Clockwork, "has_schedules", False)

    page = admin_client.get(reverse("jobadmin:schedules")).content.decode()

    assert re.search(r"Engines without schedules: [^<]*clockwork", page)


def test_the_page_leads_to_the_last_job_and_to_the_queue(admin_client, engine):
    last = make_status("succeeded", job_name="mail.digest", queue="mail")
    engine.there = [schedule(queue="mail")]

    page = unescape(admin_client.get(reverse("jobadmin:schedules")).content.decode())

    assert f'href="{job_url(last.id)}"' in page
    assert f'href="{reverse("jobadmin:queue", args=["mail"])}"' in page


def test_hostile_names_stay_text(admin_client, engine):
    engine.there = [schedule(HOSTILE, HOSTILE, cron=HOSTILE, every_seconds=None, queue=HOSTILE)]

    page = admin_client.get(reverse("jobadmin:schedules")).content.decode()

    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_the_queue_of_a_schedule_that_never_came_can_be_looked_at(admin_client, engine):
    engine.there = [schedule(queue="reports")]

    page = admin_client.get(reverse("jobadmin:queue", args=["reports"]))

    assert page.status_code == 200 and "no job waits in it" in page.content.decode()


def test_a_name_that_looks_like_a_filter_leads_to_its_own_jobs(admin_client, engine):
    make_status("failed", job_name="-nightly.*")
    make_status("failed", job_name="nightly.x")
    engine.there = [schedule(job_name="-nightly.*")]

    [row] = rows()

    assert JobFilter.from_querystring(row.url.partition("?")[2]).query.count() == 1


def test_an_engine_that_fails_is_named_and_the_others_stand(admin_client, engine):
    engine.broken = True

    page = admin_client.get(reverse("jobadmin:schedules")).content.decode()

    assert "The engine clockwork could not tell" in page


def test_a_project_without_schedules_is_told_how_to_have_some(admin_client):
    page = admin_client.get(reverse("jobadmin:schedules")).content.decode()

    assert "No schedule is known" in page
