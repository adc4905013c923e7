"""``jobs``: counts, list, show, workers, queues, redis, kill, retry and remove from a shell, with the words of the page's URL."""

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import QueryDict
from django.utils import timezone

import statuses
from jobadmin import exports, fleetrows, formats, goes, plans, search, storagerows, verbs
from jobadmin.directions import shown_in_terminal
from jobadmin.ending import STOPPED, Ending
from jobadmin.filters import PARAMETERS, BadFilter, JobFilter
from jobadmin.goes import Go
from jobadmin.models import SKIPPED
from jobadmin.parameters import NAMING_NONE, UnknownParameter, whole
from jobadmin.paths import split_attempt
from jobadmin.records import NotRecorded, Record, begin, in_shell, shell_user
from jobadmin.redaction import redact, redact_text
from jobadmin.targets import selected_ids
from statuses import Changed, State, Status

#: Columns of ``jobs list``, with their widths.
_COLUMNS = (("state", 9), ("recorded_at", 23), ("run_time", 12), ("job_name", 40), ("id", 26))

#: What ``jobs show`` tells beside the columns of an export.
_OF_ONE = ("ended_at", "heartbeat_at", "expires_at", "depends_on")
#: What is told of beside jobs, each with what its page shows.
_TOLD = {
    "workers": "who runs jobs, and on what",
    "queues": "what waits, since when, and who takes it",
    "redis": "how the store is, and what the statuses take of it",
}

_FILTER_HELP = (
    "filter as in the page's address, NAME=VALUE: state=failed name=planning.* queue=-mail span=24h resource=Book:53; "
    "repeated means or, a leading minus not. The span is 7d unless said otherwise. Names: " + " ".join(PARAMETERS)
)


def _number(text: str) -> int:
    """A whole number from 0. Raises: ArgumentTypeError."""
    if (number := whole(text)) is None:
        raise ArgumentTypeError(f"expected a whole number from 0, not {text!r}")
    return number


