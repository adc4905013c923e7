"""Carries operations out in the background of a web process.

The rows of `Operation` are the queue. A thread takes one that waits, or one whose process has given no sign of life for
`LEASE`, by an update that only one can win; so operations survive a restart. What is left to do is asked of the store:
a job that had its turn has left the set that was announced (`Verb.settled`), and nothing new comes into it. So whoever
carries on touches no job a second time. Every write is one small update, and nothing of the store is called inside a
transaction: SQLite stays free for the pages.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from django.core.signals import request_started
from django.db import Error, InterfaceError, OperationalError, close_old_connections, connections, router
from django.db.models import Q
from django.utils.translation import gettext as _

import statuses
from jobadmin import conditions, moments
from jobadmin.filters import BadFilter
from jobadmin.models import FORBIDDEN, SKIPPED, Operation
from jobadmin.records import MOST_ERRORS, renew_connection
from jobadmin.resolver import may_do, resolver
from jobadmin.targets import query_of, selection_of
from jobadmin.verbs import ALL, REMOVE, RESTORE, UNDO_FOR
from statuses import Changed, Query, StatusesError, StoreUnavailable

Done = TypeVar("Done")

log = logging.getLogger(__name__)

#: An operation whose process has been silent this long is taken over by another.
LEASE = timedelta(seconds=15)

#: Batches of a large operation, at most about so many: each leaves a token that a removal is taken back with.
_BATCHES = 20

#: Seconds between two writes of progress.
_BEAT_SECONDS = 0.5

#: Seconds between two tries to write down where the database is away.
_DATABASE_SECONDS = 0.5

#: Seconds between two looks for work nobody announced: another process's that died, or an old one's.
_LOOK_SECONDS = 5.0

#: Seconds between two tries while the store is away.
_STORE_SECONDS = 2.0

#: Operations one process carries out at the same time: a long one does not hold up a kill.
_AT_ONCE = 4

_States = Operation.State


class LeaseLost(Exception):
    """Raised when another process has taken the operation over; this one lets go of it."""


class Lease:
    """The right to carry one operation out: its `heartbeat_at`, which only the holder knows and moves."""

    def __init__(self, operation: Operation, at: datetime, pause: Callable[[float], object] = time.sleep) -> None:
        self.pk = operation.pk
        self._pause = pause
        self._at = at
        self._beaten = time.monotonic()
        self.stopping = False

    def beat(self, **fields: Any) -> None:
        """Give a sign of life and write `fields`; where the database is away, once more over a new connection, and then until somebody
        else may have taken the operation.  Raises: LeaseLost; what the database raises."""
        now = max(moments.now(), self._at + timedelta(microseconds=1))
        for number in count():
            try:
                self._write(now, fields)
                break
            except (OperationalError, InterfaceError):
                if connections[router.db_for_write(Operation)].in_atomic_block or (number and not self._is_sure):
                    raise
                if number:
                    self._pause(_DATABASE_SECONDS)
                renew_connection()
        self._at, self._beaten = now, time.monotonic()
        _lend_connections()

    def _write(self, now: datetime, fields: dict[str, Any]) -> None:
        # What the connection was lost over may be written all the same: then it is `now` that stands there.
        held = Operation.objects.filter(pk=self.pk, heartbeat_at__in=(self._at, now))
        if not held.update(heartbeat_at=now, **fields):
            raise LeaseLost(self.pk)
        self.stopping = Operation.objects.filter(pk=self.pk, state=_States.STOPPING).exists()

    @property
    def _is_sure(self) -> bool:
        """Whether nobody can have taken the operation over: with time to spare, the clocks are several."""
        return time.monotonic() - self._beaten < LEASE.total_seconds() / 2

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._beaten >= _BEAT_SECONDS


def _lend_connections() -> None:
    """Between two writes, a connection that comes out of a pool (PostgreSQL) is the pages'."""
    if getattr(connections[router.db_for_write(Operation)], "pool", None):
        close_old_connections()


