"""A Django project with django-celery-beat: prints what its engine tells of schedules, as JSON."""

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import django
from celery import Celery
from django.conf import settings
from django.core.management import call_command

import statuses
from statuses.engines import celery as tracking
from statuses.engines import registry


def fill() -> None:
    """Its tables, and a row of each kind."""
    from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask

    call_command("migrate", verbosity=0)
    nightly = CrontabSchedule.objects.create(minute="0", hour="3", timezone="Europe/Berlin")
    often = IntervalSchedule.objects.create(every=30, period=IntervalSchedule.SECONDS)
    minute = IntervalSchedule.objects.create(every=1, period=IntervalSchedule.MINUTES)
    launch = ClockedSchedule.objects.create(clocked_time=datetime.now(UTC) + timedelta(hours=2))
    PeriodicTask.objects.create(name="nightly", task="mail.digest", crontab=nightly, queue="mail")
    PeriodicTask.objects.create(name="often", task="sync.all", interval=often, last_run_at=datetime.now(UTC) - timedelta(hours=1))
    PeriodicTask.objects.create(name="configured", task="sync.all", interval=minute)
    PeriodicTask.objects.create(name="off", task="sync.all", interval=often, enabled=False)
    PeriodicTask.objects.create(name="launch", task="site.launch", clocked=launch, one_off=True)


def told(schedule: Any) -> dict[str, Any]:
    due_in = (schedule.next_at - datetime.now(UTC)).total_seconds() if schedule.next_at else None
    return {**asdict(schedule), "next_at": None, "due_in": due_in}


def main() -> None:
    settings.configure(
        INSTALLED_APPS=["django_celery_beat"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        USE_TZ=True,
    )
    django.setup()
    statuses.configure(url=os.environ["TEST_STORE"], namespace=os.environ["TEST_NAMESPACE"])
    app = Celery("beat", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {"configured": {"task": "sync.all", "schedule": 30.0}}
    tracking.install(app)
    fill()
    engine = registry.get("celery")
    assert engine is not None
    print(json.dumps([told(schedule) for schedule in engine.schedules()]))


if __name__ == "__main__":
    main()
