"""What Redis's errors mean: who could not be reached, who refuses, and what was tried."""

import re
import ssl

import redis

from .conditions import CONDITIONS, Condition
from .errors import ScriptFailed, StoreUnavailable, interrupts, let_through

#: What a write may raise that did not arrive, or was refused. What a cluster that cannot be reached raises is no RedisError.
RAISED = (redis.RedisError, OSError, redis.exceptions.RedisClusterException)
#: After these the server may be found elsewhere: a line that broke, a primary that became a replica.
ELSEWHERE = (redis.ConnectionError, redis.exceptions.ReadOnlyError)

#: Script -> what its callers know it as; "a write" for the others.
KNOWN_AS = {
    "arguments": "a read",
    "bulk": "a change of many",
    "close": "a change of state",
    "create": "create()",
    "drop": "clean()",
    "error": "add_error()",
    "estimate": "an estimate of the memory",
    "finish": "a change of state",
    "hold": "a pause of a queue",
    "kill": "request_kill()",
    "label": "a change of names",
    "load": "load()",
    "mend": "clean() or check()",
    "meter": "a count for the metrics",
    "move": "a change of state",
    "note": "progress, data or a heartbeat",
    "order": "an order to a worker",
    "pack": "clean()",
    "present": "news of a worker",
    "read": "a read",
    "repair": "check(repair=True)",
    "requeue": "requeued()",
    "reserve": "load()",
    "sample": "a sample of the queues",
    "segment": "the opening of a segment",
    "stamp": "a removal",
    "relay": "started()",
    "start": "started()",
    "tag": "a change of arguments",
    "touch": "a write",
    "upkeep": "news of a chore",
}
#: What the server answers, whatever it is asked, while it is as it is; inside a script it stands within the text.
_REFUSALS = re.compile(
    r"(?:^|[\s:-])(OOM|READONLY|LOADING|MASTERDOWN|NOAUTH|NOPERM|WRONGPASS|DENIED|MISCONF|NOREPLICAS|BUSY|CLUSTERDOWN|TRYAGAIN)\s"
    r"|ACL failure|DB index|Script killed"
)
#: What has another name there, or none.
_CODES = {"NOAUTH": "AUTH", "WRONGPASS": "AUTH", "ACL failure": "NOPERM", "Script killed": "BUSY"}
#: What the client has classes of, and cuts the word off.
_CLASSES: tuple[tuple[type[Exception], str], ...] = (
    (redis.exceptions.BusyLoadingError, "LOADING"),
    (redis.exceptions.MasterDownError, "MASTERDOWN"),
    (redis.exceptions.ReadOnlyError, "READONLY"),
    (redis.exceptions.OutOfMemoryError, "OOM"),
    (redis.exceptions.ClusterDownError, "CLUSTERDOWN"),
    (redis.exceptions.TryAgainError, "TRYAGAIN"),
    (redis.exceptions.NoPermissionError, "NOPERM"),
    (redis.exceptions.AuthenticationError, "AUTH"),
    (redis.exceptions.AuthenticationWrongNumberOfArgsError, "AUTH"),
)
#: As which Redis 6.2 says, inside a script, that it became a replica.
_READ_ONLY = re.compile(r"^(?:ERR )?Error running script .*: -READONLY ")
_UNKNOWN = re.compile(r"^(?:ERR )?unknown (?:sub)?command|(?:^|: )NOPERM ", re.IGNORECASE)
_REFUSING = (
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.NoScriptError,
    redis.exceptions.AuthenticationWrongNumberOfArgsError,
    redis.exceptions.AskError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
)


def named(error: redis.ResponseError) -> redis.ResponseError:
    """The error, of the class that it belongs to: in Redis 6.2 one inside a script is a sentence that the client does not know."""
    if type(error) is redis.ResponseError and _READ_ONLY.match(str(error)):
        return redis.exceptions.ReadOnlyError(str(error))
    return error


def is_fault(error: Exception) -> bool:
    """Whether Redis is there and takes other commands than this one."""
    if not isinstance(error, redis.ResponseError) or isinstance(error, _REFUSING):
        return False
    # A pipeline puts the command before what the server said to it, with texts of whoever called.
    return _REFUSALS.search(str(error).rpartition("caused error: ")[2]) is None


def condition(error: BaseException | None) -> Condition | None:
    """What a server that is there says of itself by refusing; None where it is away, is silent, or says something else."""
    while error is not None:
        code = next((code for kind, code in _CLASSES if isinstance(error, kind)), "")
        if not code and isinstance(error, redis.ResponseError):
            # A pipeline puts the command before what the server said to it, with texts of whoever called.
            said = _REFUSALS.search(str(error).rpartition("caused error: ")[2])
            code = _CODES.get(said[1] or said[0], said[1] or "") if said else ""
        if not code and isinstance(error, redis.ConnectionError) and "max number of clients" in str(error):
            code = "CLIENTS"
        if code in CONDITIONS:
            return CONDITIONS[code]
        # A client of a cluster says that none of its nodes can be reached, because of what the last one said.
        error = error.__cause__ if isinstance(error, redis.exceptions.RedisClusterException) else None
    return None


def is_refusal(error: BaseException | None) -> bool:
    """Whether a server is there and does not do what it was asked, for who asks it or as it is, or is not who it should be:
    nothing that a network does."""
    if isinstance(error, redis.ConnectionError) and isinstance(error.__context__, ssl.SSLCertVerificationError):
        return True
    return isinstance(error, redis.ResponseError | redis.exceptions.AuthenticationError)


def is_forbidden(reply: object) -> bool:
    """Whether Redis answers, and lets this command not be given: by its user, or by anybody."""
    return isinstance(reply, redis.exceptions.NoPermissionError) or (
        isinstance(reply, redis.ResponseError) and _UNKNOWN.search(str(reply)) is not None
    )


class translated:
    """Turns what redis-py raises inside the block into StoreUnavailable, or ScriptFailed, with what was tried; not what fell in from
    outside, be it that redis-py took it for an error of its socket."""

    def __init__(self, tried: str) -> None:
        self._tried = tried

    @property
    def tried(self) -> str:
        return self._tried if " " in self._tried else KNOWN_AS.get(self._tried, "a write")

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, RAISED) or isinstance(error, redis.exceptions.DataError):
            return
        let_through(error)
        if interrupts(error):
            return
        if is_fault(error):
            raise ScriptFailed(self.tried, error) from error
        raise StoreUnavailable(self.tried, error, condition(error)) from error
