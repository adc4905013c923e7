"""Moments: aware inside, whatever `USE_TZ` says; what converts stands here, for the clock and for the database.

Without `USE_TZ` Django's own `now()` has no zone, and its tables hold the wall clock of `TIME_ZONE`. What Redis tells is aware: the two
cannot be compared, and a database takes no aware moment then.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from datetime import timezone as fixed
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone


def now() -> datetime:
    """This moment, in UTC, by the clock of this machine."""
    return datetime.now(UTC)


def today() -> date:
    """The date in the viewer's zone."""
    return timezone.localdate(now())


class MomentField(models.DateTimeField):
    """A moment that is aware in Python, and kept as the project keeps moments: without `USE_TZ` as the wall clock of `TIME_ZONE`.
    In that zone it is then read, for Django's admin shows it as it comes; of an hour that comes twice as the first
    (PostgreSQL, which keeps no wall clock: the second).
    """

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """For migrations the column is one as any other."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        if self.auto_now or (self.auto_now_add and add):
            setattr(model_instance, self.attname, now())
        return getattr(model_instance, self.attname)

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        if settings.USE_TZ or not isinstance(value, datetime) or timezone.is_naive(value):
            return value
        return timezone.make_naive(value, timezone.get_default_timezone())

    def from_db_value(self, value: datetime | None, *_: object) -> datetime | None:
        if value is None or timezone.is_aware(value):
            return value
        aware = timezone.make_aware(value, timezone.get_default_timezone())
        # With the offset alone: Python subtracts two moments of one zone by their wall clocks, an hour wrong where these were set.
        return aware.astimezone(fixed(aware.utcoffset()))
