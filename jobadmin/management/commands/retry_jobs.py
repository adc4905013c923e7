"""``retry_jobs``: sends failures of chosen errors again, once or on a schedule, within limits."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import statuses
from jobadmin.ending import Ending
from jobadmin.filters import BadFilter
from jobadmin.formats import count
from jobadmin.management.commands.clean_jobs import age
from jobadmin.management.commands.jobs import _FILTER_HELP, _filter, _refused
from jobadmin.management.commands.reap_jobs import seconds
from jobadmin.parameters import whole
from statuses import upkeep
from statuses.retries import ATTEMPTS, MOST, Retried, retry_failed


def number(text: str) -> int:
    """A whole number from 1. Raises: ArgumentTypeError."""
    if not (found := whole(text, digits=8)):
        raise ArgumentTypeError(f"expected a whole number from 1, not {text!r}")
    return found


class Command(BaseCommand):
    """Looks once, or for ever."""

    help = "Send failed jobs again through their engines: retry_jobs 'error=TimeoutError*' name=mail.* span=24h"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("words", nargs="+", metavar="NAME=VALUE", help=_FILTER_HELP)
        parser.add_argument("--attempts", type=number, default=ATTEMPTS, metavar="N", help=f"leave alone what had N attempts ({ATTEMPTS})")
        parser.add_argument("--limit", type=number, default=MOST, metavar="N", help=f"send at most N in one go ({MOST})")
        parser.add_argument("--pause", type=age, default=timedelta(0), metavar="AGE", help="only what failed so long ago: 90s, 15min")
        parser.add_argument("--every", type=seconds, metavar="SECONDS", help="look again and again, until it is ended")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")

    def handle(self, *args: object, words: Sequence[str], every: float | None, dry_run: bool, **options: Any) -> None:
        how = {"attempts": options["attempts"], "most": options["limit"], "pause": options["pause"], "dry_run": dry_run}
        with upkeep.watching(every, " ".join(words)), Ending(every is not None) as ending:
            self._go(words, how, raises=every is None)
            while every is not None and not ending.wait(every):
                self._go(words, how, raises=False)

    def _go(self, words: Sequence[str], how: dict[str, Any], raises: bool) -> None:
        """One go. The filter is read anew for each: a relative span ends now."""
        try:
            found = retry_failed(_filter(words, acting=True).query, by="retry_jobs", **how)
        except BadFilter as error:
            raise CommandError(_refused(error)) from error
        except (statuses.StoreUnavailable, statuses.ScriptFailed) as error:
            if raises:
                raise CommandError(str(error)) from error
            self.stderr.write(str(error))
            return
        if raises or found.retried or found.cannot:
            self.stdout.write(_words(found, how["dry_run"]))


def _words(found: Retried, dry_run: bool) -> str:
    parts = [f"{count(found.retried)} {'would be ' if dry_run else ''}sent again"]
    if found.exhausted:
        parts.append(f"{count(found.exhausted)} had their attempts")
    if found.cannot:
        parts.append(f"{count(found.cannot)} cannot be sent by their engine")
    if found.more:
        parts.append("the limit was reached")
    return ", ".join(parts)
