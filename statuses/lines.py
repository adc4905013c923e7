"""Lines to Redis that a client's pool opened and we keep: what one call costs beside its round trip is a third of what the
client's own `execute_command` and `pipeline` cost."""

import time
from collections import deque
from collections.abc import Sequence
from operator import methodcaller
from typing import Any, Protocol

import redis

from .errors import interrupts, let_through
from .following import following
from .refusals import named

try:
    from hiredis import pack_command as _packed
except ImportError:
    _packed = None

Command = Sequence[Any]


class Piggyback(Protocol):
    """A command that goes along with others."""

    joins: str
    """Key of those with which it may be one command; empty where it stands by itself."""

    def command(self) -> Command:
        """What is sent, at the moment at which it is."""
        raise NotImplementedError

    def heard(self, reply: Any) -> None:
        """The reply, or the error where none came."""


#: Seconds after which a line is looked at before it is used: a server that closed it says so, and nothing is sent twice.
IDLE_SECONDS = 1.0
_NUMBERS = frozenset({int, float})
_TEXTS = frozenset({str, bytes})
#: Called by what C is, for an interrupt falls between two steps of Python, and would leave an end in no hand.
_FIRST, _COMMAND = deque.popleft, methodcaller("command")
#: Before version 6 the pool asks for the name of a command, and does nothing with it.
_NAMED = ("EVALSHA",) if int(redis.__version__.split(".")[0]) < 6 else ()


class Lines:
    """The lines of one client. Safe with threads and greenlets: a line that somebody uses is in nobody else's hand."""

    def __init__(self, client: Any) -> None:
        self._pool = client.connection_pool
        self._following = following(self._pool)
        self._free: deque[tuple[Any, float]] = deque()
        self._along: deque[Piggyback] = deque()

    def call(self, command: Command) -> Any:
        """The reply to one command; one round trip. Raises: what redis-py raises."""
        # What every write of a job is. A process that has just got its processor back pays for each function it comes through, not
        # for what that does: so this is one, where `calls` is four.
        if self._along:
            reply = self.calls((command,))[0]
        else:
            line = None
            try:
                line = self._take()
                line.send_packed_command(_pack(line, (command,)), check_health=False)
                reply = _reply(line)
                self._free.append((line, time.monotonic()))
            except BaseException as error:
                self._broke(line, error)
                if isinstance(error, redis.ConnectionError):
                    self.drop()
                raise
        if isinstance(reply, Exception):
            raise reply
        return reply

    def calls(self, commands: Sequence[Command], *, again: bool = False) -> list[Any]:
        """The replies to several, an error in its place; one round trip. again: sent once more when the line was lost."""
        if not commands:
            return []
        try:
            return self._try(commands)
        except redis.ConnectionError:
            # The others were made to the same server.
            self.drop()
            if not again:
                raise
            return self._try(commands)

    def piggyback(self, command: Piggyback) -> None:
        """Send a command with what is sent next, before it and in the same round trip. It hears what comes of it, whoever was sending.
        No round trip."""
        self._along.append(command)

    def next_along(self, joins: str, taken: list[Any]) -> None:
        """Move the next that waits to go along to `taken`, where it may be one command with those of this key: the caller sends it, and
        lets it hear what comes of it, also where he is interrupted before this returns. No round trip."""
        try:
            if self._along[0].joins != joins:
                return
            taken.extend(map(_FIRST, (self._along,)))
        except IndexError:  # nothing waits, or another thread took it
            return
        if taken[0].joins != joins:
            self._along.appendleft(taken[0])
            taken.clear()

    def tell(self) -> bool:
        """Send what waits to go along, by itself: it alone hears what comes of it. Whether something waited; then one round trip."""
        if not self._along:
            return False
        try:
            self._try(())
        except (redis.RedisError, OSError) as error:
            self.drop()
            if interrupts(error):
                raise
        return True

    def _boarding(self, along: list[Piggyback]) -> None:
        """Move all that wait to `along`."""
        try:
            along.extend(iter(self._along.popleft, None))
        except IndexError:
            return

    def _try_together(self, commands: Sequence[Command]) -> list[Any]:
        along: list[Piggyback] = []
        try:
            self._boarding(along)
            replies = self._try([*map(_COMMAND, along), *commands])
        except BaseException as error:
            for one in along:
                one.heard(error)
            raise
        for one, reply in zip(along, replies, strict=False):
            one.heard(reply)
        return replies[len(along) :]

    def _try(self, commands: Sequence[Command]) -> list[Any]:
        if self._along:
            return self._try_together(commands)
        # In one block: whoever is interrupted, by Ctrl-C or a limit of time, leaves no line behind that nobody gives back.
        line = None
        try:
            line = self._take()
            line.send_packed_command(_pack(line, commands), check_health=False)
            replies = [_reply(line) for _ in commands]
            self._free.append((line, time.monotonic()))
        except BaseException as error:
            self._broke(line, error)
            raise
        return replies

    def send(self, commands: Sequence[Command]) -> Any:
        """The line on which the commands are on their way; for `receive`, or `abandon`. Raises: what redis-py raises."""
        self.tell()
        line = None
        try:
            line = self._take()
            line.send_packed_command(_pack(line, commands), check_health=False)
        except BaseException as error:
            self._broke(line, error)
            raise
        return line

    def receive(self, line: Any, number: int = 1) -> list[Any]:
        """The replies to what was sent on a line, an error in its place."""
        try:
            replies = [_reply(line) for _ in range(number)]
            self._free.append((line, time.monotonic()))
        except BaseException as error:
            self._broke(line, error)
            raise
        return replies

    def abandon(self, line: Any) -> None:
        """Close a line. Part of a reply may still come: nobody may read it as an answer to something else."""
        line.disconnect()
        self._pool.release(line)

    def _broke(self, line: Any | None, error: BaseException) -> None:
        """Give up the line on which this was raised, and raise what redis-py made it of, see `let_through`."""
        if line is not None:
            self.abandon(line)
        let_through(error)

    def _take(self) -> Any:
        try:
            line, since = self._free.pop()
        except IndexError:
            return self._pool.get_connection(*_NAMED)
        if time.monotonic() - since < IDLE_SECONDS and (self._following is None or not self._following.is_left(line)):
            return line
        # The pool looks whether it still stands and leads to the primary, and connects again where not.
        self._pool.release(line)
        return self._pool.get_connection(*_NAMED)

    def drop(self) -> None:
        """Close the lines that nobody uses: the server went away, or became a replica."""
        while self._free:
            try:
                line, _ = self._free.pop()
            except IndexError:
                return
            line.disconnect()
            self._pool.release(line)


def _pack(line: Any, commands: Sequence[Command]) -> Any:
    """What is sent for the commands; by hiredis itself where it is there, for what redis-py does before that costs as much again."""
    if _packed is not None:
        try:
            if len(commands) == 1:
                return (_packed(_texts(commands[0])),)
            return (b"".join([_packed(_texts(command)) for command in commands]),)
        except TypeError:  # it knows neither bytearray nor memoryview, and says in other words what it refuses
            pass
    return line.pack_commands(commands)


def _texts(command: Command) -> tuple[Any, ...]:
    """A command without numbers: hiredis 3.5 crashes the process where a handler of a signal raises while it writes one."""
    if _TEXTS.issuperset(map(type, command)):
        return tuple(command)
    return tuple([str(part) if type(part) in _NUMBERS else part for part in command])


def _reply(line: Any) -> Any:
    try:
        return line.read_response()
    except redis.ResponseError as error:
        return named(error)
