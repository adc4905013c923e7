"""Whether the store can be trusted: asked rarely, as the answer hardly ever changes."""

from __future__ import annotations

import time

import statuses

#: How long an answer is believed, seconds.
BELIEVED_SECONDS = 60

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
