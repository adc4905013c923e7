"""Who is there to run jobs: workers report themselves, whoever looks reads the reports and asks nobody.

For engines that keep no list of their workers. Reports lie beside the statuses, bounded, the oldest dropped. What a worker
has to know comes back with its report: queues that are paused, and what it shall do.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from . import clock, keys, pauses
from .store import current

#: Seconds between two reports of a worker; the first comes at once.
EVERY_SECONDS = 10.0
#: A worker whose last report is older is taken for lost.
ALIVE_FOR = timedelta(seconds=45)
#: How long a lost one is still told of.
KEPT_FOR = timedelta(days=1)
#: Workers kept.
MOST = 10_000


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a worker said last."""

    engine: str
    worker: str
    facts: Mapping[str, Any]
    """JSON, as the adapter gave it."""
    seen_at: datetime
    """When, by the store's clock."""
    is_alive: bool
    """Whether that is recent."""


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a worker that reports has to know."""

    paused: frozenset[str]
    """The queues of its engine that are paused."""
    order: str = ""
    """What it shall do, told once; empty: nothing."""


def tell(engine: str, worker: str, facts: Mapping[str, Any]) -> Heard:
    """Say that a worker is there, and what it does. One round trip.  Raises: StoreUnavailable."""
    order, paused = _write(engine, worker, json.dumps({**facts, "engine": engine, "worker": worker}))
    return Heard(paused=pauses.names(engine, paused), order=order.decode())


def order(engine: str, worker: str, what: str) -> bool:
    """Let a worker do something, which it hears with its next report, and once; False when none of this name is known.
    One round trip.  Raises: StoreUnavailable."""
    store = current()
    tag = store.families[0]
    return bool(store.script("order", [keys.presence(tag), keys.orders(tag)], [f"{engine}\t{worker}", what]))


def leave(engine: str, worker: str) -> None:
    """Say that a worker ends in order: nobody is told of it any more. One round trip. Raises: StoreUnavailable."""
    _write(engine, worker, "")


def _write(engine: str, worker: str, report: str) -> tuple[bytes, list[bytes]]:
    store = current()
    tag = store.families[0]
    arguments = [clock.argument(), f"{engine}\t{worker}", report, KEPT_FOR // clock.MICROSECOND, MOST]
    return store.script("present", [keys.presence(tag), keys.presence_order(tag), keys.paused(tag), keys.orders(tag)], arguments)


def reports(engine: str) -> list[Report]:
    """The workers of an engine by name, lost ones too. One round trip. Raises: StoreUnavailable."""
    store = current()
    values, time = store.pipeline([("HVALS", keys.presence(store.families[0])), ("TIME",)], primary=True)
    frozen = clock.frozen_us()
    now = clock.from_us(frozen if frozen is not None else int(time[0]) * 1_000_000 + int(time[1]))
    found = [_report(value, now) for value in values]
    # Kept longer where no other worker reports that could drop it.
    mine = (report for report in found if report.engine == engine and now - report.seen_at <= KEPT_FOR)
    return sorted(mine, key=lambda report: report.worker)


def _report(value: bytes, now: datetime) -> Report:
    moment, _, text = value.partition(b"\n")
    facts, seen_at = json.loads(text), clock.from_us(int(moment))
    return Report(engine=facts["engine"], worker=facts["worker"], facts=facts, seen_at=seen_at, is_alive=now - seen_at <= ALIVE_FOR)
