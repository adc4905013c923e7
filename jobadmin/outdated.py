"""Operations whose time to be kept is over: `clean_jobs` removes them, as it does with jobs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import router, transaction
from django.db.models import Q, QuerySet

from jobadmin import moments
from jobadmin.models import Operation

#: How long an operation is kept after its end, unless ``JOBADMIN["KEEP_OPERATIONS"]`` says otherwise: as long as a job at most.
KEPT_FOR = timedelta(days=180)
#: A cleaning that removes no job, and so leaves no record, leaves operations until the first of them is due for so long: it would else
#: write one down every hour, to remove one.
ALONE_AFTER = timedelta(days=1)
_BEFORE_ALL = datetime(1970, 1, 1, tzinfo=UTC)
#: Rows removed in one statement.
_BATCH = 500


def kept_for() -> timedelta | None:
    """How long an operation is kept after its end; None: for ever."""
    return (getattr(settings, "JOBADMIN", None) or {}).get("KEEP_OPERATIONS", KEPT_FOR)


def due(now: datetime) -> QuerySet[Operation]:
    """Those that have been over for so long; none that is under way, can be taken back, or is just being taken back.
    Source, when it is asked: one small query and a range of the index on `created_at`."""
    kept, operations = kept_for(), Operation.objects.db_manager(router.db_for_write(Operation))
    if kept is None or kept > now - _BEFORE_ALL:
        return operations.none()
    until = now - kept
    restores = operations.filter(action=Operation.Action.RESTORE, state__in=Operation.ACTIVE)
    wanted = [plan.get("of") for plan in restores.values_list("plan", flat=True)]
    quiet = [Q(**{name: None}) | Q(**{f"{name}__lt": until}) for name in ("ended_at", "heartbeat_at", "undone_at")]
    # No end comes before the beginning: that is what the index is for.
    found = operations.filter(*quiet, Q(undo_until=None) | Q(undo_until__lt=now), created_at__lt=until)
    return found.exclude(state__in=Operation.ACTIVE).exclude(pk__in=wanted).order_by("created_at")


def count(*, alone: bool) -> int:
    """How many a cleaning removes now. `alone`: it removes no job.  Source: as `due`."""
    now = moments.now()
    return 0 if alone and not due(now - ALONE_AFTER).exists() else due(now).count()


def removed() -> Iterator[int]:
    """Remove those that are due, and give how many each statement took.  Source: as `due`, and a statement for five hundred."""
    since, is_last = _BEFORE_ALL, False
    while not is_last:
        with transaction.atomic(using=router.db_for_write(Operation)):
            # From where the last one ended: PostgreSQL would walk over all that is gone each time.
            found = due(moments.now()).filter(created_at__gte=since)
            part = list(found.values_list("pk", "created_at")[:_BATCH])
            # Without the signals of a deletion: for each row Django would load it, and the store be asked whether jobs are kept until it
            # is deleted. None is, and nothing refers to operations.
            number = found.filter(pk__in=[pk for pk, _at in part]).order_by()._raw_delete(found.db) or 0
        is_last = len(part) < _BATCH
        since = part[-1][1] if part else since
        yield number
