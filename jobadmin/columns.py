"""Columns for what jobs and people bring along: what some database refuses is replaced or cut, and no action stays undone for that.

SQLite takes any text of any length. PostgreSQL takes no NUL, neither as a text nor within JSON; it and MySQL take no text that is longer
than its column, and no half of a pair of surrogates, as names hold that some program read with `surrogateescape`.
"""

from __future__ import annotations

import re
from typing import Any

from django.db import models

_REFUSED = re.compile("[\x00\ud800-\udfff]")
_HALVES = re.compile("[\ud800-\udfff]")


def storable(text: str) -> str:
    """A text that every database takes; NUL is shown as pages and exports show it."""
    return _REFUSED.sub(lambda found: "␀" if found[0] == "\x00" else "\ufffd", text)


class _Column:
    """For migrations the column is one as any other."""

    plain: str

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        name, _, args, kwargs = super().deconstruct()
        return name, f"django.db.models.{self.plain}", args, kwargs


class LineField(_Column, models.CharField):
    """A line, of which as much is kept as fits."""

    plain = "CharField"

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return storable(value)[: self.max_length] if isinstance(value, str) else value


class LongField(_Column, models.TextField):
    """A text of any length."""

    plain = "TextField"

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return storable(value) if isinstance(value, str) else value


class DataField(_Column, models.JSONField):
    """JSON, in which texts stay what they are where the database can keep them: ids of jobs are compared exactly."""

    plain = "JSONField"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if connection.vendor != "sqlite":
            value = _storable_in(value, _REFUSED if connection.vendor == "postgresql" else _HALVES)
        return super().get_db_prep_value(value, connection, prepared)


def _storable_in(value: Any, refused: re.Pattern[str]) -> Any:
    """The same with texts that the database takes; what is no JSON, an expression say, as it is."""
    if isinstance(value, str):
        return storable(value) if refused.search(value) else value
    if isinstance(value, dict):
        return {_storable_in(name, refused): _storable_in(one, refused) for name, one in value.items()}
    if isinstance(value, list):
        return [_storable_in(one, refused) for one in value]
    return value
