"""The one door to Django and django-redis: reads `settings.JOBADMIN` and configures the status service."""

from datetime import timedelta
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from . import collection
from .errors import ConfigurationError

#: `settings.JOBADMIN` key -> setting of the status service.
KEYS = {
    "NAMESPACE": "namespace",
    "RETENTION": "retention",
    "FAMILIES": "families",
    "STALE_AFTER": "stale_after",
    "TIMEOUT": "timeout_seconds",
    "CONNECT_TIMEOUT": "connect_timeout_seconds",
    "UNTRACKED": "untracked",
    "SAMPLED": "sampled",
    "REAP_AFTER": "reap_after",
    "REAP_RETRIES": "reap_retries",
    "READ_URL": "read_url",
    "URL": "url",
}


class StatusesConfig(AppConfig):
    """Configures `statuses` when Django starts; connects at the first use."""

    name = "statuses"
    verbose_name = "Job statuses"

    def ready(self) -> None:
        try:
            collection.configure(**configuration(getattr(settings, "JOBADMIN", {})))
        except ConfigurationError as error:
            raise ImproperlyConfigured(f"JOBADMIN: {error}") from error


def configuration(given: dict[str, Any]) -> dict[str, Any]:
    """The settings of the status service in `settings.JOBADMIN`; the client of the CACHE alias unless URL is given."""
    made = {KEYS[key]: value for key, value in given.items() if key in KEYS}
    for key in ("stale_after",):
        if isinstance(made.get(key), int | float):
            made[key] = timedelta(seconds=made[key])
    if "untracked" in made:
        made["untracked"] = frozenset(made["untracked"])
    if "url" not in made:
        alias = given.get("CACHE", "default")
        made["client"] = lambda: _client(alias)
    return made


def _client(alias: str) -> Any:
    from django_redis import get_redis_connection

    return get_redis_connection(alias, write=True)
    if isinstance(made.get("reap_after"), dict):
        seconds = made["reap_after"].items()
        made["reap_after"] = {name: timedelta(seconds=time) if isinstance(time, int | float) else time for name, time in seconds}
