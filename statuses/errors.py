"""Every error the status service raises, in one tree."""

import signal
from collections.abc import Iterable
from types import FrameType
from typing import Any

from .arguments import shown
from .conditions import Condition


class StatusesError(Exception):
    """Raised when the status service cannot do what was asked; root of all its errors. All of them can be pickled: pools of processes
    hand them on."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (type(self), self.args, self.__dict__)


def _again(kind: type[StatusesError], args: tuple[Any, ...], fields: dict[str, Any]) -> StatusesError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class ConfigurationError(StatusesError):
    """Raised when a setting is unknown, wrong, or missing."""


class StoreUnavailable(StatusesError):
    """Raised when Redis is away, refuses, hangs or is full; `tried` says what was attempted."""

    def __init__(self, tried: str, why: object, condition: Condition | None = None) -> None:
        said = f"the status store did not answer to {tried}: {why}"
        if condition is not None:
            said = f"the status store refused {tried}: {condition.means} ({str(why).rstrip('.')}). {condition.remedy}"
        super().__init__(said)
        self.tried = tried
        self.why = str(why)
        self.condition = condition
        """What a server says of itself that is there; None where it is away, or silent."""
        self.undo: str | None = None
        """Token for `restore`, where a removal was broken off that can be taken back."""


def interrupted(tried: str, by: BaseException) -> StoreUnavailable:
    """What was interrupted while it waited, as an outage: a thread asks the store from then on, whoever was interrupted waits no longer."""
    return StoreUnavailable(tried, f"it was interrupted by {type(by).__name__}")


#: What engines break off a job with, wherever it is at that moment: it runs for too long, or its worker has to go.
_LIMITS = frozenset(
    {
        "billiard.exceptions.SoftTimeLimitExceeded",
        "dramatiq.threading.Interrupt",
        "huey.exceptions.TaskTimeout",
        "rq.exceptions.ShutDownImminentException",
        "rq.timeouts.BaseTimeoutException",
    }
)
#: What they break off a worker with that has nothing to do, although it is an Exception.
_STOPS = frozenset({"rq.exceptions.StopRequested"})


def is_limit(error: BaseException) -> bool:
    """Whether an engine breaks its job off with it: it is for the job, whoever was at work, and comes too late once that is over."""
    return _is_one_of(_LIMITS, error)


def interrupts(error: BaseException) -> bool:
    """Whether it fell in from outside, and says nothing of what was done at that moment: it is for whoever called. So every BaseException
    that is no Exception, what engines break off with, and what a handler of a signal raised, as of a project's own alarm."""
    return not isinstance(error, Exception) or _is_one_of(_LIMITS | _STOPS, error) or _comes_from_a_handler(error)


def _is_one_of(names: Iterable[str], error: BaseException) -> bool:
    """Told by name: no engine is imported."""
    return any(f"{kind.__module__}.{kind.__qualname__}" in names for kind in type(error).__mro__)


def _comes_from_a_handler(error: BaseException) -> bool:
    handlers = {getattr(signal.getsignal(number), "__code__", None) for number in signal.valid_signals()}
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code not in handlers:
        trace = trace.tb_next
    return trace is not None


def let_through(error: BaseException) -> None:
    """Raise what a handler of a signal raised, where redis-py made `error` of it: so it does of every TimeoutError and OSError, which it
    takes for its socket's. Such a one was caught in the frame that raised `error`; one that whoever called had caught before, and that
    stands in the context of an outage as well, was not. No round trip."""
    found, inner = error, error.__context__
    while inner is not None and inner.__traceback__ is not None and inner.__traceback__.tb_frame is _raised_in(found):
        if _comes_from_a_handler(inner):
            raise inner from inner.__cause__
        found, inner = inner, inner.__context__


def _raised_in(error: BaseException) -> FrameType | None:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace and trace.tb_frame


