"""Is the store there, and is it fit to keep statuses?"""

import time
from typing import Any

from .store import current


def ping() -> dict[str, Any]:
    """version, server, memory_bytes, policy (maxmemory-policy), persistence, latency_ms. One round trip. Raises: StoreUnavailable."""
    began = time.perf_counter()
    info = current().read("INFO")
    latency_ms = (time.perf_counter() - began) * 1000
    facts = info if isinstance(info, dict) else _facts(info)
    appends, saves = str(facts.get("aof_enabled", 0)) == "1", facts.get("rdb_last_save_time", 0)
    return {
        "server": "valkey" if "valkey_version" in facts else "redis",
        "version": str(facts.get("valkey_version") or facts.get("redis_version")),
        "memory_bytes": int(facts.get("used_memory", 0)),
        "policy": str(facts.get("maxmemory_policy", "")),
        "maxmemory_bytes": int(facts.get("maxmemory", 0)),
        "persistence": "append-only file" if appends else "snapshots" if saves else "none",
        "role": str(facts.get("role", "")),
        "latency_ms": latency_ms,
    }


def _facts(text: bytes | str) -> dict[str, str]:
    lines = (text.decode() if isinstance(text, bytes) else text).splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
