"""The settings. `django_tasks`, the backport, is needed up to Django 5.2 only."""

import os
from pathlib import Path

import django

SECRET_KEY = "a sample"
USE_TZ = True
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(os.environ.get("SAMPLE_VAR", ".")) / "shop.sqlite3"},
}
INSTALLED_APPS = [
    "django_tasks_db",
    "statuses",
    "statuses.engines.django_tasks.TrackDjangoTasks",
]
if django.VERSION < (6, 0):
    INSTALLED_APPS.append("django_tasks")

TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
JOBADMIN = {"URL": os.environ.get("REDIS_URL", "redis://localhost:6379")}
