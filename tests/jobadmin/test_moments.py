"""A project without time zones (`USE_TZ = False`) has every page, and right times: those of its `TIME_ZONE`."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import connection
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils.formats import date_format

import jobadmin
import statuses
from jobadmin import moments, runner
from jobadmin.models import Operation, SavedView
from jobadmin.paths import action_url, job_url
from jobadmin.results import Result
from statuses.engines import registry
from statuses.testing import frozen_clock, make_status
from tests.jobadmin.engines import toy_engine
from tests.jobadmin.test_bulk import confirm
from tests.jobadmin.test_controls import Obeying
from tests.jobadmin.test_failures import lost  # noqa: F401
from tests.jobadmin.test_links import busy, pages, walk  # noqa: F401

pytestmark = [pytest.mark.usefixtures("store"), pytest.mark.django_db]

KOLKATA = ZoneInfo("Asia/Kolkata")
#: 17:30 there.
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def naive(settings: Any) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Kolkata"


@pytest.fixture
def obeying() -> Iterator[Obeying]:
    engine = Obeying()
    registry.register(engine)
    yield engine
    registry.unregister(engine.name)


def kept(operation: Operation, column: str) -> datetime:
    """What stands in the database, as it stands there."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM jobadmin_operation WHERE id = %s", [operation.pk])
        (found,) = cursor.fetchone()
    return datetime.fromisoformat(found) if isinstance(found, str) else found


def in_kolkata(moment: datetime) -> str:
    return moment.astimezone(KOLKATA).strftime("%Y-%m-%d %H:%M:%S")


def killed(client: Client) -> Operation:
    client.post(action_url(make_status("queued").id, "kill"), {"reason": "too late"})
    return Operation.objects.get()


def test_every_page_is_shown(admin_client: Client, busy: str, obeying: Obeying) -> None:  # noqa: F811
    found = walk(admin_client, busy)

    assert found.broken == []
    assert found.kinds >= pages()


def test_a_moment_is_kept_as_the_project_keeps_moments_and_read_as_it_was(browse: Any) -> None:
    before = datetime.now(UTC)
    operation = killed(browse())
    after = datetime.now(UTC)

    for name in ("created_at", "started_at", "ended_at"):
        wall = kept(operation, name)
        assert wall.tzinfo is None and before <= wall.replace(tzinfo=KOLKATA) <= after
        assert getattr(operation, name) == wall.replace(tzinfo=KOLKATA)
    assert Operation.objects.filter(created_at__gte=before, created_at__lte=after, ended_at=operation.ended_at).count() == 1


def test_a_row_that_was_just_made_can_be_compared_as_one_that_was_read() -> None:
    made = Operation.objects.create(action="kill", state="unknown", started_at=datetime.now(UTC))

    assert made.created_at.tzinfo and not made.is_lost
    assert Operation.objects.get().created_at == made.created_at


def test_pages_the_admin_and_the_api_tell_one_moment(browse: Any, admin_client: Client) -> None:
    client = browse()
    operation = killed(client)
    local, at = in_kolkata(operation.created_at), operation.created_at.astimezone(UTC)

    page = client.get(reverse("jobadmin:operation", args=[operation.pk])).content.decode()
    told = json.loads(client.get(reverse("jobadmin:api_operation", args=[operation.pk])).content)
    listed = admin_client.get("/admin/jobadmin/operation/").content.decode()
    one = admin_client.get(f"/admin/jobadmin/operation/{operation.pk}/change/").content.decode()

    assert local in page and " IST" in page and at.isoformat() in page
    assert datetime.fromisoformat(told["created_at"]) == at
    written = date_format(operation.created_at.astimezone(KOLKATA), "DATETIME_FORMAT")
    assert written in listed and written in one


def test_the_hierarchy_of_dates_in_the_admin_finds_the_day(admin_client: Client) -> None:
    Operation.objects.create(action="kill", username="anna", state="done")
    Operation.objects.update(created_at=datetime(2026, 1, 1, 20, tzinfo=UTC))  # the second, in Kolkata

    def listed(day: int) -> bool:
        where = f"?created_at__year=2026&created_at__month=1&created_at__day={day}"
        return "anna" in admin_client.get(f"/admin/jobadmin/operation/{where}").content.decode()

    assert listed(2) and not listed(1)


