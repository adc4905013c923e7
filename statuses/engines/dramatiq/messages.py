"""What a message says of its job: which status it is, and which attempt.

Our mark travels in the message's options, `"job_status": {"id": ours, "message": Dramatiq's id, "attempt": ...}`, with
`"later": true` where it was sent with a delay: Dramatiq takes its own word of that out when the message is due. A retry
is the same message with `retries` one higher and the mark inherited, so a message speaks of attempt `attempt + retries`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dramatiq.common import q_name
from dramatiq.encoder import JSONEncoder
from dramatiq.message import get_encoder

from .. import calls
from ..tracker import gives_back

#: The option with our mark.
MARK = "job_status"
#: The option with the user; a caller may set it: `send_with_options(user="deploy")`.
USER = "user"
#: Options that Dramatiq writes itself, of one delivery or one attempt.
_OF_A_DELIVERY = frozenset({MARK, USER, "redis_message_id", "eta", "delay", "retries", "traceback", "requeue_timestamp"})


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What a message says of its job."""

    status_id: str | None
    """Our id; None: its sender decided that it is not tracked."""
    attempt: int
    """The attempt this message speaks of."""
    later: bool = False
    """Whether it was sent with a delay."""


def read(message: Any) -> Mark | None:
    """The mark of a message, None where it has none, or one that was copied from another message."""
    said = message.options.get(MARK)
    if not isinstance(said, Mapping) or said.get("message") != message.message_id:
        return None
    base = said.get("attempt")
    attempt = (base if isinstance(base, int) else 0) + retries_of(message)
    return Mark(status_id=said.get("id"), attempt=attempt, later=said.get("later") is True)


def write(message: Any, status_id: str | None, attempt: int = 0, later: bool = False) -> None:
    """Let the message speak of this attempt."""
    mark = {"id": status_id, "message": message.message_id, "attempt": attempt - retries_of(message)}
    message.options[MARK] = {**mark, "later": True} if later else mark


def retries_of(message: Any) -> int:
    """How often Dramatiq has sent it again."""
    found = message.options.get("retries")
    return found if isinstance(found, int) else 0


def kept_call(message: Any) -> dict[str, Any]:
    """What is kept of a message. With an encoder that is not JSON the arguments may be more than JSON gives back."""
    options = {name: value for name, value in message.options.items() if name not in _OF_A_DELIVERY}
    call = calls.keep(message.args, message.kwargs, {**options, "actor": message.actor_name, "queue": q_name(message.queue_name)})
    exact = isinstance(get_encoder(), JSONEncoder) or gives_back(call, message.args, message.kwargs)
    if not exact and "not_kept" not in call:
        call["not_kept"] = "they were more than JSON can give back"
    return call
