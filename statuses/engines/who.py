"""Who starts the jobs that are published here."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

#: Characters of a user's name that are kept.
NAME_LENGTH = 200

_user: ContextVar[str | None] = ContextVar("statuses_user", default=None)


@contextmanager
def as_user(user: str | None) -> Generator[None]:
    """Jobs published inside the block are `user`'s: `with tracking.as_user("deploy"): task.delay()`."""
    token = _user.set(user)
    try:
        yield
    finally:
        _user.reset(token)


def kept_name(user: object) -> str | None:
    """What is kept of a user's name: its first 200 characters, "?" for half a character, which nobody could write; None of what names
    nobody."""
    if not isinstance(user, str) or not user.strip():
        return None
    return user[:NAME_LENGTH] if user.isascii() else user[:NAME_LENGTH].encode(errors="replace").decode()


def current_user() -> str | None:
    """The user of the innermost `as_user` block, None outside of one."""
    return _user.get()
