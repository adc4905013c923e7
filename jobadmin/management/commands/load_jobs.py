"""``load_jobs FILE``: real job logs into the store, with their own past times."""

import re
import sys
import time
from argparse import ArgumentParser
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError

import statuses
from jobadmin import goes, joblog
from jobadmin.ending import STOPPED, Ending
from jobadmin.formats import several
from jobadmin.goes import Go
from jobadmin.joblog import BadLine, Log
from jobadmin.models import Operation
from jobadmin.records import NotRecorded, Record, begin, in_shell, shell_user
from jobadmin.redaction import redact_text
from statuses import Changed

#: Records that ``statuses.load`` writes at once: what came before the batch of a bad one is loaded then.
BATCH = 500

#: Ids of the beginning of a file that are looked for, to notice that it was loaded before.
LOOKED_FOR = 200

#: Bad lines that are named one by one.
NAMED = 20

_INDEX = re.compile(r"record (\d+): (.*)", re.DOTALL)


class Command(BaseCommand):
    """Loads a job log."""

    help = (
        "Load a job log: JSON Lines, plain or gzip, one job a line with source_id, job_name, queue, user (texts), submitted_at, "
        "started_at, finished_at (whole microseconds since 1970, UTC), state (succeeded, failed, killed or running), resources (a list of "
        "texts such as Book:53), exit (a text, the error) and parents (a list of source_ids); null, or left out, is not known. A started "
        "file that met a bad line goes on with --from-line."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="path of the log, or - for standard input")
        parser.add_argument("--skip-bad", action="store_true", help="leave out lines that cannot be read, and say which")
        parser.add_argument("--again", action="store_true", help="load even though jobs of this file are there already")
        parser.add_argument("--from-line", type=int, default=1, metavar="N", help="begin at this line")
        parser.add_argument("--limit", type=int, metavar="N", help="load at most this many jobs")
        goes.add_arguments(parser, "load_jobs")

    def handle(self, *args: object, file: str, skip_bad: bool, again: bool, from_line: int, limit: int | None, **options: Any) -> None:
        try:
            log = joblog.open_log(file)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror or error}") from error
        go = Go(lambda number: _begun(file, options, number), unrecorded=options["unrecorded"], warn=self.stderr.write)
        loading = Loading(self, log, go, skip_bad=skip_bad, first=from_line, limit=limit)
        try:
            if not again:
                loading.refuse_second_time(file)
            with Ending(True, once=True) as ending, go:
                loading.run(ending)
        except (statuses.StoreUnavailable, statuses.ScriptFailed, NotRecorded) as error:
            raise CommandError(in_shell(error)) from error
        except (EOFError, OSError) as error:
            raise CommandError(f"{file}: {loading.broken(error)}") from error


def _begun(file: str, options: dict[str, Any], number: int) -> Record:
    """On record before the first job is written.  Raises: NotRecorded."""
    return begin(
        {"username": options["by"] or shell_user("load_jobs")},
        action=Operation.Action.LOAD,
        description=redact_text("standard input" if file == "-" else file),
        reason=options["reason"],
        announced=number,
    )


