"""Who starts the jobs that are published here."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_user: ContextVar[str | None] = ContextVar("statuses_user", default=None)


@contextmanager
def as_user(user: str | None) -> Generator[None]:
    """Jobs published inside the block are `user`'s: `with tracking.as_user("deploy"): task.delay()`."""
    token = _user.set(user)
    try:
        yield
    finally:
        _user.reset(token)


def current_user() -> str | None:
    """The user of the innermost `as_user` block, None outside of one."""
    return _user.get()
