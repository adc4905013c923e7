"""``reap_jobs``: marks failed what a lost worker left started, unless its engine knows how it ended, and unknown what an engine has
forgotten; and, as it runs all the time, samples how deep the queues are."""

from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import statuses
from jobadmin.ending import Ending
from jobadmin.formats import count, several
from statuses import health, sampling, upkeep
from statuses.reaper import Reaped, Reaper


def seconds(text: str) -> float:
    """A time of at least a second. Raises: ArgumentTypeError."""
    try:
        found = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 1 <= found < 1e6:
        raise ArgumentTypeError(f"expected a number of seconds from 1 to a million, not {text}")
    return found


class Command(BaseCommand):
    """Looks once (twice, where it finds something), or for ever."""

    help = (
        "Give up jobs that nobody runs any more. A started job whose heartbeats stopped for longer than its grace (setting REAP_AFTER) is "
        "looked at again after 25 seconds; if it is as silent then, and no living worker says that it runs it, it is marked as its engine "
        "says that it ended; where that knows of no end, failed (WorkerLost), and sent again as REAP_RETRIES allows. Jobs that "
        "wait, in a queue or for their time, and that their engine no longer has at two such looks become unknown. "
        "At most once a minute it also writes down how many jobs wait in each queue, for the chart of the last 30 days."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--every", type=seconds, metavar="SECONDS", help="look again and again, until it is ended")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")

    def handle(self, *args: object, every: float | None, dry_run: bool, **options: Any) -> None:
        reaper = Reaper()
        with upkeep.watching(every), Ending(every is not None) as ending:
            if every is not None:
                self._watch(reaper, ending, every, dry_run)
            else:
                self._look(reaper, ending, dry_run)

    def _look(self, reaper: Reaper, ending: Ending, dry_run: bool) -> None:
        """Look once, and again where something is silent."""
        try:
            found = reaper.look(dry_run=dry_run)
            if found.silent:
                self.stderr.write(f"{several(found.silent, 'job')} silent or missing; looking again in {reaper.confirm_seconds:g} s")
                ending.wait(reaper.confirm_seconds)
                again = reaper.look(dry_run=dry_run)
                found = again if dry_run else Reaped.total([found, again])
            if not dry_run:
                sampling.sample()
        except (statuses.StoreUnavailable, statuses.ScriptFailed) as error:
            raise CommandError(health.explained(error)) from error
        self.stdout.write(_words(found, dry_run))

    def _watch(self, reaper: Reaper, ending: Ending, every: float, dry_run: bool) -> None:
        """Look until a signal ends it; a store that is away is waited for."""
        while not ending.asked:
            try:
                found = reaper.look(dry_run=dry_run)
                if found.changed:
                    self.stdout.write(_words(found, dry_run))
                if not dry_run:
                    sampling.sample()
            except (statuses.StoreUnavailable, statuses.ScriptFailed) as error:
                self.stderr.write(health.explained(error))
            ending.wait(every)


def _words(found: Reaped, dry_run: bool) -> str:
    would = "would be " if dry_run else ""
    parts = [f"{several(found.failed, 'job')} {would}marked failed"]
    if found.ended:
        parts.append(f"{count(found.ended)} {would}marked as ended, as their engine says")
    if found.retried:
        parts.append(f"{count(found.retried)} sent again")
    parts.append(f"{count(found.unknown)} {would}marked unknown")
    if found.spared:
        parts.append(f"{count(found.spared)} silent, but said to run by their worker, or their engine could not be asked")
    if found.silent:
        parts.append(f"{count(found.silent)} silent or missing since the last look only")
    return ", ".join(parts)