class Loading:
    """One run: reads ahead of the store by one batch, keeps what a bad record forces to send again."""

    def __init__(self, command: BaseCommand, log: Log, go: Go, *, skip_bad: bool, first: int, limit: int | None) -> None:
        self.command = command
        self.log = log
        self.go = go
        self.skip_bad = skip_bad
        self.bad: list[BadLine] = []
        self.bad_total = 0
        self.sent = 0
        self.ending = Ending(False)
        self.is_stopped = False
        self.recent: deque[tuple[int, dict[str, Any]]] = deque(maxlen=2 * BATCH)
        self.began = time.monotonic()
        self.bar = Bar(sys.stderr if sys.stderr.isatty() else None)
        self.source: Iterator[tuple[int, dict[str, Any] | BadLine]] = joblog.jobs(log.stream, first=first)
        if limit is not None:
            self.source = islice(self.source, limit)

    def refuse_second_time(self, file: str) -> None:
        """Looks whether the first jobs of the file are there already. Raises: CommandError."""
        head = list(islice(self.source, LOOKED_FOR))
        self.source = chain(head, self.source)
        known = [job["provider_job_id"] for _, job in head if isinstance(job, dict)]
        there = statuses.where(provider_job_id=known).count() if known else 0
        if there:
            raise CommandError(
                f"{file} was loaded before: {there} of its first {len(known)} jobs are there. Nothing was loaded. "
                "--again loads it a second time; --from-line N goes on behind what is there, with --again."
            )

    def run(self, ending: Ending) -> None:
        """Loads all of it, or what was begun when somebody asked it to end. Raises: CommandError for a bad line, or where it
        was stopped, StoreUnavailable."""
        self.ending = ending
        total, rest = 0, self._announced()
        while True:
            begun = self.sent
            try:
                total += statuses.load(rest)
                break
            except BadLine as bad:
                raise self._ended_by(bad, self.sent // BATCH * BATCH) from bad
            except (EOFError, OSError) as error:
                self._complete(self.sent // BATCH * BATCH, error=str(error))
                raise
            except ValueError as error:
                found = _INDEX.fullmatch(str(error))
                if found is None:
                    raise
                loaded = int(found[1]) // BATCH * BATCH
                rest = self._without(int(found[1]), loaded, begun, found[2])
                total += loaded
        self.bar.close()
        self._complete(total, stopped=self.is_stopped)
        self._report(total)
        if self.is_stopped:
            last = self.recent[-1][0]
            raise CommandError(f"Stopped behind line {last:,}. Go on with --again --from-line {last + 1}.", returncode=STOPPED)

    def _records(self) -> Iterator[dict[str, Any]]:
        """The jobs of the file, bad lines left out where that was asked for. Raises: BadLine."""
        for line, job in self.source:
            if isinstance(job, BadLine):
                if not self.skip_bad:
                    raise job
                self._note(job)
                continue
            self.recent.append((line, job))
            self.sent += 1
            if not self.sent % BATCH:
                self.bar.show(self.sent, self.log.share)
            yield job
            if self.ending.asked:
                self.is_stopped = True
                return

    def _without(self, index: int, loaded: int, begun: int, why: str) -> Iterator[dict[str, Any]]:
        """What has not been loaded yet, less the record that the store refused. Raises: CommandError.
        ``index`` and ``loaded`` count within the call of ``statuses.load`` that began behind ``begun`` records."""
        waiting = list(self.recent)[-(self.sent - begun - loaded) :]
        line, _ = waiting[index - loaded]
        bad = BadLine(line, why)
        if not self.skip_bad:
            raise self._ended_by(bad, begun + loaded)
        self._note(bad)
        del waiting[index - loaded]
        self.sent = begun + loaded
        self.source = chain(waiting, self.source)
        return self._announced()

    def _announced(self) -> Iterator[dict[str, Any]]:
        """The same, each batch on record before it is given, and so before it is written. Raises: BadLine, NotRecorded."""
        records = self._records()
        while batch := list(islice(records, BATCH)):
            if (more := self.sent - self.go.announced) > 0:  # what a bad record forced to be sent again was announced
                self.go.announce(more)
            yield from batch

    def _ended_by(self, bad: BadLine, loaded: int) -> CommandError:
        """What to say of a bad line that ends it, which is on record then with what is loaded."""
        self._complete(loaded, error=redact_text(str(bad)))
        return CommandError(self._stopped(bad, loaded))

    def _complete(self, loaded: int, **fields: Any) -> None:
        """Write down what came of it; lines that were left out count as jobs that were to be loaded."""
        reasons = {"loaded": loaded, "failed": max(0, self.go.announced - loaded), "unreadable": self.bad_total}
        by_reason = {name: number for name, number in reasons.items() if number}
        total = sum(by_reason.values())
        self.go.complete(Changed(changed=loaded, skipped=total - loaded, by_reason=by_reason), announced=total, done=total, **fields)

    def _note(self, bad: BadLine) -> None:
        self.bad_total += 1
        if len(self.bad) < NAMED:
            self.bad.append(bad)

    def _stopped(self, bad: BadLine, loaded: int) -> str:
        """What to say when a bad line ends it: which, what is loaded, how to go on."""
        self.bar.close()
        return f"Line {bad.line}: {bad.why}. {self._so_far(loaded, bad.line)} --skip-bad leaves such lines out."

    def broken(self, why: Exception) -> str:
        """What to say when the file itself ends it."""
        self.bar.close()
        return f"{why}. {self._so_far(self.sent // BATCH * BATCH, None)}"

    def _so_far(self, loaded: int, bad_line: int | None) -> str:
        """What stands in the store, and the line to go on from: the first that does not."""
        if not loaded:
            return "Nothing was loaded."
        waiting = self.sent - loaded
        line = list(self.recent)[-waiting][0] if waiting else bad_line
        on = f" Mend it and go on with --again --from-line {line}." if line else ""
        return f"{several(loaded, 'job')} from the lines before {'was' if loaded == 1 else 'were'} loaded.{on}"

    def _report(self, total: int) -> None:
        seconds = max(time.monotonic() - self.began, 1e-6)
        write = self.command.stdout.write
        for bad in self.bad:
            self.command.stderr.write(f"Left out {bad}")
        if self.bad_total > len(self.bad):
            self.command.stderr.write(f"Left out {several(self.bad_total - len(self.bad), 'more line')}")
        words = f", {several(self.bad_total, 'bad line')} left out" if self.bad_total else ""
        write(f"{several(total, 'job')} loaded in {seconds:.1f} s ({total / seconds:,.0f} a second){words}")


class Bar:
    """Progress on a terminal: one line, written over; nothing where nobody watches."""

    WIDTH = 30
    SECONDS = 0.2

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.began = self.shown = time.monotonic()

    def show(self, done: int, share: float | None) -> None:
        now = time.monotonic()
        if self.stream is None or now - self.shown < self.SECONDS:
            return
        self.shown = now
        rate = done / (now - self.began)
        drawn = ""
        if share is not None:
            full = int(share * self.WIDTH)
            drawn = f"[{'#' * full}{'.' * (self.WIDTH - full)}] {share:4.0%} "
        self.stream.write(f"\r{drawn}{done:>11,} jobs {rate:>9,.0f}/s")
        self.stream.flush()

    def close(self) -> None:
        if self.stream is not None and self.shown != self.began:
            self.stream.write("\n")
