"""The dashboard as a Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JobadminConfig(AppConfig):
    """Adds the dashboard to a project; its pages hang below the project's own admin."""

    name = "jobadmin"
    label = "jobadmin"
    verbose_name = _("Background jobs")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let web processes carry out bulk operations, from their first request on."""
        from jobadmin import runner

        runner.follow_requests()
