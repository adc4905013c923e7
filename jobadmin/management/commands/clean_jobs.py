"""``clean_jobs``: removes the statuses whose time to be kept is over, or those that criteria name."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import statuses
from jobadmin.formats import count

_UNITS = {"s": "seconds", "min": "minutes", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d+)\s*(s|min|m|h|d|w)")


def age(text: str) -> timedelta:
    """``90d``, ``12h``, ``15min`` as a length of time. Raises: ArgumentTypeError."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no age: expected a number and one of {', '.join(_UNITS)}, such as 90d")
    try:
        return timedelta(**{_UNITS[found[2]]: int(found[1])})
    except OverflowError as error:
        raise ArgumentTypeError(f"{text!r} is longer than any calendar") from error


class Command(BaseCommand):
    """Removes what is due. Meant for a timer: does little when there is little to do."""

    help = (
        "Remove statuses that retention says are due. With --older-than remove what ended (or, never ended, was recorded) longer ago "
        "than that, whatever retention says; running jobs stay. The other options narrow both. Final: nothing is taken back."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--older-than", type=age, metavar="AGE", help="such as 90d, 12h, 15min")
        parser.add_argument("--name", action="append", metavar="JOB_NAME", help="only jobs of this name; may be repeated")
        parser.add_argument("--queue", action="append", help="only jobs of this queue; may be repeated")
        parser.add_argument("--state", action="append", choices=[str(state) for state in statuses.State], help="may be repeated")
        parser.add_argument("--dry-run", action="store_true", help="say what would be removed, remove nothing")

    def handle(self, *args: object, older_than: timedelta | None, dry_run: bool, **options: Any) -> None:
        try:
            cleaned = statuses.clean(
                job_name=options["name"], queue=options["queue"], state=options["state"], older_than=older_than, dry_run=dry_run,
                progress=self._show if sys.stderr.isatty() else None,
            )  # fmt: skip
        except statuses.StoreUnavailable as error:
            raise CommandError(str(error)) from error
        by_state = ", ".join(f"{count(number)} {state}" for state, number in cleaned.by_state.items() if number)
        verb = "would be removed" if dry_run else "removed"
        self.stdout.write(f"{count(cleaned.removed)} {verb}" + (f": {by_state}" if by_state else ""))
        if cleaned.swept:
            self.stdout.write(f"{count(cleaned.swept)} earlier removals are final now")

    def _show(self, removed: int) -> None:
        sys.stderr.write(f"\r{removed:>11,} removed\r")
