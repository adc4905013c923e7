"""Since when the store does not answer, as far as this process has seen: the first page that failed since the last that did not."""

from datetime import datetime

from jobadmin import moments

_since: datetime | None = None


def seen() -> datetime:
    """The store did not answer just now; since when it does not, by this machine's clock."""
    global _since
    _since = _since or moments.now()
    return _since


def over() -> None:
    """The store answered."""
    global _since
    _since = None
