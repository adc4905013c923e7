"""Whether a process that said where it is has gone: a machine knows that of its own processes, long before anybody misses their reports."""

import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_BOOT, _NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), "/proc/self/ns/pid"


@cache
def here() -> str | None:
    """What processes have in common that see one another by their pids: a running system, and there the namespace of pids. Containers share
    a system, and hosts a name. None where the system does not say (it is no Linux)."""
    with suppress(OSError):
        return f"{_BOOT.read_text().strip()} {os.readlink(_NAMESPACE)}"
    return None


def is_gone(facts: Mapping[str, Any]) -> bool:
    """Whether the process that reported these facts is surely gone: it ran where this one does, and has no pid there any more. Another
    process may have got its pid since: then nobody knows. One that nobody has waited for is gone as well. Asks the system alone."""
    pid, machine = facts.get("pid"), facts.get("machine")
    if not isinstance(pid, int) or pid <= 0 or machine is None or machine != here():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether of a process its number alone is left. One whose first thread has ended before others looks the same, but for these."""
    with suppress(OSError, ValueError):
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        return state in ("Z", "X") and len(os.listdir(f"/proc/{pid}/task")) == 1
    return False