class Command(BaseCommand):
    """Looks at jobs and acts on them without a browser."""

    help = (
        "Count, list, show, kill, retry or remove jobs, with the filter words of the page's address; tell of workers, queues and the store."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        modes = parser.add_subparsers(dest="mode", required=True, metavar="counts|list|show|workers|queues|redis|kill|retry|remove")
        self._add(modes, "counts", "how many, by state")
        listing = self._add(modes, "list", "the newest ones (sort=-run_time for others)")
        listing.add_argument("--limit", type=_number, default=50, metavar="N", help="at most this many (50)")
        show = modes.add_parser("show", help="everything about one job")
        show.add_argument("id", help="id of the job, or of an earlier attempt: <id>:<n>, the first one <id>:0")
        show.add_argument("--json", action="store_true", dest="as_json", help="as JSON")
        for mode, does in _TOLD.items():
            modes.add_parser(mode, help=does).add_argument("--json", action="store_true", dest="as_json", help="as JSON")
        for mode, does in (("kill", "ask to stop; what waits is killed"), ("retry", "send again"), ("remove", "remove what has ended")):
            acting = self._add(modes, mode, does)
            goes.add_arguments(acting)
            acting.add_argument("--yes", action="store_true", help="do it without asking")
            if mode == "kill":
                acting.add_argument("--now", action="store_true", help="end the process of what runs at once")

    def _add(self, modes: Any, name: str, help_text: str) -> ArgumentParser:
        mode = modes.add_parser(name, help=help_text)
        mode.add_argument("words", nargs="*", metavar="NAME=VALUE", help=_FILTER_HELP)
        mode.add_argument("--json", action="store_true", dest="as_json", help="as JSON")
        return mode

    def handle(self, *args: object, mode: str, **options: Any) -> None:
        try:
            getattr(self, f"_{mode}", self._act)(mode=mode, **options)
        except BadFilter as error:
            raise CommandError(_refused(error)) from error
        except (statuses.StoreUnavailable, statuses.ScriptFailed, NotRecorded) as error:
            raise CommandError(in_shell(error)) from error
        except BrokenPipeError:
            if mode not in ("counts", "list", "show", *_TOLD):
                raise
            # Whoever reads has seen enough (`| head`); nothing is to be flushed to it at the end either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _chosen(self, words: Sequence[str], *, acting: bool = False) -> JobFilter:
        """The filter the words make; what it does not mean is said."""
        chosen = _filter(words, acting=acting)
        for text in chosen.not_prefixes:
            self._warn(f"resource={text}: a resource is looked for by its whole text, this is not taken for a prefix")
        if chosen.q and not search.is_found(chosen.q):
            meant = [f"{name}={chosen.q}" for name in search.parameters_of(chosen.q)]
            meant += [f"id={id}" for id in search.ids_beginning(chosen.q)]
            self._warn(f"q={chosen.q}: no id of a job and no resource" + (f"; there is {', '.join(meant)}" if meant else ""))
        return chosen

    # Looking

    def _counts(self, *, words: Sequence[str], as_json: bool, **_: Any) -> None:
        chosen = self._chosen(words)
        counts = chosen.query.counts()
        if as_json:
            return self._json({"filter": chosen.querystring(), "total": sum(counts.values()), "counts": _named(counts)})
        self._say(chosen.describe())
        for state, number in counts.items():
            self._say(f"{formats.count(number):>14}  {state}")
        self._say(f"{formats.count(sum(counts.values())):>14}  in all")

    def _list(self, *, words: Sequence[str], as_json: bool, limit: int, **_: Any) -> None:
        chosen = self._chosen(words)
        found = chosen.query.limit(limit).run()
        if as_json:
            return self._json([exports.row(job) for job in found])
        for job in found:
            self._say("  ".join(_cell(job, name).ljust(width) for name, width in _COLUMNS).rstrip())
        total = chosen.query.count()
        self._say(f"{len(found):,} of {formats.several(total, 'job')}, {chosen.describe()}")

    def _show(self, *, id: str, as_json: bool, **_: Any) -> None:
        status = statuses.find(id)
        if status is None:
            raise CommandError(f"no job has the id {id!r}")
        found = {**exports.row(status), **{name: getattr(status, name) for name in _OF_ONE}}
        found |= {"call": redact(status.call), "data": redact(status.data)}
        found["errors"] = [redact(error) for error in status.errors]
        if split_attempt(id)[1] is None:
            found["prior_attempts"] = [exports.row(attempt) for attempt in status.prior_attempts]
            found["children"] = _named(status.children.counts())
        if as_json:
            return self._json(found)
        words = {**found, "attempt": _number_of(status, id)}
        words["children"] = {state: number for state, number in found.get("children", {}).items() if number}
        for name, value in words.items():
            if value not in (None, [], {}) and name not in ("errors", "data", "call", "prior_attempts"):
                self._say(f"{name:<18} {_plain(value)}")
        self._show_long(found)

    def _workers(self, *, as_json: bool, **_: Any) -> None:
        found = fleetrows.workers()
        if as_json:
            return self._json({"rows": found.rows, "silent_engines": found.silent, "upkeep": found.upkeep})
        self._tell(found, ("condition", "worker", "queues", "running", "started", "failed"))
        if found.upkeep:
            self._say("")
            self._upkeep(found.upkeep)
        for warning in found.warnings:
            self._warn(warning)

    def _redis(self, *, as_json: bool, **_: Any) -> None:
        found = storagerows.read()
        if as_json:
            return self._json(found.plain)
        for rows in filter(None, (found.servers, found.facts, found.dictionaries)):
            self._table(rows, [*rows[0]])
            self._say("")
        if found.upkeep:
            self._upkeep(found.upkeep)
        for warning in found.warnings:
            self._warn(warning)

    def _upkeep(self, rows: Sequence[dict[str, Any]]) -> None:
        self._table(rows, ("condition", "chore", "about", "host", "pid", "ran_at", "result"))

    def _queues(self, *, as_json: bool, **_: Any) -> None:
        found = fleetrows.queues()
        if as_json:
            return self._json({"rows": found.rows, "silent_engines": found.silent})
        self._tell(found, ("condition", "queue", "waiting", "oldest_at", "running", "workers", "per_minute", "wait_p95"))
        for warning in found.warnings:
            self._warn(warning)

    def _tell(self, found: fleetrows.Rows, columns: Sequence[str]) -> None:
        self._table(found.rows, columns)
        if found.rows:
            self._say(found.about)

    def _table(self, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
        lines = [columns, *([_plain_cell(row[name]) for name in columns] for row in rows)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(columns))]
        for line in lines:
            self._say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def _show_long(self, found: dict[str, Any]) -> None:
        for attempt in found.get("prior_attempts", ()):
            self._say(f"attempt {attempt['attempt'] + 1:<10} {attempt['state']} {attempt['error'] or ''}")
        for name in ("call", "data"):
            if found[name] is not None:
                self._say(f"\n{name}\n{json.dumps(found[name], indent=2, ensure_ascii=False)}")
        for error in found["errors"]:
            text = error.get("traceback") if isinstance(error, dict) else None
            self._say(f"\nerror\n{text or _plain(error)}")

    # Acting

    def _act(
        self,
        *,
        mode: str,
        words: Sequence[str],
        as_json: bool,
        reason: str,
        by: str | None,
        yes: bool,
        unrecorded: bool,
        now: bool = False,
        **_: Any,
    ) -> None:
        verb = verbs.BULK["kill-now" if now else mode]
        chosen = JobFilter.from_querystring(self._chosen(words, acting=True).frozen())
        at = statuses.server_time()
        plan = plans.plan(verb, plans.measure(chosen.query))
        if not as_json:
            self._announce(plan, chosen)
        if not yes and (plan.changes > 1 or (plan.changes and verb.always_typed)):
            self._ask(plan)
        by = by or shell_user()

        def progress(done: int, total: int) -> bool:
            go.beat()
            if not as_json:
                self._progress(done, total)
            return not ending.asked

        with (
            Ending(True, once=True) as ending,
            Go(lambda number: _begun(verb, chosen, number, at, by, reason), unrecorded=unrecorded, warn=self._warn) as go,
        ):
            go.announce(plan.changes)
            changed = _carry_out(verb, chosen, at, by=by, reason=reason, progress=progress)
            skipped = max(plan.total - changed.changed - changed.missing, 0)
            left = max(plan.changes - sum(changed.by_reason.values()), 0) if changed.stopped else 0
            reasons = {**changed.by_reason, **({"stopped": left} if left else {})}
            go.complete(replace(changed, skipped=skipped, by_reason=reasons), done=plan.total - left, stopped=changed.stopped)
        if as_json:
            self._json({
                "action": verb.slug, "filter": chosen.querystring(), "changed": changed.changed, "skipped": skipped,
                "missing": changed.missing, "by_reason": reasons, "undo": changed.undo, "errors": list(changed.errors),
                "stopped": changed.stopped,
            })  # fmt: skip
        else:
            rest = f"{formats.count(skipped - left)} skipped, {formats.count(changed.missing)} gone"
            self._say(f"{verb.say('did', changed.changed)}; {rest}")
            for error in changed.errors:
                self._warn(error)
        if changed.stopped:
            raise CommandError(f"Stopped: {formats.count(left)} not reached", returncode=STOPPED)

    def _announce(self, plan: plans.Plan, chosen: JobFilter) -> None:
        self._say(f"{plan.question} ({chosen.describe()})")
        for line in plan.lines:
            self._say(f"{formats.count(line.number):>14}  {line.title}" + (f": {line.note}" if line.note else ""))

    def _ask(self, plan: plans.Plan) -> None:
        """Nothing happens before somebody types the number. Raises: CommandError."""
        if not sys.stdin.isatty():
            raise CommandError("nobody is here to confirm it: add --yes. Nothing was changed.")
        typed = input(f"Type {plan.changes} to confirm: ")
        if typed.strip().replace(",", "") != str(plan.changes):
            raise CommandError("That is another number. Nothing was changed.")

    def _progress(self, done: int, total: int) -> None:
        if total > 10_000 and sys.stderr.isatty():
            sys.stderr.write(f"\r{done:>11,} of {total:,}" + ("" if done < total else "\n"))

    # What a job carries must not move the cursor of whoever reads it.

    def _say(self, text: str) -> None:
        self.stdout.write(shown_in_terminal(text))

    def _warn(self, text: str) -> None:
        self.stderr.write(shown_in_terminal(text))

    def _json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=exports._written))


