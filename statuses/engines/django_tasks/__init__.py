"""Django tasks, tracked by their signals: `django.tasks` of Django 6 and the `django_tasks` backport alike.

In the settings: INSTALLED_APPS = [..., "statuses.engines.django_tasks.TrackDjangoTasks"]
"""

from ..who import as_user
from .adapter import TrackDjangoTasks, install, uninstall
from .engine import DjangoTasks

__all__ = ["DjangoTasks", "TrackDjangoTasks", "as_user", "install", "uninstall"]