class ScriptFailed(StatusesError):
    """Raised when Redis is there and refuses what it was sent as wrong: a fault of a script, a key that something else wrote. It will
    refuse it again; `tried` says what was attempted."""

    def __init__(self, tried: str, why: object) -> None:
        super().__init__(f"the status store refused {tried} as wrong: {why}")
        self.tried = tried
        self.why = str(why)


class StoreFormat(ConfigurationError):
    """Raised when the store was written by a newer version of this library."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"the store has format {found}, which a newer version of Jobadmin wrote; this one knows formats up to {known} and leaves it "
            "alone: bring it up to date here, too (docs/upgrading.md)"
        )
        self.found = found
        self.known = known


class StatusNotFound(StatusesError, LookupError):
    """Raised when a status is not there, or was removed."""

    def __init__(self, id: str) -> None:
        super().__init__(f"no status with id {shown(id)}")
        self.id = id


class StatusExists(StatusesError, ValueError):
    """Raised when a caller's own id is taken already."""

    def __init__(self, id: str, index: int | None = None) -> None:
        super().__init__(("" if index is None else f"record {index}: ") + f"a status with id {shown(id)} exists already")
        self.id = id
        self.index = index
        """Of the record that `load` was given; None elsewhere."""


class NotCompleted(StatusesError):
    """Raised when a job that is not completed would be removed without force."""

    def __init__(self, id: str | None, state: str, count: int = 1) -> None:
        what = f"status {id!r} is {state}" if id else f"{count} of the statuses are not completed"
        super().__init__(f"{what}: only succeeded or failed ones are removed without force=True")
        self.id = id
        self.state = state
        self.count = count


class ReadOnlyAttempt(StatusesError):
    """Raised when an archived attempt is written to."""

    def __init__(self, id: str) -> None:
        super().__init__(f"attempt {id!r} is archived and cannot be changed")
        self.id = id


class KillRequested(StatusesError):
    """Raised when a job that was asked to die looks: by `check_kill()`, or when it would start."""

    def __init__(self, id: str, by: str | None = None, reason: str | None = None) -> None:
        super().__init__(f"job {id} was asked to die" + (f" by {by}" if by else "") + (f": {reason}" if reason else ""))
        self.id = id
        self.by = by
        self.reason = reason


class Superseded(KillRequested):
    """Raised when a message would start a job that was sent again since it ended: it must not run a second time."""

    def __init__(self, id: str, attempt: int) -> None:
        super().__init__(id)
        self.args = (f"attempt {attempt} of job {id} is over, and the job was sent again since",)
        self.attempt = attempt


class StartedBefore(KillRequested):
    """Raised when a message that was handed out again would start a job that was asked to die: it must not. Whether the run before
    goes on that says nothing of."""


class EngineCannot(StatusesError):
    """Raised when the engine of a job, a worker or a queue has no means to do what was asked."""

    def __init__(self, id: str, engine: str | None, action: str, why: str, kind: str = "job", *, for_good: bool = False) -> None:
        super().__init__(f"{engine + ' cannot' if engine else 'nothing here can'} {action} {kind} {id}: {why}")
        self.id = id
        self.engine = engine
        self.action = action
        self.why = why
        self.for_good = for_good
        """Whether this process would be told the same whenever it asks: what the engine needs is not there, and never comes."""


class NotRegistered(EngineCannot):
    """Raised when an engine knows no job of the name that is to be submitted."""


class TooManyPauses(StatusesError):
    """Raised when one more queue is to be paused than can be."""

    def __init__(self, queue: str, most: int) -> None:
        super().__init__(f"{most} queues are paused, {queue} would be one more")
        self.queue = queue
        self.most = most


class StoreCleared(StatusesError):
    """Raised when everything is cleared while `load` writes: the rows it had reserved are gone."""

    def __init__(self) -> None:
        super().__init__("the store was cleared while it was loaded")


class LimitedQuery(StatusesError, ValueError):
    """Raised when a limited query is asked for an answer that is about all that match."""

    def __init__(self, answer: str) -> None:
        super().__init__(f"{answer}() is about everything that matches: drop limit and offset")
        self.answer = answer