def test_a_job_shows_its_times_in_the_zone_of_the_project(browse: Any) -> None:
    with frozen_clock(AT):
        job = make_status("failed")

    page = browse().get(job_url(job.id)).content.decode()

    assert "2026-01-01 17:30:00.000 IST" in page and 'datetime="2026-01-01T12:00:00+00:00"' in page


def test_a_span_that_was_typed_is_meant_in_the_zone_of_the_project(browse: Any) -> None:
    with frozen_clock(AT):
        make_status("failed", job_name="mail.send")
    client = browse()

    def total(begin: str, end: str) -> int:
        return json.loads(client.get(reverse("jobadmin:api_jobs"), {"from": begin, "to": end}).content)["total"]

    assert total("2026-01-01T17:29", "2026-01-01T17:31") == 1
    assert total("2026-01-01T11:59", "2026-01-01T12:01") == 0
    assert total("2026-01-01T11:59Z", "2026-01-01T12:01Z") == 1
    listed = client.get(reverse("jobadmin:list"), {"from": "2026-01-01T17:29", "to": "2026-01-01T17:31"}).content.decode()
    assert "17:29" in listed and "17:31" in listed and "mail.send" in listed


def test_a_removal_is_taken_back_until_its_time_is_over(browse: Any) -> None:
    make_status("failed")
    client = browse()
    confirm(client, "remove", typed="1")
    runner.run_pending()
    removed = Operation.objects.get(action="remove")
    assert statuses.all().count() == 0 and removed.undo_until - moments.now() > timedelta(minutes=9)
    assert f"Undo until {in_kolkata(removed.undo_until)[11:16]}" in client.get(reverse("jobadmin:operations")).content.decode()

    undo = reverse("jobadmin:operation_undo", args=[removed.pk])
    Operation.objects.update(undo_until=moments.now() - timedelta(seconds=1))
    client.post(undo)
    assert not Operation.objects.filter(action="restore").exists()
    Operation.objects.update(undo_until=moments.now() + timedelta(minutes=1))
    client.post(undo)
    runner.run_pending()

    assert statuses.all().count() == 1
    assert Operation.objects.get(action="remove").undone_at


def test_an_operation_that_its_process_left_is_carried_on_and_no_other(browse: Any) -> None:
    Operation.objects.create(action="kill", state="running", filter="span=all", heartbeat_at=moments.now() - runner.LEASE / 2)
    assert runner.take() is None

    Operation.objects.update(heartbeat_at=moments.now() - runner.LEASE * 2)
    _operation, lease = runner.take()

    lease.beat(done=1)
    assert Operation.objects.get().done == 1 and runner.take() is None


def test_orders_to_workers_and_queues_are_told_with_their_time(browse: Any, obeying: Obeying) -> None:
    client = browse("view_job", "control_workers")
    make_status("queued", queue="mail", engine="obeying")

    client.post(reverse("jobadmin:control", args=["stop-worker"]), {"engine": "obeying", "name": "w1", "confirmed": "yes"})
    client.post(reverse("jobadmin:control", args=["pause-queue"]), {"engine": "obeying", "name": "mail", "confirmed": "yes"})
    obeying.there = []
    workers, queues = (client.get(reverse(f"jobadmin:{name}")) for name in ("workers", "queues"))

    assert (workers.status_code, queues.status_code) == (200, 200)
    order = Operation.objects.get(action="stop-worker")
    assert "w1" in workers.content.decode() and order.created_at.astimezone(UTC).isoformat() in workers.content.decode()


