"""``clean_jobs``: removes the statuses whose time to be kept is over, or those that criteria name; once, or again and again."""

import re
import sys
import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import Error

import statuses
from jobadmin import goes, outdated
from jobadmin.ending import Ending
from jobadmin.formats import count, several
from jobadmin.goes import Go
from jobadmin.models import OPERATIONS, RETENTION, Operation
from jobadmin.records import NotRecorded, Record, begin, in_shell, shell_user
from jobadmin.redaction import redact_text
from jobadmin.targets import due_words
from statuses import Changed, upkeep
from statuses.retention import Criteria

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


def seconds(text: str) -> float:
    """A number of seconds, or an age. Raises: ArgumentTypeError."""
    value = float(text) if re.fullmatch(r"\d+(\.\d+)?", text.strip()) else age(text).total_seconds()
    if not 0 < value <= threading.TIMEOUT_MAX:
        raise ArgumentTypeError(f"{text!r} is no pause: expected a number of seconds above 0, or such as 15min")
    return value


class Command(BaseCommand):
    """Removes what is due. Meant for a timer, or with --every for a process of its own: does little when there is little to do."""

    help = (
        "Remove statuses that retention says are due. With --older-than remove what ended (or, never ended, was recorded) longer ago "
        "than that, whatever the policy says; running jobs stay, and those that were promised longer. "
        "--name, --queue and --state narrow both. Final: nothing is taken back. "
        "Then drop and pack what holds little, and forget names that no job has any more. "
        "Without any of these, operations go, too, whose time to be kept (KEEP_OPERATIONS) is over."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--older-than", type=age, metavar="AGE", help="such as 90d, 12h, 15min")
        parser.add_argument(
            "--break-promises",
            action="store_true",
            help="with --older-than, also jobs that were promised longer (keep_for, keep_until_deleted)",
        )
        parser.add_argument("--name", action="append", metavar="JOB_NAME", help="only jobs of this name; may be repeated")
        parser.add_argument("--queue", action="append", help="only jobs of this queue; may be repeated")
        parser.add_argument("--state", action="append", choices=[str(state) for state in statuses.State], help="may be repeated")
        parser.add_argument("--dry-run", action="store_true", help="say what would be removed, remove nothing")
        parser.add_argument("--every", type=seconds, metavar="SECONDS", help="again and again, until SIGTERM, which ends it at once")
        goes.add_arguments(parser, "clean_jobs")

    def handle(self, *args: object, every: float | None, **options: Any) -> None:
        if options["break_promises"] and options["older_than"] is None:
            raise CommandError("--break-promises goes with --older-than alone")
        with upkeep.watching(every), Ending(every is not None) as ending:
            while not ending.asked:
                try:
                    self._clean(ending, options)
                except CommandError as error:
                    if every is None:
                        raise
                    self.stderr.write(str(error))  # Redis may be back by the next time.
                if every is None:
                    return
                ending.wait(every)

    def _clean(self, ending: Ending, options: dict[str, Any]) -> None:
        watched = sys.stderr.isatty()

        def go_on(removed: int) -> bool:
            go.beat()
            if watched:
                self.stderr.write(f"\r{removed:>11,} removed", ending="")
            return not ending.asked

        try:
            with Go(lambda number: self._begun(options, number), unrecorded=options["unrecorded"], warn=self.stderr.write) as go:
                with upkeep.doing(upkeep.CLEAN, _criteria(options).describe(), dry_run=options["dry_run"]) as did:
                    cleaned = statuses.clean(
                        job_name=options["name"], queue=options["queue"], state=options["state"], older_than=options["older_than"],
                        break_promises=options["break_promises"], dry_run=options["dry_run"], announce=go.announce, progress=go_on,
                    )  # fmt: skip
                    did["operations"] = old = 0 if cleaned.stopped else self._old_operations(go, options, cleaned.removed)
                go.complete(_changed(cleaned, go.announced, old), stopped=cleaned.stopped)
        except (statuses.StoreUnavailable, statuses.ScriptFailed, NotRecorded) as error:
            raise CommandError(in_shell(error)) from error
        if watched and cleaned.removed:
            self.stderr.write("")
        for line in _lines(cleaned, old, options["dry_run"]):
            self.stdout.write(line)
        self.stdout.flush()

    def _old_operations(self, go: Go, options: dict[str, Any], removed: int) -> int:
        """Remove operations that retention says are due, or count them; how many. `removed`: jobs that go in the same go."""
        if _criteria(options).describe():
            return 0
        gone = 0
        try:
            due = outdated.count(alone=not removed)
            if options["dry_run"] or not due:
                return due
            go.announce(0)
            for number in outdated.removed():
                gone += number
                go.beat()
        except Error as error:
            self.stderr.write(f"Operations whose time is over are left: the database does not take that: {error}")
        return gone

    def _begun(self, options: dict[str, Any], number: int) -> Record:
        """On record before the first job is removed: no filter of the pages says which, so that is kept in words.  Raises: NotRecorded."""
        named = _criteria(options).describe()
        return begin(
            {"username": options["by"] or shell_user("clean_jobs")},
            action=Operation.Action.REMOVE,
            description=redact_text(due_words(named)),
            reason=options["reason"],
            announced=number,
            plan={RETENTION: named},
        )


def _criteria(options: dict[str, Any]) -> Criteria:
    return Criteria(options["name"], options["queue"], options["state"], options["older_than"], options["break_promises"])


def _changed(cleaned: statuses.Cleaned, announced: int, operations: int) -> Changed:
    """The same as an operation has it; operations that were removed count as no job."""
    skipped = {"promised": cleaned.promised, "stopped" if cleaned.stopped else "moved": max(0, announced - cleaned.removed)}
    reasons = {name: number for name, number in {"removed": cleaned.removed, **skipped, OPERATIONS: operations}.items() if number}
    return Changed(changed=cleaned.removed, skipped=sum(skipped.values()), by_reason=reasons)


def _lines(cleaned: statuses.Cleaned, operations: int, dry_run: bool) -> Iterator[str]:
    by_state = ", ".join(f"{count(number)} {state}" for state, number in cleaned.by_state.items() if number)
    verb = "would be removed" if dry_run else "removed"
    yield f"{count(cleaned.removed)} {verb}" + (f": {by_state}" if by_state else "")
    if cleaned.promised:
        yield f"{count(cleaned.promised)} left, promised to be kept longer: --break-promises removes them too"
    if operations:
        yield f"{several(operations, 'operation')} {verb}"
    if cleaned.swept:
        yield f"{several(cleaned.swept, 'earlier removal')} {'is' if cleaned.swept == 1 else 'are'} final now"
    done = [(cleaned.dropped, "segment", "dropped"), (cleaned.packed, "segment", "packed"), (cleaned.forgotten, "unused name", "forgotten")]
    if any(number for number, *_ in done):
        yield ", ".join(f"{several(number, noun)} {what}" for number, noun, what in done if number)
    if cleaned.stopped:
        yield "Stopped: the rest is left for the next time."
