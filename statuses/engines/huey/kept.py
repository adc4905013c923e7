"""Which tasks are in a Huey's storage, waiting in its queue or put off in its schedule."""

from __future__ import annotations

import re
from typing import Any

from huey.serializer import Serializer
from huey.storage import BaseSqlStorage, FileStorage, RedisStorage

from . import unreadable

#: Tasks that are read in one look; where there are more nobody looks whose they are.
MOST = 10_000
#: Storages that several processes share: what a process keeps in its memory nobody else sees.
_SHARED = (RedisStorage, BaseSqlStorage, FileStorage)
#: How the pickle of a message begins (protocol 4 and later): the name of its class, and its id, the first of its values.
_BEGINS = re.compile(rb"\x80[\x04\x05](?:\x95.{8})?\x8c\x0dhuey\.registry\x94\x8c\x07Message\x94\x93\x94\(\x8c(?P<length>.)", re.DOTALL)


def is_shared(huey: Any) -> bool:
    """Whether this process sees what others have put into its storage; not in immediate mode, nor of a kind that is not known."""
    storage = huey.storage
    return isinstance(storage, _SHARED) and getattr(storage, "filename", "") != ":memory:"


def task_ids(huey: Any) -> set[str] | None:
    """The ids of all of them; None where there are too many, or one cannot be read.
    Raises: whatever the storage raises where it is away.  Four questions to it."""
    storage = huey.storage
    if storage.queue_size() + storage.schedule_size() > MOST:
        return None
    # The schedule first: what is due goes from there to the queue.
    found = {_id(huey.serializer, data) for data in (*storage.scheduled_items(), *storage.enqueued_items())}
    return None if None in found else {id for id in found if id is not None}


def _id(serializer: Any, data: Any) -> str | None:
    found = _BEGINS.match(data) if type(serializer) is Serializer and not serializer.comp and isinstance(data, bytes) else None
    if found is not None:  # its arguments, which may be anything, need not be made
        return data[found.end() : found.end() + found["length"][0]].decode(errors="replace")
    for read in (serializer.deserialize, lambda data: unreadable.read(serializer, data)):
        try:
            id = read(data).id
        except Exception:  # a class that is not here; another serializer, or signed by somebody else
            continue
        if isinstance(id, str):
            return id
    return None
