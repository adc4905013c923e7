"""Over how long a time one can say how fast jobs start: not over hours in which there was nobody to see them."""

from datetime import datetime, timedelta

import statuses

#: Of less than that no speed is told: one job in its first second makes no sixty a minute.
LEAST = timedelta(minutes=1)


def seen(span: timedelta, now: datetime) -> timedelta:
    """What of the last `span` there was anything to see: less where the first job of the store came later.
    Source: one small read, of the bounds of the store's segments."""
    since = statuses.version().since
    return span if since is None else min(span, max(now - since, LEAST))
