"""Ends what the demo started when its supervisor was killed and could not. Standard library only; runs as a script.

It reads lines from standard input, `child N`, `server N` and `gone N` (N: a process group), and waits for the end of the
input, which the system brings about whatever happens to the supervisor. Then it ends what is left: the children at first,
then the servers, to which the children still write; kindly, and after a grace with SIGKILL."""

import os
import signal
import sys
import time

#: Seconds that processes have to end by themselves before they are killed.
GRACE_SECONDS = 6.0


def is_there(group: int) -> bool:
    """Whether any process of the group lives (or nobody has waited for it yet)."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end(groups: list[int], grace_seconds: float = GRACE_SECONDS) -> None:
    """Ends these process groups, kindly at first."""
    _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while any(map(is_there, groups)) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(groups, signal.SIGKILL)


def _signal(groups: list[int], signum: int) -> None:
    for group in filter(is_there, groups):
        try:
            os.killpg(group, signum)
        except (ProcessLookupError, PermissionError):
            continue


def main() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    known: dict[int, str] = {}
    for line in sys.stdin:
        kind, number = line.split()
        if kind == "gone":
            known.pop(int(number), None)  # the number may be somebody else's soon
        else:
            known[int(number)] = kind
    for kind in ("child", "server"):
        end([group for group, its in known.items() if its == kind])


if __name__ == "__main__":
    main()
