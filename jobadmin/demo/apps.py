"""Lets the demo's pages know its engine: without it they could look, but neither kill nor retry."""

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Part of the demo project only; a project of one's own has a Celery app of its own."""

    name = "jobadmin.demo"
    label = "jobadmin_demo"

    def ready(self) -> None:
        from . import (
            celeryapp,  # noqa: F401  (installs the tracking, and with it the engine)
            outputs,  # noqa: F401  (registers what makes the output of jobs)
        )
