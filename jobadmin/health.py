"""Whether the store can be trusted: asked rarely, as the answer hardly ever changes."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings

from jobadmin import troubles
from jobadmin.troubles import Trouble
from statuses import health
from statuses.servers import Server

#: How long an answer is believed, seconds.
BELIEVED_SECONDS = 60

#: As `statuses` has it, where the setting does not say otherwise.
STALE_AFTER = timedelta(seconds=60)


def stale_after() -> timedelta:
    """How long a started job may be silent before it counts as stale."""
    given = getattr(settings, "JOBADMIN", {}).get("STALE_AFTER", STALE_AFTER)
    return given if isinstance(given, timedelta) else timedelta(seconds=given)


_primaries: tuple[float, list[Server]] = (0.0, [])


def dropping() -> list[Trouble]:
    """What the page of the store says where a server may drop statuses.

    Raises: StoreUnavailable.  Source: `health.primaries`, once a minute and process.
    """
    global _primaries
    asked_at, found = _primaries
    if not asked_at or time.monotonic() - asked_at > BELIEVED_SECONDS:
        found = health.primaries()
        _primaries = (time.monotonic(), found)
    return [trouble for server in found for trouble in troubles.of_policy(server, server.address if len(found) > 1 else "")]
