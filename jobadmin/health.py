"""Whether the store can be trusted: asked rarely, as the answer hardly ever changes."""

from __future__ import annotations

import time
from datetime import timedelta

from django.conf import settings

import statuses

#: How long an answer is believed, seconds.
BELIEVED_SECONDS = 60

#: As `statuses` has it, where the setting does not say otherwise.
STALE_AFTER = timedelta(seconds=60)


def stale_after() -> timedelta:
    """How long a started job may be silent before it counts as stale."""
    given = getattr(settings, "JOBADMIN", {}).get("STALE_AFTER", STALE_AFTER)
    return given if isinstance(given, timedelta) else timedelta(seconds=given)


_policy: tuple[float, str] = (0.0, "")


def wrong_policy() -> str:
    """The store's maxmemory-policy where it may drop statuses, else nothing.

    Raises: StoreUnavailable.  Source: one `ping` a minute and process.
    """
    global _policy
    asked_at, policy = _policy
    if not asked_at or time.monotonic() - asked_at > BELIEVED_SECONDS:
        policy = str(statuses.ping().get("policy") or "")
        _policy = (time.monotonic(), policy)
    return policy if policy not in ("", "noeviction") else ""
