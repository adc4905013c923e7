"""Whether the store can be trusted: asked rarely, as the answer hardly ever changes."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings

from jobadmin import troubles
from jobadmin.troubles import Trouble
from statuses import StoreUnavailable, health
from statuses.servers import Server

#: How long an answer is believed, seconds.
BELIEVED_SECONDS = 60

#: How long the last answer stands where a server did not give another, seconds.
AGAIN_SECONDS = 5

#: As `statuses` has it, where the setting does not say otherwise.
STALE_AFTER = timedelta(seconds=60)


def stale_after() -> timedelta:
    """How long a started job may be silent before it counts as stale."""
    given = getattr(settings, "JOBADMIN", {}).get("STALE_AFTER", STALE_AFTER)
    return given if isinstance(given, timedelta) else timedelta(seconds=given)


_primaries: tuple[float, list[Server]] = (0.0, [])


def dropping() -> list[Trouble]:
    """What the page of the store says where a server may drop statuses.

    A note beside what the page is about: where a server does not answer (one of a cluster that has just lost another) the last
    answer stands for a while, and is no reason to show nothing.

    Source: `health.primaries`, once a minute and process.
    """
    global _primaries
    until, found = _primaries
    if not until or time.monotonic() > until:
        lasts = BELIEVED_SECONDS
        try:
            found = health.primaries()
        except StoreUnavailable:
            lasts = AGAIN_SECONDS
        _primaries = (time.monotonic() + lasts, found)
    return [trouble for server in found for trouble in troubles.of_policy(server, server.address if len(found) > 1 else "")]