def take() -> tuple[Operation, Lease] | None:
    """The oldest operation that waits or was left, now ours; None when there is none, or another was faster. One whose action only a newer
    version knows waits for a process of that."""
    now = moments.now()
    left = Q(state__in=(_States.RUNNING, _States.STOPPING), heartbeat_at__lt=now - LEASE)
    operation = Operation.objects.filter(Q(state=_States.WAITING) | left, action__in=[*ALL]).order_by("created_at", "pk").first()
    if operation is None:
        return None
    state = _States.RUNNING if operation.state == _States.WAITING else operation.state
    ours = Operation.objects.filter(pk=operation.pk, state=operation.state, heartbeat_at=operation.heartbeat_at)
    if not ours.update(state=state, heartbeat_at=now, started_at=operation.started_at or now):
        return None
    operation.refresh_from_db()
    return operation, Lease(operation, now)


class Work:
    """Carrying out one operation under a lease."""

    def __init__(self, operation: Operation, lease: Lease, pause: Callable[[float], object] = time.sleep) -> None:
        self.operation = operation
        self.lease = lease
        self.verb = ALL[operation.action]
        self._pause = pause
        self._asks_each = operation.ids is not None or resolver().asks_each_job

    def run(self) -> None:
        """Batch after batch until nothing is left or somebody stops it; ends with a written result."""
        try:
            if self.verb is RESTORE:
                self._restore()
            else:
                self._patiently(self._take_over)
                for number, part in enumerate(self._patiently(self._parts) or ()):
                    self._through(number, part)
            # Who asked it to stop after its last batch stopped nothing.
            is_whole = self.operation.done >= self.operation.announced
            self._finish(_States.STOPPED if self.lease.stopping and not is_whole else _States.DONE)
        except LeaseLost:
            log.warning("operation %s was taken over by another process", self.operation.pk)
        except Error as error:
            # Nothing can be written down now. The lease runs out, and whoever takes it then carries on.
            log.warning("operation %s is left for later: %s", self.operation.pk, error)
        except Exception as error:
            log.exception("operation %s failed", self.operation.pk)
            self._finish(_States.FAILED, error=_describe(error))

    def _patiently(self, step: Callable[[], Done]) -> Done | None:
        """Do a step, waiting for the store as long as it takes; asking to stop ends the waiting."""
        while not self.lease.stopping:
            try:
                return step()
            except StoreUnavailable as error:
                said = conditions.said(error)
                self.lease.beat(error=said.sentence if said else _("Redis does not answer. This goes on when it is back."))
                self._pause(_STORE_SECONDS)
        return None

    def _parts(self) -> tuple[Query, ...]:
        return self.verb.settled(query_of(self.operation), self.operation.counted_at)

    def _take_over(self) -> None:
        """After a process that died: what its last batch changed has left the set, and nobody counted it."""
        operation = self.operation
        if not operation.plan.get("begun"):
            operation.plan["begun"] = True
            if operation.ids is not None:
                operation.plan[SKIPPED] = self.verb.passes_over(operation.ids, query_of(operation), operation.counted_at)
            self._write(Counter(), plan=operation.plan)
            return
        # The progress it showed last ran ahead of what it had counted.
        operation.done = operation.changed + operation.skipped + operation.missing
        lost = operation.announced - operation.done - self._waiting()
        if lost > 0:
            self._write(Counter(lost=lost), changed=lost)

    def _passed(self) -> dict[str, int]:
        """Part -> jobs that had their turn and are still in the set: what an engine could not do. They are passed over."""
        return self.operation.plan.setdefault("passed", {})

    def _through(self, number: int, part: Query) -> None:
        """One part, batch by batch. What had its turn leaves the set, so the next batch begins where this one ended."""
        size = max(self.verb.batch, self.operation.announced // _BATCHES)
        while not self.lease.stopping:
            left = self.operation.announced - self.operation.done
            if left <= 0 or not self._patiently(lambda: self._batch(str(number), part, min(size, left))):  # noqa: B023
                return

    def _batch(self, number: str, part: Query, size: int) -> int:
        """Do it to the next `size` jobs, and write down what came of them; how many there were."""
        passed = self._passed().get(number, 0)
        chosen = part.offset(passed).limit(size)
        if self._asks_each:
            return self._batch_of_allowed(number, part, chosen)
        before = part.count()
        changed = self._carry_out(chosen)
        seen = changed.changed + changed.skipped + changed.missing
        self._passed()[number] = passed + max(0, seen - (before - part.count()))
        self._count(changed)
        return seen

    def _batch_of_allowed(self, number: str, part: Query, chosen: Query) -> int:
        """The same, but for those jobs that the rule of the project refuses: they are passed over, and counted."""
        allowed, refused = self._sorted_out(chosen)
        seen = [*allowed, *refused]
        if not seen or self.lease.stopping:
            return 0
        changed = self._carry_out(part.where(id=allowed)) if allowed else Changed()
        self._passed()[number] = self._passed().get(number, 0) + part.where(id=seen).count()
        if refused:
            reasons = {**changed.by_reason, FORBIDDEN: len(refused)}
            changed = replace(changed, skipped=changed.skipped + len(refused), by_reason=reasons)
            changed = replace(changed, skipped_ids={**changed.skipped_ids, **dict.fromkeys(refused, FORBIDDEN)})
        self._count(changed)
        return len(seen)

    def _sorted_out(self, chosen: Query) -> tuple[list[str], list[str]]:
        """Ids of the jobs that whoever asked may do this to, and of the others. Nobody is left to ask about where that account is gone."""
        user = self.operation.user
        allowed: list[str] = []
        refused: list[str] = []
        for job in chosen:
            if not self._progress(0, 0):
                break
            is_allowed = user is not None and may_do(user, self.verb.permission, job)
            (allowed if is_allowed else refused).append(job.id)
        return allowed, refused

    def _carry_out(self, chosen: Query) -> Changed:
        return self.verb.carry_out(chosen, by=self.operation.username, reason=self.operation.reason, progress=self._progress)

    def _progress(self, done: int, _total: int) -> bool:
        """Called by the store's own small steps: keeps the lease, shows how far, tells when to stop."""
        if self.lease.is_due:
            self.lease.beat(done=self.operation.done + done)
        return not self.lease.stopping

    def _restore(self) -> None:
        """Take a removal back, token by token."""
        removal = Operation.objects.get(pk=self.operation.plan["of"])
        for token in removal.undo_token.split():
            if token not in self.operation.plan.setdefault("tokens", []):
                changed = self._patiently(lambda token=token: statuses.restore(token))
                if changed is None:
                    return
                self.operation.plan["tokens"].append(token)
                self._count(changed)

    def _count(self, changed: Changed) -> None:
        """Write down what came of a batch."""
        operation = self.operation
        fields: dict[str, Any] = {}
        if changed.errors:
            told = dict.fromkeys((*operation.plan.get("errors", ()), *changed.errors))
            operation.plan["errors"] = list(told)[:MOST_ERRORS]
        if changed.skipped_ids and operation.ids is not None:
            operation.plan.setdefault(SKIPPED, {}).update(changed.skipped_ids)
        if changed.undo:
            operation.undo_token = f"{operation.undo_token} {changed.undo}".strip()
            operation.undo_until = operation.undo_until or moments.now() + UNDO_FOR
            fields = {"undo_token": operation.undo_token, "undo_until": operation.undo_until}
        self._write(
            Counter(changed.by_reason),
            changed=changed.changed,
            skipped=changed.skipped,
            missing=changed.missing,
            error="",
            plan=operation.plan,
            **fields,
        )

    def _write(self, reasons: Counter[str], *, changed: int = 0, skipped: int = 0, missing: int = 0, **fields: Any) -> None:
        operation = self.operation
        operation.by_reason = dict(+(Counter(operation.by_reason) + reasons))
        operation.changed += changed
        operation.skipped += skipped
        operation.missing += missing
        operation.done = operation.changed + operation.skipped + operation.missing
        names = ("by_reason", "changed", "skipped", "missing", "done")
        self.lease.beat(**{name: getattr(operation, name) for name in names}, **fields)

    def _rest(self, state: str, left: int) -> Counter[str]:
        """Outcome -> how many of the `left` jobs that had no turn. Those still in the set were not reached."""
        if state == _States.STOPPED:
            return Counter(stopped=left)
        if state == _States.FAILED:
            return Counter(failed=left)
        if self.verb is RESTORE:
            return Counter(gone=left)
        waiting = self._waiting() if left else 0
        failed = min(left, waiting)
        gone = min(left - failed, self._gone()) if left > failed else 0
        return Counter(failed=failed, gone=gone, moved=left - failed - gone)

    def _gone(self) -> int:
        """Selected jobs that somebody else removed. Of a filter's jobs nobody knows which they were."""
        ids = selection_of(self.operation).given.get("id", ())
        found = self._patiently(lambda: statuses.where(id=list(ids)).count()) if ids else 0
        own = self.operation.changed if self.verb is REMOVE else 0
        return max(0, len(ids) - found - own) if found is not None else 0

    def _waiting(self) -> int:
        """Jobs of the announced set that have not had their turn."""
        counts = self._patiently(lambda: sum(part.count() for part in self._parts())) or 0
        return max(0, counts - sum(self._passed().values()))

    def _finish(self, state: str, error: str = "") -> None:
        """Say what became of those that had no turn, so that the numbers add up to what was announced; and end."""
        left = max(0, self.operation.announced - self.operation.done)
        rest = self._rest(state, left)
        try:
            self._write(rest, skipped=left - rest["gone"], missing=rest["gone"], state=state, error=error, ended_at=moments.now())
        except LeaseLost:
            log.warning("operation %s was taken over by another process", self.operation.pk)


def run_pending() -> int:
    """Carry out all that waits, here and now; how many operations that were. For tests and for commands."""
    ran = 0
    while taken := take():
        Work(*taken).run()
        ran += 1
    return ran


class Runner:
    """The thread of this process that looks for operations and starts a thread for each."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_AT_ONCE)
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def wake(self) -> None:
        """Look now; starts the thread in a process that has none, also after a fork."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._stopped = threading.Event()
                self._thread = threading.Thread(target=self._loop, args=(self._stopped,), name="jobadmin-runner", daemon=True)
                self._thread.start()
        self._wake.set()

    def ensure(self) -> None:
        """Have a thread, without making it look before its time."""
        if self._thread is None or not self._thread.is_alive():
            self.wake()

    def stop(self) -> None:
        """Look for no more, and return when what was begun is through: before a test's database goes. `wake` begins anew."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stopped.set()
        self._wake.set()
        if thread is not None and thread.is_alive():
            thread.join()
        for _slot in range(_AT_ONCE):
            self._slots.acquire()
        self._slots.release(_AT_ONCE)

    def _loop(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            self._slots.acquire()
            taken = self._take()
            if taken is None:
                self._slots.release()
                self._wake.wait(_LOOK_SECONDS)
                self._wake.clear()
            else:
                threading.Thread(target=self._work, args=taken, name=f"jobadmin-operation-{taken[0].pk}", daemon=True).start()
        connections.close_all()

    def _take(self) -> tuple[Operation, Lease] | None:
        try:
            close_old_connections()
            return take()
        except Exception as error:
            log.warning("looking for operations failed, trying again in %s s: %s", _LOOK_SECONDS, error)
            return None
        finally:
            # While it waits it holds none, unless the project keeps them (`CONN_MAX_AGE`).
            with suppress(Error):
                close_old_connections()

    def _work(self, operation: Operation, lease: Lease) -> None:
        try:
            Work(operation, lease).run()
        except Exception:
            log.exception("operation %s could not be carried out here", operation.pk)
        finally:
            with suppress(Error):
                connections.close_all()
            self._slots.release()
            self._wake.set()


#: This process's.
_runner = Runner()


def wake() -> None:
    """Tell this process's runner that an operation waits."""
    _runner.wake()


def stop() -> None:
    """Let this process's runner end, when what it began is through."""
    _runner.stop()


def follow_requests() -> None:
    """Start the runner with the first request a process answers: in web processes alone, after any fork."""
    request_started.connect(_ensure, dispatch_uid="jobadmin.runner")


def _ensure(sender: object = None, **_: object) -> None:
    # The test client says so too, of a process that serves nobody: a thread of ours would be at its database between the tests.
    if not getattr(sender, "__module__", "").startswith("django.test."):
        _runner.ensure()


def _describe(error: Exception) -> str:
    """For the page: known errors speak for themselves, of others the kind is said and the log holds the rest."""
    return str(error) if isinstance(error, StatusesError | BadFilter) else type(error).__name__
