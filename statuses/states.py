"""The seven states of a job: codes, moments and groups, in one table."""

from enum import Enum


class State(str, Enum):
    """What a job is doing; compares equal to its name (`State.failed == "failed"`)."""

    unqueued = "unqueued"
    queued = "queued"
    started = "started"
    succeeded = "succeeded"
    failed = "failed"
    killed = "killed"
    unknown = "unknown"

    #: The same number as Enum's own, which is a function in Python and is called for every look into counts by state.
    __hash__ = str.__hash__

    def __str__(self) -> str:
        return self.value

    @property
    def code(self) -> int:
        """The byte kept in the state column, 1 to 7; 0 is no job."""
        return CODES[self]

    @property
    def moment(self) -> str | None:
        """The timestamp recorded on the first entry; None for `unknown`, which has none."""
        return MOMENTS[self]

    @classmethod
    def of_code(cls, code: int) -> "State":
        """The state kept as `code`; KeyError for a byte that is no state."""
        return BY_CODE[code]


CODES = {state: number for number, state in enumerate(State, start=1)}
BY_CODE = {number: state for state, number in CODES.items()}
#: The code as scripts take it.
CODE_TEXTS = {state: str(number) for state, number in CODES.items()}

#: First entry into a state records this timestamp. Exceptions to `<state>_at`: every job is
#: unqueued when it is recorded, and an unknown job has no moment of its own.
MOMENTS: dict[State, str | None] = {
    State.unqueued: "recorded_at",
    State.queued: "queued_at",
    State.started: "started_at",
    State.succeeded: "succeeded_at",
    State.failed: "failed_at",
    State.killed: "killed_at",
    State.unknown: None,
}

#: A state byte above this is that state, removed, and can still be restored.
REMOVED = 8

COMPLETED = frozenset({State.succeeded, State.failed})
ENDED = frozenset({State.succeeded, State.failed, State.killed})

#: The group words that a `state` clause takes. "incomplete" holds killed and leaves out unknown, unlike
#: `Status.is_incomplete`: the clause lists what may still need somebody's attention.
GROUPS: dict[str, frozenset[State]] = {
    "completed": COMPLETED,
    "incomplete": frozenset({State.unqueued, State.queued, State.started, State.killed}),
    "ended": ENDED,
}
