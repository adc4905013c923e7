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
#: Workers asked about at once: those of which the broker has heard last. Whoever sends speaks to it as a worker does.
MOST_WORKERS = 2_000


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


def taken(broker: Any, queues: Collection[str], wanted: Collection[str], heard_within_ms: int) -> set[str]:
    """Those of these messages of these queues that a worker has taken and not acknowledged of which the broker has heard that lately, also
    such as wait in its memory for a retry. What a dead one had taken stands there, too, until another one puts it back.
    Raises: whatever the client raises where the broker is away.  Two round trips, and one for each five hundred messages that workers have
    taken, of which ten thousand are looked at, those of the queues first."""
    workers, names = _heard_of(broker, heard_within_ms), [*queues, *map(dq_name, queues)]
    taken_by = [(name, worker) for name in names for worker in workers]
    with broker.client.pipeline(transaction=False) as pipeline:
        for name, worker in taken_by:
            pipeline.smembers(f"{broker.namespace}:__acks__.{worker}.{name}")
        found = pipeline.execute()
    places = [(name, id) for (name, _), ids in zip(taken_by, found, strict=True) for id in ids][:MOST]
    there: set[str] = set()
    for start in range(0, len(places), PAGE):
        there |= _in_places(broker, places[start : start + PAGE]).intersection(wanted)
        if len(there) == len(wanted):
            break
    return there


def _in_places(broker: Any, places: list[tuple[str, bytes]]) -> set[str]:
    """The ids of the messages in these places: of a queue, under the id that the broker gave it. One round trip."""
    with broker.client.pipeline(transaction=False) as pipeline:
        for name, id in places:
            pipeline.hget(f"{broker.namespace}:{name}.msgs", id)
        ids = (_id(data) for data in pipeline.execute() if data is not None)
        return {id for id in ids if id is not None}


def _heard_of(broker: Any, within_ms: int) -> list[str]:
    """The workers of which the broker has heard that lately, MOST_WORKERS of them at most. One round trip."""
    with broker.client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        pipeline.zrevrange(f"{broker.namespace}:__heartbeats__", 0, MOST_WORKERS - 1, withscores=True)
        (seconds, _), heard = pipeline.execute()
    since = _since(seconds, within_ms)
    return [id.decode() for id, at in heard if at >= since]


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
    since = _since(seconds, broker.heartbeat_timeout)
    return {id for id, at in zip(broker_ids, heard, strict=True) if at is not None and at >= since}


def _since(seconds: int, within_ms: int) -> int:
    """The moment, in ms. A worker writes the time of its own machine."""
    return (seconds - 1) * 1000 - within_ms
