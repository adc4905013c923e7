"""The record of every action: written before it is done, and completed with what came of it.

What cannot be written down is not done (`NotRecorded`). Where nobody came to write down what came of it, as the process was ended
or the database went away in between, the row still says that: its outcome is not known (`Operation.is_lost`).
"""

from __future__ import annotations

import getpass
import ipaddress
import logging
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import Error, InterfaceError, OperationalError, connections, router, transaction
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from jobadmin import moments
from jobadmin.columns import storable
from jobadmin.directions import shown
from jobadmin.models import SKIPPED, UNSURE, Job, Operation
from jobadmin.redaction import redact_text
from jobadmin.resolver import resolver
from jobadmin.verbs import ALL, CONTROLS, UNDO_FOR
from statuses import Changed, StatusesError, health

logger = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

#: Characters of a reason that are kept.
REASON_LENGTH = 2_000
#: Different reasons of an engine that are kept with the result.
MOST_ERRORS = 10
#: Attribute of an exception that ended an action.
_ON_RECORD = "jobadmin_operation"
#: Seconds between two signs of life of an action that takes long.
_BEAT_SECONDS = 5.0
#: What SQLite and MySQL say, in an error that else may pass, of a table or a column that is not there, or that no key leads to, of rights
#: that nobody gave, and of letters that a table does not know.
_LASTS = re.compile(
    r"no such (table|column)|has no column|unknown column|doesn't exist|foreign key|referenced table|denied|incorrect string value",
    re.IGNORECASE,
)
#: The code of PostgreSQL for a database that is read only, as one that waits for its failover.
_READ_ONLY = "25006"


class NotRecorded(Exception):
    """Raised when the database does not take the record of an action: it is not done."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        may_pass = isinstance(error, OperationalError | InterfaceError) and not _LASTS.search(str(error))
        self.is_away = bool(may_pass) or _code(error) == _READ_ONLY
        """Whether that may pass: the database is away, locked, full or read only."""


def in_shell(error: Exception) -> str:
    """What a command says of an error that ends it.  Source: see `health.explained`."""
    if isinstance(error, NotRecorded):
        return f"the database takes no record of it; --unrecorded does it without. Nothing was changed: {error}"
    return health.explained(error)


def _code(error: Exception) -> str | None:
    """What PostgreSQL calls an error, whichever driver tells it."""
    told = error.__cause__
    return getattr(told, "sqlstate", None) or getattr(told, "pgcode", None)


def committed(view: View) -> View:
    """Decorator, of a view that acts: what it writes down stays written whatever comes after, also in a project that binds every
    request into one transaction (`ATOMIC_REQUESTS`). A record that an error takes back is none."""
    for alias in connections:
        view = transaction.non_atomic_requests(using=alias)(view)
    return view


@contextmanager
def writing() -> Generator[None]:
    """All of what is written within, or nothing.  Raises: NotRecorded."""
    try:
        with transaction.atomic(using=router.db_for_write(Operation)):
            yield
    except (Error, ValueError) as error:  # also where a router allows no relation, or a text holds what no column takes
        raise NotRecorded(error) from error


def has_tables() -> bool:
    """Whether the database has the table of operations, or cannot be asked.  Source: one query of the database's own."""
    try:
        return Operation._meta.db_table in connections[router.db_for_write(Operation)].introspection.table_names()
    except Error:
        return True


def who(request: HttpRequest) -> dict[str, Any]:
    """Who asks, and from where, as a row keeps it."""
    return {
        "user": request.user,
        "username": request.user.get_username(),
        "address": _address(resolver().address_of(request)),
    }


def _address(told: str) -> str | None:
    """The address that a project tells of, as every database takes it: the first of several, without its port; None where it is none."""
    first = (told or "").split(",")[0].strip()
    for text in (first, first.rpartition(":")[0]):
        with suppress(ValueError):
            return str(ipaddress.ip_address(text.strip("[]").partition("%")[0]))
    return None


def shell_user(through: str = "shell") -> str:
    """Who runs this process, and through which command it acts."""
    try:
        return f"{getpass.getuser()} ({through})"
    except (KeyError, OSError):
        return through


@contextmanager
def recorded(asked_by: Mapping[str, Any], *, action: str, description: str, reason: str = "", **about: Any) -> Generator[Record]:
    """An action, done within: on record as it begins, and completed by `Record.complete`; where an exception ends it, by that.
    `asked_by`: see `who`; `about`: further fields of the row.  Raises: NotRecorded, before anything is done."""
    record = begin(asked_by, action=action, description=description, reason=reason, **about)
    try:
        yield record
    except BaseException as error:  # also where the process is told to end
        record.broke_off(error)
        raise


def begin(asked_by: Mapping[str, Any], *, action: str, description: str, reason: str = "", **about: Any) -> Record:
    """Write down what is about to be done.  Raises: NotRecorded."""
    with writing():
        operation = Operation.objects.create(
            **{"announced": 1, **asked_by, **about},
            action=action,
            description=description,
            reason=reason.strip()[:REASON_LENGTH],
            state=Operation.State.UNKNOWN,
            started_at=moments.now(),
        )
        return Record(operation=operation, entry=log(operation))


