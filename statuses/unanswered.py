"""A creation whose answer never came may have arrived all the same: a server that hung does what it was sent once it goes on.
What it made is taken back, for nobody knows the job by that id and nobody would ever end it."""

from contextlib import suppress

from . import clock, collection, ids
from .query import Query
from .states import State

#: How much later than it was made a job may seem to be, beside what clocks differ by.
BEHIND_US = 60_000_000
#: Clocks that differ by less are the same: a round trip lies between two looks.
SAME_US = 1_000_000


def ahead_us() -> int:
    """How far the clock of this machine is ahead of the store's, microseconds; below 0 where it is behind. What it says of moments at which
    the store was away is so far off. One round trip."""
    ahead = clock.here_us() - clock.to_us(collection.server_time())
    return ahead if abs(ahead) > SAME_US else 0


def take_back(random: int, state: State | str, job_name: str | None, since_us: int) -> None:
    """Remove the job with this random part of its id that was created in `state` about `since_us`, by this machine's clock, or later, if
    there is one.
    Raises: StoreUnavailable.  Source: the store's time, one question about that time; nothing in a process without numpy."""
    asked = Query().where(recorded_at=(since_us - ahead_us() - BEHIND_US, None), state=state)
    with suppress(ImportError):  # a worker without numpy asks no questions
        for id in (asked.where(job_name=job_name) if job_name else asked).ids():
            place = ids.decode(id)
            if place is not None and place.random == random:
                collection.at(id).delete(force=True)