def _begun(verb: verbs.Verb, chosen: JobFilter, number: int, at: datetime, by: str, reason: str) -> Record:
    """On record, as from the page.  Raises: NotRecorded."""
    ids = selected_ids(chosen)
    return begin(
        {"username": by},
        action=verb.slug,
        description=chosen.describe(),
        reason=reason,
        filter=chosen.querystring(),
        ids=ids,
        announced=number,
        plan={"at": at.isoformat(), **({} if ids is None else {SKIPPED: verb.passes_over(ids, chosen.query, at)})},
    )


def _filter(words: Sequence[str], *, acting: bool = False) -> JobFilter:
    """The filter the words make, every one of which counts. Acting needs one that says which jobs: nothing is ever done to everything
    by leaving words out.  Raises: BadFilter, CommandError."""
    query = QueryDict(mutable=True)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise CommandError(f"{word!r} is no filter: expected NAME=VALUE with one of {', '.join(PARAMETERS)}")
        if name not in PARAMETERS:
            raise UnknownParameter(name, value)
        query.appendlist(name, value)
    if acting and not query.keys() - NAMING_NONE:
        raise CommandError("say which jobs: id=… or another filter; span=all for every one there is")
    if "id" in query and not query.keys() & {"span", "from", "to"}:
        query["span"] = "all"
    return JobFilter.from_querydict(query, strict=True)


