"""Which tasks are in a Huey's storage, waiting in its queue or put off in its schedule."""

from __future__ import annotations

from typing import Any

from huey.storage import BaseSqlStorage, FileStorage, RedisStorage

from . import unreadable

#: Tasks that are read in one look; where there are more nobody looks whose they are.
MOST = 10_000
#: Storages that several processes share: what a process keeps in its memory nobody else sees.
_SHARED = (RedisStorage, BaseSqlStorage, FileStorage)


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
    for read in (serializer.deserialize, lambda data: unreadable.read(serializer, data)):
        try:
            id = read(data).id
        except Exception:  # a class that is not here; another serializer, or signed by somebody else
            continue
        if isinstance(id, str):
            return id
    return None
