"""The dashboard as a Django app."""

from django.apps import AppConfig, apps
from django.core.checks import Error, Tags, register
from django.utils.translation import gettext_lazy as _


class JobadminConfig(AppConfig):
    """Adds the dashboard to a project; its pages hang below the project's own admin."""

    name = "jobadmin"
    label = "jobadmin"
    verbose_name = _("Background jobs")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let web processes carry out bulk operations, from their first request on."""
        from jobadmin import migrated, runner

        runner.follow_requests()
        register(_check_apps, Tags.compatibility)
        register(migrated.check_tables, Tags.database)
        register(migrated.check_router, Tags.models)


def _check_apps(app_configs: object, **more: object) -> list[Error]:
    """The dashboard reads what the app ``statuses`` is told by the settings."""
    if apps.is_installed("statuses"):
        return []
    return [Error("INSTALLED_APPS has 'jobadmin' and not 'statuses'.", hint="Add 'statuses' before 'jobadmin'.", id="jobadmin.E001")]
