"""``check_jobs``: verifies what is stored, and mends it when asked to."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import statuses
from jobadmin import goes, upkeep
from jobadmin.formats import count, several
from jobadmin.goes import Go
from jobadmin.models import Operation
from jobadmin.records import NotRecorded, Record, begin, in_shell, shell_user
from statuses import Changed, health


class Command(BaseCommand):
    """Verifies every segment; ends with an error while something is wrong, so that a timer notices."""

    help = (
        "Verify every segment of statuses against its hashes, tags, ids and dictionaries, and every key against what it belongs to. "
        "Safe while jobs run. With --repair what can be mended is. Ends with an error while something is wrong, "
        "or where the store takes no writes. What is mended is on record under Operations. "
        "Tells as well which chores (reap_jobs, clean_jobs, retry_jobs) are overdue; that is no error of the store."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repair", action="store_true", help="mend what is wrong, each thing only if it is still so")
        goes.add_arguments(parser, "check_jobs")

    def handle(self, *args: object, repair: bool, **options: Any) -> None:
        try:
            checked = self._checked(repair, options)
            seen = statuses.version()
        except (statuses.StatusesError, NotRecorded) as error:
            raise CommandError(in_shell(error)) from error
        self.stdout.write(f"{several(checked.jobs, 'job')} in {several(checked.segments, 'segment')} checked")
        for problem in checked.problems:
            self._tell(problem, repair)
        for warning in upkeep.read(seen.upkeep, seen.at).warnings:
            self.stderr.write(warning)
        left = checked.found - checked.repaired
        refused = health.no_writes()
        if refused:
            raise CommandError(f"The store takes no writes, and no job is tracked: {in_shell(refused)}")
        if not checked.found:
            self.stdout.write("Nothing is wrong.")
        elif left:
            hint = "" if repair else "; --repair mends what can be mended"
            raise CommandError(f"{several(left, 'problem')} {'is' if left == 1 else 'are'} left{hint}")
        else:
            self.stdout.write("The one problem is mended." if checked.found == 1 else f"All {count(checked.found)} problems are mended.")

    def _checked(self, repair: bool, options: dict[str, Any]) -> statuses.Checked:
        """What was found. What is mended is on record before, and with what came of it.  Raises: NotRecorded."""
        shows = sys.stderr.isatty()

        def go_on(done: int, total: int) -> None:
            go.beat()
            if shows:
                self._show(done, total)

        with Go(lambda number: _begun(options, number), unrecorded=options["unrecorded"], warn=self.stderr.write) as go:
            checked = statuses.check(repair=repair, announce=go.announce, progress=go_on)
            kinds = ", ".join(f"{problem.kind}: {count(problem.repaired)}" for problem in checked.problems if problem.repaired)
            go.complete(_changed(checked), announced=checked.found, done=checked.found, description=kinds)
        return checked

    def _tell(self, problem: statuses.Problem, repair: bool) -> None:
        what, mends = problem.meaning.split("; ", 1)
        done = f", {count(problem.repaired)} mended" if repair else ""
        self.stdout.write(f"{count(problem.count):>11} {problem.kind}: {what}{done}" + ("" if repair else f" ({mends})"))
        for example in problem.examples:
            self.stdout.write(f"{'':>11} {example}")

    def _show(self, done: int, total: int) -> None:
        self.stderr.write(f"\r{done:>7,} of {total:,} segments", ending="" if done < total else "\n")


def _begun(options: dict[str, Any], number: int) -> Record:
    """Raises: NotRecorded."""
    return begin(
        {"username": options["by"] or shell_user("check_jobs")},
        action=Operation.Action.REPAIR,
        description="",
        reason=options["reason"],
        announced=number,
    )


def _changed(checked: statuses.Checked) -> Changed:
    """The same as an operation has it."""
    left = checked.found - checked.repaired
    reasons = {"mended": checked.repaired, "unmended": left}
    return Changed(changed=checked.repaired, skipped=left, by_reason={name: number for name, number in reasons.items() if number})
