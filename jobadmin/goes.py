"""One go of a command that acts: on record as soon as it has found something to do, and before it does that. One of those that run on a
schedule (`retry_jobs`, `clean_jobs`) and that finds nothing leaves no record: there are thousands of those a day."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from types import TracebackType
from typing import Any

from jobadmin.models import Operation
from jobadmin.records import NotRecorded, Record, has_tables, renew_connection
from statuses import Changed


def add_arguments(parser: ArgumentParser, through: str = "shell") -> None:
    """What a command takes whose goes are on record."""
    parser.add_argument("--reason", default="", help="kept in the audit trail")
    parser.add_argument("--by", default=None, help=f"who asks; 'USER ({through})' unless given")
    parser.add_argument("--unrecorded", action="store_true", help="do it also where the database takes no record of it")


class Go:
    """One go. `announce` and `beat` are for what does it, on its way; where an exception ends the block, that is on record, too."""

    def __init__(self, begin: Callable[[int], Record], *, unrecorded: bool, warn: Callable[[str], object]) -> None:
        """`begin(number)` writes down that so many jobs are about to be done, and may raise NotRecorded; `unrecorded`: then it is done
        all the same."""
        self._begin, self._unrecorded, self._warn = begin, unrecorded, warn
        self._record: Record | None = None
        self.announced = 0
        """Jobs that were about to be done; 0: it found nothing to do."""

    def __enter__(self) -> Go:
        renew_connection()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None and self._record is not None:
            self._record.broke_off(error)

    def announce(self, number: int) -> None:
        """So many jobs, or so many more, are about to be done. Where nobody has made Jobadmin's tables there is no trail to keep, no page
        and nobody to ask on it: a command that is all there is acts all the same.  Raises: NotRecorded, unless it may be done without."""
        is_first, self.announced = not self.announced, self.announced + number
        if self._record is not None:
            self._record.announce(number)
        elif is_first:
            try:
                self._record = self._begin(number)
            except NotRecorded as error:
                if has_tables():
                    if not self._unrecorded:
                        raise
                    self._warn(f"Not written to the audit trail: {error}")
                else:
                    self._warn("Not written to the audit trail: the database has no tables of Jobadmin (manage.py migrate makes them)")

    def beat(self) -> None:
        """Give a sign of life now and then."""
        if self._record is not None:
            self._record.beat()

    def complete(self, changed: Changed, *, stopped: bool = False, **fields: Any) -> None:
        """Write down what came of it."""
        if stopped:
            fields["state"] = Operation.State.STOPPED
        if self._record is not None and not self._record.complete(changed, **fields):
            pk = self._record.operation.pk
            self._warn(f"The audit trail does not know what came of it: the database does not take that. Operation {pk}")
