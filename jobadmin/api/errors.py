"""What errors become: a status, a code for programs, and the sentence that the pages have for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404

import statuses
from jobadmin import conditions
from jobadmin.api import rows
from jobadmin.api.fields import BadBody
from jobadmin.filters import BadFilter
from jobadmin.records import NotRecorded, ended_by
from jobadmin.redaction import redact_text
from jobadmin.views import failures

logger = logging.getLogger(__name__)


class Refused(Exception):
    """Raised when a call is not carried out: `status` and `code` say why to programs, the message to people.
    `more` goes beside the error."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        parameter: str | None = None,
        expected: str | None = None,
        condition: str | None = None,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.parameter, self.expected = status, code, parameter, expected
        self.condition = condition
        self.headers, self.more = dict(headers or {}), dict(more or {})

    @property
    def body(self) -> dict[str, Any]:
        """As the answer has it."""
        error = {"code": self.code, "message": str(self), "parameter": self.parameter}
        said = {"expected": self.expected, "condition": self.condition}
        return {"error": error | {name: value for name, value in said.items() if value is not None}, **self.more}


#: With what may pass.
_LATER = {"Retry-After": str(failures.RETRY_SECONDS)}

#: What `refusal` knows.
KNOWN = (
    Refused, BadFilter, BadBody, RequestDataTooBig, statuses.StatusNotFound, Http404, statuses.StoreUnavailable, statuses.ScriptFailed,
    statuses.ConfigurationError, NotRecorded, OperationalError, InterfaceError,
)  # fmt: skip


def refusal(error: Exception) -> Refused:
    """What an error of KNOWN becomes."""
    if isinstance(error, Refused):
        return error
    if isinstance(error, BadFilter):
        words = failures.unreadable_words(error)
        return Refused(400, "bad_parameter", words, parameter=error.parameter, expected=str(error.expected))
    if isinstance(error, BadBody):
        return Refused(error.status, "bad_body", str(error))
    if isinstance(error, RequestDataTooBig):
        return Refused(413, "too_large", "The body is larger than this site takes (DATA_UPLOAD_MAX_MEMORY_SIZE).")
    if isinstance(error, statuses.StoreUnavailable):
        said = conditions.said(error)
        words = f"{said.sentence if said else failures.unavailable_words()} {redact_text(str(error))}"
        begun = ended_by(error)
        more = {"operation": rows.operation(begun, begun.user)} if begun is not None and begun.user is not None else {}
        condition = error.condition.code.lower() if error.condition else None
        return Refused(503, "store_unavailable", words, headers=failures.later(said), more=more, condition=condition)
    if isinstance(error, NotRecorded):
        headers = _LATER if error.is_away else {}
        logger.error("the database does not take the record of an action: %s", error)
        return Refused(failures.not_recorded_status(error), "not_recorded", failures.not_recorded_words(error), headers=headers)
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("the database does not answer: %s", error)
        return Refused(503, "database_unavailable", "The database of this site does not answer.", headers=_LATER)
    if isinstance(error, statuses.StatusNotFound | Http404):
        return Refused(404, "not_found", failures.not_found_words(getattr(error, "id", None)))
    logger.exception("the job store is not as expected", exc_info=error)
    return Refused(500, "store_unexpected", redact_text(str(error)))


def forbidden(right: str = "") -> Refused:
    """403, with the right that is lacking."""
    return Refused(403, "forbidden", failures.forbidden_words(right))