def test_views_exports_and_ones_own_jobs_work(browse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with toy_engine():
        job = make_status("started", user="marta", engine="toy")
    client = browse()

    client.post(reverse("jobadmin:view_save"), {"name": "mine", "page": "list", "query": "from=2026-01-01T17:29"})
    with monkeypatch.context() as at_midnight:
        at_midnight.setattr(moments, "now", lambda: datetime(2026, 12, 31, 18, 30, tzinfo=UTC))
        exported = client.get(reverse("jobadmin:export_csv"))
    own = [client.get("/jobs/mine/"), client.get(f"/jobs/{job.id}/progress/")]
    request = RequestFactory().get("/")
    request.user = exported.wsgi_request.user
    tag = Template("{% load jobadmin %}{% job_progress job %}").render(Context({"job": job, "request": request}))

    assert SavedView.objects.get().created_at.tzinfo
    assert client.get(reverse("jobadmin:list")).status_code == 200
    assert "jobs-2027-01-01-000000" in exported["Content-Disposition"] and job.id in b"".join(exported).decode()
    assert [page.status_code for page in own] == [200, 200]
    assert "Running" in tag


@pytest.mark.parametrize("command", [("jobs", "counts"), ("jobs", "list"), ("jobs", "workers"), ("jobs", "queues"), ("jobs", "redis")])
def test_commands_tell_what_the_pages_tell(browse: Any, obeying: Obeying, command: tuple[str, ...]) -> None:
    killed(browse())

    try:
        call_command(*command, stdout=StringIO())
    except SystemExit as end:
        assert not end.code


def test_a_command_that_acts_is_on_record_at_its_time() -> None:
    with frozen_clock(AT):
        job = make_status("succeeded")
    out = StringIO()

    call_command("jobs", "show", job.id, stdout=out)
    call_command("jobs", "remove", "span=all", "--yes", stdout=StringIO())

    assert "2026-01-01 17:30:00" in out.getvalue()
    assert moments.now() - Operation.objects.get().ended_at < timedelta(minutes=1)


def test_an_outage_is_told_since_when(browse: Any, lost: Any) -> None:  # noqa: F811
    client = browse()
    lost[0].stop()

    assert [client.get(reverse("jobadmin:overview")).status_code for _ in range(2)] == [503, 503]


def test_a_schedule_of_django_celery_beat_ran_when_the_wall_clock_says() -> None:
    pytest.importorskip("celery")
    from statuses.engines.celery.schedules import _entry

    about = dict.fromkeys(("queue", "exchange", "routing_key", "task", "schedule"), "") | {"enabled": True}
    ran = _entry(SimpleNamespace(**about, last_run_at=datetime(2026, 1, 1, 17, 30), start_time=None))
    later = _entry(SimpleNamespace(**about, last_run_at=None, start_time=datetime(2190, 1, 1, 17, 30)))

    assert ran["last"] == AT
    assert later["last"] == datetime(2190, 1, 1, 12, tzinfo=UTC)


def test_with_time_zones_a_moment_is_kept_as_before(settings: Any, browse: Any) -> None:
    settings.USE_TZ = True

    operation = killed(browse())

    assert kept(operation, "created_at").replace(tzinfo=UTC) == operation.created_at
    assert operation.created_at.utcoffset() == timedelta()


def test_of_an_hour_that_comes_twice_the_first_is_read(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    later = first + timedelta(hours=1)
    Operation.objects.create(action="kill", started_at=first, ended_at=later)

    found = Operation.objects.get()

    read = later if connection.vendor == "postgresql" else first
    assert (found.started_at, found.ended_at) == (read, read)


def test_what_ran_while_clocks_were_set_took_as_long_as_it_took(settings: Any) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    begun = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)
    Operation.objects.create(action="kill", state="done", started_at=begun, ended_at=begun + timedelta(minutes=2))

    assert Result(Operation.objects.get()).took == 120


def test_the_pages_never_ask_django_for_the_time() -> None:
    asks = re.compile(r"timezone\.now\b|localtime\(\)|localdate\(\)|models\.DateTimeField\(")
    sources = [path for path in Path(jobadmin.__file__).parent.rglob("*.py") if "migrations" not in path.parts]

    found = [path.name for path in sources if asks.search(path.read_text())]

    assert found == [], "without USE_TZ that has no zone: see jobadmin.moments"