@dataclass(kw_only=True)
class Record:
    """One action that is on record and under way."""

    operation: Operation
    """As the database has it."""
    entry: LogEntry | None
    """The same in Django's log."""
    is_complete: bool = False
    _beaten: float = field(default_factory=time.monotonic)

    def complete(self, changed: Changed, *, error: str = "", job_id: str | None = None, **fields: Any) -> bool:
        """Write down what came of it; `job_id`: of the job that came to be by it. False, and a word in the log, where the database
        does not take that: the row goes on to say that the outcome is not known."""
        now = moments.now()
        numbers = {"changed": changed.changed, "skipped": changed.skipped, "missing": changed.missing}
        told = {
            "state": Operation.State.FAILED if error else Operation.State.DONE,
            "done": self.operation.announced,
            **numbers,
            "by_reason": dict(changed.by_reason),
            "error": error,
            "undo_token": changed.undo or "",
            "undo_until": now + UNDO_FOR if changed.undo else None,
            "ended_at": now,
            **({} if job_id is None else {"ids": [job_id], "description": job_id}),
            **self._plan(changed),
            **fields,
        }
        self.is_complete = self._write(told)
        if self.is_complete and job_id is not None and self.entry is not None:
            names = {"object_id": storable(job_id), "object_repr": storable(shown(job_id))[:200]}
            _patiently(lambda: LogEntry.objects.filter(pk=self.entry.pk).update(**names))
        return self.is_complete

    def _plan(self, changed: Changed) -> dict[str, Any]:
        """What came of it beside the numbers, as a field; none where that is nothing."""
        plan = self.operation.plan
        more: dict[str, Any] = {"errors": list(changed.errors)[:MOST_ERRORS]} if changed.errors else {}
        if changed.skipped_ids and self.operation.ids is not None:
            more[SKIPPED] = {**plan.get(SKIPPED, {}), **changed.skipped_ids}
        return {"plan": {**plan, **more}} if more else {}

    def broke_off(self, error: BaseException) -> None:
        """Write down that an exception ended it: whether it is done nobody can say."""
        if not self.is_complete:
            words = str(error) if isinstance(error, StatusesError) else type(error).__name__  # of others the log holds the rest
            self.complete(Changed(by_reason={UNSURE: self.operation.announced}), error=words)
            setattr(error, _ON_RECORD, self.operation)

    def announce(self, number: int) -> None:
        """So many more jobs are about to be done. Where the database does not take that, the action is on record all the same."""
        self._write({"announced": self.operation.announced + number, "heartbeat_at": moments.now()})

    def beat(self) -> None:
        """Give a sign of life now and then, while it takes long."""
        if time.monotonic() - self._beaten >= _BEAT_SECONDS:
            self._beaten = time.monotonic()
            self._write({"heartbeat_at": moments.now()})

    def _write(self, fields: Mapping[str, Any]) -> bool:
        pk = self.operation.pk
        if not _patiently(lambda: Operation.objects.filter(pk=pk).update(**fields)):
            logger.error("the database does not take what came of operation %s: %s", pk, fields.get("by_reason") or "it goes on")
            return False
        for name, value in fields.items():
            setattr(self.operation, name, value)
        return True


def _patiently(write: Callable[[], object]) -> bool:
    """Write, a second time over a new connection where the one that stood is lost; whether it is written."""
    connection = connections[router.db_for_write(Operation)]
    for _try in range(2):
        try:
            with transaction.atomic(using=connection.alias):
                write()
        except (Error, ValueError):
            logger.warning("the database does not take a record", exc_info=True)
            renew_connection()
        else:
            return True
    return False


def renew_connection() -> None:
    """Drop the connection of this thread that is lost or had its time: nobody else does in a process that runs for days.
    Source: a question to the database, where one stands that a server or a pooler may have ended since."""
    connection = connections[router.db_for_write(Operation)]
    if connection.in_atomic_block:
        return
    connection.close_if_unusable_or_obsolete()
    if connection.connection is not None and not connection.is_usable():
        connection.close()


def ended_by(error: BaseException) -> Operation | None:
    """The record of the action that this exception ended; None where nothing had begun."""
    return getattr(error, _ON_RECORD, None)


_LOGGED = gettext_lazy("%(action)s, operation %(pk)s, %(count)s jobs. %(reason)s")
_LOGGED_CONTROL = gettext_lazy("%(action)s, operation %(pk)s. %(reason)s")


def log(operation: Operation, label: str | Promise = "", user: Any = None) -> LogEntry | None:
    """The same in Django's own log, where people look for who did what; nothing for who has no account, in a shell. `label`: what
    was done, unless what the operation does; `user`: by whom, unless by whoever began it."""
    if (user := user or operation.user) is None:
        return None
    return LogEntry.objects.create(
        user=user,
        content_type=ContentType.objects.get_for_model(Job, for_concrete_model=False),
        object_id=storable(operation.ids[0]) if operation.ids and len(operation.ids) == 1 else "",
        object_repr=storable(shown(operation.description))[:200],
        action_flag=DELETION if operation.action == Operation.Action.REMOVE and not label else CHANGE,
        change_message=storable(
            (_LOGGED_CONTROL if operation.action in CONTROLS else _LOGGED)
            % {
                "action": label or ALL[operation.action].label,
                "pk": operation.pk,
                "count": operation.announced,
                "reason": shown(redact_text(operation.reason)),
            }
        ),
    )
