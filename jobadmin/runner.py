"""Carries operations out in the background of a web process.

The rows of `Operation` are the queue. A thread takes one that waits, or one whose process has given no sign of life for
`LEASE`, by an update that only one can win; so operations survive a restart. What is left to do stands in
`OperationBatch`: a batch is deleted in the transaction that counts what came of it, and every verb is idempotent, so a
batch that was cut short can be repeated. Transactions are a few milliseconds long, and nothing of the store is called
inside one: SQLite stays free for the pages.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.core.signals import request_started
from django.db import close_old_connections, connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

import statuses
from jobadmin.models import Operation, OperationBatch
from jobadmin.targets import counted_at, query_of
from jobadmin.verbs import ALL, RESTORE, UNDO_FOR
from statuses import Changed, StatusesError, StoreUnavailable

log = logging.getLogger(__name__)

#: An operation whose process has been silent this long is taken over by another.
LEASE = timedelta(seconds=15)

#: Batches written at once while the jobs are listed.
_LISTED_AT_ONCE = 5

#: Seconds between two writes of progress.
_BEAT_SECONDS = 0.5

#: Seconds between two looks for work nobody announced: another process's that died, or an old one's.
_LOOK_SECONDS = 5.0

#: Seconds between two tries while the store is away.
_STORE_SECONDS = 2.0

#: Operations one process carries out at the same time: a long one does not hold up a kill.
_AT_ONCE = 4

#: Different reasons of an engine that are kept with the result.
_ERRORS = 10

_States = Operation.State


class LeaseLost(Exception):
    """Raised when another process has taken the operation over; this one lets go of it."""


class Lease:
    """The right to carry one operation out: its `heartbeat_at`, which only the holder knows and moves."""

    def __init__(self, operation: Operation, at: datetime) -> None:
        self.pk = operation.pk
        self._at = at
        self._beaten = time.monotonic()
        self.stopping = False

    def beat(self, **fields: Any) -> None:
        """Give a sign of life and write `fields`. Raises: LeaseLost."""
        now = max(timezone.now(), self._at + timedelta(microseconds=1))
        held = Operation.objects.filter(pk=self.pk, heartbeat_at=self._at)
        if not held.update(heartbeat_at=now, **fields):
            raise LeaseLost(self.pk)
        self._at, self._beaten = now, time.monotonic()
        self.stopping = Operation.objects.filter(pk=self.pk, state=_States.STOPPING).exists()

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._beaten >= _BEAT_SECONDS


def take() -> tuple[Operation, Lease] | None:
    """The oldest operation that waits or was left, now ours; None when there is none, or another was faster."""
    now = timezone.now()
    left = Q(state__in=(_States.RUNNING, _States.STOPPING), heartbeat_at__lt=now - LEASE)
    operation = Operation.objects.filter(Q(state=_States.WAITING) | left).order_by("created_at", "pk").first()
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

    def run(self) -> None:
        """List the jobs if that has not been done, then batch after batch; always ends with a written result."""
        try:
            lister = self._list_tokens if self.verb is RESTORE else self._list_jobs
            if "listed" not in self.operation.plan:
                self._patiently(lister)
            for batch in self.operation.batches.all().iterator(1):
                if self.lease.stopping:
                    break
                self._patiently(lambda batch=batch: self._settle(batch, self._carry_out(batch)))
            self._finish(_States.STOPPED if self.operation.batches.exists() else _States.DONE)
        except LeaseLost:
            log.warning("operation %s was taken over by another process", self.operation.pk)
        except Exception as error:
            log.exception("operation %s failed", self.operation.pk)
            self._finish(_States.FAILED, error=_describe(error))

    def _patiently(self, step: Callable[[], None]) -> None:
        """Do a step, waiting for the store as long as it takes; asking to stop ends the waiting."""
        while not self.lease.stopping:
            try:
                return step()
            except StoreUnavailable:
                self.lease.beat(error=_("Redis does not answer. This goes on when it is back."))
                self._pause(_STORE_SECONDS)

    def _list_jobs(self) -> None:
        """Write down which jobs are meant, as batches: from here on the set is fixed, and never more than announced."""
        parts = self.verb.settled(query_of(self.operation), counted_at(self.operation))
        ids = (job_id for part in parts for job_id in part.ids())
        self._list(_chunks(islice(ids, self.operation.announced), self.verb.batch))

    def _list_tokens(self) -> None:
        """The removals to take back, one token a batch."""
        removal = Operation.objects.get(pk=self.operation.plan["of"])
        self._list([token] for token in removal.undo_token.split())

    def _list(self, chunks: Iterator[list[str]]) -> None:
        self.operation.batches.all().delete()
        listed = 0
        for some in _chunks(chunks, _LISTED_AT_ONCE):
            listed += sum(map(len, some))
            OperationBatch.objects.bulk_create(OperationBatch(operation=self.operation, ids=ids) for ids in some)
            self.lease.beat()
        self.operation.plan["listed"] = listed
        vanished = 0 if self.verb is RESTORE else self.operation.announced - listed
        self._write(Counter(moved=vanished), skipped=vanished, plan=self.operation.plan)

    def _carry_out(self, batch: OperationBatch) -> tuple[Counter[str], Changed]:
        """Do it to one batch; the counter adds up to the batch."""
        if self.verb is RESTORE:
            changed = statuses.restore(batch.ids[0])
            return Counter(changed.by_reason), changed
        changed = self._apply(batch.ids)
        reasons = Counter(changed.by_reason)
        unseen = len(batch.ids) - changed.changed - changed.skipped - changed.missing
        if unseen > 0:
            reasons += self._explain(batch.ids, unseen, changed)
        return reasons, changed

    def _apply(self, ids: list[str]) -> Changed:
        total = Changed(changed=0, skipped=0, missing=0)
        for part in self.verb.settled(query_of(self.operation), counted_at(self.operation)):
            seen = total.changed + total.skipped + total.missing
            found = self.verb.carry_out(
                part.where(id=ids),
                by=self.operation.username,
                reason=self.operation.reason,
                progress=lambda done, _total, seen=seen: self._progress(seen + done),
            )
            total = _sum(total, found)
        return total

    def _progress(self, done: int) -> bool:
        """Called by the store's own small steps: keeps the lease, shows how far, tells when to stop."""
        if self.lease.is_due:
            self.lease.beat(done=self.operation.done + done)
        return not self.lease.stopping

    def _explain(self, ids: list[str], unseen: int, changed: Changed) -> Counter[str]:
        """Why jobs of a batch were not met: stopped before them, gone, or no longer what was announced."""
        if self.lease.stopping:
            return Counter(stopped=unseen)
        removed = changed.by_reason.get("removed", 0)
        gone = max(0, min(unseen, len(ids) - removed - statuses.where(id=ids).count()))
        return Counter(gone=gone, moved=unseen - gone)

    def _settle(self, batch: OperationBatch, outcome: tuple[Counter[str], Changed]) -> None:
        """Count a batch and drop it, in one transaction."""
        reasons, changed = outcome
        operation = self.operation
        gone = reasons["gone"] if self.verb is not RESTORE else changed.missing
        fields: dict[str, Any] = {}
        if changed.errors:
            told = dict.fromkeys((*operation.plan.get("errors", ()), *changed.errors))
            operation.plan["errors"] = list(told)[:_ERRORS]
            fields["plan"] = operation.plan
        if changed.undo:
            operation.undo_token = f"{operation.undo_token} {changed.undo}".strip()
            operation.undo_until = operation.undo_until or timezone.now() + UNDO_FOR
            fields |= {"undo_token": operation.undo_token, "undo_until": operation.undo_until}
        with transaction.atomic():
            batch.delete()
            self._write(
                reasons,
                changed=changed.changed,
                missing=max(gone, changed.missing),
                skipped=sum(reasons.values()) - changed.changed - max(gone, changed.missing),
                error="",
                **fields,
            )

    def _write(self, reasons: Counter[str], *, changed: int = 0, skipped: int = 0, missing: int = 0, **fields: Any) -> None:
        operation = self.operation
        operation.by_reason = dict(+(Counter(operation.by_reason) + reasons))
        operation.changed += changed
        operation.skipped += skipped
        operation.missing += missing
        operation.done = operation.changed + operation.skipped + operation.missing
        operation.error = ""
        names = ("by_reason", "changed", "skipped", "missing", "done")
        self.lease.beat(**{name: getattr(operation, name) for name in names}, **fields)

    def _finish(self, state: str, error: str = "") -> None:
        """Count what was not reached, and end."""
        left = sum(len(ids) for ids in self.operation.batches.values_list("ids", flat=True))
        if "listed" not in self.operation.plan:
            left = self.operation.announced
        reason = "stopped" if state == _States.STOPPED else "failed"
        try:
            with transaction.atomic():
                self.operation.batches.all().delete()
                self._write(Counter({reason: left}), skipped=left, state=state, error=error, ended_at=timezone.now())
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

    def wake(self) -> None:
        """Look now; starts the thread in a process that has none, also after a fork."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._loop, name="jobadmin-runner", daemon=True)
                self._thread.start()
        self._wake.set()

    def ensure(self) -> None:
        """Have a thread, without making it look before its time."""
        if self._thread is None or not self._thread.is_alive():
            self.wake()

    def _loop(self) -> None:
        while True:
            self._slots.acquire()
            taken = self._take()
            if taken is None:
                self._slots.release()
                self._wake.wait(_LOOK_SECONDS)
                self._wake.clear()
            else:
                threading.Thread(target=self._work, args=taken, name=f"jobadmin-operation-{taken[0].pk}", daemon=True).start()

    def _take(self) -> tuple[Operation, Lease] | None:
        try:
            close_old_connections()
            return take()
        except Exception as error:
            log.warning("looking for operations failed, trying again in %s s: %s", _LOOK_SECONDS, error)
            return None

    def _work(self, operation: Operation, lease: Lease) -> None:
        try:
            Work(operation, lease).run()
        except Exception:
            log.exception("operation %s could not be carried out here", operation.pk)
        finally:
            connection.close()
            self._slots.release()
            self._wake.set()


#: This process's.
_runner = Runner()


def wake() -> None:
    """Tell this process's runner that an operation waits."""
    _runner.wake()


def follow_requests() -> None:
    """Start the runner with the first request a process answers: in web processes alone, after any fork."""
    request_started.connect(_ensure, dispatch_uid="jobadmin.runner")


def _ensure(**_: object) -> None:
    _runner.ensure()


def _chunks(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk


def _sum(one: Changed, other: Changed) -> Changed:
    """Both together; a batch is removed in one part, so there is one undo at most."""
    return Changed(
        changed=one.changed + other.changed,
        skipped=one.skipped + other.skipped,
        missing=one.missing + other.missing,
        undo=one.undo or other.undo,
        stopped=one.stopped or other.stopped,
        errors=tuple(dict.fromkeys((*one.errors, *other.errors))),
        by_reason=dict(Counter(one.by_reason) + Counter(other.by_reason)),
    )


def _describe(error: Exception) -> str:
    """For the page: known errors speak for themselves, of others the kind is said and the log holds the rest."""
    return str(error) if isinstance(error, StatusesError) else type(error).__name__
