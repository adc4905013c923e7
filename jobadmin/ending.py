"""How a command that runs all the time is ended."""

import os
import select
import signal
import threading
from typing import Any

#: What a command that was stopped half-way gives back to its shell, as others that Ctrl-C ended do.
STOPPED = 130

#: What ends a loop.
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Ending:
    """Whether somebody asked this process to end, and a pause that this cuts short. The batch in hand is finished, no other
    begins. Outside the main thread, where no handler can stand, whoever runs the command ends it."""

    def __init__(self, wanted: bool, *, once: bool = False) -> None:
        """`once`: who asks a second time does not wait for the batch in hand, and breaks it off."""
        self.asked = False
        self._once = once
        self._wanted = wanted and threading.current_thread() is threading.main_thread()
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Ending":
        # A pipe, not an event: a handler that takes an event's lock while the same thread holds it would wait for ever.
        self._read, self._write = os.pipe()
        if self._wanted:
            self._before = {number: signal.signal(number, self._ask) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()
        os.close(self._read)
        os.close(self._write)

    def _ask(self, *_: object) -> None:
        self.asked = True
        os.write(self._write, b"!")
        if self._once:
            self._let_go()

    def _let_go(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait(self, seconds: float) -> bool:
        """Pause, no longer than until somebody asks; whether somebody did."""
        select.select([self._read], [], [], seconds)
        return self.asked