def _refused(error: BadFilter) -> str:
    if isinstance(error, UnknownParameter):
        words = f"Did you mean {error.expected}?" if error.near else f"Expected: {error.expected}."
        return f"There is no parameter {error.parameter!r}. {words}"
    return f"{error.parameter} cannot be {error.value!r}: expected {error.expected}"


def _carry_out(verb: verbs.Verb, chosen: JobFilter, at: datetime, **how: Any) -> Changed:
    """Every part of what the verb changes, as one result; none behind one that was stopped."""
    parts = verb.settled(chosen.query, at)
    done: list[Changed] = []
    for part in parts:
        done.append(verb.carry_out(part, **how))
        if done[-1].stopped:
            break
    reasons: dict[str, int] = {}
    for part in done:
        for reason, number in part.by_reason.items():
            reasons[reason] = reasons.get(reason, 0) + number
    return Changed(
        changed=sum(part.changed for part in done),
        skipped=sum(part.skipped for part in done),
        missing=sum(part.missing for part in done),
        undo=next((part.undo for part in done if part.undo), None),
        by_reason=reasons,
        stopped=any(part.stopped for part in done),
        errors=tuple(dict.fromkeys(error for part in done for error in part.errors)),
        skipped_ids={id: why for part in done for id, why in part.skipped_ids.items()},
    )


def _number_of(status: Status, id: str) -> str:
    """Which attempt it is, as people and the pages count: `2 of 3`."""
    present = statuses.find(split_attempt(id)[0]) if status.archived else status
    return f"{status.attempt + 1} of {present.attempt + 1}" if present is not None else str(status.attempt + 1)


def _named(counts: dict[State, int]) -> dict[str, int]:
    return {str(state): number for state, number in counts.items()}


def _cell(job: Status, name: str) -> str:
    value = getattr(job, name)
    if name == "run_time":
        return formats.duration(value)
    if name == "recorded_at":
        return f"{timezone.localtime(value):%Y-%m-%d %H:%M:%S}"
    return redact_text(str(value)).replace("\n", " ").replace("\r", " ") if value is not None else formats.NOTHING


def _plain_cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or formats.NOTHING
    if value is None:
        return formats.NOTHING
    return f"{value:g}" if isinstance(value, float) else _plain(value).replace("\n", " ").replace("\r", " ")


def _plain(value: Any) -> str:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=exports._written)
    return formats.moment(value) if hasattr(value, "isoformat") else str(value)
