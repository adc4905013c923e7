"""Which messages a broker that is a Redis still has: waiting in a queue, put off beside it, or taken by a worker and not acknowledged."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from dramatiq.common import dq_name
from dramatiq.message import Message

#: Messages of one queue that are read in one look; where there are more nobody looks whose they are.
MOST = 10_000
#: Messages asked for at once.
PAGE = 500


def can_be_read(broker: Any) -> bool:
    """Whether it is Dramatiq's own Redis broker."""
    return all(hasattr(broker, name) for name in ("client", "namespace", "broker_id", "heartbeat_timeout"))


def message_ids(broker: Any, queue: str) -> set[str] | None:
    """The ids of all of a queue; None where there are too many, or one cannot be read.
    Raises: whatever the client raises where the broker is away.  A round trip, and one for each five hundred messages."""
    # Those put off first: what is due goes from there to the queue, and stands in both for a moment.
    keys = [f"{broker.namespace}:{name}.msgs" for name in (dq_name(queue), queue)]
    with broker.client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hlen(key)
        if sum(pipeline.execute()) > MOST:
            return None
    found = {_id(data) for key in keys for _, data in broker.client.hscan_iter(key, count=PAGE)}
    return None if None in found else {id for id in found if id is not None}


def _id(data: bytes) -> str | None:
    try:
        return Message.decode(data).message_id
    except Exception:  # by another encoder
        return None


def still_speak(broker: Any, broker_ids: Collection[str]) -> set[str]:
    """Those of these workers that the broker has heard of as lately as a living one speaks to it. One round trip.
    Raises: whatever the client raises where the broker is away."""
    if not broker_ids:
        return set()
    with broker.client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for id in broker_ids:
            pipeline.zscore(f"{broker.namespace}:__heartbeats__", id)
        (seconds, _), *heard = pipeline.execute()
    # A worker writes the time of its own machine.
    since = (seconds - 1) * 1000 - broker.heartbeat_timeout
    return {id for id, at in zip(broker_ids, heard, strict=True) if at is not None and at >= since}
