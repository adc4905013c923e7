"""``retry_jobs``: sends failures of chosen errors again, once or on a schedule, within limits."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

import statuses
from jobadmin import goes
from jobadmin.directions import shown_in_terminal
from jobadmin.ending import Ending
from jobadmin.filters import BadFilter, JobFilter
from jobadmin.formats import count
from jobadmin.goes import Go
from jobadmin.management.commands.clean_jobs import age
from jobadmin.management.commands.jobs import _FILTER_HELP, _filter, _refused
from jobadmin.management.commands.reap_jobs import seconds
from jobadmin.models import Operation
from jobadmin.parameters import whole
from jobadmin.records import NotRecorded, Record, begin, in_shell, shell_user
from jobadmin.redaction import redact_text
from jobadmin.targets import which
from statuses import Changed, State, upkeep
from statuses.retries import ATTEMPTS, MOST, Refused, Retried, retry_failed


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
        goes.add_arguments(parser, "retry_jobs")

    def handle(self, *args: object, words: Sequence[str], every: float | None, by: str | None, **options: Any) -> None:
        self._options = {**options, "by": by or shell_user("retry_jobs")}
        self._refused = Refused()
        with upkeep.watching(every, " ".join(words)), Ending(every is not None) as ending:
            self._go(words, ending, raises=every is None)
            while every is not None and not ending.wait(every):
                self._go(words, ending, raises=False)

    def _go(self, words: Sequence[str], ending: Ending, raises: bool) -> None:
        """One go. The filter is read anew for each: a relative span ends now."""
        try:
            found, announced = self._sent(_filter(words, acting=True), ending)
        except BadFilter as error:
            raise CommandError(_refused(error)) from error
        except (statuses.StoreUnavailable, statuses.ScriptFailed, NotRecorded) as error:
            said = in_shell(error)
            if raises:
                raise CommandError(said) from error
            return self._warn(said)
        if raises or found.retried or announced:
            self.stdout.write(_words(found, self._options["dry_run"]))

    def _sent(self, chosen: JobFilter, ending: Ending) -> tuple[Retried, int]:
        """What was done, and how many it was about to send."""
        options = self._options

        def go_on(_sent: int) -> bool:
            go.beat()
            return not ending.asked

        with Go(lambda number: self._begun(chosen, number), unrecorded=options["unrecorded"], warn=self._warn) as go:
            found = retry_failed(
                chosen.query, attempts=options["attempts"], most=options["limit"], pause=options["pause"], by=options["by"],
                dry_run=options["dry_run"], announce=go.announce, progress=go_on, refused=self._refused,
            )  # fmt: skip
            go.complete(_changed(found), done=_looked_at(found), stopped=found.stopped)
        return found, go.announced

    def _begun(self, chosen: JobFilter, number: int) -> Record:
        """On record: which failures, as of now, and how many of them are sent.  Raises: NotRecorded."""
        failures = JobFilter.from_querystring(chosen.frozen()).with_(state=State.failed)
        return begin(
            {"username": self._options["by"]},
            action=Operation.Action.RETRY,
            description=redact_text(which(failures)),
            reason=self._options["reason"],
            filter=failures.querystring(),
            announced=number,
            plan={"at": statuses.server_time().isoformat()},
        )

    def _warn(self, text: str) -> None:
        self.stderr.write(shown_in_terminal(text))


def _changed(found: Retried) -> Changed:
    """The same as an operation has it."""
    skipped = {"cannot": found.cannot, "exhausted": found.exhausted, "stopped" if found.stopped else "limit": found.left}
    reasons = {"retried": found.retried, **skipped, "gone": found.gone}
    return Changed(
        changed=found.retried,
        skipped=sum(skipped.values()),
        missing=found.gone,
        by_reason={name: number for name, number in reasons.items() if number},
        errors=found.errors,
    )


def _looked_at(found: Retried) -> int:
    return found.retried + found.cannot + found.exhausted + found.gone


def _words(found: Retried, dry_run: bool) -> str:
    parts = [f"{count(found.retried)} {'would be ' if dry_run else ''}sent again"]
    if found.exhausted:
        parts.append(f"{count(found.exhausted)} had their attempts")
    if found.cannot:
        parts.append(f"{count(found.cannot)} cannot be sent by their engine")
    if found.stopped:
        parts.append(f"stopped: {count(found.left)} left for the next time")
    if found.more:
        parts.append("the limit was reached")
    return ", ".join(parts)
