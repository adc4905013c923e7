"""What the processes of a project tell of their jobs, recorded as it is told, and told again in other orders."""

import contextlib
import functools
import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import redis

import statuses
from statuses import KillRequested, State, Status
from statuses.engines import attempts

#: (function of `attempts`, its arguments after the status).
Event = tuple[str, list[Any], dict[str, Any]]
#: The list that the events are pushed to.
EVENTS = "events"


def record(gates: Callable[[], redis.Redis]) -> None:
    """Let this process push what it tells, before it does."""
    for name in ("start", "end", "requeue"):
        original = getattr(attempts, name)

        @functools.wraps(original)
        def recorded(status: Status, *args: Any, _name: str = name, _original: Any = original, **kwargs: Any) -> Any:
            gates().rpush(EVENTS, json.dumps([_name, status.id, args, kwargs], default=str))
            return _original(status, *args, **kwargs)

        setattr(attempts, name, recorded)
    along = attempts.succeed_along

    @functools.wraps(along)
    def recorded_along(status: Status, attempt: int, data: object, then: Callable[[Any], None]) -> None:
        gates().rpush(EVENTS, json.dumps(["end", status.id, [State.succeeded, attempt, None, data], {}], default=str))
        along(status, attempt, data, then)

    attempts.succeed_along = recorded_along


def told(gates: redis.Redis) -> dict[str, list[Event]]:
    """What was told since the list was emptied, by job."""
    found: dict[str, list[Event]] = defaultdict(list)
    for text in gates.lrange(EVENTS, 0, -1):
        name, id, args, kwargs = json.loads(text)
        found[id].append((name, args, kwargs))
    return found


def tell(status: Status, event: Event) -> None:
    """Tell an event of this job."""
    name, args, kwargs = event
    if name == "end":
        args = [State(args[0]), *args[1:]]
    with contextlib.suppress(KillRequested):  # a start of an attempt that is over is refused, and changes nothing
        getattr(attempts, name)(status, *args, **kwargs)


def tell_anew(events: Iterable[Event]) -> tuple[State, int]:
    """How a new job ends of which these events are told."""
    replayed = statuses.create(job_name="replayed", state="queued")
    for event in events:
        tell(statuses.at(replayed.id), event)
    return end_of(replayed)


def end_of(status: Status) -> tuple[State, int]:
    """What is compared."""
    status.reload()
    return status.state, status.attempt


def attempt_of(event: Event) -> int:
    """The attempt an event speaks of: the second argument after the status, of a requeue the first."""
    args = event[1]
    return args[0] if event[0] == "requeue" else args[1]


def interleaved(events: Sequence[Event], chance: random.Random) -> list[Event]:
    """The events in another order, those of one attempt in their own: each is told by one thread."""
    lines: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        lines[attempt_of(event)].append(event)
    found = []
    while lines:
        attempt = chance.choice(sorted(lines))
        found.append(lines[attempt].pop(0))
        if not lines[attempt]:
            del lines[attempt]
    return found


def is_handed_out_again(event: Event) -> bool:
    """Whether it is a start that means another one each time it is told: of an engine that says so of every delivery."""
    name, args, kwargs = event
    return name == "start" and bool(kwargs.get("redelivered") or (len(args) > 2 and args[2]))


def of_one_delivery(event: Event) -> Event:
    """The event as it is told once more: a process says only once that a start is another run, and then no longer."""
    name, args, kwargs = event
    if not is_handed_out_again(event):
        return event
    return name, [*args[:2], False, *args[3:]], {key: value for key, value in kwargs.items() if key != "redelivered"}
