"""One panel that fails leaves the page standing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import statuses

logger = logging.getLogger(__name__)


def guarded(name: str, make: Callable[[], Any]) -> dict[str, Any]:
    """One panel: what `make` gives, or that it failed, so that the page stands without it.

    A store that is away is no matter of one panel: that error passes.
    """
    try:
        return {"name": name, "shown": make(), "failed": False}
    except statuses.StoreUnavailable:
        raise
    except Exception:
        logger.exception("the panel %s could not be made", name)
        return {"name": name, "shown": None, "failed": True}
