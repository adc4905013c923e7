"""Jobs that were planned and not sent: what follows a chord, once all of its members have ended."""

from statuses import Query, State, Status

from ..states import ENDED

#: States in which a member does not come to its end any more.
_OVER = ENDED | {State.unknown}


def is_planned(status: Status) -> bool:
    """Whether it waits for others and was never sent, as far as anybody told."""
    return status.state is State.unqueued and not status.attempt and bool(status.depends_on)


def all_over(status: Status, members: Query) -> bool:
    """Whether each of the jobs that it waits for has ended, or is unknown; not where one is not known, or not any more. `members`: those
    of them that are known.  One question."""
    return members.where(state=sorted(_OVER)).count() == len({*status.depends_on})
