"""A creation whose answer never came may have arrived all the same: a server that hung does what it was sent once it goes on.
What it made is taken back, for nobody knows the job by that id and nobody would ever end it."""

from contextlib import suppress

from . import collection, ids
from .query import Query
from .states import State

#: How far the clock of the store may be behind that of the process which asked.
BEHIND_US = 60_000_000


def take_back(random: int, state: State | str, job_name: str | None, since_us: int) -> None:
    """Remove the job with this random part of its id that was created in `state` about `since_us` or later, if there is one.
    Raises: StoreUnavailable.  Source: one question about that time; nothing in a process without numpy."""
    asked = Query().where(recorded_at=(since_us - BEHIND_US, None), state=state)
    with suppress(ImportError):  # a worker without numpy asks no questions
        for id in (asked.where(job_name=job_name) if job_name else asked).ids():
            place = ids.decode(id)
            if place is not None and place.random == random:
                collection.at(id).delete(force=True)
