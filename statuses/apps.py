"""The one door to Django and django-redis: reads `settings.JOBADMIN` and configures the status service."""

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import Tags, register
from django.db import transaction
from django.db.models.signals import post_delete

from . import collection, keeping, resource, store
from .errors import ConfigurationError, StatusesError

log = logging.getLogger("statuses")
#: `settings.JOBADMIN` key -> setting of the status service.
KEYS = {
    "NAMESPACE": "namespace",
    "RETENTION": "retention",
    "FAMILIES": "families",
    "CLUSTER": "cluster",
    "STALE_AFTER": "stale_after",
    "REAP_AFTER": "reap_after",
    "REAP_RETRIES": "reap_retries",
    "TIMEOUT": "timeout_seconds",
    "CONNECT_TIMEOUT": "connect_timeout_seconds",
    "UNTRACKED": "untracked",
    "SAMPLED": "sampled",
    "READ_URL": "read_url",
    "CACHE_ENTRIES": "cache_entries",
    "METRICS": "metrics",
    "METRICS_ROLES": "metrics_roles",
    "URL": "url",
}


class StatusesConfig(AppConfig):
    """Configures `statuses` when Django starts; connects at the first use."""

    name = "statuses"
    verbose_name = "Job statuses"

    def ready(self) -> None:
        refused = configure(getattr(settings, "JOBADMIN", {}))
        post_delete.connect(release, dispatch_uid="statuses.release")
        from . import checks

        register(lambda app_configs, **more: checks.check_settings(KEYS, refused), Tags.caches)
        register(lambda app_configs, **more: [] if refused else checks.check_policy(), Tags.caches)
        register(lambda app_configs, **more: checks.check_engines(), Tags.compatibility)


def configure(given: Any) -> str:
    """Configure `statuses` by `settings.JOBADMIN`; why that cannot be, empty where it can. Nothing can be asked of `statuses` then: it
    says the same, to processes that run no system checks too."""
    try:
        if not isinstance(given, Mapping):
            raise ConfigurationError(f"it must be a mapping of settings, not a {type(given).__name__}")
        collection.configure(**configuration(given))
    except ConfigurationError as error:
        store.refuse(f"JOBADMIN: {error}")
        return str(error)
    return ""


class _Deleted:
    """What one transaction deleted and jobs may wait for: told to the store once it is committed."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def __call__(self) -> None:
        try:
            keeping.release(*self.texts)
        except StatusesError as error:
            log.warning("jobs stay kept until somebody says that %s and others are deleted: %s", self.texts[0], error)


def release(sender: Any, instance: Any, using: str, **more: Any) -> None:
    """Gives jobs that were kept until `instance` is deleted back to the retention policy. A project's deletion never
    suffers from it: where the store is away they stay kept."""
    try:
        if instance.pk is None or not keeping.is_awaited(text := resource.resource(instance, "instance")):
            return
    except (StatusesError, TypeError, ValueError) as error:
        log.warning("nobody knows whether jobs are kept until %r is deleted: %s", instance, error)
        return
    connection = transaction.get_connection(using)
    waiting = connection.run_on_commit[-1] if connection.run_on_commit else (None, None)
    if isinstance(waiting[1], _Deleted) and waiting[0] == set(connection.savepoint_ids):
        waiting[1].texts.append(text)
    else:
        transaction.on_commit(_Deleted([text]), using=using)


def configuration(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the status service in `settings.JOBADMIN`; the client of the CACHE alias unless URL is given."""
    made = {KEYS[key]: value for key, value in given.items() if key in KEYS}
    for key in ("stale_after",):
        if isinstance(made.get(key), int | float):
            made[key] = timedelta(seconds=made[key])
    if isinstance(made.get("reap_after"), dict):
        seconds = made["reap_after"].items()
        made["reap_after"] = {name: timedelta(seconds=time) if isinstance(time, int | float) else time for name, time in seconds}
    if isinstance(made.get("untracked"), list | tuple | set):
        made["untracked"] = frozenset(made["untracked"])
    if "url" not in made:
        alias = given.get("CACHE", "default")
        made["client"] = lambda: _client(alias)
    return made


def _client(alias: str) -> Any:
    from django_redis import get_redis_connection

    return get_redis_connection(alias, write=True)
