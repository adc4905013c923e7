"""An app with two jobs: one that does its work, one that cannot."""

from django.apps import AppConfig


class Jobs(AppConfig):
    name = "jobs"

    def ready(self):
        from statuses.engines import rq as tracking

        tracking.install(name="django-rq")


def queue():
    import django_rq

    return django_rq.get_queue("shop")


def ship(order):
    return f"{order} is on its way"


def refund(order):
    raise ValueError(f"{order} was never paid")
